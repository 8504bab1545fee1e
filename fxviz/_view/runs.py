"""Find repetitions in a module's forward: blocks in a row, loops in its code, equal parallel branches."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate, combinations

from fxviz._graph.operations import is_commutative
from fxviz._view.collapse import Collapsed
from fxviz._view.detail import Detail
from fxviz._view.outline import Element, Outline, Run, Source
from fxviz._view.signatures import called_path, holder_of, parameters_of, path_of, signature
from fxviz._view.view import Repeats

SHORT_PERIODS = (1, 2, 3, 4)
"""Numbers of steps after which repetition is always looked for."""

LONGEST_PATTERN = 24
"""The most blocks or layers that may alternate. What repeats after more steps is a loop, with the same modules."""

MOST_PERIODS = 8
"""The number of longer periods that are tried, the most frequent ones."""

FAR = 8
"""The number of later equal steps whose distance from a step may be the period."""

MANY = 8
"""From this many repetitions on, steps of a loop and parallel branches are drawn once at every level of detail."""


MOST_STARTS = 16
"""The most starts that are tried for a run."""

_NUMBER = re.compile(r"\d+")


def runs_in(outline: Outline, scope: int, collapsed: Collapsed, detail: Detail) -> list[Run]:
    """Return the longest repetitions among the elements of ``scope``, in order; those inside others come after them.

    The repetitions of a run are equal in all that the figure shows, and are wired alike. There are three kinds:

    * "chain": each repetition reads the one before. Blocks repeat at least three times, those drawn as one row, or
      opened on their own, at least twice. Single layers repeat only if ``detail.fold_layers``.
    * "parallel": none reads another, all read the same, and the same steps or a row of equal ones read them.
    * "calls": all call the same modules. Where these are all that the figure shows, the calls may read anything: the
      two inputs of a siamese network, or the results of several earlier calls.
    """
    children = outline.children(scope)
    rows = frozenset(child for child in children if child in collapsed.rows)
    framed = frozenset(child for child in children if child in collapsed.framed)
    key = scope, rows, framed, detail.fold_layers, detail.named
    if key not in outline.runs:
        outline.runs[key] = _Finder(outline, scope, rows, framed, detail).runs()
    return outline.runs[key]


def span_of(outline: Outline, scope: int, run: Run) -> tuple[str, str]:
    """Return the paths of the first and the last module in a run, "" if it calls none."""
    elements = outline.elements(scope)[run.start : run.stop]
    calls = [element for element in elements if called_path(outline, element)]
    return (path_of(outline, calls[0]), path_of(outline, calls[-1])) if calls else ("", "")


class _Finder:
    """Searches one module call, whose steps are compared by what a figure shows of them."""

    def __init__(
        self, outline: Outline, scope: int, collapsed: Collection[int], framed: Collection[int], detail: Detail
    ) -> None:
        self.outline, self.scope, self.collapsed, self.framed = outline, scope, collapsed, framed
        self.fold_layers = detail.fold_layers
        elements = outline.elements(scope)
        self.places = outline.steps(scope)
        self.elements = [elements[place] for place in self.places]
        self.kinds = [self._kind(element, detail.named) for element in self.elements]
        self.closed = [element.scope in collapsed for element in self.elements]
        self.reads = [frozenset(map(self._source, reads)) for reads in outline.reads(scope)]
        self.drawn = list(range(len(self.elements)))

    def _source(self, source: Source) -> Source:
        """Return what a step reads, without the node if that is in a module that is one row."""
        place, _ = source
        return (place, 0) if place >= 0 and self.closed[place] else source

    # ---------------------------------------------------------------- search

    def runs(self) -> list[Run]:
        found: list[Run] = []
        for run in self._search(0, len(self.elements)):
            inner: list[Run] = []
            waiting = [run]
            while waiting:
                outer = waiting.pop()
                if outer.period > 2:
                    inside = list(self._search(outer.first, outer.first + outer.period))
                    inner += inside
                    waiting += inside
            solver = self._as_calls(run, inner)
            found += [run, *inner] if solver is None else [solver]
        return sorted(found, key=lambda run: (run.start, -run.stop))

    def _as_calls(self, run: Run, inner: Sequence[Run]) -> Run | None:
        """Return the run as calls of its one module if it would be drawn in several places: the stages of a solver.

        What stands between the calls is mere arithmetic, which is not drawn.
        """
        steps = range(run.first, run.first + run.period)
        calls = [place for place in steps if self._holds(place)]
        again = {place for other in inner for place in self._repeated(other)}
        if len({self._called(place) for place in calls}) != 1 or not self._called(calls[0]) or not set(calls) - again:
            return None
        if len(set(calls) - again) < 2 or not all(self._is_arithmetic(place) for place in {*steps} - {*calls}):
            return None
        places = tuple(place + run.period * time for time in range(run.times) for place in calls)
        start = self.places[places[0]]
        return replace(
            run,
            start=start,
            shown=start + 1,
            first=places[0],
            period=1,
            times=len(places),
            kind="calls",
            carrying=frozenset(),
            calls=places,
        )

    def _repeated(self, run: Run) -> range:
        """Return the places of the steps that repeat those that are drawn."""
        return range(run.first + run.period, run.first + run.period * run.times)

    def _is_arithmetic(self, place: int) -> bool:
        """Return whether a step is a function that neither reads parameters nor has MACs."""
        nodes = [self.outline.node(name) for name in self.elements[place].nodes]
        return self.elements[place].scope is None and all(
            node.kind in ("function", "method") and node.macs == 0 and not self._reads_constants(node.id)
            for node in nodes
        )

    def _reads_constants(self, name: str) -> bool:
        return any(self.outline.constants[source] for source in self.outline.sources[name])

    def _search(self, start: int, stop: int) -> Iterator[Run]:
        periods = [*SHORT_PERIODS, *self._long_periods(start, stop)]
        alike = {period: self._count_alike(start, stop, period) for period in periods}
        at = start
        while at < stop:
            found = [self._run(at, period, alike[period][at - start]) for period in periods]
            runs = [run for run in found if run is not None]
            run = max(runs, key=lambda run: run.times * run.period, default=None)
            if run is not None:
                run = self._aligned(run, alike[run.period], start)
                yield replace(run, carrying=self._carrying(run))
                at = run.first + run.period * run.times
                for place in range(run.first + run.period, at):
                    self.drawn[place] = run.first + (place - run.first) % run.period
            else:
                at += 1

    def _long_periods(self, start: int, stop: int) -> list[int]:
        """Return the most frequent distances between equal steps."""
        distances: Counter[int] = Counter()
        places: dict[int, list[int]] = defaultdict(list)
        for at in range(start, stop):
            for earlier in places[self.kinds[at]][-FAR:]:
                distances[at - earlier] += 1
            places[self.kinds[at]].append(at)
        longer = {distance: count for distance, count in distances.items() if distance > SHORT_PERIODS[-1]}
        return sorted(sorted(longer, key=lambda distance: (-longer[distance], distance))[:MOST_PERIODS])

    def _count_alike(self, start: int, stop: int, period: int) -> list[int]:
        """Return for each step how many steps from it on equal those that stand ``period`` steps later."""
        alike = [0] * (stop - start + 1)
        for at in range(stop - period - 1, start - 1, -1):
            alike[at - start] = alike[at - start + 1] + 1 if self._equal(at, at + period) else 0
        return alike

    def _equal(self, one: int, later: int) -> bool:
        """Return whether a figure shows the same of two steps; the later one may reuse the other's parameters."""
        if self.kinds[one] != self.kinds[later]:
            return False
        (params, names), (others, names_again) = self._parameters(one), self._parameters(later)
        if (sum(params) == sum(others)) if self.closed[one] else (params == others):
            return True
        return not any(others) and names == names_again

    def _parameters(self, place: int) -> tuple[tuple[int, ...], tuple[tuple[str, ...], ...]]:
        return parameters_of(self.outline, self.elements[place])

    def _aligned(self, run: Run, alike: list[int], origin: int) -> Run:
        """Return the run that starts where a repetition does: at ``run.first`` or up to one period later.

        What stands before the first repetition may look like the end of one, so that the same steps repeat from several
        starts on. A repetition hands the fewest values on to the next one, since skips and branches end in it. Of equal
        starts it is the one with the modules of one number ("layers.0.attend", "layers.0.feed"), the one with the most
        repetitions, and the one that is a row of its own.
        """
        handed_on = self._handed_on(run.first, run.period)
        starts = range(min(run.period, origin + len(alike) - 1 - run.first))
        tries = 0
        for fewest in sorted({handed_on[start] for start in starts}):
            places = [run.first + start for start in starts if handed_on[start] == fewest]
            runs = [self._run(place, run.period, alike[place - origin]) for place in places[:MOST_STARTS]]
            found = [other for other in runs if other is not None]
            tries += len(runs)
            if found:
                return min(found, key=self._order)
            if tries >= MOST_STARTS:
                break
        return run

    def _order(self, run: Run) -> tuple[int, int, bool, int]:
        """Return what orders runs that hand equally many values on, the best first."""
        return self._numbers(run.first, run.period), -run.times, self._is_fused(run.first), run.first

    def _handed_on(self, at: int, period: int) -> list[int]:
        """Return for ``period`` starts from ``at`` on how many values one period leaves to later steps."""
        changes = [0] * (period + 1)
        for order, last_reads in enumerate(self._last_reads[at : at + 2 * period - 1]):
            for last in last_reads:
                first, final = max(0, order - period + 1), min(order, last - at - period, period - 1)
                if first <= final:
                    changes[first] += 1
                    changes[final + 1] -= 1
        return list(accumulate(changes[:-1]))

    @cached_property
    def _last_reads(self) -> list[list[int]]:
        """Return for the nodes of each step the last step that reads them; after the last one if it is elsewhere."""
        places, end = self.outline.places(self.scope), len(self.elements)
        return [
            [
                max(places.get(reader, (end, 0))[0] for reader, _ in readers)
                for name in element.nodes
                if (readers := self.outline.readers.get(name))
            ]
            for element in self.elements
        ]

    def _numbers(self, at: int, period: int) -> int:
        """Return how many first numbers the paths of the modules called by ``period`` steps have."""
        base = len(self.outline.scopes[self.scope].path)
        numbers = (_NUMBER.search(path, base) for place in range(at, at + period) if (path := self._called(place)))
        return len({number and number.group() for number in numbers})

    def _is_fused(self, place: int) -> bool:
        """Return whether a step is no row of its own, so that a run should start at the layer behind it."""
        element = self.elements[place]
        return element.scope is None and not self.outline.takes_row(self.outline.node(element.nodes[0]))

    # ---------------------------------------------------------------- one run

    def _run(self, at: int, period: int, alike: int) -> Run | None:
        """Return the longest run from a step on, None if there is none that is worth folding."""
        most = 1 + alike // period
        if most < 2 or (period > LONGEST_PATTERN and not self._is_code(at, period)):
            return None
        kind = self._kind_of_run(at, period)
        if not self._is_worth_folding(at, period, most, kind):
            return None
        times = 1
        while times < most and self._repeats(at, period, times, kind):
            times += 1
        if times < 2 or not self._is_worth_folding(at, period, times, kind):
            return None
        start, shown = self.places[at], self.places[at + period - 1] + 1
        stop = self.places[at + period * times - 1] + 1
        own = [sum(self._parameters(place)[0]) for place in range(at, at + period * times)]
        if kind == "chain" and any(own[:period]) and not any(own[period:]):
            kind = "shared"
        return Run(start, shown, stop, at, period, times, kind)

    def _kind_of_run(self, at: int, period: int) -> Repeats:
        """Return the kind of a run, judged by its second repetition."""
        calls = [path for place in range(at, at + period) if (path := self._called(place)) and self._holds(place)]
        is_layer = period == 1 and self._called(at) and not self._is_fused(at)
        if (is_layer or calls) and len(set(calls)) == len(calls) and self._is_code(at, period):
            return "calls"
        second = range(at + period, at + 2 * period)
        reads_first = any(at <= source < at + period for place in second for source, _ in self.reads[place])
        return "chain" if reads_first else "parallel"

    def _is_code(self, at: int, period: int) -> bool:
        """Return whether a run calls the same modules each time, or none, as a loop in code does."""
        return all(self._called(place) == self._called(place + period) for place in range(at, at + period))

    def _called(self, place: int) -> str:
        return called_path(self.outline, self.elements[place])

    def _holds(self, place: int) -> bool:
        """Return whether a step reads parameters of its own."""
        return any(self._parameters(place)[1])

    def _is_worth_folding(self, at: int, period: int, times: int, kind: Repeats) -> bool:
        first = self.elements[at : at + period]
        if kind == "calls":
            return times > 2 or self._joins(at, period) <= 1
        if all(self.closed[at : at + period]) or all(element.scope in self.framed for element in first):
            return times > 2 or kind == "chain"
        if times < 3:
            return False
        if any(element.scope is not None and self.outline.size[element.scope] > 1 for element in first):
            return True
        steps = [self.outline.node(name) for element in first for name in element.nodes]
        if not any(self.outline.takes_row(node) for node in steps):
            return False
        return self.fold_layers or (times >= MANY and (kind == "parallel" or self._is_code(at, period)))

    def _carrying(self, run: Run) -> frozenset[str]:
        """Return the nodes of the first repetition whose counterparts read data in steps that read an earlier one."""
        sources, origins = self.outline.sources, self.outline.origins
        carrying = set()
        for place in range(run.first + run.period, run.first + run.period * run.times):
            within = (place - run.first) % run.period
            if any(run.first <= source < place - within for source, _ in self.reads[place]):
                pairs = zip(self.elements[place].nodes, self.elements[run.first + within].nodes, strict=False)
                carrying |= {twin for name, twin in pairs if any(origins[source] for source in sources[name])}
        return frozenset(carrying)

    # ---------------------------------------------------------------- wiring

    def _repeats(self, at: int, period: int, times: int, kind: Repeats) -> bool:
        """Return whether repetition number ``times``, from 0, is wired like the one before."""
        start = at + (times - 1) * period
        is_free = kind == "calls" and self._joins(at, period) <= 1 and any(map(self._holds, range(at, at + period)))
        if is_free and self._shared(at, period) != self._shared(start + period, period):
            return False
        for place in range(start, start + period):
            one, other = self.reads[place], self.reads[place + period]
            inside = {(source + period, node) for source, node in one if source >= start}
            if inside != {source for source in other if source[0] >= start + period}:
                return False
            if kind == "parallel" and not self._is_parallel(at, period, times, place):
                return False
            if kind != "parallel" and not is_free and not self._is_chained(at, period, times, place):
                return False
        return True

    def _shared(self, at: int, period: int) -> set[tuple[int, int]]:
        """Return which steps of a repetition read the same from outside."""
        outside = [{source for source in self.reads[at + step] if source[0] < at} for step in range(period)]
        return {(one, other) for one, other in combinations(range(period), 2) if outside[one] & outside[other]}

    def _joins(self, at: int, period: int) -> int:
        """Count the rows that are no calls of modules."""
        functions = (element for element in self.elements[at : at + period] if element.scope is None)
        nodes = (self.outline.node(element.nodes[0]) for element in functions)
        return sum(node.kind != "module" and self.outline.takes_row(node) for node in nodes)

    def _is_chained(self, at: int, period: int, times: int, place: int) -> bool:
        """Return whether a step and its counterpart read the same, or the results of counterparts.

        What the first repetition reads from outside may be the start of what is handed from one to the next.
        """
        start = at + (times - 1) * period
        one = {self._drawn(source, at) for source in self.reads[place] if source[0] < start}
        other = {self._drawn(source, at) for source in self.reads[place + period] if source[0] < start + period}
        if times > 1:
            return other == {(source + period * (source >= at), node) for source, node in one}
        carried = {source for source in other if source[0] >= at}
        return other - carried <= one and (one <= other or bool(carried))

    def _is_parallel(self, at: int, period: int, times: int, place: int) -> bool:
        start = at + (times - 1) * period
        one = {self._drawn(source, at) for source in self.reads[place] if source[0] < start}
        other = {self._drawn(source, at) for source in self.reads[place + period] if source[0] < start + period}
        return one == other and all(source < at for source, _ in other) and self._is_read_alike(place, period, times)

    def _drawn(self, source: Source, until: int) -> Source:
        """Return the step that is drawn for one that stands before ``until``."""
        place, node = source
        return (self.drawn[place], node) if 0 <= place < until else source

    def _is_read_alike(self, place: int, period: int, times: int) -> bool:
        """Return whether the same steps read two counterparts, as equals, or equal steps that stand equally far apart.

        The first of a sum may be read by the same step as the second, or by one that adds it to zero.
        """
        readers, others = self._readers(place), self._readers(place + period)
        if {name for name, _ in readers} == {name for name, _ in others}:
            return all(self._takes_equals(name, slot) for name, slot in {*readers, *others})
        distances = self._distances(readers, others)
        if distances is None or times == 1:
            return distances is not None
        earlier = self._distances(self._readers(place - period), readers)
        return distances == earlier or (times == 2 and earlier is not None and not any(earlier))

    def _readers(self, place: int) -> list[tuple[str, str]]:
        """Return the steps that read one of a parallel branch, with the slot, in the order of the run."""
        nodes = self.elements[place].nodes
        found = {reader for name in nodes for reader in self.outline.readers[name] if reader[0] not in nodes}
        return sorted(found, key=lambda reader: (self.outline.position[reader[0]], reader[1]))

    def _distances(self, readers: list[tuple[str, str]], others: list[tuple[str, str]]) -> list[int] | None:
        """Return how far apart the steps are that read two counterparts; None if these are no steps of this module."""
        places = self.outline.places(self.scope)
        pairs = [
            (places.get(one, (None, 0))[0], places.get(other, (None, 0))[0])
            for (one, _), (other, _) in zip(readers, others, strict=False)
        ]
        if len(readers) != len(others) or any(one is None or other is None for one, other in pairs):
            return None
        return [other - one for one, other in pairs if one is not None and other is not None]

    def _takes_equals(self, name: str, slot: str) -> bool:
        """Return whether the order of what a step reads in a slot tells nothing of its role: lists, sums, results."""
        node = self.outline.node(name)
        return "." in slot or node.kind == "output" or is_commutative(node)

    # ---------------------------------------------------------------- what a figure shows of a step

    def _kind(self, element: Element, named: Collection[str]) -> int:
        """Return a number that two steps share if a figure shows the same of them but for their parameters.

        The list that holds the module that it calls counts, whatever numbers are in its path: a stem is not folded with
        the blocks behind it. The element that holds the failed operation equals no other.
        """
        outline = self.outline
        inside = tuple(path for path in sorted(named) if _holds(outline, element, path)) if named else ()
        if outline.failed in element.nodes:
            key: tuple[object, ...] = (outline.failed,)
        else:
            key = (
                inside,
                holder_of(called_path(outline, element)),
                signature(outline, element, element.scope in self.collapsed),
            )
        return outline.kinds.setdefault(key, len(outline.kinds))


def _holds(outline: Outline, element: Element, path: str) -> bool:
    own = path_of(outline, element)
    return path == own or (element.scope is not None and path.startswith(f"{own}."))
