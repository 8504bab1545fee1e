"""Place boxes in ranks and slots, and lead the lines between them through the gutters, never behind a box.

Ranks follow one another in the direction of the flow, which is down or to the right; slots stand beside one another.
Along the flow a place is called ``u``, across it ``v``. Gutter ``g`` of either direction is before rank or slot ``g``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from fxviz._render import palette
from fxviz._render.drawing import Color, Point
from fxviz._render.paper.scene import Area, Item, Stroke
from fxviz._render.paper.style import SMALL, length, text

SIGN = 10.0
"""The size of the sign of a join."""
_EXIT, _ENTRY, _TRACK, _APART = 5.0, 9.0, 4.0, 6.0
"""The least ways behind and before a box, the space between two lines in a gutter, and that at a box."""

Cell = tuple[int, int]
"""Rank and slot."""
Gutter = tuple[Literal["u", "v"], int]
Side = Literal["start", "end"]


@dataclass(frozen=True)
class Line:
    """A line from one box to another.

    Attributes:
        source, target: the boxes.
        color, thick, dashed: how it looks.
        both: whether an arrow points back, too.
        sign: what stands in the circle at its end; "" for no circle.
        label: what is said above it where it is straight and there is room.
    """

    source: int
    target: int
    color: Color = palette.FLOW
    thick: float = 1.0
    dashed: bool = False
    both: bool = False
    sign: str = ""
    label: str = ""


@dataclass(frozen=True)
class Port:
    """A place at one side of a box where lines of one group begin or end: before (-1), at or behind (1) the middle."""

    key: object
    direction: int


@dataclass(frozen=True)
class Routes:
    """Boxes in their cells, and the lines between them.

    Attributes:
        cells: rank and slot of each box.
        lines: what is drawn between them.
        sideways: whether ranks run from left to right.
        gap: the least width of a gutter between ranks, and of one between slots.
    """

    cells: Mapping[int, Cell]
    lines: tuple[Line, ...]
    sideways: bool
    gap: Point = (14.0, 8.0)

    # ---------------------------------------------------------------- which gutters

    @cached_property
    def _taken(self) -> set[Cell]:
        return set(self.cells.values())

    @cached_property
    def count(self) -> Cell:
        """Return the number of ranks and of slots."""
        ranks, slots = zip(*self.cells.values(), strict=True)
        return max(ranks) + 1, max(slots) + 1

    @cached_property
    def ways(self) -> list[tuple[Gutter, ...]]:
        """Return the gutters that each line runs through; none if it is straight."""
        return [self._way(self.cells[line.source], self.cells[line.target]) for line in self.lines]

    def _way(self, start: Cell, end: Cell) -> tuple[Gutter, ...]:
        (rank, slot), (to_rank, to_slot) = start, end
        ranks = range(min(rank, to_rank) + 1, max(rank, to_rank))
        slots = range(min(slot, to_slot) + 1, max(slot, to_slot))
        if rank == to_rank:
            return () if not any((rank, other) in self._taken for other in slots) else (("u", rank + 1),)
        own_is_free = not any((other, slot) in self._taken for other in ranks)
        if to_rank > rank and own_is_free:
            return () if slot == to_slot else (("u", to_rank),)
        if to_rank > rank and slot != to_slot and not any((other, to_slot) in self._taken for other in ranks):
            return (("u", rank + 1),)
        beside = to_slot if to_slot > slot else to_slot + 1 if to_slot < slot or slot else 0
        return ("u", rank + 1), ("v", beside), ("u", to_rank)

    def _spans(self, number: int) -> Iterator[tuple[Gutter, float, float]]:
        """Yield the gutters of a line, and from where to where it runs in them: 0.5 is the middle of the first box."""
        way, line = self.ways[number], self.lines[number]
        slot, to_slot = (self.cells[box][1] + 0.5 for box in (line.source, line.target))
        if len(way) == 1:
            ends = [(slot, to_slot)]
        elif way:
            first, middle, last = way
            ends = [(slot, middle[1]), (first[1], last[1]), (middle[1], to_slot)]
        for gutter, (one, other) in zip(way, ends if way else (), strict=True):
            yield gutter, min(one, other), max(one, other)

    @cached_property
    def tracks(self) -> dict[tuple[int, Gutter], int]:
        """Return the track of each line in each of its gutters.

        Lines from boxes that all go to the same boxes share a track; others that pass the same place do not.
        """
        spans: dict[Gutter, list[tuple[int, float, float]]] = defaultdict(list)
        for number in range(len(self.lines)):
            for gutter, low, high in self._spans(number):
                spans[gutter].append((number, low, high))
        tracks = {}
        for gutter, found in spans.items():
            groups = self._groups(found)
            placed: list[tuple[float, float, int]] = []
            for numbers, low, high in sorted(groups, key=lambda group: (group[2] - group[1], group[0])):
                busy = {track for other, end, track in placed if other <= high and low <= end}
                track = next(track for track in range(len(placed) + 1) if track not in busy)
                placed.append((low, high, track))
                tracks.update({(number, gutter): track for number in numbers})
        return tracks

    def _groups(self, found: list[tuple[int, float, float]]) -> list[tuple[list[int], float, float]]:
        """Join lines in one gutter whose sources have the same targets."""
        aims: dict[tuple[int, Color], set[int]] = defaultdict(set)
        reached = {self.lines[number].target for number, _, _ in found}
        inside = {number for number, _, _ in found}
        for number, line in enumerate(self.lines):
            if number in inside or (not self.ways[number] and line.target in reached):
                aims[line.source, line.color].add(line.target)
        groups: dict[object, list[tuple[int, float, float]]] = defaultdict(list)
        for each in found:
            line = self.lines[each[0]]
            groups[line.color, frozenset(aims[line.source, line.color])].append(each)
        return [
            ([number for number, _, _ in group], min(low for _, low, _ in group), max(high for _, _, high in group))
            for group in groups.values()
        ]

    # ---------------------------------------------------------------- where at a box

    @cached_property
    def _ports(self) -> dict[tuple[int, Side], list[Port]]:
        """Return the ports of each side of a box along the flow, from one edge to the other."""
        found: dict[tuple[int, Side], dict[object, Port]] = defaultdict(dict)
        for number, line in enumerate(self.lines):
            if self.ways[number] or self.cells[line.source][0] != self.cells[line.target][0]:
                leaving: tuple[int, Side, Port] = (line.source, "end", self._exit(number))
                for box, side, port in (leaving, self._entry(number)):
                    known = found[box, side].get(port.key)
                    if known is None or port.direction == 0:
                        found[box, side][port.key] = port
        return {place: self._in_order(list(ports.values())) for place, ports in found.items()}

    def _exit(self, number: int) -> Port:
        line, way = self.lines[number], self.ways[number]
        return Port(("out", line.color), self._turn(line.source, line.target, way[1:2]) if way else 0)

    def _entry(self, number: int) -> tuple[int, Side, Port]:
        line, way = self.lines[number], self.ways[number]
        if not way:
            return line.target, "start", Port("straight", 0)
        key = (line.color, way[-1], self.tracks[number, way[-1]])
        same_rank = self.cells[line.source][0] == self.cells[line.target][0]
        side: Side = "end" if same_rank else "start"
        return line.target, side, Port(key, self._turn(line.target, line.source, way[1:2]))

    def _turn(self, box: int, other: int, middle: tuple[Gutter, ...]) -> int:
        """Return whether a line at a box goes to lower (-1) or to higher (1) slots."""
        slot = self.cells[box][1]
        if middle:
            return 1 if middle[0][1] > slot else -1
        return 1 if self.cells[other][1] > slot else -1

    @staticmethod
    def _in_order(ports: list[Port]) -> list[Port]:
        exits = [port for port in ports if isinstance(port.key, tuple) and port.key[0] == "out"]
        if exits and all(port.direction for port in ports):
            ports = [Port(port.key, 0) if port is exits[0] else port for port in ports]
        return sorted(ports, key=lambda port: port.direction)

    def _offset(self, box: int, side: Side, key: object, across: float) -> float:
        """Return how far from the middle of a box's side a port is."""
        ports = self._ports[box, side]
        place = next(number for number, port in enumerate(ports) if port.key == key)
        middle = [number for number, port in enumerate(ports) if not port.direction]
        center = middle[0] if middle else (len(ports) - 1) / 2
        if not middle and side == "start" and box in self._met:
            center = sum(port.direction < 0 for port in ports) - 0.5
        most = max(center, len(ports) - 1 - center)
        apart = SIGN - 1 if side == "start" and box in self._signed else _APART
        return (place - center) * min(apart, (across / 2 - 3) / most) if most else 0.0

    @cached_property
    def _met(self) -> set[int]:
        """Return the boxes that face, in their slot, one from which a line turns away: no line enters at its level."""
        turning = {self.cells[line.source] for line, way in zip(self.lines, self.ways, strict=True) if way}
        met = set()
        for box, (rank, slot) in self.cells.items():
            before = max((other for other, beside in self._taken if beside == slot and other < rank), default=None)
            if before is not None and (before, slot) in turning:
                met.add(box)
        return met

    @cached_property
    def _signed(self) -> set[int]:
        """Return the boxes before which a sign stands."""
        return {line.target for line in self.lines if self._has_sign(line)}

    def _has_sign(self, line: Line) -> bool:
        """Return whether a sign stands at the end of a line: it comes from another rank."""
        return bool(line.sign) and self.cells[line.source][0] != self.cells[line.target][0]

    # ---------------------------------------------------------------- in points

    def gutters(self, axis: Literal["u", "v"]) -> list[float]:
        """Return the widths of the gutters between ranks or slots."""
        ends = self.count[axis == "v"]
        widths = [0.0, *[self.gap[axis == "v"]] * (ends - 1), 0.0]
        used: dict[int, int] = defaultdict(int)
        for (_, gutter), track in self.tracks.items():
            if gutter[0] == axis:
                used[gutter[1]] = max(used[gutter[1]], track + 1)
        for place, tracks in used.items():
            around = _EXIT + _ENTRY + self._turned(axis, place) if axis == "u" else 2 * _EXIT
            widths[place] = max(widths[place], around + _TRACK * (tracks - 1))
        for line in self.lines:
            rank = self.cells[line.target][0]
            if axis == "u" and self._has_sign(line):
                tracks = used[rank]
                widths[rank] = max(widths[rank], _EXIT + _ENTRY + SIGN + 1 + _TRACK * max(0, tracks - 1))
        return widths

    def _turned(self, axis: str, gutter: int) -> float:
        """Return the room for arrows that enter boxes before a gutter."""
        back = axis == "u" and any(
            way == ((axis, gutter),) and self.cells[line.source][0] == self.cells[line.target][0]
            for way, line in zip(self.ways, self.lines, strict=True)
        )
        return _ENTRY - _EXIT if back else 0.0

    def size(self, box: Point) -> Point:
        """Return width and height of all, if a box has a width and a height."""
        along, across = box if self.sideways else box[::-1]
        u = sum(self.gutters("u")) + along * self.count[0]
        v = sum(self.gutters("v")) + across * self.count[1]
        return (u, v) if self.sideways else (v, u)

    def fitting(self, room: float) -> float:
        """Return the greatest width of a box for which all fits into a width."""
        axis: Literal["u", "v"] = "u" if self.sideways else "v"
        return (room - sum(self.gutters(axis))) / self.count[not self.sideways]

    def corner(self, box: int, size: Point) -> Point:
        """Return the top left corner of a box, if each has a width and a height."""
        place = self._corner(box, size if self.sideways else size[::-1])
        return place if self.sideways else place[::-1]

    def _corner(self, box: int, size: Point) -> Point:
        rank, slot = self.cells[box]
        return (
            sum(self.gutters("u")[: rank + 1]) + rank * size[0],
            sum(self.gutters("v")[: slot + 1]) + slot * size[1],
        )

    def _track(self, number: int, gutter: Gutter, size: Point) -> float:
        """Return where a line runs in a gutter."""
        axis, place = gutter
        before = sum(self.gutters(axis)[:place]) + place * size[axis == "v"]
        return (
            before + _EXIT + (self._turned("u", place) if axis == "u" else 0.0) + _TRACK * self.tracks[number, gutter]
        )

    def items(self, size: Point) -> Iterator[Item]:
        """Yield the lines, if each box has a width and a height, and then what stands on them."""
        drawn = [self._points(number, size if self.sideways else size[::-1]) for number in range(len(self.lines))]
        for line, points in zip(self.lines, drawn, strict=True):
            yield Stroke(tuple(points), line.color, line.thick, 4.5, dashed=line.dashed, radius=3)
            if line.both:
                yield Stroke((points[1], points[0]), line.color, line.thick, 4.5)
        for line, points, way in zip(self.lines, drawn, self.ways, strict=True):
            (x, y), (end, level) = points[0], points[-1]
            if self._has_sign(line):
                shift = SIGN / 2
                x_sign, y_sign = (end + shift, level) if self.sideways else (end, level + shift)
                yield Area(x_sign - shift, y_sign - shift, SIGN, SIGN, line.color, radius=shift)
                yield text(x_sign, y_sign, line.sign, palette.CARD, bold=True, anchor="middle", size=7.5)
            if line.label and self.sideways and not way and length(line.label, size=SMALL) + 10 < end - x:
                yield text((x + end - 4) / 2, y - 5, line.label, line.color, anchor="middle", size=SMALL)

    def _points(self, number: int, size: Point) -> list[Point]:
        """Return the corners of a line, the last of which is before the sign at its end."""
        points = self._corners(number, size)
        if self._has_sign(self.lines[number]):
            points[-1] = (points[-1][0] - SIGN - 1, points[-1][1])
        return points if self.sideways else [point[::-1] for point in points]

    def _corners(self, number: int, size: Point) -> list[Point]:
        line, way = self.lines[number], self.ways[number]
        (u, v), (to_u, to_v) = self._corner(line.source, size), self._corner(line.target, size)
        along, across = size
        if not way and self.cells[line.source][0] == self.cells[line.target][0]:
            down = to_v > v
            return [(u + along / 2, v + across if down else v), (u + along / 2, to_v if down else to_v + across)]
        v += across / 2 + self._offset(line.source, "end", self._exit(number).key, across)
        _, side, port = self._entry(number)
        to_v += across / 2 + self._offset(line.target, side, port.key, across)
        start, end = (u + along, v), (to_u + (along if side == "end" else 0.0), to_v)
        tracks = [self._track(number, gutter, size) for gutter in way]
        if len(way) == 3:
            first, middle, last = tracks
            return [start, (first, v), (first, middle), (last, middle), (last, to_v), end]
        if way and abs(v - to_v) > 0.1:
            return [start, (tracks[0], v), (tracks[0], to_v), end]
        return [start, end]
