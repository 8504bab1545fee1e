"""Measure text in Arimo, whose characters are as wide as those of Arial, Helvetica and Liberation Sans.

Widths are in thousandths of the font size, for the characters 32 to 126 (the ``hmtx`` table of Arimo 1.341). The files
in ``fonts`` are its weights 400 and 700, cut by fontTools to Latin, Greek, Cyrillic, arrows and mathematical signs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from fxviz._render import text_width
from fxviz._render.text_width import Face

_REGULAR = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
    556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
    260, 334, 584,
)  # fmt: skip
_BOLD = (
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 333, 333, 584, 584, 584, 611, 975, 722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 333, 278, 333, 584, 556, 333, 556, 611, 556, 611,
    556, 333, 611, 611, 278, 278, 556, 278, 889, 611, 611, 611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389,
    280, 389, 584,
)  # fmt: skip
_OTHERS = {"×": 584, "·": 333, "…": 1000, "→": 1000, "−": 584, "²": 333, "³": 333, "¼": 834, "½": 834, "¾": 834}
ARIMO = Face(_REGULAR, _BOLD, _OTHERS, widest=1000)

FAMILY = "Arimo, Arial, 'Liberation Sans', Helvetica, sans-serif"
"""Fonts of the same widths; where a reader has none of them, ``textLength`` keeps each text as wide as measured."""


width = partial(text_width.width, face=ARIMO)
fit = partial(text_width.fit, face=ARIMO)


def wrapped(words: Sequence[str], between: str, room: float, size: float) -> list[str]:
    """Return words in as few lines as ``room`` points allow; a word that is too long by itself is cut.

    >>> round(width("Conv 3×3", 10, bold=True), 2), fit("a long name that goes on", 60, 9)
    (44.74, 'a long name…')
    >>> wrapped(["11.69M parameters", "1.8 GMACs", "8 skips"], " · ", 100, 7)
    ['11.69M parameters', '1.8 GMACs · 8 skips']
    """
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]}{between}{word}" if lines else word
        if lines and width(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(fit(word, room, size))
    return lines
