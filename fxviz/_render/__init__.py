"""From a view to a drawing: every word, colour and size is decided here."""

from __future__ import annotations

from fxviz._render import cards, ledger
from fxviz._render.drawing import Drawing, Look
from fxviz._view.view import View

__all__ = ["STYLES", "Look", "draw"]

STYLES = {"ledger": ledger.draw, "graph": cards.draw}
"""How a view can be drawn."""


def draw(view: View, look: Look) -> Drawing:
    """The drawing of a view in the style that it was folded for."""
    return STYLES[view.style](view, look)
