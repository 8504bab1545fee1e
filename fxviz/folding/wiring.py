"""How the rows are joined: which edges run down the page by themselves, which are skips, which must be drawn past other rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from fxviz.folding.outline import Outline
from fxviz.folding.rows import Draft, Drafts
from fxviz.graph import Skip
from fxviz.view import INPUT, OUTPUT, Arc

NEAR = 2
"""A concat skip over so few rows is drawn along them (a dense block), not as an arc."""


@dataclass
class Wiring:
    """Edges between rows by id (``INPUT`` and ``OUTPUT`` included), the skips among them, and the rows in which a skip ends."""

    edges: set[tuple[int, int]] = field(default_factory=set)
    arcs: list[Arc] = field(default_factory=list)
    joins: set[int] = field(default_factory=set)


def find_skips(outline: Outline, drafts: Drafts) -> list[tuple[Skip, Draft | int, Draft, Draft]]:
    """Each skip that joins two rows: fork row, the row in which it ends (the projection if there is one), the join's row.

    Skips inside one row are counted there; the layer on a skip is marked and moved directly above the join.
    """
    found = []
    for skip in outline.graph.skips:
        fork, join = drafts.row(skip.fork), drafts.row(skip.join)
        if not isinstance(join, Draft) or _is_inside(outline, drafts, skip, fork, join):
            continue
        if fork is join or skip.kind == "gate" or (isinstance(fork, Draft) and fork.id >= join.id):
            continue
        found.append((skip, fork, _projection(drafts, skip, fork, join) or join, join))
    drafts.number()
    return found


def _is_inside(outline: Outline, drafts: Drafts, skip: Skip, fork: Draft | int, join: Draft) -> bool:
    """Whether the row hides the skip: it is a whole module, and reads nothing but the fork."""
    if join.kind != "block" or skip.join not in join.nodes:
        return join.kind == "block"
    read = {drafts.row(source) for name in join.nodes for source in outline.sources[name]} - {join}
    if fork is not join and read != {fork}:
        return False
    join.skips[skip.kind] += 1
    return True


def _projection(drafts: Drafts, skip: Skip, fork: Draft | int, join: Draft) -> Draft | None:
    """The first row on the skip's way, moved with the others on it to the place above the join."""
    on_the_way = [row for row in dict.fromkeys(map(drafts.row, skip.through)) if isinstance(row, Draft)]
    rows = [row for row in on_the_way if row is not join and row is not fork and row.kind in ("layer", "plain", "projection")]
    for row in rows:
        row.kind = "projection"
        if row.places == join.places:
            drafts.rows.remove(row)
            drafts.rows.insert(drafts.rows.index(join), row)
    return rows[0] if rows else None


def wire(outline: Outline, drafts: Drafts) -> Wiring:
    """All edges between rows, and the skips. Rows get their final order."""
    skips = find_skips(outline, drafts)
    near = [found for found in skips if _is_near(*found)]
    ends = [_lay_rail(drafts, fork, join) for _, fork, _, join in near]
    wiring = Wiring(joins={row.id for row in ends})
    for edge in outline.graph.edges:
        tail, head = drafts.row(edge.source), drafts.row(edge.target)
        wiring.edges.add((_id(tail), _id(head)))
    wiring.edges = {(tail, head) for tail, head in wiring.edges if _runs_down(tail, head)}
    seen: Counter[tuple[int, int]] = Counter()
    for skip, fork, end, join in (found for found in skips if found not in near):
        wiring.joins.add(join.id)
        if not seen[_id(fork), end.id]:
            seen[_id(fork), end.id] += 1
            wiring.arcs.append(Arc(skip.kind, _id(fork), end.id))
    return wiring


def _is_near(skip: Skip, fork: Draft | int, end: Draft, join: Draft) -> bool:
    return skip.kind == "concat" and join.id - _id(fork) <= NEAR


def _lay_rail(drafts: Drafts, fork: Draft | int, join: Draft) -> Draft:
    """Mark the rows past which features are kept; the concatenation after the last row of a dense block is a part of that row."""
    for row in drafts.rows[_id(fork) + 1 : join.id + (join.kind == "block")]:
        row.rail = "concat"
    last = drafts.rows[join.id - 1]
    if join.kind != "join" or last.places != join.places:
        return join
    drafts.absorb(last, join)
    drafts.number()
    return last


def _id(row: Draft | int) -> int:
    return row if isinstance(row, int) else row.id


def _runs_down(tail: int, head: int) -> bool:
    """False for what leads from one repetition to the next: the xN says it."""
    if tail == OUTPUT or head == INPUT:
        return False
    return tail == INPUT or head == OUTPUT or tail < head


def passing(wiring: Wiring, drafts: Drafts, explained: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """The edges that go past other rows and are neither skips nor branches: they have to be drawn."""
    last = len(drafts.rows) - 1
    arcs = {(arc.tail, arc.head) for arc in wiring.arcs}
    found = []
    for tail, head in sorted(wiring.edges - explained - arcs):
        adjacent = head == tail + 1 or (tail == INPUT and head in (0, OUTPUT)) or (tail == last and head == OUTPUT)
        if not adjacent and head not in wiring.joins:
            found.append((tail, head))
    return found
