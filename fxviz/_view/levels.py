"""A graph at one level of detail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from fxviz._view.assemble import assemble
from fxviz._view.branches import Region, find_regions, lay_rails, merge
from fxviz._view.detail import GRAPH_LEVELS, LEVELS, MERGED, Detail
from fxviz._view.merge import merge_alike, merge_code, merge_layers, merge_lists, merge_nested
from fxviz._view.outline import Outline
from fxviz._view.plan import plan
from fxviz._view.rows import Draft, Drafts, draft
from fxviz._view.view import View
from fxviz._view.wiring import Wiring, wire

Fits = Callable[[View], bool]

HOPELESS = 5
"""Merging parallel branches never makes so many rows one, on the average."""


@dataclass(frozen=True)
class Look:
    """What is shown at a level of detail: the view, the rows that it was made from, the parallel branches among them."""

    detail: Detail
    view: View
    drafts: Drafts
    regions: tuple[Region, ...]

    @property
    def parallel(self) -> float:
        """The share of the rows that stand in parallel branches."""
        beside = {row for region in self.regions for branch in region.branches for row in branch}
        return len(beside) / max(1, len(self.view.rows))


def look(outline: Outline, detail: Detail) -> View:
    """The view at one level of detail."""
    return look_at(outline, detail).view


def look_at(outline: Outline, detail: Detail) -> Look:
    """The look at one level of detail."""
    drafts, wiring, regions = arrange(outline, detail)
    return Look(detail, assemble(outline, drafts, wiring, regions, detail), drafts, tuple(regions))


def look_within(outline: Outline, detail: Detail, most_rows: float, fits: Fits) -> Look | None:
    """The look at one level of detail, if it fits. Where the rows alone are too many, nothing more is made of them."""
    most_drafts = most_rows * (HOPELESS if detail.merge_branches else 1)
    same_rows = replace(detail, merge_branches=False, compact=False, style="ledger")
    if outline.rows_at.get(same_rows, 0) > most_drafts:
        return None
    drafts = rows_of(outline, detail)
    outline.rows_at[same_rows] = len(drafts.rows)
    if len(drafts.rows) > most_drafts:
        return None
    wiring, regions = order(outline, detail, drafts)
    if len(drafts.rows) > most_rows:
        return None
    view = assemble(outline, drafts, wiring, regions, detail)
    return Look(detail, view, drafts, tuple(regions)) if fits(view) else None


def arrange(outline: Outline, detail: Detail) -> tuple[Drafts, Wiring, list[Region]]:
    """The rows of a level of detail in their final order, what joins them, and the parallel branches among them."""
    drafts = rows_of(outline, detail)
    return drafts, *order(outline, detail, drafts)


def rows_of(outline: Outline, detail: Detail) -> Drafts:
    """The rows of a level of detail as they ran."""
    drafts = draft(outline, plan(outline, detail))
    if detail.merge_code:
        merge_code(drafts)
    if detail.merge_alike or outline.difference is not None:
        merge_alike(outline, drafts)
    if detail.depth is not None:
        merge_nested(drafts, detail.depth, {outline.scopes[call].path for call in detail.opened})
    if detail.closed_lists:
        merge_lists(drafts, detail.closed_lists)
    if detail.most_rows is not None:
        merge_layers(drafts, detail.most_rows)
    return drafts


def order(outline: Outline, detail: Detail, drafts: Drafts) -> tuple[Wiring, list[Region]]:
    """What joins the rows and the branches among them, after the rows were put in their final order."""
    wiring = wire(outline, drafts)
    regions = find_regions(wiring, drafts)
    if regions and detail.merge_branches:
        merge(drafts, wiring, regions)
        wiring = wire(outline, drafts)
        regions = find_regions(wiring, drafts)
    if regions and detail.style == "ledger":
        lay_rails(drafts, regions)
        drafts.number()
        wiring = wire(outline, drafts)
        regions = find_regions(wiring, drafts)
    return wiring, regions


BUDGET = 89
"""The height in lines of 15 pt (see ``View.lines``) up to which a figure stays under about 1,300 pt."""

MOST_FLOWS = 12
"""More lines than this past the rows cannot be told apart."""

FEW_FLOWS = 6
"""Up to so many lines past the rows are added by a closer look, where the rows stand below each other."""

LINE = 15
"""Points of height for a line of the budget, in a figure where ways stand side by side: 1,335 for a page."""

WIDEST = 900
"""The most points of width (see ``View.wide``) for ways that stand side by side."""

PARALLEL = 1 / 3
"""With this share of all rows in parallel branches, a model's branches are its point."""

MANY_FLOWS = 4
"""With so many lines past rows that stand below each other, a figure is read more easily side by side."""


def choose(outline: Outline, wish: Detail, style: str, budget: float) -> View:
    """The closest look at a graph that fits and heeds the wish, in the style that suits it if that is "auto".

    The graph style suits a model whose branches are its point, if that figure fits: at least a third of the rows stand in
    parallel branches, or in the ledger ``MANY_FLOWS`` lines or more would lead past rows.
    """
    if style != "auto":
        return _closest(outline, wish, style, budget).view
    graph, ledger = (_closest(outline, wish, style, budget) for style in ("graph", "ledger"))
    is_branched = graph.parallel >= PARALLEL or len(ledger.view.flows) >= MANY_FLOWS
    return graph.view if is_branched and fitting("graph", budget)(graph.view) else ledger.view


def fitting(style: str, budget: float) -> Fits:
    """What tells whether a view of a style fits the budget."""
    if style == "graph":
        return lambda view: _is_low(view, budget) and view.wide <= WIDEST and len(view.flows) <= MOST_FLOWS
    return lambda view: _is_low(view, budget) and len(view.flows) <= MOST_FLOWS


def _closest(outline: Outline, wish: Detail, style: str, budget: float) -> Look:
    """The first level that fits, refined; if none does, the widest with rows put together, unless something was asked for."""
    if wish.depth is not None:
        return look_at(outline, replace(wish, style=style, fold_layers=True, compact=style == "ledger"))
    if not wish.repeats:
        folded = _closest(outline, replace(wish, repeats=True), style, budget)
        return look_at(outline, replace(folded.detail, repeats=False))
    levels = [wished(level, wish) for level in (GRAPH_LEVELS if style == "graph" else LEVELS)]
    fits = fitting(style, budget)
    most_rows = budget * (WIDEST / 130 if style == "graph" else 1)
    for level in levels:
        found = look_within(outline, level, most_rows, fits)
        if found is not None:
            return found if level.opens_all else refine(outline, found, most_rows, _quiet(fits, found.view))
    if wish.opened:
        return look_at(outline, levels[-1])
    merged = [wished(replace(level, compact=style == "ledger", style=style), wish) for level in MERGED]
    return _merged(outline, [levels[-1], *merged], most_rows, budget)


def _quiet(fits: Fits, start: View) -> Fits:
    """What fits with few lines past the rows, or no more than there were."""
    most = max(MOST_FLOWS if start.style == "graph" else FEW_FLOWS, len(start.flows))
    return lambda view: fits(view) and len(view.flows) <= most


def _merged(outline: Outline, levels: Sequence[Detail], most_rows: float, budget: float) -> Look:
    """The first level that is not too high, however many lines lead past its rows."""
    for level in levels:
        found = look_within(outline, level, most_rows, lambda view: _is_low(view, budget))
        if found is not None:
            return found
    return look_at(outline, levels[-1])


def _is_low(view: View, budget: float) -> bool:
    return view.tall <= budget * LINE if view.style == "graph" else view.lines <= budget


def wished(level: Detail, wish: Detail) -> Detail:
    """The level with what the caller asks for."""
    return replace(
        level,
        opened=wish.opened,
        closed=wish.closed,
        closed_lists=wish.closed_lists,
        named=wish.named,
        repeats=wish.repeats,
    )


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
