"""What is known of a model beside its graph, in words."""

from fxviz.informing.saved import of_graph
from fxviz.informing.words import words

__all__ = ["of_graph", "words"]
