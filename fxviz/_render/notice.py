"""What stands in the place of the output where the model's code raised: where, what, and on which tensors."""

from __future__ import annotations

from collections.abc import Iterator

from fxviz._graph import Failure
from fxviz._render import palette, wording
from fxviz._render.drawing import Box, Cell, Table, Text
from fxviz._render.sheet import ROW, SHEET
from fxviz._render.text_width import fit, wrap

_MARGIN = 8
_MOST_LINES = 6


def notice(name: str, failure: Failure) -> Box:
    """A box as wide as the cards that says why the run stopped.

    >>> failure = Failure("head", "RuntimeError: shapes differ", "head", "nn.Linear", "net.py", 12, "return self.head(x)")
    >>> notice("output", failure).title
    'stopped at head (Linear), net.py:12: RuntimeError: shapes differ'
    """
    rows = tuple((Cell((text,), SHEET - 2 * _MARGIN, ROW),) for text in _texts(failure))
    inside = Table(rows, width=SHEET - 2 * _MARGIN, height=ROW * len(rows))
    margin = Cell(width=_MARGIN, height=ROW * len(rows) + _MARGIN)
    row = (margin, Cell(inside, SHEET - 2 * _MARGIN, ROW * len(rows) + _MARGIN), margin)
    content = Table((row,), border=palette.STOP, fill=palette.STOPPED)
    return Box(name, content, f"stopped at {wording.stop(failure)}: {failure.message}")


def _texts(failure: Failure) -> Iterator[Text]:
    room = SHEET - 2 * _MARGIN - 4
    yield Text(fit(f"{wording.STOP} stopped at {wording.stop(failure)}", room, 10, bold=True), palette.STOP, 10, bold=True)
    for line in wrap(failure.message, room, 9, _MOST_LINES):
        yield Text(line, palette.INK, 9)
    if failure.code:
        yield Text(fit(f"> {failure.code}", room, 9), palette.INK, 9)
    if failure.inputs:
        yield Text(fit(f"on {wording.given(failure.inputs)}", room, 9), palette.INK, 9)
