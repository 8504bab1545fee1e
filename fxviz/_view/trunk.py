"""The trunk of a figure: where all ways lead through one row, and between such rows the middle one of several ways."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from fxviz._view.view import INPUT, OUTPUT
from fxviz._view.wiring import Wiring

if TYPE_CHECKING:
    import networkx as nx


def trunk(wiring: Wiring, rows: int) -> frozenset[tuple[int, int]]:
    """The edges to be kept straight. Skips are not on the trunk."""
    flow = _flow(wiring, rows)
    skips = {(arc.tail, arc.head) for arc in wiring.arcs}
    return frozenset(edge for above, below in pairwise(_waist(flow)) for edge in _middle(flow, skips, above, below))


def _flow(wiring: Wiring, rows: int) -> nx.DiGraph:
    """What leads from row to row; loose ends are tied to the input and the output."""
    import networkx as nx

    flow: nx.DiGraph = nx.DiGraph()
    flow.add_nodes_from([INPUT, *range(rows), OUTPUT])
    flow.add_edges_from(sorted(wiring.edges))
    flow.add_edges_from([(INPUT, row) for row in range(rows) if not flow.in_degree(row)])
    flow.add_edges_from([(row, OUTPUT) for row in range(rows) if not flow.out_degree(row)])
    return flow


def _waist(flow: nx.DiGraph) -> list[int]:
    """The rows that everything passes, from the input to the output: those that dominate the input, seen from the output."""
    import networkx as nx

    above = nx.immediate_dominators(flow.reverse(copy=False), OUTPUT)
    waist = [INPUT]
    while waist[-1] != OUTPUT and waist[-1] in above:
        waist.append(above[waist[-1]])
    return waist


def _middle(flow: nx.DiGraph, skips: set[tuple[int, int]], above: int, below: int) -> Iterator[tuple[int, int]]:
    """The way through the middle, where several ways lead from one row of the waist to the next."""
    ways = sorted(head for head in flow.successors(above) if (above, head) not in skips and head != below)
    if len(ways) < 2:
        return
    at = ways[(len(ways) - 1) // 2]
    yield above, at
    while at != below:
        tail, at = at, min((head for head in flow.successors(at) if head != OUTPUT), default=OUTPUT)
        yield tail, at
