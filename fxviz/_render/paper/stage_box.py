"""Draw a stage as a box of two lines: its name and share, its blocks and what leaves it."""

from __future__ import annotations

from collections.abc import Iterator

from fxviz._analysis.structure import Stage
from fxviz._graph import units
from fxviz._render.paper.face import fit
from fxviz._render.paper.scene import Item
from fxviz._render.paper.style import SMALL, TEXT, filled, ink, length, plain_word, sizes, text

HIGH = 24.0
_PAD = 4.0


def stage_box(stage: Stage, x: float, y: float, width: float) -> Iterator[Item]:
    """Yield the box of a stage with its top left corner at a point."""
    color, percent = ink(stage.share), units.percent(stage.share)
    yield filled(x, y, width, HIGH, stage.share, f"{stage.path}: {stage.text}")
    size = sizes(stage.channels, stage.size) if stage.channels else ""
    below = blocks(stage)
    if length(name(stage), bold=True) + length(percent, size=SMALL) + 3 * _PAD > width:
        below, percent = percent, ""  # the name comes first
    left = width - 2 * _PAD - (_PAD + length(percent, size=SMALL) if percent else 0)
    yield text(x + _PAD, y + 7.5, fit(name(stage), left, TEXT, bold=True), color, bold=True)
    if percent:
        yield text(x + width - _PAD, y + 7.5, percent, color, anchor="end", size=SMALL)
    if length(size, size=SMALL) + 2 * _PAD > width:
        size = ""
    words = fit(below, width - 3 * _PAD - length(size, size=SMALL), SMALL)
    if len(words) > 2 or words == below:
        yield text(x + _PAD, y + 16.5, words, color, size=SMALL)
    if size:
        yield text(x + width - _PAD, y + 16.5, size, color, anchor="end", size=SMALL)


def name(stage: Stage) -> str:
    """Return the title of a stage; of a path only its last names."""
    return ".".join(stage.title.split(".")[-2:])


def blocks(stage: Stage) -> str:
    """Return the letters of a stage's blocks, or the names of its layers."""
    if stage.blocks:
        return " ".join(run.text for run in stage.runs if run.lettered)
    names = [run.text if " layers" in run.text else plain_word(run.text).split(" ")[0] for run in stage.runs]
    return " ".join(dict.fromkeys(names))


def box_width(stage: Stage) -> float:
    """Return the width at which all words of a stage's box are shown."""
    size = sizes(stage.channels, stage.size) if stage.channels else ""
    first = length(name(stage), bold=True) + length(units.percent(stage.share), size=SMALL)
    return max(first, length(blocks(stage), size=SMALL) + length(size, size=SMALL)) + 3 * _PAD + 2
