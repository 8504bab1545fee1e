"""Plan the steps to draw at a level of detail: find repetitions, and walk through the modules that are opened."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from fxviz._graph import Node
from fxviz._graph.operations import is_passing
from fxviz._view.collapse import Collapsed, collapse
from fxviz._view.detail import Detail
from fxviz._view.marks import changes_in, marks_in, removed_behind
from fxviz._view.outline import Element, Outline, Run


@dataclass(frozen=True)
class Frame:
    """A frame around a step: a stage (``scope``), or the repetition ``run`` of a scope's elements."""

    scope: int
    run: Run | None = None


@dataclass(frozen=True)
class Step:
    """One thing to draw: a node, or a whole module call (``scope``), with the frames around it.

    ``times``, ``span``, ``repeated`` (the nodes of the repetitions that are not drawn) and ``calls`` (the module calls
    that it stands for, its own first) are set when the step itself is repeated.
    """

    nodes: tuple[str, ...]
    scope: int | None
    frames: tuple[Frame, ...]
    times: int = 1
    span: tuple[str, str] | None = None
    repeated: tuple[str, ...] = ()
    calls: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The steps to draw, and for each node of a repetition that is not drawn the node that stands for it."""

    steps: tuple[Step, ...]
    stands_for: dict[str, str]


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
        return Plan(tuple(steps), self.stands_for)

    def _walk(self, scope: int, frames: tuple[Frame, ...]) -> Iterator[Step | _Inside]:
        elements = self.outline.elements(scope)
        runs = runs_in(self.outline, scope, self.collapsed, self.detail) if self.detail.repeats else []
        at = 0
        for run in runs:
            for element in elements[at : run.start]:
                yield self._enter(element, frames)
            _map_repetitions(elements, run, self.collapsed.rows, self.stands_for)
            yield from self._repeat(scope, elements[run.start : run.stop], run, frames)
            at = run.stop
        for element in elements[at:]:
            yield self._enter(element, frames)

    def _repeat(
        self, scope: int, elements: list[Element], run: Run, frames: tuple[Frame, ...]
    ) -> Iterator[Step | _Inside]:
        first = elements[: run.period]
        if run.period == 1 and (first[0].scope is None or first[0].scope in self.collapsed.rows):
            span = (path_of(self.outline, first[0]), path_of(self.outline, elements[-1]))
            repeated = tuple(name for element in elements[1:] for name in element.nodes)
            calls = tuple(element.scope for element in elements if element.scope is not None)
            yield Step(first[0].nodes, first[0].scope, frames, run.times, span, repeated, calls)
            return
        for element in first:
            yield self._enter(element, (*frames, Frame(scope, run)))

    def _enter(self, element: Element, frames: tuple[Frame, ...]) -> Step | _Inside:
        scope = element.scope
        if scope is None or scope in self.collapsed.rows:
            return Step(element.nodes, scope, frames, calls=() if scope is None else (scope,))
        is_opened = scope in self.collapsed.framed
        has_frame = not _names_one_block(frames) if is_opened else scope in self.stages
        return scope, (*frames, Frame(scope)) if has_frame else frames


def _names_one_block(frames: tuple[Frame, ...]) -> bool:
    """Return whether the innermost frame repeats one module, so that it names that already."""
    return bool(frames) and frames[-1].run is not None and frames[-1].run.period == 1


def span_of(outline: Outline, frame: Frame) -> tuple[str, str]:
    """Return the paths of the first and the last module in a frame of repetitions."""
    assert frame.run is not None
    elements = outline.elements(frame.scope)[frame.run.start : frame.run.stop]
    calls = [element for element in elements if _called_path(outline, element)] or elements
    return path_of(outline, calls[0]), path_of(outline, calls[-1])


def _map_repetitions(elements: list[Element], run: Run, collapsed: frozenset[int], stands_for: dict[str, str]) -> None:
    """Map each node of the second and later repetitions to its counterpart in the first."""
    for place in range(run.start + run.period, run.stop):
        shown, hidden = elements[run.start + (place - run.start) % run.period], elements[place]
        if shown.scope in collapsed:
            stands_for.update(dict.fromkeys(hidden.nodes, shown.nodes[-1]))
        else:
            stands_for.update(zip(hidden.nodes, shown.nodes, strict=True))


LONGEST_PERIOD = 4
"""The most blocks that may alternate. With a longer period it is an iteration, which calls the same modules again."""

MOST_PERIODS = 3
"""The number of periods that are tried for iterations, the most frequent ones."""


def runs_in(outline: Outline, scope: int, collapsed: Collapsed, detail: Detail) -> list[Run]:
    """Return the longest chained runs among the elements of ``scope``, in order.

    A run repeats its first ``period`` elements, each repetition reading from the one before: 1 to 4 blocks or layers,
    or any number of steps among which a module is called again. Blocks repeat at least three times; those drawn as one
    row, or opened on their own, at least twice. Blocks drawn as one row are equal if all that the row shows is equal.
    Single layers repeat only if ``detail.fold_layers``.
    """
    children = outline.children(scope)
    rows = frozenset(child for child in children if child in collapsed.rows)
    framed = frozenset(child for child in children if child in collapsed.framed)
    key = scope, rows, framed, detail.fold_layers, detail.named
    if key not in outline.runs:
        outline.runs[key] = _find_runs(_Elements(outline, scope, rows, framed, detail.named), detail.fold_layers)
    return outline.runs[key]


def _find_runs(compared: _Elements, fold_layers: bool) -> list[Run]:
    times = {period: _count_repetitions(compared, period) for period in range(1, LONGEST_PERIOD + 1)}
    times |= {period: _count_iterations(compared, period) for period in _long_periods(compared)}
    found: list[Run] = []
    at = 0
    while at < len(compared.elements):
        runs = [Run(at, period, times[period][at]) for period in times if times[period][at] > 1]
        run = max(runs, key=lambda run: run.times * run.period, default=None)
        if run is not None and _is_worth_folding(compared, run, fold_layers):
            found.append(_aligned(compared, run, times[run.period], fold_layers))
            at = found[-1].stop
        else:
            at += 1
    return found


def _aligned(compared: _Elements, run: Run, times: list[int], fold_layers: bool) -> Run:
    """Return the run that starts where a repetition does: at ``run.start`` or up to one period later.

    What stands before the first repetition may look like the end of one, so that the same steps repeat from several
    starts on. A repetition hands the fewest values on to the next one, since skips and branches end in it. Of equal
    starts it is the one with the modules of one number ("layers.0.attend", "layers.0.feed"), the one with the most
    repetitions, and the one that is a row of its own.
    """
    stop = min(run.start + run.period, len(times))
    starts = [Run(start, run.period, times[start]) for start in range(run.start, stop) if times[start] > 1]
    starts = [run for run in starts if _is_worth_folding(compared, run, fold_layers)]
    handed_on = compared.handed_on(run.start, run.period)
    fewest = min(handed_on[found.start - run.start] for found in starts)
    return min(
        (found for found in starts if handed_on[found.start - run.start] == fewest),
        key=lambda found: (
            compared.numbers(found.start, found.period),
            -found.times,
            _is_fused(compared, found.start),
            found.start,
        ),
    )


class _Elements:
    """The elements of a scope, compared by what a figure shows of them."""

    def __init__(
        self, outline: Outline, scope: int, collapsed: Collection[int], framed: Collection[int], named: Collection[str]
    ) -> None:
        self.outline, self.elements, self.collapsed, self.framed = outline, outline.elements(scope), collapsed, framed
        self.base = outline.scopes[scope].path
        self.fingerprints: list[Fingerprint] = [
            fingerprint(outline, element, collapsed, named) for element in self.elements
        ]

    def equal(self, one: int, other: int) -> bool:
        if self.fingerprints[one] != self.fingerprints[other]:
            return False
        return are_equal(self.outline, self.elements[one], self.elements[other], self.collapsed)

    def chained(self, at: int, period: int) -> bool:
        """Return whether the ``period`` elements after those at ``at`` read from them."""
        earlier = {name for element in self.elements[at : at + period] for name in element.nodes}
        later = self.elements[at + period : at + 2 * period]
        return any(
            source in earlier for element in later for name in element.nodes for source in self.outline.sources[name]
        )

    def handed_on(self, at: int, period: int) -> list[int]:
        """Return for ``period`` starts from ``at`` on how many values one period leaves to later elements."""
        changes = [0] * (period + 1)
        for order, element in enumerate(self.elements[at : at + 2 * period - 1]):
            for name in element.nodes:
                read = (self._place.get(user, len(self.elements)) for user in self.outline.users[name])
                last = max(read, default=0) - at
                first, final = max(0, order - period + 1), min(order, last - period, period - 1)
                if first <= final and self.outline.node(name).kind != "parameter":
                    changes[first] += 1
                    changes[final + 1] -= 1
        return list(accumulate(changes[:-1]))

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: place for place, element in enumerate(self.elements) for name in element.nodes}

    def numbers(self, at: int, period: int) -> int:
        """Return how many first numbers the paths of the modules called by ``period`` elements have."""
        paths = (_called_path(self.outline, element) for element in self.elements[at : at + period])
        numbers = (_NUMBER.search(path, len(self.base)) for path in paths if path)
        return len({number and number.group() for number in numbers})

    def wiring(self, at: int, period: int) -> list[tuple[int, ...]]:
        """Return for each of ``period`` elements the places of the others that it reads."""
        place = {name: order for order, element in enumerate(self.elements[at : at + period]) for name in element.nodes}
        found = []
        for element in self.elements[at : at + period]:
            reads = {
                place[source] for name in element.nodes for source in self.outline.sources[name] if source in place
            }
            found.append(tuple(sorted(reads)))
        return found


def _count_repetitions(compared: _Elements, period: int) -> list[int]:
    """Return for each element how often the ``period`` elements from it on are repeated."""
    times = [1] * len(compared.elements)
    for at in range(len(times) - 2 * period, -1, -1):
        middle = at + period
        if (
            compared.fingerprints[at:middle] == compared.fingerprints[middle : middle + period]
            and all(compared.equal(one, one + period) for one in range(at, middle))
            and compared.chained(at, period)
        ):
            times[at] = times[middle] + 1
    return times


def _long_periods(compared: _Elements) -> list[int]:
    """Return the most frequent numbers of steps after which a module is called again."""
    distances: Counter[int] = Counter()
    latest: dict[str, int] = {}
    for at, element in enumerate(compared.elements):
        path = _called_path(compared.outline, element)
        if path and path in latest and at - latest[path] > LONGEST_PERIOD:
            distances[at - latest[path]] += 1
        if path:
            latest[path] = at
    return [distance for distance, count in distances.most_common(MOST_PERIODS) if count > 1]


def _called_path(outline: Outline, element: Element) -> str:
    """Return the path of the module that an element calls, "" for a function."""
    is_call = element.scope is not None or outline.node(element.nodes[0]).kind == "module"
    return path_of(outline, element) if is_call else ""


def _count_iterations(compared: _Elements, period: int) -> list[int]:
    """Do the same as :func:`_count_repetitions` for a long period, whose steps must be wired alike, too."""
    times, alike = [1] * len(compared.elements), [0] * (len(compared.elements) + 1)
    for at in range(len(compared.elements) - period - 1, -1, -1):
        alike[at] = alike[at + 1] + 1 if compared.equal(at, at + period) else 0
    for at in range(len(compared.elements) - 2 * period, -1, -1):
        middle = at + period
        if (
            alike[at] >= period
            and compared.chained(at, period)
            and compared.wiring(at, period) == compared.wiring(middle, period)
        ):
            times[at] = times[middle] + 1
    return times


def _is_fused(compared: _Elements, at: int) -> bool:
    """Return whether an element is no row of its own, so that a run should start at the layer behind it."""
    element = compared.elements[at]
    return element.scope is None and not compared.outline.takes_row(compared.outline.node(element.nodes[0]))


def _is_worth_folding(compared: _Elements, run: Run, fold_layers: bool) -> bool:
    first = compared.elements[run.start : run.start + run.period]
    if all(element.scope in compared.collapsed for element in first) or all(
        element.scope in compared.framed for element in first
    ):
        return True
    outline = compared.outline
    blocks = any(element.scope is not None and outline.size[element.scope] > 1 for element in first)
    layers = any(outline.node(name).kind == "module" for element in first for name in element.nodes)
    return run.times > 2 and (blocks or (fold_layers and layers))


_NUMBER = re.compile(r"\d+")

Fingerprint = tuple[str, str, int, tuple[str, ...]]


def fingerprint(outline: Outline, element: Element, collapsed: Collection[int], named: Collection[str]) -> Fingerprint:
    """Return what tells most elements apart quickly.

    Returns:
        The list that holds the module that it calls, whatever numbers are in its path: a stem is not folded with
        the blocks behind it. Its class or operation, its size, and the ``named`` modules in it. The element that holds
        the failed operation equals no other.
    """
    last = element.nodes[-1]
    holder = holder_of(_called_path(outline, element))
    inside = tuple(path for path in sorted(named) if _holds(outline, element, path)) if named else ()
    if last == outline.failed:
        return holder, last, -1, inside
    if element.scope in collapsed:
        return holder, outline.scopes[element.scope].cls if element.scope is not None else "", 0, inside
    return holder, outline.node(last).op, len(element.nodes), inside


def holder_of(path: str) -> str:
    """Return the path of what holds a module, without numbers: that of a list, or of the module around it.

    >>> holder_of("stages.0.blocks.3"), holder_of("stem")
    ('stages..blocks', '')
    """
    return _NUMBER.sub("", path.rpartition(".")[0])


def _holds(outline: Outline, element: Element, path: str) -> bool:
    own = path_of(outline, element)
    return path == own or (element.scope is not None and path.startswith(f"{own}."))


def path_of(outline: Outline, element: Element) -> str:
    """Return the path of the module that an element calls, or whose code calls the function."""
    return outline.scopes[element.scope].path if element.scope is not None else outline.node(element.nodes[0]).path


def are_equal(outline: Outline, one: Element, later: Element, collapsed: Collection[int]) -> bool:
    """Return whether a figure shows the same of two elements; the later one may reuse the other's parameters."""
    is_row = one.scope in collapsed
    if _signature(outline, one, is_row) != _signature(outline, later, is_row):
        return False
    (params, reads), (others, read_again) = _parameters_of(outline, one), _parameters_of(outline, later)
    if (sum(params) == sum(others)) if is_row else (params == others):
        return True
    return not any(others) and reads == read_again


def _parameters_of(outline: Outline, element: Element) -> tuple[tuple[int, ...], tuple[tuple[str, ...], ...]]:
    """Return the number of parameters that each node counts, and the names of those that it reads."""
    key = element.scope, element.nodes[0]
    if key not in outline.parameters:
        nodes = [outline.node(name) for name in element.nodes]
        outline.parameters[key] = tuple(node.params for node in nodes), tuple(node.uses for node in nodes)
    return outline.parameters[key]


def _signature(outline: Outline, element: Element, is_row: bool) -> str:
    key = element.scope, element.nodes[0], is_row
    if key not in outline.signatures:
        outline.signatures[key] = _outside(outline, element) if is_row else _inside(outline, element)
    return outline.signatures[key]


def _outside(outline: Outline, element: Element) -> str:
    """Return what a row for a whole module shows: class, MACs, output."""
    nodes = [outline.node(name) for name in element.nodes]
    shown = [outline.scopes[element.scope].cls if element.scope is not None else nodes[0].op]
    output = nodes[-1].outputs[0].shape if nodes[-1].outputs else ()
    differing = [changes_in(outline, element), removed_behind(outline, element)]
    return json.dumps([shown, sum(node.macs or 0 for node in nodes), output, differing], default=str)


def _inside(outline: Outline, element: Element) -> str:
    """Return all that happens inside: operations, settings, shapes, MACs, and how they are wired."""
    place = {name: number for number, name in enumerate(element.nodes)}
    base = path_of(outline, element)
    outside: dict[str, int] = {}
    facts = []
    for name in element.nodes:
        arguments = sorted((edge.slot, edge.source) for edge in outline.graph.index.edges_to[name])
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
