"""The bars of a ledger: how much of the figure's metric a row has, and how much it had in another model."""

from __future__ import annotations

from fxviz._render import palette
from fxviz._render.drawing import Cell, Color, Table
from fxviz._view.view import Row, View

GUTTER = 5
ROW = 15
COLUMNS = {"op": 126, "tags": 66, "path": 84, "shape": 74, "bar": 76, "amount": 62, "percent": 41}
SHEET = 2 * GUTTER + sum(COLUMNS.values())
"""The width of a card."""
AMOUNT_FROM = SHEET - GUTTER - COLUMNS["amount"] - COLUMNS["percent"]
"""Where the column of amounts begins."""


FULL = COLUMNS["bar"] - 8
"""The length of the longest bar, in points."""

_HIGH, _THIN, _TICK = 9, 5, 2


class Bars:
    """The bars of one view; ``largest`` is the amount of a full one."""

    def __init__(self, view: View, whole: float) -> None:
        self.view, self.whole = view, whole
        amounts = [(row.total, row.change.was if row.change else 0) for row in view.rows]
        self.largest = max((amount for pair in amounts for amount in pair), default=0)

    def cell(self, row: Row) -> Cell:
        """The bar of a row: beside another model hollow for what is gone, thin and grey for what is as it was."""
        bar = self._bar(row)
        return Cell(width=COLUMNS["bar"], height=ROW) if bar is None else Cell(bar, COLUMNS["bar"], ROW)

    def _bar(self, row: Row) -> Table | None:
        if self.view.difference is None:
            return self._solid(row) if row.total else None
        if row.change is not None and row.kind == "removed":
            return self._hollow(row.change.was)
        if row.keeps_layer:
            return self._thin(row) if row.total else None
        return self._beside(row) if row.total or was_in(row) else None

    def _solid(self, row: Row) -> Table:
        long = length(row.total, self.largest)
        return _table(_filled(long, palette.bar(row.total / self.whole)), _filled(FULL - long, palette.TRACK))

    def _thin(self, row: Row) -> Table:
        long = length(row.total, self.largest)
        return _table(_filled(long, palette.AS_IT_WAS, _THIN), _filled(FULL - long, None, _THIN), high=_THIN)

    def _hollow(self, amount: float) -> Table | None:
        if not amount:
            return None
        long = max(4, length(amount, self.largest))
        inside = ((Cell(width=long - 2, height=_HIGH - 2),),)
        frame = Table(inside, border=palette.MARKS["removed"], width=long, height=_HIGH)
        return _table((Cell(frame, long, _HIGH),), _filled(FULL - long, None))

    def _beside(self, row: Row) -> Table:
        """The bar with a tick where it ended in the other model, unless it ended at the same place or there was none."""
        long, before = length(row.total, self.largest), length(was_in(row), self.largest)
        fill = palette.bar(row.total / self.whole)
        if not ticks(row, self.largest):
            return _table(_filled(long, fill), _filled(FULL - long, palette.TRACK))
        at = min(before, FULL) - _TICK
        if at < long:
            pieces = (*_filled(at, fill), *_filled(_TICK, palette.INK), *_filled(long - at - _TICK, fill))
            return _table(pieces, _filled(FULL - long, palette.TRACK))
        gap = (*_filled(at - long, palette.TRACK), *_filled(_TICK, palette.INK))
        return _table(_filled(long, fill), gap, _filled(FULL - at - _TICK, palette.TRACK))


def length(amount: float, largest: float) -> int:
    """Whole points of a bar; an amount is never invisible."""
    return max(2, round(FULL * amount / largest)) if amount else 0


def was_in(row: Row) -> float:
    """What a row had in the other model; nothing if its layer was not there, although a norm behind it may have been."""
    return row.change.was if row.change is not None and row.change.mark != "added" else 0


def ticks(row: Row, largest: float) -> bool:
    """Whether a row's bar shows where it ended in the other model: if it was there and ended at another place."""
    if row.keeps_layer or row.kind == "removed" or not row.total:
        return False
    return bool(was_in(row)) and abs(length(row.total, largest) - length(was_in(row), largest)) >= _TICK


def _filled(long: int, fill: Color | None, high: int = _HIGH) -> tuple[Cell, ...]:
    return (Cell(width=long, height=high, fill=fill),) if long > 0 else ()


def _table(*pieces: tuple[Cell, ...], high: int = _HIGH) -> Table:
    return Table((tuple(cell for piece in pieces for cell in piece),), width=FULL, height=high)
