"""Plan the steps to draw at a level of detail: walk through the modules that are opened, and draw repetitions once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from fxviz._view.collapse import collapse
from fxviz._view.detail import Detail
from fxviz._view.outline import Element, Outline, Run
from fxviz._view.runs import runs_in
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
        enters: for each node between calls, which is not drawn, the node by which what it reads enters the calls.
    """

    steps: tuple[Step, ...]
    stands_for: dict[str, str]
    enters: dict[str, str]
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
        self.enters: dict[str, str] = {}
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
        return Plan(tuple(steps), self.stands_for, self.enters, frozenset(self.carrying))

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
            if run.calls:
                self._map_calls(scope, run)
            else:
                _map_repetitions(self.outline, scope, run, self.collapsed.rows, self.stands_for)
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
        calls = run.calls or range(run.first, run.first + run.times)
        first, *others = (elements[places[call]] for call in calls)
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

    def _map_calls(self, scope: int, run: Run) -> None:
        """Map the calls of a module to the first one, and what stands between them to what enters it and its result."""
        elements, places = self.outline.elements(scope), self.outline.steps(scope)
        first, *others = (elements[places[call]] for call in run.calls)
        for call in others:
            same = [first.nodes[-1]] * len(call.nodes) if first.scope in self.collapsed.rows else first.nodes
            self.stands_for.update(zip(call.nodes, same, strict=True))
        between = (name for element in elements[run.shown : run.stop] for name in element.nodes)
        for name in between:
            if name not in self.stands_for:
                self.stands_for[name], self.enters[name] = first.nodes[-1], first.nodes[0]

    def _is_step(self, element: Element) -> bool:
        return element.scope is None or element.scope in self.collapsed.rows

    def _enter(self, element: Element, frames: tuple[Frame, ...]) -> Step | _Inside:
        scope = element.scope
        if self._is_step(element):
            return Step(element.nodes, scope, frames, calls=() if scope is None else (scope,))
        assert scope is not None
        is_opened = scope in self.collapsed.framed
        has_frame = not _names_one_block(frames, is_opened) and (is_opened or scope in self.stages)
        return scope, (*frames, Frame(scope)) if has_frame else frames


def _names_one_block(frames: tuple[Frame, ...], is_opened: bool) -> bool:
    """Return whether the innermost frame repeats one module that is opened, or called again, so that it names that."""
    run = frames[-1].run if frames else None
    return run is not None and run.period == 1 and (is_opened or run.kind == "calls")


def _map_repetitions(outline: Outline, scope: int, run: Run, collapsed: Collection[int], to: dict[str, str]) -> None:
    """Map each node of the repetitions that are not drawn to one that is drawn, or to one that leads there.

    What makes no row is mapped to its counterpart, if what stands around it is the same; else to what it reads, or, if
    that is no data, to the step that follows.
    """
    elements, steps = outline.elements(scope), outline.steps(scope)
    for place in range(run.first + run.period, run.first + run.period * run.times):
        twin = run.first + (place - run.first) % run.period
        shown, hidden = elements[steps[twin]], elements[steps[place]]
        if shown.scope in collapsed:
            to.update(dict.fromkeys(hidden.nodes, shown.nodes[-1]))
        else:
            to.update(zip(hidden.nodes, shown.nodes, strict=True))
        above, above_twin = steps[place - 1] + 1, steps[twin - 1] + 1 if twin else 0
        beside = zip(
            reversed(elements[above : steps[place]]), reversed(elements[above_twin : steps[twin]]), strict=False
        )
        for one, other in takewhile(lambda pair: _are_twins(outline, *pair), beside):
            to.update(zip(one.nodes, other.nodes, strict=True))
    following = elements[run.stop - 1].nodes[0]
    for element in reversed(elements[run.shown : run.stop]):
        for name in element.nodes:
            if name not in to:
                data = [source for source in outline.sources[name] if outline.origins[source]]
                to[name] = max(data, key=outline.position.__getitem__) if outline.origins[name] else following
        following = element.nodes[0]


def _are_twins(outline: Outline, one: Element, other: Element) -> bool:
    """Return whether two elements that make no row do the same."""
    return [outline.node(name).op for name in one.nodes] == [outline.node(name).op for name in other.nodes]
