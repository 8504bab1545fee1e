"""Measure text and make it fit.

Text is measured in DejaVu Sans, the widest of the fonts that a reader may have, so that what fits here fits everywhere;
in figures for print it is measured in a face of their own (:mod:`fxviz._render.paper.face`). Widths are in thousandths
of the font size, for the characters 32 to 126 (the ``hmtx`` table of DejaVu Sans 2.37).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Face:
    """The widths of a font's characters in thousandths of its size: of 32 to 126, of some others, of the widest."""

    regular: tuple[int, ...]
    bold: tuple[int, ...]
    others: Mapping[str, int]
    widest: int


_REGULAR = (
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636, 636, 636, 636, 636,
    636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863,
    748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635,
    615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636,
    337, 636, 838,
)  # fmt: skip
_BOLD = (
    348, 456, 521, 838, 696, 1002, 872, 306, 457, 457, 523, 838, 380, 415, 380, 365, 696, 696, 696, 696, 696, 696, 696,
    696, 696, 696, 400, 400, 838, 838, 838, 580, 1000, 774, 762, 734, 830, 683, 683, 821, 837, 372, 372, 775, 637, 995,
    837, 850, 733, 850, 770, 720, 682, 812, 774, 1103, 771, 724, 725, 457, 365, 457, 838, 500, 500, 675, 716, 593, 716,
    678, 435, 716, 712, 343, 343, 665, 343, 1042, 712, 687, 716, 716, 493, 595, 478, 712, 652, 924, 645, 652, 582, 712,
    365, 712, 838,
)  # fmt: skip
DEJAVU = Face(_REGULAR, _BOLD, {"×": 838, "·": 380, "…": 1000, "→": 838, "✗": 838, "−": 838}, widest=1300)


def width(text: str, size: float, bold: bool = False, face: Face = DEJAVU) -> float:
    """Return the width in points of a text set in ``size`` points.

    >>> round(width("Conv 3×3", 10, bold=True)), width("", 9)
    (54, 0.0)
    """
    return sum(_units(text, bold, face)) * size / 1000


def _units(text: Iterable[str], bold: bool, face: Face = DEJAVU) -> Iterator[int]:
    table = face.bold if bold else face.regular
    return (table[ord(c) - 32] if 32 <= ord(c) < 127 else face.others.get(c, face.widest) for c in text)


def _fitting(text: Iterable[str], room: float, size: float, bold: bool, used: int = 0, face: Face = DEJAVU) -> int:
    """Return how many of the first characters fit beside ``used`` thousandths, without measuring the rest."""
    count = 0
    for units in _units(text, bold, face):
        used += units
        if used * size / 1000 > room:
            break
        count += 1
    return count


def fit(text: str, room: float, size: float, bold: bool = False, face: Face = DEJAVU) -> str:
    """Return the text if it fits into ``room`` points, else its beginning and an ellipsis.

    >>> fit("Conv 3×3", 80, 10), fit("a long name that goes on", 60, 9)
    ('Conv 3×3', 'a long nam…')
    """
    if _fitting(text, room, size, bold, face=face) == len(text):
        return text
    return text[: _fitting(text, room, size, bold, face.others["…"], face)].rstrip(" .·,") + "…"


def fit_layer(text: str, room: float, size: float, bold: bool = False) -> str:
    """Fit a layer's name: cut its class rather than its kernel, stride or features, if these leave a third of the room.

    >>> fit_layer("Conv3DNoTemporal 1×3×3 /2", 110, 9), fit_layer("a long name that goes on", 60, 9)
    ('Conv3DNoT… 1×3×3 /2', 'a long nam…')
    """
    name, blank, sizes = text.partition(" ")
    left = room - width(blank + sizes, size, bold)
    if width(text, size, bold) <= room or not sizes[:1].isdigit() or left < room / 3:
        return fit(text, room, size, bold)
    return fit(name, left, size, bold) + blank + sizes


def fit_path(path: str, room: float, size: float, bold: bool = False) -> str:
    """Fit a dotted path: cut its beginning, at a dot if possible, because its end is more specific.

    >>> fit_path("features.denseblock4.denselayer16.conv1", 70, 9), fit_path("relative_position_bias_table", 70, 9)
    ('…conv1', '…n_bias_table')
    """
    if _fitting(path, room, size, bold) == len(path):
        return path
    start = len(path) - _fitting(reversed(path), room, size, bold, DEJAVU.others["…"])
    dot = path.find(".", max(0, start - 1))
    return "…" + (path[start:] if dot < 0 else path[dot + 1 :])


def wrap(text: str, room: float, size: float, most: int) -> list[str]:
    """Break text into at most ``most`` lines, at blanks if possible; the last line is cut if there is more.

    >>> wrap("mat1 and mat2 shapes cannot be multiplied (1x8 and 4x2)", 110, 9, 3)
    ['mat1 and mat2 shapes', 'cannot be multiplied', '(1x8 and 4x2)']
    >>> wrap("a_long_name_without_blanks and more", 60, 9, 2)
    ['a_long_name', '_without_b…']
    """
    lines: list[str] = []
    rest = text.strip()
    while rest and len(lines) < most - 1:
        end = _fitting(rest, room, size, bold=False)
        if end < len(rest):
            end = rest.rfind(" ", 0, end + 1) if " " in rest[1 : end + 1] else max(1, end)
        lines.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return [*lines, fit(rest, room, size)] if rest else lines
