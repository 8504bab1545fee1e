"""Parallel branches: where the rows between a fork and the place where all of its ways meet again fall apart into groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby, pairwise, takewhile
from typing import TYPE_CHECKING

from fxviz._graph.operations import is_heavy, plain_name
from fxviz._view.outline import Outline
from fxviz._view.rows import Draft, Drafts
from fxviz._view.view import INPUT, OUTPUT
from fxviz._view.wiring import Wiring

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True)
class Region:
    """The rows between ``fork`` and ``join`` as branches, each a list of row ids in order."""

    fork: int
    join: int
    branches: tuple[tuple[int, ...], ...]

    def edges(self) -> set[tuple[int, int]]:
        """The edges that branching explains: from the fork into each branch, out of each branch into the join."""
        inside = [row for branch in self.branches for row in branch]
        return {(self.fork, row) for row in inside} | {(row, self.join) for row in inside}


def find_regions(wiring: Wiring, drafts: Drafts) -> list[Region]:
    """The outermost regions of parallel branches, in order. Rows on skips are no branches."""
    import networkx as nx

    flow = _row_flow(wiring, drafts)
    if all(flow.out_degree(row) < 2 for row in flow):
        return []
    meets = nx.immediate_dominators(flow.reverse(copy=False), OUTPUT)
    joined = flow.copy()
    joined.add_edges_from((arc.tail, arc.head) for arc in wiring.arcs)
    reach = _Reach(joined, drafts)
    found: list[Region] = []
    done = INPUT
    for fork in [INPUT, *range(len(drafts.rows))]:
        if fork >= done and flow.out_degree(fork) > 1 and fork in meets and reach.stays(fork, meets[fork]):
            region = _region(joined, drafts, fork, meets[fork])
            if region is not None:
                found.append(region)
                done = region.join if region.join != OUTPUT else len(drafts.rows)
    return found


class _Reach:
    """How far up each row reads and how far down it is read, to tell at little cost most places that hold no branches."""

    def __init__(self, flow: nx.DiGraph, drafts: Drafts) -> None:
        self.end = len(drafts.rows)
        self.first, self.last = list(range(self.end)), list(range(self.end))
        for row in drafts.rows:
            if row.kind != "projection":
                self.first[row.id] = min(flow.predecessors(row.id), default=row.id)
                self.last[row.id] = max(map(self._place, flow.successors(row.id)), default=row.id)

    def _place(self, row: int) -> int:
        return self.end if row == OUTPUT else row

    def stays(self, fork: int, join: int) -> bool:
        """Whether the rows between fork and join read nothing above the fork and are read by nothing below the join."""
        inside = slice(fork + 1, self._place(join))
        return min(self.first[inside], default=fork) >= fork and max(self.last[inside], default=0) <= self._place(join)


def _row_flow(wiring: Wiring, drafts: Drafts) -> nx.DiGraph:
    import networkx as nx

    skipped = {(arc.tail, arc.head) for arc in wiring.arcs}
    beside = {row.id for row in drafts.rows if row.kind == "projection"}
    flow: nx.DiGraph = nx.DiGraph()
    flow.add_nodes_from([INPUT, *range(len(drafts.rows)), OUTPUT])
    flow.add_edges_from(
        (tail, head) for tail, head in sorted(wiring.edges - skipped) if tail not in beside and head not in beside
    )
    flow.add_edges_from((row, OUTPUT) for row in [INPUT, *range(len(drafts.rows))] if not flow.out_degree(row))
    return flow


def _region(flow: nx.DiGraph, drafts: Drafts, fork: int, join: int) -> Region | None:
    import networkx as nx

    stop = len(drafts.rows) if join == OUTPUT else join
    inside = [row for row in range(fork + 1, stop) if drafts.rows[row].kind != "projection"]
    parts = sorted(sorted(part) for part in nx.weakly_connected_components(flow.subgraph(inside)))
    if len(parts) < 2 or any(not _between(flow, part, fork, join) for part in parts):
        return None
    region = Region(fork, join, tuple(_with_projections(drafts, part) for part in parts))
    starts_on_skip = any(drafts.rows[first].kind == "projection" for first, *_ in region.branches)
    return region if _keeps_frames(drafts, region) and _keeps_failure(drafts, region) and not starts_on_skip else None


def _between(flow: nx.DiGraph, part: Iterable[int], fork: int, join: int) -> bool:
    """Whether a group of rows reads from nothing but the fork and is read by nothing but the join, beside itself."""
    rows = set(part)
    reads = {source for row in rows for source in flow.predecessors(row)} - rows
    feeds = {user for row in rows for user in flow.successors(row)} - rows
    return reads <= {fork} and feeds <= {join} and bool(reads)


def _with_projections(drafts: Drafts, branch: Iterable[int]) -> tuple[int, ...]:
    """A branch with the rows on its skips, each of which stays above its join."""
    rows: list[int] = []
    for row in branch:
        above = row
        while above and drafts.rows[above - 1].kind == "projection":
            above -= 1
        rows += range(above, row + 1)
    return tuple(rows)


def _keeps_frames(drafts: Drafts, region: Region) -> bool:
    """Whether the rows of every frame still follow each other when they stand branch by branch."""
    order = [row.places for row in _in_order(drafts, region)]
    for depth in range(1, max(map(len, order), default=0) + 1):
        frames = [frame for frame, _ in groupby(places[:depth] for places in order) if len(frame) == depth]
        if len(frames) != len(set(frames)):
            return False
    return True


def _keeps_failure(drafts: Drafts, region: Region) -> bool:
    """Whether the operation that raised, which ran last, is still the last row when the rows stand branch by branch."""
    last = drafts.rows[-1]
    return last.kind != "failed" or region.join != OUTPUT or _in_order(drafts, region)[-1] is last


def _in_order(drafts: Drafts, region: Region) -> list[Draft]:
    """The rows from the fork to the join, branch by branch."""
    start = max(region.fork, 0)
    order = drafts.rows[start : len(drafts.rows) if region.join == OUTPUT else region.join + 1]
    inside = [row for branch in region.branches for row in branch]
    for place, row in zip(sorted(inside), inside, strict=True):
        order[place - start] = drafts.rows[row]
    return order


def lay_rails(drafts: Drafts, regions: Iterable[Region]) -> None:
    """Order the rows branch by branch and mark where each branch starts and goes on."""
    order = list(drafts.rows)
    for region in regions:
        within = _in_order(drafts, region)
        start = max(region.fork, 0)
        order[start : start + len(within)] = within
        for first, *others in region.branches:
            drafts.rows[first].rail = "branch"
            for other in others:
                drafts.rows[other].rail = "branch on"
    drafts.rows[:] = order


def merge(drafts: Drafts, wiring: Wiring, regions: Iterable[Region]) -> None:
    """Make each branch that is a mere chain of layers one row."""
    touching: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for edge in wiring.edges:
        for row in edge:
            touching[row].add(edge)
    chains = [branch for region in regions for branch in region.branches if _is_chain(drafts, touching, region, branch)]
    for chain in [[drafts.rows[row] for row in branch] for branch in chains]:
        _merge_into(chain[0], chain[1:], drafts)
    merged = {id(row) for row in drafts.row_of.values() if isinstance(row, Draft)}
    drafts.rows[:] = [row for row in drafts.rows if id(row) in merged]
    drafts.number()


def _is_chain(
    drafts: Drafts, touching: Mapping[int, set[tuple[int, int]]], region: Region, branch: tuple[int, ...]
) -> bool:
    """Whether a branch has several layers, each of which reads the one before, in one frame and without a skip among them."""
    rows = [drafts.rows[row] for row in branch]
    steps = set(pairwise((region.fork, *branch, region.join)))
    reads = set().union(*(touching[row] for row in branch))
    plain = all(row.kind in ("layer", "plain") and row.times == 1 and not row.rail and not row.concat for row in rows)
    return len(rows) > 1 and plain and reads <= steps and len({row.places for row in rows}) == 1


def _merge_into(first: Draft, others: list[Draft], drafts: Drafts) -> None:
    last = others[-1]
    combined = replace(
        first,
        kind="chain",
        heads=[head for row in (first, *others) for head in (row.heads or [])],
        nodes=[name for row in (first, *others) for name in row.nodes],
        after=[],
        before=[],
        tail=last.tail,
        output=last.output,
        path=_common_path(row.path for row in (first, *others)),
    )
    first.__dict__.update(combined.__dict__)
    drafts.row_of.update(dict.fromkeys(first.nodes, first))


def _common_path(paths: Iterable[str]) -> str:
    """The longest dotted path that all have in common; the first one's parent if that is all there is.

    >>> _common_path(["a.b.0.conv", "a.b.1.conv"]), _common_path(["b5x5_1.conv", "b5x5_2.conv"])
    ('a.b', 'b5x5')
    """
    names = [f"{path}." for path in paths]
    letters = takewhile(lambda alike: len(set(alike)) == 1, zip(*names, strict=False))
    common = "".join(alike[0] for alike in letters)
    if "." in common:
        return common.rpartition(".")[0]
    return common.rstrip("_.")


def count_branches(outline: Outline, row: Draft) -> int:
    """Parallel branches inside a row for a whole module: the computed inputs of its widest concatenation that is no skip."""
    inside = set(row.nodes)
    widest = 0
    for name in row.nodes:
        if plain_name(outline.node(name).op) == "cat" and name not in outline.joins:
            widest = max(widest, sum(_is_computed(outline, source, inside) for source in outline.sources[name]))
    return widest if widest > 1 else 0


def _is_computed(outline: Outline, name: str, inside: set[str]) -> bool:
    """Whether a layer inside lies directly before ``name``, with nothing but single-input steps between."""
    while name in inside:
        if is_heavy(outline.node(name)):
            return True
        sources = outline.sources[name]
        if len(sources) != 1:
            return False
        name = sources[0]
    return False
