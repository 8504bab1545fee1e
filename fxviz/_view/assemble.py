"""Put rows into cards and cards into frames, and find the parts of the overview strip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from math import prod

from fxviz._analysis.parts import gives_way
from fxviz._graph import Node, Scope
from fxviz._graph.operations import is_heavy, plain_name, says_nothing
from fxviz._view.branches import Region, count_branches
from fxviz._view.detail import Detail
from fxviz._view.diff_rows import change_of, insert_removed, locate_removed
from fxviz._view.outline import Element, Outline
from fxviz._view.plan import Frame
from fxviz._view.rows import Draft, Drafts, repetitions
from fxviz._view.runs import span_of
from fxviz._view.view import INPUT, OUTPUT, Card, Flow, Heading, Item, Part, Repeat, Row, Stage, View, cards_in
from fxviz._view.wiring import Wiring, passing, trunk


def assemble(outline: Outline, drafts: Drafts, wiring: Wiring, regions: Sequence[Region], detail: Detail) -> View:
    """Return the view of rows that are in order and numbered."""
    is_graph = detail.style == "graph"
    explained = {edge for region in regions for edge in region.edges()}
    flows = passing(wiring, drafts, explained)
    breaks = _breaks(drafts, wiring, regions, flows)
    removed = locate_removed(outline, drafts)
    _add_up(outline, drafts)
    rows = insert_removed(outline, drafts.rows, removed)
    ends, place = _card_ends(rows, breaks), _renumber(rows)
    items = _items(outline, rows, 0, ends, detail.compact)
    return View(
        graph=outline.graph,
        items=items,
        arcs=tuple(replace(arc, tail=place[arc.tail], head=place[arc.head]) for arc in wiring.arcs),
        flows=tuple(Flow(place[tail], place[head]) for tail, head in flows),
        parts=tuple(_strip(items, sum(row.total for row in drafts.rows))),
        edges=frozenset((place[tail], place[head]) for tail, head in wiring.edges),
        ways={(place[tail], place[head]): count for (tail, head), count in wiring.ways.items()},
        metric=outline.metric.name,
        style=detail.style,
        trunk=trunk(wiring, len(drafts.rows)) if is_graph else frozenset(),
        difference=outline.difference,
    )


def _card_ends(rows: Sequence[Draft], breaks: set[int]) -> set[int]:
    """Return the places of the rows after which a card ends. A removed row stays with the one above or leads one."""
    ends: set[int] = set()
    for place, row in enumerate(rows):
        if row.kind == "removed" and not row.leads and place - 1 in ends:
            ends.remove(place - 1)
            ends.add(place)
        elif row.kind != "removed" and row.id in breaks:
            ends.add(place)
    return ends


def _renumber(rows: Sequence[Draft]) -> dict[int, int]:
    """Set each row's id to its place. Return the new id of each old one, including the input and the output."""
    place = {INPUT: INPUT, OUTPUT: OUTPUT}
    for number, row in enumerate(rows):
        if row.kind != "removed":
            place[row.id] = number
        row.id = number
    return place


def _add_up(outline: Outline, drafts: Drafts) -> None:
    """Set each row's total to the metric of all nodes that it shows or stands for."""
    for row in drafts.rows:
        row.total = row.counts = 0
    for node in outline.graph.nodes:
        owner, amount = drafts.row(node.id), outline.metric.of(node)
        if not isinstance(owner, Draft):
            continue
        if amount:
            owner.total += amount
            owner.counts += 1
        before = outline.difference.before(node.id) if outline.difference else None
        if before is not None:
            owner.was += outline.metric.of(before)


# -------------------------------------------------------------------- cards


def _breaks(drafts: Drafts, wiring: Wiring, regions: Sequence[Region], flows: Sequence[tuple[int, int]]) -> set[int]:
    """Return the rows after which a card ends, so that every skip and every drawn flow joins two cards."""
    ends = (
        {arc.tail for arc in wiring.arcs}
        | {tail for tail, _ in flows}
        | {head - 1 for _, head in flows if head != OUTPUT}
        | {row for tail, head in wiring.ways for row in (tail, head - 1)}
    )
    ends |= {row.id for row in drafts.rows if row.kind == "join" and not row.shown.concat}
    beside = {row for region in regions for row in (*(branch[0] for branch in region.branches), region.join)}
    for row in drafts.rows[:-1]:
        following = drafts.rows[row.id + 1]
        joined = (row.id, following.id) in wiring.edges or following.id in beside
        if not joined and "projection" not in (row.kind, following.kind):
            ends.add(row.id)
    return ends


def _items(outline: Outline, rows: Sequence[Draft], depth: int, breaks: set[int], compact: bool) -> tuple[Item, ...]:
    """Return the rows in frames, from this depth on, and split into cards."""
    items: list[Item] = []
    for frame, group in groupby(rows, key=lambda row: row.frames[depth] if len(row.frames) > depth else None):
        framed = list(group)
        if frame is None:
            items += _cards(outline, framed, breaks)
        else:
            inside = _items(outline, framed, depth + 1, breaks, compact)
            items += _framed(outline, frame, framed, depth, inside, compact)
    return tuple(items)


def _cards(outline: Outline, rows: Sequence[Draft], breaks: set[int]) -> Iterator[Card]:
    card: list[Draft] = []
    for row in rows:
        card.append(row)
        if row.id in breaks:
            yield _card(outline, card)
            card = []
    if card:
        yield _card(outline, card)


def _card(outline: Outline, rows: Sequence[Draft]) -> Card:
    return Card(tuple(_row(outline, row) for row in rows))


def _framed(
    outline: Outline, frame: Frame, rows: Sequence[Draft], depth: int, items: tuple[Item, ...], compact: bool
) -> list[Item]:
    if frame.run is not None:
        return [Repeat(frame.run.times, span_of(outline, frame.scope, frame.run), items, frame.run.kind)]
    heading = _heading(outline, frame.scope, rows, depth)
    only = items[0] if len(items) == 1 else None
    if compact and isinstance(only, Card):
        return [Card(only.rows, heading)]
    return [Stage(heading, items)]


def _heading(outline: Outline, scope: int, rows: Sequence[Draft], depth: int) -> Heading:
    call, total = outline.scopes[scope], sum(row.total for row in rows)
    return Heading(
        call.path,
        "" if says_nothing(call.cls) else call.class_name,
        total=total,
        times=_times(outline, rows, depth),
        skips=dict(outline.skips_in[scope]),
        missing=_missing(outline, call) if total else "",
    )


def _times(outline: Outline, rows: Sequence[Draft], depth: int) -> int:
    """Return in how many repetitions a frame's rows are counted; 1 if not all of them count in each."""
    times = prod(frame.run.times for frame in rows[0].frames[:depth] if frame.run)
    counting = [row for row in rows if row.total]
    used = [[outline.node(name) for name in row.nodes] for row in counting]
    counted = {
        _repetitions_in_total(outline, row, nodes) / row.shown.times for row, nodes in zip(counting, used, strict=True)
    }
    return times if counted == {times} else 1


def _missing(outline: Outline, call: Scope) -> str:
    """Return why a call of a module has less than the module: other calls, or parts that are called from outside it."""
    inside, prefix = set(outline.nodes_in(call.id)), f"{call.path}."
    outside = [
        node
        for node in outline.graph.nodes
        if node.path.startswith(prefix) and node.id not in inside and outline.metric.of(node)
    ]
    if not outside or not call.path:
        return ""
    calls = [scope.id for scope in outline.scopes.values() if scope.path == call.path]
    others = (set(outline.nodes_in(other)) for other in calls if other != call.id)
    if any(node.id in other for other in others for node in outside):
        return f"call {calls.index(call.id) + 1} of {len(calls)}"
    names = list(dict.fromkeys(node.path.removeprefix(prefix).partition(".")[0] for node in outside))
    return f"without {', '.join(names[:2])}{', …' if len(names) > 2 else ''}"


def _row(outline: Outline, row: Draft) -> Row:
    times = repetitions(row)
    used = [outline.node(name) for name in row.nodes]
    described = outline.graph.index.described
    return replace(
        row.shown,
        id=row.id,
        heads=tuple(map(described, row.shown.heads)),
        path=_path(outline, row),
        params=sum(node.params for node in used),
        total=row.total,
        scope=_module(outline, row),
        times=times,
        own_times=row.shown.times,
        skips=dict(row.skips),
        lists=tuple(_listed(outline, row.scope)) if row.kind == "block" and row.scope is not None else (),
        branches=count_branches(outline, row) if row.kind == "block" else 0,
        shared=row.kind != "removed" and _is_shared(outline, row, used),
        counted=_repetitions_in_total(outline, row, used) if times > 1 and row.total else None,
        merges=not row.total and _is_merge(row),
        change=change_of(outline, row),
    )


def _module(outline: Outline, row: Draft) -> Scope | None:
    """Return the module that a row stands for; that of the other model if it was removed."""
    if row.kind == "removed":
        return next((scope for lost in row.removed for scope in lost.scopes), None)
    return None if row.scope is None else outline.scopes[row.scope]


def _listed(outline: Outline, scope: int) -> Iterator[Scope | Node]:
    """Yield the steps in a mere list of modules, and in lists in it: modules with names of their own, and layers."""
    waiting = [Element(scope, ())]
    while waiting:
        element = waiting.pop()
        if element.scope is None:
            node = outline.node(element.nodes[0])
            yield from [outline.graph.index.described(node)] if is_heavy(node) else []
        elif says_nothing(outline.scopes[element.scope].cls):
            waiting += reversed(outline.elements(element.scope))
        elif element.scope != scope:
            yield outline.scopes[element.scope]


def _repetitions_in_total(outline: Outline, row: Draft, used: Sequence[Node]) -> int:
    """Return how many repetitions add to the row's total: the nodes that do, per such node in the drawn one."""
    return max(1, round(row.counts / max(1, sum(outline.metric.of(node) > 0 for node in used))))


def _is_shared(outline: Outline, row: Draft, used: Sequence[Node]) -> bool:
    """Return whether all parameters that the row's layer or module reads are counted in an earlier row."""
    read = [outline.node(name) for head in row.shown.heads for name in outline.sources[head.id]]
    own = [*row.shown.heads, *(node for node in read if node.kind == "parameter")]
    own = [node for node in own if node.uses] or list(used)
    return any(node.shared for node in own) and not any(node.params for node in own)


def _is_merge(row: Draft) -> bool:
    """Return whether branches meet in a row: a skip's join, or another sum, product or concatenation."""
    is_merge = plain_name(row.shown.heads[0].op) in ("add", "sub", "mul", "cat") if row.shown.heads else False
    return row.kind == "join" or (row.kind == "plain" and is_merge)


def _path(outline: Outline, row: Draft) -> str:
    """Return the path of the outermost module that is only this row (a convolution with its norm), or of the layer."""
    path, nodes = row.shown.path, set(row.nodes)
    is_layer = row.kind in ("layer", "projection", "chain")
    scope = outline.scopes[row.shown.heads[0].scope if is_layer else 0]
    while (
        scope.parent is not None
        and len(nodes) >= len(outline.nodes_in(scope.id))
        and nodes.issuperset(outline.nodes_in(scope.id))
    ):
        path, scope = scope.path, outline.scopes[scope.parent]
    return path


# -------------------------------------------------------------------- the overview strip


def _strip(items: Sequence[Item], total: float) -> list[Part]:
    """Return a part for each stage or lone row that has any of the metric, in order.

    A part that is nearly everything is replaced by its own parts, and so is one that is most of a strip with few parts.
    """
    parts = [found for found in _parts(items) if found[0].total]
    while parts:
        at = max(range(len(parts)), key=lambda place: parts[place][0].total)
        share = parts[at][0].total / total
        inner = [found for found in _parts(parts[at][1]) if found[0].total]
        if len(inner) < 2 or not gives_way(share, len(parts)):
            break
        parts[at : at + 1] = inner
    return [part for part, _ in parts]


def _parts(items: Sequence[Item]) -> Iterator[tuple[Part, Sequence[Item]]]:
    for item in items:
        if isinstance(item, Stage):
            yield _headed(item, item.heading), item.items
        elif isinstance(item, Repeat):
            yield _repeated_part(item), ()
        elif item.heading is not None:
            yield _headed(item, item.heading), [Card((row,)) for row in item.rows]
        else:
            yield from _row_parts(item)


def _headed(item: Stage | Card, heading: Heading) -> Part:
    return Part(heading.path, heading.total, differs=_differs(item), missing=heading.missing)


def _repeated_part(repeat: Repeat) -> Part:
    """Return the part of a repetition; one that calls no module has the path of its first parameter."""
    total, differs = _total(repeat.items), _differs(repeat)
    if repeat.span[0]:
        return Part(repeat.span[0], total, repeat.times, repeat.span[1], differs)
    rows = [row for card in cards_in(repeat.items) for row in card.rows]
    return Part(next((row.path for row in rows if row.total), ""), total, differs=differs)


def _row_parts(card: Card) -> Iterator[tuple[Part, Sequence[Item]]]:
    for row in card.rows:
        if row.span and ((row.kind == "block" and row.times > 1) or row.kind in ("blocks", "layers")):
            yield Part(row.span[0], row.total, row.times, row.span[1], row.differs), ()
        else:
            yield Part(row.path, row.total, differs=row.differs), ()


def _differs(item: Item) -> bool:
    return any(row.differs for card in cards_in((item,)) for row in card.rows)


def _total(items: Sequence[Item]) -> float:
    return sum(row.total for card in cards_in(tuple(items)) for row in card.rows)
