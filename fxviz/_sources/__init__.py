"""From what a user names to a model that can be traced: ``"resnet18"`` or an ``nn.Module``.

torch is imported when a model is looked up or built, not before. What is named here is loaded on first use: how a name is taken
apart (:mod:`fxviz._sources.reference`) is asked where no model is needed, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fxviz._sources.resolve import all_names, information, names, resolve
    from fxviz._sources.source import IMAGE, Source, empty_parameters
    from fxviz._sources.weights import check_weights, fetch, source_of

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

_HOMES = {
    "IMAGE": "source",
    "Source": "source",
    "all_names": "resolve",
    "check_weights": "weights",
    "empty_parameters": "source",
    "fetch": "weights",
    "information": "resolve",
    "names": "resolve",
    "resolve": "resolve",
    "source_of": "weights",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fxviz._sources' has no attribute '{name}'")
    from importlib import import_module

    value = getattr(import_module(f"fxviz._sources.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
