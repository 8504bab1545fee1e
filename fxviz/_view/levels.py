"""A graph at one level of detail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from fxviz._view.assemble import assemble
from fxviz._view.branches import Region, find_regions, lay_rails, merge
from fxviz._view.detail import Detail
from fxviz._view.merge import merge_alike, merge_code, merge_layers, merge_lists, merge_nested
from fxviz._view.outline import Outline
from fxviz._view.plan import plan
from fxviz._view.rows import Drafts, draft
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
