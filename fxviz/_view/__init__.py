"""Fold a graph into the view that a figure shows: rows, cards and frames, as detailed as the page allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fxviz._analysis.difference import Difference
from fxviz._graph import ArchGraph
from fxviz._graph.metrics import metric_for
from fxviz._graph.options import Direction, RowStyle
from fxviz._view.collapse import level, overrides_for
from fxviz._view.detail import GRAPH_LEVELS, LEVELS, MERGED, Detail
from fxviz._view.levels import BUDGET, MOST_FLOWS, at_depth, choose_view, fitting, lay_out, rows_of
from fxviz._view.marks import plain_modules
from fxviz._view.outline import Outline
from fxviz._view.view import View

__all__ = [
    "BUDGET", "GRAPH_LEVELS", "LEVELS", "MERGED", "MOST_FLOWS", "Detail", "Outline", "deepest_fitting", "fitting",
    "fold", "lay_out",
]  # fmt: skip


def fold(
    graph: ArchGraph,
    metric: str = "params",
    budget: float = BUDGET,
    depth: int | None = None,
    *,
    expand: Sequence[str] = (),
    collapse: Sequence[str] = (),
    repeats: bool = True,
    style: RowStyle = "ledger",
    direction: Direction = "TB",
    difference: Difference | None = None,
    height: Callable[[View], float] | None = None,
) -> View:
    """Fold an annotated graph into the most detailed view that fits a page and follows the options.

    Args:
        graph: an annotated graph.
        metric: the metric of the rows' totals, one of ``fxviz._graph.metrics.METRICS``.
        budget: the most lines (see ``View.lines``) that the figure may take.
        depth: modules nested this many levels deep are one row each (1: the model's children), those above are opened.
        expand: paths of modules to open with all modules around them. A repetition among others is drawn itself.
        collapse: modules that are one row each, by path ("layer1.0") or class ("Bottleneck", or with its Python
            module). A path in ``expand`` is opened nevertheless, if only its class would close it.
        repeats: draw repeated blocks once, with xN; otherwise draw every repetition.
        style: "ledger" (rows below each other), "graph" (a card for each row, parallel branches side by side), or
            "auto", see :func:`fxviz._view.levels.choose_view`.
        direction: "TB" from top to bottom, "LR" from left to right.
        difference: how the graph differs from another model. Rows say what changed, and modules that are unchanged or
            new are one row each unless the options ask for more.
        height: measures the height of a graph once it is laid out, in points; None leaves it to the estimates.

    Returns:
        The first level of detail that fits, refined as long as there is room; the widest one if none does. Every node
        belongs to one row, so the rows' totals add up to that of the graph.

    Raises:
        UsageError: the metric or a module is unknown, or the graph does not hold the metric.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("empty", "python", "Empty"), trace, (), (), (Scope(0, "", "Empty", 0, None),), ())
    >>> fold(graph, style="auto").style
    'ledger'
    """
    outline = Outline(graph, metric_for(graph, metric), difference)
    overrides = overrides_for(outline, expand, collapse, repeats, depth)
    if difference is not None and depth is None and repeats:
        overrides = replace(overrides, closed=overrides.closed | (plain_modules(outline) - overrides.opened))
    return choose_view(outline, overrides, style, direction, budget, height)


def deepest_fitting(graph: ArchGraph, budget: float = BUDGET) -> int | None:
    """Return the greatest depth whose figure fits the budget.

    Args:
        graph: an annotated graph.
        budget: the most lines (see ``View.lines``) that the figure may take.

    Returns:
        The depth, as for :func:`fold`, at most that of the deepest module; None if no depth fits.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("empty", "python", "Empty"), trace, (), (), (Scope(0, "", "Empty", 0, None),), ())
    >>> deepest_fitting(graph)
    1
    """
    outline = Outline(graph)
    deepest = max((level(node.path) for node in graph.nodes if node.kind == "module"), default=1)
    found = None
    for depth in range(1, deepest + 1):
        detail = Detail(depth=depth, fold_layers=True, compact=True, merge_code=True)
        if len(rows_of(outline, detail).rows) > budget or at_depth(outline, detail, budget).view.lines > budget:
            break
        found = depth
    return found
