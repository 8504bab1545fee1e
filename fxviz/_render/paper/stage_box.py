"""Draw a stage as a box: its name and share, its blocks and what leaves it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fxviz._analysis.structure import Stage
from fxviz._graph import units
from fxviz._render import palette
from fxviz._render.paper.scene import Item, Piece, Stroke
from fxviz._render.paper.style import (
    SMALL,
    TEXT,
    filled,
    in_lines,
    ink,
    length,
    parts_of,
    plain_word,
    short_name,
    sizes,
    text,
)

LINE, PAD = 9.0, 4.0
_AROUND = 6.0
"""What a box is higher than its lines."""
_INPUT = 13.0
"""The height of the arrow that enters the first box."""
LONG = 9
"""Words of as many letters may be divided."""
MOST_LINES = 3
"""Where there would be more, the share is told by the colour alone."""


@dataclass(frozen=True)
class Told:
    """One line of a box: what stands on the left and on the right; the lines of the name are bold."""

    left: str
    right: str = ""
    is_name: bool = False


def told(stage: Stage, width: float) -> list[Told]:
    """Return what a box of a width says of a stage: its whole name, then as much as there is room for.

    The share stands behind the name, or else in a line of its own; so does the size behind the blocks.
    """
    room = width - 2 * PAD
    names = in_lines(short_name(stage), room)
    percent = units.percent(stage.share)
    beside = len(names) == 1 and length(names[0], bold=True) + PAD + length(percent, size=SMALL) <= room
    lines = [Told(line, percent if beside else "", is_name=True) for line in names]
    size = sizes(stage.channels, stage.size) if stage.channels else ""
    inside = blocks(stage)
    if beside:
        return lines + _pairs(inside, size, room)
    ways = (
        _pairs(percent, inside, room) + _pairs("", size, room),
        _pairs(percent, size, room) + _pairs(inside, "", room),
        _pairs(percent, "", room) + _pairs(inside, size, room),
    )
    shortest = lines + min(ways, key=len)
    return shortest if len(shortest) <= MOST_LINES else lines + _pairs(inside, size, room)


def _pairs(left: str, right: str, room: float) -> list[Told]:
    """Return two texts in one line if there is room, else one below the other; nothing is said of no text."""
    if length(left, size=SMALL) + (PAD if left and right else 0) + length(right, size=SMALL) <= room:
        return [Told(left, right) if left else Told(right)] if left or right else []
    if not left:
        return []
    return [Told(line) for line in in_lines(left, room, bold=False, size=SMALL)] + _pairs("", right, room)


def box_height(stages: Iterable[Stage], width: float) -> float:
    """Return the height at which boxes of a width tell all of each stage."""
    return _AROUND + LINE * max((len(told(stage, width)) for stage in stages), default=2)


def stage_box(stage: Stage, x: float, y: float, width: float, height: float) -> Iterator[Item]:
    """Yield the box of a stage with its top left corner at a point."""
    color = ink(stage.share)
    yield filled(x, y, width, height, stage.share, f"{stage.path}: {stage.text}")
    lines = told(stage, width)
    top = y + (height - LINE * len(lines)) / 2
    for number, line in enumerate(lines):
        middle = top + LINE * (number + 0.5)
        if line.left:
            yield text(x + PAD, middle, line.left, color, bold=line.is_name, size=TEXT if line.is_name else SMALL)
        if line.right:
            yield text(x + width - PAD, middle, line.right, color, anchor="end", size=SMALL)


def entered(piece: Piece, x: float, y: float, width: float, said: str) -> Piece:
    """Return a part with an arrow from above into the box at a point, and the sizes of the input beside it."""
    if not said:
        return piece
    above = max(0.0, _INPUT - y)
    middle, top = x + width / 2, y + above - _INPUT
    items = (
        text(middle + 4, top + 4.5, f"input {said}", palette.MUTED, size=SMALL),
        Stroke(((middle, top), (middle, y + above)), palette.FLOW, 1, 4.5),
    )
    return Piece(piece.width, piece.height + above, (*piece.at(0, above), *items))


def blocks(stage: Stage) -> str:
    """Return the letters of a stage's blocks, or the names of its layers."""
    if stage.blocks:
        return " ".join(run.text for run in stage.runs if run.lettered)
    names = [run.text if " layers" in run.text else plain_word(run.text).split(" ")[0] for run in stage.runs]
    return ", ".join(dict.fromkeys(names))


def box_width(stage: Stage) -> float:
    """Return the width at which all words of a stage's box are shown in two lines."""
    size = sizes(stage.channels, stage.size) if stage.channels else ""
    first = length(short_name(stage), bold=True) + length(units.percent(stage.share), size=SMALL)
    return max(first, length(blocks(stage), size=SMALL) + length(size, size=SMALL)) + 3 * PAD + 2


def least_width(stage: Stage) -> float:
    """Return the least width at which neither the name nor the size is cut."""
    parts = ["stage 10", *parts_of(short_name(stage))]
    size = sizes(stage.channels, stage.size) if stage.channels else ""
    halves = [part.rstrip() if len(part) < LONG else part[: (len(part) + 2) // 2] + "-" for part in parts]
    return max(length(size, size=SMALL), *(length(half, bold=True) for half in halves)) + 2 * PAD + 0.1
