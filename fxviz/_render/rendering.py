"""Rendering: a drawing becomes DOT text, a layout engine places it, and the SVG is finished."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from fxviz._errors import EngineTimeout
from fxviz._render.arcs import is_arc
from fxviz._render.dot import to_dot
from fxviz._render.drawing import Drawing
from fxviz._render.engine import lay_out
from fxviz._render.svg import finish

__all__ = ["Picture", "finish", "lay_out", "to_dot"]

_PATIENCE = 0.4
"""The part of the time that the usual layout may take before a simpler one is tried."""


@dataclass(frozen=True)
class Picture:
    """A drawing as DOT text and as SVG.

    Args:
        drawing: what to draw.
        theme: "light", "dark", or "auto", which follows the reader's preference.
        engine: path or name of the layout engine; None takes graphviz-pure, else ``dot`` on PATH.
        timeout: seconds that the layout may take.

    >>> from fxviz._render.drawing import Box, Cell, Color, Table, Text
    >>> ink = Color("#1f2328", "#e6edf3")
    >>> box = Box("input", Table(((Cell((Text("input", ink, 10),)),),)), "input: 1×3×224×224")
    >>> picture = Picture(Drawing("net", "A net.", (box,), ()), theme="dark")
    >>> 'fill="#e6edf3">input</text>' in picture.svg
    True
    """

    drawing: Drawing
    theme: str = "auto"
    engine: str | None = None
    timeout: float = 50

    @cached_property
    def dot(self) -> str:
        """The DOT text, in light colours for the theme "auto"."""
        return to_dot(self.drawing, dark=self.theme == "dark")

    @cached_property
    def svg(self) -> str:
        """The finished SVG; the layout runs once, when this is first asked for.

        Raises:
            UsageError: ``engine`` names no program.
            EngineError: the layout engine is missing, failed or took too long.
        """
        return finish(self._laid_out[0], self.drawing, self.theme)

    @property
    def simplified(self) -> bool:
        """Whether the layout engine had to be spared: crossings are not thought over for long, and lines are straight.

        False where nothing was laid out yet.
        """
        return "_laid_out" in self.__dict__ and self._laid_out[1]

    @cached_property
    def _laid_out(self) -> tuple[str, bool]:
        dot = to_dot(self.drawing, self.theme == "dark", without=is_arc)
        try:
            return lay_out(dot, self.engine, _PATIENCE * self.timeout), False
        except EngineTimeout:
            return lay_out(dot, self.engine, (1 - _PATIENCE) * self.timeout, simply=True), True
