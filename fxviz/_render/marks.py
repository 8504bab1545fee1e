"""The mark at the left of a row that differs from another model: a thick rule, then a sign, seen without colour, too."""

from __future__ import annotations

from fxviz._render import differences as differing
from fxviz._render import palette
from fxviz._render.drawing import Cell, Text
from fxviz._render.sheet import ROW

MARK = 20
"""The width of a mark, in points."""

_RULE, _GAP = 3, 3


def mark(kind: str | None) -> tuple[Cell, ...]:
    """The rule and the sign on their ground; room as wide for a row that is as it was (None)."""
    if kind is None:
        return (Cell(width=MARK, height=ROW),)
    color, ground = palette.MARKS[kind], palette.MARKED[kind]
    sign = Text(differing.SIGNS[kind], color, 11, bold=True)
    rule = Cell(width=_RULE + _GAP, height=ROW, fill=ground, rail=color, rail_width=_RULE)
    return rule, Cell((sign,), MARK - _RULE - _GAP, ROW, ground)
