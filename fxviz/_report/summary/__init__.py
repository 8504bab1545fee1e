"""A graph's facts in words and numbers: the line that tells what was written, the table of layers."""

from fxviz._report.headline import Share, headline, largest_shares
from fxviz._report.summary.choosing import SORTS, SummaryOptions
from fxviz._report.summary.summary import Summary, summarize
from fxviz._report.summary.values import Row, Totals

__all__ = ["SORTS", "Row", "Share", "Summary", "SummaryOptions", "Totals", "headline", "largest_shares", "summarize"]
