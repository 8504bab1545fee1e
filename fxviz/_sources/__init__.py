"""Resolve a model's name, or a module, to a source that can be built.

torch is imported when a model is looked up or built. The names below are loaded on first use, because
:mod:`fxviz._sources.reference` parses names where no model is needed. ``resolve`` is also the name of its
module, from which it must be imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fxviz._sources.resolve import all_names, check, information, matching, names
    from fxviz._sources.source import IMAGE, Source, empty_parameters
    from fxviz._sources.weights import check_weights, fetch, source_of

__all__ = [
    "IMAGE",
    "Source",
    "all_names",
    "check",
    "check_weights",
    "empty_parameters",
    "fetch",
    "information",
    "matching",
    "names",
    "source_of",
]

_HOMES = {
    "IMAGE": "source",
    "Source": "source",
    "all_names": "resolve",
    "check": "resolve",
    "check_weights": "weights",
    "empty_parameters": "source",
    "fetch": "weights",
    "information": "resolve",
    "matching": "resolve",
    "names": "resolve",
    "source_of": "weights",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fxviz._sources' has no attribute '{name}'")
    from importlib import import_module

    value = getattr(import_module(f"fxviz._sources.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
