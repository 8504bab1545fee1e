"""How closely to look: the levels of detail, from the closest look to the widest."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Detail:
    """How closely to look.

    Attributes:
        merge_branches: each of several parallel branches is one row.
        blocks: "layers" (all blocks opened), "blocks" (one row for each block of a stage), "stages" (one row for each stage).
        fold_layers: runs of equal single layers are drawn once, too.
        compact: a stage that fits in one card has its name in the card, not in a frame around it.
        merge_code: functions that follow each other in a module's own code (the post-processing of a detector) are one row.
        merge_alike: blocks of one class and structure that follow each other are one row, whatever their sizes.
        most_rows: rows that follow each other in a frame are put together, so that there are no more than these.
        depth: modules nested so many levels deep are one row each, and those above are opened; takes the place of ``blocks``.
        opened: module calls that are no row, whatever the level; where one would have been a row it gets a frame.
        closed: module calls that are one row each, whatever the level.
        closed_lists: paths of modules that nobody calls (lists of modules), what stands below each of them is one row.
        named: paths of modules that are drawn themselves: none of them is a repetition of a module with another path.
        repeats: what follows itself is drawn once, with xN.
        style: "ledger" (rows below each other, branches along rails) or "graph" (branches side by side).
    """

    merge_branches: bool = False
    blocks: str = "layers"
    fold_layers: bool = False
    compact: bool = False
    merge_code: bool = False
    merge_alike: bool = False
    most_rows: int | None = None
    depth: int | None = None
    opened: frozenset[int] = frozenset()
    closed: frozenset[int] = frozenset()
    closed_lists: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()
    repeats: bool = True
    style: str = "ledger"

    @property
    def opens_all(self) -> bool:
        """Whether all blocks are opened, so that there is nothing to look at more closely."""
        return self.depth is None and self.blocks == "layers"


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
"""From the closest look to the widest; the first that fits the height is taken."""

MERGED = tuple(replace(LEVELS[-1], most_rows=most) for most in (72, 64, 56, 48, 40, 32, 24, 16, 8, 4, 2, 1))
"""What is left where no level fits: rows are put together that have nothing in common but their place."""

GRAPH_LEVELS = tuple(dict.fromkeys(replace(level, compact=False, style="graph") for level in LEVELS))
"""The same for the graph style, where every row is a card of its own."""
