"""Mark what differs from another model, so that it is never folded with what does not."""

from __future__ import annotations

from typing import Literal

from fxviz._analysis.difference import KINDS, Removed, matters, tally
from fxviz._graph import Node
from fxviz._view.outline import Element, Outline
from fxviz._view.view import Mark


def marks_in(outline: Outline, element: Element) -> list[object]:
    """Return the change of each step of an element, and what was removed at the end of modules inside."""
    if outline.difference is None:
        return []
    inside = [_mark_of(outline, outline.node(name)) for name in element.nodes]
    return [inside, [_facts(lost) for lost in outline.removed_in.get(element.scope, ())]]


def changes_in(outline: Outline, element: Element) -> list[object]:
    """Return the changes that a row for the whole element shows: the number of layers by change."""
    if outline.difference is None:
        return []
    steps = [outline.node(name) for name in element.nodes]
    lost = outline.removed_in.get(element.scope, ())
    found = {
        kind: [node for node in steps if matters(node) and outline.difference.kind(node.id) == kind] for kind in KINDS
    }
    found["removed"] = [node for removed in lost for node in removed.nodes if matters(node)]
    return [tally(found, outline.difference.readers), sum(node.params for node in found["removed"])]


def removed_behind(outline: Outline, element: Element) -> list[object]:
    """Return what was removed between an element and the next one."""
    if outline.difference is None:
        return []
    inside = outline.removed_in.get(element.scope, ())
    lost = (removed for name in element.nodes for removed in _removed_after(outline, outline.node(name)))
    return [_facts(removed) for removed in lost if removed not in inside]


def is_marked(outline: Outline, node: Node) -> bool:
    """Return whether a step has a change that a row must show."""
    return outline.difference is not None and matters(node) and bool(outline.difference.kind(node.id))


def _mark_of(outline: Outline, node: Node) -> object:
    """Return what tells a step from an equal one with another change; None for one that is unchanged."""
    assert outline.difference is not None
    before = outline.difference.before(node.id) if node.id in outline.difference.changed else None
    was = None if before is None else [before.params, sorted(before.settings.items())]
    lost = [_facts(removed) for removed in _removed_after(outline, node)]
    kind = outline.difference.kind(node.id) if matters(node) else ""
    return [kind, was, lost] if kind or lost else None


def _removed_after(outline: Outline, node: Node) -> list[Removed]:
    """Return what stood between a step and the next one of its module."""
    assert outline.difference is not None
    return [lost for lost in outline.difference.removed_after.get(node.id, ()) if lost.before]


def _facts(lost: Removed) -> list[object]:
    return [[node.cls or node.op, node.params] for node in lost.nodes]


def mark_in(outline: Outline, scope: int) -> Mark | Literal[""]:
    """Return the change of a whole module call: "added", "" for none, "mixed" for anything else."""
    if outline.difference is None:
        return ""
    nodes = [outline.node(name) for name in outline.nodes_in(scope)]
    kinds = {outline.difference.kind(node.id) for node in nodes if matters(node)}
    if scope in outline.removed_in or len(kinds) > 1:
        return "mixed"
    return "added" if kinds == {"added"} else "mixed" if kinds - {""} else ""


def plain_modules(outline: Outline) -> frozenset[int]:
    """Return the module calls that are one row each in a difference: the outermost that are unchanged or new.

    Of a mere list of blocks, and of a new module that holds stages or is one, it is the blocks in it.
    """
    lists = {*outline.stages, *outline.around_stages}
    found: set[int] = set()
    waiting = list(outline.children(0))
    while waiting:
        scope = waiting.pop()
        mark = mark_in(outline, scope)
        is_list = outline.scopes[scope].sequential or (mark == "added" and scope in lists)
        if mark in ("", "added") and not (is_list and outline.blocks(scope)):
            found.update([scope] if outline.takes_rows(scope) else [])
        else:
            waiting += outline.children(scope)
    return frozenset(found)
