"""Draws a PyTorch model as one figure: where its parameters are, and its skip connections.

The public names are declared here once and loaded on first use: ``import fxviz`` imports neither torch nor anything else.

>>> import fxviz
>>> fxviz.RenderOptions(theme="dark").theme
'dark'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fxviz.api import compare, diff, explain, inform, render, summarize, trace
    from fxviz.comparing import Comparison
    from fxviz.errors import FxvizError
    from fxviz.explaining import Explanation
    from fxviz.figure import Figure, RenderOptions
    from fxviz.graph import ArchGraph
    from fxviz.information import Information
    from fxviz.summarizing import Summary

    __version__: str

__all__ = [
    "ArchGraph",
    "Comparison",
    "Explanation",
    "Figure",
    "FxvizError",
    "Information",
    "RenderOptions",
    "Summary",
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
    "ArchGraph": "fxviz.graph",
    "Comparison": "fxviz.comparing",
    "Explanation": "fxviz.explaining",
    "Figure": "fxviz.figure",
    "FxvizError": "fxviz.errors",
    "Information": "fxviz.information",
    "RenderOptions": "fxviz.figure",
    "Summary": "fxviz.summarizing",
    "compare": "fxviz.api",
    "diff": "fxviz.api",
    "explain": "fxviz.api",
    "inform": "fxviz.api",
    "render": "fxviz.api",
    "summarize": "fxviz.api",
    "trace": "fxviz.api",
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
