"""A table as GitHub's Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fxviz._report.tables.cells import strips
from fxviz._report.tables.table import Line, Table
from fxviz.quoting import printable

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
_SPECIAL = re.compile(r"[\\`*\[\]~!|#$]|(?<![^\W_])_|_(?![^\W_])|^[-+=]|^\d{1,9}[.)](?=\s|$)")
"""What begins markup, or ends what begins a list. An underscore within a word does not: ``layer1_total``."""

_LINK = re.compile(r"(?i)(?<=\bwww)\.|:(?=//)")
"""Where GitHub sees a link in bare text."""


def markdown(table: Table) -> str:
    """A title, a pipe table with numbers at the right and sums in bold, and the notes
    (https://github.github.com/gfm/#tables-extension-).

    >>> from fxviz._report.tables import Column, Line
    >>> columns = (Column("name", "layer"), Column("params", "parameters", "{:,}".format, right=True))
    >>> lines = Line(("a|b", 9408)), Line(("a_total", 9408), sum=True)
    >>> print(markdown(Table("a net", columns, lines, notes=("All trainable.",))), end="")
    a net
    <BLANKLINE>
    | layer | parameters |
    | :-- | --: |
    | a\\|b | 9,408 |
    | **a_total** | **9,408** |
    <BLANKLINE>
    All trainable.
    """
    return "\n\n".join((escaped(table.title.strip()), "\n".join(_rows(table)), *map(escaped, table.notes))) + "\n"


def _rows(table: Table) -> Iterator[str]:
    shown = strips(table, "markdown")
    yield _row(escaped(strip.column.title) for strip in shown)
    yield _row("--:" if strip.column.right else ":--" for strip in shown)
    for place, line in enumerate(table.lines):
        yield _row(_cell(strip.texts[place], line) for strip in shown)


def _row(cells: Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str, line: Line) -> str:
    said = escaped(text)
    return f"**{said}**" if line.sum and said and said == said.strip() else said


def escaped(text: str) -> str:
    r"""A text that Markdown shows as it is: no markup, no HTML, no link, no mail address.

    >>> escaped("a|b <b>_x_ `c` layer1_total"), escaped("www.a.com")
    ('a\\|b &lt;b&gt;\\_x\\_ \\`c\\` layer1_total', 'www&#46;a.com')
    """
    quoted = _SPECIAL.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", printable(text))
    marked = "".join(_ENTITIES.get(sign, sign) for sign in quoted)
    return _LINK.sub(lambda found: f"&#{ord(found[0])};", marked)
