"""From what a user names to a model that can be traced: ``"resnet18"`` or an ``nn.Module``.

torch is imported when a model is looked up or built, not before.
"""

from fxviz.loading.documenting import information
from fxviz.loading.empty import empty_parameters
from fxviz.loading.resolving import all_names, names, resolve
from fxviz.loading.source import IMAGE, Source
from fxviz.loading.weights import check_weights, fetch, source_of

__all__ = [
    "IMAGE",
    "Source",
    "all_names",
    "check_weights",
    "empty_parameters",
    "fetch",
    "information",
    "names",
    "resolve",
    "source_of",
]
