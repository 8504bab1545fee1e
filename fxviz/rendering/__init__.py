"""Rendering: a drawing becomes DOT text, a layout engine places it, and the SVG is finished."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fxviz.drawing import THEMES, Drawing
from fxviz.errors import UsageError
from fxviz.rendering.arcs import is_arc
from fxviz.rendering.dot import to_dot
from fxviz.rendering.engine import lay_out
from fxviz.rendering.svg import finish
from fxviz.writing import check_target, write_whole

__all__ = ["Figure", "finish", "lay_out", "to_dot"]

SUFFIXES = (".svg", ".dot")


@dataclass(frozen=True)
class Figure:
    """A drawing as a figure: its DOT text, its SVG, and a file of either. Shows itself in a notebook.

    Args:
        drawing: what to draw.
        theme: "light", "dark", or "auto", which follows the reader's preference.
        engine: path or name of the layout engine; None takes graphviz-pure, else ``dot`` on PATH.
        timeout: seconds that the layout may take.

    Raises:
        UsageError: there is no such theme.

    >>> from fxviz.drawing import Box, Cell, Color, Table, Text
    >>> ink = Color("#1f2328", "#e6edf3")
    >>> box = Box("input", Table(((Cell((Text("input", ink, 10),)),),)), "input: 1×3×224×224")
    >>> figure = Figure(Drawing("net", "A net.", (box,), ()), theme="dark")
    >>> 'fill="#e6edf3">input</text>' in figure.svg
    True
    >>> Figure(figure.drawing, theme="sepia")
    Traceback (most recent call last):
    ...
    fxviz.errors.UsageError: no theme 'sepia': choose auto, light or dark
    """

    drawing: Drawing
    theme: str = "auto"
    engine: str | None = None
    timeout: float = 60

    def __post_init__(self) -> None:
        if self.theme not in THEMES:
            raise UsageError(f"no theme '{self.theme}': choose auto, light or dark")

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
        dot = to_dot(self.drawing, self.theme == "dark", without=is_arc)
        return finish(lay_out(dot, self.engine, self.timeout), self.drawing, self.theme)

    def save(self, path: str | Path) -> Path:
        """Write the figure to a file, whose suffix says which form: .svg or .dot.

        Args:
            path: the file; its folder must exist. Suffix and folder are checked before the layout runs.

        Returns:
            The path.

        Raises:
            BadOutput: fxviz does not write this suffix, or the file cannot be written.
            EngineError: the layout engine is missing, failed or took too long.

        >>> Figure(Drawing("net", "A net.", (), ())).save("net.gif")
        Traceback (most recent call last):
        ...
        fxviz.errors.BadOutput: cannot write 'net.gif': the suffix must be .svg or .dot
        """
        target = check_target(path, SUFFIXES)
        return write_whole(target, self.dot if target.suffix.lower() == ".dot" else self.svg)

    def _repr_svg_(self) -> str:
        return self.svg
