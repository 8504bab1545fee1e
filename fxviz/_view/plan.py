"""What is drawn at which level of detail, and the steps that are left to draw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fxviz._view.collapsing import collapse
from fxviz._view.detail import Detail
from fxviz._view.likeness import path_of
from fxviz._view.outline import Element, Outline, Run
from fxviz._view.repeats import runs_in


@dataclass(frozen=True)
class Place:
    """A frame on the way to a step: a stage (``scope``), or the repetition ``run`` of a scope's elements."""

    scope: int
    run: Run | None = None


@dataclass(frozen=True)
class Step:
    """One thing to draw: a node, or a whole module call (``scope``), inside the frames ``places``.

    ``times``, ``span``, ``repeated`` (the nodes of the repetitions that are not drawn) and ``calls`` (the module calls that it
    stands for, its own first) are set when the step itself is repeated.
    """

    nodes: tuple[str, ...]
    scope: int | None
    places: tuple[Place, ...]
    times: int = 1
    span: tuple[str, str] | None = None
    repeated: tuple[str, ...] = ()
    calls: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The steps to draw, and for each node of a repetition that is not drawn the node that stands for it."""

    steps: tuple[Step, ...]
    stands_for: dict[str, str]


_Way = tuple[int, tuple[Place, ...]]
"""A module call to go into, and the frames in which it stands."""


def plan(outline: Outline, detail: Detail) -> Plan:
    """Walk the tree of module calls at the given level of detail. Calls may be nested deeper than Python's own calls may be."""
    what = collapse(outline, detail)
    rows, framed = what.rows, what.framed | frozenset(outline.stages)
    stands_for: dict[str, str] = {}

    def walk(scope: int, places: tuple[Place, ...]) -> Iterator[Step | _Way]:
        elements = outline.elements(scope)
        at = 0
        for run in [*(runs_in(outline, scope, what, detail) if detail.repeats else ()), None]:
            for element in elements[at : run.start if run else None]:
                yield from enter(element, places)
            if run:
                _map_repetitions(elements, run, rows, stands_for)
                yield from repeat(scope, elements[run.start : run.stop], run, places)
                at = run.stop

    def repeat(scope: int, elements: list[Element], run: Run, places: tuple[Place, ...]) -> Iterator[Step | _Way]:
        first = elements[: run.period]
        if run.period == 1 and (first[0].scope is None or first[0].scope in rows):
            span = (path_of(outline, first[0]), path_of(outline, elements[-1]))
            repeated = tuple(name for element in elements[1:] for name in element.nodes)
            calls = tuple(element.scope for element in elements if element.scope is not None)
            yield Step(first[0].nodes, first[0].scope, places, run.times, span, repeated, calls)
            return
        for element in first:
            yield from enter(element, (*places, Place(scope, run)))

    def enter(element: Element, places: tuple[Place, ...]) -> Iterator[Step | _Way]:
        if element.scope is None or element.scope in rows:
            yield Step(element.nodes, element.scope, places, calls=() if element.scope is None else (element.scope,))
        elif element.scope in framed and not (element.scope in what.framed and _is_one_block(places)):
            yield element.scope, (*places, Place(element.scope))
        else:
            yield element.scope, places

    steps: list[Step] = []
    walks = [walk(0, ())]
    while walks:
        found = next(walks[-1], None)
        if found is None:
            walks.pop()
        elif isinstance(found, Step):
            steps.append(found)
        else:
            walks.append(walk(*found))
    return Plan(tuple(steps), stands_for)


def _is_one_block(places: tuple[Place, ...]) -> bool:
    """Whether the innermost frame says already which module is inside: it is the repetition of that one."""
    return bool(places) and places[-1].run is not None and places[-1].run.period == 1


def span_of(outline: Outline, place: Place) -> tuple[str, str]:
    """The paths of the first and the last module in a run."""
    assert place.run is not None
    elements = outline.elements(place.scope)[place.run.start : place.run.stop]
    calls = [element for element in elements if element.scope is not None] or elements
    return path_of(outline, calls[0]), path_of(outline, calls[-1])


def _map_repetitions(elements: list[Element], run: Run, collapsed: frozenset[int], stands_for: dict[str, str]) -> None:
    """Each node of the second and later repetitions is stood for by its counterpart in the first."""
    for place in range(run.start + run.period, run.stop):
        shown, hidden = elements[run.start + (place - run.start) % run.period], elements[place]
        if shown.scope in collapsed:
            stands_for.update(dict.fromkeys(hidden.nodes, shown.nodes[-1]))
        else:
            stands_for.update(zip(hidden.nodes, shown.nodes, strict=True))
