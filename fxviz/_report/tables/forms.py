"""Write a table in each form: text, Markdown, CSV, JSON or LaTeX."""

from __future__ import annotations

import csv
import io
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from fxviz._graph.errors import printable, spelled
from fxviz._graph.options import check_choice
from fxviz._report.tables.table import FORMS, Line, Table, TextColumn, text_columns, values


def written(table: Table, form: str = "table", width: int | None = None, styled: bool = False) -> str:
    """Return a table as text, ending in a line break.

    Args:
        table: what to write.
        form: one of ``FORMS``.
        width: columns of the terminal that a "table" must fit; None: plain, without bars, nothing cut.
        styled: whether the terminal takes bold and colours; the environment (``TERM``, ``NO_COLOR``) says which.

    Raises:
        UsageError: unknown format.

    >>> from fxviz._report.tables import Column, Line
    >>> columns = (Column("name", "layer"), Column("params", "parameters", "{:,}".format, right=True))
    >>> lines = Line(("conv1", 9408)), Line(("TOTAL", 9408), sum=True, ruled=True)
    >>> print(written(Table("a net", columns, lines)), end="")
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
        from fxviz._report.tables.text import to_text  # which needs rich, as no other form does

        return to_text(table, width, styled)
    return {"markdown": to_markdown, "csv": to_csv, "json": to_json, "latex": to_latex}[form](table)


def check_form(form: str) -> None:
    """Raise an error for an unknown format.

    >>> check_form("excel")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: invalid format 'excel': choose table, markdown, csv, json or latex
    """
    check_choice(spelled("format", "--format"), form, FORMS)


class Tabular(ABC):
    """Base class of results that are shown as tables. ``print`` shows them as text."""

    @abstractmethod
    def tables(self, form: str = "table") -> Sequence[Table]:
        """Return the tables that a form shows."""

    def written(self, form: str = "table", width: int | None = None, styled: bool = False) -> str:
        """Return the tables as text.

        Args:
            form: "table", "markdown", "csv", "json" or "latex".
            width: columns of the terminal that a "table" must fit; None: plain, as wide as it is.
            styled: whether the terminal takes bold and colours.

        Raises:
            UsageError: unknown format.
        """
        return "\n".join(written(table, form, width, styled) for table in self.tables(form))

    def __str__(self) -> str:
        return self.written().rstrip("\n")


_HTML_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
_MARKDOWN_MARKUP = re.compile(r"[\\`*\[\]~!|#$]|(?<![^\W_])_|_(?![^\W_])|^[-+=]|^\d{1,9}[.)](?=\s|$)")
"""Characters that begin markup or a list. An underscore within a word does not: ``layer1_total``."""

_MARKDOWN_LINK = re.compile(r"(?i)(?<=\bwww)\.|:(?=//)")
"""Characters by which GitHub takes bare text for a link."""


def to_markdown(table: Table) -> str:
    """Return a title, a pipe table with numbers at the right and sums in bold, and the notes.

    The table is that of GitHub (https://github.github.com/gfm/#tables-extension-).

    >>> from fxviz._report.tables import Column, Line
    >>> columns = (Column("name", "layer"), Column("params", "parameters", "{:,}".format, right=True))
    >>> lines = Line(("a|b", 9408)), Line(("a_total", 9408), sum=True)
    >>> print(to_markdown(Table("a net", columns, lines, notes=("All trainable.",))), end="")
    a net
    <BLANKLINE>
    | layer | parameters |
    | :-- | --: |
    | a\\|b | 9,408 |
    | **a_total** | **9,408** |
    <BLANKLINE>
    All trainable.
    """
    return (
        "\n\n".join(
            (
                markdown_escaped(table.title.strip()),
                "\n".join(_markdown_rows(table)),
                *map(markdown_escaped, table.notes),
            )
        )
        + "\n"
    )


def _markdown_rows(table: Table) -> Iterator[str]:
    columns = text_columns(table, "markdown")
    yield _markdown_row(markdown_escaped(column.title) for column in columns)
    yield _markdown_row("--:" if column.right else ":--" for column in columns)
    for place, line in enumerate(table.lines):
        yield _markdown_row(_markdown_cell(column.texts[place], line) for column in columns)


def _markdown_row(cells: Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(text: str, line: Line) -> str:
    escaped = markdown_escaped(text)
    return f"**{escaped}**" if line.sum and escaped and escaped == escaped.strip() else escaped


def markdown_escaped(text: str) -> str:
    r"""Return a text that Markdown shows as it is: no markup, no HTML, no link, no mail address.

    >>> markdown_escaped("a|b <b>_x_ `c` layer1_total"), markdown_escaped("www.a.com")
    ('a\\|b &lt;b&gt;\\_x\\_ \\`c\\` layer1_total', 'www&#46;a.com')
    """
    quoted = _MARKDOWN_MARKUP.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", printable(text))
    marked = "".join(_HTML_ENTITIES.get(sign, sign) for sign in quoted)
    return _MARKDOWN_LINK.sub(lambda found: f"&#{ord(found[0])};", marked)


_LATEX_ESCAPES = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"{\char34}",
    "×": r"$\times$", "→": r"$\rightarrow$", "…": r"\ldots{}",
    "`": r"\textasciigrave{}", "'": r"\textquotesingle{}", "[": "{[}", "]": "{]}", "-": "{-}", "*": "{*}",
} | {sign: f"\\{sign}" for sign in "{}$&#_%"}  # fmt: skip
"""Characters that LaTeX or its fonts change; a bracket or star could be an option of the row before."""


def to_latex(table: Table) -> str:
    r"""Return a ``tabular`` with the rules of booktabs, and the title and notes as comments around it.

    The document needs ``\usepackage{booktabs}``.

    >>> from fxviz._report.tables import Column, Line
    >>> columns = (Column("name", "layer"), Column("params", "parameters", "{:,}".format, right=True))
    >>> lines = Line(("a_b", 9408)), Line(("TOTAL", 9408), sum=True, ruled=True)
    >>> print(to_latex(Table("a net", columns, lines)), end="")
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
    columns = text_columns(table, "latex")
    sides = "".join("r" if column.right else "l" for column in columns)
    head = (
        f"% {printable(table.title)}",
        r"% \usepackage{booktabs}",
        f"\\begin{{tabular}}{{{sides}}}",
        r"\toprule",
    )
    notes = (f"% {printable(note)}" for note in table.notes)
    return "\n".join((*head, *_latex_rows(table, columns), r"\bottomrule", r"\end{tabular}", *notes)) + "\n"


def _latex_rows(table: Table, columns: Sequence[TextColumn]) -> Iterator[str]:
    yield _latex_row(latex_escaped(column.title) for column in columns)
    yield r"\midrule"
    for place, line in enumerate(table.lines):
        if line.ruled:
            yield r"\midrule"
        yield _latex_row(_latex_cell(column.texts[place], line) for column in columns)


def _latex_row(cells: Iterator[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _latex_cell(text: str, line: Line) -> str:
    escaped = latex_escaped(text)
    return f"\\textbf{{{escaped}}}" if line.sum and escaped else escaped


def latex_escaped(text: str) -> str:
    r"""Return a text that LaTeX prints as it is.

    >>> print(latex_escaped(r"50% \input{x} a_b"))
    50\% \textbackslash{}input\{x\} a\_b
    """
    return "".join(_LATEX_ESCAPES.get(sign, sign) for sign in printable(text))


_FORMULA_STARTS = ("=", "+", "-", "@")
"""Characters that begin a formula in a spreadsheet (OWASP, CSV injection); tabs and line breaks are escaped before."""


def to_csv(table: Table) -> str:
    """Return the header and a record for each line.

    >>> from fxviz._report.tables import Column, Line
    >>> columns = Column("name", "layer"), Column("shape", "shape"), Column("share", "share")
    >>> lines = Line(("=cmd|' /C calc'!A0", [8, 3], 0.25)), Line(("TOTAL", None, 1.0))
    >>> print(to_csv(Table("a net", columns, lines)), end="")
    name,shape,share
    '=cmd|' /C calc'!A0,8x3,0.25
    TOTAL,,1.0
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(column.key for column in table.columns if "csv" in column.forms)
    for line in table.lines:
        writer.writerow(_csv_field(value) for value in values(table, "csv", line).values())
    return out.getvalue()


def _csv_field(value: Any) -> Any:
    """Return a value as one field: text that no spreadsheet runs, sizes as "64x3x7x7", true and false as in JSON."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return _csv_field(("x" if all(isinstance(item, int) for item in value) else "; ").join(map(str, value)))
    if isinstance(value, str):
        text = printable(value)
        return f"'{text}" if text.lstrip().startswith(_FORMULA_STARTS) else text
    return value


def to_json(table: Table) -> str:
    r"""Return the table's facts, and under "rows" an object for each line, by the columns' keys.

    Control characters are escaped; they occur only inside strings.

    >>> from fxviz._report.tables import Column, Line
    >>> print(to_json(Table("a net", (Column("name", "layer"),), (Line(("a\x9bb",)),), facts={"macs": 1})), end="")
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
    written = json.dumps({**table.facts, "rows": rows}, ensure_ascii=False, indent=1)
    return "".join(sign if sign.isprintable() or sign == "\n" else json.dumps(sign)[1:-1] for sign in written) + "\n"
