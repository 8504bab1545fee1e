"""A table as LaTeX, for a paper: a booktabs ``tabular`` (https://ctan.org/pkg/booktabs)."""

from __future__ import annotations

from collections.abc import Iterator

from fxviz._report.tables.cells import Strip, strips
from fxviz._report.tables.table import Line, Table
from fxviz.quoting import printable

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
    head = (f"% {printable(table.title)}", r"% \usepackage{booktabs}", f"\\begin{{tabular}}{{{_sides(shown)}}}", r"\toprule")
    notes = (f"% {printable(note)}" for note in table.notes)
    return "\n".join((*head, *_rows(table, shown), r"\bottomrule", r"\end{tabular}", *notes)) + "\n"


def _sides(shown: tuple[Strip, ...]) -> str:
    return "".join("r" if strip.column.right else "l" for strip in shown)


def _rows(table: Table, shown: tuple[Strip, ...]) -> Iterator[str]:
    yield _row(escaped(strip.column.title) for strip in shown)
    yield r"\midrule"
    for place, line in enumerate(table.lines):
        if line.ruled:
            yield r"\midrule"
        yield _row(_cell(strip.texts[place], line) for strip in shown)


def _row(cells: Iterator[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _cell(text: str, line: Line) -> str:
    said = escaped(text)
    return f"\\textbf{{{said}}}" if line.sum and said else said


def escaped(text: str) -> str:
    r"""A text that LaTeX prints as it is.

    >>> print(escaped(r"50% \input{x} a_b"))
    50\% \textbackslash{}input\{x\} a\_b
    """
    return "".join(_SIGNS.get(sign, sign) for sign in printable(text))
