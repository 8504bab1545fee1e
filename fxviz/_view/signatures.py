"""Tell which elements of a module's forward look the same in a figure."""

from __future__ import annotations

import json
import re

from fxviz._graph import Node
from fxviz._graph.operations import cuts, is_commutative, is_passing, is_scaling, makes_constant, plain_name
from fxviz._view.marks import changes_in, marks_in, removed_behind
from fxviz._view.outline import Element, Outline

_NUMBER = re.compile(r"\d+")


def path_of(outline: Outline, element: Element) -> str:
    """Return the path of the module that an element calls, or whose code calls the function."""
    return outline.scopes[element.scope].path if element.scope is not None else outline.node(element.nodes[0]).path


def called_path(outline: Outline, element: Element) -> str:
    """Return the path of the module that an element calls, "" for a function."""
    is_call = element.scope is not None or outline.node(element.nodes[0]).kind == "module"
    return path_of(outline, element) if is_call else ""


def holder_of(path: str) -> str:
    """Return the path of what holds a module, without numbers: that of a list, or of the module around it.

    >>> holder_of("stages.0.blocks.3"), holder_of("stem")
    ('stages..blocks', '')
    """
    return _NUMBER.sub("", path.rpartition(".")[0])


def parameters_of(outline: Outline, element: Element) -> tuple[tuple[int, ...], tuple[tuple[str, ...], ...]]:
    """Return the number of parameters that each node counts, and the names of those that it reads."""
    key = element.scope, element.nodes[0]
    if key not in outline.parameters:
        nodes = [outline.node(name) for name in element.nodes]
        outline.parameters[key] = tuple(node.params for node in nodes), tuple(node.uses for node in nodes)
    return outline.parameters[key]


def signature(outline: Outline, element: Element, is_row: bool) -> str:
    """Return what a figure shows of an element but for its parameters, of a module that is one row or opened."""
    key = element.scope, element.nodes[0], is_row
    if key not in outline.signatures:
        outline.signatures[key] = (
            _outside(outline, element)
            if is_row
            else _step(outline, element)
            if element.scope is None
            else _inside(outline, element)
        )
    return outline.signatures[key]


def _outside(outline: Outline, element: Element) -> str:
    """Return what a row for a whole module shows: class, MACs, output."""
    nodes = [outline.node(name) for name in element.nodes]
    shown = [outline.scopes[element.scope].cls if element.scope is not None else nodes[0].op]
    output = nodes[-1].outputs[0].shape if nodes[-1].outputs else ()
    differing = [changes_in(outline, element), removed_behind(outline, element)]
    return json.dumps([shown, sum(node.macs or 0 for node in nodes), output, differing], default=str)


def _step(outline: Outline, element: Element) -> str:
    """Return what a single node does: its operation, settings, shapes, MACs, and the parameters that it reads."""
    node = outline.node(element.nodes[0])
    edges = outline.graph.index.edges_to[node.id]
    slots = [(edge.slot, outline.constants[edge.source]) for edge in edges if outline.constants[edge.source]]
    reads = sorted(read for _, read in slots) if is_commutative(node) else sorted(slots)
    return repr([*_facts(node, node.path), reads, marks_in(outline, element)])


def _inside(outline: Outline, element: Element) -> str:
    """Return all that happens inside: operations, settings, shapes, MACs, and how they are wired."""
    place = {name: number for number, name in enumerate(element.nodes)}
    base = path_of(outline, element)
    outside: dict[str, int] = {}
    facts = []
    for name in element.nodes:
        arguments = sorted((edge.slot, edge.source) for edge in outline.graph.index.edges_to[name])
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
    if node.op == "Constant":
        path = ""
    shapes = [list(tensor.shape) for tensor in node.outputs]
    return [node.kind, node.op, path, _settings(node), shapes, node.macs]


def _settings(node: Node) -> list[tuple[str, object]]:
    """Return the settings that a figure shows or implies: not which slice is cut, nor the number that is added."""
    is_number = cuts(node) or makes_constant(node.op) or is_scaling(node) or plain_name(node.op) == "add"
    if is_passing(node) or (node.kind != "module" and is_number):
        return []
    return sorted(node.settings.items())
