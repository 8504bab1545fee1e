"""Draw the lines of the ledger: data flow down the page and past cards, skips on the left."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fxviz._graph import SkipKind
from fxviz._render import palette
from fxviz._render.drawing import Dash, Line, Role
from fxviz._view.view import INPUT, OUTPUT, Arc, Flow, Row, View

_DASHES: dict[SkipKind, Dash] = {
    "identity": "solid",
    "projection": "dashed",
    "resample": "dotted",
    "concat": "solid",
    "gate": "dotted",
}
_WIDTHS: dict[SkipKind, float] = {"concat": 1.4, "gate": 1.4}


def lines(view: View, box_of: Mapping[int, str], above: Sequence[str], below: Sequence[str]) -> Iterator[Line]:
    """Yield all lines between boxes.

    Args:
        view: what is shown.
        box_of: the id of the box of each row, and of the input and output.
        above, below: ids of the boxes above the input and below the output.
    """
    for name in above:
        yield Line(name, box_of[INPUT], "order", weight=20)
    for name in below:
        yield Line(box_of[OUTPUT], name, "order", weight=20)
    yield from _trunk(view, box_of)
    for arc in view.arcs:
        yield _fade_unchanged(view, arc.head, _skip(arc, box_of))
    for row in view.rows:
        if set(row.skips) - {"gate"}:
            yield _fade_unchanged(view, row.id, _loop(row, box_of))
    for flow in view.flows:
        yield _flow_past(flow, box_of)
    arcs = {(arc.tail, arc.head) for arc in view.arcs}
    for (tail, head), ways in view.ways.items():
        drawn = 2 if (tail, head) in arcs and head == tail + 1 else 1
        yield from itertools.repeat(_flow_past(Flow(tail, head), box_of), ways - drawn)


def _trunk(view: View, box_of: Mapping[int, str]) -> Iterator[Line]:
    """Join the boxes down the page; where no data flows, an invisible line keeps the order."""
    drawn = {(box_of[flow.tail], box_of[flow.head]) for flow in view.flows}
    joined = {(box_of[tail], box_of[head]) for tail, head in view.edges} - drawn
    boxes = [box_of[INPUT], *(box_of[card.rows[0].id] for card in view.cards), box_of[OUTPUT]]
    removed = {box_of[card.rows[0].id] for card in view.cards if all(row.kind == "removed" for row in card.rows)}
    for at, (above, below) in enumerate(itertools.pairwise(boxes)):
        start = next(box for box in boxes[at::-1] if box not in removed)
        stop = next(box for box in boxes[at + 1 :] if box not in removed)
        role: Role = "flow" if (start, stop) in joined else "order"
        yield Line(above, below, role, "data", color=palette.FLOW, weight=20)


def _flow_past(flow: Flow, box_of: Mapping[int, str]) -> Line:
    return Line(
        box_of[flow.tail], box_of[flow.head], "flow", "data",
        tail_port=_port(flow.tail, "e"), tail_side="e", head_port=_port(flow.head, "e"), head_side="e",
        color=palette.FLOW, weight=0,
    )  # fmt: skip


def _skip(arc: Arc, box_of: Mapping[int, str]) -> Line:
    return Line(
        box_of[arc.tail], box_of[arc.head], "skip", f"{arc.kind} skip",
        tail_port=_port(arc.tail, "w"), tail_side="w", head_port=_port(arc.head, "w"), head_side="w",
        **skip_look(arc.kind),
    )  # fmt: skip


def _fade_unchanged(view: View, row: int, line: Line) -> Line:
    """Make a line pale and thin if its row is the same in the other model."""
    if view.difference is None or view.rows[row].change is not None:
        return line
    return replace(line, color=palette.UNCHANGED_SKIP, width=1.2, arrow=0.5)


def skip_look(kind: SkipKind) -> dict[str, Any]:
    """Return the look of a skip of this kind as fields of a :class:`~fxviz._render.drawing.Line`."""
    return {"color": palette.SKIP, "width": _WIDTHS.get(kind, 2.6), "arrow": 0.6, "dash": _DASHES[kind]}


def _loop(row: Row, box_of: Mapping[int, str]) -> Line:
    """Draw a skip inside a row as a hook in its margin."""
    box = box_of[row.id]
    return Line(
        box, box, "skip", f"skip inside {row.path}",
        tail_port=f"{row.id}w", tail_side="w", head_port=f"{row.id}s", head_side="w",
        color=palette.SKIP, width=2, arrow=0.5,
    )  # fmt: skip


def _port(row: int, side: str) -> str | None:
    return None if row in (INPUT, OUTPUT) else f"{row}{side}"
