"""Draw the stages from left to right: smaller as the feature maps get smaller, darker as they hold more parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from fxviz._analysis.structure import Run, Stage, Structure
from fxviz._graph import units
from fxviz._render import palette
from fxviz._render.paper.scene import Area, Item, Piece, Stroke, flowed
from fxviz._render.paper.style import MOST_RUNS, SMALL, condensed, filled, has_layers, length, plain_word, sizes, text

TALLEST, LOWEST = 62.0, 27.0
CHIP, ARROW = 13.0, 11.0
"""The width of one letter, and of the arrow between two stages."""


@dataclass(frozen=True)
class Chip:
    """One block or layer within a stage, or several in one: its lines, and the skip around it."""

    lines: tuple[str, ...]
    lettered: bool
    shortcut: str | None = None

    @property
    def width(self) -> float:
        size, pad = (8.0, 5.0) if self.lettered else (SMALL, 5.0)
        return max(CHIP, *(length(line, self.lettered, size) + pad for line in self.lines))


def overview(structure: Structure, entering: str, room: float) -> Piece:
    """Return the main way, as few chips as it takes to fit into ``room`` points, in more rows if that is not enough.

    ``entering``: the sizes of the input.
    """
    first = structure.main[0] if structure.main else None
    pieces = [_input(entering or str(first.entering))] if first is not None and (entering or first.entering) else []
    left = room - sum(piece.width for piece in pieces)
    for most, whole in ((24, True), (8, True), (3, True), (1, True), (1, False)):
        stages = [Box(structure, stage, tuple(_chips(structure, stage, most, whole))) for stage in structure.main]
        if sum(box.width for box in stages) + ARROW * (len(stages) - 1) <= left:
            break
    pieces += [box.piece(last=place == len(stages) - 1) for place, box in enumerate(stages)]
    return flowed(pieces, room, 0)


def _input(said: str) -> Piece:
    width, height = max(length(said, size=SMALL), length("input", bold=True)), TALLEST
    items: list[Item] = [
        Area((width - 9) / 2, 0, 9, height, palette.PILL, palette.BORDER),
        text(width / 2, TALLEST + 8, "input", bold=True, anchor="middle"),
        text(width / 2, TALLEST + 17, said, palette.MUTED, anchor="middle", size=SMALL),
        Stroke((((width + 9) / 2, height / 2), (width + ARROW, height / 2)), palette.FLOW, 1, 4.5),
    ]
    return Piece(width + ARROW, TALLEST + 34, tuple(items))


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
        return Piece(width + (0 if last else ARROW), TALLEST + 34, tuple(items))

    def _row(self, x: float, middle: float) -> Iterator[Item]:
        for chip in self.chips:
            high = 13.0 if len(chip.lines) == 1 else 19.0
            yield Area(x, middle - high / 2, chip.width, high, palette.CARD, palette.BORDER, radius=2)
            for line, words in enumerate(chip.lines):
                y = middle + (line - (len(chip.lines) - 1) / 2) * 8
                size, bold = (8.0, True) if chip.lettered else (SMALL, line == 0 and len(chip.lines) > 1)
                yield text(x + chip.width / 2, y, words, bold=bold, anchor="middle", size=size)
            if chip.shortcut is not None:
                y = middle - high / 2
                points = ((x + 1.5, y), (x + 1.5, y - 3.5), (x + chip.width - 1.5, y - 3.5), (x + chip.width - 1.5, y))
                yield Stroke(points, palette.CARD, 2.8, radius=2)
                yield Stroke(points, palette.SKIP, 1.2, 0, dashed=has_layers(chip.shortcut), radius=2)
            x += chip.width + 2
