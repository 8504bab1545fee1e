"""Hold a table as values: cells hold plain values, and a column knows how people write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from fxviz._graph.errors import printable

Form = Literal["table", "markdown", "csv", "json", "latex"]
FORMS: tuple[Form, ...] = get_args(Form)
"""The forms in which a table is written."""

PEOPLE: tuple[Form, ...] = ("table", "markdown", "latex")
"""The forms that people read: values as people write them, title and notes."""

PROGRAMS: tuple[Form, ...] = ("csv", "json")
"""The forms that programs read: bare values under the columns' keys."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: its name for programs (CSV's header, JSON's key): "params".
        title: its name for people: "parameters".
        format: writes a value for people; None is always an empty cell.
        right: whether its values are aligned to the right, as numbers are.
        bar: whether its values are shares between 0 and 1 that a terminal also shows as bars.
        elastic: whether its texts may be cut where a terminal is too narrow.
        path: whether they are dotted paths, which are cut at their left.
        rank: columns of the highest rank are dropped first where a terminal is still too narrow; 0: never.
        forms: the forms in which it appears.
    """

    key: str
    title: str
    format: Callable[[Any], str] = str
    right: bool = False
    bar: bool = False
    elastic: bool = False
    path: bool = False
    rank: int = 0
    forms: tuple[Form, ...] = FORMS


@dataclass(frozen=True)
class Line:
    """One line: a value for each column, None for an empty cell.

    Attributes:
        values: in the order of the columns; plain values that JSON knows.
        sum: whether it sums up lines above it, as a subtotal does.
        ruled: whether a rule separates it from the lines above.
        path: whether its values after the first are dotted paths.
        firm: whether these values are numbers, which are never cut, not even in elastic columns.
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
        title: one line that says what the table shows.
        columns: from left to right.
        lines: from top to bottom.
        notes: sentences below it, for people.
        facts: further top-level keys of the JSON.

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
class TextColumn:
    """A column as people read it.

    Attributes:
        settings: the column in the table.
        texts: its text in each line.
        paths: whether that is a dotted path, for each line.
        firm: whether that is never cut, for each line.
    """

    settings: Column
    texts: tuple[str, ...]
    paths: tuple[bool, ...]
    firm: tuple[bool, ...]

    @property
    def title(self) -> str:
        """Return the name of the column for people."""
        return self.settings.title

    @property
    def right(self) -> bool:
        """Return whether its texts are aligned to the right."""
        return self.settings.right


def text_columns(table: Table, form: Form) -> tuple[TextColumn, ...]:
    """Return the columns that a form shows as texts, without empty ones."""
    columns = tuple(
        TextColumn(
            column,
            tuple(text(column, line.values[place]) for line in table.lines),
            tuple(line.path and place > 0 for line in table.lines),
            tuple(line.firm and place > 0 for line in table.lines),
        )
        for place, column in enumerate(table.columns)
        if form in column.forms
    )
    return tuple(column for column in columns if any(column.texts) or not table.lines)


def text(column: Column, value: Any) -> str:
    r"""Return a value as people write it, on one line and without control characters.

    >>> text(Column("name", "layer"), "a\x1b[2J"), text(Column("share", "share"), None)
    ('a\\x1b[2J', '')
    """
    return "" if value is None else printable(column.format(value))


def values(table: Table, form: Form, line: Line) -> dict[str, Any]:
    """Return the bare values of a line by the keys of the columns that ``form`` shows."""
    pairs = zip(table.columns, line.values, strict=True)
    return {column.key: value for column, value in pairs if form in column.forms}
