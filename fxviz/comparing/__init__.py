"""Models side by side: their numbers, and what one has that another has not."""

from fxviz.comparing.comparison import Comparison, compare

__all__ = ["Comparison", "compare"]
