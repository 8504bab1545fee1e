"""From a graph to what is shown of it: rows, cards and frames, as close a look as fits the height."""

from __future__ import annotations

from fxviz.folding.assembling import assemble
from fxviz.folding.branches import Region, find_regions, lay_rails, merge
from fxviz.folding.outline import Outline
from fxviz.folding.plan import LEVELS, Detail, plan
from fxviz.folding.rows import Drafts, draft
from fxviz.folding.wiring import Wiring, wire
from fxviz.graph import ArchGraph
from fxviz.metrics import metric_for
from fxviz.view import View

BUDGET = 89
"""The height in lines of 15 pt (see ``View.lines``) up to which a figure stays under about 1,300 pt."""

MOST_FLOWS = 12
"""More lines than this past the rows cannot be told apart."""


def fold(graph: ArchGraph, metric: str = "params", budget: float = BUDGET) -> View:
    """The closest look at an annotated graph that fits the height.

    Args:
        graph: an annotated graph.
        metric: what the rows' totals count, one of ``fxviz.metrics.METRICS``.
        budget: the most lines (see ``View.lines``) that the figure may take.

    Returns:
        The first level of detail that fits, or the widest one if none does. Every node belongs to one row, so the rows'
        totals add up to that of the graph.

    Raises:
        UsageError: there is no such metric, or the graph does not hold it.
    """
    outline = Outline(graph, metric_for(graph, metric))
    for detail in LEVELS:
        view = look(outline, detail)
        if view.lines <= budget and len(view.flows) <= MOST_FLOWS:
            break
    return view


def look(outline: Outline, detail: Detail) -> View:
    """The view at one level of detail."""
    return assemble(outline, *arrange(outline, detail), detail.compact)


def arrange(outline: Outline, detail: Detail) -> tuple[Drafts, Wiring, list[Region]]:
    """The rows of a level of detail in their final order, what joins them, and the parallel branches among them."""
    drafts = draft(outline, plan(outline, detail))
    if detail.merge_code:
        drafts.merge_code()
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
