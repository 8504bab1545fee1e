"""Define the values of a drawing, in which every text, colour and size is decided.

A style makes a :class:`Drawing`, which rendering turns into DOT and SVG. Sizes are in points. A :class:`Color` has a
value for light and one for dark backgrounds, so that one drawing serves every theme.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fxviz._graph.options import Direction

Point = tuple[float, float]
Align = Literal["left", "center"]
ShapeKind = Literal["pill", "card", "merge", "circle"]
Role = Literal["flow", "skip", "order"]
Dash = Literal["solid", "dashed", "dotted"]
Side = Literal["n", "e", "s", "w", "_"]
"""A compass point, or "_" for any side."""


@dataclass(frozen=True)
class Color:
    """One colour as two hex values (``#rrggbb``). Colours with the same light value must have the same dark value."""

    light: str
    dark: str


@dataclass(frozen=True)
class Text:
    """A run of text in one font. ``size`` is the font size in points; ``struck`` text has a line through it."""

    text: str
    color: Color
    size: float
    bold: bool = False
    struck: bool = field(default=False, repr=False)


@dataclass(frozen=True)
class Cell:
    """A cell of a table: texts side by side or an inner table, ``width`` x ``height`` points (None: as needed).

    ``port`` names the cell so that a line can start or end at it. ``columns`` is the number of columns that it spans.
    ``rail`` draws a line of that colour along the cell's left side, ``rail_width`` points wide.
    """

    content: tuple[Text, ...] | Table = ()
    width: float | None = None
    height: float | None = None
    fill: Color | None = None
    align: Align = "left"
    port: str | None = None
    columns: int = 1
    rail: Color | None = None
    rail_width: float = 2


@dataclass(frozen=True)
class Table:
    """Rows of cells. ``border`` is the outline's colour, ``gap`` the space between cells, ``padding`` that within."""

    rows: tuple[tuple[Cell, ...], ...]
    border: Color | None = None
    fill: Color | None = None
    gap: float = 0
    padding: float = 0
    width: float | None = None
    height: float | None = None


@dataclass(frozen=True)
class Shape:
    """The shape around a box's table: a "pill", a "card" or a "merge" (all rounded), or a "circle" of a fixed size.

    ``width`` is the width of its border, in points.
    """

    kind: ShapeKind
    fill: Color
    border: Color
    width: float = 1


@dataclass(frozen=True)
class Box:
    """A node: a table, bare or in a shape. ``title`` is its tooltip."""

    id: str
    content: Table
    title: str
    shape: Shape | None = None


@dataclass(frozen=True)
class Frame:
    """A rounded frame around other items, labelled at the top left; dashed for a repeat, unseen without ``border``."""

    id: str
    label: Table
    title: str
    items: tuple[Item, ...]
    border: Color | None
    fill: Color | None = None
    dashed: bool = False


Item = Box | Frame


@dataclass(frozen=True)
class Line:
    """An arrow between two boxes, from a port and side to a port and side.

    An "order" line is invisible and holds boxes in place. ``weight`` pulls boxes into a straight line; 0 leaves the
    layout alone.
    """

    tail: str
    head: str
    role: Role
    title: str = ""
    tail_port: str | None = None
    tail_side: Side = "s"
    head_port: str | None = None
    head_side: Side = "n"
    color: Color | None = None
    width: float = 1.2
    arrow: float = 0.5
    dash: Dash = "solid"
    weight: int = 0


@dataclass(frozen=True)
class Drawing:
    """A whole picture, whose ``items`` run from top to bottom or from left to right.

    ``name`` becomes the SVG's title and ``description`` its description. ``gaps`` are the points between items side by
    side, and between ranks.
    """

    name: str
    description: str
    items: tuple[Item, ...]
    lines: tuple[Line, ...]
    direction: Direction = "TB"
    gaps: tuple[float, float] = (8.64, 12.24)
