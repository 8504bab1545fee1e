"""What is known of a model beside its graph, in words."""

from fxviz._report.saved import of_graph
from fxviz._report.words import words

__all__ = ["of_graph", "words"]
