"""Show a difference: rows where layers were removed, and how the other rows changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fxviz._analysis.difference import KINDS, Removed, Tally, count_layers, matters, tally
from fxviz._graph import Node
from fxviz._graph.operations import is_activation, is_norm
from fxviz._view.outline import Outline, Run
from fxviz._view.plan import Frame
from fxviz._view.rows import Draft, Drafts, repetitions
from fxviz._view.view import Altered, Change, Mark, Row


@dataclass(frozen=True)
class Spot:
    """The spot of something removed: inside a row, or as a row of its own in ``frames`` behind the row ``at``.

    One that ``leads`` belongs to the row below it; ``times`` counts its places between repetitions of one row.
    """

    inside: Draft | None
    at: int = -1
    frames: tuple[Frame, ...] = ()
    leads: bool = False
    times: int = 1


def locate_removed(outline: Outline, drafts: Drafts) -> list[tuple[Removed, Spot]]:
    """Return where each removed module or layer is shown. The drawn repetition counts for all."""
    if outline.difference is None:
        return []
    drawn = (lost for lost in outline.difference.removed if _is_drawn(outline, drafts, lost))
    return [(lost, _spot(outline, drafts, lost)) for lost in drawn]


def _is_drawn(outline: Outline, drafts: Drafts, lost: Removed) -> bool:
    """Return whether it was in a module that is drawn itself, and if between two steps, behind one that is drawn."""
    if lost.before is not None and lost.after in drafts.stands_for:
        return False
    nodes = outline.nodes_in(lost.parent)
    return not nodes or any(name not in drafts.stands_for for name in nodes)


def _spot(outline: Outline, drafts: Drafts, lost: Removed) -> Spot:
    above, below = _row_above(drafts, lost), _row_below(outline, drafts, lost)
    if (row := _row_around(outline, lost, above, below)) is not None:
        return Spot(row)
    behind = () if above is None else _frames(outline, above, lost)
    leading = () if below is None else _frames(outline, below, lost)
    if above is not None and (below is None or len(behind) >= len(leading)):
        times = above.shown.times if above is below else 1
        return Spot(None, _last_in_frame(drafts.rows, above, len(behind)), behind, times=times)
    if below is not None:
        return Spot(None, drafts.rows.index(below) - 1, leading, leads=True)
    return Spot(None, len(drafts.rows) - 1 if lost.after else -1)


def _row_above(drafts: Drafts, lost: Removed) -> Draft | None:
    """Return the row of the step behind which it stood; None if that is drawn with the input."""
    row = None if lost.after is None else drafts.row(lost.after)
    return row if isinstance(row, Draft) else None


def _row_below(outline: Outline, drafts: Drafts, lost: Removed) -> Draft | None:
    """Return the row of the step before which it stood, or of the next one of the module that has a row."""
    if lost.before is None:
        return None
    names = outline.nodes_in(lost.parent)
    rows = (drafts.row(name) for name in names[names.index(lost.before) :])
    return next((row for row in rows if isinstance(row, Draft)), None)


def _row_around(outline: Outline, lost: Removed, above: Draft | None, below: Draft | None) -> Draft | None:
    """Return the row that holds it: the one for its whole module, or the layer whose fused part it was."""
    for row in (above, below):
        if row is not None and any(scope in row.calls for scope in outline.around(lost.parent)):
            return row
    return above if above is not None and above is below and above.scope is None and _fits_in(lost) else None


def _fits_in(lost: Removed) -> bool:
    """Return whether it could be a part of a layer's row: a norm, an activation."""
    return all(is_norm(node) or is_activation(node) for node in lost.nodes if matters(node))


def _frames(outline: Outline, row: Draft, lost: Removed) -> tuple[Frame, ...]:
    """Return the frames of a row in which it stood: those around its module, and a repetition that held it."""
    around = set(outline.around(lost.parent))
    count = 0
    for frame in row.frames:
        if frame.scope not in around or (
            frame.run and frame.scope == lost.parent and not _is_within(outline, frame.run, lost)
        ):
            break
        count += 1
    return row.frames[:count]


def _is_within(outline: Outline, run: Run, lost: Removed) -> bool:
    """Return whether it stood between two steps of a repetition, or between two repetitions."""
    inside = {name for element in outline.elements(lost.parent)[run.start : run.stop] for name in element.nodes}
    return lost.after in inside and lost.before in inside


def _last_in_frame(rows: Sequence[Draft], row: Draft, depth: int) -> int:
    """Return the place of the last row in the same frame, ``depth`` frames down; the row's own outside of one."""
    at = rows.index(row)
    frame = row.frames[: depth + 1]
    while len(frame) > depth and at + 1 < len(rows) and rows[at + 1].frames[: depth + 1] == frame:
        at += 1
    return at


# -------------------------------------------------------------------- rows


def insert_removed(outline: Outline, rows: Sequence[Draft], found: Sequence[tuple[Removed, Spot]]) -> list[Draft]:
    """Return the rows with rows for what was removed between them. Count in a row what was removed inside it."""
    behind: dict[int, list[Draft]] = defaultdict(list)
    for lost, spot in found:
        row = spot.inside
        if row is None:
            row = _draft(lost, spot)
            behind[spot.at].append(row)
        row.removed.append(lost)
        row.was += repetitions(row) * sum(outline.metric.of(node) for node in lost.nodes)
    complete = list(behind[-1])
    for place, row in enumerate(rows):
        complete += [row, *behind[place]]
    return complete


def _draft(lost: Removed, spot: Spot) -> Draft:
    head, *after = (node for node in lost.nodes if matters(node))
    paths = [scope.path for scope in lost.scopes] or [head.path]
    shown = Row(
        id=0,
        kind="removed",
        heads=(head,),
        path=paths[0],
        output=lost.nodes[-1].outputs[0] if lost.nodes[-1].outputs else None,
        after=() if lost.scopes else tuple(after),
        times=spot.times,
        span=(paths[0], paths[-1]) if len(paths) > 1 else None,
        alike=len(paths) if len(paths) > 1 else 0,
    )
    return Draft(shown, [], spot.frames, None, leads=spot.leads)


# -------------------------------------------------------------------- how a row changed


def change_of(outline: Outline, row: Draft) -> Change | None:
    """Return how a row differs from the other model, None if it does not."""
    if outline.difference is None:
        return None
    gone = [node for lost in row.removed for node in lost.nodes if matters(node)]
    there = _steps(outline, row)
    parts = (*_altered(outline, there), *(Altered("removed", node) for node in gone))
    if not parts:
        return None
    readers = outline.difference.readers
    counted = tally({kind: [part.node for part in parts if part.kind == kind] for kind in KINDS}, readers)
    of = sum(count_layers(nodes, readers) if counted.noun == "layer" else len(nodes) for nodes in (there, gone))
    is_new = all(node.id in outline.difference.added for node in there)
    return Change(_mark(row, parts, counted, of, is_new), parts, counted, of, row.was)


def _steps(outline: Outline, row: Draft) -> list[Node]:
    """Return the steps of a row that can differ; of functions those that it counts."""
    if row.kind == "removed":
        return []
    nodes = [outline.node(name) for name in row.nodes]
    if row.kind == "code":
        nodes = [*row.shown.heads, *(node for node in nodes if node.uses)]
    return [node for node in nodes if matters(node)]


def _altered(outline: Outline, nodes: Sequence[Node]) -> Iterator[Altered]:
    """Yield the steps of a row that were added or changed."""
    assert outline.difference is not None
    for node in nodes:
        kind = outline.difference.kind(node.id)
        if kind:
            yield Altered(kind, node, outline.difference.before(node.id))


def _mark(row: Draft, parts: Sequence[Altered], counted: Tally, of: int, is_new: bool) -> Mark:
    """Return the change of a row: that of its layer, or the one that all of its layers have in common.

    A module that both models have is neither added nor removed, even if all layers in it are.
    """
    if row.kind == "removed":
        return "removed"
    if not row.hides and len(row.shown.heads) == 1:
        return next((part.kind for part in parts if part.node is row.shown.heads[0]), "mixed")
    if is_new and not row.removed:
        return "added"
    kind, count = next(iter(counted.counts.items()), (None, of))
    return kind if count == of and kind in ("resized", "altered") else "mixed"
