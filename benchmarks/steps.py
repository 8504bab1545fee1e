"""Define the steps from a model to its figure: the input of each step, and its work."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fxviz._analysis import annotate
from fxviz._graph import ArchGraph
from fxviz._graph.options import RenderOptions
from fxviz._render import draw
from fxviz._render.arcs import is_arc
from fxviz._render.drawing import Drawing
from fxviz._render.engine import finish, lay_out, to_dot
from fxviz._sources import Source
from fxviz._sources.source import Built
from fxviz._trace import trace_module
from fxviz._view import fold
from fxviz._view.view import View


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its finished children, such as the layout engine.

    On a busy machine they scatter less than wall-clock time.
    """
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@dataclass(frozen=True)
class Pipeline:
    """A model and the result of each step, computed once, on first access.

    Attributes:
        find: finds the model's source.
        folder: the folder in which its graph is saved.
    """

    find: Callable[[], Source]
    folder: Path

    @cached_property
    def source(self) -> Source:
        return self.find()

    @cached_property
    def built(self) -> Built:
        return self.source.build(False)

    @cached_property
    def traced(self) -> ArchGraph:
        return trace(self)

    @cached_property
    def graph(self) -> ArchGraph:
        return annotate(self.traced)

    @cached_property
    def view(self) -> View:
        return look(self.graph)

    @cached_property
    def drawing(self) -> Drawing:
        return draw(self.view, RenderOptions())

    @cached_property
    def laid_out(self) -> str:
        return layout(self.drawing)

    @cached_property
    def file(self) -> Path:
        return self.graph.save(self.folder / "graph.json")


def trace(pipeline: Pipeline) -> ArchGraph:
    """Run the module and return its graph, not yet annotated; the run is real if fake tensors do not suffice."""
    source, built = pipeline.source, pipeline.built
    return trace_module(built.module, built.arguments, source.info(built), rebuild=lambda: source.build(True).module)


def look(graph: ArchGraph) -> View:
    """Return the view that a figure shows by default."""
    return fold(graph, style="auto")


def layout(drawing: Drawing) -> str:
    """Lay a drawing out without its arcs, as a figure does first, and return the engine's SVG."""
    return lay_out(to_dot(drawing, without=is_arc))


@dataclass(frozen=True)
class Step:
    """One step: its input, taken from a pipeline, and its work."""

    given: Callable[[Pipeline], Any]
    work: Callable[..., Any]

    def arguments(self, pipeline: Pipeline) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional arguments of the work, and no keyword arguments."""
        given = self.given(pipeline)
        return tuple(map(_uncached, given if isinstance(given, tuple) else (given,))), {}


def _uncached(value: Any) -> Any:
    """Return the value without what it cached about itself in an earlier round."""
    return replace(value) if isinstance(value, ArchGraph | View | Drawing) else value


STEPS = {
    "sources": Step(lambda pipeline: pipeline.find, lambda find: find().build(False)),
    "trace": Step(lambda pipeline: pipeline, trace),
    "analysis": Step(lambda pipeline: pipeline.traced, annotate),
    "view": Step(lambda pipeline: pipeline.graph, look),
    "render": Step(lambda pipeline: pipeline.view, lambda view: draw(view, RenderOptions())),
    "layout": Step(lambda pipeline: pipeline.drawing, layout),
    "SVG": Step(
        lambda pipeline: (pipeline.laid_out, pipeline.drawing),
        lambda laid_out, drawing: finish(laid_out, drawing, "auto"),
    ),
    "save": Step(lambda pipeline: (pipeline.graph, pipeline.folder / "saved.json"), ArchGraph.save),
    "load": Step(lambda pipeline: pipeline.file, ArchGraph.load),
}
"""The steps in the order in which a model takes them; then saving and loading its graph."""
