"""Rows in the modules that they stand in: whole modules as one row, subtotals."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from fxviz._graph import ArchGraph
from fxviz._report.summary.values import Row, summed

Parts = tuple[str, ...]
"""A dotted path, taken apart; () is the model itself."""


def parts(path: str) -> Parts:
    """
    >>> parts("layer1.0"), parts("")
    (('layer1', '0'), ())
    """
    return tuple(path.split(".")) if path else ()


def to_depth(rows: Sequence[Row], graph: ArchGraph, depth: int) -> tuple[Row, ...]:
    """The rows of each module nested ``depth`` deep as one, in the place of its first."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[".".join(parts(row.name)[:depth])].append(row)
    deeper = {path for path, group in groups.items() if any(row.name != path for row in group)}
    modules = _modules(graph, deeper)
    return tuple(row for path, group in groups.items() for row in ([_whole(path, group, modules)] if path in deeper else group))


def _whole(path: str, group: Sequence[Row], modules: dict[str, Row]) -> Row:
    """A module with all that is in it."""
    known = modules.get(path) if group[0].used else None
    row = summed("module", path, group, used=group[0].used)
    own = {parameter.name for parameter in row.parameters}
    shared = dict.fromkeys(parameter for part in group for parameter in part.shared if parameter.name not in own)
    row = replace(row, shared=tuple(shared))
    return row if known is None else replace(row, type=known.type, calls=known.calls, output=known.output)


def _modules(graph: ArchGraph, paths: set[str]) -> dict[str, Row]:
    """What the calls of these modules say: class, number of calls, and the shape that leaves the first."""
    exits = _exits(graph, paths)
    modules: dict[str, Row] = {}
    for scope in graph.scopes:
        if scope.path in modules:
            modules[scope.path] = replace(modules[scope.path], calls=(modules[scope.path].calls or 0) + 1)
        elif scope.path in paths:
            modules[scope.path] = Row("module", scope.path, scope.class_name, calls=1, output=exits.get(scope.id))
    return modules


def _exits(graph: ArchGraph, paths: set[str]) -> dict[int, tuple[int, ...]]:
    """The shape that leaves each call of these modules, where the result of one step alone is used outside of it."""
    around: dict[int, tuple[int, ...]] = {}
    for scope in graph.scopes:
        outer = () if scope.parent is None else around[scope.parent]
        around[scope.id] = (*outer, scope.id) if scope.path in paths else outer
    leaving: dict[int, set[str]] = defaultdict(set)
    for edge in graph.edges:
        source, inside = graph.by_id[edge.source], around[graph.by_id[edge.target].scope]
        for scope_id in around[source.scope]:
            if scope_id not in inside and source.kind != "parameter":
                leaving[scope_id].add(source.id)
    last = {scope_id: graph.by_id[min(names)] for scope_id, names in leaving.items() if len(names) == 1}
    return {scope_id: node.outputs[0].shape for scope_id, node in last.items() if len(node.outputs) == 1}


@dataclass(frozen=True)
class Placed:
    """A row, and the module that it stands in."""

    row: Row
    home: Parts

    @property
    def around(self) -> Iterator[Parts]:
        """The modules around it, from the inside to the outside, without the model itself."""
        return (self.home[:length] for length in range(len(self.home), 0, -1))


def with_subtotals(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The same rows, those of a module next to each other, and after them their sum, if the module has two entries or more."""
    placed = _together(_placed(rows))
    return tuple(_closed(placed, _entries(placed)))


def _placed(rows: Sequence[Row]) -> list[Placed]:
    """A row for a module that has other rows in it stands in that module."""
    outer = {parts(row.name)[:-1] for row in rows}
    return [Placed(row, own if (own := parts(row.name)) in outer else own[:-1]) for row in rows]


def _together(placed: Sequence[Placed]) -> list[Placed]:
    """The rows of each module next to each other, each module in the place of its first row."""
    first: dict[Parts, int] = {}
    places = [
        (*(first.setdefault(path, place) for path in reversed(tuple(item.around))), place) for place, item in enumerate(placed)
    ]
    return [placed[order[-1]] for order in sorted(places)]


def _entries(placed: Sequence[Placed]) -> Counter[Parts]:
    """How many entries each module has: rows, and modules with rows."""
    modules = {path for item in placed for path in item.around}
    return Counter(item.home for item in placed) + Counter(path[:-1] for path in modules)


def _closed(placed: Sequence[Placed], entries: Counter[Parts]) -> Iterator[Row]:
    """The rows, and a subtotal wherever a module ends."""
    inside: dict[Parts, list[Row]] = defaultdict(list)
    for item, following in zip_longest(placed, placed[1:]):
        yield item.row
        for path in item.around:
            inside[path].append(item.row)
        for path in item.around:
            if following is not None and following.home[: len(path)] == path:
                break
            if entries[path] > 1:
                yield summed("subtotal", ".".join(path), inside[path], used=item.row.used)
