"""A table as CSV (RFC 4180), for a spreadsheet or a data frame: bare values under the columns' keys."""

from __future__ import annotations

import csv
import io
from typing import Any

from fxviz._report.tables.cells import values
from fxviz._report.tables.table import Table
from fxviz.quoting import printable

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
