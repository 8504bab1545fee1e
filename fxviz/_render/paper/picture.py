"""Turn the structure of a model into a picture for print."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from fxviz._analysis.structure import Structure
from fxviz._graph.options import PLACES, points
from fxviz._render.paper.dot import to_dot
from fxviz._render.paper.page import Words, paper
from fxviz._render.paper.scene import Scene
from fxviz._render.paper.svg import to_svg

if TYPE_CHECKING:
    from fxviz._graph.options import RenderOptions, Theme

_SLIDE = (480.0, 270.0)
"""A slide is drawn this large, in points, and enlarged to its width: 7 pt become 10.5 pt."""


def scene_of(structure: Structure, words: Words, options: RenderOptions) -> Scene:
    """Return the figure at the width that the options ask for."""
    if options.width == "slide":
        drawn = paper(structure, words, *_SLIDE)
        return replace(drawn, height=max(_SLIDE[1], drawn.height), zoom=PLACES["slide"] / _SLIDE[0])
    height = None if options.height is None else points(options.height)
    return paper(structure, words, points(options.width or "page"), height)


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
