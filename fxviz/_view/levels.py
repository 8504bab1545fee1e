"""Lay a graph out at the level of detail and in the style that suit it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from fxviz._graph.options import Direction, RowStyle
from fxviz._view.assemble import assemble
from fxviz._view.branches import Region, find_regions, lay_rails, merge_branches
from fxviz._view.detail import GRAPH_LEVELS, LEVELS, MERGED, Detail
from fxviz._view.merge import (
    merge_alike,
    merge_chains,
    merge_code,
    merge_layers,
    merge_lists,
    merge_nested,
    merge_small,
)
from fxviz._view.outline import Outline
from fxviz._view.plan import plan
from fxviz._view.rows import Draft, Drafts, draft_rows
from fxviz._view.view import View, ViewStyle
from fxviz._view.wiring import Wiring, wire

Fits = Callable[[View], bool]
"""Tells whether a view fits the page."""

HOPELESS = 5
"""Merging parallel branches turns fewer rows than this into one, on average."""


@dataclass(frozen=True)
class Layout:
    """A graph at one level of detail: the view, the rows that it was made from, and what joins them."""

    detail: Detail
    view: View
    drafts: Drafts
    wiring: Wiring
    regions: list[Region]

    @property
    def parallel(self) -> float:
        """Return the share of the rows that stand in parallel branches."""
        beside = {row for region in self.regions for branch in region.branches for row in branch}
        return len(beside) / max(1, len(self.view.rows))


def lay_out(outline: Outline, detail: Detail) -> Layout:
    """Lay a graph out at one level of detail."""
    drafts = rows_of(outline, detail)
    wiring, regions = order(outline, detail, drafts)
    return Layout(detail, assemble(outline, drafts, wiring, regions, detail), drafts, wiring, regions)


def lay_out_within(outline: Outline, detail: Detail, most_rows: float, fits: Fits) -> Layout | None:
    """Lay a graph out at one level of detail if it fits. Stop early where the rows alone are too many."""
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
    return Layout(detail, view, drafts, wiring, regions) if fits(view) else None


def rows_of(outline: Outline, detail: Detail) -> Drafts:
    """Return the rows of a level of detail in the order of the run."""
    drafts = draft_rows(outline, plan(outline, detail))
    if detail.merge_code:
        merge_code(outline, drafts)
    if detail.merge_alike or outline.difference is not None:
        merge_alike(outline, drafts)
    if detail.depth is not None:
        merge_nested(outline, drafts, detail.depth, {outline.scopes[call].path for call in detail.opened})
    if detail.closed_lists:
        merge_lists(outline, drafts, detail.closed_lists)
    if detail.merge_small:
        merge_small(outline, drafts)
        merge_chains(outline, drafts)
    if detail.most_rows is not None:
        merge_layers(outline, drafts, detail.most_rows)
    return drafts


def order(outline: Outline, detail: Detail, drafts: Drafts) -> tuple[Wiring, list[Region]]:
    """Put the rows in their final order; return what joins them and the branches among them."""
    wiring = wire(outline, drafts)
    regions = find_regions(wiring, drafts)
    if regions and detail.merge_branches:
        merge_branches(drafts, wiring, regions)
        wiring = wire(outline, drafts)
        regions = find_regions(wiring, drafts)
    if regions and detail.style == "ledger":
        lay_rails(drafts, regions)
        drafts.number()
        wiring = wire(outline, drafts)
        regions = find_regions(wiring, drafts)
    return wiring, regions


# -------------------------------------------------------------------- the style

BUDGET = 89
"""The height in lines of 15 pt (see ``View.lines``) up to which a figure stays under about 1,300 pt."""

MOST_FLOWS = 12
"""More lines than this past the rows cannot be told apart."""

FEW_FLOWS = 6
"""A closer layout of a ledger may add lines past the rows up to this number."""

LINE = 15
"""Points of height for a line of the budget in the graph style: 1,335 for a page."""

WIDEST = 900
"""The most points of width (see ``View.wide``) in the graph style."""

TALLEST = 1420
"""The most points of height of a graph that was laid out by the engine. Known only then."""

PARALLEL = 1 / 3
"""With this share of all rows in parallel branches, a model's branches are its point."""

MANY_FLOWS = 4
"""With this many lines past rows that stand below each other, a figure is easier to read side by side."""


def choose_view(
    outline: Outline,
    overrides: Detail,
    style: RowStyle,
    direction: Direction,
    budget: float,
    height: Callable[[View], float] | None,
) -> View:
    """Return the closest view that fits and follows the overrides. This alone decides which style a figure has.

    The style "auto" is the graph for a figure from left to right, and the ledger for a difference. For any other figure
    it is the graph where branches are the point of the model: at least a third of the rows stand in parallel branches,
    or in the ledger ``MANY_FLOWS`` lines or more would lead past rows. That graph must also fit the page: by the
    estimates of the view and, unless modules were opened on request, by its height once it is laid out.
    """
    if style == "auto" and direction == "LR":
        style = "graph"
    if style == "auto" and outline.difference is not None:
        style = "ledger"
    if style != "auto":
        return _closest(outline, overrides, style, budget).view
    graph, ledger = _closest(outline, overrides, "graph", budget), _closest(outline, overrides, "ledger", budget)
    is_branched = graph.parallel >= PARALLEL or len(ledger.view.flows) >= MANY_FLOWS
    if not is_branched or not fitting("graph", budget)(graph.view):
        return ledger.view
    is_tall = height is not None and not overrides.may_be_large and height(graph.view) > TALLEST
    return ledger.view if is_tall else graph.view


def fitting(style: ViewStyle, budget: float) -> Fits:
    """Return the test that tells whether a view of a style fits the budget."""
    if style == "graph":
        return lambda view: _is_low(view, budget) and view.wide <= WIDEST and len(view.flows) <= MOST_FLOWS
    return lambda view: _is_low(view, budget) and len(view.flows) <= MOST_FLOWS


def _is_low(view: View, budget: float) -> bool:
    return view.tall <= budget * LINE if view.style == "graph" else view.lines <= budget


# -------------------------------------------------------------------- the level of detail


def _closest(outline: Outline, overrides: Detail, style: ViewStyle, budget: float) -> Layout:
    """Return the first level that fits, refined. If none fits, merge rows unless modules were opened on request."""
    if overrides.depth is not None:
        return at_depth(outline, replace(overrides, style=style), budget)
    if not overrides.repeats:
        folded = _closest(outline, replace(overrides, repeats=True), style, budget)
        return lay_out(outline, replace(folded.detail, repeats=False))
    levels = [level.with_overrides(overrides) for level in (GRAPH_LEVELS if style == "graph" else LEVELS)]
    fits = fitting(style, budget)
    most_rows = budget * (WIDEST / 130 if style == "graph" else 1)
    for level in levels:
        found = lay_out_within(outline, level, most_rows, fits)
        if found is not None:
            return found if level.opens_all else refine(outline, found, most_rows, _with_few_flows(fits, found.view))
    if overrides.opened:
        return lay_out(outline, levels[-1])
    merged = [replace(level, compact=style == "ledger", style=style).with_overrides(overrides) for level in MERGED]
    return _first_low(outline, [levels[-1], *merged], most_rows, budget)


def at_depth(outline: Outline, overrides: Detail, budget: float) -> Layout:
    """Return the layout at the depth that is asked for. Functions in a module's code are merged if it does not fit."""
    detail = replace(overrides, fold_layers=True, compact=overrides.style == "ledger")
    found = lay_out(outline, detail)
    fits = fitting(detail.style, budget)
    return found if fits(found.view) else lay_out(outline, replace(detail, merge_code=True))


def _with_few_flows(fits: Fits, start: View) -> Fits:
    """Return a test that also limits the lines past the rows: to a few, or to as many as there were."""
    most = max(MOST_FLOWS if start.style == "graph" else FEW_FLOWS, len(start.flows))
    return lambda view: fits(view) and len(view.flows) <= most


def _first_low(outline: Outline, levels: Sequence[Detail], most_rows: float, budget: float) -> Layout:
    """Return the first level that is low enough, however many lines lead past its rows."""
    for level in levels:
        found = lay_out_within(outline, level, most_rows, lambda view: _is_low(view, budget))
        if found is not None:
            return found
    return lay_out(outline, levels[-1])


# -------------------------------------------------------------------- opening modules one class at a time

MOST_TRIES = 16
"""Opening modules is tried this many times at most, so that folding stays fast."""

_Group = tuple[str, ...]
"""The class that siblings share, and for a mere list also the classes in it."""


def refine(outline: Outline, start: Layout, most_rows: float, fits: Fits) -> Layout:
    """Open the modules that are rows, class by class, the largest first.

    All modules of a class are opened; if they do not fit, one of each structure, or only the one that shows most: the
    others look alike. An opened module has a frame, and modules in it may be opened in turn. A module is never opened
    into a single row: the module in there is opened as well, or neither.
    """
    tries = 0
    best = replace(start, detail=replace(start.detail, compact=start.detail.style == "ledger"))
    tried: set[_Group] = set()
    while (found := _largest(outline, best, tried)) is not None and tries < MOST_TRIES:
        group, rows = found
        tried.add(group)
        whole = sum(row.total for row in best.drafts.rows)
        for calls in _choices(outline, rows, whole):
            closer = _opened(outline, best, calls, most_rows, fits)
            tries += 1
            if closer is not None:
                best = closer
                break
    return best if best.detail.opened != start.detail.opened else start


def _largest(outline: Outline, layout: Layout, tried: set[_Group]) -> tuple[_Group, list[Draft]] | None:
    """Return the untried class of modules with the largest share, and the rows of these modules."""
    groups: dict[_Group, list[Draft]] = {}
    for row in layout.drafts.rows:
        if row.scope is not None and row.scope not in outline.units | layout.detail.closed:
            groups.setdefault(_group(outline, row.scope), []).append(row)
    left = [(group, rows) for group, rows in groups.items() if group not in tried]
    return max(left, key=lambda found: sum(row.total for row in found[1]), default=None)


def _group(outline: Outline, scope: int) -> _Group:
    call = outline.scopes[scope]
    if not call.sequential:
        return (call.cls,)
    return (call.cls, *sorted({outline.scopes[child].cls for child in outline.children(scope)}))


SMALL = 0.01
"""An example with a smaller share of the metric is not opened where not all of its class are: it shows little."""


def _choices(outline: Outline, rows: Sequence[Draft], whole: float) -> Iterator[frozenset[int]]:
    """Yield the calls to open, from most to least: all, the largest of each structure, the one that takes most rows.

    Examples that are small beside the ``whole`` stay closed, unless all are. Repetitions are opened together; if that
    does not fit, because they differ inside, only the first one is. In a difference all modules are opened or none: a
    single open one would look as if more of it had changed.
    """
    everything = [call for row in rows for call in row.calls]
    yield frozenset(everything)
    if outline.difference is not None:
        return
    first: dict[tuple[str, ...], tuple[int, ...]] = {}
    large = [row for row in rows if row.total >= SMALL * whole] or rows
    for row in sorted(large, key=lambda row: -row.total):
        for call in row.calls:
            first.setdefault(outline.structure[call], (call,) if row.shown.alike else row.calls)
    examples: list[tuple[int, ...]] = list(first.values())
    if 1 < len(examples) < len(everything):
        yield frozenset(call for calls in examples for call in calls)
    best = max(examples, key=lambda example: outline.room[min(example)])
    for example in (best, best[:1]):
        if len(everything) > len(example):
            yield frozenset(example)


def _opened(outline: Outline, layout: Layout, calls: frozenset[int], most_rows: float, fits: Fits) -> Layout | None:
    """Open these module calls, and those in them that would be the only row. Return None if that does not fit."""
    opened = layout.detail.opened | calls
    while True:
        closer = lay_out_within(outline, replace(layout.detail, opened=opened), most_rows, fits)
        if closer is None:
            return None
        lonely = [row for call in calls if (row := _only_row(outline, closer, call)) is not None]
        if not lonely:
            return closer
        calls = frozenset(call for row in lonely for call in row.calls if row.scope not in outline.units)
        if calls <= opened:
            return None
        opened |= calls


def _only_row(outline: Outline, layout: Layout, call: int) -> Draft | None:
    """Return the row that shows all of a module call, None if several rows do or its repetition is not drawn."""
    names = [name for name in outline.nodes_in(call) if name not in layout.drafts.stands_for]
    rows = {id(row): row for name in names if isinstance(row := layout.drafts.row(name), Draft)}
    return next(iter(rows.values())) if len(rows) == 1 else None
