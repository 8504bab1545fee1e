"""Turn a view into a drawing: every word, colour and size is decided here."""

from __future__ import annotations

from collections.abc import Callable

from fxviz._graph.options import RenderOptions
from fxviz._render import style_graph, style_ledger
from fxviz._render.drawing import Drawing
from fxviz._view.view import View, ViewStyle

__all__ = ["draw"]

_STYLES: dict[ViewStyle, Callable[[View, RenderOptions], Drawing]] = {
    "ledger": style_ledger.draw,
    "graph": style_graph.draw,
}


def draw(view: View, options: RenderOptions) -> Drawing:
    """Draw a view in the style that it was folded for."""
    return _STYLES[view.style](view, options)
