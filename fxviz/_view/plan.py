"""What is drawn at which level of detail, and the steps that are left to draw."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from fxviz._graph import Node
from fxviz._graph.operations import is_passing
from fxviz._view.collapse import Collapsed, collapse
from fxviz._view.detail import Detail
from fxviz._view.marks import changes_in, lost_behind, marks_in
from fxviz._view.outline import Element, Outline, Run


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


LONGEST_PERIOD = 4
"""Up to so many blocks may alternate. What has a longer period is an iteration: it calls the same modules again."""

MOST_PERIODS = 3
"""The periods that are tried for iterations, the most frequent ones."""


def runs_in(outline: Outline, scope: int, collapsed: Collapsed, detail: Detail) -> list[Run]:
    """The longest chained runs among the elements of ``scope``, from first to last.

    A run repeats its first ``period`` elements, each repetition reading from the one before: 1 to 4 blocks or layers, or any
    number of steps among which a module is called again. Blocks repeat from three times on; those drawn as one row, or opened
    on their own, from twice on. Those drawn as one row count as equal when all that the row shows is equal. Single layers
    repeat only if ``detail.fold_layers``.
    """
    children = outline.children(scope)
    rows = frozenset(child for child in children if child in collapsed.rows)
    framed = frozenset(child for child in children if child in collapsed.framed)
    key = scope, rows, framed, detail.fold_layers, detail.named
    if key not in outline.runs:
        outline.runs[key] = _find(_Seen(outline, scope, rows, framed, detail.named), detail.fold_layers)
    return outline.runs[key]


def _find(seen: _Seen, fold_layers: bool) -> list[Run]:
    times = {period: _times(seen, period) for period in range(1, LONGEST_PERIOD + 1)}
    times |= {period: _iterations(seen, period) for period in _long_periods(seen)}
    found: list[Run] = []
    at = 0
    while at < len(seen.elements):
        runs = [Run(at, period, times[period][at]) for period in times if times[period][at] > 1]
        run = max(runs, key=lambda run: run.times * run.period, default=None)
        if (
            run
            and _worth(seen, run, fold_layers)
            and not (_is_fused(seen, at) and times[run.period][at + 1] >= run.times)
        ):
            found.append(run)
            at = run.stop
        else:
            at += 1
    return found


class _Seen:
    """The elements of a scope as far as a figure tells them apart."""

    def __init__(
        self, outline: Outline, scope: int, collapsed: Collection[int], framed: Collection[int], named: Collection[str]
    ) -> None:
        self.outline, self.elements, self.collapsed, self.framed = outline, outline.elements(scope), collapsed, framed
        self.glances: list[Glance] = [glance(outline, element, collapsed, named) for element in self.elements]

    def equal(self, one: int, other: int) -> bool:
        if self.glances[one] != self.glances[other]:
            return False
        return are_equal(self.outline, self.elements[one], self.elements[other], self.collapsed)

    def chained(self, at: int, period: int) -> bool:
        """Whether the ``period`` elements after those at ``at`` read from them."""
        earlier = {name for element in self.elements[at : at + period] for name in element.nodes}
        later = self.elements[at + period : at + 2 * period]
        return any(
            source in earlier for element in later for name in element.nodes for source in self.outline.sources[name]
        )

    def wiring(self, at: int, period: int) -> list[tuple[int, ...]]:
        """For each of ``period`` elements which of the others it reads, by their order."""
        place = {name: order for order, element in enumerate(self.elements[at : at + period]) for name in element.nodes}
        found = []
        for element in self.elements[at : at + period]:
            reads = {
                place[source] for name in element.nodes for source in self.outline.sources[name] if source in place
            }
            found.append(tuple(sorted(reads)))
        return found


def _times(seen: _Seen, period: int) -> list[int]:
    """For each element how often it and those after it, ``period`` in all, follow themselves."""
    times = [1] * len(seen.elements)
    for at in range(len(times) - 2 * period, -1, -1):
        middle = at + period
        if (
            seen.glances[at:middle] == seen.glances[middle : middle + period]
            and all(seen.equal(one, one + period) for one in range(at, middle))
            and seen.chained(at, period)
        ):
            times[at] = times[middle] + 1
    return times


def _long_periods(seen: _Seen) -> list[int]:
    """After how many steps a module is called again: the distances that occur most often."""
    distances: Counter[int] = Counter()
    latest: dict[str, int] = {}
    for at, element in enumerate(seen.elements):
        path = _called(seen.outline, element)
        if path and path in latest and at - latest[path] > LONGEST_PERIOD:
            distances[at - latest[path]] += 1
        if path:
            latest[path] = at
    return [distance for distance, count in distances.most_common(MOST_PERIODS) if count > 1]


def _called(outline: Outline, element: Element) -> str:
    """The path of the module that an element calls, "" for a function."""
    is_call = element.scope is not None or outline.node(element.nodes[0]).kind == "module"
    return path_of(outline, element) if is_call else ""


def _iterations(seen: _Seen, period: int) -> list[int]:
    """The same as :func:`_times` for a long period, in which the steps must be wired in the same way."""
    times, alike = [1] * len(seen.elements), [0] * (len(seen.elements) + 1)
    for at in range(len(seen.elements) - period - 1, -1, -1):
        alike[at] = alike[at + 1] + 1 if seen.equal(at, at + period) else 0
    for at in range(len(seen.elements) - 2 * period, -1, -1):
        middle = at + period
        if alike[at] >= period and seen.chained(at, period) and seen.wiring(at, period) == seen.wiring(middle, period):
            times[at] = times[middle] + 1
    return times


def _is_fused(seen: _Seen, at: int) -> bool:
    """Whether an element is no row of its own, so that a run had better start at the layer behind it."""
    element = seen.elements[at]
    return element.scope is None and not seen.outline.takes_row(seen.outline.node(element.nodes[0]))


def _worth(seen: _Seen, run: Run, fold_layers: bool) -> bool:
    first = seen.elements[run.start : run.start + run.period]
    if all(element.scope in seen.collapsed for element in first) or all(
        element.scope in seen.framed for element in first
    ):
        return True
    outline = seen.outline
    blocks = any(element.scope is not None and outline.size[element.scope] > 1 for element in first)
    layers = any(outline.node(name).kind == "module" for element in first for name in element.nodes)
    return run.times > 2 and (blocks or (fold_layers and layers))


Glance = tuple[str, int, tuple[str, ...]]


def glance(outline: Outline, element: Element, collapsed: Collection[int], named: Collection[str]) -> Glance:
    """What tells most elements apart at little cost: what it is, how much is inside, and which ``named`` modules are.

    The element that holds the operation that failed is like no other.
    """
    last = element.nodes[-1]
    inside = tuple(path for path in sorted(named) if _holds(outline, element, path)) if named else ()
    if last == outline.failed:
        return last, -1, inside
    if element.scope in collapsed:
        return outline.scopes[element.scope].cls if element.scope is not None else "", 0, inside
    return outline.node(last).op, len(element.nodes), inside


def _holds(outline: Outline, element: Element, path: str) -> bool:
    own = path_of(outline, element)
    return path == own or (element.scope is not None and path.startswith(f"{own}."))


def path_of(outline: Outline, element: Element) -> str:
    """The path of the module that an element calls, or in whose code the function is."""
    return outline.scopes[element.scope].path if element.scope is not None else outline.node(element.nodes[0]).path


def are_equal(outline: Outline, one: Element, later: Element, collapsed: Collection[int]) -> bool:
    """Whether all that a figure shows of two elements is equal; the later one may read the earlier one's parameters again."""
    is_row = one.scope in collapsed
    return _signature(outline, one, is_row) == _signature(outline, later, is_row) and _count_alike(
        outline, one, later, is_row
    )


def _count_alike(outline: Outline, one: Element, later: Element, is_row: bool) -> bool:
    (params, reads), (others, read_again) = _counted(outline, one), _counted(outline, later)
    if (sum(params) == sum(others)) if is_row else (params == others):
        return True
    return not any(others) and reads == read_again


def _counted(outline: Outline, element: Element) -> tuple[tuple[int, ...], tuple[tuple[str, ...], ...]]:
    """The parameters that each node counts, and the names of those that it reads."""
    key = element.scope, element.nodes[0]
    if key not in outline.counted:
        nodes = [outline.node(name) for name in element.nodes]
        outline.counted[key] = tuple(node.params for node in nodes), tuple(node.uses for node in nodes)
    return outline.counted[key]


def _signature(outline: Outline, element: Element, is_row: bool) -> str:
    key = element.scope, element.nodes[0], is_row
    if key not in outline.signatures:
        outline.signatures[key] = _outside(outline, element) if is_row else _inside(outline, element)
    return outline.signatures[key]


def _outside(outline: Outline, element: Element) -> str:
    """What a row for a whole module shows: class, MACs, output."""
    nodes = [outline.node(name) for name in element.nodes]
    shown = [outline.scopes[element.scope].cls if element.scope is not None else nodes[0].op]
    output = nodes[-1].outputs[0].shape if nodes[-1].outputs else ()
    differing = [changes_in(outline, element), lost_behind(outline, element)]
    return json.dumps([shown, sum(node.macs or 0 for node in nodes), output, differing], default=str)


def _inside(outline: Outline, element: Element) -> str:
    """All that happens inside: operations, settings, shapes, MACs, and how they are wired."""
    place = {name: number for number, name in enumerate(element.nodes)}
    base = path_of(outline, element)
    outside: dict[str, int] = {}
    facts = []
    for name in element.nodes:
        arguments = sorted((edge.slot, edge.source) for edge in outline.graph.edges_to[name])
        wiring = [(slot, _source(outline, source, place, outside)) for slot, source in arguments]
        facts.append([*_facts(outline.node(name), base), wiring])
    return json.dumps([facts, marks_in(outline, element)], sort_keys=True, default=str)


def _source(outline: Outline, source: str, place: dict[str, int], outside: dict[str, int]) -> str:
    if source in place:
        return str(place[source])
    node = outline.node(source)
    if node.kind == "parameter":
        return f"{node.op} {[tensor.shape for tensor in node.outputs]}"
    return f"from outside {outside.setdefault(source, len(outside))}"


def _facts(node: Node, base: str) -> list[object]:
    path = node.path[len(base) :] if node.path.startswith(base) else ""
    settings = {} if is_passing(node) else dict(node.settings)
    if node.op == "Constant":
        path = ""
    return [node.kind, node.op, path, settings, [list(tensor.shape) for tensor in node.outputs], node.macs]
