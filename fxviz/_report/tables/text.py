"""A table as lines of text: plain, or made to fit a terminal, with bars, bold sums and colours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from textwrap import wrap

from rich.cells import cell_len
from rich.text import Text

from fxviz._errors import printable
from fxviz._report.tables.table import Column, Line, Strip, Table, strips

_BAR = "dark_orange"
"""Orange is parameters, as in the figure; a terminal of fewer colours takes its nearest."""


def laid_out(table: Table, width: int | None, styled: bool) -> str:
    """The title, the columns two spaces apart under their titles, and the notes."""
    shown = strips(table, "table")
    slots = natural(shown) if width is None else fitted(table, shown, width)
    full = sum(slot.width for slot in slots) + GAP * max(len(slots) - 1, 0)
    lines = [*_told((table.title,), width), Text(""), *_rows(table.lines, slots, full)]
    lines += [Text(""), *_told(table.notes, width)] if table.notes else []
    return drawn(lines, max(full, width or 0)) if styled else "".join(f"{line.plain.rstrip()}\n" for line in lines)


def _told(texts: Sequence[str], width: int | None) -> Iterator[Text]:
    """Sentences, each on lines of its own."""
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


def drawn(lines: Sequence[Text], width: int) -> str:
    """Lines in the bold and the colours that the terminal takes, as its environment tells."""
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
"""Characters that are left of an elastic column before a whole column goes."""

_BARS = 6, 24
"""Least and largest length of a bar."""

_COUNTING = re.compile(r"(?:^|(?<=, ))\d(?:(?!, ).)*$")
"""The last of several remarks, where that begins with a number."""

_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True)
class Slot:
    """What stands in one column: its title, its text in each line, and how wide it is."""

    title: str
    texts: tuple[str, ...]
    width: int
    right: bool = False
    bar: bool = False


def natural(shown: Sequence[Strip]) -> tuple[Slot, ...]:
    """Each column as wide as its longest text."""
    return tuple(_slot(strip, _width(strip)) for strip in shown)


def fitted(table: Table, shown: Sequence[Strip], width: int) -> tuple[Slot, ...]:
    """Columns that fit ``width`` together: elastic ones are cut, then whole ones go, those of the highest rank first.

    Shares get bars in the room that is left. Where nothing more can go, elastic ones are cut further. Others, and firm lines,
    hold numbers, which are never cut: the table is wider then.
    """
    kept = list(shown)
    while _full(map(_least, kept)) > width and any(strip.column.rank for strip in kept):
        kept.remove(max(kept, key=lambda strip: strip.column.rank))
    slots = [_slot(strip, size) for strip, size in zip(kept, _shared_out(kept, width), strict=True)]
    return tuple(_with_bars(table, kept, slots, width))


def _shared_out(kept: Sequence[Strip], width: int) -> list[int]:
    """How wide each column is: elastic ones alike, but no less than their least; less only where that does not fit."""
    for least in (_least, _tightest):
        for cap in range(width, 0, -1):
            sizes = [max(least(strip), min(_width(strip), cap)) for strip in kept]
            if _full(sizes) <= width:
                return sizes
    return [_tightest(strip) for strip in kept]


def _full(widths: Iterable[int]) -> int:
    every = list(widths)
    return sum(every) + GAP * max(len(every) - 1, 0)


def _width(strip: Strip) -> int:
    return max(map(cell_len, (printable(strip.column.title), *strip.texts)))


def _least(strip: Strip) -> int:
    """The width below which a column is not cut."""
    return _down_to(strip, _LEAST_OF_A_PATH if strip.column.path else _LEAST)


def _tightest(strip: Strip) -> int:
    """The width below which nothing is cut."""
    return _down_to(strip, _LEAST)


def _down_to(strip: Strip, least: int) -> int:
    """So many characters at least, more where a text may not be cut."""
    if not strip.column.elastic:
        return _width(strip)
    texts = (text for text, firm in zip(strip.texts, strip.firm, strict=True) if firm)
    return max((min(_width(strip), least), *map(cell_len, texts)))


def _slot(strip: Strip, width: int) -> Slot:
    column = strip.column
    texts = tuple(cut(text, width, column.path or path) for text, path in zip(strip.texts, strip.paths, strict=True))
    return Slot(cut(printable(column.title), width, path=True), texts, width, column.right)


def cut(text: str, width: int, path: bool = False) -> str:
    """A text, or as much of it as fits; of a path, its end. A number does not stand without what it counts.

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


def _with_bars(table: Table, kept: Sequence[Strip], slots: Sequence[Slot], width: int) -> Iterator[Slot]:
    """The same slots, each of shares followed by its bars, if all bars find room."""
    least, most = _BARS
    shares = [strip.column for strip in kept if strip.column.bar]
    room = width - _full(slot.width for slot in slots)
    length = min(room // len(shares) - GAP, most) if shares else 0
    for strip, slot in zip(kept, slots, strict=True):
        yield slot
        if strip.column.bar and length >= least:
            yield _bars(table, strip.column, length)


def _bars(table: Table, column: Column, length: int) -> Slot:
    place = table.columns.index(column)
    return Slot("", tuple(bar(line.values[place], length) for line in table.lines), length, bar=True)


def bar(share: float | None, length: int) -> str:
    """A share as a bar, as exact as an eighth of a character; of anything above 0 something is seen.

    >>> bar(1.0, 4), bar(0.5, 4), bar(0.001, 4), bar(None, 4)
    ('████', '██', '▏', '')
    """
    if not share:
        return ""
    whole, rest = divmod(min(ceil(share * length * 8 - 0.5) or 1, length * 8), 8)
    return _EIGHTHS[8] * whole + _EIGHTHS[rest].strip()
