"""What another model had and this one lacks: rows where it stood, and what the rows that are there say of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fxviz.difference import Removed, count_layers, matters
from fxviz.folding.outline import Outline
from fxviz.folding.plan import Place
from fxviz.folding.rows import Draft, Drafts, repetitions
from fxviz.graph import Node
from fxviz.operations import is_activation, is_norm, is_passing
from fxviz.view import Altered, Change


@dataclass(frozen=True)
class Spot:
    """Where something removed is shown: inside a row, or as a row of its own in the frames ``places`` behind the row ``at``.

    One that ``leads`` belongs to the row below it.
    """

    inside: Draft | None
    at: int = -1
    places: tuple[Place, ...] = ()
    leads: bool = False


def spots(outline: Outline, drafts: Drafts) -> list[tuple[Removed, Spot]]:
    """Where all that was removed is shown. What was removed from a repetition that is not drawn is left out."""
    if outline.difference is None:
        return []
    drawn = (lost for lost in outline.difference.removed if _is_drawn(outline, drafts, lost.parent))
    return [(lost, _spot(outline, drafts, lost)) for lost in drawn]


def _is_drawn(outline: Outline, drafts: Drafts, scope: int) -> bool:
    nodes = outline.nodes_in(scope)
    return not nodes or any(name not in drafts.stands_for for name in nodes)


def _spot(outline: Outline, drafts: Drafts, lost: Removed) -> Spot:
    above, below = (None if name is None else drafts.row(name) for name in (lost.after, lost.before))
    for row in (above, below):
        is_within = above is below and _fits_in(lost) and isinstance(row, Draft) and row.scope is None
        if isinstance(row, Draft) and (is_within or _is_around(outline, row, lost)):
            return Spot(row)
    if isinstance(above, Draft):
        places = _frames(outline, above, lost.parent)
        return Spot(None, _last_in_frame(drafts.rows, above, len(places)), places)
    if isinstance(below, Draft):
        return Spot(None, drafts.rows.index(below) - 1, _frames(outline, below, lost.parent), leads=True)
    return Spot(None, len(drafts.rows) - 1 if lost.after else -1)


def _fits_in(lost: Removed) -> bool:
    """Whether it could be a part of a layer's row: a norm, an activation, dropout."""
    return all(is_norm(node) or is_activation(node) or is_passing(node) for node in lost.nodes if matters(node))


def _is_around(outline: Outline, row: Draft, lost: Removed) -> bool:
    """Whether a row stands for the whole module from which something was removed."""
    return any(scope in row.calls for scope in outline.around(lost.parent))


def _frames(outline: Outline, row: Draft, parent: int) -> tuple[Place, ...]:
    """The frames of a row in which all of the module ``parent`` stands, not only one repetition of what is in it."""
    around = set(outline.around(parent))
    count = 0
    for place in row.places:
        if place.scope not in around or (place.run is not None and place.scope == parent):
            break
        count += 1
    return row.places[:count]


def _last_in_frame(rows: Sequence[Draft], row: Draft, depth: int) -> int:
    """The place of the last row that stands in the same frame, ``depth`` frames down; the row's own if it is in none there."""
    at = rows.index(row)
    frame = row.places[: depth + 1]
    while len(frame) > depth and at + 1 < len(rows) and rows[at + 1].places[: depth + 1] == frame:
        at += 1
    return at


# -------------------------------------------------------------------- rows


def restore(outline: Outline, rows: Sequence[Draft], found: Sequence[tuple[Removed, Spot]]) -> list[Draft]:
    """The rows, with those of what was removed between them; what was removed inside a row is counted there."""
    behind: dict[int, list[Draft]] = defaultdict(list)
    for lost, spot in found:
        row = spot.inside
        if row is None:
            row = _draft(lost, spot.places)
            row.leads = spot.leads
            behind[spot.at].append(row)
        row.lost.append(lost)
        row.was += repetitions(row) * sum(outline.metric.of(node) for node in lost.nodes)
    restored = list(behind[-1])
    for place, row in enumerate(rows):
        restored += [row, *behind[place]]
    return restored


def _draft(lost: Removed, places: tuple[Place, ...]) -> Draft:
    shown = [node for node in lost.nodes if matters(node)]
    head, *after = shown
    paths = [scope.path for scope in lost.scopes] or [head.path]
    return Draft(
        kind="removed",
        heads=[head],
        nodes=[],
        places=places,
        tail=None,
        path=paths[0],
        output=lost.nodes[-1].outputs[0] if lost.nodes[-1].outputs else None,
        after=[] if lost.scopes else after,
        alike=len(paths) if len(paths) > 1 else 0,
        span=(paths[0], paths[-1]) if len(paths) > 1 else None,
    )


# -------------------------------------------------------------------- what a row says


def change_of(outline: Outline, row: Draft) -> Change | None:
    """How a row differs from the other model, None if it does not."""
    if outline.difference is None:
        return None
    gone = [node for lost in row.lost for node in lost.nodes if matters(node)]
    if row.kind == "removed":
        return Change("removed", tuple(Altered("removed", node) for node in gone), count_layers(gone), row.was)
    altered = (*_altered(outline, row), *(Altered("removed", node) for node in gone))
    if not altered:
        return None
    nodes = [outline.node(name) for name in row.nodes]
    return Change(_kind(row, nodes, altered), altered, count_layers(nodes) + count_layers(gone), row.was)


def _altered(outline: Outline, row: Draft) -> Iterator[Altered]:
    """The steps of a row that were added or resized; views and the like only where nothing else is in the row."""
    assert outline.difference is not None
    nodes = [outline.node(name) for name in row.nodes]
    for node in [node for node in nodes if matters(node)] or nodes:
        kind = outline.difference.kind(node.id)
        if kind:
            yield Altered(kind, node, outline.difference.before(node.id))


def _kind(row: Draft, nodes: Sequence[Node], altered: Sequence[Altered]) -> str:
    """What became of a layer is what became of its row; of a row of several steps only what became of all of them."""
    heads = {head.id for head in row.heads}
    of_heads = {part.kind for part in altered if part.node.id in heads and part.kind != "removed"}
    if row.scope is None and len(heads) == 1:
        return of_heads.pop() if of_heads else "mixed"
    kinds = {part.kind for part in altered}
    counted = [node for node in nodes if matters(node)] or nodes
    return kinds.pop() if len(kinds) == 1 and len(altered) == len(counted) else "mixed"
