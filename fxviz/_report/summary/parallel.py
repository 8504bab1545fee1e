"""Fold the rows of equal parts that run side by side, such as 64 experts, for people to read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise

from fxviz._graph import ArchGraph
from fxviz._report.summary.values import Row, summed_times

MANY = 8
"""From this many equal parts on, one row stands for all of them."""


def fold_parallel(graph: ArchGraph, rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the rows with one for all members of a list that are equal and do not read one another.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> graph = ArchGraph(ModelInfo("net", "", "Net"), TraceInfo("meta", "fake", {}, "2.4.0", None), (), (),
    ...                   (Scope(0, "", "Net", 0, None),), ())
    >>> [row.name for row in fold_parallel(graph, [Row("layer", f"heads.{place}", "Linear") for place in range(12)])]
    ['heads.0 … 11']
    """
    merged: dict[int, Row] = {}
    left_out: set[int] = set()
    extent: dict[str, tuple[int, int]] = {}
    for path, members in _members(rows).items():
        for numbers in _equal(members):
            if len(numbers) < MANY or id(members[numbers[0]][0][1]) in merged.keys() | left_out:
                continue
            extent = extent or _extents(graph)
            if _run_side_by_side(graph, [f"{path}{number}" for number in numbers], extent.get(path, (0, 0))):
                merged |= _merged(path, numbers, members)
                left_out |= {id(row) for number in numbers[1:] for _, row in members[number]}
    return tuple(merged.get(id(row), row) for row in rows if id(row) not in left_out)


def _lists(name: str) -> Iterator[tuple[str, int, str]]:
    """Yield for each number in a dotted name what stands before it, the number, and what stands behind it."""
    names = name.split(".")
    for place, number in enumerate(names):
        if place and number.isdecimal():
            yield ".".join((*names[:place], "")), int(number), "".join(f".{inner}" for inner in names[place + 1 :])


_Members = dict[int, list[tuple[str, Row]]]
"""The rows of each member of a list by its number, with their paths inside it."""


def _members(rows: Sequence[Row]) -> dict[str, _Members]:
    """Return the members of each list, outer lists first."""
    found: dict[str, _Members] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        for outer, number, inner in _lists(row.name):
            found[outer][number].append((inner, row))
    return dict(sorted(found.items(), key=lambda item: item[0].count(".")))


def _extents(graph: ArchGraph) -> dict[str, tuple[int, int]]:
    """Return for each list the places of the first and after the last step in it."""
    found: dict[str, tuple[int, int]] = {}
    for place, node in enumerate(graph.nodes):
        for outer, _, _ in _lists(node.path):
            found[outer] = found.get(outer, (place, place))[0], place + 1
    return found


def _equal(members: _Members) -> Iterator[list[int]]:
    """Yield the numbers of consecutive members whose rows say the same."""
    facts = {number: [(inner, _facts(row)) for inner, row in rows] for number, rows in members.items()}
    starts = {later for number, later in pairwise(facts) if later != number + 1 or facts[later] != facts[number]}
    run = 0
    runs = {number: (run := run + (number in starts)) for number in facts}
    for _, numbers in groupby(facts, key=runs.__getitem__):
        yield list(numbers)


def _facts(row: Row) -> tuple[object, ...]:
    sizes = [(parameter.shape, parameter.trainable) for parameter in row.parameters]
    return row.kind, row.type, sizes, row.macs, row.macs_unknown, row.calls, row.weight, row.output


def _run_side_by_side(graph: ArchGraph, paths: Sequence[str], extent: tuple[int, int]) -> bool:
    """Return whether no module reads, past whatever steps, what another of these modules computes."""
    places = {path: place for place, path in enumerate(paths)}
    depth = paths[0].count(".") + 1
    read: dict[str, int] = {}
    for node in graph.nodes[slice(*extent)]:
        place = places.get(".".join(node.path.split(".")[:depth]))
        own = 0 if place is None else 1 << place
        sources = 0
        for source in graph.index.sources[node.id]:
            sources |= read.get(source, 0)
        if own and sources & ~own:
            return False
        if sources | own:
            read[node.id] = sources | own
    return True


def _merged(path: str, numbers: Sequence[int], members: _Members) -> dict[int, Row]:
    """Return for each row of the first of these members, by its identity, the row that stands for all."""
    merged = {}
    for alike in zip(*(members[number] for number in numbers), strict=True):
        rows = [row for _, row in alike]
        inner, first = alike[0]
        merged[id(first)] = replace(
            first,
            name=f"{path}{numbers[0]} … {numbers[-1]}{inner}",
            parameters=tuple(parameter for row in rows for parameter in row.parameters),
            shared=tuple(parameter for row in rows for parameter in row.shared),
            macs=sum(row.macs for row in rows),
            macs_unknown=sum(row.macs_unknown for row in rows),
            time=summed_times(row.time for row in rows),
            times=len(numbers),
        )
    return merged
