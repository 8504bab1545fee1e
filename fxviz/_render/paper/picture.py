"""Turn the structure of a model into a picture for print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from fxviz._analysis.difference import Difference
from fxviz._analysis.structure import LAYOUTS, Family, Layout, Structure
from fxviz._graph import SKIP_KINDS
from fxviz._graph.errors import UsageError, choice, shown
from fxviz._graph.options import PLACES, points
from fxviz._render.paper.difference import difference_page
from fxviz._render.paper.dot import to_dot
from fxviz._render.paper.family import family
from fxviz._render.paper.page import Words, paper
from fxviz._render.paper.scene import Scene
from fxviz._render.paper.style import NARROW
from fxviz._render.paper.svg import to_svg

if TYPE_CHECKING:
    from fxviz._graph.options import RenderOptions, Theme

_SLIDE = (480.0, 270.0)
"""A slide is drawn this large, in points, and enlarged to its width: 7 pt become 10.5 pt."""


def scene_of(structure: Structure, words: Words, options: RenderOptions) -> Scene:
    """Return the figure at the width and in the layout that the options ask for.

    Raises:
        UsageError: the model has not what the layout shows.
    """
    width = _SLIDE[0] if options.width == "slide" else points(options.width or "page")
    if options.layout != "auto":
        structure = arranged(structure, options.layout)
    elif structure.layout == "column" and width >= NARROW:
        structure = replace(structure, layout="stages")  # a page is filled from left to right
    if options.width == "slide":
        return _as_slide(paper(structure, words, *_SLIDE))
    return paper(structure, words, width, _height(options))


def scene_of_several(models: Family, words: Sequence[Words], options: RenderOptions) -> Scene:
    """Return the figure of several models side by side at the width that the options ask for."""
    name = options.title or ""
    if options.width == "slide":
        return _as_slide(family(models, words, name, *_SLIDE))
    return family(models, words, name, points(options.width or "page"), _height(options))


def scene_of_difference(
    models: Family, words: Sequence[Words], difference: Difference, options: RenderOptions
) -> Scene:
    """Return the figure of a difference at the width that the options ask for."""
    name = options.title or ""
    if options.width == "slide":
        return _as_slide(difference_page(models, words, difference, name, *_SLIDE))
    return difference_page(models, words, difference, name, points(options.width or "page"), _height(options))


def _as_slide(drawn: Scene) -> Scene:
    """Return a figure in the middle of a slide."""
    height = max(_SLIDE[1], drawn.height)
    items = tuple(item.moved(0, (height - drawn.height) / 2) for item in drawn.items)
    return replace(drawn, items=items, height=height, zoom=PLACES["slide"] / _SLIDE[0])


def _height(options: RenderOptions) -> float | None:
    return None if options.height is None else points(options.height)


_NEEDED: dict[Layout, tuple[frozenset[str], str]] = {
    "U": (frozenset(SKIP_KINDS), "skips between stages"),
    "ladder": (frozenset(SKIP_KINDS), "skips between stages"),
    "encoder-decoder": (frozenset({"cross"}), "stack that attends to another one"),
}
"""The links without which a layout shows nothing, by name."""


def arranged(structure: Structure, layout: Layout) -> Structure:
    """Return a structure in another layout.

    Raises:
        UsageError: the model has not what the layout shows.

    >>> arranged(Structure("net", "stages", "", (), (), ()), "U")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: net cannot be drawn as U: it has no skips between stages; choose stages, column, table or lanes
    """
    kinds, noun = _NEEDED.get(layout, (None, ""))
    if kinds is not None and not any(link.kind in kinds and link.source < link.target for link in structure.links):
        always = choice([name for name in LAYOUTS if name not in _NEEDED and name != "grid"])
        name = shown(structure.name)
        raise UsageError(f"{name} cannot be drawn as {layout}: it has no {noun}; choose {always}")
    return replace(structure, layout=layout)


@dataclass(frozen=True)
class PrintPicture:
    """A scene in one theme, as SVG and DOT."""

    scene: Scene
    theme: Theme
    simplified: bool = False

    @cached_property
    def svg(self) -> str:
        return to_svg(self.scene, self.theme)

    @cached_property
    def dot(self) -> str:
        return to_dot(self.scene, dark=self.theme == "dark")
