"""Models side by side: their numbers, and what one has that another has not."""

from fxviz._report.comparing_comparison import Comparison, compare

__all__ = ["Comparison", "compare"]
