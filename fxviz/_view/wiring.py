"""Join the rows: find the edges that run down the page, the skips, and the edges that must be drawn past other rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, pairwise

from fxviz._graph import SKIP_KINDS, Skip
from fxviz._graph.index import immediate_dominators
from fxviz._graph.operations import is_view
from fxviz._view.outline import Outline
from fxviz._view.rows import Draft, Drafts
from fxviz._view.view import INPUT, OUTPUT, Arc

NEAR = 2
"""A concat skip over this many rows or fewer is drawn along them (a dense block), not as an arc."""

MOST_WAYS = 6
"""The most repetitions of one row that each have a line to the same reader."""


@dataclass
class Wiring:
    """Edges between rows by id (``INPUT`` and ``OUTPUT`` included), and the skips among them that are arcs.

    ``ways`` tell, for an edge whose head reads several repetitions of its tail, how many.
    """

    edges: set[tuple[int, int]]
    arcs: list[Arc]
    ways: dict[tuple[int, int], int]


def find_skips(outline: Outline, drafts: Drafts) -> list[tuple[Skip, Draft | int, Draft, Draft]]:
    """Return each skip between two rows, with the row of its fork, the row where it ends, and that of its join.

    A skip ends in its projection, if it has one, which is marked and moved directly above the join unless others read
    it, too. Skips inside one row are counted there. One from the repetition before, where the first repetition starts
    at a constant, has no row.
    """
    for row in drafts.rows:
        row.skips.clear()
        _keep_input(row, False)
    found = []
    for skip in outline.graph.skips:
        if drafts.is_lent(skip.fork) or drafts.entrance(skip.join):
            continue
        fork, join = drafts.row(skip.fork), drafts.row(skip.join)
        if not isinstance(join, Draft) or _is_inside(outline, drafts, skip, fork, join):
            continue
        if fork is join or (isinstance(fork, Draft) and fork.id >= join.id):
            continue
        found.append((skip, fork, _end(outline, drafts, skip, fork, join), join))
    drafts.number()
    return found


def _keep_input(row: Draft, kept: bool) -> None:
    """Note whether the row's input is kept beside its output."""
    if row.shown.concat != kept:
        row.shown = replace(row.shown, concat=kept)


def _is_inside(outline: Outline, drafts: Drafts, skip: Skip, fork: Draft | int, join: Draft) -> bool:
    """Return whether a module's row hides the skip: all that it passes is in the row, or before it in that of the fork.

    What else the row reads does not matter: the time embedding of a diffusion model, the stream of another resolution.
    """
    if not join.hides or skip.join in drafts.stands_for:
        return join.hides
    passed = outline.graph.index.between(skip.fork, skip.join)
    if fork is not join and any(drafts.row(name) not in (fork, join) for name in passed):
        return False
    join.skips[skip.kind] += 1
    return True


def _end(outline: Outline, drafts: Drafts, skip: Skip, fork: Draft | int, join: Draft) -> Draft:
    """Return the row where a skip ends: its first layer, or else the join. Move the rows on it above the join."""
    on_the_way = [row for row in dict.fromkeys(map(drafts.row, skip.through)) if isinstance(row, Draft)]
    rows = [row for row in on_the_way if row is not join and row is not fork]
    if all(_can_move(outline, drafts, row, join, rows) for row in rows):
        for row in rows:
            row.shown = replace(row.shown, kind="projection")
            drafts.rows.remove(row)
            drafts.rows.insert(drafts.rows.index(join), row)
    elif not all(_is_on(outline, row, skip) for row in rows):
        return join
    return rows[0] if rows else join


def _can_move(outline: Outline, drafts: Drafts, row: Draft, join: Draft, others: list[Draft]) -> bool:
    """Return whether a row stands in the frame of the join and only the join and the others on the skip read it."""
    users = {drafts.row(user) for name in row.nodes for user in outline.users[name]} - {row}
    return row.kind in ("layer", "plain", "projection") and row.frames == join.frames and users <= {join, *others}


def _is_on(outline: Outline, row: Draft, skip: Skip) -> bool:
    """Return whether all layers of a row are on the skip."""
    return all(name in skip.through for name in row.nodes if outline.takes_row(outline.node(name)))


def wire(outline: Outline, drafts: Drafts) -> Wiring:
    """Return all edges between rows, and the skips. Put the rows in their final order."""
    found = find_skips(outline, drafts)
    graph = RowGraph(_edges(outline, drafts))
    near = {skip: (fork, join) for skip, fork, _, join in found if _is_near(drafts, graph, skip, fork, join)}
    for fork, join in near.values():
        for row in drafts.rows[_id(fork) + 1 : join.id + join.hides]:
            _keep_input(row, True)
    for join in sorted({join for skip, *_, join in found if skip.kind == "concat"}, key=lambda row: -row.id):
        _end_dense_block(drafts, graph, join)
    drafts.number()
    arcs: dict[tuple[int, int], Arc] = {}
    for skip, _, end, join in sorted(found, key=lambda skip: SKIP_KINDS.index(skip[0].kind)):
        if skip not in near:
            _add_arc(arcs, drafts, skip, end if end is not join else drafts.row(skip.join))
    in_order = sorted(arcs.values(), key=lambda arc: (arc.head, arc.tail))
    return Wiring(_edges(outline, drafts), in_order, _ways(outline, drafts))


def _edges(outline: Outline, drafts: Drafts) -> set[tuple[int, int]]:
    unread = outline.graph.index.unread
    read = (edge for edge in outline.graph.edges if edge.target not in unread and not drafts.is_lent(edge.source))
    ends = (
        (_id(drafts.row(shown)), _id(drafts.reader(edge.target)))
        for edge in read
        for shown in (edge.source, _made_by(outline, edge.source))
    )
    return {edge for edge in ends if _runs_down(*edge)}


def _made_by(outline: Outline, name: str) -> str:
    """Return the node that made what a view shows: it may stand in the row of one of its readers, and have others."""
    index, node = outline.graph.index, outline.node(name)
    while not outline.shows(node.id) and is_view(node) and (source := index.main_argument(node)) is not None:
        node = source
    return node.id if outline.shows(node.id) else name


def _ways(outline: Outline, drafts: Drafts) -> dict[tuple[int, int], int]:
    """Return the edges of which a step reads 2 to ``MOST_WAYS`` repetitions of the tail, and that number."""
    ways: dict[tuple[int, int], int] = {}
    hidden = drafts.stands_for
    for name in dict.fromkeys(reader for one in hidden for reader, _ in outline.readers.get(one, ())):
        if name in hidden:
            continue
        read = {origin for source in outline.sources[name] for origin in outline.origins[source]}
        rows = Counter(_id(drafts.row(origin)) for origin in read & hidden.keys())
        rows.update({_id(drafts.row(origin)) for origin in read - hidden.keys()})
        head = _id(drafts.row(name))
        for tail, count in rows.items():
            if INPUT < tail < head:
                ways[tail, head] = max(count, ways.get((tail, head), 0))
    return {edge: count for edge, count in ways.items() if 1 < count <= MOST_WAYS}


def _add_arc(arcs: dict[tuple[int, int], Arc], drafts: Drafts, skip: Skip, end: Draft | int) -> None:
    """Add one arc for all skips between two rows, of the kind that comes first. A rail may have moved the fork."""
    tail, head = _id(drafts.row(skip.fork)), _id(end)
    if tail < head:
        arcs.setdefault((tail, head), Arc(skip.kind, tail, head))


def _is_near(drafts: Drafts, graph: RowGraph, skip: Skip, fork: Draft | int, join: Draft) -> bool:
    """Return whether a skip is drawn as a rail: a concatenation a few rows on, in or after a row for a whole block.

    The rows that the rail passes read one another.
    """
    last = drafts.rows[join.id - 1]
    after_block = join.kind == "block" or (last.kind == "block" and last.frames == join.frames)
    rows = range(_id(fork), join.id + join.hides)
    is_chain = all(above in graph.predecessors[row] for above, row in pairwise(rows))
    return skip.kind == "concat" and 1 < len(rows) <= NEAR + join.hides and after_block and is_chain


def _end_dense_block(drafts: Drafts, graph: RowGraph, join: Draft) -> None:
    """Make a concatenation that ends a dense block a part of its last row.

    That row reads all that the concatenation reads beside it: it joins them, too.
    """
    last = drafts.rows[join.id - 1]
    if join.kind != "join" or last.kind != "block" or last.frames != join.frames:
        return
    beside = graph.predecessors[join.id] - {last.id}
    if graph.predecessors[last.id] == beside and (len(beside) > 1 or (last.shown.alike and last.skips["concat"])):
        drafts.absorb(last, join)
        last.shown = replace(last.shown, output=join.shown.output)


def _id(row: Draft | int) -> int:
    return row if isinstance(row, int) else row.id


def _runs_down(tail: int, head: int) -> bool:
    """Return whether an edge is drawn. One from a repetition to the next is not: the xN says it."""
    if tail == OUTPUT or head == INPUT:
        return False
    return tail == INPUT or head == OUTPUT or tail < head


def passing(wiring: Wiring, drafts: Drafts, explained: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the edges to be drawn past other rows, which are neither skips nor branches."""
    arcs = {(arc.tail, arc.head) for arc in wiring.arcs}
    passing = sorted(wiring.edges - explained - arcs)
    return [edge for edge in passing if not _is_read_down(drafts, wiring.edges, *edge)]


def _is_read_down(drafts: Drafts, edges: set[tuple[int, int]], tail: int, head: int) -> bool:
    """Return whether ``head`` follows ``tail``: directly, or past rows on a skip or rows that keep what they read."""
    rows = drafts.rows
    if head != OUTPUT and rows[head].kind == "projection":
        return tail != INPUT and tail == head - 1 and rows[tail].kind == "projection"
    stop = len(rows) if head == OUTPUT else head
    between = (row for row in range(tail + 1, stop) if rows[row].kind != "projection")
    return all(rows[row].shown.concat and (above, row) in edges for above, row in pairwise(chain((tail,), between)))


class RowGraph:
    """Edges between rows by id, looked up from both ends."""

    def __init__(self, edges: Iterable[tuple[int, int]]) -> None:
        self.successors: dict[int, set[int]] = defaultdict(set)
        self.predecessors: dict[int, set[int]] = defaultdict(set)
        self.add(edges)

    def add(self, edges: Iterable[tuple[int, int]]) -> None:
        for tail, head in edges:
            self.successors[tail].add(head)
            self.predecessors[head].add(tail)


def trunk(wiring: Wiring, rows: int) -> frozenset[tuple[int, int]]:
    """Return the edges to be kept straight. Skips are not on the trunk."""
    graph = RowGraph(wiring.edges)
    graph.add([(INPUT, row) for row in range(rows) if not graph.predecessors[row]])
    graph.add([(row, OUTPUT) for row in range(rows) if not graph.successors[row]])
    skips = {(arc.tail, arc.head) for arc in wiring.arcs}
    return frozenset(edge for above, below in pairwise(_waist(graph)) for edge in _middle(graph, skips, above, below))


def _waist(graph: RowGraph) -> list[int]:
    """Return the rows on every path from the input to the output: the dominators of the input, seen from the output."""
    dominators = immediate_dominators(graph.predecessors, OUTPUT)
    waist = [INPUT]
    while waist[-1] != OUTPUT and waist[-1] in dominators:
        waist.append(dominators[waist[-1]])
    return waist


def _middle(graph: RowGraph, skips: set[tuple[int, int]], above: int, below: int) -> Iterator[tuple[int, int]]:
    """Yield the edges of the middle path, where several lead from one row of the waist to the next."""
    ways = sorted(head for head in graph.successors[above] if (above, head) not in skips and head != below)
    if len(ways) < 2:
        return
    at = ways[(len(ways) - 1) // 2]
    yield above, at
    while at != below:
        tail, at = at, min((head for head in graph.successors[at] if head != OUTPUT), default=OUTPUT)
        yield tail, at
