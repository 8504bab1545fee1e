"""A figure as a picture of pixels."""

from __future__ import annotations

import math
from xml.etree import ElementTree

from fxviz._errors import UsageError
from fxviz._render.typeset import typeset

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
