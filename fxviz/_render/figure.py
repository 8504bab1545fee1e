"""A model's figure in every form in which it can be written."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fxviz._errors import UsageError, choice
from fxviz._graph.files import check_target, write_whole
from fxviz._graph.metrics import METRICS
from fxviz._render import STYLES, Look, draw
from fxviz._render.drawing import THEMES, Drawing
from fxviz._render.engine import Picture
from fxviz._view.view import View

DIRECTIONS = ("TB", "LR")


@dataclass(frozen=True)
class RenderOptions:
    """How a figure is drawn.

    Attributes:
        theme: "light", "dark", or "auto", which follows the reader's setting.
        style: "ledger" (a table with arcs), "graph" (a card for each layer, branches side by side), or "auto": the graph where
            parallel branches are the point of the model.
        color_by: what bars, colours and shares measure: "params", "macs", "activations" or "time".
        depth: modules nested so many levels deep are one row each; None takes the closest look that fits a page.
        expand: paths of modules that are opened, whatever the depth.
        collapse: paths or classes of modules that are one row each.
        repeats: whether what repeats is drawn once, with the number of times.
        direction: "TB" from top to bottom, "LR" from left to right (style "graph").
        title: stands in place of the model's name.
        header: whether name, totals and overview stand above.
        legend: whether colours and lines are explained.
        engine: the layout engine's program, a name or a path; None takes the one that fxviz brings, else ``dot``.

    Raises:
        UsageError: there is no such theme, style, metric, depth, direction or program, or they do not go together.

    >>> RenderOptions(theme="sepia")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: no theme 'sepia': choose auto, light or dark
    """

    theme: str = "auto"
    style: str = "auto"
    color_by: str = "params"
    depth: int | None = None
    expand: tuple[str, ...] = ()
    collapse: tuple[str, ...] = ()
    repeats: bool = True
    direction: str = "TB"
    title: str | None = None
    header: bool = True
    legend: bool = True
    engine: str | None = None

    def __post_init__(self) -> None:
        _check_choice("theme", self.theme, THEMES)
        _check_choice("style", self.style, ("auto", *STYLES))
        _check_choice("metric", self.color_by, tuple(METRICS))
        _check_choice("direction", self.direction, DIRECTIONS)
        if self.depth is not None and self.depth < 1:
            raise UsageError(f"no depth {self.depth}: give a whole number from 1 on")
        if self.direction == "LR" and self.style == "ledger":
            raise UsageError("a ledger runs from top to bottom: choose the style graph for the direction LR")
        if self.engine is not None and shutil.which(self.engine) is None:
            raise UsageError(
                f"no layout engine '{self.engine}': give the path of a 'dot' program, or leave the option out"
            )

    @property
    def may_be_large(self) -> bool:
        """Whether it was chosen what is opened, so that the figure need not fit a page."""
        return self.depth is not None or bool(self.expand) or not self.repeats

    def check_difference(self) -> None:
        """Refuse a style that shows no difference.

        Raises:
            UsageError: it is not the ledger.
        """
        if self.style == "graph" or self.direction == "LR":
            raise UsageError("a difference is drawn as a ledger, from top to bottom: leave style and direction out")

    @property
    def look(self) -> Look:
        """How the figure is framed."""
        return Look(self.direction, self.title, self.header, self.legend)


def _check_choice(what: str, given: str, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise UsageError(f"no {what} '{given}': choose {choice(allowed)}")


@dataclass(frozen=True)
class Figure:
    """What is drawn of a model, in every form. Shows itself in a notebook.

    Args:
        view: what is shown.
        options: how.

    >>> import fxviz
    >>> figure = fxviz.render("resnet18", fxviz.RenderOptions(theme="dark"))
    >>> figure.svg.startswith("<svg"), figure.dot.startswith("digraph"), figure.mermaid.splitlines()[3]
    (True, True, 'flowchart TB')
    """

    view: View
    options: RenderOptions = RenderOptions()

    @cached_property
    def drawing(self) -> Drawing:
        """Texts, colours and sizes, all decided."""
        return draw(self.view, self.options.look)

    @cached_property
    def _picture(self) -> Picture:
        return Picture(self.drawing, self.options.theme, self.options.engine)

    @property
    def dot(self) -> str:
        """The figure as Graphviz's text, in light colours for the theme "auto"."""
        return self._picture.dot

    @property
    def svg(self) -> str:
        """The figure as SVG; the layout runs once, when this is first asked for.

        Raises:
            EngineError: the layout engine is missing, failed or took too long.
        """
        return self._picture.svg

    @property
    def height(self) -> float:
        """Points from top to bottom, as the layout comes out."""
        found = re.search(r'viewBox="\S+ \S+ \S+ (\S+)"', self.svg)
        assert found is not None
        return float(found[1])

    @property
    def simplified(self) -> bool:
        """Whether lines were drawn straight, because the usual layout took too long."""
        return self._picture.simplified

    def png(self, scale: float = 2) -> bytes:
        """The figure as pixels on a transparent ground, ``scale`` for each CSS pixel.

        Raises:
            UsageError: the scale is not above 0 or too large, or the library for it is not installed.
        """
        from fxviz._render.typeset import png

        return png(self.svg, scale)

    @property
    def pdf(self) -> bytes:
        """The figure as a page of its own size, lines as lines and text as text.

        Raises:
            UsageError: the library for it is not installed.
        """
        from fxviz._render.typeset import pdf

        return pdf(self.svg)

    @property
    def mermaid(self) -> str:
        """What is shown as a Mermaid flowchart."""
        from fxviz._render.mermaid import mermaid

        return mermaid(self.view, self.options.look)

    @property
    def graphml(self) -> str:
        """The whole annotated graph as GraphML."""
        from fxviz._render.graphml import graphml

        return graphml(self.view.graph)

    @property
    def json(self) -> str:
        """The whole annotated graph as node-link JSON."""
        return self.view.graph.to_json()

    def save(self, path: str | Path, scale: float = 2) -> Path:
        """Write the figure to a file, whose suffix says in which form: one of ``SUFFIXES``.

        Args:
            path: the file; its folder must exist. Suffix and folder are checked before the layout runs.
            scale: pixels for each CSS pixel (``.png`` only).

        Returns:
            The path.

        Raises:
            BadOutput: fxviz does not write this suffix, or the file cannot be written.
            UsageError: the library for this form is not installed.
            EngineError: the layout engine is missing, failed or took too long.

        >>> from fxviz._graph import ArchGraph, ModelInfo, Scope, TraceInfo
        >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
        >>> graph = ArchGraph(ModelInfo("empty", "python", "Empty"), trace, (), (), (Scope(0, "", "Empty", 0, None),), ())
        >>> Figure(View(graph, (), (), (), ())).save("net.gif")
        Traceback (most recent call last):
        ...
        fxviz._errors.BadOutput: cannot write 'net.gif': the suffix must be .svg, .png, .pdf, .dot, .json, .graphml or .mmd
        """
        target = check_target(path, PICTURES if self.view.difference else SUFFIXES)
        return write_whole(target, self.content(target.suffix, scale))

    def content(self, suffix: str, scale: float = 2) -> bytes:
        """What a file with this suffix, one of ``SUFFIXES``, holds."""
        suffix = suffix.lower()
        content: str | bytes = self.png(scale) if suffix == ".png" else _FORMS[suffix](self)
        return content if isinstance(content, bytes) else content.encode("utf-8")

    def save_pair(self, path: str | Path, scale: float = 2) -> tuple[Path, Path]:
        """Write the figure twice, for readers who prefer light and dark: "net.svg" becomes "net-light.svg" and "net-dark.svg".

        Raises:
            BadOutput: the form has no colours, or a file cannot be written.
        """
        contents = self.paired(check_target(path, PAIRED), scale)
        light, dark = (write_whole(file, content) for file, content in contents.items())
        return light, dark

    def paired(self, path: Path, scale: float = 2) -> dict[Path, bytes]:
        """The two files of :meth:`save_pair`, and what they hold."""
        return {
            path.with_name(f"{path.stem}-{theme}{path.suffix}"): self._themed(theme).content(path.suffix, scale)
            for theme in ("light", "dark")
        }

    def _themed(self, theme: str) -> Figure:
        return self if theme == self.options.theme else Figure(self.view, replace(self.options, theme=theme))

    def _repr_svg_(self) -> str:
        return self.svg


def paged(options: RenderOptions, fold: Callable[[str], View]) -> Figure:
    """The figure in the style asked for; if that is left open, a graph that is higher than a page gives way to a ledger.

    Args:
        options: how it is drawn.
        fold: the view for a style.
    """
    if options.style != "auto" or options.direction == "LR":
        return Figure(fold("ledger" if options.style == "ledger" else "graph"), options)
    figure = Figure(fold("auto"), options)
    if options.may_be_large or figure.view.style == "ledger" or figure.height <= _TALLEST:
        return figure
    return Figure(fold("ledger"), options)


_TALLEST = 1420
"""Points. How high a graph becomes is known once it is laid out."""

_FORMS: dict[str, Callable[[Figure], Any]] = {
    ".svg": lambda figure: figure.svg,
    ".pdf": lambda figure: figure.pdf,
    ".dot": lambda figure: figure.dot,
    ".json": lambda figure: figure.json,
    ".graphml": lambda figure: figure.graphml,
    ".mmd": lambda figure: figure.mermaid,
}

SUFFIXES = (".svg", ".png", ".pdf", ".dot", ".json", ".graphml", ".mmd")
"""The forms in which a figure can be written."""

PICTURES = tuple(suffix for suffix in SUFFIXES if suffix not in (".json", ".graphml"))
"""Those that show what is drawn; the others hold the whole graph."""

PAIRED = (".svg", ".png")
"""The forms of which a page shows one or the other."""


def snippet(light: Path, dark: Path, alt: str) -> str:
    """The HTML with which GitHub and other pages show one of two pictures, as the reader's theme asks for.

    Paths stand in it as they are given, absolute ones by their name alone.

    See https://docs.github.com/get-started/writing-on-github (``<picture>``).

    >>> print(snippet(Path("net-light.svg"), Path("net-dark.svg"), "a net"))
    <picture>
      <source media="(prefers-color-scheme: dark)" srcset="net-dark.svg">
      <img alt="a net" src="net-light.svg">
    </picture>
    """
    sources = [html.escape(path.name if path.is_absolute() else path.as_posix()) for path in (light, dark)]
    return (
        "<picture>\n"
        f'  <source media="(prefers-color-scheme: dark)" srcset="{sources[1]}">\n'
        f'  <img alt="{html.escape(" ".join(alt.split()))}" src="{sources[0]}">\n'
        "</picture>"
    )
