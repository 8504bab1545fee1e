"""Draw the bars of a ledger: a row's amount of the metric, beside its amount in another model."""

from __future__ import annotations

from fxviz._render import palette
from fxviz._render.drawing import Cell, Color, Table
from fxviz._view.view import Row, View

GUTTER = 5
ROW = 15
COLUMNS = {"op": 136, "tags": 66, "path": 84, "shape": 74, "bar": 66, "amount": 62, "percent": 41}
SHEET = 2 * GUTTER + sum(COLUMNS.values())
"""The width of a card, in points."""
AMOUNT_FROM = SHEET - GUTTER - COLUMNS["amount"] - COLUMNS["percent"]
"""The left edge of the amount column, in points."""


FULL = COLUMNS["bar"] - 8
"""The length of the longest bar, in points."""

_HEIGHT, _THIN_HEIGHT, _TICK = 9, 5, 2


class Bars:
    """The bars of one view; ``largest`` is the amount of a full one."""

    def __init__(self, view: View, whole: float) -> None:
        self.view, self.whole = view, whole
        amounts = [(row.total, row.change.was if row.change else 0) for row in view.rows]
        self.largest = max((amount for pair in amounts for amount in pair), default=0)

    def cell(self, row: Row) -> Cell:
        """Return a row's bar; in a difference, hollow for a removed row, thin and grey for an unchanged one."""
        bar = self._bar(row)
        return Cell(width=COLUMNS["bar"], height=ROW) if bar is None else Cell(bar, COLUMNS["bar"], ROW)

    def _bar(self, row: Row) -> Table | None:
        if self.view.difference is None:
            return self._solid(row) if row.total else None
        if row.change is not None and row.kind == "removed":
            return self._hollow(row.change.was)
        if row.keeps_layer:
            return self._thin(row) if row.total else None
        return self._beside(row) if row.total or amount_before(row) else None

    def _solid(self, row: Row) -> Table:
        filled = length(row.total, self.largest)
        return _table(_segment(filled, palette.bar(row.total / self.whole)), _segment(FULL - filled, palette.TRACK))

    def _thin(self, row: Row) -> Table:
        filled = length(row.total, self.largest)
        rest = _segment(FULL - filled, None, _THIN_HEIGHT)
        return _table(_segment(filled, palette.UNCHANGED, _THIN_HEIGHT), rest, height=_THIN_HEIGHT)

    def _hollow(self, amount: float) -> Table | None:
        if not amount:
            return None
        filled = max(4, length(amount, self.largest))
        inside = ((Cell(width=filled - 2, height=_HEIGHT - 2),),)
        frame = Table(inside, border=palette.MARKS["removed"], width=filled, height=_HEIGHT)
        return _table((Cell(frame, filled, _HEIGHT),), _segment(FULL - filled, None))

    def _beside(self, row: Row) -> Table:
        """Return the bar, with a tick where it ended in the other model if that is another place."""
        filled, before = length(row.total, self.largest), length(amount_before(row), self.largest)
        fill = palette.bar(row.total / self.whole)
        if not ticks(row, self.largest):
            return _table(_segment(filled, fill), _segment(FULL - filled, palette.TRACK))
        at = min(before, FULL) - _TICK
        if at < filled:
            pieces = (*_segment(at, fill), *_segment(_TICK, palette.INK), *_segment(filled - at - _TICK, fill))
            return _table(pieces, _segment(FULL - filled, palette.TRACK))
        gap = (*_segment(at - filled, palette.TRACK), *_segment(_TICK, palette.INK))
        return _table(_segment(filled, fill), gap, _segment(FULL - at - _TICK, palette.TRACK))


def length(amount: float, largest: float) -> int:
    """Return a bar's length in whole points; any amount above 0 stays visible."""
    return max(2, round(FULL * amount / largest)) if amount else 0


def amount_before(row: Row) -> float:
    """Return a row's amount in the other model; 0 if its layer is new, even if a norm behind it is not."""
    return row.change.was if row.change is not None and row.change.mark != "added" else 0


def ticks(row: Row, largest: float) -> bool:
    """Return whether a row's bar has a tick where it ended in the other model."""
    if row.keeps_layer or row.kind == "removed" or not row.total:
        return False
    return bool(amount_before(row)) and abs(length(row.total, largest) - length(amount_before(row), largest)) >= _TICK


def _segment(points: int, fill: Color | None, height: int = _HEIGHT) -> tuple[Cell, ...]:
    return (Cell(width=points, height=height, fill=fill),) if points > 0 else ()


def _table(*pieces: tuple[Cell, ...], height: int = _HEIGHT) -> Table:
    return Table((tuple(cell for piece in pieces for cell in piece),), width=FULL, height=height)
