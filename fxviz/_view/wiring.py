"""How the rows are joined: which edges run down the page, which are skips, which must be drawn past other rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from fxviz._graph import SKIP_KINDS, Skip
from fxviz._view.outline import Outline
from fxviz._view.rows import Draft, Drafts
from fxviz._view.view import INPUT, OUTPUT, Arc

if TYPE_CHECKING:
    import networkx as nx

NEAR = 2
"""A concat skip over so few rows is drawn along them (a dense block), not as an arc."""


@dataclass
class Wiring:
    """Edges between rows by id (``INPUT`` and ``OUTPUT`` included), and the skips among them that are arcs."""

    edges: set[tuple[int, int]] = field(default_factory=set)
    arcs: list[Arc] = field(default_factory=list)


def find_skips(outline: Outline, drafts: Drafts) -> list[tuple[Skip, Draft | int, Draft, Draft]]:
    """Each skip that joins two rows: fork row, the row in which it ends (the projection if there is one), the join's row.

    Skips inside one row are counted there; the layer on a skip is marked and moved directly above the join.
    """
    for row in drafts.rows:
        row.skips.clear()
        row.concat = False
    found = []
    reads: dict[int, set[Draft | int]] = {}
    for skip in outline.graph.skips:
        fork, join = drafts.row(skip.fork), drafts.row(skip.join)
        if not isinstance(join, Draft) or _is_inside(outline, drafts, skip, fork, join, reads):
            continue
        if fork is join or (isinstance(fork, Draft) and fork.id >= join.id):
            continue
        found.append((skip, fork, _projection(outline, drafts, skip, fork, join) or join, join))
    drafts.number()
    return found


def _is_inside(
    outline: Outline, drafts: Drafts, skip: Skip, fork: Draft | int, join: Draft, reads: dict[int, set[Draft | int]]
) -> bool:
    """Whether the row hides the skip: it stands for what is inside, and nothing else that it reads may come from the fork.

    That is clear for what ran before the fork, such as the time embedding of a diffusion model's block.
    """
    if not join.hides or skip.join in drafts.stands_for:
        return join.hides
    if id(join) not in reads:
        reads[id(join)] = {drafts.row(source) for name in join.nodes for source in outline.sources[name]} - {join}
    others = reads[id(join)] - {fork}
    if fork is not join and (fork not in reads[id(join)] or not _ran_before(others, fork, skip.kind)):
        return False
    join.skips[skip.kind] += 1
    return True


def _ran_before(others: set[Draft | int], fork: Draft | int, kind: str) -> bool:
    """Whether all these rows ran before the fork of a residual skip. A concatenation is of all that its row reads."""
    return not others or (kind not in ("concat", "gate") and all(_id(other) < _id(fork) for other in others))


def _projection(outline: Outline, drafts: Drafts, skip: Skip, fork: Draft | int, join: Draft) -> Draft | None:
    """The first row on the skip's way, moved with the others on it to above the join; None if they serve others too."""
    on_the_way = [row for row in dict.fromkeys(map(drafts.row, skip.through)) if isinstance(row, Draft)]
    rows = [row for row in on_the_way if row is not join and row is not fork]
    if not all(_can_move(outline, drafts, row, join, rows) for row in rows):
        return None
    for row in rows:
        row.kind = "projection"
        drafts.rows.remove(row)
        drafts.rows.insert(drafts.rows.index(join), row)
    return rows[0] if rows else None


def _can_move(outline: Outline, drafts: Drafts, row: Draft, join: Draft, others: list[Draft]) -> bool:
    """Whether a row stands in the frame of the join and is read by nothing but the join and the others on the skip."""
    users = {drafts.row(user) for name in row.nodes for user in outline.users[name]} - {row}
    return row.kind in ("layer", "plain", "projection") and row.places == join.places and users <= {join, *others}


def wire(outline: Outline, drafts: Drafts) -> Wiring:
    """All edges between rows, and the skips. Rows get their final order."""
    found = find_skips(outline, drafts)
    near = [skip for skip, fork, _, join in found if _is_near(drafts, skip, fork, join)]
    for skip in near:
        _lay_rail(drafts, skip)
    railed = set(near)
    wiring = Wiring()
    for edge in outline.graph.edges:
        tail, head = _id(drafts.row(edge.source)), _id(drafts.row(edge.target))
        if _runs_down(tail, head):
            wiring.edges.add((tail, head))
    arcs: dict[tuple[int, int], Arc] = {}
    for skip, _, end, _ in sorted(found, key=lambda skip: SKIP_KINDS.index(skip[0].kind)):
        if skip not in railed:
            _add_arc(arcs, drafts, skip, end)
    wiring.arcs += sorted(arcs.values(), key=lambda arc: (arc.head, arc.tail))
    return wiring


def _add_arc(arcs: dict[tuple[int, int], Arc], drafts: Drafts, skip: Skip, end: Draft) -> None:
    """One arc for all skips between two rows, of the kind that comes first. Rails may have moved fork and join meanwhile."""
    tail, join = _id(drafts.row(skip.fork)), _id(drafts.row(skip.join))
    head = end.id if end.kind == "projection" else join
    if tail < head:
        arcs.setdefault((tail, head), Arc(skip.kind, tail, head))


def _is_near(drafts: Drafts, skip: Skip, fork: Draft | int, join: Draft) -> bool:
    """Whether a skip is drawn as a rail: a concatenation a few rows on, in or after a row that is a whole block."""
    last = drafts.rows[join.id - 1]
    after_block = join.kind == "block" or (last.kind == "block" and last.places == join.places)
    return skip.kind == "concat" and join.id - _id(fork) <= NEAR and after_block


def _lay_rail(drafts: Drafts, skip: Skip) -> None:
    """Mark the rows past which features are kept; the concatenation that ends a dense block joins its last row."""
    fork, join = drafts.row(skip.fork), drafts.row(skip.join)
    if not isinstance(join, Draft) or _id(fork) >= join.id:
        return
    for row in drafts.rows[_id(fork) + 1 : join.id + (join.kind == "block")]:
        row.concat = True
    last = drafts.rows[join.id - 1]
    if join.kind == "join" and last.kind == "block" and last.places == join.places:
        drafts.absorb(last, join)
        last.output = join.output
        drafts.number()


def _id(row: Draft | int) -> int:
    return row if isinstance(row, int) else row.id


def _runs_down(tail: int, head: int) -> bool:
    """False for what leads from one repetition to the next: the xN says it."""
    if tail == OUTPUT or head == INPUT:
        return False
    return tail == INPUT or head == OUTPUT or tail < head


def passing(wiring: Wiring, drafts: Drafts, explained: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """The edges that go past other rows and are neither skips nor branches: they have to be drawn."""
    arcs = {(arc.tail, arc.head) for arc in wiring.arcs}
    return [edge for edge in sorted(wiring.edges - explained - arcs) if not _is_read_down(drafts, *edge)]


def _is_read_down(drafts: Drafts, tail: int, head: int) -> bool:
    """Whether ``head`` follows ``tail``: directly, or past rows on a skip or with a rail, along which their input goes on."""
    rows = drafts.rows
    if head != OUTPUT and rows[head].kind == "projection":
        return tail != INPUT and tail == head - 1 and rows[tail].kind == "projection"
    between = range(tail + 1, len(rows) if head == OUTPUT else head)
    return all(rows[row].kind == "projection" or rows[row].concat for row in between)


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
