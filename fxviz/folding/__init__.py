"""From a graph to what is shown of it: rows, cards and frames, as close a look as fits the height."""

from __future__ import annotations

from fxviz.errors import UsageError
from fxviz.folding.assembling import assemble
from fxviz.folding.branches import Region, find_regions, lay_rails, merge
from fxviz.folding.merging import merge_code, merge_layers, merge_nested
from fxviz.folding.outline import Outline
from fxviz.folding.plan import LEVELS, MERGED, Detail, plan
from fxviz.folding.rows import Drafts, draft
from fxviz.folding.wiring import Wiring, wire
from fxviz.graph import ArchGraph
from fxviz.metrics import metric_for
from fxviz.view import View

BUDGET = 89
"""The height in lines of 15 pt (see ``View.lines``) up to which a figure stays under about 1,300 pt."""

MOST_FLOWS = 12
"""More lines than this past the rows cannot be told apart."""


def fold(graph: ArchGraph, metric: str = "params", budget: float = BUDGET, depth: int | None = None) -> View:
    """The closest look at an annotated graph that fits the height, or the one that opens it to a given depth.

    Args:
        graph: an annotated graph.
        metric: what the rows' totals count, one of ``fxviz.metrics.METRICS``.
        budget: the most lines (see ``View.lines``) that the figure may take.
        depth: how many levels deep the modules are nested that are one row each, whatever the height then is: 1 for the
            model's children. What is above is opened; a depth beyond the deepest module opens all.

    Returns:
        The first level of detail that fits, or the widest one if none does. Every node belongs to one row, so the rows'
        totals add up to that of the graph.

    Raises:
        UsageError: there is no such metric, the graph does not hold it, or the depth is no whole number from 1 on.

    >>> from fxviz.graph import ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("empty", "python", "Empty"), trace, (), (), (Scope(0, "", "Empty", 0, None),), ())
    >>> fold(graph, depth=0)
    Traceback (most recent call last):
    ...
    fxviz.errors.UsageError: no depth 0: give a whole number from 1 on
    """
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 1):
        raise UsageError(f"no depth {depth}: give a whole number from 1 on")
    outline = Outline(graph, metric_for(graph, metric))
    if depth is not None:
        return look(outline, Detail(depth=depth, fold_layers=True, compact=True))
    for detail in LEVELS:
        view = _within(budget, outline, detail)
        if view is not None and len(view.flows) <= MOST_FLOWS:
            return view
    fitting = (view for detail in (LEVELS[-1], *MERGED) if (view := _within(budget, outline, detail)) is not None)
    return next(fitting, None) or look(outline, MERGED[-1])


def _within(budget: float, outline: Outline, detail: Detail) -> View | None:
    """The view at one level of detail, if it is no higher than ``budget``. Where the rows alone are, it is not assembled."""
    drafts, wiring, regions = arrange(outline, detail)
    if len(drafts.rows) > budget:
        return None
    view = assemble(outline, drafts, wiring, regions, detail.compact)
    return view if view.lines <= budget else None


def look(outline: Outline, detail: Detail) -> View:
    """The view at one level of detail."""
    return assemble(outline, *arrange(outline, detail), detail.compact)


def arrange(outline: Outline, detail: Detail) -> tuple[Drafts, Wiring, list[Region]]:
    """The rows of a level of detail in their final order, what joins them, and the parallel branches among them."""
    drafts = draft(outline, plan(outline, detail))
    if detail.merge_code:
        merge_code(drafts)
    if detail.depth is not None:
        merge_nested(drafts, detail.depth)
    if detail.most_rows is not None:
        merge_layers(drafts, detail.most_rows)
    wiring = wire(outline, drafts)
    regions = find_regions(wiring, drafts)
    if regions and detail.merge_branches:
        merge(drafts, wiring, regions)
        wiring = wire(outline, drafts)
        regions = find_regions(wiring, drafts)
    if regions:
        lay_rails(drafts, regions)
        drafts.number()
        wiring = wire(outline, drafts)
        regions = find_regions(wiring, drafts)
    return drafts, wiring, regions
