"""Weights that are loaded into a model: from a file, or those that its library publishes."""

from fxviz._sources.weights import check_weights, fetch, source_of

__all__ = ["check_weights", "fetch", "source_of"]
