"""Which level of detail to draw: the closest look that fits, with what the caller asks for, in the style that suits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fxviz._view.detail import GRAPH_LEVELS, LEVELS, MERGED, Detail
from fxviz._view.levels import Fits, Look, look_at, look_within
from fxviz._view.outline import Outline
from fxviz._view.refining import refine
from fxviz._view.view import View

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
        level, opened=wish.opened, closed=wish.closed, closed_lists=wish.closed_lists, named=wish.named, repeats=wish.repeats
    )
