"""Drawing -> DOT, the text that a layout engine reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from fxviz._render.drawing import Box, Color, Drawing, Frame, Item, Line, Shape, Table
from fxviz._render.escaping import dot_name
from fxviz._render.labels import hex_of, table
from fxviz._render.naming import figure_ids, walk

if TYPE_CHECKING:
    from graphviz import Digraph

FONT = "DejaVu Sans"
"""The font of the layout: engines know its metrics without having it, and it is wide, so that any other font fits."""

FLOW = Color("#656d76", "#9198a1")
"""The colour of a line that has none of its own."""
_SHAPES = {
    "pill": {"shape": "box", "style": "rounded,filled", "margin": "0.14,0.03", "height": "0.24"},
    "card": {"shape": "box", "style": "rounded,filled", "margin": "0.06,0.025", "height": "0"},
    "merge": {"shape": "box", "style": "rounded,filled", "margin": "0.1,0.01", "height": "0"},
    "circle": {"shape": "circle", "style": "filled", "margin": "0", "width": "0.26", "fixedsize": "true"},
}


def to_dot(drawing: Drawing, dark: bool = False, without: Callable[[Line], bool] | None = None) -> str:
    """Write a drawing as DOT text, in its light or its dark colours.

    Args:
        drawing: what to draw.
        dark: take each colour's dark value.
        without: says of a line that it is left out, because someone else draws it. All others keep their ids.

    Returns:
        The DOT text, one statement or table row a line.

    Raises:
        ValueError: two items share an id, or a line joins an item that is not there.

    >>> from fxviz._render.drawing import Table
    >>> print(to_dot(Drawing("net", "", (Box("a", Table(()), "input"),), ())).splitlines()[-2].strip())
    a [label=<<table border="0" cellborder="0" cellspacing="0" cellpadding="0"><tr><td></td></tr></table>> class=box id=b1]
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
    """A line's role and dash as class names.

    >>> line_class(Line("a", "b", "skip", dash="dashed"))
    'skip dashed'
    """
    return line.role if line.dash == "solid" else f"{line.role} {line.dash}"


def _check(drawing: Drawing) -> None:
    things = list(walk(drawing.items))
    for kind in (Box, Frame):
        twice = [name for name, times in Counter(thing.id for thing in things if isinstance(thing, kind)).items() if times > 1]
        if twice:
            raise ValueError(f"two of the drawing's items have the id {twice[0]!r}; each {kind.__name__} needs its own")
    boxes = {thing.id for thing in things if isinstance(thing, Box)}
    for end in (end for line in drawing.lines for end in (line.tail, line.head)):
        if end not in boxes:
            raise ValueError(f"a line joins {end!r}, which is no box of the drawing")


def _ends(line: Line) -> dict[str, str]:
    tail, head = _end(line.tail_port, line.tail_side), _end(line.head_port, line.head_side)
    return {"tailport": tail, "headport": head, "weight": str(line.weight)}


def _end(port: str | None, side: str) -> str:
    return side if port is None else f"{dot_name(port)}:{side}"


class _Writer:
    """Writes items and lines into a graph, in one theme; takes the ids one by one, in the order of writing."""

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
