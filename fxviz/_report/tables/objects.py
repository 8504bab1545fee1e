"""A table as JSON: what is known of the whole, and an object for each line."""

from __future__ import annotations

import json

from fxviz._report.tables.cells import values
from fxviz._report.tables.table import Table


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
