"""Define the levels of detail, from the closest to the widest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from fxviz._view.view import ViewStyle

Blocks = Literal["layers", "blocks", "stages"]


@dataclass(frozen=True)
class Detail:
    """A level of detail.

    Attributes:
        merge_branches: each of several parallel branches is one row.
        blocks: "layers" (all blocks opened), "blocks" (one row for each block of a stage), "stages" (one row for each
            stage).
        fold_layers: runs of equal single layers are drawn once, too.
        compact: a stage that fits in one card has its name in the card, not in a frame around it.
        merge_code: consecutive functions in a module's own code (the post-processing of a detector) are one row.
        merge_alike: consecutive blocks of one class and structure are one row, whatever their sizes.
        merge_small: consecutive steps without parameters and MACs are one row, and so are chains of layers that differ
            in size alone.
        most_rows: consecutive rows in a frame are merged, so that no more than this number are left.
        depth: modules nested this many levels deep are one row each, and those above are opened; replaces ``blocks``.
        opened: module calls that are no row at any level; one that would be a row gets a frame.
        closed: module calls that are one row each at any level.
        closed_lists: paths of lists of modules, which are never called; all below each of them is one row.
        named: paths of modules that are drawn themselves, not as a repetition of another one.
        repeats: repeated blocks are drawn once, with xN.
        style: "ledger" (rows below each other, branches along rails) or "graph" (branches side by side).
    """

    merge_branches: bool = False
    blocks: Blocks = "layers"
    fold_layers: bool = False
    compact: bool = False
    merge_code: bool = False
    merge_alike: bool = False
    merge_small: bool = False
    most_rows: int | None = None
    depth: int | None = None
    opened: frozenset[int] = frozenset()
    closed: frozenset[int] = frozenset()
    closed_lists: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()
    repeats: bool = True
    style: ViewStyle = "ledger"

    @property
    def opens_all(self) -> bool:
        """Return whether all blocks are opened, so that nothing is left to open."""
        return self.depth is None and self.blocks == "layers"

    @property
    def may_be_large(self) -> bool:
        """Return whether the caller chose what is opened, so that the figure need not fit a page."""
        return self.depth is not None or bool(self.named) or not self.repeats

    def with_overrides(self, overrides: Detail) -> Detail:
        """Return this level with what the caller opens, closes and repeats."""
        return replace(
            self,
            opened=overrides.opened,
            closed=overrides.closed,
            closed_lists=overrides.closed_lists,
            named=overrides.named,
            repeats=overrides.repeats,
        )


LEVELS = (
    Detail(),
    Detail(compact=True),
    Detail(merge_branches=True, compact=True),
    Detail(blocks="blocks"),
    Detail(blocks="blocks", merge_branches=True, compact=True),
    Detail(blocks="blocks", merge_branches=True, compact=True, fold_layers=True),
    Detail(blocks="blocks", merge_branches=True, compact=True, fold_layers=True, merge_alike=True),
    Detail(blocks="blocks", merge_branches=True, compact=True, fold_layers=True, merge_code=True),
    Detail(blocks="blocks", merge_branches=True, compact=True, fold_layers=True, merge_code=True, merge_alike=True),
    Detail(blocks="stages", merge_branches=True, compact=True, fold_layers=True),
    Detail(blocks="stages", merge_branches=True, compact=True, fold_layers=True, merge_code=True),
    Detail(blocks="stages", merge_branches=True, compact=True, fold_layers=True, merge_code=True, merge_alike=True),
)
"""From the closest to the widest; the first that fits the height is taken."""

MERGED = tuple(
    replace(LEVELS[-1], merge_small=True, most_rows=most) for most in (None, 72, 64, 56, 48, 40, 32, 24, 16, 8, 4, 2, 1)
)
"""The levels where no other fits: small steps and chains of layers are merged, then any neighbouring rows."""

GRAPH_LEVELS = tuple(dict.fromkeys(replace(level, compact=False, style="graph") for level in LEVELS))
"""The levels of the graph style, where every row is a card of its own."""
