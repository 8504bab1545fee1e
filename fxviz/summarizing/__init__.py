"""A graph's facts in words and numbers: the line that tells what was written, the table of layers."""

from fxviz.summarizing.choosing import SORTS, SummaryOptions
from fxviz.summarizing.headline import Share, headline, largest_shares
from fxviz.summarizing.summary import Summary, summarize
from fxviz.summarizing.values import Row, Totals

__all__ = ["SORTS", "Row", "Share", "Summary", "SummaryOptions", "Totals", "headline", "largest_shares", "summarize"]
