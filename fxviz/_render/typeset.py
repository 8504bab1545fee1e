"""Write a figure as PDF or PNG with typst, in the fonts beside this file rather than those of the machine.

typst writes both PDF and PNG, needs no system library, and can be given its fonts. Cairo and Skia need system
libraries, svglib and PyMuPDF have other licences, a browser is too large, and resvg writes PNG only.
"""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from fxviz._graph.errors import UsageError, optional_library
from fxviz._graph.options import check_scale

_FONTS = Path(__file__).parent / "fonts"
"""DejaVu Sans 2.37 and Arimo 1.341, in which layouts are measured."""
_PDF = "1.5"
"""The version of PDF files: pdfTeX warns of later ones when it includes them."""
_FACES = ("Arimo", "DejaVu Sans")

_PAGE = b"""
#set document(title: sys.inputs.title, date: none)
#set page(width: auto, height: auto, margin: 0pt, fill: none)
#image(bytes(sys.inputs.figure), format: "svg", alt: sys.inputs.description)
"""
_SVG = "{http://www.w3.org/2000/svg}"


def typeset(svg: str, form: str, ppi: float = 72) -> bytes:
    """Write a figure as a document of one page.

    Args:
        svg: the text of a finished figure. Its title and description become those of the document; its fonts are
            replaced by the one in which it was measured; a style that depends on the reader's setting has no effect.
        form: "pdf" or "png".
        ppi: pixels of a PNG per inch of 72 points.

    Raises:
        UsageError: typst is not installed.

    >>> size = 'width="72pt" height="36pt" viewBox="0 0 72 36"'
    >>> svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><title>net</title></svg>'
    >>> typeset(svg, "pdf")[:5]
    b'%PDF-'
    """
    typst = optional_library("typst", f"cannot write .{form}: it needs", "export")
    root = ElementTree.fromstring(svg)
    title, description = _child_text(root, "title"), _child_text(root, "desc")
    texts = {"figure": _with_one_font(root), "title": title, "description": description}
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[_FONTS])
    standards = [_PDF] if form == "pdf" else []
    document = typst.compile(
        _PAGE, root=_FONTS, font_paths=fonts, sys_inputs=texts, format=form, ppi=ppi, pdf_standards=standards
    )
    return bytes(document)


def _child_text(root: Element, tag: str) -> str:
    return root.findtext(f"{_SVG}{tag}", "")


def _with_one_font(root: Element) -> str:
    """Set one font everywhere, because typst drops text in fonts that it does not have."""
    named = [element for element in root.iter() if "font-family" in element.attrib]
    wanted = " ".join(element.get("font-family", "") for element in named)
    face = next((face for face in _FACES if wanted.startswith(face)), "DejaVu Sans")
    for element in (root, *named):
        element.set("font-family", face)
    return ElementTree.tostring(root, encoding="unicode")


_PPI = 96
"""Pixels per inch at scale 1, as in CSS (CSS Values and Units 4, section 6.2): 4 pixels for 3 points."""

_MAX_PIXELS = 2**27
"""While it is drawn, the picture is in memory twice at 4 bytes per pixel: 1 GiB."""


def png(svg: str, scale: float = 2) -> bytes:
    """Write a figure as PNG on a transparent background.

    Args:
        svg: the text of a finished figure. A PNG cannot follow the reader's setting: "auto" gives the light colours.
        scale: pixels per CSS pixel in each direction: 1 for the size at which a browser shows the figure, 2 for a
            high-resolution screen.

    Returns:
        The PNG file; the same figure gives the same bytes.

    Raises:
        UsageError: the scale is not a number above 0, the picture would be too large, or typst is not installed.

    >>> svg = '<svg xmlns="http://www.w3.org/2000/svg" width="72pt" height="36pt" viewBox="0 0 72 36"/>'
    >>> picture = png(svg, scale=1)
    >>> int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")
    (96, 48)
    """
    check_scale(scale)
    _check_size(scale, _area(svg))
    return typeset(svg, "png", ppi=_PPI * scale)


def _area(svg: str) -> float:
    """Return the figure's area in CSS pixels."""
    _, _, width, height = map(float, ElementTree.fromstring(svg).get("viewBox", "").split())
    return width * height * (_PPI / 72) ** 2


def _check_size(scale: float, area: float) -> None:
    if area * scale**2 > _MAX_PIXELS:
        most = math.floor(math.sqrt(_MAX_PIXELS / area) * 100) / 100
        raise UsageError(
            f"invalid scale {scale:g}: the picture would have {area * scale**2 / 1e6:.0f} million pixels; "
            f"must be at most {most:g}, or write .pdf or .svg"
        )


def pdf(svg: str) -> bytes:
    """Write a figure as a PDF page of its own size, with selectable text in an embedded font and without a date.

    Args:
        svg: the text of a finished figure. A PDF cannot follow the reader's setting: "auto" gives the light colours.

    Returns:
        The PDF file; the same figure gives the same bytes.

    Raises:
        UsageError: typst is not installed.

    >>> pdf('<svg xmlns="http://www.w3.org/2000/svg" width="72pt" height="36pt" viewBox="0 0 72 36"/>')[:5]
    b'%PDF-'
    """
    return typeset(svg, "pdf")
