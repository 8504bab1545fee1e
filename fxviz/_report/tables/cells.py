"""The columns of a table that a form shows, and the texts in their cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fxviz._report.tables.table import Column, Line, Table
from fxviz.quoting import printable


@dataclass(frozen=True)
class Strip:
    """One column as people read it: the column, its text in each line, in which lines that is a dotted path, in which firm."""

    column: Column
    texts: tuple[str, ...]
    paths: tuple[bool, ...]
    firm: tuple[bool, ...]


def strips(table: Table, form: str) -> tuple[Strip, ...]:
    """The columns that have something to say, from left to right."""
    shown = tuple(
        Strip(
            column,
            tuple(text(column, line.values[place]) for line in table.lines),
            tuple(line.path and place > 0 for line in table.lines),
            tuple(line.firm and place > 0 for line in table.lines),
        )
        for place, column in enumerate(table.columns)
        if form in column.forms
    )
    return tuple(strip for strip in shown if any(strip.texts) or not table.lines)


def text(column: Column, value: Any) -> str:
    r"""A value as people write it, on one line; whatever it holds cannot move the cursor.

    >>> text(Column("name", "layer"), "a\x1b[2J"), text(Column("share", "share"), None)
    ('a\\x1b[2J', '')
    """
    return "" if value is None else printable(column.said(value))


def values(table: Table, form: str, line: Line) -> dict[str, Any]:
    """The bare values of a line by the keys of the columns that ``form`` shows."""
    pairs = zip(table.columns, line.values, strict=True)
    return {column.key: value for column, value in pairs if form in column.forms}
