"""Skip connections as arcs on the left, other data flow past cards as arcs on the right.

An engine routes a long line around whatever side it likes, and lets all lines of a port meet in one point. Here each line that
leaves and arrives on one side (west, east) becomes an arc in a lane: short arcs inside, long arcs outside, none across a card.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

from fxviz.drawing import Box, Frame, Line

_FIRST_LANE, _LANE, _ALL_LANES, _TIGHT = 18.0, 8.0, 96.0, 10.0
_RADIUS, _APART = 12.0, 3.0
_PAIR = re.compile(r"(-?[\d.]+),(-?[\d.]+)")
_RADII = re.compile(r"A\S+ 0 0 \d ")

Point = tuple[float, float]


@dataclass(frozen=True)
class _Arc:
    group: Element
    line: Line
    tail: Point
    head: Point
    sign: int
    """1 on the left. On the right -1: there all x are mirrored until they are written."""
    lane: float = 0.0

    @property
    def height(self) -> float:
        return abs(self.head[1] - self.tail[1])

    def overlaps(self, other: _Arc) -> bool:
        ours, theirs = sorted((self.tail[1], self.head[1])), sorted((other.tail[1], other.head[1]))
        return min(ours[1], theirs[1]) > max(ours[0], theirs[0])


def draw_arcs(groups: Iterable[tuple[Element, Box | Frame | Line]]) -> set[Element]:
    """Redraw each line from west to west and from east to east, in place.

    Args:
        groups: the SVG group of each thing drawn, as the engine placed it.

    Returns:
        The groups that were redrawn.
    """
    arcs = [_read(group, thing) for group, thing in groups if isinstance(thing, Line) and _is_arc(thing)]
    arcs = [arc for arc in arcs if arc.height > 1]
    for sign in (1, -1):
        for arc in _in_lanes(_apart([arc for arc in arcs if arc.sign == sign])):
            _redraw(arc)
    return {arc.group for arc in arcs}


def points(shape: Element) -> list[Point]:
    """The points that a path or polygon names; the radii of its arcs are none.

    >>> points(Element("path", {"d": "M1,2C3,4 5,6 7.5,-8 A12,12 0 0 1 20,4"}))
    [(1.0, 2.0), (3.0, 4.0), (5.0, 6.0), (7.5, -8.0), (20.0, 4.0)]
    """
    drawn = _RADII.sub("", shape.get("d") or shape.get("points") or "")
    return [(float(x), float(y)) for x, y in _PAIR.findall(drawn)]


def _is_arc(line: Line) -> bool:
    return line.role != "order" and line.tail_side == line.head_side and line.tail_side in ("w", "e")


def _read(group: Element, line: Line) -> _Arc:
    """Where the engine let a line start and end, which is at the middle of its ports."""
    path = points(group.findall("path")[-1])
    arrow = group.find("polygon")
    head = path[-1] if arrow is None else _target(arrow, line.width)
    end = path[0][0] if abs(path[0][0] - head[0]) < 6 else head[0]
    sign = 1 if line.tail_side == "w" else -1
    return _Arc(group, line, (sign * path[0][0], path[0][1]), (sign * end, head[1]), sign)


def _target(arrow: Element, width: float) -> Point:
    """The point that an arrowhead stands for: its tip as painted, with the outline's pointed corner."""
    (ax, ay), (x, y), (bx, by) = points(arrow)[:3]
    along = (x - (ax + bx) / 2, y - (ay + by) / 2)
    length, half = math.hypot(*along), math.hypot(ax - bx, ay - by) / 2
    corner = width / 2 * math.hypot(length, half) / half
    return x + along[0] / length * corner, y + along[1] / length * corner


def _apart(arcs: list[_Arc]) -> list[_Arc]:
    """Where one arc ends and another starts, the arriving one moves up a little and the leaving one down."""
    leaving, arriving = ({_port(arc, end) for arc in arcs} for end in ("tail", "head"))
    return [_moved(arc, leaving & arriving) for arc in arcs]


def _port(arc: _Arc, end: str) -> tuple[str, str | None]:
    line = arc.line
    return (line.tail, line.tail_port) if end == "tail" else (line.head, line.head_port)


def _moved(arc: _Arc, shared: set[tuple[str, str | None]]) -> _Arc:
    down = _APART if _port(arc, "tail") in shared else 0
    up = _APART if _port(arc, "head") in shared else 0
    return replace(arc, tail=(arc.tail[0], arc.tail[1] + down), head=(arc.head[0], arc.head[1] - up))


def _in_lanes(arcs: list[_Arc]) -> list[_Arc]:
    levels = _levels(arcs)
    step = min(_LANE, _ALL_LANES / max([1, *levels.values()]))
    left = min((x for arc in arcs for x, _ in (arc.tail, arc.head)), default=0.0)
    return [replace(arc, lane=_lane(arc, left, levels[id(arc.group)], step)) for arc in arcs]


def _levels(arcs: list[_Arc]) -> dict[int, int]:
    """How many shorter arcs lie inside each arc, counted from the card."""
    levels: dict[int, int] = {}
    placed: list[_Arc] = []
    for arc in sorted(arcs, key=lambda arc: arc.height):
        levels[id(arc.group)] = max((levels[id(other.group)] + 1 for other in placed if arc.overlaps(other)), default=0)
        placed.append(arc)
    return levels


def _lane(arc: _Arc, left: float, level: int, step: float) -> float:
    is_own_loop = arc.line.tail == arc.line.head and level == 0
    return arc.tail[0] - _TIGHT if is_own_loop else left - _FIRST_LANE - step * level


def _redraw(arc: _Arc) -> None:
    path = arc.group.findall("path")[-1]
    path.set("d", _bracket(arc))
    arrow = arc.group.find("polygon")
    if arrow is not None:
        arrow.set("points", _arrowhead(arc))
        arrow.attrib.pop("stroke", None)
        arrow.attrib.pop("stroke-width", None)


def _bracket(arc: _Arc) -> str:
    """Out to the lane, along it, and back to the foot of the arrowhead, with round corners."""
    (x, y), (end, bottom), lane, sign = arc.tail, arc.head, arc.lane, arc.sign
    radius = min(_RADIUS, arc.height / 2, max(2.0, end - lane - _length(arc)))
    down = math.copysign(radius, bottom - y)
    turn = f"A{radius:g},{radius:g} 0 0 {0 if down * sign > 0 else 1}"
    near, foot = lane + radius, max(lane + radius, end - _length(arc) + 1)
    return " ".join(
        (
            f"M{sign * x:.2f},{y:.2f} L{sign * near:.2f},{y:.2f} {turn} {sign * lane:.2f},{y + down:.2f}",
            f"L{sign * lane:.2f},{bottom - down:.2f} {turn} {sign * near:.2f},{bottom:.2f} L{sign * foot:.2f},{bottom:.2f}",
        )
    )


def _arrowhead(arc: _Arc) -> str:
    (x, y), back, half = arc.head, _length(arc), 7.5 * arc.line.arrow
    foot = arc.sign * (x - back)
    return f"{arc.sign * x:.2f},{y:.2f} {foot:.2f},{y - half:.2f} {foot:.2f},{y + half:.2f}"


def _length(arc: _Arc) -> float:
    return 13 * arc.line.arrow
