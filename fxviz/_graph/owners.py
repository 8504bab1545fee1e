"""Which module a parameter belongs to, as people see it: the layer, or none where the parameter stands for itself."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Literal

from fxviz._graph import ArchGraph, Node
from fxviz._graph.operations import is_view

Owner = tuple[Literal["layer", "parameter"], str]
"""Whose step it is: a module's, by its path, or that of a parameter which stands for itself, by its name."""


class Owners:
    """The modules that own a graph's parameters, and which steps belong to them.

    >>> from fxviz._graph import ModelInfo, Parameter, Scope, TraceInfo
    >>> names = "in_proj", "out_proj.weight"
    >>> graph = ArchGraph(ModelInfo("net", "python", "Net"), TraceInfo("meta", "fake", {}, "2.4.0", None), (), (),
    ...                   (Scope(0, "", "Net", 0, None),), tuple(Parameter(name, (4,), "float32", True) for name in names))
    >>> [Owners(graph).layer_of(name) for name in names]
    [None, 'out_proj']
    """

    def __init__(self, graph: ArchGraph) -> None:
        self._graph = graph
        owners = {_owner(parameter.name) for parameter in graph.parameters}
        self._holders = {"", *(path for owner in owners for path in above(owner))}
        self._sizes = {parameter.name: parameter.size for parameter in graph.parameters}

    def layer_of(self, name: str) -> str | None:
        """The path of the module that owns a parameter; None where other modules in it own some, too."""
        path = _owner(name)
        return None if path in self._holders else path

    @cached_property
    def called(self) -> frozenset[str]:
        """The paths of the modules that are called themselves."""
        return frozenset(node.path for node in self._graph.nodes if node.kind == "module")

    def arguments(self, node: Node) -> Iterator[Node]:
        """The parameters that a step reads as arguments, or views of them."""
        for name in self._graph.sources[node.id]:
            source = self._graph.by_id[name]
            while is_view(source) and (viewed := self._viewed(source)) is not None:
                source = viewed
            if source.kind == "parameter":
                yield source

    def _viewed(self, view: Node) -> Node | None:
        """What a view shows: its first argument, whatever others tell its shape (``weight.expand_as(x)``)."""
        edges = {edge.slot: edge.source for edge in self._graph.edges_to[view.id]}
        name = next((edges[slot] for slot in ("0", "input") if slot in edges), next(iter(edges.values()), None))
        return None if name is None else self._graph.by_id[name]

    def owner_of(self, node: Node) -> Owner | None:
        """Whose step it is; None of a view, and where it reads no parameters or those of several owners.

        A function belongs to the module whose weight it reads, if nothing else stands for that module, or to the largest
        parameter that stands for itself.
        """
        if node.kind == "module":
            return "layer", node.path
        if node.kind == "parameter":
            return self._owner_of_parameter(node.uses[0]) if node.uses else None
        if node.kind not in ("function", "method") or is_view(node):
            return None
        read = [name for argument in self.arguments(node) for name in argument.uses]
        paths = {self.layer_of(name) for name in read} - self.called
        if paths == {None}:
            return "parameter", max(read, key=lambda name: (self.layer_of(name) is None, self._sizes.get(name, 0)))
        layers = paths - {None}
        return ("layer", str(layers.pop())) if len(layers) == 1 else None

    def _owner_of_parameter(self, name: str) -> Owner:
        path = self.layer_of(name)
        return ("parameter", name) if path is None else ("layer", path)


def _owner(name: str) -> str:
    return name.rpartition(".")[0]


def above(path: str) -> Iterator[str]:
    """The paths of the modules around one, the model's own last.

    >>> list(above("layer1.0.conv1"))
    ['layer1.0', 'layer1', '']
    """
    while path:
        path = _owner(path)
        yield path
