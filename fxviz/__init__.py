"""Draws a PyTorch model as one figure: where its parameters are, and its skip connections.

The public names are declared here once and loaded on first use: ``import fxviz`` imports neither torch nor anything else.

>>> import fxviz
>>> fxviz.RenderOptions(theme="dark").theme
'dark'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fxviz._api import compare, diff, explain, inform, render, summarize, trace
    from fxviz._errors import EngineError, FxvizError, TraceError, UsageError
    from fxviz._graph import ArchGraph
    from fxviz._graph.values import Information
    from fxviz._render.figure import Figure, RenderOptions
    from fxviz._report.comparison import Comparison
    from fxviz._report.explain import Explanation
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
    "Summary",
    "TraceError",
    "UsageError",
    "__version__",
    "compare",
    "diff",
    "explain",
    "inform",
    "render",
    "summarize",
    "trace",
]

_HOMES = {
    "ArchGraph": "fxviz._graph",
    "Comparison": "fxviz._report.comparison",
    "EngineError": "fxviz._errors",
    "Explanation": "fxviz._report.explain",
    "Figure": "fxviz._render.figure",
    "FxvizError": "fxviz._errors",
    "Information": "fxviz._graph.values",
    "RenderOptions": "fxviz._render.figure",
    "Summary": "fxviz._report.summary",
    "TraceError": "fxviz._errors",
    "UsageError": "fxviz._errors",
    "compare": "fxviz._api",
    "diff": "fxviz._api",
    "explain": "fxviz._api",
    "inform": "fxviz._api",
    "render": "fxviz._api",
    "summarize": "fxviz._api",
    "trace": "fxviz._api",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = _version()
    elif name in _HOMES:
        from importlib import import_module

        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'fxviz' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    """The version of the installed distribution; "0+unknown" in a clone that is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("fxviz")
    except PackageNotFoundError:
        return "0+unknown"
