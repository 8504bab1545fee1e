"""One door to all forms of a table."""

from __future__ import annotations

from fxviz._errors import UsageError, choice
from fxviz._report.tables.delimited import delimited
from fxviz._report.tables.markdown import markdown
from fxviz._report.tables.objects import json_text
from fxviz._report.tables.table import FORMS, Table
from fxviz._report.tables.tex import tex


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
    fxviz._errors.UsageError: no format 'excel': choose table, markdown, csv, json or latex
    """
    if form not in FORMS:
        raise UsageError(f"no format '{form}': choose {choice(FORMS)}")
