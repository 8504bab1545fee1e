"""Draw the stages from left to right: smaller as the feature maps get smaller, darker as they hold more parameters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

from fxviz._analysis.structure import Run, Stage, Structure
from fxviz._graph import SKIP_KINDS, units
from fxviz._render import palette
from fxviz._render.paper.lanes import further_on
from fxviz._render.paper.scene import Area, Item, Piece, Stroke
from fxviz._render.paper.style import MOST_RUNS, SMALL, condensed, filled, has_layers, length, plain_word, sizes, text

TALLEST, LOWEST = 62.0, 27.0
CHIP, ARROW = 13.0, 11.0
"""The width of one letter, and of the arrow between two stages."""
ONE_ROW, _EDGE, _LANE = TALLEST + 34, 6.0, 5.0
"""The height of a row, the room for ways to the next row, and that between two arcs."""


@dataclass(frozen=True)
class Chip:
    """One block or layer within a stage, or several in one: its lines, and the skip around it."""

    lines: tuple[str, ...]
    lettered: bool
    shortcut: str | None = None

    @property
    def width(self) -> float:
        size = 8.0 if self.lettered else SMALL
        return max(CHIP, *(length(line, self.is_bold(number), size) + 5 for number, line in enumerate(self.lines)))

    def is_bold(self, line: int) -> bool:
        return self.lettered or (line == 0 and len(self.lines) > 1)


def overview(structure: Structure, entering: str, room: float) -> Piece:
    """Return the main way, as few chips as it takes to fit into ``room`` points, in more rows if that is not enough.

    ``entering``: the sizes of the input.
    """
    first = structure.main[0] if structure.main else None
    start = _input(entering or str(first.entering)) if first is not None and (entering or first.entering) else None
    left = room - (start.width if start else 0.0)
    for most, whole in ((24, True), (8, True), (3, True), (1, True), (1, False)):
        boxes = [Box(structure, stage, tuple(_chips(structure, stage, most, whole))) for stage in structure.main]
        if sum(box.width for box in boxes) + ARROW * (len(boxes) - 1) <= left:
            break
    return Rows(structure, boxes, start, room).piece()


@dataclass(frozen=True)
class Rows:
    """The boxes of the stages in as few rows as fit, with arcs above them for what is read further on.

    Attributes:
        structure: what is drawn.
        boxes: the stages.
        start: what stands before the first box, if anything.
        room: the greatest width.
    """

    structure: Structure
    boxes: Sequence[Box]
    start: Piece | None
    room: float

    @cached_property
    def rows(self) -> list[list[int]]:
        rows: list[list[int]] = [[]]
        used = self.start.width if self.start else 0.0
        for place, box in enumerate(self.boxes):
            if rows[-1] and used + box.width > self.room - (_EDGE if place < len(self.boxes) - 1 else 0.0):
                rows.append([])
                used = ARROW
            rows[-1].append(place)
            used += box.width + ARROW
        return rows

    @cached_property
    def row_of(self) -> dict[int, int]:
        return {place: number for number, row in enumerate(self.rows) for place in row}

    @cached_property
    def lefts(self) -> dict[int, float]:
        lefts = {}
        for number, row in enumerate(self.rows):
            x = ARROW if number else self.start.width if self.start else 0.0
            for place in row:
                lefts[place] = x
                x += self.boxes[place].width + ARROW
        return lefts

    @cached_property
    def arcs(self) -> dict[tuple[int, str], list[int]]:
        """Return what is read further on, by its reader and colour."""
        arcs: dict[tuple[int, str], list[int]] = defaultdict(list)
        for link in further_on(self.structure):
            arcs[link.target, link.kind if link.kind in SKIP_KINDS else "flow"].append(link.source)
        return arcs

    @cached_property
    def lanes(self) -> dict[tuple[int, str, int], int]:
        """Return the lane of each arc in each row, from the boxes upwards."""
        lanes: dict[tuple[int, str, int], int] = {}
        spans: list[tuple[int, float, float, int]] = []
        for (target, kind), sources in sorted(self.arcs.items(), key=lambda arc: arc[0][0] - min(arc[1])):
            for row in range(self.row_of[min(sources)], self.row_of[target] + 1):
                low = min((self.lefts[place] for place in sources if self.row_of[place] == row), default=0.0)
                high = self.lefts[target] if self.row_of[target] == row else self.room
                busy = {lane for at, left, right, lane in spans if at == row and left <= high and low <= right}
                lane = next(lane for lane in range(len(spans) + 1) if lane not in busy)
                spans.append((row, low, high, lane))
                lanes[target, kind, row] = lane
        return lanes

    @cached_property
    def tops(self) -> list[float]:
        """Return the top of the boxes of each row, and the bottom of all."""
        tops, y = [], 0.0
        for row in range(len(self.rows)):
            lanes = [lane for (_, _, at), lane in self.lanes.items() if at == row]
            y += _LANE * (max(lanes) + 1) + 3 if lanes else 0.0
            tops.append(y)
            y += ONE_ROW + (_EDGE + 2 if row < len(self.rows) - 1 else 0.0)
        return [*tops, y]

    def piece(self) -> Piece:
        items: list[Item] = [*self._arcs()]
        width = 0.0
        if self.start:
            items += self.start.at(0, self.tops[0])
        for place, box in enumerate(self.boxes):
            last = place == self.rows[self.row_of[place]][-1]
            drawn = box.piece(last)
            items += drawn.at(self.lefts[place], self.tops[self.row_of[place]])
            width = max(width, self.lefts[place] + drawn.width)
        items += [item for row in range(len(self.rows) - 1) for item in self._turn(row)]
        return Piece(self.room if len(self.rows) > 1 else width, self.tops[-1], tuple(items))

    def _turn(self, row: int) -> Iterator[Item]:
        """Draw the way from the end of a row to the start of the next one."""
        last, first = self.rows[row][-1], self.rows[row + 1][0]
        start, end = self._edges(last)[1], self._edges(first)[0]
        level, below = (self.tops[at] + TALLEST / 2 for at in (row, row + 1))
        under = self.tops[row] + ONE_ROW + 3
        right = self.lefts[last] + self.boxes[last].width + 5
        yield Stroke(((start, level), (right, level), (right, under), (2, under), (2, below), (end, below)),
                     palette.FLOW, 1, 4.5, radius=3)  # fmt: skip

    def _edges(self, place: int) -> tuple[float, float]:
        """Return left and right of the area of a stage."""
        box = self.boxes[place]
        left = self.lefts[place] + (box.width - box.inner) / 2
        return left, left + box.inner

    def _arcs(self) -> Iterator[Item]:
        for (target, kind), sources in self.arcs.items():
            color = palette.FLOW if kind == "flow" else palette.SKIP
            thick = 1.0 if kind == "flow" else 1.4
            end, last = sum(self._edges(target)) / 2 - (3 if kind == "flow" else 0), self.row_of[target]
            for source in sources:
                row = self.row_of[source]
                x = sum(self._edges(source)) / 2 + 3
                points = [(x, self._roof(source)), (x, self._lane(target, kind, row))]
                for at in range(row, last):
                    here, there = self._lane(target, kind, at), self._lane(target, kind, at + 1)
                    points += [(self.room - 1, here), (self.room - 1, there)]
                points += [(end, self._lane(target, kind, last)), (end, self._roof(target))]
                yield Stroke(tuple(points), color, thick, 4.5, dashed=has_layers(kind), radius=3)

    def _roof(self, place: int) -> float:
        return self.tops[self.row_of[place]] + (TALLEST - self.boxes[place].height()) / 2

    def _lane(self, target: int, kind: str, row: int) -> float:
        return self.tops[row] - 3 - _LANE * self.lanes[target, kind, row]


def _input(said: str) -> Piece:
    width, height = max(length(said, size=SMALL), length("input", bold=True)), TALLEST
    items: list[Item] = [
        Area((width - 9) / 2, 0, 9, height, palette.PILL, palette.BORDER),
        text(width / 2, TALLEST + 8, "input", bold=True, anchor="middle"),
        text(width / 2, TALLEST + 17, said, palette.MUTED, anchor="middle", size=SMALL),
        Stroke((((width + 9) / 2, height / 2), (width + ARROW, height / 2)), palette.FLOW, 1, 4.5),
    ]
    return Piece(width + ARROW, ONE_ROW, tuple(items))


def _chips(structure: Structure, stage: Stage, most: int, whole: bool) -> Iterator[Chip]:
    """Yield the blocks of a stage one by one if there are at most ``most``, else by runs; and its layers.

    ``whole``: with the sizes of layers, and with layers beside blocks.
    """
    one_by_one = stage.blocks <= most
    runs = condensed(stage.runs)
    for run in runs if whole else runs[:MOST_RUNS]:
        if not run.lettered:
            if whole or not stage.blocks:
                yield Chip(_lines(run)[: 2 if whole else 1], False)
        elif one_by_one:
            for name in run.names * run.times:
                yield Chip((name,), True, structure.kind(name).shortcut)
        else:
            yield Chip((run.text,), True, structure.kind(run.names[0]).shortcut)


def _lines(run: Run) -> tuple[str, ...]:
    """Return the words of a layer in two lines: its name, and its sizes."""
    name, _, rest = plain_word(run.text).partition(": " if " layers: " in run.text else " ")
    return (name, rest) if rest else (name,)


@dataclass(frozen=True)
class Box:
    """A stage of the overview."""

    structure: Structure
    stage: Stage
    chips: tuple[Chip, ...]

    @property
    def inner(self) -> float:
        return sum(chip.width + 2 for chip in self.chips) + 4

    @property
    def said(self) -> tuple[str, str, str]:
        stage = self.stage
        return stage.title, sizes(stage.channels, stage.size) if stage.channels else "", units.percent(stage.share)

    @property
    def width(self) -> float:
        title, *others = self.said
        return max(self.inner, length(title, bold=True), *(length(words, size=SMALL) for words in others))

    def height(self) -> float:
        """Return the height: the fourth root of the positions, scaled to the first stage's."""
        main = self.structure.main
        positions = [prod(stage.size) for stage in main if stage.size]
        most, ours = max(positions, default=1), prod(self.stage.size)
        scaled: float = TALLEST * (ours / most) ** 0.25
        return max(LOWEST, min(TALLEST, scaled))

    def piece(self, last: bool) -> Piece:
        width, height = self.width, self.height()
        top, middle, share = (TALLEST - height) / 2, TALLEST / 2, self.stage.share
        title, size, percent = self.said
        left = (width - self.inner) / 2
        items: list[Item] = [
            filled(left, top, self.inner, height, share, self.stage.text),
            *self._row(left + 3, middle),
        ]
        items.append(text(width / 2, TALLEST + 8, title, bold=True, anchor="middle"))
        items.append(text(width / 2, TALLEST + 17, size, palette.MUTED, anchor="middle", size=SMALL))
        large = share >= 0.1
        items.append(
            text(width / 2, TALLEST + 26, percent, palette.INK if large else palette.MUTED, large, "middle", SMALL)
        )
        if not last:
            items.append(Stroke(((left + self.inner, middle), (width + ARROW, middle)), palette.FLOW, 1, 4.5))
        return Piece(width + (0 if last else ARROW), ONE_ROW, tuple(items))

    def _row(self, x: float, middle: float) -> Iterator[Item]:
        for chip in self.chips:
            high = 13.0 if len(chip.lines) == 1 else 19.0
            yield Area(x, middle - high / 2, chip.width, high, palette.CARD, palette.BORDER, radius=2)
            for line, words in enumerate(chip.lines):
                y = middle + (line - (len(chip.lines) - 1) / 2) * 8
                color = palette.SKIP if has_layers(chip.shortcut) else palette.INK
                size = 8.0 if chip.lettered else SMALL
                yield text(x + chip.width / 2, y, words, color, chip.is_bold(line), "middle", size)
            x += chip.width + 2
