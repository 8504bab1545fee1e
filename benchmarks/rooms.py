"""A model on its way through the rooms: what each room is given, and what it does with it."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from fxviz._analysis import annotate
from fxviz._graph import ArchGraph
from fxviz._render import Look, draw
from fxviz._render.arcs import is_arc
from fxviz._render.drawing import Drawing
from fxviz._render.engine import finish, lay_out, to_dot
from fxviz._sources import Source
from fxviz._sources.inputs import Arguments
from fxviz._trace import trace_module
from fxviz._view import fold
from fxviz._view.view import View


def cpu_seconds() -> float:
    """Seconds of CPU that this process and the children it has waited for have used: the layout engine is a child.

    On a machine with other work to do these scatter less than the clock on the wall.
    """
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@dataclass(frozen=True)
class Journey:
    """A model and what each room makes of it, made once, when it is first asked for.

    Attributes:
        find: finds the model.
        folder: where its graph is saved.
    """

    find: Callable[[], Source]
    folder: Path

    @cached_property
    def source(self) -> Source:
        return self.find()

    @cached_property
    def module(self) -> nn.Module:
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
        return draw(self.view, Look())

    @cached_property
    def laid_out(self) -> str:
        return layout(self.drawing)

    @cached_property
    def file(self) -> Path:
        return self.graph.save(self.folder / "graph.json")


def trace(journey: Journey) -> ArchGraph:
    """The graph that a run of the module makes, for real if fake tensors do not suffice; not yet annotated."""
    source, module = journey.source, journey.module
    return trace_module(module, Arguments.of(source.inputs), source.info(module), rebuild=lambda: source.build(True))


def look(graph: ArchGraph) -> View:
    """What a figure of the graph shows if nothing else is asked for."""
    return fold(graph, style="auto")


def layout(drawing: Drawing) -> str:
    """The engine's SVG of a drawing, arcs aside, as a figure's first try asks for it."""
    return lay_out(to_dot(drawing, without=is_arc))


@dataclass(frozen=True)
class Room:
    """One room's work: what it is given of a journey, and what it does with that."""

    given: Callable[[Journey], Any]
    work: Callable[..., Any]

    def arguments(self, journey: Journey) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What the work is called with: positional arguments, and no others."""
        given = self.given(journey)
        return tuple(map(_forgetful, given if isinstance(given, tuple) else (given,))), {}


def _forgetful(value: Any) -> Any:
    """The same value without what it found out about itself in an earlier round. A journey keeps what it is to hand on."""
    return replace(value) if isinstance(value, ArchGraph | View | Drawing) else value


ROOMS = {
    "loading": Room(lambda journey: journey.find, lambda find: find().build(False)),
    "tracing": Room(lambda journey: journey, trace),
    "annotating": Room(lambda journey: journey.traced, annotate),
    "folding": Room(lambda journey: journey.graph, look),
    "styling": Room(lambda journey: journey.view, lambda view: draw(view, Look())),
    "layout": Room(lambda journey: journey.drawing, layout),
    "SVG": Room(
        lambda journey: (journey.laid_out, journey.drawing), lambda laid_out, drawing: finish(laid_out, drawing, "auto")
    ),
    "saving": Room(lambda journey: (journey.graph, journey.folder / "saved.json"), ArchGraph.save),
    "reading": Room(lambda journey: journey.file, ArchGraph.load),
}
"""In the order in which a model goes through them; then a saved graph's way out and back."""
