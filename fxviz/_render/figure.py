"""Draw a model's figure and write it in every supported format."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxviz._analysis.difference import Difference
from fxviz._graph import ArchGraph, units
from fxviz._graph.errors import printable, shown
from fxviz._graph.files import check_target, write_whole
from fxviz._graph.options import RenderOptions, Theme, check_choice, check_scale
from fxviz._render import draw
from fxviz._render.drawing import Drawing
from fxviz._render.engine import Picture
from fxviz._render.header import describe, facts, notes, short_title, title
from fxviz._view import fold
from fxviz._view.view import View

if TYPE_CHECKING:
    from fxviz._render.paper.page import Words
    from fxviz._render.paper.picture import PrintPicture
    from fxviz._render.paper.scene import Scene

_DEFAULTS = RenderOptions()


@dataclass(frozen=True, repr=False)
class Figure:
    """A drawn model, in every format. Notebooks display it.

    Args:
        view: what is shown.
        options: how it is drawn.
        beside: the views of more models, drawn beside the first at one scale, for print.

    >>> import fxviz
    >>> figure = fxviz.render("resnet18", theme="dark")
    >>> figure.svg.startswith("<svg"), figure.dot.startswith("digraph"), figure.mermaid.splitlines()[3]
    (True, True, 'flowchart TB')
    >>> figure
    <Figure of resnet18: ledger, 32 rows, theme dark>
    """

    view: View
    options: RenderOptions = _DEFAULTS
    beside: tuple[View, ...] = ()

    def __repr__(self) -> str:
        names = (title(view, _DEFAULTS) for view in (self.view, *self.beside))
        name = shown(printable(", ".join(names)))
        rows = units.quantity(len(self.view.rows), "row")
        drawn = f"paper, {self.options.width or 'page'}" if self.options.is_for_print else f"{self.view.style}, {rows}"
        return f"<Figure of {name}: {drawn}, theme {self.options.theme}>"

    @cached_property
    def drawing(self) -> Drawing:
        """Return the drawing, in which every text, colour and size is decided."""
        return draw(self.view, self.options)

    @cached_property
    def _picture(self) -> Picture | PrintPicture:
        if self.options.is_for_print:
            from fxviz._render.paper.picture import PrintPicture

            return PrintPicture(self._scene, self.options.theme)
        return Picture(self.drawing, self.options.theme, self.options.engine)

    @cached_property
    def _scene(self) -> Scene:
        """Return the figure for print, in which every shape has its place."""
        from fxviz._analysis.structure import family_of, structure_of
        from fxviz._render.paper.picture import scene_of, scene_of_difference, scene_of_several

        if difference := self.view.difference:
            both = (difference.old, difference.new)
            said = [
                _words(graph, name, describe(self.view)) for graph, name in zip(both, difference.names, strict=True)
            ]
            return scene_of_difference(family_of(both), said, difference, self.options)
        if not self.beside:
            graph = self.view.graph
            name = self.options.title or short_title(graph.model.name)
            return scene_of(structure_of(graph), _words(graph, name, describe(self.view)), self.options)
        graphs = [view.graph for view in (self.view, *self.beside)]
        words = [
            _words(view.graph, short_title(view.graph.model.name), describe(view)) for view in (self.view, *self.beside)
        ]
        return scene_of_several(family_of(graphs), words, self.options)

    @property
    def dot(self) -> str:
        """Return the figure as DOT text, in light colours for the theme "auto"."""
        return self._colored(self._picture.dot)

    @property
    def svg(self) -> str:
        """Return the figure as SVG; the layout runs once, on first access.

        Raises:
            EngineError: the layout engine is missing, failed or took too long.
        """
        return self._colored(self._picture.svg)

    def _colored(self, text: str) -> str:
        if self.options.palette == "color":
            return text
        from fxviz._render.gray import gray

        return gray(text)

    @property
    def height(self) -> float:
        """Return the height of the laid out figure, in points."""
        found = re.search(r'viewBox="\S+ \S+ \S+ (\S+)"', self.svg)
        assert found is not None
        return float(found[1])

    @property
    def simplified(self) -> bool:
        """Return whether lines were drawn straight because the full layout took too long."""
        return self._picture.simplified

    @property
    def left_out(self) -> tuple[str, ...]:
        """Return what a figure for print has no room for at its size; () for other figures."""
        return self._scene.left_out if self.options.is_for_print else ()

    def png(self, scale: float = 2) -> bytes:
        """Return the figure as PNG on a transparent background, with ``scale`` pixels for each CSS pixel.

        Raises:
            UsageError: the scale is invalid or too large, or typst is not installed.
        """
        from fxviz._render.typeset import png

        return png(self.svg, scale)

    @property
    def pdf(self) -> bytes:
        """Return the figure as a PDF page of its own size, with vector lines and selectable text.

        Raises:
            UsageError: typst is not installed.
        """
        from fxviz._render.typeset import pdf

        return pdf(self.svg)

    @property
    def mermaid(self) -> str:
        """Return what is shown as a Mermaid flowchart.

        Raises:
            UsageError: it shows several models side by side.
        """
        self._check_form(".mmd")
        from fxviz._render.mermaid import mermaid

        return mermaid(self.view, self.options)

    @property
    def graphml(self) -> str:
        """Return the whole annotated graph as GraphML; errors as for ``mermaid``."""
        self._check_form(".graphml")
        from fxviz._render.graphml import graphml

        return graphml(self.view.graph)

    @property
    def json(self) -> str:
        """Return the whole annotated graph as node-link JSON; errors as for ``mermaid``."""
        self._check_form(".json")
        return self.view.graph.to_json()

    def _check_form(self, suffix: str) -> None:
        """Refuse a form of one model for several side by side."""
        if self.beside:
            check_choice("suffix", suffix, self.suffixes)

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Return the formats in which this figure can be written: those of several models are pictures."""
        if self.beside:
            return DRAWN
        return PICTURES if self.view.difference else SUFFIXES

    def save(self, path: str | Path, scale: float = 2) -> Path:
        """Write the figure to a file in the format of its suffix, one of ``suffixes``.

        Args:
            path: the file; its folder must exist. Suffix and folder are checked before the layout runs.
            scale: pixels for each CSS pixel (``.png`` only).

        Returns:
            The path.

        Raises:
            BadOutput: the suffix is unknown, or the file cannot be written.
            UsageError: the library for this format is not installed.
            EngineError: the layout engine is missing, failed or took too long.

        >>> from fxviz._graph import ArchGraph, ModelInfo, Scope, TraceInfo
        >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
        >>> scopes = (Scope(0, "", "Empty", 0, None),)
        >>> graph = ArchGraph(ModelInfo("empty", "python", "Empty"), trace, (), (), scopes, ())
        >>> Figure(View(graph, (), (), (), ())).save("net.gif")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        fxviz._graph.errors.BadOutput: cannot write 'net.gif': the suffix must be .svg, .png, ...
        """
        target = check_target(path, self.suffixes)
        return write_whole(target, self.content(target.suffix, scale))

    def content(self, suffix: str, scale: float = 2) -> bytes:
        """Return the content of a file with this suffix, one of ``suffixes``."""
        suffix = suffix.lower()
        check_choice("suffix", suffix, self.suffixes)
        check_scale(scale)
        content: str | bytes = self.png(scale) if suffix == ".png" else _FORMS[suffix](self)
        return content if isinstance(content, bytes) else content.encode("utf-8")

    def save_pair(self, path: str | Path, scale: float = 2) -> tuple[Path, Path]:
        """Write the figure in both themes: "net.svg" becomes "net-light.svg" and "net-dark.svg".

        Raises:
            BadOutput: the suffix is not .svg or .png, or a file cannot be written.
        """
        contents = self.paired(check_target(path, PAIRED), scale)
        light, dark = (write_whole(file, content) for file, content in contents.items())
        return light, dark

    def paired(self, path: Path, scale: float = 2) -> dict[Path, bytes]:
        """Return the two files of :meth:`save_pair` with their contents."""
        themes: tuple[Theme, ...] = ("light", "dark")
        return {
            path.with_name(f"{path.stem}-{theme}{path.suffix}"): self._themed(theme).content(path.suffix, scale)
            for theme in themes
        }

    def _themed(self, theme: Theme) -> Figure:
        return self if theme == self.options.theme else replace(self, options=replace(self.options, theme=theme))

    def _repr_svg_(self) -> str:
        return self.svg


def _words(graph: ArchGraph, name: str, description: str) -> Words:
    """Return what a figure for print says of a model."""
    from fxviz._render.paper.page import Words

    return Words(name, " · ".join(facts(graph)), tuple(notes(graph)), description, _entering(graph))


def _entering(graph: ArchGraph) -> str:
    """Return the sizes of the only input without the batch; "" if there are several."""
    from fxviz._render.paper.style import sizes

    shapes = [tensor.shape for tensor in graph.trace.inputs.values()]
    return sizes(shapes[0][1], shapes[0][2:]) if len(shapes) == 1 and len(shapes[0]) > 2 else ""


def figure_of(graph: ArchGraph, options: RenderOptions = _DEFAULTS, difference: Difference | None = None) -> Figure:
    """Fold a graph as the options say and draw it; with a difference, show how it differs from another model."""
    measured: list[Figure] = []

    def height(view: View) -> float:
        measured.append(Figure(view, options))
        return measured[-1].height

    view = fold(
        graph,
        options.color_by,
        depth=options.depth,
        expand=options.expand,
        collapse=options.collapse,
        repeats=options.repeats,
        style=options.row_style,
        direction=options.direction,
        difference=difference,
        height=height,
    )
    return next((figure for figure in measured if figure.view is view), Figure(view, options))


def side_by_side(graphs: Sequence[ArchGraph], options: RenderOptions = _DEFAULTS) -> Figure:
    """Draw the graphs of several models side by side, for print."""
    first, *others = (figure_of(graph, replace(options, style="paper")) for graph in graphs)
    return replace(first, beside=tuple(other.view for other in others))


_FORMS: dict[str, Callable[[Figure], Any]] = {
    ".svg": lambda figure: figure.svg,
    ".pdf": lambda figure: figure.pdf,
    ".dot": lambda figure: figure.dot,
    ".json": lambda figure: figure.json,
    ".graphml": lambda figure: figure.graphml,
    ".mmd": lambda figure: figure.mermaid,
}

SUFFIXES = (".svg", ".png", ".pdf", ".dot", ".json", ".graphml", ".mmd")
"""The formats in which a figure can be written."""

PICTURES = tuple(suffix for suffix in SUFFIXES if suffix not in (".json", ".graphml"))
"""The formats that show the drawing; the others hold the whole graph."""

DRAWN = (".svg", ".png", ".pdf", ".dot")
"""The formats in which models can be drawn side by side."""

PAIRED = (".svg", ".png")
"""The formats in which a page can show a light or a dark figure."""


def snippet(light: Path, dark: Path, alt: str) -> str:
    """Return HTML that shows one of two pictures, depending on the reader's theme, on GitHub and elsewhere.

    Relative paths are kept; of absolute paths only the file's name is used.

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
