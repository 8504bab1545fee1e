"""The measures of the ledger, in points."""

from __future__ import annotations

GUTTER = 5
ROW = 15
COLUMNS = {"op": 126, "tags": 66, "path": 84, "shape": 74, "bar": 76, "amount": 62, "percent": 41}
SHEET = 2 * GUTTER + sum(COLUMNS.values())
"""The width of a card."""
AMOUNT_FROM = SHEET - GUTTER - COLUMNS["amount"] - COLUMNS["percent"]
"""Where the column of amounts begins."""
