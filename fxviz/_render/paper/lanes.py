"""Draw streams side by side: stages in lanes, in the order in which they read one another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from fxviz._analysis.structure import Stage, Structure
from fxviz._graph import SKIP_KINDS
from fxviz._render import palette
from fxviz._render.drawing import Point
from fxviz._render.paper.scene import Item, Piece, Stroke
from fxviz._render.paper.stage_box import HIGH, box_width, stage_box

STEP, LEAST = 14.0, 44.0
"""The space between two stages, and the least width of one."""


@dataclass(frozen=True)
class Lanes:
    """Stages by lane and by depth: from left to right on a page, from top to bottom in a column."""

    structure: Structure
    room: float

    @property
    def stages(self) -> tuple[Stage, ...]:
        return self.structure.stages

    @cached_property
    def pairs(self) -> dict[tuple[int, int], bool]:
        """Return who hands something to whom, and whether it is a skip."""
        pairs: dict[tuple[int, int], bool] = {}
        for link in self.structure.links:
            if link.source != link.target:
                ends = (link.source, link.target)
                pairs[ends] = pairs.get(ends, True) and link.kind in SKIP_KINDS
        return pairs

    @cached_property
    def depths(self) -> list[int]:
        """Return how many stages come before each one at least."""
        depths = [0] * len(self.stages)
        for place in range(len(self.stages)):
            before = [depths[source] + 1 for source, target in self.pairs if target == place and source < place]
            depths[place] = max(before, default=0)
        taken: dict[tuple[int, int], int] = {}
        for place, stage in enumerate(self.stages):
            while (stage.lane, depths[place]) in taken:
                depths[place] += 1
            taken[stage.lane, depths[place]] = place
        return depths

    @cached_property
    def lanes(self) -> list[int]:
        return sorted({stage.lane for stage in self.stages})

    @cached_property
    def across(self) -> bool:
        """Return whether the stages run from left to right."""
        return (max(self.depths) + 1) * (LEAST + STEP) <= self.room

    @cached_property
    def columns(self) -> int:
        return max(self.depths) + 1 if self.across else len(self.lanes)

    @property
    def fits(self) -> bool:
        return self.columns * (LEAST + STEP) - STEP <= self.room

    @cached_property
    def box(self) -> float:
        free = (self.room - STEP * (self.columns - 1)) / self.columns
        return min(free, 100.0, max(map(box_width, self.stages)))

    def place(self, stage: int) -> Point:
        """Return the top left corner of a stage."""
        depth, lane = self.depths[stage], self.lanes.index(self.stages[stage].lane)
        column, row = (depth, lane) if self.across else (lane, depth)
        return column * (self.box + STEP), row * (HIGH + STEP)

    def piece(self) -> Piece:
        rows = len(self.lanes) if self.across else max(self.depths) + 1
        items = [*self._links()]
        for place, stage in enumerate(self.stages):
            items += stage_box(stage, *self.place(place), self.box)
        width = self.columns * (self.box + STEP) - STEP
        return Piece(width, rows * (HIGH + STEP) - STEP, tuple(items))

    def _links(self) -> Iterator[Item]:
        entering: dict[int, int] = defaultdict(int)
        for (source, target), is_skip in self.pairs.items():
            if (target, source) in self.pairs and target < source:
                continue
            both = (target, source) in self.pairs
            entering[target] += 1
            color = palette.SKIP if is_skip else palette.FLOW
            points = self._way(source, target, entering[target] - 1)
            yield Stroke(points, color, 1.3 if is_skip else 1.0, 4.5)
            if both:
                yield Stroke(points[:2][::-1], color, 1.0, 4.5)

    def _way(self, source: int, target: int, number: int) -> tuple[Point, ...]:
        """Return the way from one stage to another; ``number`` moves its end apart from those of others."""
        (x0, y0), (x1, y1) = self.place(source), self.place(target)
        shift = ((number + 1) // 2) * (4 if number % 2 else -4)
        near = self.depths[target] - self.depths[source] == 1
        if self.across:
            start, end = (x0 + self.box, y0 + HIGH / 2), (x1, y1 + HIGH / 2 + shift)
            if near and abs(y0 - y1) < 0.1 and not shift:
                return start, end
            bend = x1 - STEP / 2 - 1.5 * number
            if near or y0 != y1:
                return start, (bend, start[1]), (bend, end[1]), end
            below = y0 + HIGH + STEP / 2 - 3
            out = x0 + self.box + STEP / 2 - 2
            return start, (out, start[1]), (out, below), (bend, below), (bend, end[1]), end
        start, end = (x0 + self.box / 2, y0 + HIGH), (x1 + self.box / 2 + shift * 2, y1)
        if near and abs(x0 - x1) < 0.1 and not shift:
            return start, end
        bend = y1 - STEP / 2 - 1.5 * number
        if near or x0 != x1:
            return start, (start[0], bend), (end[0], bend), end
        side = x0 + self.box + STEP / 2 - 3
        out = y0 + HIGH + STEP / 2 - 2
        return start, (start[0], out), (side, out), (side, bend), (end[0], bend), end


def lanes(structure: Structure, room: float) -> Piece | None:
    """Return the stages in their lanes; None if there are too many for ``room`` points."""
    drawn = Lanes(structure, room)
    return drawn.piece() if drawn.fits else None
