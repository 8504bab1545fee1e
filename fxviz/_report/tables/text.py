"""Write a table as lines of text: plain, or fitted to a terminal, with bars, bold sums and colours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from textwrap import wrap

from rich.cells import cell_len
from rich.text import Text

from fxviz._graph.errors import printable
from fxviz._report.tables.table import Column, Line, Table, TextColumn, text_columns

_BAR = "dark_orange"
"""Orange is parameters, as in the figure; a terminal of fewer colours takes its nearest."""


def to_text(table: Table, width: int | None, styled: bool) -> str:
    """Return the title, the columns two spaces apart under their titles, and the notes."""
    columns = text_columns(table, "table")
    slots = unfitted(columns) if width is None else fitted(table, columns, width)
    full = _full(slot.width for slot in slots)
    lines = [*_paragraphs((table.title,), width), Text(""), *_rows(table.lines, slots, full)]
    lines += [Text(""), *_paragraphs(table.notes, width)] if table.notes else []
    return (
        with_styles(lines, max(full, width or 0)) if styled else "".join(f"{line.plain.rstrip()}\n" for line in lines)
    )


def _paragraphs(texts: Sequence[str], width: int | None) -> Iterator[Text]:
    for text in map(printable, texts):
        for line in [text] if width is None else wrap(text, width):
            yield Text(line)


def _rows(lines: Sequence[Line], slots: Sequence[Slot], full: int) -> Iterator[Text]:
    yield _row([slot.title for slot in slots], slots, "bold")
    yield Text("─" * full)
    for place, line in enumerate(lines):
        if line.ruled:
            yield Text("─" * full)
        yield _row([slot.texts[place] for slot in slots], slots, "bold" if line.sum else "")


def _row(texts: Sequence[str], slots: Sequence[Slot], style: str) -> Text:
    row = Text(style=style)
    for place, (text, slot) in enumerate(zip(texts, slots, strict=True)):
        blank = " " * (slot.width - cell_len(text))
        row.append(" " * GAP * (place > 0))
        row.append(blank + text if slot.right else text + blank, _BAR if slot.bar else "")
    return row


def with_styles(lines: Sequence[Text], width: int) -> str:
    """Return lines in the bold and the colours that the terminal takes, as its environment says."""
    from io import StringIO

    from rich.console import Console

    out = StringIO()
    console = Console(file=out, force_terminal=True, width=width, legacy_windows=False)
    for line in lines:
        line.rstrip()
        console.print(line, soft_wrap=True, highlight=False, markup=False, emoji=False)
    return out.getvalue()


GAP = 2
"""Spaces between two columns."""

_LEAST = 8
_LEAST_OF_A_PATH = 16
"""Characters that an elastic column keeps before a whole column is dropped."""

_BARS = 6, 24
"""The shortest and the longest bar."""

_COUNTING = re.compile(r"(?:^|(?<=, ))\d(?:(?!, ).)*$")
"""The last of several remarks, where that begins with a number."""

_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True)
class Slot:
    """A column as it is printed: its title, its text in each line, and its width."""

    title: str
    texts: tuple[str, ...]
    width: int
    right: bool = False
    bar: bool = False


def unfitted(columns: Sequence[TextColumn]) -> tuple[Slot, ...]:
    """Return each column as wide as its longest text."""
    return tuple(_slot(column, _width(column)) for column in columns)


def fitted(table: Table, columns: Sequence[TextColumn], width: int) -> tuple[Slot, ...]:
    """Fit columns into ``width``: cut elastic ones, then drop whole ones, those of the highest rank first.

    Shares get bars in the room that is left. Where nothing more can be dropped, elastic columns are cut further. Other
    columns, and firm lines, hold numbers, which are never cut: the table is wider then.
    """
    kept = list(columns)
    while _full(map(_least, kept)) > width and any(column.settings.rank for column in kept):
        kept.remove(max(kept, key=lambda column: column.settings.rank))
    slots = [_slot(column, size) for column, size in zip(kept, _widths(kept, width), strict=True)]
    return tuple(_with_bars(table, kept, slots, width))


def _widths(kept: Sequence[TextColumn], width: int) -> list[int]:
    """Share out a width: elastic columns alike, below their least width only where nothing else fits."""
    for least in (_least, _tightest):
        for cap in range(width, 0, -1):
            sizes = [max(least(column), min(_width(column), cap)) for column in kept]
            if _full(sizes) <= width:
                return sizes
    return [_tightest(column) for column in kept]


def _full(widths: Iterable[int]) -> int:
    every = list(widths)
    return sum(every) + GAP * max(len(every) - 1, 0)


def _width(column: TextColumn) -> int:
    return max(map(cell_len, (printable(column.title), *column.texts)))


def _least(column: TextColumn) -> int:
    """Return the width to which a column is cut before whole columns are dropped."""
    return _cut_down(column, _LEAST_OF_A_PATH if column.settings.path else _LEAST)


def _tightest(column: TextColumn) -> int:
    """Return the width to which a column is cut when nothing more can be dropped."""
    return _cut_down(column, _LEAST)


def _cut_down(column: TextColumn, least: int) -> int:
    """Return ``least``, or more where a text may not be cut."""
    if not column.settings.elastic:
        return _width(column)
    texts = (text for text, firm in zip(column.texts, column.firm, strict=True) if firm)
    return max((min(_width(column), least), *map(cell_len, texts)))


def _slot(column: TextColumn, width: int) -> Slot:
    at_left = column.settings.path
    texts = tuple(cut(text, width, at_left or path) for text, path in zip(column.texts, column.paths, strict=True))
    return Slot(cut(printable(column.title), width, path=True), texts, width, column.right)


def cut(text: str, width: int, path: bool = False) -> str:
    """Cut a text to a width, a path at its left. A number is not kept without what it counts.

    >>> cut("BatchNorm2d", 8), cut("layer1.0.downsample.0", 16, path=True), cut("fc", 16)
    ('BatchNo…', '….0.downsample.0', 'fc')
    >>> cut("2 calls, shared with fc", 18), cut("2 calls, 1,413 frozen", 18)
    ('2 calls, shared w…', '2 calls, …')
    >>> cut("2 calls, frozen", 8), cut("1,413 frozen", 8)
    ('2 calls…', '…')
    """
    if cell_len(text) <= width:
        return text
    signs = text[:0:-1] if path else text[:-1]
    kept, room = 0, width - 1
    while room >= 0 and kept < len(signs):
        room -= cell_len(signs[kept])
        kept += room >= 0
    if path:
        return f"…{signs[:kept][::-1]}"
    return f"{signs[:kept] if text.startswith(', ', kept) else _COUNTING.sub('', signs[:kept])}…"


def _with_bars(table: Table, kept: Sequence[TextColumn], slots: Sequence[Slot], width: int) -> Iterator[Slot]:
    """Put bars after each column of shares, if there is room for all of them."""
    least, most = _BARS
    shares = [column for column in kept if column.settings.bar]
    room = width - _full(slot.width for slot in slots)
    length = min(room // len(shares) - GAP, most) if shares else 0
    for column, slot in zip(kept, slots, strict=True):
        yield slot
        if column.settings.bar and length >= least:
            yield _bars(table, column.settings, length)


def _bars(table: Table, column: Column, length: int) -> Slot:
    place = table.columns.index(column)
    return Slot("", tuple(bar(line.values[place], length) for line in table.lines), length, bar=True)


def bar(share: float | None, length: int) -> str:
    """Return a share as a bar, in eighths of a character; anything above 0 is visible.

    >>> bar(1.0, 4), bar(0.5, 4), bar(0.001, 4), bar(None, 4)
    ('████', '██', '▏', '')
    """
    if not share:
        return ""
    whole, rest = divmod(min(ceil(share * length * 8 - 0.5) or 1, length * 8), 8)
    return _EIGHTHS[8] * whole + _EIGHTHS[rest].strip()
