"""Rebuild the engine's SVG as the figure: known shapes only, with readable titles, own ids and the theme's colours."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from fxviz._graph.errors import EngineError
from fxviz._render.arcs import draw_arcs, is_arc, points
from fxviz._render.dot import figure_ids, line_class, plain
from fxviz._render.drawing import Box, Color, Drawing, Frame, Line
from fxviz._render.text_width import width

if TYPE_CHECKING:
    from fxviz._graph.options import Theme

FONTS = "-apple-system, 'Segoe UI', Roboto, Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"

_SHAPES = {
    "path": ("d",),
    "polygon": ("points",),
    "polyline": ("points",),
    "ellipse": ("cx", "cy", "rx", "ry"),
    "text": ("x", "y", "text-anchor", "font-weight", "font-size", "text-decoration"),
}
_PAINT = ("fill", "stroke", "stroke-width", "stroke-dasharray")
_DEFAULTS = {("stroke", "none"), ("stroke", "transparent"), ("text-anchor", "start"), ("stroke-width", "1")}
_NAMES = {"black": "#000000", "white": "#ffffff", "transparent": "none"}
_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
_PAD = 4.32
_ZEROS = re.compile(r"\.(\d*?)0+(?!\d)")


def finish(raw_svg: str, drawing: Drawing, theme: Theme) -> str:
    """Turn the engine's SVG into the finished figure.

    Only shapes and texts are taken from the engine: no comments, links, scripts or engine version.

    Args:
        raw_svg: the engine's output for this drawing, in light colours for the themes "light" and "auto".
        drawing: provides the titles, the description and the colours' dark values.
        theme: "light", "dark", or "auto" (light, with a style that turns dark if the reader prefers dark).

    Returns:
        The SVG text, one element per line.

    Raises:
        EngineError: the engine's SVG cannot be read, or lacks a box of the drawing.
        ValueError: the theme is "auto" and two colours share a light value but not the dark one.

    >>> drawing = Drawing("net", "A net.", (), ())
    >>> print(finish('<svg width="8pt" height="8pt" viewBox="0 0 8 8"/>', drawing, "light"))  # doctest: +ELLIPSIS
    <svg xmlns="http://www.w3.org/2000/svg" ... role="img" ...>
    <title id="fx...-title">net</title>
    <desc id="fx...-desc">A net.</desc>
    ...
    </svg>
    <BLANKLINE>
    """
    raw = _parse(raw_svg)
    prefix = _prefix(drawing, theme)
    figure = _root(raw, drawing, prefix)
    things = figure_ids(drawing)
    placed = [(group, things[group.get("id", "")]) for group in raw.iter() if group.get("id") in things]
    _check_whole({group.get("id", "") for group, _ in placed}, things)
    groups = [(_group(group, thing, prefix), thing) for group, thing in placed]
    arcs = list(_arcs(things, groups, prefix, dark=theme == "dark"))
    _add_body(figure, raw, _in_layers(groups, arcs), set(arcs))
    if theme != "light":
        figure.insert(
            2, _style(_dark_rules(figure, drawing, prefix) if theme == "auto" else f"#{prefix}{{color-scheme:dark}}")
        )
    ElementTree.indent(figure, space="")
    return ElementTree.tostring(figure, encoding="unicode") + "\n"


def _parse(raw_svg: str) -> Element:
    try:
        return ElementTree.fromstring(raw_svg)
    except ElementTree.ParseError as error:
        raise EngineError(f"cannot read the layout engine's SVG: {error}") from error


def _check_whole(placed: Collection[str], things: Mapping[str, Box | Frame | Line]) -> None:
    boxes = {name for name, thing in things.items() if isinstance(thing, Box)}
    if lost := boxes.difference(placed):
        raise EngineError(f"the layout engine's SVG lacks {len(lost)} of {len(boxes)} boxes: try another engine")


def _prefix(drawing: Drawing, theme: Theme) -> str:
    """Return a prefix for this figure alone, so that two figures on one page do not share ids."""
    return "fx" + hashlib.sha256(f"{theme} {drawing}".encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _root(raw: Element, drawing: Drawing, prefix: str) -> Element:
    size = {key: _number(raw.get(key, "")) for key in ("width", "height")}
    view = " ".join(map(_number, raw.get("viewBox", "").split()))
    label = {"role": "img", "aria-labelledby": f"{prefix}-title {prefix}-desc"}
    root = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "id": prefix, **size, "viewBox": view, **label})
    SubElement(root, "title", {"id": f"{prefix}-title"}).text = plain(drawing.name)
    SubElement(root, "desc", {"id": f"{prefix}-desc"}).text = plain(drawing.description)
    return root


def _add_body(figure: Element, raw: Element, groups: list[Element], arcs: set[Element]) -> None:
    """Add all groups below one that sets the fonts; if there are arcs, adjust the figure's width."""
    across, down = _shift(raw)
    if arcs:
        left, right = _extent(group for group in groups if group not in arcs)
        right = max(min(right, float(figure.get("viewBox", "").split()[2]) - across), _extent(arcs)[1])
        left = min(left, _extent(arcs)[0])
        across = _PAD - left
        _set_width(figure, right - left + 2 * _PAD)
    body = SubElement(figure, "g", {"transform": f"translate({across:g} {down:g})", "font-family": FONTS})
    body.extend(groups)


def _arcs(
    things: Mapping[str, Box | Frame | Line],
    groups: Iterable[tuple[Element, Box | Frame | Line]],
    prefix: str,
    dark: bool,
) -> Iterator[Element]:
    """Draw the lines that the engine left out, each as a group of its own."""
    lines = {name: thing for name, thing in things.items() if isinstance(thing, Line) and is_arc(thing)}
    boxes = {thing.id: (thing, group) for group, thing in groups if isinstance(thing, Box)}
    for name, shapes in draw_arcs(lines, boxes, dark).items():
        group = _empty(name, line_class(lines[name]).split(), lines[name].title, prefix)
        group.extend(shapes)
        yield group


def _in_layers(groups: list[tuple[Element, Box | Frame | Line]], arcs: list[Element]) -> list[Element]:
    """Order groups from back to front: frames, lines, labels of frames, arcs beside the boxes, boxes."""
    of = {kind: [group for group, thing in groups if isinstance(thing, kind)] for kind in (Frame, Box)}
    flows = [group for group, thing in groups if isinstance(thing, Line) and thing.role != "skip"]
    skips = [group for group, thing in groups if isinstance(thing, Line) and thing.role == "skip"]
    labels = [_label_of(group) for group, thing in groups if isinstance(thing, Frame)]
    return [*of[Frame], *flows, *skips, *labels, *arcs, *of[Box]]


def _label_of(group: Element) -> Element:
    """Move a frame's label, which is all but its outline, into a group of its own."""
    label = Element("g", {"class": "fxviz-label"})
    label.extend([shape for shape in group if shape.tag != "title"][1:])
    for shape in label:
        group.remove(shape)
    return label


def _shift(raw: Element) -> tuple[float, float]:
    graph = next((child for child in raw if _tag(child) == "g"), raw)
    shift = re.search(r"translate\((\S+) (\S+)\)", graph.get("transform", ""))
    return (float(shift[1]), float(shift[2])) if shift else (0.0, 0.0)


def _set_width(figure: Element, wide: float) -> None:
    height = figure.get("viewBox", "").split()[3]
    figure.set("width", f"{math.ceil(wide)}pt")
    figure.set("viewBox", f"0 0 {math.ceil(wide)} {height}")


def _extent(groups: Iterable[Element]) -> tuple[float, float]:
    """Return the left and right ends of groups; the width of texts is a generous estimate."""
    spans = [span for group in groups for shape in group for span in _spans(shape)]
    return min(spans, default=0.0), max(spans, default=0.0)


def _spans(shape: Element) -> list[float]:
    if shape.tag not in ("rect", "text"):
        return [x for x, _ in points(shape)]
    wide = shape.get("width") or 0.7 * float(shape.get("font-size", 14)) * len(shape.text or "")
    left = float(shape.get("x", 0))
    return [left, left + float(wide)]


def _group(raw: Element, thing: Box | Frame | Line, prefix: str) -> Element:
    group = _empty(raw.get("id", ""), raw.get("class", "").split()[1:], thing.title, prefix)
    group.extend(_shapes(raw))
    return group


def _empty(name: str, roles: Iterable[str], title: str, prefix: str) -> Element:
    group = Element("g", {"id": f"{prefix}-{name}", "class": " ".join(f"fxviz-{role}" for role in roles)})
    if plain(title):
        SubElement(group, "title").text = plain(title)
    return group


def _shapes(raw: Element) -> Iterator[Element]:
    before = None
    for child in raw.iter():
        if _tag(child) == "text" and not (child.text or "").strip():
            continue
        if _tag(child) in _SHAPES:
            shape = _shape(child)
            if shape.tag == "text":
                _keep_apart(before, shape)
                before = shape
            yield shape


def _keep_apart(before: Element | None, text: Element) -> None:
    """Move a text to the end of the one before it on its line if they meet: the engine takes a × for too narrow."""
    if before is None or before.get("y") != text.get("y") or before.get("text-anchor") or text.get("text-anchor"):
        return
    start, size = float(before.get("x", 0)), float(before.get("font-size", 14))
    end = start + width((before.text or "").rstrip(), size, before.get("font-weight") == "bold")
    written = text.text or ""
    spaces = width(" ", float(text.get("font-size", 14))) * (len(written) - len(written.lstrip()))
    if start < float(text.get("x", 0)) < end + size / 4 - spaces:
        text.set("x", f"{end + size / 2 - spaces:.2f}")


def _shape(raw: Element) -> Element:
    tag = _tag(raw)
    given = {key: _value(raw, key) for key in (*_SHAPES[tag], *_PAINT) if key in raw.attrib}
    shape = Element(tag, {key: value for key, value in given.items() if (key, value) not in _DEFAULTS})
    if tag == "text":
        _set_text(shape, raw.text or "")
    return _rectangle(shape) if tag == "polygon" else shape


def _value(raw: Element, key: str) -> str:
    value = raw.get(key, "")
    if key in ("fill", "stroke"):
        return _NAMES.get(value, value)
    return _number(value)


def _set_text(shape: Element, text: str) -> None:
    shape.text = text
    if " ".join(text.split()) != text:
        shape.set(_SPACE, "preserve")


def _rectangle(polygon: Element) -> Element:
    """Turn an upright rectangle into a <rect>, with crisp edges if it has no outline so that rows join seamlessly."""
    corners = [tuple(map(float, point.split(","))) for point in polygon.get("points", "").split()]
    xs, ys = sorted({x for x, _ in corners}), sorted({y for _, y in corners})
    if len(corners) != 5 or len(xs) != 2 or len(ys) != 2:
        return polygon
    place = {"x": xs[0], "y": ys[0], "width": xs[1] - xs[0], "height": ys[1] - ys[0]}
    paint = {key: value for key, value in polygon.attrib.items() if key in _PAINT}
    crisp = {} if "stroke" in paint else {"shape-rendering": "crispEdges"}
    return Element("rect", {**{key: f"{round(value, 2):g}" for key, value in place.items()}, **paint, **crisp})


def _number(text: str) -> str:
    return _ZEROS.sub(lambda match: f".{match[1]}" if match[1] else "", text)


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _dark_rules(figure: Element, drawing: Drawing, prefix: str) -> str:
    """Return a rule for each colour in use; light colours stay in the attributes, for viewers that drop the style.

    ``color-scheme`` makes the background dark if the figure is opened by itself; within a page it changes nothing.
    """
    darks = _dark_values(drawing)
    used = sorted(
        {(key, value) for shape in figure.iter() for key, value in shape.items() if key in ("fill", "stroke")}
    )
    rules = "".join(f'#{prefix} [{key}="{value}"]{{{key}:{darks[value]}}}' for key, value in used if value in darks)
    return f"#{prefix}{{color-scheme:light dark}}@media (prefers-color-scheme:dark){{{rules}}}"


def _style(text: str) -> Element:
    style = Element("style")
    style.text = text
    return style


def _dark_values(drawing: Drawing) -> dict[str, str]:
    darks: dict[str, str] = {}
    for color in _colors(drawing):
        dark = darks.setdefault(color.light, color.dark)
        if dark != color.dark:
            raise ValueError(f"ambiguous colour {color.light}: its dark value is both {dark} and {color.dark}")
    return darks


def _colors(value: object) -> Iterator[Color]:
    """Yield every colour in a drawing, however deeply nested."""
    if isinstance(value, Color):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _colors(part)
    elif is_dataclass(value):
        yield from _colors(tuple(vars(value).values()))
