"""Draw skip connections as arcs on the left, and other data flow past cards as arcs on the right.

A layout engine routes a long line around either side, lets all lines of a port meet in one point, and takes minutes for
a thousand of them. Here each line that leaves and arrives on the same side (west or east) becomes an arc in a lane,
computed from the positions of the boxes alone: short arcs inside, long arcs outside, none across a card.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

from fxviz._render.dot import FLOW, hex_of
from fxviz._render.drawing import Box, Dash, Line, Point, Table

_FIRST_LANE, _LANE, _ALL_LANES, _TIGHT = 18.0, 8.0, 96.0, 10.0
_RADIUS, _SEPARATION = 12.0, 3.0
_DASHES: dict[Dash, str] = {"dashed": "5,2", "dotted": "1,5"}
_PAIR = re.compile(r"(-?[\d.]+),(-?[\d.]+)")
_RADII = re.compile(r"A\S+ 0 0 \d ")


@dataclass(frozen=True)
class _Arc:
    name: str
    line: Line
    tail: Point
    head: Point
    sign: int
    """1 on the left, -1 on the right, where all x are mirrored until they are written."""
    lane: float = 0.0

    @property
    def height(self) -> float:
        return abs(self.head[1] - self.tail[1])

    def overlaps(self, other: _Arc) -> bool:
        ours, theirs = sorted((self.tail[1], self.head[1])), sorted((other.tail[1], other.head[1]))
        return min(ours[1], theirs[1]) > max(ours[0], theirs[0])

    def holds(self, other: _Arc) -> bool:
        ours, theirs = sorted((self.tail[1], self.head[1])), sorted((other.tail[1], other.head[1]))
        return ours[0] <= theirs[0] and theirs[1] <= ours[1]


def draw_arcs(
    lines: Mapping[str, Line], boxes: Mapping[str, tuple[Box, Element]], dark: bool
) -> dict[str, list[Element]]:
    """Draw each line that runs from west to west or from east to east.

    Args:
        lines: arcs by their name.
        boxes: each box by its id, with its SVG group as the engine placed it.
        dark: use each colour's dark value.

    Returns:
        For each line's name, its path and, if it has one, its arrowhead.
    """
    arcs = [_arc(name, line, boxes) for name, line in lines.items()]
    arcs = [arc for arc in arcs if arc.height > 1]
    placed = [arc for sign in (1, -1) for arc in _assign_lanes(_separate([arc for arc in arcs if arc.sign == sign]))]
    return {arc.name: _shapes(arc, dark) for arc in placed}


def is_arc(line: Line) -> bool:
    """Return whether a line leaves and arrives on the same side, west or east.

    >>> is_arc(Line("a", "b", "skip", tail_side="w", head_side="w")), is_arc(Line("a", "b", "flow"))
    (True, False)
    """
    return line.role != "order" and line.tail_side == line.head_side and line.tail_side in ("w", "e")


def points(shape: Element) -> list[Point]:
    """Return the points of a path or polygon, without the radii of its arcs.

    >>> points(Element("path", {"d": "M1,2C3,4 5,6 7.5,-8 A12,12 0 0 1 20,4"}))
    [(1.0, 2.0), (3.0, 4.0), (5.0, 6.0), (7.5, -8.0), (20.0, 4.0)]
    """
    drawn = _RADII.sub("", shape.get("d") or shape.get("points") or "")
    return [(float(x), float(y)) for x, y in _PAIR.findall(drawn)]


def _arc(name: str, line: Line, boxes: Mapping[str, tuple[Box, Element]]) -> _Arc:
    sign = 1 if line.tail_side == "w" else -1
    tail = _attachment(*boxes[line.tail], line.tail_port, sign)
    head = _attachment(*boxes[line.head], line.head_port, sign)
    return _Arc(name, line, tail, head, sign)


def _attachment(box: Box, group: Element, port: str | None, sign: int) -> Point:
    """Return where a line meets a box: at the edge of its outline, level with the middle of its port."""
    corners = outline(group)
    xs, ys = [sign * x for x, _ in corners], [y for _, y in corners]
    place = None if port is None else _port_middle(box.content, port)
    if place is None:
        return min(xs), (min(ys) + max(ys)) / 2
    return min(xs), min(ys) + (1 if box.content.border else 0) + place


def _port_middle(table: Table, port: str) -> float | None:
    """Return the distance in points from the table's top to the middle of the port's cell."""
    top = 0.0
    for row in table.rows:
        for cell in row:
            if cell.port == port:
                return top + (cell.height or 0) / 2
            inside = _port_middle(cell.content, port) if isinstance(cell.content, Table) else None
            if inside is not None:
                return top + inside
        top += max((cell.height or 0 for cell in row), default=0)
    return None


def outline(group: Element) -> list[Point]:
    """Return the corners of the shapes that a box is drawn with."""
    found = [point for shape in group for point in _corners(shape)]
    return found or [(0.0, 0.0)]


def _corners(shape: Element) -> list[Point]:
    if shape.tag == "rect":
        x, y, wide, high = (float(shape.get(key, 0)) for key in ("x", "y", "width", "height"))
        return [(x, y), (x + wide, y + high)]
    if shape.tag == "ellipse":
        x, y, wide, high = (float(shape.get(key, 0)) for key in ("cx", "cy", "rx", "ry"))
        return [(x - wide, y - high), (x + wide, y + high)]
    return points(shape)


def _separate(arcs: list[_Arc]) -> list[_Arc]:
    """Separate arcs that meet at a port: the arriving one moves up a little, the leaving one down."""
    leaving, arriving = ({_port(arc, end) for arc in arcs} for end in ("tail", "head"))
    return [_shift_ends(arc, leaving & arriving) for arc in arcs]


def _port(arc: _Arc, end: str) -> tuple[str, str | None]:
    line = arc.line
    return (line.tail, line.tail_port) if end == "tail" else (line.head, line.head_port)


def _shift_ends(arc: _Arc, shared: set[tuple[str, str | None]]) -> _Arc:
    down = _SEPARATION if _port(arc, "tail") in shared else 0
    up = _SEPARATION if _port(arc, "head") in shared else 0
    return replace(arc, tail=(arc.tail[0], arc.tail[1] + down), head=(arc.head[0], arc.head[1] - up))


def _assign_lanes(arcs: list[_Arc]) -> list[_Arc]:
    levels = _levels(arcs)
    step = min(_LANE, _ALL_LANES / max([1, *levels.values()]))
    left = min((x for arc in arcs for x, _ in (arc.tail, arc.head)), default=0.0)
    return [replace(arc, lane=_lane(arc, left, levels[arc.name], step)) for arc in arcs]


def _levels(arcs: list[_Arc]) -> dict[str, int]:
    """Return each arc's lane, counted from the card: the first free one outside the arcs that it holds."""
    levels: dict[str, int] = {}
    placed: list[_Arc] = []
    for arc in sorted(arcs, key=lambda arc: arc.height):
        beside = [other for other in placed if arc.overlaps(other)]
        taken = {levels[other.name] for other in beside}
        level = max((levels[other.name] + 1 for other in beside if arc.holds(other)), default=0)
        levels[arc.name] = next(free for free in itertools.count(level) if free not in taken)
        placed.append(arc)
    return levels


def _lane(arc: _Arc, left: float, level: int, step: float) -> float:
    is_own_loop = arc.line.tail == arc.line.head and level == 0
    return arc.tail[0] - _TIGHT if is_own_loop else left - _FIRST_LANE - step * level


def _shapes(arc: _Arc, dark: bool) -> list[Element]:
    color = hex_of(arc.line.color or FLOW, dark) or ""
    dash = {"stroke-dasharray": _DASHES[arc.line.dash]} if arc.line.dash in _DASHES else {}
    path = Element(
        "path", {"d": _bracket(arc), "fill": "none", "stroke": color, "stroke-width": f"{arc.line.width:g}", **dash}
    )
    return [path, Element("polygon", {"points": _arrowhead(arc), "fill": color})] if arc.line.arrow else [path]


def _bracket(arc: _Arc) -> str:
    """Return the path out to the lane, along it, and back to the base of the arrowhead, with round corners."""
    (x, y), (end, bottom), lane, sign = arc.tail, arc.head, arc.lane, arc.sign
    radius = min(_RADIUS, arc.height / 2, max(2.0, end - lane - _head_length(arc)))
    down = math.copysign(radius, bottom - y)
    turn = f"A{radius:g},{radius:g} 0 0 {0 if down * sign > 0 else 1}"
    near, foot = lane + radius, max(lane + radius, end - _head_length(arc) + 1)
    return " ".join(
        (
            f"M{sign * x:.2f},{y:.2f} L{sign * near:.2f},{y:.2f} {turn} {sign * lane:.2f},{y + down:.2f}",
            f"L{sign * lane:.2f},{bottom - down:.2f} {turn} {sign * near:.2f},{bottom:.2f}",
            f"L{sign * foot:.2f},{bottom:.2f}",
        )
    )


def _arrowhead(arc: _Arc) -> str:
    (x, y), back, half = arc.head, _head_length(arc), 7.5 * arc.line.arrow
    foot = arc.sign * (x - back)
    return f"{arc.sign * x:.2f},{y:.2f} {foot:.2f},{y - half:.2f} {foot:.2f},{y + half:.2f}"


def _head_length(arc: _Arc) -> float:
    return 13 * arc.line.arrow
