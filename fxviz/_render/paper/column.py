"""Draw a model of one resolution from top to bottom, with each kind of block opened where it first runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from fxviz._analysis.structure import Kind, Run, Stage, Structure
from fxviz._graph import units
from fxviz._render import palette
from fxviz._render.paper.face import fit
from fxviz._render.paper.inset import fitted, is_drawn, title
from fxviz._render.paper.scene import Area, Item, Label, Piece, Stroke, below
from fxviz._render.paper.style import SMALL, condensed, filled, ink, length, sizes, text

HIGH, STEP = 15.0, 8.0
BESIDE = 46.0
"""The room on the right for sizes and repetitions."""


def column(
    structure: Structure, stages: tuple[Stage, ...], opened: Collection[Kind], room: float, entering: str = ""
) -> Piece:
    """Return stages one below the other, with the kinds of ``opened`` drawn where each first runs.

    ``entering``: the sizes of the input, "" if they are not told.
    """
    whole = sum(stage.params for stage in structure.stages)
    most = max((fitted(kind, whole, room - BESIDE - 12, percent=True)[0].width for kind in opened), default=0.0)
    width = min(room - BESIDE, max(130.0, most + 12, *(_needed(stage) for stage in stages)))
    said = text(width / 2, 4, f"input {entering}", palette.MUTED, anchor="middle", size=SMALL)
    pieces = [Piece(width, 9, (said,))] if entering else []
    left = {kind.letter for kind in opened}
    for stage in stages:
        pieces += _stage(structure, stage, width, left, whole)
    items: list[Item] = []
    y = 0.0
    for place, piece in enumerate(pieces):
        items += piece.at(0, y)
        y += piece.height
        if place < len(pieces) - 1:
            items.append(Stroke(((width / 2, y), (width / 2, y + STEP)), palette.FLOW, 1, 4.5))
            y += STEP
    return Piece(width + BESIDE, y, tuple(items))


def _needed(stage: Stage) -> float:
    return max((length(run.text, bold=True) + 40 for run in stage.runs), default=0.0)


def _stage(structure: Structure, stage: Stage, width: float, left: set[str], whole: int) -> Iterator[Piece]:
    """Yield a box for each run of a stage; its size stands at the last one. Remove from ``left`` what was opened."""
    runs = condensed(stage.runs)
    for place, run in enumerate(runs):
        last = place == len(runs) - 1
        size = sizes(stage.channels, stage.size) if last and stage.channels else ""
        if not run.lettered:
            lone = len(runs) == 1
            yield _box(run.text, stage.share if lone else 0.0, size, width)
            continue
        kinds = [structure.kind(name) for name in dict.fromkeys(run.names)]
        new = [kind for kind in kinds if kind.letter in left]
        left.difference_update(kind.letter for kind in kinds)
        share = stage.share if stage.blocks == len(run.names) * run.times else 0.0
        yield _repeated(new, run, share, size, width, whole) if new else _box(_named(run, kinds), share, size, width)


def _named(run: Run, kinds: list[Kind]) -> str:
    """Return the letters of blocks that are not opened here, with the word for a single kind."""
    return f"{run.text}  {kinds[0].word}" if len(kinds) == 1 else run.text


def _box(words: str, share: float, size: str, width: float) -> Piece:
    percent = units.percent(share) if share else ""
    color = ink(share) if share else palette.INK
    items: list[Item] = [
        filled(0, 0, width, HIGH, share, words) if share else Area(0, 0, width, HIGH, palette.PALE, palette.BORDER),
        text(6, HIGH / 2, fit(words, width - 14 - length(percent, size=SMALL), 7.5, bold=True), color, bold=True),
        text(width - 6, HIGH / 2, percent, color, anchor="end", size=SMALL),
        text(width + 5, HIGH / 2, size, palette.MUTED, size=SMALL),
    ]
    return Piece(width + BESIDE, HIGH, tuple(items))


def _repeated(kinds: list[Kind], run: Run, share: float, size: str, width: float, whole: int) -> Piece:
    """Return opened kinds in a frame, with the number of repetitions beside it, or above wide blocks in it."""
    wider = width + BESIDE
    is_wide = any(not is_drawn(kind, whole, width - 8) and is_drawn(kind, whole, wider - 8) for kind in kinds)
    across = wider if is_wide else width
    parts = [_opened(kind, whole, across, len(set(run.names)) > 1) for kind in kinds]
    times, percent = f"×{run.times}" if run.times > 1 else "", units.percent(share) if share else ""
    if is_wide:
        said = "   ".join(words for words in (times, percent, size) if words)
        parts.insert(0, Piece(across, 12, (text(8, 8, said, bold=True),)))
    inner = below(parts, 0)
    high = max(inner.height + 2, 0.0 if is_wide else 36.0)
    items: list[Item] = [
        Area(0, 0, across, high, palette.PALE, palette.MUTED, radius=4),
        *inner.at(0, (high - inner.height) / 2),
    ]
    if not is_wide:
        middle = high / 2
        items.append(text(width + 5, middle - 9, times, bold=True, size=11))
        items.append(text(width + 5, middle + 3, percent, palette.INK, bold=share >= 0.1, size=SMALL))
        items.append(text(width + 5, middle + 13, size, palette.MUTED, size=SMALL))
    return Piece(wider, high, tuple(item for item in items if not isinstance(item, Label) or item.text))


def _opened(kind: Kind, whole: int, width: float, named: bool) -> Piece:
    """Return a block, under its letter and name if it is one of several."""
    body = fitted(kind, whole, width - 8, percent=True)[0]
    if not named:
        return Piece(width, body.height, body.at((width - body.width) / 2, 0))
    head = text(6, 5, f"{kind.letter}  {title(kind)}", palette.MUTED, size=SMALL)
    return Piece(width, body.height + 8, (head, *body.at((width - body.width) / 2, 8)))
