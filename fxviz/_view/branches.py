"""Find parallel branches: separate groups of rows between a fork and the row where all of its paths meet again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise, takewhile

from fxviz._graph.index import immediate_dominators
from fxviz._graph.operations import is_heavy, plain_name, resamples
from fxviz._view.outline import Outline
from fxviz._view.rows import Draft, Drafts
from fxviz._view.view import INPUT, OUTPUT
from fxviz._view.wiring import RowGraph, Wiring


@dataclass(frozen=True)
class Region:
    """The rows between ``fork`` and ``join`` as branches, each a list of row ids in order."""

    fork: int
    join: int
    branches: tuple[tuple[int, ...], ...]

    def edges(self) -> set[tuple[int, int]]:
        """Return the edges that need no line: from the fork into each branch, out of each branch into the join."""
        inside = [row for branch in self.branches for row in branch]
        return {(self.fork, row) for row in inside} | {(row, self.join) for row in inside}


def find_regions(wiring: Wiring, drafts: Drafts) -> list[Region]:
    """Return the outermost regions of parallel branches, in order. Rows on skips are no branches."""
    skipped = {(arc.tail, arc.head) for arc in wiring.arcs}
    graph = _without_skips(wiring.edges - skipped, drafts)
    if all(len(heads) < 2 for heads in graph.successors.values()):
        return []
    meets = immediate_dominators(graph.predecessors, OUTPUT)
    forks = [row for row in (INPUT, *range(len(drafts.rows))) if len(graph.successors[row]) > 1]
    graph.add(skipped)
    reach = _Reach(graph, drafts)
    found: list[Region] = []
    done = INPUT
    for fork in forks:
        if fork >= done and fork in meets and reach.stays(fork, meets[fork]):
            region = _region(graph, drafts, fork, meets[fork])
            if region is not None:
                found.append(region)
                done = region.join if region.join != OUTPUT else len(drafts.rows)
    return found


def _without_skips(edges: set[tuple[int, int]], drafts: Drafts) -> RowGraph:
    """Return these edges without the rows on skips; loose ends lead to the output."""
    beside = {row.id for row in drafts.rows if row.kind == "projection"}
    graph = RowGraph((tail, head) for tail, head in edges if tail not in beside and head not in beside)
    graph.add([(row, OUTPUT) for row in (INPUT, *range(len(drafts.rows))) if not graph.successors[row]])
    return graph


class _Reach:
    """The first row that each row reads and the last one that reads it, to rule out most forks quickly."""

    def __init__(self, graph: RowGraph, drafts: Drafts) -> None:
        self.end = len(drafts.rows)
        self.first, self.last = list(range(self.end)), list(range(self.end))
        for row in drafts.rows:
            if row.kind != "projection":
                self.first[row.id] = min(graph.predecessors[row.id], default=row.id)
                self.last[row.id] = max(map(self._place, graph.successors[row.id]), default=row.id)

    def _place(self, row: int) -> int:
        return self.end if row == OUTPUT else row

    def stays(self, fork: int, join: int) -> bool:
        """Return whether the rows between fork and join read nothing above the fork and feed nothing below the join."""
        inside = slice(fork + 1, self._place(join))
        return min(self.first[inside], default=fork) >= fork and max(self.last[inside], default=0) <= self._place(join)


def _region(graph: RowGraph, drafts: Drafts, fork: int, join: int) -> Region | None:
    stop = len(drafts.rows) if join == OUTPUT else join
    inside = [row for row in range(fork + 1, stop) if drafts.rows[row].kind != "projection"]
    parts = _components(graph, inside)
    if len(parts) < 2 or any(not _between(graph, part, fork, join) for part in parts):
        return None
    region = Region(fork, join, tuple(_with_projections(drafts, part) for part in parts))
    starts_on_skip = any(drafts.rows[first].kind == "projection" for first, *_ in region.branches)
    return region if _keeps_frames(drafts, region) and _keeps_failure(drafts, region) and not starts_on_skip else None


def _components(graph: RowGraph, rows: Sequence[int]) -> list[list[int]]:
    """Return the connected groups among ``rows``, which are in order; each group is in order, too."""
    left = set(rows)
    components = []
    for row in rows:
        if row not in left:
            continue
        component: list[int] = []
        waiting = [row]
        while waiting:
            at = waiting.pop()
            if at in left:
                left.remove(at)
                component.append(at)
                waiting += graph.predecessors[at] | graph.successors[at]
        components.append(sorted(component))
    return components


def _between(graph: RowGraph, part: Iterable[int], fork: int, join: int) -> bool:
    """Return whether these rows read nothing but the fork and feed nothing but the join, apart from each other."""
    rows = set(part)
    reads = set().union(*(graph.predecessors[row] for row in rows)) - rows
    feeds = set().union(*(graph.successors[row] for row in rows)) - rows
    return reads <= {fork} and feeds <= {join} and bool(reads)


def _with_projections(drafts: Drafts, branch: Iterable[int]) -> tuple[int, ...]:
    """Return a branch with the rows on its skips, each of which stays above its join."""
    rows: list[int] = []
    for row in branch:
        above = row
        while above and drafts.rows[above - 1].kind == "projection":
            above -= 1
        rows += range(above, row + 1)
    return tuple(rows)


def _keeps_frames(drafts: Drafts, region: Region) -> bool:
    """Return whether the rows of every frame stay together when they stand branch by branch."""
    order = [row.frames for row in _in_order(drafts, region)]
    for depth in range(1, max(map(len, order), default=0) + 1):
        frames = [frame for frame, _ in groupby(around[:depth] for around in order) if len(frame) == depth]
        if len(frames) != len(set(frames)):
            return False
    return True


def _keeps_failure(drafts: Drafts, region: Region) -> bool:
    """Return whether the operation that raised stays the last row when the rows stand branch by branch."""
    last = drafts.rows[-1]
    return last.kind != "failed" or region.join != OUTPUT or _in_order(drafts, region)[-1] is last


def _in_order(drafts: Drafts, region: Region) -> list[Draft]:
    """Return the rows from the fork to the join, branch by branch."""
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
        for branch in region.branches:
            for row in (drafts.rows[place] for place in branch):
                row.shown = replace(row.shown, rail="branch" if row.id == branch[0] else "branch on")
    drafts.rows[:] = order


def merge_branches(drafts: Drafts, wiring: Wiring, regions: Iterable[Region]) -> None:
    """Make each branch that is a mere chain of layers one row."""
    touching: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for edge in wiring.edges:
        for row in edge:
            touching[row].add(edge)
    chains = [branch for region in regions for branch in region.branches if _is_chain(drafts, touching, region, branch)]
    for chain in [[drafts.rows[row] for row in branch] for branch in chains]:
        _merge(chain, drafts)
    merged = {id(row) for row in drafts.row_of.values() if isinstance(row, Draft)}
    drafts.rows[:] = [row for row in drafts.rows if id(row) in merged]
    drafts.number()


def _is_chain(
    drafts: Drafts, touching: Mapping[int, set[tuple[int, int]]], region: Region, branch: tuple[int, ...]
) -> bool:
    """Return whether a branch is several layers in one frame, each reading the one before, without a skip."""
    rows = [drafts.rows[row] for row in branch]
    steps = set(pairwise((region.fork, *branch, region.join)))
    reads = set().union(*(touching[row] for row in branch))
    are_layers = all(row.kind in ("layer", "plain") for row in rows)
    are_plain = all(row.shown.times == 1 and not row.shown.rail and not row.shown.concat for row in rows)
    same_frames = len({row.frames for row in rows}) == 1
    return len(rows) > 1 and are_layers and are_plain and reads <= steps and same_frames


def _merge(chain: Sequence[Draft], drafts: Drafts) -> None:
    first, last = chain[0], chain[-1]
    first.shown = replace(
        first.shown,
        kind="chain",
        heads=tuple(head for row in chain for head in row.shown.heads),
        before=(),
        after=(),
        output=last.shown.output,
        path=_common_path(row.shown.path for row in chain),
    )
    first.nodes = [name for row in chain for name in row.nodes]
    first.tail = last.tail
    drafts.row_of.update(dict.fromkeys(first.nodes, first))


def _common_path(paths: Iterable[str]) -> str:
    """Return the longest dotted path that all have in common, or the common beginning of their first names.

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
    """Return the number of parallel branches in a module: those that meet in its widest concatenation, but skips."""
    inside = set(row.nodes)
    joins = (name for name in row.nodes if plain_name(outline.node(name).op) == "cat" and name not in outline.joins)
    widest = max((_count_branches(outline, name, inside) for name in joins), default=0)
    return widest if widest > 1 else 0


def _count_branches(outline: Outline, join: str, inside: set[str]) -> int:
    """Count the inputs of a concatenation that have layers of their own and lead to none of the others."""
    ends = {end for source in outline.sources[join] if (end := _last_step(outline, source, inside))}
    if len(ends) < 2:
        return 0
    behind = {end: _behind(outline, end, inside) for end in ends}
    branches = Counter(name for names in behind.values() for name in names)
    own = ({name for name in behind[end] if branches[name] == 1} if branches[end] == 1 else () for end in ends)
    return sum(any(_is_layer(outline, name) for name in names) for names in own)


def _is_layer(outline: Outline, name: str) -> bool:
    node = outline.node(name)
    return is_heavy(node) or resamples(node) or (node.kind == "module" and outline.takes_row(node))


def _last_step(outline: Outline, name: str, inside: set[str]) -> str | None:
    """Return the last step inside that is drawn before a result, None if it comes from outside past none."""
    while name in inside:
        sources = outline.sources[name]
        if outline.takes_row(outline.node(name)) or len(sources) != 1:
            return name
        name = sources[0]
    return None


def _behind(outline: Outline, name: str, inside: set[str]) -> set[str]:
    """Return a step and all those inside that lead to it."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        at = waiting.pop()
        if at in inside and at not in found:
            found.add(at)
            waiting += outline.sources[at]
    return found
