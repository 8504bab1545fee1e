"""Write a scene as SVG."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from math import hypot
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from fxviz._render import palette
from fxviz._render.dot import plain
from fxviz._render.drawing import Color, Point
from fxviz._render.paper.face import FAMILY
from fxviz._render.paper.scene import Area, Item, Label, Scene, Stroke

if TYPE_CHECKING:
    from fxviz._graph.options import Theme


def to_svg(scene: Scene, theme: Theme) -> str:
    """Return a scene as SVG text: light, dark, or light with a style that turns dark if the reader prefers dark.

    >>> print(to_svg(Scene("net", "A net.", 72, 36, ()), "light"))  # doctest: +ELLIPSIS
    <svg xmlns="http://www.w3.org/2000/svg" id="fx..." width="72pt" height="36pt" viewBox="0 0 72 36" role="img" ...>
    <title id="fx...-title">net</title>
    <desc id="fx...-desc">A net.</desc>
    <g font-family="...">
    <rect x="0" y="0" width="72" height="36" rx="0" fill="#fffffe" />
    </g>
    </svg>
    <BLANKLINE>
    """
    prefix = "fx" + hashlib.sha256(f"{theme} {scene}".encode("utf-8", "surrogatepass")).hexdigest()[:8]
    root = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "id": prefix,
            "width": f"{_number(scene.width * scene.zoom)}pt",
            "height": f"{_number(scene.height * scene.zoom)}pt",
            "viewBox": f"0 0 {_number(scene.width)} {_number(scene.height)}",
            "role": "img",
            "aria-labelledby": f"{prefix}-title {prefix}-desc",
        },
    )
    SubElement(root, "title", {"id": f"{prefix}-title"}).text = plain(scene.name)
    SubElement(root, "desc", {"id": f"{prefix}-desc"}).text = plain(scene.description)
    if theme != "light":
        SubElement(root, "style").text = (
            _dark_rules(scene, prefix) if theme == "auto" else f"#{prefix}{{color-scheme:dark}}"
        )
    body = SubElement(root, "g", {"font-family": FAMILY})
    for item in _items(scene):
        body.extend(_shapes(item, dark=theme == "dark"))
    ElementTree.indent(root, space="")
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _items(scene: Scene) -> tuple[Item, ...]:
    """Return the ground and what stands on it."""
    return (Area(0, 0, scene.width, scene.height, palette.GROUND, radius=0), *scene.items)


def _dark_rules(scene: Scene, prefix: str) -> str:
    """Return a rule for each colour in use; light colours stay in the attributes, for viewers that drop the style."""
    used = sorted({(key, color) for item in _items(scene) for key, color in _colors(item)}, key=str)
    rules = "".join(f'#{prefix} [{key}="{color.light}"]{{{key}:{color.dark}}}' for key, color in used)
    return f"#{prefix}{{color-scheme:light dark}}@media (prefers-color-scheme:dark){{{rules}}}"


def _colors(item: Item) -> Iterator[tuple[str, Color]]:
    if isinstance(item, Area):
        yield from [("fill", item.fill)] if item.fill else []
        yield from [("stroke", item.border)] if item.border else []
    else:
        yield ("fill" if isinstance(item, Label) else "stroke"), item.color
        yield from [("fill", item.color)] if isinstance(item, Stroke) and item.arrow else []


def _shapes(item: Item, dark: bool) -> list[Element]:
    if isinstance(item, Area):
        shapes = [_area(item, dark)]
    elif isinstance(item, Label):
        shapes = [_label(item, dark)]
    else:
        shapes = _stroke(item, dark)
    if title := plain(getattr(item, "title", "")):
        SubElement(shapes[0], "title").text = title
    return shapes


def _paint(color: Color | None, dark: bool) -> str:
    return "none" if color is None else color.dark if dark else color.light


def _area(area: Area, dark: bool) -> Element:
    place = {"x": area.x, "y": area.y, "width": area.width, "height": area.height, "rx": area.radius}
    attributes = {key: _number(value) for key, value in place.items()} | {"fill": _paint(area.fill, dark)}
    if area.border is not None:
        attributes |= {"stroke": _paint(area.border, dark), "stroke-width": _number(area.line)}
        if area.dashed:
            attributes["stroke-dasharray"] = "3 2"
    return Element("rect", attributes)


def _label(label: Label, dark: bool) -> Element:
    attributes = {"x": _number(label.x), "y": _number(label.y), "font-size": _number(label.size)}
    attributes |= {"fill": _paint(label.color, dark)}
    if label.anchor != "start":
        attributes["text-anchor"] = label.anchor
    if label.bold:
        attributes["font-weight"] = "bold"
    if label.text.isascii() and len(label.text) > 1:
        attributes["textLength"] = _number(label.width)
    element = Element("text", attributes)
    element.text = plain(label.text)
    return element


def _stroke(stroke: Stroke, dark: bool) -> list[Element]:
    paint = _paint(stroke.color, dark)
    points = list(stroke.points)
    tip = points[-1]
    if stroke.arrow:
        points[-1] = _towards(tip, points[-2], stroke.arrow * 0.8)
    attributes = {"d": _path(points, stroke.radius), "fill": "none", "stroke": paint}
    attributes["stroke-width"] = _number(stroke.line)
    if stroke.dashed:
        attributes["stroke-dasharray"] = "3 2"
    shapes = [Element("path", attributes)]
    if stroke.arrow:
        shapes.append(Element("path", {"d": _head(tip, points[-1], stroke.arrow), "fill": paint}))
    return shapes


def _path(points: list[Point], radius: float) -> str:
    """Return a path through points whose corners are rounded."""
    parts = [f"M{_place(points[0])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        near = min(radius, _length(before, corner) / 2, _length(corner, after) / 2)
        start, end = _towards(corner, before, near), _towards(corner, after, near)
        parts.append(f"L{_place(start)}Q{_place(corner)} {_place(end)}")
    return "".join([*parts, f"L{_place(points[-1])}"])


def _head(tip: Point, back: Point, length: float) -> str:
    """Return a triangle that points from ``back`` to ``tip``."""
    distance = _length(tip, back) or 1.0
    along = ((tip[0] - back[0]) / distance, (tip[1] - back[1]) / distance)
    base = (tip[0] - along[0] * length, tip[1] - along[1] * length)
    side = (-along[1] * length * 0.4, along[0] * length * 0.4)
    corners = (tip, (base[0] + side[0], base[1] + side[1]), (base[0] - side[0], base[1] - side[1]))
    return "M" + "L".join(map(_place, corners)) + "Z"


def _towards(start: Point, end: Point, distance: float) -> Point:
    length = _length(start, end) or 1.0
    return start[0] + (end[0] - start[0]) * distance / length, start[1] + (end[1] - start[1]) * distance / length


def _length(start: Point, end: Point) -> float:
    return hypot(end[0] - start[0], end[1] - start[1])


def _place(point: Point) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    return f"{round(value, 2):g}"
