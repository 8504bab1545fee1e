"""A figure set on a page of its own size, by typst, in the fonts beside this file and not in those of the machine.

typst draws both the page (PDF) and the picture (PNG), needs no system library, and is given its fonts. Cairo and Skia need
system libraries, svglib and PyMuPDF have other licences, a browser is too large; resvg draws pictures only.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from fxviz.libraries import optional_library

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
