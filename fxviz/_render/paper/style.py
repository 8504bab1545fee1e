"""Name the sizes of a figure for print, in points, and write what its labels have in common."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from fxviz._analysis.structure import Row, Run, Stage
from fxviz._render import palette
from fxviz._render.drawing import Color
from fxviz._render.paper.face import fit, width
from fxviz._render.paper.scene import Anchor, Area, Label

TITLE, TEXT, SMALL = 10.5, 7.5, 7.0
"""The sizes of the model's name, of what is read first, and of what stands beside it."""
GAP = 6.0
"""Between the parts of a figure."""


def text(x: float, y: float, words: str, color: Color = palette.INK, bold: bool = False, anchor: Anchor = "start",
         size: float = TEXT) -> Label:  # fmt: skip
    """Return a label whose middle line is at ``y``: capital letters are 0.72 of the size high."""
    return Label(x, y + 0.36 * size, words, color, size, bold, anchor)


def filled(x: float, y: float, width: float, height: float, share: float, title: str = "") -> Area:
    """Return an area tinted by its share of the parameters."""
    return Area(
        x, y, width, height, palette.bar(share) if share >= LEAST else palette.PALE, palette.BORDER, title=title
    )


def ink(share: float) -> Color:
    """Return the colour of text on an area tinted by a share."""
    return palette.on_bar(share) if share >= LEAST else palette.INK


NARROW = 330.0
"""A narrower figure is a column: it has no overview from left to right, and short words in its table."""
LEAST = 0.001
"""A stage with a smaller share is not tinted."""
TINTED = 0.01
"""A row of a block or of a table with a smaller share is not tinted."""


def sizes(channels: int, size: tuple[int, ...]) -> str:
    """Return the sizes of a feature map or of tokens, briefly.

    >>> sizes(256, (56, 56)), sizes(64, (8, 28, 28)), sizes(768, (197,)), sizes(1000, ()), sizes(3, (480, 640))
    ('256×56²', '64×8×28²', '197×768', '1000', '3×480×640')
    """
    if len(size) == 1:
        return f"{size[0]}×{channels}"
    return "×".join([str(channels), *_squared(size)])


def extent(size: tuple[int, ...]) -> str:
    """Return the sizes beside the channels, briefly.

    >>> extent((56, 56)), extent((197,)), extent(())
    ('56²', '197', '')
    """
    return "×".join(_squared(size))


def _squared(size: tuple[int, ...]) -> list[str]:
    if len(size) == 3 and len(set(size)) == 1:
        return [f"{size[0]}³"]
    if len(size) > 1 and size[-1] == size[-2]:
        return [*map(str, size[:-2]), f"{size[-1]}²"]
    return list(map(str, size))


def widths(row: Row) -> str:
    """Return the channels of a row in one word, "" where they are not told.

    >>> widths(Row("MLP", "768", ("3072", "768"))), widths(Row("Conv 3×3", "C", ("4C",))), widths(Row("+"))
    ('768→3072→768', '4C', '')
    """
    if len(row.channels) > 1:
        return "→".join(filter(None, (row.entering, *row.channels)))
    return row.channels[0] if row.channels else ""


def value(fact: object) -> str:
    """Write the value of a fact: sizes that are equal as one.

    >>> value((3, 3)), value((1, 7)), value(6.0), value(12)
    ('3', '1×7', '6', '12')
    """
    if isinstance(fact, (tuple, list)):
        return str(fact[0]) if len(set(fact)) == 1 else "×".join(map(str, fact))
    return f"{fact:g}" if isinstance(fact, float) else str(fact)


def has_layers(shortcut: str | None) -> bool:
    """Return whether layers stand on a skip of this kind, which is drawn dashed.

    >>> has_layers("projection"), has_layers("concat"), has_layers("identity")
    (True, False, False)
    """
    return shortcut in ("projection", "resample")


def is_join(row: Row) -> bool:
    """Return whether a row is a sum, product or concatenation."""
    return row.word in ("+", "×", "concat", "cat")


def length(words: str, bold: bool = False, size: float = TEXT) -> float:
    """Return the length of a text in points."""
    return width(words, size, bold)


def in_lines(name: str, room: float, bold: bool = True, size: float = TEXT) -> list[str]:
    """Return a name in as few lines as it takes, parted behind dots, underscores and spaces; a long part is divided.

    >>> in_lines("stage 1", 60), in_lines("encoder.layers", 40), in_lines("segmentation head", 40)
    (['stage 1'], ['encoder.', 'layers'], ['segmenta-', 'tion head'])
    """
    if length(name, bold, size) <= room:
        return [name]
    lines: list[str] = []
    for part in parts_of(name):
        if lines and length((lines[-1] + part).rstrip(), bold, size) <= room:
            lines[-1] += part
            continue
        rest = part
        while length(rest.rstrip(), bold, size) > room and (end := _division(rest, room, bold, size)):
            lines.append(rest[:end] + "-")
            rest = rest[end:]
        lines.append(rest)
    return [fit(line.rstrip(), room, size, bold) for line in lines]


def _division(part: str, room: float, bold: bool, size: float) -> int:
    """Return how many letters of a part have room before a hyphen; 0 if it cannot be divided well."""
    ends = range(3, len(part.rstrip()) - 2)
    return max((end for end in ends if length(part[:end] + "-", bold, size) <= room), default=0)


def parts_of(name: str) -> list[str]:
    """Return the parts of a name, each with the sign behind it.

    >>> parts_of("stage 1"), parts_of("decoder.blocks.x_1")
    (['stage ', '1'], ['decoder.', 'blocks.', 'x_', '1'])
    """
    return re.split(r"(?<=[._ ])(?=[^._ ])", name)


def short_name(stage: Stage) -> str:
    """Return the title of a stage; of a path only its last names."""
    return ".".join(stage.title.split(".")[-2:])


def plain_word(words: str) -> str:
    """Return the words for a layer without channels.

    >>> plain_word("Conv 7×7 3→64 /2"), plain_word("Linear 2048→1000")
    ('Conv 7×7 /2', 'Linear')
    """
    return " ".join(word for word in words.split() if "→" not in word)


MOST_RUNS = 6
"""A stage of more runs has its layers told together."""


def condensed(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return the runs of a stage: layers that differ in width alone are one run, and so are many layers in a row.

    >>> layers = [Run((f"Conv 3×3 {width}→{2 * width}",), 1, False) for width in range(7)]
    >>> condensed(layers)[0].text
    'Conv 3×3 ×7'
    >>> others = [Run((f"Conv {size}×{size}",), 1, False) for size in range(7)]
    >>> condensed(others)[0].text, len(condensed(others[:3]))
    ('7 layers: Conv', 3)
    """
    alike = [
        Run(next(iter(group)).names if lettered else (words,), sum(run.times for run in group), lettered)
        for (lettered, words), group in (
            (key, list(found)) for key, found in groupby(runs, key=lambda run: (run.lettered, _words(run)))
        )
    ]
    if len(alike) <= MOST_RUNS:
        return tuple(alike)
    found: list[Run] = []
    for lettered, group in groupby(alike, key=lambda run: run.lettered):
        inside = list(group)
        found += inside if lettered or len(inside) < 3 else [_told_together(inside)]
    return tuple(found)


def _words(run: Run) -> str:
    """Return the words of a run by which others are like it: all of a run of blocks, a layer's without channels."""
    return run.text if run.lettered else " ".join(map(plain_word, run.names))


def _told_together(runs: Sequence[Run]) -> Run:
    names = list(dict.fromkeys(name.split(" ")[0] for run in runs for name in run.names))
    count = sum(len(run.names) * run.times for run in runs)
    more = ", …" if len(names) > 3 else ""
    return Run((f"{count} layers: {', '.join(names[:3])}{more}",), 1, False)
