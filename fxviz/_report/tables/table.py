"""The values of a table. Cells hold plain values; a column knows how people write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fxviz._errors import printable

FORMS = ("table", "markdown", "csv", "json", "latex")
"""The forms in which a table is written."""

PEOPLE = ("table", "markdown", "latex")
"""The forms that people read: values as people write them, title and notes."""

PROGRAMS = ("csv", "json")
"""The forms that programs read: bare values under the columns' keys."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: its name for programs (CSV's header, JSON's key): "params".
        title: its name for people: "parameters".
        said: a value as people write it; None is always an empty cell.
        right: whether its values stand at the right, as numbers do.
        bar: whether its values are shares between 0 and 1 that a terminal shows as a bar, too.
        elastic: whether its texts may be cut where a terminal is too narrow.
        path: whether they are dotted paths, of which the end tells most: these are cut at their left.
        rank: in which order columns are left out where a terminal is still too narrow, the highest first; 0: never.
        forms: those in which it appears.
    """

    key: str
    title: str
    said: Callable[[Any], str] = str
    right: bool = False
    bar: bool = False
    elastic: bool = False
    path: bool = False
    rank: int = 0
    forms: tuple[str, ...] = FORMS


@dataclass(frozen=True)
class Line:
    """One line: a value for each column, None for an empty cell.

    Attributes:
        values: in the order of the columns; plain values that JSON knows.
        sum: whether it sums up lines above it, as a subtotal does.
        ruled: whether it is ruled off from the lines above it.
        path: whether its values behind the first, which says so, are dotted paths.
        firm: whether they are numbers, which are not cut in elastic columns either.
    """

    values: tuple[Any, ...]
    sum: bool = False
    ruled: bool = False
    path: bool = False
    firm: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: what it is a table of, in one line.
        columns: from left to right.
        lines: from top to bottom.
        notes: sentences below it, for people.
        facts: what a program gets beside the lines: top-level keys of the JSON.

    Raises:
        ValueError: a line has another number of values than there are columns.
    """

    title: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for line in self.lines:
            if len(line.values) != len(self.columns):
                raise ValueError(f"a line has {len(line.values)} values for {len(self.columns)} columns: {line.values}")


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
