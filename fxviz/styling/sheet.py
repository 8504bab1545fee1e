"""The measures of the ledger, in points."""

from __future__ import annotations

GUTTER = 5
ROW = 15
COLUMNS = {"op": 128, "tags": 66, "path": 86, "shape": 68, "bar": 78, "params": 62, "percent": 41}
SHEET = 2 * GUTTER + sum(COLUMNS.values())
"""The width of a card."""
