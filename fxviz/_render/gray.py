"""Turn a figure's colours into greys, for printers without colour."""

from __future__ import annotations

import re

from fxviz._render import palette

_INK = {palette.SKIP.light: "#000000", palette.SKIP.dark: "#ffffff"}
"""Skips are as dark as can be: their blue would have the grey of the data flow."""


def gray(text: str) -> str:
    """Return the text of an SVG or DOT file with each colour as the grey of the same lightness.

    The greys are as light as the colours (relative luminance, WCAG 2.2), so that texts stand out as before, and darker
    still means more of the parameters.

    >>> gray('<rect fill="#e38205" stroke="#0969da"/>')
    '<rect fill="#9a9a9a" stroke="#000000"/>'
    """
    return re.sub(r"#[0-9a-f]{6}\b", lambda found: _INK.get(found[0]) or _gray(found[0]), text)


def _gray(color: str) -> str:
    parts = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    level = light * 12.92 if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055
    return "#" + f"{round(level * 255):02x}" * 3
