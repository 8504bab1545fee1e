"""Merge consecutive rows: functions, deeply nested modules, blocks that differ in size, rows that find no room."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import groupby

from fxviz._view.collapse import level
from fxviz._view.marks import changes_in, removed_behind
from fxviz._view.outline import Element, Outline
from fxviz._view.rows import Draft, Drafts
from fxviz._view.signatures import holder_of
from fxviz._view.view import Row, RowKind

FEW_ALIKE = 3
"""Fewer blocks than this that differ only in size are a row each."""

PIECES = 12
"""The most rows for a chain of layers that differ in size alone. Neighbours of the same range are one."""

_COUNTED: tuple[RowKind, ...] = ("layer", "projection", "chain", "block", "layers", "blocks")


def merge_code(outline: Outline, drafts: Drafts) -> None:
    """Merge consecutive functions in the same module's code, as far as data joins them."""

    def key(row: Draft) -> Hashable:
        return (row.frames, row.shown.path) if row.is_code else row.id

    _merge(drafts, key, _as_code, _Flow(outline, drafts).joined)


def merge_nested(outline: Outline, drafts: Drafts, depth: int, open_paths: Collection[str] = ()) -> None:
    """Merge consecutive rows in a module that is nested ``depth`` levels deep and never called itself.

    The module in which the run stopped stays open, and so do those of ``open_paths``.
    """

    def module(path: str) -> str:
        return ".".join(path.split(".")[:depth])

    def key(row: Draft) -> Hashable:
        path, heads = row.shown.path, row.shown.heads
        is_below = level(path) + (bool(heads) and heads[0].kind in ("function", "method")) > depth
        return (row.frames, module(path)) if is_below and module(path) not in opened else row.id

    def combine(rows: Sequence[Draft]) -> Row:
        row = _as_list(outline, flow, rows)
        return replace(row, path=module(row.path))

    flow = _Flow(outline, drafts)
    opened = {module(row.shown.path) for row in drafts.rows if row.kind == "failed"} | set(open_paths)
    _merge(drafts, key, combine, flow.in_chains)


def merge_lists(outline: Outline, drafts: Drafts, lists: Collection[str]) -> None:
    """Merge consecutive rows below each of these paths, of lists of modules that are never called."""

    def around(row: Draft) -> str | None:
        if row.kind == "failed":
            return None
        return next((path for path in in_order if row.shown.path.startswith(f"{path}.")), None)

    def combine(rows: Sequence[Draft]) -> Row:
        return replace(_as_list(outline, flow, rows), path=around(rows[0]) or "")

    flow, in_order = _Flow(outline, drafts), sorted(lists)
    _merge(drafts, lambda row: (row.frames, path) if (path := around(row)) else row.id, combine, flow.in_chains)


def merge_alike(outline: Outline, drafts: Drafts) -> None:
    """Merge ``FEW_ALIKE`` or more blocks of one list, class and structure that read each other, whatever their sizes.

    In a difference they must also have changed alike.
    """
    groups: list[list[Draft]] = []
    for row in drafts.rows:
        if groups and _follows(outline, drafts, groups[-1][-1], row):
            groups[-1].append(row)
        else:
            groups.append([row])
    large = [group for group in groups if sum(row.shown.times for row in group) >= FEW_ALIKE]
    group_of = {row.id: group[0].id for group in large for row in group}
    _merge(drafts, lambda row: group_of.get(row.id, row.id), _as_alike)


def _follows(outline: Outline, drafts: Drafts, above: Draft, row: Draft) -> bool:
    if above.scope is None or row.scope is None or above.frames != row.frames:
        return False
    if holder_of(above.last_path) != holder_of(row.first_path):
        return False
    if outline.structure[above.scope] != outline.structure[row.scope]:
        return False
    one, other = (Element(scope, tuple(outline.nodes_in(scope))) for scope in (above.scope, row.scope))
    if changes_in(outline, one) != changes_in(outline, other) or removed_behind(outline, one):
        return False
    return any(drafts.row(source) is above for name in row.nodes for source in outline.sources[name])


def merge_small(outline: Outline, drafts: Drafts) -> None:
    """Merge consecutive steps without parameters and MACs, as far as data joins them, to make room for other rows."""

    def is_small(row: Draft) -> bool:
        nodes = map(outline.node, row.nodes)
        return row.kind in ("plain", "code", "layer") and not any(node.uses or node.macs != 0 for node in nodes)

    _merge(drafts, lambda row: row.frames if is_small(row) else row.id, _as_code, _Flow(outline, drafts).joined)


def merge_chains(outline: Outline, drafts: Drafts) -> None:
    """Merge a chain of layers of one class, whatever their sizes, to ``PIECES`` rows or fewer that differ in range."""
    groups: list[list[Draft]] = []
    for row in drafts.rows:
        if groups and _continues(outline, drafts, groups[-1][-1], row):
            groups[-1].append(row)
        else:
            groups.append([row])
    piece_of = {row.id: piece[0].id for group in groups for piece in _pieces(outline, group) for row in piece}
    _merge(drafts, lambda row: piece_of[row.id], _as_alike)


def _pieces(outline: Outline, chain: list[Draft]) -> Iterator[list[Draft]]:
    """Yield the parts of a chain of layers, each as long as the others, or longer if neighbours have the same range."""
    length = -(-len(chain) // PIECES)
    parts = [chain[start : start + length] for start in range(0, len(chain), length)]
    for _, alike in groupby(parts, key=lambda part: _ranges(outline, part)):
        yield [row for part in alike for row in part]


def _continues(outline: Outline, drafts: Drafts, above: Draft, row: Draft) -> bool:
    """Return whether a layer is of the class of the one above and reads nothing else."""
    if row.kind != "layer" or above.kind != "layer" or above.frames != row.frames or outline.difference is not None:
        return False
    one, other = ([node.op for node in (*part.shown.before, *part.shown.heads, *part.shown.after)]
                  for part in (above, row))  # fmt: skip
    read = {source for name in row.nodes for source in outline.sources[name] if not drafts.is_lent(source)}
    return one == other and {id(drafts.row(source)) for source in read} <= {id(above), id(row)}


def _ranges(outline: Outline, rows: Sequence[Draft]) -> dict[str, tuple[object, object]]:
    """Return the least and greatest of each setting of these layers, and of the sizes of their results."""
    values: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    for head in (outline.graph.index.described(head) for row in rows for head in row.shown.heads):
        found = {**head.settings, **{f"output {place}": tensor.shape for place, tensor in enumerate(head.outputs)}}
        for name, value in found.items():
            sizes = value if isinstance(value, tuple) else (value,)
            if all(isinstance(size, int) for size in sizes):
                values[name].append(sizes)
    return {name: (min(sizes), max(sizes)) for name, sizes in values.items()}


def merge_layers(outline: Outline, drafts: Drafts, most: int) -> None:
    """Merge consecutive rows of one way in a frame, so that no more than about ``most`` of them are left."""
    group: dict[int, tuple[int, int]] = {}
    for _, frame in groupby(drafts.rows, key=lambda row: (row.frames, row.kind == "failed")):
        rows = list(frame)
        left = min(most, len(rows))
        group.update({row.id: (rows[0].id, place * left // len(rows)) for place, row in enumerate(rows)})
    _merge(drafts, lambda row: group[row.id], partial(_as_several, outline), _Flow(outline, drafts).ways)


class _Flow:
    """The rows above that each row reads, to tell which rows are one way."""

    def __init__(self, outline: Outline, drafts: Drafts) -> None:
        self.reads: dict[int, set[int]] = {row.id: set() for row in drafts.rows}
        for edge in outline.graph.edges:
            tail, head = drafts.row(edge.source), drafts.reader(edge.target)
            if isinstance(tail, Draft) and isinstance(head, Draft) and not drafts.is_lent(edge.source):
                self.reads[head.id] |= {tail.id} if tail.id < head.id else set()

    @cached_property
    def first_reader(self) -> dict[int, int]:
        """Return for each row that others read the first of these."""
        return {read: row for row in sorted(self.reads, reverse=True) for read in self.reads[row]}

    def leads_to(self, above: int, row: int) -> bool:
        """Return whether a row is read by another one, or by what that reads."""
        waiting, seen = [row], {row}
        while waiting:
            reads = {read for read in self.reads[waiting.pop()] if read >= above} - seen
            if above in reads:
                return True
            seen |= reads
            waiting += reads
        return False

    def ways(self, rows: Sequence[Draft]) -> Iterator[list[Draft]]:
        """Split consecutive rows into ways, so that independent ones are never one row.

        Each row of a way but the last is read by another of them. Each but the first reads one of them, and beside
        these only what leads to the first. So branches are part of a way from their fork to where they meet again.
        """
        start = 0
        while start < len(rows):
            stop = self._end_of_way(rows, start)
            yield list(rows[start:stop])
            start = stop

    def in_chains(self, rows: Sequence[Draft]) -> Iterable[list[Draft]]:
        """Split rows into ways where they are repeated one after the other: several would read as one chain."""
        is_chain = any(frame.run is not None and frame.run.kind == "chain" for frame in rows[0].frames)
        return self.ways(rows) if is_chain else [list(rows)]

    def _end_of_way(self, rows: Sequence[Draft], start: int) -> int:
        first, stop = rows[start].id, start + 1
        inside, unread, above = {first}, {first}, set[int]()
        for place in range(start + 1, len(rows)):
            row, last = rows[place].id, rows[place - 1].id
            reads = self.reads[row]
            is_dead_end = self.first_reader.get(last, rows[-1].id + 1) > rows[-1].id
            others = reads - inside - above
            if is_dead_end or inside.isdisjoint(reads) or not all(self.leads_to(read, first) for read in others):
                break
            above |= others
            unread -= reads
            if not unread:
                stop = place + 1
            inside.add(row)
            unread.add(row)
        return stop

    def joined(self, rows: Sequence[Draft]) -> Iterator[list[Draft]]:
        """Split consecutive rows into groups that read one another, or the same row above."""
        waiting = [list(rows)]
        while waiting:
            group = waiting.pop()
            parts = [list(part) for _, part in groupby(group, key=self._groups(group).__getitem__)]
            if len(parts) == 1:
                yield group
            waiting += reversed(parts) if len(parts) > 1 else []

    def _groups(self, rows: Sequence[Draft]) -> dict[Draft, int]:
        """Return for each of these rows the first row that it is joined to by way of the others."""
        first: dict[int, int] = {}

        def find(row: int) -> int:
            while (above := first.setdefault(row, row)) != row:
                first[row] = row = first[above]
            return row

        for row in rows:
            for read in self.reads[row.id]:
                one, other = sorted((find(read), find(row.id)))
                first[other] = one
        return {row: find(row.id) for row in rows}


def _merge(
    drafts: Drafts,
    key: Callable[[Draft], Hashable],
    combine: Callable[[Sequence[Draft]], Row],
    split: Callable[[list[Draft]], Iterable[list[Draft]]] = lambda rows: [rows],
) -> None:
    """Make consecutive rows that have the same key, as far as ``split`` leaves them together, one row.

    ``combine`` returns what is shown of it.
    """
    groups = [rows for _, alike in groupby(drafts.rows, key=key) for rows in split(list(alike))]
    for group in groups:
        if len(group) > 1:
            _unfold(drafts, group)
            first, last = group[0], group[-1]
            first.shown = combine(group)
            first.nodes = [name for row in group for name in row.nodes]
            first.tail = last.tail
            first.calls = tuple(call for row in group for call in row.calls)
            if first.kind == "block":
                first.scope = next(row.scope for row in group if row.scope is not None)
            else:
                first.scope = None
            drafts.row_of.update(dict.fromkeys(first.nodes, first))
    drafts.rows[:] = [first for first, *_ in groups]
    drafts.number()


def _unfold(drafts: Drafts, rows: Sequence[Draft]) -> None:
    """Add to each row the nodes of its own repetitions, which were not drawn so far."""
    for row in rows:
        for name in row.repeated:
            del drafts.stands_for[name]
        row.nodes += row.repeated
        row.repeated = ()


def _as_code(rows: Sequence[Draft]) -> Row:
    heads = tuple(node for row in rows for node in (*row.shown.before, *row.shown.heads, *row.shown.after))
    shown, output = rows[0].shown, rows[-1].shown.output
    return replace(shown, kind="code", heads=heads, before=(), after=(), output=output, times=1, span=None)


def _as_alike(rows: Sequence[Draft]) -> Row:
    first, last = rows[0], rows[-1]
    return replace(
        first.shown,
        heads=tuple(head for row in rows for head in row.shown.heads),
        span=(first.first_path, last.last_path),
        alike=sum(row.shown.times for row in rows),
        times=1,
        output=last.shown.output,
    )


def _as_several(outline: Outline, rows: Sequence[Draft]) -> Row:
    """Return a row that counts layers, or blocks if it holds nothing else. Functions alone stay functions.

    A single layer or block among functions keeps its name.
    """
    counted = [row for row in rows if row.kind in _COUNTED]
    if not counted:
        return _as_code(rows)
    if len(counted) == 1 and counted[0].kind in ("layer", "projection", "block") and counted[0].shown.times == 1:
        return replace(counted[0].shown, output=rows[-1].shown.output)
    span = counted[0].first_path, counted[-1].last_path
    are_blocks = all(row.kind in ("block", "blocks") for row in counted)
    return replace(
        rows[0].shown,
        kind="blocks" if are_blocks else "layers",
        heads=tuple(head for row in rows for head in row.shown.heads)
        if all(row.shown.heads for row in counted)
        else (),
        path=span[0],
        span=span if span[0] != span[1] else None,
        count=sum(_number_of(row) if are_blocks else _layers_in(outline, row) for row in counted),
        before=(),
        after=(),
        times=1,
        output=rows[-1].shown.output,
    )


def _as_list(outline: Outline, flow: _Flow, rows: Sequence[Draft]) -> Row:
    """Return a row for what is in a list, without an output if the ways that leave it differ in shape."""
    row = _as_several(outline, rows)
    shapes = {way[-1].shown.output and way[-1].shown.output.shape for way in flow.ways(rows)}
    return replace(row, span=None, output=row.output if len(shapes) == 1 else None)


def _number_of(row: Draft) -> int:
    return row.shown.count or row.shown.alike or row.shown.times


def _layers_in(outline: Outline, row: Draft) -> int:
    """Return the number of layers in a row, those in its blocks included."""
    return sum(outline.size[call] for call in row.calls) if row.kind in ("block", "blocks") else _number_of(row)
