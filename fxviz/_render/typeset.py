"""A figure set on a page of its own size, by typst, in the fonts beside this file and not in those of the machine.

typst draws both the page (PDF) and the picture (PNG), needs no system library, and is given its fonts. Cairo and Skia need
system libraries, svglib and PyMuPDF have other licences, a browser is too large; resvg draws pictures only.
"""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from fxviz._errors import UsageError, optional_library

_FONTS = Path(__file__).parent / "fonts"
"""DejaVu Sans 2.37, in which the layout is measured, as its makers publish it."""

_PAGE = b"""
#set document(title: sys.inputs.title, date: none)
#set page(width: auto, height: auto, margin: 0pt, fill: none)
#image(bytes(sys.inputs.figure), format: "svg", alt: sys.inputs.description)
"""
_SVG = "{http://www.w3.org/2000/svg}"


def typeset(svg: str, form: str, ppi: float = 72) -> bytes:
    """The figure as the one page of a document.

    Args:
        svg: the text of a finished figure. Its title and description become those of the document; the fonts that it names
            give way to DejaVu Sans; a style that depends on the reader's setting is not obeyed.
        form: "pdf" or "png".
        ppi: pixels of a PNG for each inch of 72 points.

    Raises:
        UsageError: typst is not installed.

    >>> svg = '<svg xmlns="http://www.w3.org/2000/svg" width="72pt" height="36pt" viewBox="0 0 72 36"><title>net</title></svg>'
    >>> typeset(svg, "pdf")[:5]
    b'%PDF-'
    """
    typst = optional_library("typst", f"cannot write .{form}: it needs", "export")
    root = ElementTree.fromstring(svg)
    given = {"figure": _in_our_font(root), "title": _said(root, "title"), "description": _said(root, "desc")}
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[_FONTS])
    document = typst.compile(_PAGE, root=_FONTS, font_paths=fonts, sys_inputs=given, format=form, ppi=ppi)
    return bytes(document)


def _said(root: Element, tag: str) -> str:
    return root.findtext(f"{_SVG}{tag}", "")


def _in_our_font(root: Element) -> str:
    """The figure with one font everywhere; typst drops a text whose fonts it does not have."""
    named = [element for element in root.iter() if "font-family" in element.attrib]
    for element in (root, *named):
        element.set("font-family", "DejaVu Sans")
    return ElementTree.tostring(root, encoding="unicode")


_PPI = 96
"""Pixels per inch at scale 1, as in CSS (CSS Values and Units 4, section 6.2): 4 pixels for 3 points."""

_MOST_PIXELS = 2**27
"""The picture is held twice at 4 bytes a pixel while it is drawn: 1 GiB."""


def png(svg: str, scale: float = 2) -> bytes:
    """The figure on a transparent ground.

    Args:
        svg: the text of a finished figure. A picture cannot follow the reader's setting: "auto" gives the light colours.
        scale: how many pixels a CSS pixel becomes in each direction. 1 is as large as a browser shows the figure, 2 as many
            pixels as a sharp screen has there.

    Returns:
        The PNG file; the same figure gives the same bytes.

    Raises:
        UsageError: the scale is no number above 0, the picture would be too large, or typst is not installed.

    >>> picture = png('<svg xmlns="http://www.w3.org/2000/svg" width="72pt" height="36pt" viewBox="0 0 72 36"/>', scale=1)
    >>> int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")
    (96, 48)
    """
    _check(scale, _area(svg))
    return typeset(svg, "png", ppi=_PPI * scale)


def _area(svg: str) -> float:
    """The figure's size in CSS pixels, width times height."""
    _, _, width, height = map(float, ElementTree.fromstring(svg).get("viewBox", "").split())
    return width * height * (_PPI / 72) ** 2


def _check(scale: float, area: float) -> None:
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not (math.isfinite(scale) and scale > 0):
        raise UsageError(f"no scale {scale}: give a number above 0, such as 2")
    if area * scale**2 > _MOST_PIXELS:
        most = math.floor(math.sqrt(_MOST_PIXELS / area) * 100) / 100
        raise UsageError(
            f"no scale {scale:g}: the picture would have {area * scale**2 / 1e6:.0f} million pixels; "
            f"give a scale up to {most:g}, or write .pdf or .svg"
        )


def pdf(svg: str) -> bytes:
    """One page of the figure's size, with selectable text in an embedded font and without a date.

    Args:
        svg: the text of a finished figure. A page cannot follow the reader's setting: "auto" gives the light colours.

    Returns:
        The PDF file; the same figure gives the same bytes.

    Raises:
        UsageError: typst is not installed.

    >>> pdf('<svg xmlns="http://www.w3.org/2000/svg" width="72pt" height="36pt" viewBox="0 0 72 36"/>')[:5]
    b'%PDF-'
    """
    return typeset(svg, "pdf")
