"""A closer look where there is room for it: modules that are one row each are opened as long as the figure fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from fxviz._view.levels import Fits, Look, look_within
from fxviz._view.outline import Outline
from fxviz._view.rows import Draft

MOST_LOOKS = 16
"""So many looks are taken, so that folding stays fast."""

_Group = tuple[str, ...]
"""What makes modules equal siblings: their class, or for a mere list its own and that of what it holds."""


def refine(outline: Outline, start: Look, most_rows: float, fits: Fits) -> Look:
    """Open the modules that are rows, class by class, the largest first.

    All modules of a class are opened, or if these find no room one of each structure, or only the one that shows most: the
    others look alike. What was opened has a frame; what is in it may be opened in turn. A module is never opened into a single
    row: what is in there is opened as well, or nothing.
    """
    looks = 0
    best = replace(start, detail=replace(start.detail, compact=start.detail.style == "ledger"))
    tried: set[_Group] = set()
    while (found := _largest(outline, best, tried)) is not None and looks < MOST_LOOKS:
        group, rows = found
        tried.add(group)
        for calls in _choices(outline, rows):
            closer = _opened(outline, best, calls, most_rows, fits)
            looks += 1
            if closer is not None:
                best = closer
                break
    return best if best.detail.opened != start.detail.opened else start


def _largest(outline: Outline, seen: Look, tried: set[_Group]) -> tuple[_Group, list[Draft]] | None:
    """The class with the largest share among those of the modules that are rows and were not tried yet, with these rows."""
    groups: dict[_Group, list[Draft]] = {}
    for row in seen.drafts.rows:
        if row.scope is not None and row.scope not in outline.units | seen.detail.closed:
            groups.setdefault(_group(outline, row.scope), []).append(row)
    left = [(group, rows) for group, rows in groups.items() if group not in tried]
    return max(left, key=lambda found: sum(row.total for row in found[1]), default=None)


def _group(outline: Outline, scope: int) -> _Group:
    call = outline.scopes[scope]
    if not call.sequential:
        return (call.cls,)
    return (call.cls, *sorted({outline.scopes[child].cls for child in outline.children(scope)}))


def _choices(outline: Outline, rows: Sequence[Draft]) -> Iterator[frozenset[int]]:
    """What to open, from most to least: all modules, the largest of each structure, the one that takes most rows.

    What is repeated is opened together; if that finds no room, as not all is equal inside, the first of it. Beside another
    model all or none: one that is opened would look as if more had become of it.
    """
    everything = [call for row in rows for call in row.calls]
    yield frozenset(everything)
    if outline.difference is not None:
        return
    first: dict[tuple[str, ...], tuple[int, ...]] = {}
    for row in sorted(rows, key=lambda row: -row.total):
        for call in row.calls:
            first.setdefault(outline.structure[call], (call,) if row.alike else row.calls)
    examples: list[tuple[int, ...]] = list(first.values())
    if 1 < len(examples) < len(everything):
        yield frozenset(call for calls in examples for call in calls)
    best = max(examples, key=lambda example: outline.room[min(example)])
    for example in (best, best[:1]):
        if len(everything) > len(example):
            yield frozenset(example)


def _opened(outline: Outline, seen: Look, calls: frozenset[int], most_rows: float, fits: Fits) -> Look | None:
    """The look with these module calls opened, and those in them that would be alone; None if that does not fit."""
    opened = seen.detail.opened | calls
    while True:
        closer = look_within(outline, replace(seen.detail, opened=opened), most_rows, fits)
        if closer is None:
            return None
        lonely = [row for call in calls if (row := _only_row(outline, closer, call)) is not None]
        if not lonely:
            return closer
        calls = frozenset(call for row in lonely for call in row.calls if row.scope not in outline.units)
        if calls <= opened:
            return None
        opened |= calls


def _only_row(outline: Outline, seen: Look, call: int) -> Draft | None:
    """The row that shows all of a module call, unless others do, too, or the call is one that is only stood for."""
    names = [name for name in outline.nodes_in(call) if name not in seen.drafts.stands_for]
    rows = {id(row): row for name in names if isinstance(row := seen.drafts.row(name), Draft)}
    return next(iter(rows.values())) if len(rows) == 1 else None
