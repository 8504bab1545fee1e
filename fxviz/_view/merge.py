"""Rows that follow each other put together: functions, what is nested deeper than asked for, layers that find no room."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from itertools import groupby

from fxviz._view.collapse import level
from fxviz._view.marks import changes_in, lost_behind
from fxviz._view.outline import Element, Outline
from fxviz._view.rows import Draft, Drafts

FEW_ALIKE = 3
"""Fewer blocks than this that differ in size alone are a row each."""

_COUNTED = ("layer", "projection", "chain", "block", "layers", "blocks")


def merge_code(drafts: Drafts) -> None:
    """Make functions that follow each other in the same module's code one row."""
    _merge(drafts, lambda row: (row.places, row.path) if row.is_code else row.id, _as_code)


def merge_nested(drafts: Drafts, depth: int, open_paths: Collection[str] = ()) -> None:
    """Make what follows each other in one module that is nested ``depth`` levels deep, and never called itself, one row.

    The module in which the run stopped stays opened, and so do those of ``open_paths``.
    """

    def module(row: Draft) -> str:
        return ".".join(row.path.split(".")[:depth])

    def key(row: Draft) -> Hashable:
        is_below = level(row.path) + (bool(row.heads) and row.heads[0].kind in ("function", "method")) > depth
        return (row.places, module(row)) if is_below and module(row) not in opened else row.id

    def combine(rows: Sequence[Draft]) -> None:
        _as_several(rows)
        rows[0].path, rows[0].span = module(rows[0]), None

    opened = {module(row) for row in drafts.rows if row.kind == "failed"} | set(open_paths)
    _merge(drafts, key, combine)


def merge_lists(drafts: Drafts, lists: Collection[str]) -> None:
    """Make what follows each other below one of the paths, of modules that nobody calls, one row."""

    def around(row: Draft) -> str | None:
        return next((path for path in sorted(lists) if row.path.startswith(f"{path}.") and row.kind != "failed"), None)

    def combine(rows: Sequence[Draft]) -> None:
        path = around(rows[0]) or ""
        _as_several(rows)
        rows[0].path, rows[0].span = path, None

    _merge(drafts, lambda row: (row.places, around(row)) if around(row) else row.id, combine)


def merge_alike(outline: Outline, drafts: Drafts) -> None:
    """Make blocks of one class and structure that read each other, whatever their sizes, one row from ``FEW_ALIKE`` on.

    Beside another model the same must have become of them.
    """
    groups: list[list[Draft]] = []
    for row in drafts.rows:
        if groups and _follows(outline, drafts, groups[-1][-1], row):
            groups[-1].append(row)
        else:
            groups.append([row])
    many = {row.id: group[0].id for group in groups if sum(row.times for row in group) >= FEW_ALIKE for row in group}
    _merge(drafts, lambda row: many.get(row.id, row.id), _as_alike)


def _follows(outline: Outline, drafts: Drafts, above: Draft, row: Draft) -> bool:
    if above.scope is None or row.scope is None or above.places != row.places:
        return False
    if outline.structure[above.scope] != outline.structure[row.scope]:
        return False
    one, other = (Element(scope, tuple(outline.nodes_in(scope))) for scope in (above.scope, row.scope))
    if changes_in(outline, one) != changes_in(outline, other) or lost_behind(outline, one):
        return False
    return any(drafts.row(source) is above for name in row.nodes for source in outline.sources[name])


def merge_layers(drafts: Drafts, most: int) -> None:
    """Put rows that follow each other in a frame together, so that no more than ``most`` of them are left."""
    group: dict[int, tuple[int, int]] = {}
    for _, frame in groupby(drafts.rows, key=lambda row: (row.places, row.kind == "failed")):
        rows = list(frame)
        left = min(most, len(rows))
        group.update({row.id: (rows[0].id, place * left // len(rows)) for place, row in enumerate(rows)})
    _merge(drafts, lambda row: group[row.id], _as_several)


def _merge(drafts: Drafts, key: Callable[[Draft], Hashable], combine: Callable[[Sequence[Draft]], None]) -> None:
    """Make rows that follow each other and have the same key one row, as ``combine`` changes the first of them."""
    groups = [list(group) for _, group in groupby(drafts.rows, key=key)]
    for first, *others in groups:
        if others:
            _unfold(drafts, [first, *others])
            combine([first, *others])
            first.nodes = [name for row in (first, *others) for name in row.nodes]
            first.tail = others[-1].tail
            drafts.row_of.update(dict.fromkeys(first.nodes, first))
    drafts.rows[:] = [first for first, *_ in groups]
    drafts.number()


def _unfold(drafts: Drafts, rows: Sequence[Draft]) -> None:
    """Give each row the nodes of its own repetitions, which so far were only stood for."""
    for row in rows:
        for name in row.repeated:
            del drafts.stands_for[name]
        row.nodes += row.repeated
        row.repeated = ()


def _as_code(rows: Sequence[Draft]) -> None:
    first = rows[0]
    first.kind, first.heads, first.after = "code", [head for row in rows for head in (*row.heads, *row.after)], []
    first.output = rows[-1].output


def _as_alike(rows: Sequence[Draft]) -> None:
    first, last = rows[0], rows[-1]
    first.span = (first.span or (first.path,))[0], (last.span or (last.path,))[-1]
    first.alike = sum(row.times for row in rows)
    first.calls = tuple(call for row in rows for call in row.calls)
    first.times, first.output = 1, last.output


def _as_several(rows: Sequence[Draft]) -> None:
    """Rows of functions alone stay functions; otherwise it is layers that count, or blocks if there is nothing else."""
    counted = [row for row in rows if row.kind in _COUNTED]
    if not counted:
        _as_code(rows)
        return
    first = rows[0]
    span = (counted[0].span or (counted[0].path,))[0], (counted[-1].span or (counted[-1].path,))[-1]
    first.path, first.span = span[0], span if span[0] != span[1] else None
    first.count = sum(row.count or row.alike or row.times for row in counted)
    first.kind = "blocks" if all(row.kind in ("block", "blocks") for row in counted) else "layers"
    first.heads = [head for row in rows for head in row.heads]
    first.before, first.after, first.scope, first.times, first.output = [], [], None, 1, rows[-1].output
