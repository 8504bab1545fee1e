"""Turn a drawing into DOT, the text that a layout engine reads."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

from fxviz._render.drawing import Box, Cell, Color, Drawing, Frame, Item, Line, Shape, ShapeKind, Side, Table, Text

if TYPE_CHECKING:
    from graphviz import Digraph

FONT = "DejaVu Sans"
"""The font of the layout. Engines know its metrics without the font itself; it is wide, so any other font fits."""

FLOW = Color("#656d76", "#9198a1")
"""The default colour of a line."""
_SHAPES: dict[ShapeKind, dict[str, str]] = {
    "pill": {"shape": "box", "style": "rounded,filled", "margin": "0.14,0.03", "height": "0.24"},
    "card": {"shape": "box", "style": "rounded,filled", "margin": "0.06,0.025", "height": "0"},
    "merge": {"shape": "box", "style": "rounded,filled", "margin": "0.1,0.01", "height": "0"},
    "circle": {"shape": "circle", "style": "filled", "margin": "0", "width": "0.26", "fixedsize": "true"},
}


def to_dot(drawing: Drawing, dark: bool = False, without: Callable[[Line], bool] | None = None) -> str:
    """Write a drawing as DOT text, in its light or its dark colours.

    Args:
        drawing: what to draw.
        dark: use each colour's dark value.
        without: returns whether a line is left out, because it is drawn elsewhere. All others keep their ids.

    Returns:
        The DOT text, one statement or table row per line.

    Raises:
        ValueError: two items share an id, or a line joins an unknown box.

    >>> from fxviz._render.drawing import Table
    >>> text = to_dot(Drawing("net", "", (Box("a", Table(()), "input"),), ()))
    >>> print(text.splitlines()[-2].strip())  # doctest: +ELLIPSIS
    a [label=<<table ... cellpadding="0"><tr><td></td></tr></table>> class=box id=b1]
    """
    from graphviz import Digraph

    _check(drawing)
    graph = Digraph(dot_name(drawing.name))
    graph.attr("graph", fontname=FONT, **_graph_look(drawing))
    graph.attr("node", shape="plain", fontname=FONT, fontsize="10")
    graph.attr("edge", color=hex_of(FLOW, dark), penwidth="1.2", arrowsize="0.5")
    _Writer(dark, figure_ids(drawing), without or (lambda line: False)).write(graph, drawing)
    return str(graph.source)


def _graph_look(drawing: Drawing) -> dict[str, str]:
    beside, between = (f"{gap / 72:.2g}" for gap in drawing.gaps)
    return {
        "rankdir": drawing.direction,
        "splines": "true",
        "nodesep": beside,
        "ranksep": between,
        "newrank": "true",
        "bgcolor": "transparent",
        "margin": "0",
        "pad": "0.06,0.06",
    }


def line_class(line: Line) -> str:
    """Return a line's role and dash as class names.

    >>> line_class(Line("a", "b", "skip", dash="dashed"))
    'skip dashed'
    """
    return line.role if line.dash == "solid" else f"{line.role} {line.dash}"


def _check(drawing: Drawing) -> None:
    things = list(walk(drawing.items))
    for kind in (Box, Frame):
        twice = [
            name
            for name, times in Counter(thing.id for thing in things if isinstance(thing, kind)).items()
            if times > 1
        ]
        if twice:
            raise ValueError(f"duplicate id {twice[0]!r}: each {kind.__name__} of a drawing needs its own")
    boxes = {thing.id for thing in things if isinstance(thing, Box)}
    for end in (end for line in drawing.lines for end in (line.tail, line.head)):
        if end not in boxes:
            raise ValueError(f"unknown box {end!r}: a line must join two boxes of the drawing")


def _ends(line: Line) -> dict[str, str]:
    tail, head = _end(line.tail_port, line.tail_side), _end(line.head_port, line.head_side)
    return {"tailport": tail, "headport": head, "weight": str(line.weight)}


def _end(port: str | None, side: Side) -> str:
    return side if port is None else f"{dot_name(port)}:{side}"


class _Writer:
    """Writes items and lines into a graph, in one theme, and assigns the ids in the order of writing."""

    def __init__(self, dark: bool, ids: Iterable[str], left_out: Callable[[Line], bool]) -> None:
        self._dark = dark
        self._ids = iter(ids)
        self._left_out = left_out

    def write(self, graph: Digraph, drawing: Drawing) -> None:
        self._items(graph, drawing.items)
        for line in drawing.lines:
            self._line(graph, line)

    def _items(self, graph: Digraph, items: tuple[Item, ...]) -> None:
        for item in items:
            if isinstance(item, Box):
                self._box(graph, item)
            else:
                self._frame(graph, item)

    def _box(self, graph: Digraph, box: Box) -> None:
        look = {**self._common(box.shape.kind if box.shape else "box"), **self._shape(box.shape)}
        graph.node(dot_name(box.id), label=self._label(box.content), **look)

    def _shape(self, shape: Shape | None) -> dict[str, str]:
        if shape is None:
            return {}
        colors = {"fillcolor": self._hex(shape.fill), "color": self._hex(shape.border)}
        return {**_SHAPES[shape.kind], **colors, **({} if shape.width == 1 else {"penwidth": f"{shape.width:g}"})}

    def _frame(self, graph: Digraph, frame: Frame) -> None:
        with graph.subgraph(name=f"cluster_{dot_name(frame.id)}") as inner:
            inner.attr(label=self._label(frame.label), labeljust="l", margin="5", **self._frame_look(frame))
            self._items(inner, frame.items)

    def _frame_look(self, frame: Frame) -> dict[str, str]:
        fill = {"fillcolor": self._hex(frame.fill)} if frame.fill else {}
        border = {"color": self._hex(frame.border) if frame.border else "transparent"}
        styles = ("rounded", "filled" if frame.fill else "", "dashed" if frame.dashed else "")
        role = "frame dashed" if frame.dashed else "frame"
        return {**self._common(role), "style": ",".join(filter(None, styles)), **border, **fill}

    def _line(self, graph: Digraph, line: Line) -> None:
        common = self._common(line_class(line))
        if not self._left_out(line):
            look = {"style": "invis"} if line.role == "order" else self._line_look(line)
            graph.edge(dot_name(line.tail), dot_name(line.head), **common, **_ends(line), **look)

    def _line_look(self, line: Line) -> dict[str, str]:
        return {
            "color": self._hex(line.color or FLOW),
            "penwidth": f"{line.width:g}",
            **({"arrowsize": f"{line.arrow:g}"} if line.arrow else {"arrowhead": "none"}),
            **({} if line.dash == "solid" else {"style": line.dash}),
        }

    def _common(self, role: str) -> dict[str, str]:
        return {"id": next(self._ids), "class": role}

    def _label(self, content: Table) -> str:
        return f"<{table(content, self._dark, newline=chr(10))}>"

    def _hex(self, color: Color) -> str:
        return color.dark if self._dark else color.light


Attribute = str | float | None

_STRUT = '<font point-size="10"> </font>'
"""An empty run of text that gives all texts of a row the same baseline, whatever their sizes."""


def table(value: Table, dark: bool = False, newline: str = "") -> str:
    """Write a table as an HTML-like label, in light or dark colours, with ``newline`` before each row.

    >>> text = Text("<conv>", Color("#1f2328", "#e6edf3"), 9)
    >>> table(Table(((Cell((text,)),),)))  # doctest: +ELLIPSIS
    '<table border="0" ...><td align="left"><font color="#1f2328" point-size="9">&lt;conv&gt;</font></td></tr></table>'
    """
    rows = "".join(f"{newline}<tr>{_row(row, dark)}</tr>" for row in value.rows if row)
    return _tag("table", rows or "<tr><td></td></tr>", **_table_attributes(value, dark))


def _row(row: tuple[Cell, ...], dark: bool) -> str:
    return "".join(_cell(cell, dark) for cell in row)


def _table_attributes(value: Table, dark: bool) -> dict[str, Attribute]:
    return {
        "border": 1 if value.border else 0,
        "color": hex_of(value.border, dark),
        "bgcolor": hex_of(value.fill, dark),
        "cellborder": 0,
        "cellspacing": round(value.gap),
        "cellpadding": round(value.padding),
        **_size(value),
    }


def _cell(cell: Cell, dark: bool) -> str:
    return _tag("td", _content(cell, dark), **_cell_attributes(cell, dark))


def _cell_attributes(cell: Cell, dark: bool) -> dict[str, Attribute]:
    return {
        "align": cell.align if cell.content or cell.rail else None,
        "bgcolor": hex_of(cell.fill, dark),
        "colspan": cell.columns if cell.columns > 1 else None,
        "port": None if cell.port is None else dot_name(cell.port),
        **_size(cell),
    }


def _content(cell: Cell, dark: bool) -> str:
    if cell.rail:
        return table(_with_rail(cell), dark)
    if isinstance(cell.content, Table):
        return table(cell.content, dark)
    return _texts(cell.content, dark, strut=cell.height is not None)


def _with_rail(cell: Cell) -> Table:
    """Put a narrow filled cell to the left of the cell's own content."""
    rest = None if cell.width is None else cell.width - cell.rail_width
    rail = Cell(width=cell.rail_width, height=cell.height, fill=cell.rail)
    return Table(((rail, Cell(cell.content, rest, cell.height, align=cell.align)),))


def _texts(texts: tuple[Text, ...], dark: bool, strut: bool) -> str:
    runs = "".join(_run(text, dark) for text in texts if plain(text.text))
    return runs + _STRUT if runs and strut else runs


def _run(text: Text, dark: bool) -> str:
    inner = label_text(text.text)
    inner = f"<s>{inner}</s>" if text.struck else inner
    return _tag(
        "font", f"<b>{inner}</b>" if text.bold else inner, color=hex_of(text.color, dark), point__size=text.size
    )


def _size(value: Cell | Table) -> dict[str, Attribute]:
    """Return width and height in whole points, as Graphviz requires; if both are set, they are fixed."""
    width, height = value.width, value.height
    return {
        "fixedsize": "true" if width is not None and height is not None else None,
        "width": None if width is None else round(width),
        "height": None if height is None else round(height),
    }


def hex_of(color: Color | None, dark: bool) -> str | None:
    """Return a colour's value in one theme.

    >>> hex_of(Color("#ffffff", "#151b23"), dark=True)
    '#151b23'
    """
    if color is None:
        return None
    return color.dark if dark else color.light


def _tag(name: str, content: str, **attributes: Attribute) -> str:
    given = "".join(
        f' {key.replace("__", "-")}="{_value(value)}"' for key, value in attributes.items() if value is not None
    )
    return f"<{name}{given}>{content}</{name}>"


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


_BLANK = re.compile(r"[\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]")
_BIDI = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Characters that set the direction of text: they could reverse the text around them."""


def plain(text: str) -> str:
    """Make text one line that XML can hold: line breaks and tabs become a space, control characters and bidi marks go.

    >>> plain("a\\nb\\x00c"), plain("gpj.\\u202egnp")
    ('a bc', 'gpj.gnp')
    """
    return _BIDI.sub("", _FORBIDDEN.sub("", _BLANK.sub(" ", text)))


def label_text(text: str) -> str:
    r"""Escape text for an HTML-like label, where Graphviz would also expand ``\N`` and ``\G``.

    >>> label_text("<lambda> & co")
    '&lt;lambda&gt; &amp; co'
    >>> print(label_text(r"\N"))
    &#92;&#92;N
    """
    return html.escape(plain(text), quote=False).replace("\\", "&#92;&#92;")


def dot_name(name: str) -> str:
    """Escape a node's or port's name for DOT with percent escapes, so that two names never become one.

    >>> dot_name("layer1.0"), dot_name("a:b"), dot_name("50%")
    ('layer1.0', 'a%3Ab', '50%25')
    """
    return quote(name, safe=" /+@", errors="surrogatepass")


def figure_ids(drawing: Drawing) -> dict[str, Box | Frame | Line]:
    """Map ids to everything in a drawing; the SVG has the same ids as the DOT text, after the figure's prefix.

    >>> from fxviz._render.drawing import Color, Table
    >>> box = Box("a", Table(()), "input")
    >>> frame = Frame("s", Table(()), "stage", (box,), Color("#d0d7de", "#3d444d"))
    >>> list(figure_ids(Drawing("net", "", (frame,), ())))
    ['f1', 'b1']
    """
    counts: Counter[str] = Counter()
    return {_next_id(thing, counts): thing for thing in (*walk(drawing.items), *drawing.lines)}


def walk(items: tuple[Item, ...]) -> Iterator[Item]:
    """Yield all items, each frame before its contents."""
    for item in items:
        yield item
        if isinstance(item, Frame):
            yield from walk(item.items)


def _next_id(thing: Box | Frame | Line, counts: Counter[str]) -> str:
    letter = type(thing).__name__[0].lower()
    counts[letter] += 1
    return f"{letter}{counts[letter]}"
