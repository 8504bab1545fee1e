"""Draw stages in rows and columns, with what they hand to one another: streams side by side, ladders, and grids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from fxviz._analysis.structure import Link, Stage, Structure
from fxviz._graph import SKIP_KINDS
from fxviz._render import palette
from fxviz._render.paper.routes import Cell, Line, Routes
from fxviz._render.paper.scene import Item, Piece
from fxviz._render.paper.stage_box import box_height, box_width, entered, least_width, stage_box
from fxviz._render.paper.style import SMALL, has_layers, sizes

WIDEST, SMALLEST = 110.0, 6.0
"""The greatest width of a box, and the smallest size of text."""


def is_input(structure: Structure, link: Link) -> bool:
    """Return whether a link hands on what enters the model: often only its sizes are read."""
    first = structure.stages[0]
    return link.source == 0 and link.kind == "tap" and link.channels == first.entering != first.channels


def further_on(structure: Structure) -> Iterator[Link]:
    """Yield what stages hand to others than the next one, one link for each two stages, if all are on the main way.

    What several stages tap is told of the last one: the others may read no more of it than its sizes.
    """
    last: dict[str, int] = {}
    for link in structure.links:
        last[link.node] = max(link.target, last.get(link.node, 0)) if link.kind == "tap" else last.get(link.node, 0)
    known = set[tuple[int, int]]()
    for link in structure.links if len(structure.main) == len(structure.stages) else ():
        pair = (link.source, link.target)
        is_told = link.kind != "tap" or (last[link.node] == link.target and not is_input(structure, link))
        if link.target - link.source > 1 and is_told and pair not in known:
            known.add(pair)
            yield link


@dataclass(frozen=True)
class Reads:
    """Who reads whom: the links of a structure that are drawn, one for each pair of stages.

    A stage may read one that is listed behind it, but not what depends on it: such a link closes a loop.
    """

    structure: Structure

    @cached_property
    def pairs(self) -> dict[tuple[int, int], list[Link]]:
        """Return the links by pair of stages, without those that close a loop over more than two stages."""
        found: dict[tuple[int, int], list[Link]] = defaultdict(list)
        for link in self.structure.links:
            if link.source < link.target and not is_input(self.structure, link):
                found[link.source, link.target].append(link)
        fed = {target for _, target in found}
        for link in self.structure.links:
            if link.source > link.target:
                readers = {target for source, target in found if source == link.target}
                is_apart = link.target not in fed and readers <= {link.source}
                if is_apart or not self.is_before(link.target, link.source, found):
                    found[link.source, link.target].append(link)
        return dict(found)

    def is_across(self, source: int, target: int) -> bool:
        """Return whether a stage is read beside the way from each stage to the next."""
        return all(link.kind != "flow" for link in self.pairs[source, target])

    def is_beside(self, source: int, target: int) -> bool:
        """Return whether a stage stands beside one that it reads: they read each other, or it attends to the other."""
        return (target, source) in self.pairs or all(link.kind == "cross" for link in self.pairs[source, target])

    def is_before(self, stage: int, other: int, pairs: Iterable[tuple[int, int]]) -> bool:
        """Return whether one stage's result reaches another one."""
        following: dict[int, list[int]] = defaultdict(list)
        for source, target in pairs:
            following[source].append(target)
        reached, waiting = {stage}, [stage]
        while waiting:
            new = set(following[waiting.pop()]) - reached
            reached |= new
            waiting += new
        return other in reached

    @cached_property
    def sources(self) -> dict[int, list[int]]:
        """Return the stages that each stage reads; of two that read each other, the later one is read."""
        sources: dict[int, list[int]] = defaultdict(list)
        for source, target in self.pairs:
            if source > target or (target, source) not in self.pairs:
                sources[target].append(source)
        return sources

    @cached_property
    def order(self) -> list[int]:
        """Return the stages in such an order that each stands behind those that it reads."""
        order: list[int] = []
        waiting = list(range(len(self.structure.stages)))
        while waiting:
            ready = (place for place in waiting if not set(self.sources[place]) & set(waiting))
            place = next(ready, waiting[0])
            waiting.remove(place)
            order.append(place)
        return order

    def lines(self, pairs: Iterable[tuple[int, int]]) -> tuple[Line, ...]:
        """Return the lines of pairs of stages: blue and with a sign if a skip is handed on, and not the flow."""
        drawn: list[Line] = []
        for source, target in pairs:
            both = (target, source) in self.pairs
            if both and source < target:
                continue
            links = self.pairs[source, target]
            kinds = sorted((link.kind for link in links), key=lambda kind: kind not in SKIP_KINDS)
            if kinds[0] not in SKIP_KINDS or "flow" in kinds:
                drawn.append(Line(source, target, both=both))
                continue
            label = sizes(links[0].channels, links[0].size) + (f" ×{len(links)}" if len(links) > 1 else "")
            is_first = not any(line.sign and line.target == target for line in drawn)
            sign = ("C" if "concat" in kinds else "×" if "gate" in kinds else "+") if is_first else ""
            dashed = has_layers(kinds[0])
            drawn.append(Line(source, target, palette.SKIP, 1.4, dashed, both, sign, label))
        return tuple(drawn)


def in_lanes(structure: Structure) -> tuple[Reads, dict[int, Cell]]:
    """Return the cell of each stage: its rank is behind those that it reads, its slot is its lane."""
    reads = Reads(structure)
    ranks: dict[int, int] = {}
    for place in reads.order:
        before = [source for source in reads.sources[place] if source in ranks]
        ranks[place] = max((ranks[source] + (not reads.is_beside(source, place)) for source in before), default=0)
    _delay(structure, reads, ranks)
    slots = _slots(structure, ranks)
    taken: set[Cell] = set()
    for place in reads.order:
        while (ranks[place], slots[place]) in taken:
            slots[place] += 1
        taken.add((ranks[place], slots[place]))
    return reads, {place: (ranks[place], slots[place]) for place in ranks}


def _delay(structure: Structure, reads: Reads, ranks: dict[int, int]) -> None:
    """Move stages beside the main way to just before they are read."""
    readers: dict[int, list[int]] = defaultdict(list)
    for target, sources in reads.sources.items():
        for source in sources:
            readers[source].append(target)
    for place in reversed(reads.order):
        if structure.stages[place].lane and readers[place]:
            ranks[place] = max(ranks[place], min(ranks[reader] for reader in readers[place]) - 1)


def _slots(structure: Structure, ranks: dict[int, int]) -> dict[int, int]:
    """Return the slot of each stage: lanes that do not pass the same ranks share one."""
    spans: dict[int, tuple[int, int]] = {}
    for place, stage in enumerate(structure.stages):
        low, high = spans.get(stage.lane, (ranks[place], ranks[place]))
        spans[stage.lane] = (min(low, ranks[place]), max(high, ranks[place]))
    slot_of: dict[int, int] = {}
    for lane in sorted(spans):
        low, high = spans[lane]
        busy = {slot_of[other] for other in slot_of if spans[other][0] <= high and low <= spans[other][1]}
        slot_of[lane] = next(slot for slot in range(len(spans)) if slot not in busy)
    return {place: slot_of[stage.lane] for place, stage in enumerate(structure.stages)}


def in_columns(structure: Structure) -> tuple[Reads, dict[int, Cell]]:
    """Return the cell of each stage of a ladder: a column for each way down or up, a row for each resolution.

    Heads stand in a column of their own.
    """
    reads = Reads(structure)
    heads = _heads(structure)
    columns: dict[int, int] = {}
    lowest = max((stage.level for place, stage in enumerate(structure.stages) if place not in heads), default=0)
    for place in (place for place in reads.order if place not in heads):
        level, column = structure.stages[place].level, 0
        for source in reads.sources[place]:
            if source not in columns:
                continue
            above = structure.stages[source].level
            is_up = bool(columns[source] % 2)
            turns = (level > above) == is_up if level != above else level == lowest or reads.is_across(source, place)
            column = max(column, columns[source] + turns)
        columns[place] = column
    rows = _rows(structure, columns)
    last = max(columns.values(), default=-1) + 1
    for number, head in enumerate(heads):
        columns[head], rows[head] = last, number
    return reads, {place: (columns[place], rows[place]) for place in columns}


def in_triangle(structure: Structure) -> tuple[Reads, dict[int, Cell]]:
    """Return the cell of each stage of a grid: a row for each resolution, a column for each step at one or upwards."""
    reads = Reads(structure)
    levels = sorted({stage.level for stage in structure.stages})
    cells: dict[int, Cell] = {}
    for place in reads.order:
        level = structure.stages[place].level
        before = [source for source in reads.sources[place] if source in cells]
        column = max((cells[source][0] + (structure.stages[source].level >= level) for source in before), default=0)
        while (column, levels.index(level)) in cells.values():
            column += 1
        cells[place] = (column, levels.index(level))
    return reads, cells


def triangle(structure: Structure, entering: str, room: float) -> Piece | None:
    """Return the stages of a grid by resolution and step; None if there is no room for them."""
    reads, cells = in_triangle(structure)
    return _drawn(structure, reads, cells, reads.pairs, True, entering, room)


def _heads(structure: Structure) -> list[int]:
    """Return the stages behind the last skip."""
    across = [link.target for link in structure.links if link.kind in SKIP_KINDS and link.source < link.target]
    return list(range(max(across, default=len(structure.stages)) + 1, len(structure.stages)))


def _rows(structure: Structure, columns: dict[int, int]) -> dict[int, int]:
    """Return the row of each stage: one for each resolution, or more where a column has more stages of one."""
    stacks: dict[Cell, list[int]] = defaultdict(list)
    for place, column in columns.items():
        stacks[structure.stages[place].level, column].append(place)
    rows: dict[int, int] = {}
    first = 0
    for level in sorted({structure.stages[place].level for place in columns}):
        here = {key: places for key, places in stacks.items() if key[0] == level}
        for (_, column), places in here.items():
            for number, place in enumerate(places[::-1] if column % 2 else places):
                rows[place] = first + number
        first += max(map(len, here.values()))
    return rows


def _drawn(structure: Structure, reads: Reads, cells: dict[int, Cell], pairs: Iterable[tuple[int, int]],
           sideways: bool, entering: str, room: float) -> Piece | None:  # fmt: skip
    """Return stages in their cells, as small as 6 points of text if it must be; None if names had to be cut."""
    routes = Routes(cells, reads.lines(pairs), sideways)
    least = max(map(least_width, structure.stages))
    for scale in (1.0, SMALLEST / SMALL):
        width = routes.fitting(room / scale)
        if width >= least:
            alone = all(reads.sources[place] for place in range(1, len(structure.stages)))
            return _in_cells(structure.stages, routes, entering if alone else "", width).scaled(scale)
    return None


def _in_cells(stages: tuple[Stage, ...], routes: Routes, entering: str, room: float) -> Piece:
    """Return stages as boxes of one width, which has ``room`` points at most, with the lines between them."""
    width = min(room, WIDEST, max(map(box_width, stages)))
    size = (width, box_height(stages, width))
    items: list[Item] = [*routes.items(size)]
    for place, stage in enumerate(stages):
        items += stage_box(stage, *routes.corner(place, size), *size)
    return entered(Piece(*routes.size(size), tuple(items)), *routes.corner(0, size), width, entering)


def lanes(structure: Structure, entering: str, room: float) -> Piece | None:
    """Return the stages in their lanes, in the direction that takes less height; None if there is no room for them."""
    reads, cells = in_lanes(structure)
    drawn = [_drawn(structure, reads, cells, reads.pairs, sideways, entering, room) for sideways in (True, False)]
    return min((piece for piece in drawn if piece is not None), key=lambda piece: piece.height, default=None)


def ladder(structure: Structure, entering: str, room: float) -> Piece | None:
    """Return the stages of a ladder by resolution, each way down or up in a column; None if there is no room."""
    reads, cells = in_columns(structure)
    return _drawn(structure, reads, cells, _without_detours(structure, reads, cells), True, entering, room)


def _without_detours(structure: Structure, reads: Reads, cells: dict[int, Cell]) -> list[tuple[int, int]]:
    """Return the pairs without those between resolutions that are told by a way through other stages.

    Modules that read a whole list of feature maps make such links, often for their sizes alone.
    """
    kept = []
    for source, target in reads.pairs:
        kinds = {link.kind for link in reads.pairs[source, target]}
        others = [pair for pair in reads.pairs if pair != (source, target) and pair[1] <= max(source, target)]
        one, other = structure.stages[source], structure.stages[target]
        if (
            kinds == {"tap"}
            and one.level != other.level
            and other.role != "head"
            and reads.is_before(source, target, others)
        ):
            continue
        kept.append((source, target))
    return kept
