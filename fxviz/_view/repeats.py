"""Runs of equal steps: blocks that follow each other and iterations of a module's own code are drawn once, with xN."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from fxviz._view.collapsing import Collapsed
from fxviz._view.detail import Detail
from fxviz._view.likeness import Glance, are_equal, glance, path_of
from fxviz._view.outline import Element, Outline, Run

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
        if run and _worth(seen, run, fold_layers) and not (_is_fused(seen, at) and times[run.period][at + 1] >= run.times):
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
        return any(source in earlier for element in later for name in element.nodes for source in self.outline.sources[name])

    def wiring(self, at: int, period: int) -> list[tuple[int, ...]]:
        """For each of ``period`` elements which of the others it reads, by their order."""
        place = {name: order for order, element in enumerate(self.elements[at : at + period]) for name in element.nodes}
        found = []
        for element in self.elements[at : at + period]:
            reads = {place[source] for name in element.nodes for source in self.outline.sources[name] if source in place}
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
    if all(element.scope in seen.collapsed for element in first) or all(element.scope in seen.framed for element in first):
        return True
    outline = seen.outline
    blocks = any(element.scope is not None and outline.size[element.scope] > 1 for element in first)
    layers = any(outline.node(name).kind == "module" for element in first for name in element.nodes)
    return run.times > 2 and (blocks or (fold_layers and layers))
