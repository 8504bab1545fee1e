"""Plan the steps to draw at a level of detail: walk through the modules that are opened, and draw repetitions once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fxviz._view.collapse import collapse
from fxviz._view.detail import Detail
from fxviz._view.outline import Element, Outline, Run
from fxviz._view.runs import map_repetitions, runs_in
from fxviz._view.signatures import path_of
from fxviz._view.view import Repeats


@dataclass(frozen=True)
class Frame:
    """A frame around a step: a stage (``scope``), or the repetition ``run`` of a scope's elements."""

    scope: int
    run: Run | None = None


@dataclass(frozen=True)
class Step:
    """One thing to draw: a node, or a whole module call (``scope``), with the frames around it.

    ``times``, ``span``, ``repeated`` (the nodes of the repetitions that are not drawn), ``calls`` (the module calls
    that it stands for, its own first) and ``repeats`` (the kind of repetition) are set if the step itself is repeated.
    """

    nodes: tuple[str, ...]
    scope: int | None
    frames: tuple[Frame, ...]
    times: int = 1
    span: tuple[str, str] | None = None
    repeated: tuple[str, ...] = ()
    calls: tuple[int, ...] = ()
    repeats: Repeats = "chain"


@dataclass(frozen=True)
class Plan:
    """The steps to draw.

    Attributes:
        steps: the steps in order.
        stands_for: for each node of a repetition that is not drawn the node that stands for it.
        carrying: nodes of repetitions that are drawn, which read the result of the repetition before.
    """

    steps: tuple[Step, ...]
    stands_for: dict[str, str]
    carrying: frozenset[str] = frozenset()


_Inside = tuple[int, tuple[Frame, ...]]
"""A module call to go into, and the frames around it."""


def plan(outline: Outline, detail: Detail) -> Plan:
    """Return the steps to draw at a level of detail."""
    return _Planner(outline, detail).plan()


class _Planner:
    """Walks the tree of module calls, which may be nested deeper than Python's own calls may be."""

    def __init__(self, outline: Outline, detail: Detail) -> None:
        self.outline, self.detail = outline, detail
        self.collapsed = collapse(outline, detail)
        self.stages = frozenset(outline.stages)
        self.stands_for: dict[str, str] = {}
        self.carrying: set[str] = set()

    def plan(self) -> Plan:
        steps: list[Step] = []
        walks = [self._walk(0, ())]
        while walks:
            found = next(walks[-1], None)
            if found is None:
                walks.pop()
            elif isinstance(found, Step):
                steps.append(found)
            else:
                walks.append(self._walk(*found))
        return Plan(tuple(steps), self.stands_for, frozenset(self.carrying))

    def _walk(self, scope: int, frames: tuple[Frame, ...]) -> Iterator[Step | _Inside]:
        runs = runs_in(self.outline, scope, self.collapsed, self.detail) if self.detail.repeats else []
        yield from self._steps(scope, 0, len(self.outline.elements(scope)), runs, frames)

    def _steps(
        self, scope: int, at: int, stop: int, runs: Sequence[Run], frames: tuple[Frame, ...]
    ) -> Iterator[Step | _Inside]:
        """Yield what to draw of the elements from ``at`` to ``stop``, among which are these runs and those in them."""
        elements = self.outline.elements(scope)
        for run in runs:
            if run.start < at:
                continue
            for element in elements[at : run.start]:
                yield self._enter(element, frames)
            map_repetitions(self.outline, scope, run, self.collapsed.rows, self.stands_for)
            self.carrying |= run.carrying
            if run.period == 1 and self._is_step(elements[run.start]):
                yield self._repeated(scope, run, frames)
            else:
                inner = [other for other in runs if run.start <= other.start and other.stop <= run.shown]
                yield from self._steps(scope, run.start, run.shown, inner, (*frames, Frame(scope, run)))
            at = run.stop
        for element in elements[at:stop]:
            yield self._enter(element, frames)

    def _repeated(self, scope: int, run: Run, frames: tuple[Frame, ...]) -> Step:
        """Return the step that is repeated by itself."""
        elements, places = self.outline.elements(scope), self.outline.steps(scope)
        first, *others = (elements[place] for place in places[run.first : run.first + run.times])
        return Step(
            first.nodes,
            first.scope,
            frames,
            run.times,
            (path_of(self.outline, first), path_of(self.outline, others[-1])),
            tuple(name for element in others for name in element.nodes),
            tuple(element.scope for element in (first, *others) if element.scope is not None),
            run.kind,
        )

    def _is_step(self, element: Element) -> bool:
        return element.scope is None or element.scope in self.collapsed.rows

    def _enter(self, element: Element, frames: tuple[Frame, ...]) -> Step | _Inside:
        scope = element.scope
        if self._is_step(element):
            return Step(element.nodes, scope, frames, calls=() if scope is None else (scope,))
        assert scope is not None
        is_opened = scope in self.collapsed.framed
        has_frame = not _names_one_block(frames) if is_opened else scope in self.stages
        return scope, (*frames, Frame(scope)) if has_frame else frames


def _names_one_block(frames: tuple[Frame, ...]) -> bool:
    """Return whether the innermost frame repeats one module, so that it names that already."""
    return bool(frames) and frames[-1].run is not None and frames[-1].run.period == 1
