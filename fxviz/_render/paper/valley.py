"""Draw a model whose resolution falls and rises again, with its skips across, as a U."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from fxviz._analysis.structure import Link, Stage, Structure
from fxviz._graph import SKIP_KINDS
from fxviz._render import palette
from fxviz._render.drawing import Point
from fxviz._render.paper.scene import Area, Item, Piece, Stroke
from fxviz._render.paper.stage_box import box_height, box_width, entered, stage_box
from fxviz._render.paper.style import SMALL, has_layers, length, sizes, text

STEP, STACK = 13.0, 8.0
"""The space between two resolutions, and that between two stages of one resolution."""
SIGN = 10.0


@dataclass(frozen=True)
class Valley:
    """The stages on the left, which fall, and on the right, which rise."""

    structure: Structure
    room: float

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        return self.structure.stages

    @cached_property
    def across(self) -> list[Link]:
        """Return the skips from the left to the right."""
        return [link for link in self.structure.links if link.kind in SKIP_KINDS and link.source < link.target]

    @cached_property
    def lowest(self) -> int:
        """Return the last stage on the way down: the first of the lowest resolution before skips arrive."""
        first = min((link.target for link in self.across), default=len(self.stages))
        return max(range(first), key=lambda place: (self.stages[place].level, -place), default=0)

    def is_left(self, place: int) -> bool:
        return place <= self.lowest

    @property
    def is_plain(self) -> bool:
        """Return whether the resolution falls, then rises, and each stage reads the one before and skips."""
        rising = [stage.level for stage in self.stages[self.lowest :]]
        reads = {(link.source, link.target) for link in self.structure.links if link.kind not in SKIP_KINDS}
        return rising == sorted(rising, reverse=True) and all(target - source == 1 for source, target in reads)

    @cached_property
    def levels(self) -> list[int]:
        return sorted({stage.level for stage in self.stages})

    @cached_property
    def stacks(self) -> dict[tuple[int, bool], list[int]]:
        """Return the stages of each resolution on each side, from top to bottom."""
        stacks: dict[tuple[int, bool], list[int]] = defaultdict(list)
        for place, stage in enumerate(self.stages):
            stacks[stage.level, self.is_left(place)].append(place)
        return {key: places if key[1] else places[::-1] for key, places in stacks.items()}

    @cached_property
    def tops(self) -> dict[int, float]:
        """Return the top of each resolution."""
        tops, y = {}, 0.0
        for level in self.levels:
            tops[level] = y
            most = max(len(self.stacks.get((level, side), ())) for side in (True, False))
            y += most * self.high + (most - 1) * STACK + STEP
        return tops

    @cached_property
    def box(self) -> float:
        needed = max(box_width(stage) for stage in self.stages)
        return max(48.0, min(needed, 110.0, self.room / 2.6))

    @cached_property
    def high(self) -> float:
        return box_height(self.stages, self.box)

    @cached_property
    def indent(self) -> float:
        free = self.room / 2 - self.box - 16
        return max(0.0, min(30.0, free / max(1, len(self.levels) - 1)))

    def place(self, stage: int) -> tuple[float, float]:
        """Return the top left corner of a stage."""
        level = self.stages[stage].level
        stack = self.stacks[level, self.is_left(stage)]
        y = self.tops[level] + stack.index(stage) * (self.high + STACK)
        depth = self.levels.index(level) * self.indent
        if stage == self.lowest and len(stack) == 1 and (level, False) not in self.stacks:
            return (self.room - self.box) / 2, y
        return (depth if self.is_left(stage) else self.room - self.box - depth), y

    def piece(self) -> Piece:
        height = max(self.tops.values()) + max(
            (
                len(stack) * (self.high + STACK) - STACK
                for (level, _), stack in self.stacks.items()
                if level == self.levels[-1]
            )
        )
        items = [*self._flows(), *self._skips()]
        for place, stage in enumerate(self.stages):
            items += stage_box(stage, *self.place(place), self.box, self.high)
        return Piece(self.room, height, tuple(items))

    def _flows(self) -> Iterator[Item]:
        for link in self.structure.links:
            if link.kind != "flow":
                continue
            (x0, y0), (x1, y1) = self.place(link.source), self.place(link.target)
            down = y1 > y0
            start, end = (y0 + self.high, y1) if down else (y0, y1 + self.high)
            left, right = max(x0, x1), min(x0, x1) + self.box
            column, label = (left + right) / 2, (min(start, end) + 7 if down else max(start, end) - 6)
            points: tuple[Point, ...] = ((column, start), (column, end))
            if right - left <= 8 and down:
                column, level = x0 + self.box / 2, y1 + self.high / 2
                points = ((column, start), (column, level), (x1, level))
            elif right - left <= 8:
                column, level, label = x1 + self.box / 2, y0 + self.high / 2, end + 7
                points = ((x0 + self.box, level), (column, level), (column, end))
            yield Stroke(points, palette.FLOW, 1, 4.5)
            if said := resized(self.structure, link.source, link.target):
                is_right = column + 5 + length(said, size=SMALL) <= self.room
                x = column + 5 if is_right else column - 5
                yield text(x, label, said, palette.MUTED, anchor="start" if is_right else "end", size=SMALL)

    def _skips(self) -> Iterator[Item]:
        bundles: dict[tuple[int, int], list[Link]] = defaultdict(list)
        for link in self.structure.links:
            if link.kind in SKIP_KINDS:
                bundles[link.source, link.target].append(link)
        for (source, target), links in bundles.items():
            yield from self._skip(source, target, links)

    def _skip(self, source: int, target: int, links: list[Link]) -> Iterator[Item]:
        (x0, y0), (x1, y1) = self.place(source), self.place(target)
        if x1 <= x0:
            return
        start, end = y0 + self.high / 2, y1 + self.high / 2
        link, tip = links[0], x1 - SIGN - 1
        dashed = has_layers(link.kind)
        points = [(x0 + self.box, start), (tip, end)]
        if abs(start - end) > 0.5:
            points[1:1] = [(tip - 10, start), (tip - 10, end)]
        yield Stroke(tuple(points), palette.SKIP, 1.4, 5, dashed=dashed, radius=3)
        said = sizes(link.channels, link.size) + (f" ×{len(links)}" if len(links) > 1 else "")
        if length(said, size=SMALL) < tip - x0 - self.box - 12:
            yield text((x0 + self.box + tip) / 2, start - 5, said, palette.SKIP, anchor="middle", size=SMALL)
        if any(
            link.target == target and link.source > source for link in self.structure.links if link.kind in SKIP_KINDS
        ):
            return
        yield Area(x1 - SIGN - 1, end - SIGN / 2, SIGN, SIGN, palette.SKIP, radius=SIGN / 2)
        sign = "C" if link.kind == "concat" else "+"
        yield text(x1 - SIGN / 2 - 1, end, sign, palette.CARD, bold=True, anchor="middle", size=7.5)


def resized(structure: Structure, source: int, target: int) -> str:
    """Return how the resolution changes on the way from one stage to the next, "" where blocks change it."""
    one, other = structure.stages[source], structure.stages[target]
    if one.level == other.level:
        return ""
    words: list[str] = []
    for run in other.runs:
        rows = structure.kind(run.names[0]).rows if run.lettered else ()
        words += [" ".join((row.word, *row.marks)) for row in rows if not row.on_shortcut] or list(run.names)
        if run.lettered:
            break
    for word in words:
        if word.startswith("resize"):
            ratio = max(other.size, default=0) / (max(one.size, default=0) or 1)
            return f"resize ×{ratio:.0f}" if ratio > 1 and ratio == round(ratio) else "resize"
        for name, short in _RESIZING.items():
            if word.startswith(name):
                sizes_and_stride = [part for part in word.split(" ")[1:] if "×" in part or part.startswith("/")]
                return " ".join([short, *sizes_and_stride[:2]])
    return ""


_RESIZING = {"MaxPool": "max", "AvgPool": "avg", "UpConv": "up"}


def valley(structure: Structure, entering: str, room: float) -> Piece | None:
    """Return the stages of a U, ``room`` points wide; None if its ways are more than one down and one up.

    ``entering``: the sizes of the input.
    """
    drawn = Valley(structure, room)
    return entered(drawn.piece(), *drawn.place(0), drawn.box, entering) if drawn.is_plain else None
