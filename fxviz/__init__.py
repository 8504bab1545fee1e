"""Draw a PyTorch model as one figure that shows where its parameters are and where its skip connections run.

The public names are declared here once and loaded on first use: ``import fxviz`` does not import torch. Everything in
packages whose name begins with an underscore is private.

>>> import fxviz
>>> fxviz.RenderOptions(theme="dark").theme
'dark'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fxviz._analysis.structure import Structure
    from fxviz._api.figures import diff, render, side_by_side
    from fxviz._api.graphs import trace
    from fxviz._api.reports import compare, explain, info, list_models, skips, structure, summary
    from fxviz._graph import ArchGraph, TensorInfo
    from fxviz._graph.errors import EngineError, FxvizError, TraceError, UsageError
    from fxviz._graph.options import RenderOptions
    from fxviz._graph.values import Information
    from fxviz._render.figure import Figure
    from fxviz._report.comparison import Comparison
    from fxviz._report.explain import Explanation
    from fxviz._report.skips import Skips
    from fxviz._report.summary import Summary

    __version__: str

__all__ = [
    "ArchGraph",
    "Comparison",
    "EngineError",
    "Explanation",
    "Figure",
    "FxvizError",
    "Information",
    "RenderOptions",
    "Skips",
    "Structure",
    "Summary",
    "TensorInfo",
    "TraceError",
    "UsageError",
    "__version__",
    "compare",
    "diff",
    "explain",
    "info",
    "list_models",
    "render",
    "side_by_side",
    "skips",
    "structure",
    "summary",
    "trace",
]

_HOMES = {
    "_analysis.structure": ("Structure",),
    "_api.figures": ("diff", "render", "side_by_side"),
    "_api.graphs": ("trace",),
    "_api.reports": ("compare", "explain", "info", "list_models", "skips", "structure", "summary"),
    "_graph.errors": ("EngineError", "FxvizError", "TraceError", "UsageError"),
    "_graph": ("ArchGraph", "TensorInfo"),
    "_graph.options": ("RenderOptions",),
    "_graph.values": ("Information",),
    "_render.figure": ("Figure",),
    "_report.comparison": ("Comparison",),
    "_report.explain": ("Explanation",),
    "_report.skips": ("Skips",),
    "_report.summary": ("Summary",),
}


def __getattr__(name: str) -> Any:
    home = next((module for module, names in _HOMES.items() if name in names), None)
    if name == "__version__":
        value: Any = _version()
    elif home is not None:
        from importlib import import_module

        value = getattr(import_module(f"fxviz.{home}"), name)
    else:
        raise AttributeError(f"module 'fxviz' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    """Return the version of the installed distribution; "0+unknown" in a clone that is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("fxviz")
    except PackageNotFoundError:
        return "0+unknown"
