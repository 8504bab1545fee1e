"""What is drawn at which level of detail, and the steps that are left to draw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fxviz.folding.outline import Element, Outline
from fxviz.folding.repeats import Run, runs_in


@dataclass(frozen=True)
class Detail:
    """How closely to look.

    Attributes:
        merge_branches: each of several parallel branches is one row.
        blocks: "layers" (all blocks opened), "blocks" (one row for each block of a stage), "stages" (one row for each stage).
        fold_layers: runs of equal single layers are drawn once, too.
        compact: a stage that fits in one card has its name in the card, not in a frame around it.
        merge_code: functions that follow each other in a module's own code (the post-processing of a detector) are one row.
    """

    merge_branches: bool = False
    blocks: str = "layers"
    fold_layers: bool = False
    compact: bool = False
    merge_code: bool = False


LEVELS = (
    Detail(),
    Detail(compact=True),
    Detail(merge_branches=True, compact=True),
    Detail(blocks="blocks"),
    Detail(blocks="blocks", merge_branches=True, compact=True),
    Detail(blocks="blocks", merge_branches=True, compact=True, fold_layers=True),
    Detail(blocks="blocks", merge_branches=True, compact=True, fold_layers=True, merge_code=True),
    Detail(blocks="stages", merge_branches=True, compact=True, fold_layers=True),
    Detail(blocks="stages", merge_branches=True, compact=True, fold_layers=True, merge_code=True),
)
"""From the closest look to the widest; the first that fits the height is taken."""


@dataclass(frozen=True)
class Place:
    """A frame on the way to a step: a stage (``scope``), or the repetition ``run`` of a scope's elements."""

    scope: int
    run: Run | None = None


@dataclass(frozen=True)
class Step:
    """One thing to draw: a node, or a whole module call (``scope``), inside the frames ``places``.

    ``times`` and ``span`` are set when the step itself is repeated.
    """

    nodes: tuple[str, ...]
    scope: int | None
    places: tuple[Place, ...]
    times: int = 1
    span: tuple[str, str] | None = None


@dataclass(frozen=True)
class Plan:
    """The steps to draw, and for each node of a repetition that is not drawn the node that stands for it."""

    steps: tuple[Step, ...]
    stands_for: dict[str, str]


def plan(outline: Outline, detail: Detail) -> Plan:
    """Walk the tree of module calls at the given level of detail."""
    collapsed = outline.units | frozenset(_collapsed(outline, detail))
    stands_for: dict[str, str] = {}
    stages = set(outline.stages)

    def walk(scope: int, places: tuple[Place, ...]) -> Iterator[Step]:
        elements = outline.elements(scope)
        at = 0
        for run in [*runs_in(outline, scope, collapsed, detail.fold_layers), None]:
            for element in elements[at : run.start if run else None]:
                yield from enter(element, places)
            if run:
                _map_repetitions(elements, run, collapsed, stands_for)
                yield from repeat(scope, elements[run.start : run.stop], run, places)
                at = run.stop

    def repeat(scope: int, elements: list[Element], run: Run, places: tuple[Place, ...]) -> Iterator[Step]:
        first = elements[: run.period]
        if run.period == 1 and (first[0].scope is None or first[0].scope in collapsed):
            span = (_path(outline, first[0]), _path(outline, elements[-1]))
            yield Step(first[0].nodes, first[0].scope, places, run.times, span)
            return
        for element in first:
            yield from enter(element, (*places, Place(scope, run)))

    def enter(element: Element, places: tuple[Place, ...]) -> Iterator[Step]:
        if element.scope is None or element.scope in collapsed:
            yield Step(element.nodes, element.scope, places)
        else:
            yield from walk(element.scope, (*places, Place(element.scope)) if element.scope in stages else places)

    return Plan(tuple(walk(0, ())), stands_for)


def span_of(outline: Outline, place: Place) -> tuple[str, str]:
    """The paths of the first and the last module in a run."""
    assert place.run is not None
    elements = outline.elements(place.scope)[place.run.start : place.run.stop]
    calls = [element for element in elements if element.scope is not None] or elements
    return _path(outline, calls[0]), _path(outline, calls[-1])


def _collapsed(outline: Outline, detail: Detail) -> Iterator[int]:
    for stage in outline.stages if detail.blocks != "layers" else ():
        if detail.blocks == "stages":
            yield stage
        else:
            yield from _blocks_of(outline, stage)
    if detail.blocks != "layers":
        yield from _between_stages(outline, 0)


def _between_stages(outline: Outline, scope: int) -> Iterator[int]:
    """The modules that stand beside stages, such as a transition that pools and narrows."""
    stages = set(outline.stages)
    for child in outline.children(scope):
        if child in stages:
            continue
        if stages & set(outline.inside(child)):
            yield from _between_stages(outline, child)
        elif outline.takes_rows(child):
            yield child


def _blocks_of(outline: Outline, scope: int) -> Iterator[int]:
    """The blocks of a stage, looked for below lists of blocks too (``encoder.layers``)."""
    for child in outline.blocks(scope):
        if outline.scopes[child].sequential and len(outline.blocks(child)) > 1:
            yield from _blocks_of(outline, child)
        else:
            yield child


def _path(outline: Outline, element: Element) -> str:
    return outline.scopes[element.scope].path if element.scope is not None else outline.node(element.nodes[0]).path


def _map_repetitions(elements: list[Element], run: Run, collapsed: frozenset[int], stands_for: dict[str, str]) -> None:
    """Each node of the second and later repetitions is stood for by its counterpart in the first."""
    for place in range(run.start + run.period, run.stop):
        shown, hidden = elements[run.start + (place - run.start) % run.period], elements[place]
        if shown.scope in collapsed:
            stands_for.update(dict.fromkeys(hidden.nodes, shown.nodes[-1]))
        else:
            stands_for.update(zip(hidden.nodes, shown.nodes, strict=True))
