"""Define the colours: orange for parameters, blue for skips, grey for data flow, red where the run stopped.

In a difference green means added, red removed, violet any other change; what is unchanged has no colour.

The steps of orange are evenly spaced in lightness, also for colour-blind readers. The step follows the square root of
the share of parameters, because the layers of one model differ by a factor of ten thousand.
"""

from __future__ import annotations

from math import ceil, sqrt

from fxviz._render.drawing import Color
from fxviz._view.view import Mark

INK = Color("#1f2328", "#e6edf3")
MUTED = Color("#59636e", "#9198a1")
CARD = Color("#ffffff", "#151b23")
GROUND = Color("#fffffe", "#0d1117")
BORDER = Color("#d0d7de", "#3d444d")
TRACK = Color("#eaeef2", "#2a313c")
PILL = Color("#eaeef3", "#262c36")
PALE = Color("#f6f8fa", "#1c2128")
FLOW = Color("#656d76", "#9198a1")
SKIP = Color("#0969da", "#4493f8")
STOP = Color("#b3152a", "#ff8f85")
STOPPED = Color("#ffebe9", "#3b1a1d")

UNCHANGED = Color("#c4ccd4", "#454d57")
UNCHANGED_SKIP = Color("#9ec5ee", "#2f5788")
MARKS: dict[Mark, Color] = {
    "added": Color("#116329", "#56d364"),
    "removed": STOP,
    **dict.fromkeys(("resized", "altered", "mixed"), Color("#6639ba", "#d2a8ff")),
}
"""The colour of each kind of change."""
MARKED: dict[Mark, Color] = {
    "added": Color("#dcfbe3", "#14281d"),
    "removed": STOPPED,
    **dict.fromkeys(("resized", "altered", "mixed"), Color("#f6edff", "#261c3a")),
}
"""The background of a changed row."""

BARS = (
    Color("#f6d9ab", "#573626"),
    Color("#f0be7c", "#744427"),
    Color("#eba04a", "#915421"),
    Color("#e38205", "#ad650e"),
    Color("#cf6a01", "#c47a06"),
    Color("#b95403", "#d99107"),
    Color("#a33e02", "#edaa0e"),
    Color("#8d2600", "#fdc436"),
)
_TINTS = (
    Color("#fbf0e1", "#241b14"),
    Color("#fbebd5", "#2a1e15"),
    Color("#fce4c8", "#302115"),
    Color("#fddebc", "#362415"),
    Color("#fed7b0", "#3c2616"),
    Color("#ffd0a6", "#432916"),
    Color("#ffca9e", "#4a2c16"),
    Color("#fec396", "#502e16"),
)
_ON_BARS = (*[Color("#000000", "#ffffff")] * 4, Color("#010101", "#010101"), *[Color("#fefefe", "#000000")] * 3)


def step(share: float) -> int:
    """Return the step, from 1 to 8, of a share of the parameters (0 to 1): ceil(8 * sqrt(share)).

    >>> [step(share) for share in (0.0, 0.001, 0.0156, 0.06, 0.14, 0.25, 0.39, 0.56, 0.77, 1.0)]
    [1, 1, 1, 2, 3, 4, 5, 6, 8, 8]
    """
    return min(8, max(1, ceil(8 * sqrt(share) - 1e-9)))


def bar(share: float) -> Color:
    """Return the fill of a bar."""
    return BARS[step(share) - 1]


def on_bar(share: float) -> Color:
    """Return the colour of text on a bar, with a contrast of at least 4.5:1."""
    return _ON_BARS[step(share) - 1]


def tint(share: float) -> Color:
    """Return the background of a frame; a share below 2 % has no tint."""
    return PALE if share < 0.02 else _TINTS[step(share) - 1]


def on_tint(share: float) -> Color:
    """Return the colour of minor text on a frame: muted, or ink where muted would fall below a contrast of 4.5:1."""
    return INK if share >= 0.02 and step(share) >= 5 else MUTED
