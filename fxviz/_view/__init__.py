"""From a graph to what is shown of it: rows, cards and frames, as close a look as fits the height."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fxviz._analysis.difference import Difference
from fxviz._errors import UsageError, choice
from fxviz._graph import ArchGraph
from fxviz._graph.metrics import metric_for
from fxviz._view.collapse import level, wish
from fxviz._view.detail import GRAPH_LEVELS, LEVELS, MERGED, Detail
from fxviz._view.levels import BUDGET, MOST_FLOWS, arrange, choose, fitting, look, rows_of
from fxviz._view.marks import plain_modules
from fxviz._view.outline import Outline
from fxviz._view.view import View

__all__ = [
    "BUDGET", "GRAPH_LEVELS", "LEVELS", "MERGED", "MOST_FLOWS", "STYLES", "Detail", "Outline", "arrange", "deepest_fitting",
    "fitting", "fold", "look",
]  # fmt: skip

STYLES = ("ledger", "graph", "auto")
"""The styles of a figure; "auto" chooses one of the other two."""


def fold(
    graph: ArchGraph,
    metric: str = "params",
    budget: float = BUDGET,
    depth: int | None = None,
    *,
    expand: Sequence[str] = (),
    collapse: Sequence[str] = (),
    repeats: bool = True,
    style: str = "ledger",
    difference: Difference | None = None,
) -> View:
    """The closest look at an annotated graph that fits the height, with what is asked for.

    Args:
        graph: an annotated graph.
        metric: what the rows' totals count, one of ``fxviz._graph.metrics.METRICS``.
        budget: the most lines (see ``View.lines``) that the figure may take.
        depth: how many levels deep the modules are nested that are one row each, whatever the height then is: 1 for the
            model's children. What is above is opened; a depth beyond the deepest module opens all.
        expand: paths of modules that are opened with all that they are in, whatever the height then is. One that is a
            repetition among others is taken out of these, so that it is drawn itself.
        collapse: modules that are one row each, by path ("layer1.0") or class ("Bottleneck", or with its Python module). A
            path that is in ``expand`` is opened nevertheless, if the class alone would close it.
        repeats: what follows itself is drawn once, with xN. Without it every repetition is drawn.
        style: "ledger" (rows below each other), "graph" (a card for each row, parallel branches side by side), or "auto":
            "graph" if that fits and at least a third of its rows stand in parallel branches, or the ledger would need several
            lines past its rows; else "ledger".
        difference: from which model the graph differs, and how: each row says what became of it, and what is as it was, or is
            new, is one row for each module as far as nothing else is asked for.

    Returns:
        The first level of detail that fits, refined as long as there is room; the widest one if none does. Every node belongs
        to one row, so the rows' totals add up to that of the graph.

    Raises:
        UsageError: there is no such metric, style or module, the graph does not hold the metric, or the depth is no whole
            number from 1 on.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("empty", "python", "Empty"), trace, (), (), (Scope(0, "", "Empty", 0, None),), ())
    >>> fold(graph, depth=0)
    Traceback (most recent call last):
    ...
    fxviz.UsageError: no depth 0: give a whole number from 1 on
    """
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 1):
        raise UsageError(f"no depth {depth}: give a whole number from 1 on")
    if style not in STYLES:
        raise UsageError(f"no style '{style}': choose {choice(STYLES)}")
    outline = Outline(graph, metric_for(graph, metric), difference)
    wished = wish(outline, expand, collapse, repeats, depth)
    if difference is not None and depth is None and repeats:
        wished = replace(wished, closed=wished.closed | (plain_modules(outline) - wished.opened))
    return choose(outline, wished, style, budget)


def deepest_fitting(graph: ArchGraph, budget: float = BUDGET) -> int | None:
    """The greatest depth whose figure fits the budget.

    Args:
        graph: an annotated graph.
        budget: the most lines (see ``View.lines``) that the figure may take.

    Returns:
        The depth, as for :func:`fold`, no more than the deepest module has; None if no figure of any depth fits.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> deepest_fitting(ArchGraph(ModelInfo("empty", "python", "Empty"), trace, (), (), (Scope(0, "", "Empty", 0, None),), ()))
    1
    """
    outline = Outline(graph)
    deepest = max((level(node.path) for node in graph.nodes if node.kind == "module"), default=1)
    found = None
    for depth in range(1, deepest + 1):
        detail = Detail(depth=depth, fold_layers=True, compact=True)
        if len(rows_of(outline, detail).rows) > budget or look(outline, detail).lines > budget:
            break
        found = depth
    return found
