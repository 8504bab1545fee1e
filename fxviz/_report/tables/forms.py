"""One door to all forms of a table."""

from __future__ import annotations

import csv
import io
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from fxviz._errors import UsageError, choice, printable
from fxviz._report.tables.table import FORMS, Line, Strip, Table, strips, values


def written(table: Table, form: str = "table", width: int | None = None, styled: bool = False) -> str:
    """A table as text, ending in a line break.

    Args:
        table: what to write.
        form: one of ``FORMS``.
        width: columns of the terminal that a "table" must fit; None: plain, as wide as it is, without bars, nothing cut.
        styled: whether the terminal takes bold and colours; those that it takes, and ``NO_COLOR``, are told by the environment.

    Raises:
        UsageError: there is no such form.

    >>> from fxviz._report.tables import Column, Line
    >>> columns = (Column("name", "layer"), Column("params", "parameters", "{:,}".format, right=True))
    >>> print(written(Table("a net", columns, (Line(("conv1", 9408)), Line(("TOTAL", 9408), sum=True, ruled=True)))), end="")
    a net
    <BLANKLINE>
    layer  parameters
    ─────────────────
    conv1       9,408
    ─────────────────
    TOTAL       9,408
    """
    check_form(form)
    if form == "table":
        from fxviz._report.tables.text import laid_out  # which needs rich, as no other form does

        return laid_out(table, width, styled)
    return {"markdown": markdown, "csv": delimited, "json": json_text, "latex": tex}[form](table)


def check_form(form: str) -> None:
    """Refuse a form that there is not.

    >>> check_form("excel")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: no format 'excel': choose table, markdown, csv, json or latex
    """
    if form not in FORMS:
        raise UsageError(f"no format '{form}': choose {choice(FORMS)}")


class Tabular(ABC):
    """What is shown as tables. ``print`` shows them as text."""

    @abstractmethod
    def tables(self, form: str = "table") -> Sequence[Table]:
        """The tables that a form shows."""

    def written(self, form: str = "table", width: int | None = None, styled: bool = False) -> str:
        """The tables as text.

        Args:
            form: "table", "markdown", "csv", "json" or "latex".
            width: columns of the terminal that a "table" must fit; None: plain, as wide as it is.
            styled: whether the terminal takes bold and colours.

        Raises:
            UsageError: there is no such form.
        """
        return "\n".join(written(table, form, width, styled) for table in self.tables(form))

    def __str__(self) -> str:
        return self.written().rstrip("\n")


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


_SIGNS = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"{\char34}", "×": r"$\times$", "→": r"$\rightarrow$", "…": r"\ldots{}",
    "`": r"\textasciigrave{}", "'": r"\textquotesingle{}", "[": "{[}", "]": "{]}", "-": "{-}", "*": "{*}",
} | {sign: f"\\{sign}" for sign in "{}$&#_%"}  # fmt: skip
"""Each sign that LaTeX or one of its fonts takes for something else; a bracket or star could be an option of the row before."""


def tex(table: Table) -> str:
    r"""A ``tabular`` with the rules of booktabs; title and notes as comments around it. Needs ``\usepackage{booktabs}``.

    >>> from fxviz._report.tables import Column, Line
    >>> columns = (Column("name", "layer"), Column("params", "parameters", "{:,}".format, right=True))
    >>> print(tex(Table("a net", columns, (Line(("a_b", 9408)), Line(("TOTAL", 9408), sum=True, ruled=True)))), end="")
    % a net
    % \usepackage{booktabs}
    \begin{tabular}{lr}
    \toprule
    layer & parameters \\
    \midrule
    a\_b & 9,408 \\
    \midrule
    \textbf{TOTAL} & \textbf{9,408} \\
    \bottomrule
    \end{tabular}
    """
    shown = strips(table, "latex")
    head = (
        f"% {printable(table.title)}",
        r"% \usepackage{booktabs}",
        f"\\begin{{tabular}}{{{_sides(shown)}}}",
        r"\toprule",
    )
    notes = (f"% {printable(note)}" for note in table.notes)
    return "\n".join((*head, *_tex_rows(table, shown), r"\bottomrule", r"\end{tabular}", *notes)) + "\n"


def _sides(shown: tuple[Strip, ...]) -> str:
    return "".join("r" if strip.column.right else "l" for strip in shown)


def _tex_rows(table: Table, shown: tuple[Strip, ...]) -> Iterator[str]:
    yield _tex_row(tex_escaped(strip.column.title) for strip in shown)
    yield r"\midrule"
    for place, line in enumerate(table.lines):
        if line.ruled:
            yield r"\midrule"
        yield _tex_row(_tex_cell(strip.texts[place], line) for strip in shown)


def _tex_row(cells: Iterator[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _tex_cell(text: str, line: Line) -> str:
    said = tex_escaped(text)
    return f"\\textbf{{{said}}}" if line.sum and said else said


def tex_escaped(text: str) -> str:
    r"""A text that LaTeX prints as it is.

    >>> print(tex_escaped(r"50% \input{x} a_b"))
    50\% \textbackslash{}input\{x\} a\_b
    """
    return "".join(_SIGNS.get(sign, sign) for sign in printable(text))


_FORMULA = ("=", "+", "-", "@")
"""What a text begins with that a spreadsheet runs (OWASP, CSV injection); tabs and line breaks are escaped before."""


def delimited(table: Table) -> str:
    """The header, and a record for each line.

    >>> from fxviz._report.tables import Column, Line
    >>> columns = Column("name", "layer"), Column("shape", "shape"), Column("share", "share")
    >>> lines = Line(("=cmd|' /C calc'!A0", [8, 3], 0.25)), Line(("TOTAL", None, 1.0))
    >>> print(delimited(Table("a net", columns, lines)), end="")
    name,shape,share
    '=cmd|' /C calc'!A0,8x3,0.25
    TOTAL,,1.0
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(column.key for column in table.columns if "csv" in column.forms)
    for line in table.lines:
        writer.writerow(_plain(value) for value in values(table, "csv", line).values())
    return out.getvalue()


def _plain(value: Any) -> Any:
    """A value as one field: a text that no spreadsheet runs, sizes as "64x3x7x7", true and false as JSON spells them."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return _plain(("x" if all(isinstance(item, int) for item in value) else "; ").join(map(str, value)))
    if isinstance(value, str):
        text = printable(value)
        return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
    return value


def json_text(table: Table) -> str:
    r"""The table's facts, and under "rows" an object for each line, by the columns' keys.

    Signs that a terminal would obey are written as escapes, inside texts, where alone they can stand.

    >>> from fxviz._report.tables import Column, Line
    >>> print(json_text(Table("a net", (Column("name", "layer"),), (Line(("a\x9bb",)),), facts={"macs": 1})), end="")
    {
     "macs": 1,
     "rows": [
      {
       "name": "a\u009bb"
      }
     ]
    }
    """
    rows = [values(table, "json", line) for line in table.lines]
    said = json.dumps({**table.facts, "rows": rows}, ensure_ascii=False, indent=1)
    return "".join(sign if sign.isprintable() or sign == "\n" else json.dumps(sign)[1:-1] for sign in said) + "\n"
