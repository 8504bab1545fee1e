"""What is drawn at which level of detail, and the steps that are left to draw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

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
        most_rows: rows that follow each other in a frame are put together, so that there are no more than these.
        depth: modules nested so many levels deep are one row each, and those above are opened; takes the place of ``blocks``.
    """

    merge_branches: bool = False
    blocks: str = "layers"
    fold_layers: bool = False
    compact: bool = False
    merge_code: bool = False
    most_rows: int | None = None
    depth: int | None = None


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

MERGED = tuple(replace(LEVELS[-1], most_rows=most) for most in (72, 64, 56, 48, 40, 32, 24, 16, 8, 4, 2, 1))
"""What is left where no level fits: rows are put together that have nothing in common but their place."""


@dataclass(frozen=True)
class Place:
    """A frame on the way to a step: a stage (``scope``), or the repetition ``run`` of a scope's elements."""

    scope: int
    run: Run | None = None


@dataclass(frozen=True)
class Step:
    """One thing to draw: a node, or a whole module call (``scope``), inside the frames ``places``.

    ``times``, ``span`` and ``repeated`` (the nodes of the repetitions that are not drawn) are set when the step itself is
    repeated.
    """

    nodes: tuple[str, ...]
    scope: int | None
    places: tuple[Place, ...]
    times: int = 1
    span: tuple[str, str] | None = None
    repeated: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The steps to draw, and for each node of a repetition that is not drawn the node that stands for it."""

    steps: tuple[Step, ...]
    stands_for: dict[str, str]


_Way = tuple[int, tuple[Place, ...]]
"""A module call to go into, and the frames in which it stands."""


def plan(outline: Outline, detail: Detail) -> Plan:
    """Walk the tree of module calls at the given level of detail. Calls may be nested deeper than Python's own calls may be."""
    collapsed = _opened_to_failure(outline, frozenset(_collapsed(outline, detail)))
    stands_for: dict[str, str] = {}
    stages = set(outline.stages)

    def walk(scope: int, places: tuple[Place, ...]) -> Iterator[Step | _Way]:
        elements = outline.elements(scope)
        at = 0
        for run in [*runs_in(outline, scope, collapsed, detail.fold_layers), None]:
            for element in elements[at : run.start if run else None]:
                yield from enter(element, places)
            if run:
                _map_repetitions(elements, run, collapsed, stands_for)
                yield from repeat(scope, elements[run.start : run.stop], run, places)
                at = run.stop

    def repeat(scope: int, elements: list[Element], run: Run, places: tuple[Place, ...]) -> Iterator[Step | _Way]:
        first = elements[: run.period]
        if run.period == 1 and (first[0].scope is None or first[0].scope in collapsed):
            span = (_path(outline, first[0]), _path(outline, elements[-1]))
            repeated = tuple(name for element in elements[1:] for name in element.nodes)
            yield Step(first[0].nodes, first[0].scope, places, run.times, span, repeated)
            return
        for element in first:
            yield from enter(element, (*places, Place(scope, run)))

    def enter(element: Element, places: tuple[Place, ...]) -> Iterator[Step | _Way]:
        if element.scope is None or element.scope in collapsed:
            yield Step(element.nodes, element.scope, places)
        else:
            yield element.scope, (*places, Place(element.scope)) if element.scope in stages else places

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


def span_of(outline: Outline, place: Place) -> tuple[str, str]:
    """The paths of the first and the last module in a run."""
    assert place.run is not None
    elements = outline.elements(place.scope)[place.run.start : place.run.stop]
    calls = [element for element in elements if element.scope is not None] or elements
    return _path(outline, calls[0]), _path(outline, calls[-1])


def level(path: str) -> int:
    """How deep a module is nested: the model itself 0, its children 1.

    >>> level(""), level("layer1.0")
    (0, 2)
    """
    return path.count(".") + 1 if path else 0


def _collapsed(outline: Outline, detail: Detail) -> Iterator[int]:
    """The module calls that are one row each."""
    if detail.depth is not None:
        yield from _nested(outline, detail.depth)
        return
    yield from outline.units
    for stage in outline.stages if detail.blocks != "layers" else ():
        if detail.blocks == "stages":
            yield stage
        else:
            yield from _blocks_of(outline, stage)
    if detail.blocks != "layers":
        yield from _between_stages(outline, 0)


def _nested(outline: Outline, depth: int) -> Iterator[int]:
    """The outermost module calls that are nested ``depth`` levels deep or deeper and take several rows."""
    for scope in outline.graph.scopes:
        is_outermost = scope.parent is not None and level(outline.scopes[scope.parent].path) < depth <= level(scope.path)
        if is_outermost and outline.takes_rows(scope.id):
            yield scope.id


def _between_stages(outline: Outline, scope: int) -> Iterator[int]:
    """The modules that stand beside stages, such as a transition that pools and narrows."""
    stages = set(outline.stages)
    waiting = outline.children(scope)
    while waiting:
        child = waiting.pop()
        if child in outline.around_stages:
            waiting += outline.children(child)
        elif child not in stages and outline.takes_rows(child):
            yield child


def _blocks_of(outline: Outline, scope: int) -> Iterator[int]:
    """The blocks of a stage, looked for below lists of blocks too (``encoder.layers``)."""
    waiting = outline.blocks(scope)
    while waiting:
        child = waiting.pop()
        if outline.scopes[child].sequential and len(outline.blocks(child)) > 1:
            waiting += outline.blocks(child)
        else:
            yield child


def _opened_to_failure(outline: Outline, collapsed: frozenset[int]) -> frozenset[int]:
    """The same module calls but for those around the operation that failed: they are opened, what ran in them is a row each."""
    if outline.failed is None:
        return collapsed
    around = list(outline.around(outline.node(outline.failed).scope))
    while around and around[-1] not in collapsed:
        around.pop()
    beside = {child for scope in around for child in outline.children(scope) if outline.takes_rows(child)}
    return (collapsed | beside).difference(around)


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
