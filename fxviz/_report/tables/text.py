"""A table as lines of text: plain, or made to fit a terminal, with bars, bold sums and colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from rich.cells import cell_len
from rich.text import Text

from fxviz._report.tables.cells import strips
from fxviz._report.tables.fitting import GAP, Slot, fitted, natural
from fxviz._report.tables.table import Line, Table
from fxviz.quoting import printable

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
