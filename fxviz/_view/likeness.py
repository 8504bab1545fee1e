"""When two steps of a module's forward are equal, so that one of them may stand for both."""

from __future__ import annotations

import json
from collections.abc import Collection

from fxviz._graph import Node
from fxviz._graph.operations import is_passing
from fxviz._view.marks import changes_in, lost_behind, marks_in
from fxviz._view.outline import Element, Outline

Glance = tuple[str, int, tuple[str, ...]]


def glance(outline: Outline, element: Element, collapsed: Collection[int], named: Collection[str]) -> Glance:
    """What tells most elements apart at little cost: what it is, how much is inside, and which ``named`` modules are.

    The element that holds the operation that failed is like no other.
    """
    last = element.nodes[-1]
    inside = tuple(path for path in sorted(named) if _holds(outline, element, path)) if named else ()
    if last == outline.failed:
        return last, -1, inside
    if element.scope in collapsed:
        return outline.scopes[element.scope].cls if element.scope is not None else "", 0, inside
    return outline.node(last).op, len(element.nodes), inside


def _holds(outline: Outline, element: Element, path: str) -> bool:
    own = path_of(outline, element)
    return path == own or (element.scope is not None and path.startswith(f"{own}."))


def path_of(outline: Outline, element: Element) -> str:
    """The path of the module that an element calls, or in whose code the function is."""
    return outline.scopes[element.scope].path if element.scope is not None else outline.node(element.nodes[0]).path


def are_equal(outline: Outline, one: Element, later: Element, collapsed: Collection[int]) -> bool:
    """Whether all that a figure shows of two elements is equal; the later one may read the earlier one's parameters again."""
    is_row = one.scope in collapsed
    return _signature(outline, one, is_row) == _signature(outline, later, is_row) and _count_alike(outline, one, later, is_row)


def _count_alike(outline: Outline, one: Element, later: Element, is_row: bool) -> bool:
    (params, reads), (others, read_again) = _counted(outline, one), _counted(outline, later)
    if (sum(params) == sum(others)) if is_row else (params == others):
        return True
    return not any(others) and reads == read_again


def _counted(outline: Outline, element: Element) -> tuple[tuple[int, ...], tuple[tuple[str, ...], ...]]:
    """The parameters that each node counts, and the names of those that it reads."""
    key = element.scope, element.nodes[0]
    if key not in outline.counted:
        nodes = [outline.node(name) for name in element.nodes]
        outline.counted[key] = tuple(node.params for node in nodes), tuple(node.uses for node in nodes)
    return outline.counted[key]


def _signature(outline: Outline, element: Element, is_row: bool) -> str:
    key = element.scope, element.nodes[0], is_row
    if key not in outline.signatures:
        outline.signatures[key] = _outside(outline, element) if is_row else _inside(outline, element)
    return outline.signatures[key]


def _outside(outline: Outline, element: Element) -> str:
    """What a row for a whole module shows: class, MACs, output."""
    nodes = [outline.node(name) for name in element.nodes]
    shown = [outline.scopes[element.scope].cls if element.scope is not None else nodes[0].op]
    output = nodes[-1].outputs[0].shape if nodes[-1].outputs else ()
    differing = [changes_in(outline, element), lost_behind(outline, element)]
    return json.dumps([shown, sum(node.macs or 0 for node in nodes), output, differing], default=str)


def _inside(outline: Outline, element: Element) -> str:
    """All that happens inside: operations, settings, shapes, MACs, and how they are wired."""
    place = {name: number for number, name in enumerate(element.nodes)}
    base = path_of(outline, element)
    outside: dict[str, int] = {}
    facts = []
    for name in element.nodes:
        arguments = sorted((edge.slot, edge.source) for edge in outline.graph.edges_to[name])
        wiring = [(slot, _source(outline, source, place, outside)) for slot, source in arguments]
        facts.append([*_facts(outline.node(name), base), wiring])
    return json.dumps([facts, marks_in(outline, element)], sort_keys=True, default=str)


def _source(outline: Outline, source: str, place: dict[str, int], outside: dict[str, int]) -> str:
    if source in place:
        return str(place[source])
    node = outline.node(source)
    if node.kind == "parameter":
        return f"{node.op} {[tensor.shape for tensor in node.outputs]}"
    return f"from outside {outside.setdefault(source, len(outside))}"


def _facts(node: Node, base: str) -> list[object]:
    path = node.path[len(base) :] if node.path.startswith(base) else ""
    settings = {} if is_passing(node) else dict(node.settings)
    if node.op == "Constant":
        path = ""
    return [node.kind, node.op, path, settings, [list(tensor.shape) for tensor in node.outputs], node.macs]
