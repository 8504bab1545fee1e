"""The id of each thing drawn: ``b1`` for the first box, ``f1`` for the first frame, ``l1`` for the first line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from fxviz._render.drawing import Box, Drawing, Frame, Item, Line


def figure_ids(drawing: Drawing) -> dict[str, Box | Frame | Line]:
    """Everything in a drawing by the id that it has in the DOT text and, behind the figure's prefix, in the SVG.

    >>> from fxviz._render.drawing import Color, Table
    >>> box = Box("a", Table(()), "input")
    >>> frame = Frame("s", Table(()), "stage", (box,), Color("#d0d7de", "#3d444d"))
    >>> list(figure_ids(Drawing("net", "", (frame,), ())))
    ['f1', 'b1']
    """
    counts: Counter[str] = Counter()
    return {_next_id(thing, counts): thing for thing in (*walk(drawing.items), *drawing.lines)}


def walk(items: tuple[Item, ...]) -> Iterator[Item]:
    """All items, each frame before what it holds."""
    for item in items:
        yield item
        if isinstance(item, Frame):
            yield from walk(item.items)


def _next_id(thing: Box | Frame | Line, counts: Counter[str]) -> str:
    letter = type(thing).__name__[0].lower()
    counts[letter] += 1
    return f"{letter}{counts[letter]}"
