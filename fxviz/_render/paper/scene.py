"""Define the values of a figure whose every shape has a place: areas, labels and strokes, in points from the top left.

A piece is a part of a figure with a size of its own, which starts at (0, 0) until it is put in its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from fxviz._render.drawing import Color, Point
from fxviz._render.paper.face import width

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True)
class Area:
    """A rectangle with round corners. ``title`` is its tooltip."""

    x: float
    y: float
    width: float
    height: float
    fill: Color | None = None
    border: Color | None = None
    radius: float = 2.5
    line: float = 0.75
    dashed: bool = False
    title: str = ""

    def moved(self, x: float, y: float) -> Area:
        return replace(self, x=self.x + x, y=self.y + y)

    def scaled(self, by: float) -> Area:
        larger = replace(self, x=self.x * by, y=self.y * by, width=self.width * by, height=self.height * by)
        return replace(larger, radius=self.radius * by)


@dataclass(frozen=True)
class Label:
    """A text in one font. ``x`` is the place of its anchor, ``y`` that of its baseline."""

    x: float
    y: float
    text: str
    color: Color
    size: float
    bold: bool = False
    anchor: Anchor = "start"

    @property
    def width(self) -> float:
        return width(self.text, self.size, self.bold)

    @property
    def left(self) -> float:
        return self.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor] * self.width

    def moved(self, x: float, y: float) -> Label:
        return replace(self, x=self.x + x, y=self.y + y)

    def scaled(self, by: float) -> Label:
        return replace(self, x=self.x * by, y=self.y * by, size=self.size * by)


@dataclass(frozen=True)
class Stroke:
    """A line through points, with round corners; ``arrow`` is the length of its head, 0 for none."""

    points: tuple[Point, ...]
    color: Color
    line: float = 1.0
    arrow: float = 0.0
    dashed: bool = False
    radius: float = 2.0
    title: str = ""

    def moved(self, x: float, y: float) -> Stroke:
        return replace(self, points=tuple((left + x, top + y) for left, top in self.points))

    def scaled(self, by: float) -> Stroke:
        return replace(self, points=tuple((x * by, y * by) for x, y in self.points), arrow=self.arrow * by)


Item = Area | Label | Stroke


@dataclass(frozen=True)
class Piece:
    """A part of a figure. What is drawn first lies below what is drawn later."""

    width: float
    height: float
    items: tuple[Item, ...] = ()

    def at(self, x: float, y: float) -> tuple[Item, ...]:
        """Return the items in their place."""
        return tuple(item.moved(x, y) for item in self.items)

    def scaled(self, by: float) -> Piece:
        """Return the part larger or smaller."""
        return Piece(self.width * by, self.height * by, tuple(item.scaled(by) for item in self.items))


def beside(pieces: Iterable[Piece], gap: float) -> Piece:
    """Put pieces side by side, aligned at the top."""
    items: list[Item] = []
    x = height = 0.0
    for piece in pieces:
        items += piece.at(x, 0)
        x += piece.width + gap
        height = max(height, piece.height)
    return Piece(max(0.0, x - gap), height, tuple(items))


def below(pieces: Iterable[Piece], gap: float) -> Piece:
    """Put pieces below one another, aligned at the left."""
    items: list[Item] = []
    y = width = 0.0
    for piece in pieces:
        items += piece.at(0, y)
        y += piece.height + gap
        width = max(width, piece.width)
    return Piece(width, max(0.0, y - gap), tuple(items))


def flowed(pieces: Iterable[Piece], room: float, gap: float) -> Piece:
    """Put pieces side by side in as few rows as ``room`` points allow."""
    rows: list[list[Piece]] = []
    for piece in pieces:
        used = sum(other.width + gap for other in rows[-1]) if rows else room
        if not rows or used + piece.width > room:
            rows.append([])
        rows[-1].append(piece)
    return below((beside(row, gap) for row in rows), gap)


@dataclass(frozen=True)
class Scene:
    """A whole figure: its name and description for readers who cannot see it, its size, and its items.

    ``zoom`` enlarges all of it. ``left_out`` names what had no room.
    """

    name: str
    description: str
    width: float
    height: float
    items: tuple[Item, ...]
    zoom: float = 1.0
    left_out: tuple[str, ...] = ()
