"""Draw several models side by side at one scale: a column for each, a line for each resolution, as papers do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import islice

from fxviz._analysis.structure import Family, Stage, Structure
from fxviz._graph import units
from fxviz._render import palette
from fxviz._render.drawing import Color
from fxviz._render.paper.face import fit, wrapped
from fxviz._render.paper.inset import inset
from fxviz._render.paper.page import DETAILS, MARGIN, Words, left_out, notes, shown
from fxviz._render.paper.scene import Area, Item, Piece, Scene, Stroke, below, flowed
from fxviz._render.paper.style import GAP, SMALL, TEXT, TITLE, condensed, extent, length, plain_word, text

Line = tuple[int | None, ...]
"""For each model the place of its stage in a line, None if it has none there."""

_CELL, _BETWEEN = 27.0, 7.0
"""The height of a stage, and the space to the next one, which holds the arrow."""
_NARROWEST, _WIDEST = 66.0, 120.0
"""The least and the greatest width of a model's column."""
_HIGHEST = 440.0
_SAME = 0.5
"""Models with fewer stages of the same sizes, of all stages of the shorter one, are aligned by their places."""


def family(models: Family, words: Sequence[Words], name: str, width: float, height: float | None = None) -> Scene:
    """Return the figure of several models.

    Bars have one scale: as long as the column for the stage of all models that has most parameters. Blocks that are
    alike in all models have one letter.

    Args:
        models: what they consist of, in the order of the columns.
        words: what is said of each model.
        name: the title; "" for none, as each column has its own.
        width: of the figure, in points.
        height: the greatest height, in points; None for two thirds of a page. Blocks are left out until the figure
            fits; the columns are never.
    """
    room = width - 2 * MARGIN
    title = Piece(room, TITLE + 2, (text(0, TITLE / 2, fit(name, room, TITLE, bold=True), bold=True, size=TITLE),))
    columns = [*([title] if name else []), *grids(models.structures, words, room)]
    together = replace(models.structures[0], kinds=models.kinds)

    def more_or_less() -> Iterator[tuple[Sequence[Piece], Sequence[str]]]:
        for detail in DETAILS:
            insets = [inset(kind, others, 0, room) for kind, others in shown(together, detail)]
            yield insets, tuple(left_out(together, detail))

    return put_together(columns, more_or_less(), words, name or ", ".join(each.name for each in words), width, height)


def put_together(
    columns: Sequence[Piece],
    more_or_less: Iterable[tuple[Sequence[Piece], Sequence[str]]],
    words: Sequence[Words],
    name: str,
    width: float,
    height: float | None,
) -> Scene:
    """Return a figure with as many blocks as its height allows.

    Args:
        columns: what is drawn in any case.
        more_or_less: from most to least, blocks and what is left out with them.
        words: what is said of each model.
        name, width, height: as for :func:`family`.
    """
    room = width - 2 * MARGIN
    missing: Sequence[str] = ()
    for insets, missing in more_or_less:  # noqa: B007 (the last one is meant)
        parts = (*_side_by_side(columns, insets, room), *_notes(words, room))
        whole = below([part for part in parts if part.height], GAP)
        if whole.height + 2 * MARGIN <= (height or _HIGHEST):
            break
    high = whole.height + 2 * MARGIN
    description = " ".join(each.description for each in words)
    return Scene(name, description, width, high, whole.at(MARGIN, MARGIN), left_out=tuple(missing))


def _side_by_side(columns: Sequence[Piece], insets: Sequence[Piece], room: float) -> Iterator[Piece]:
    """Yield the columns with the blocks beside the last of them if there is room, else below."""
    *first, last = columns
    yield from first
    left = room - last.width - 2 * GAP
    beside = below(insets, GAP)
    if insets and beside.width <= left:
        yield flowed([last, beside], room, 2 * GAP)
    else:
        yield last
        yield flowed(insets, room, GAP)


def _notes(words: Sequence[Words], room: float) -> Iterator[Piece]:
    """Yield the remarks on each model, with its name."""
    for each in words:
        yield from notes(replace(each, notes=tuple(f"{each.name}: {note}" for note in each.notes)), room)


# -------------------------------------------------------------------- lines


def aligned(structures: Sequence[Structure]) -> list[Line]:
    """Return the lines.

    Stages of the same sizes stand in one line; if too few are equal, as in models of other families, stages with the
    same place and role.
    """
    by_size = [[(stage.role == "head", stage.size) for stage in each.stages] for each in structures]
    if all(_overlap(by_size[0], other) >= _SAME for other in by_size[1:]):
        return _merged([[key if not key[0] else "head" for key in keys] for keys in by_size])
    return _merged([list(_places(each.stages)) for each in structures])


def _overlap(one: Sequence[object], other: Sequence[object]) -> float:
    same = sum(block.size for block in SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks())
    return same / max(1, min(len(one), len(other)))


def _places(stages: Sequence[Stage]) -> Iterator[tuple[str, int]]:
    counts: dict[str, int] = {}
    for stage in stages:
        counts[stage.role] = counts.get(stage.role, 0) + 1
        yield stage.role, counts[stage.role]


def _merged(keys: Sequence[Sequence[object]]) -> list[Line]:
    """Align sequences of keys: equal keys in one line, as far as their order allows."""
    lines: list[tuple[object, list[int | None]]] = []
    for number, own in enumerate(keys):
        merged: list[tuple[object, list[int | None]]] = []
        none: list[int | None] = [None] * number
        matcher = SequenceMatcher(None, [key for key, _ in lines], list(own), autojunk=False)
        for tag, start, end, first, last in matcher.get_opcodes():
            if tag == "equal":
                merged += [(key, [*cells, first + at]) for at, (key, cells) in enumerate(lines[start:end])]
                continue
            merged += [(key, [*cells, None]) for key, cells in lines[start:end]]
            merged += [(key, [*none, first + at]) for at, key in enumerate(own[first:last])]
        lines = merged
    return [tuple(cells) for _, cells in lines]


# -------------------------------------------------------------------- the grid


@dataclass(frozen=True)
class Remark:
    """What is said of a stage below its parameters, and the colour of its ground."""

    texts: tuple[tuple[str, Color], ...]
    ground: Color


def grids(
    structures: Sequence[Structure],
    words: Sequence[Words],
    room: float,
    remarks: Sequence[Mapping[int, Remark]] = (),
) -> Iterator[Piece]:
    """Yield the columns: below each other if there are too many for one row, all with the same lines.

    Args:
        structures: what each model consists of.
        words: what is said of each model.
        room: the greatest width.
        remarks: for each model what is said of its stages, by their places; () for nothing.
    """
    bands = _bands(structures)
    most = max((stage.params for structure in structures for stage in structure.stages), default=0) or 1
    axis = max((length(words, bold=True) for band in bands for words in (band.title, band.size)), default=0.0) + 8
    count = max(1, int((room - axis + _BETWEEN) // (_NARROWEST + _BETWEEN)))
    rows = -(-len(structures) // count)
    count = -(-len(structures) // rows)
    column = min(_WIDEST, (room - axis) / count - _BETWEEN)
    numbers = iter(range(len(structures)))
    while chosen := list(islice(numbers, count)):
        yield _Grid(structures, words, bands, chosen, axis, column, most, remarks).piece()


@dataclass(frozen=True)
class _Band:
    """A line of the grid: the places of its stages, and what is said on the left: what they have in common."""

    places: Line
    title: str
    size: str


def _bands(structures: Sequence[Structure]) -> list[_Band]:
    """Return the lines. Sizes are told on the left in all of them or in none, where each stage tells its own."""
    found = []
    for line in aligned(structures):
        each = [one.stages[place] for one, place in zip(structures, line, strict=True) if place is not None]
        found.append((line, _common(stage.title for stage in each), _common(extent(stage.size) for stage in each)))
    sized = all(size is not None for _, _, size in found)
    return [_Band(line, title or "", size if sized and size else "") for line, title, size in found]


def _common(words: Iterable[str]) -> str | None:
    """Return what all words are, None if they differ."""
    different = set(words)
    return different.pop() if len(different) == 1 else None


@dataclass(frozen=True)
class _Grid:
    """Columns of some of the models.

    Attributes:
        structures, words: all models.
        bands: the lines of all models.
        chosen: the places of the models that are drawn.
        axis: the width of what stands on the left.
        column: the width of one model.
        most: the parameters of the longest bar.
        remarks: for each model what is said of its stages; () for nothing.
    """

    structures: Sequence[Structure]
    words: Sequence[Words]
    bands: Sequence[_Band]
    chosen: Sequence[int]
    axis: float
    column: float
    most: int
    remarks: Sequence[Mapping[int, Remark]] = ()

    @property
    def cell(self) -> float:
        """Return the height of a stage."""
        return _CELL + 9 if any(self.remarks) else _CELL

    def piece(self) -> Piece:
        heads = [self._head(self.words[number]) for number in self.chosen]
        top = max(head.height for head in heads)
        bands = [band for band in self.bands if any(band.places[number] is not None for number in self.chosen)]
        items: list[Item] = []
        for row, band in enumerate(bands):
            items += self._labels(band, top + row * (self.cell + _BETWEEN))
        for place, (number, head) in enumerate(zip(self.chosen, heads, strict=True)):
            left = self.axis + place * (self.column + _BETWEEN)
            items += head.at(left, 0)
            items += self._stages(number, bands, left, top)
        width = self.axis + len(self.chosen) * (self.column + _BETWEEN) - _BETWEEN
        return Piece(width, top + len(bands) * (self.cell + _BETWEEN) - _BETWEEN, tuple(items))

    def _head(self, words: Words) -> Piece:
        """Return the name and the totals of a model."""
        middle = self.column / 2
        facts = wrapped(words.facts.split(" · "), " · ", self.column + _BETWEEN - 4, SMALL)
        name = fit(words.name, self.column + _BETWEEN - 4, TEXT, bold=True)
        items = [text(middle, 5, name, bold=True, anchor="middle")]
        for line, fact in enumerate(facts):
            items.append(text(middle, 14 + 9 * line, fact, palette.MUTED, anchor="middle", size=SMALL))
        return Piece(self.column, 14 + 9 * len(facts), tuple(items))

    def _labels(self, band: _Band, y: float) -> Iterator[Item]:
        said = [(words, bold) for words, bold in ((band.title, True), (band.size, False)) if words]
        for at, (words, bold) in enumerate(said):
            middle = y + self.cell / 2 + (at - (len(said) - 1) / 2) * 9
            yield text(0, middle, words, palette.INK if bold else palette.MUTED, bold)

    def _stages(self, number: int, bands: Sequence[_Band], left: float, top: float) -> Iterator[Item]:
        """Yield the stages of a model, and the arrows between those that follow one another."""
        structure = self.structures[number]
        links = {(link.source, link.target) for link in structure.links}
        before: tuple[int, float] | None = None
        sized = any(band.size for band in bands)
        for row, band in enumerate(bands):
            place, y = band.places[number], top + row * (self.cell + _BETWEEN)
            if place is None:
                continue
            if before is not None and (before[0], place) in links:
                middle = left + self.column / 2
                yield Stroke(((middle, before[1]), (middle, y)), palette.FLOW, 1, 4)
            stage = structure.stages[place]
            remark = self.remarks[number].get(place) if self.remarks else None
            yield from self._stage(stage, "" if sized else extent(stage.size), remark, left, y)
            before = place, y + self.cell

    def _stage(self, stage: Stage, size: str, remark: Remark | None, left: float, top: float) -> Iterator[Item]:
        """Yield a stage: what it consists of, its channels, its parameters with their bar, and a remark."""
        inner = self.column - 8
        widths = f"{stage.entering}→{stage.channels}" if stage.entering and stage.channels else ""
        params = units.count(stage.params) if stage.params else ""
        ground = remark.ground if remark else palette.CARD
        yield Area(left, top, self.column, self.cell, ground, palette.BORDER, title=stage.text)
        yield text(left + 4, top + 7.5, _blocks(stage, inner), bold=True)
        room = inner - length(params, size=SMALL) - 4
        beside = fit(" · ".join(filter(None, (widths, size))), room, SMALL)
        yield text(left + 4, top + 16.5, beside, palette.MUTED, size=SMALL)
        yield text(left + self.column - 4, top + 16.5, params, anchor="end", size=SMALL)
        if stage.params:
            share = stage.params / self.most
            yield Area(left + 4, top + 21.5, inner, 3, palette.TRACK, radius=1)
            yield Area(left + 4, top + 21.5, max(0.5, inner * share), 3, palette.bar(share), radius=1)
        x = left + 4
        for said, color in remark.texts if remark else ():
            fitted = fit(said, left + self.column - 4 - x, SMALL, bold=True)
            yield text(x, top + 30, fitted, color, bold=True, size=SMALL)
            x += length(fitted, bold=True, size=SMALL) + 5


def _blocks(stage: Stage, room: float) -> str:
    """Return what a stage consists of in one line, without pooling if that is too long."""
    words = [run.text if run.lettered else plain_word(run.text) for run in condensed(stage.runs)]
    if length(", ".join(words), bold=True) > room:
        words = [word for word in words if "Pool" not in word] or words
    return fit(", ".join(words), room, TEXT, bold=True)
