"""Drawing values: every text, colour and size of a picture decided, nothing left to look up.

A style makes a :class:`Drawing`, rendering turns it into DOT and SVG. Sizes are in points. A colour is a :class:`Color`, which
carries its value on light and on dark ground, so that one drawing serves every theme.
"""

from __future__ import annotations

from dataclasses import dataclass, field

THEMES = ("auto", "light", "dark")
"""Light colours, dark ones, or those that the reader's setting asks for."""


@dataclass(frozen=True)
class Color:
    """One role's colour as two hex values (``#rrggbb``). Two roles with the same light value must have the same dark one."""

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
    """A cell of a table: texts side by side or one inner table, ``width`` x ``height`` points (None: as large as needed).

    ``port`` names the cell so that a line can start or end at it. ``columns`` is how many columns of the table it spans.
    ``rail`` draws a line of that colour along the cell's left side, ``rail_width`` points wide.
    """

    content: tuple[Text, ...] | Table = ()
    width: float | None = None
    height: float | None = None
    fill: Color | None = None
    align: str = "left"
    port: str | None = None
    columns: int = 1
    rail: Color | None = None
    rail_width: float = 2


@dataclass(frozen=True)
class Table:
    """Rows of cells. ``border`` is the colour of its outline, ``gap`` the space between cells, ``padding`` within them."""

    rows: tuple[tuple[Cell, ...], ...]
    border: Color | None = None
    fill: Color | None = None
    gap: float = 0
    padding: float = 0
    width: float | None = None
    height: float | None = None


@dataclass(frozen=True)
class Shape:
    """What is drawn around a box's table: a "pill", a "card" or a "merge" (all rounded), or a "circle" of one size.

    ``width`` is that of its border, in points.
    """

    kind: str
    fill: Color
    border: Color
    width: float = 1


@dataclass(frozen=True)
class Box:
    """A node: a table, bare or in a shape. ``title`` is text for tooltips."""

    id: str
    content: Table
    title: str
    shape: Shape | None = None


@dataclass(frozen=True)
class Frame:
    """A rounded frame around other items, its label at the top left; dashed for repeats. Without ``border`` it is not seen."""

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
    """An arrow between two boxes, from a port and side to a port and side: "n", "e", "s", "w", or "_" for any.

    ``role`` is one of "flow", "skip", "order" (an invisible line that holds boxes in place). ``weight`` pulls boxes into a
    straight line, 0 leaves the layout alone. ``dash`` is "solid", "dashed" or "dotted".
    """

    tail: str
    head: str
    role: str
    title: str = ""
    tail_port: str | None = None
    tail_side: str = "s"
    head_port: str | None = None
    head_side: str = "n"
    color: Color | None = None
    width: float = 1.2
    arrow: float = 0.5
    dash: str = "solid"
    weight: int = 0


@dataclass(frozen=True)
class Drawing:
    """A whole picture: ``name`` becomes the SVG's title, ``description`` its description, ``items`` stand top to
    bottom, or left to right (``direction`` "LR"). ``gaps``: points between items beside each other, and between ranks.
    """

    name: str
    description: str
    items: tuple[Item, ...]
    lines: tuple[Line, ...]
    direction: str = "TB"
    gaps: tuple[float, float] = (8.64, 12.24)


@dataclass(frozen=True)
class Look:
    """How a figure is framed.

    Attributes:
        direction: "TB" from top to bottom, "LR" from left to right (the graph style only).
        title: stands in place of the model's name; None for that.
        header: whether name, totals and the overview strip stand above.
        legend: whether colours and lines are explained.
    """

    direction: str = "TB"
    title: str | None = None
    header: bool = True
    legend: bool = True
