"""What a difference from another model does to folding: what differs is never folded with what does not."""

from __future__ import annotations

from fxviz.difference import Removed, matters
from fxviz.folding.outline import Element, Outline
from fxviz.graph import Node


def mark_of(outline: Outline, node: Node) -> object:
    """What tells a step from one that is equal, but has become of something else; None for one that is as it was."""
    if outline.difference is None:
        return None
    before = outline.difference.before(node.id) if node.id in outline.difference.resized else None
    was = None if before is None else [before.params, sorted(before.settings.items())]
    lost = [_facts(removed) for removed in outline.difference.removed_after.get(node.id, ()) if removed.before]
    kind = outline.difference.kind(node.id)
    return [kind, was, lost] if kind or lost else None


def marks_in(outline: Outline, element: Element) -> list[object]:
    """The same for all steps of an element, and for what was removed at the end of modules inside."""
    if outline.difference is None:
        return []
    inside = [mark_of(outline, outline.node(name)) for name in element.nodes]
    return [inside, [_facts(lost) for lost in outline.removed_in.get(element.scope, ())]]


def _facts(lost: Removed) -> list[object]:
    return [[node.cls or node.op, node.params] for node in lost.nodes]


def mark_in(outline: Outline, scope: int) -> str:
    """What became of a whole module call: "added", "resized" where its steps were, "mixed", "" for nothing."""
    if outline.difference is None:
        return ""
    nodes = [outline.node(name) for name in outline.nodes_in(scope)]
    kinds = {outline.difference.kind(node.id) for node in nodes if matters(node)}
    if scope in outline.removed_in or ("added" in kinds and len(kinds) > 1):
        return "mixed"
    return "added" if "added" in kinds else "resized" if "resized" in kinds else ""


def plain_modules(outline: Outline) -> frozenset[int]:
    """The module calls that are one row each in a figure of a difference: the outermost that are as they were, or are new.

    Where a module is a mere list of blocks, or a new one holds stages or is one, it is the blocks in it.
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
