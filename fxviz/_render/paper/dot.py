"""Write a scene as DOT in which everything has its place: ``neato -n2`` draws it alike."""

from __future__ import annotations

from collections.abc import Iterator

from fxviz._render import palette
from fxviz._render.dot import plain
from fxviz._render.drawing import Color, Point
from fxviz._render.paper.scene import Area, Label, Scene, Stroke


def to_dot(scene: Scene, dark: bool = False) -> str:
    """Return a scene as DOT text with pinned nodes: areas, texts, and the corners of lines.

    >>> print(to_dot(Scene("net", "A net.", 72, 36, ())))
    graph "net" {
    graph [bb="0,0,72,36" outputorder=nodesfirst splines=false]
    node [fontname=Arimo margin=0 pin=true]
    }
    <BLANKLINE>
    """
    ground = f" bgcolor={_color(palette.GROUND, dark)}" if dark else ""
    lines = [
        f"graph {_quoted(scene.name)} {{",
        f'graph [bb="0,0,{scene.width:g},{scene.height:g}" outputorder=nodesfirst splines=false{ground}]',
        "node [fontname=Arimo margin=0 pin=true]",
    ]
    for number, item in enumerate(scene.items):
        if isinstance(item, Area):
            lines.append(_area(f"a{number}", item, scene.height, dark))
        elif isinstance(item, Label):
            lines.append(_label(f"t{number}", item, scene.height, dark))
        else:
            lines += _stroke(f"l{number}", item, scene.height, dark)
    return "\n".join([*lines, "}"]) + "\n"


def _area(name: str, area: Area, height: float, dark: bool) -> str:
    middle = (area.x + area.width / 2, area.y + area.height / 2)
    style = ["rounded", *(["filled"] if area.fill else []), *(["dashed"] if area.dashed else [])]
    attributes = {
        "shape": "box",
        "label": '""',
        "pos": _place(middle, height),
        "width": f"{area.width / 72:.4f}",
        "height": f"{area.height / 72:.4f}",
        "fixedsize": "true",
        "style": f'"{",".join(style)}"',
        "penwidth": f"{area.line if area.border else 0:g}",
        "color": _color(area.border or area.fill, dark),
        "fillcolor": _color(area.fill, dark),
        "tooltip": _quoted(area.title),
    }
    return f"{name} {_listed(attributes)}"


def _label(name: str, label: Label, height: float, dark: bool) -> str:
    middle = (label.left + label.width / 2, label.y - 0.36 * label.size)
    attributes = {
        "shape": "plaintext",
        "label": _quoted(label.text),
        "pos": _place(middle, height),
        "width": "0",
        "height": "0",
        "fixedsize": "shape",
        "fontsize": f"{label.size:g}",
        "fontcolor": _color(label.color, dark),
        **({"fontname": '"Arimo bold"'} if label.bold else {}),
    }
    return f"{name} {_listed(attributes)}"


def _stroke(name: str, stroke: Stroke, height: float, dark: bool) -> Iterator[str]:
    for corner, point in enumerate(stroke.points):
        place = {"shape": "point", "pos": _place(point, height), "width": "0.001", "style": "invis"}
        yield f"{name}_{corner} {_listed(place)}"
    last = len(stroke.points) - 2
    for corner in range(len(stroke.points) - 1):
        attributes = {
            "color": _color(stroke.color, dark),
            "penwidth": f"{stroke.line:g}",
            **({"style": "dashed"} if stroke.dashed else {}),
            **({"dir": "forward", "arrowsize": f"{stroke.arrow / 10:g}"} if stroke.arrow and corner == last else {}),
        }
        yield f"{name}_{corner} -- {name}_{corner + 1} {_listed(attributes)}"


def _place(point: Point, height: float) -> str:
    """Return a point as DOT has it: from the bottom left, pinned."""
    return f'"{round(point[0], 2):g},{round(height - point[1], 2):g}!"'


def _color(color: Color | None, dark: bool) -> str:
    return '"none"' if color is None else f'"{color.dark if dark else color.light}"'


def _quoted(text: str) -> str:
    escaped = plain(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _listed(attributes: dict[str, str]) -> str:
    return "[" + " ".join(f"{key}={value}" for key, value in attributes.items()) + "]"
