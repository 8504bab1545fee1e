"""The calls of modules that a graph's nodes ran in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property

from fxviz._graph import ArchGraph, Scope


class Modules:
    """A graph's module calls, looked up from the inside out.

    >>> from fxviz._graph import ModelInfo, TraceInfo
    >>> scopes = Scope(0, "", "Net", 0, None), Scope(1, "body", "Body", 0, 0)
    >>> graph = ArchGraph(ModelInfo("net", "python", "Net"), TraceInfo("meta", "fake", {}, "2.4.0", None), (), (), scopes, ())
    >>> [scope.path for scope in Modules(graph).around(1)]
    ['body', '']
    """

    def __init__(self, graph: ArchGraph) -> None:
        self._graph = graph
        self.scopes = {scope.id: scope for scope in graph.scopes}

    def around(self, scope: int | None) -> Iterator[Scope]:
        """A module call and those that it runs in, from the inside out."""
        while scope is not None:
            yield self.scopes[scope]
            scope = self.scopes[scope].parent

    def over(self, scopes: set[int]) -> Scope:
        """The smallest module call that holds all of ``scopes``."""
        first, *others = scopes
        common = [scope.id for scope in self.around(first)]
        for other in others:
            ring = {scope.id for scope in self.around(other)}
            common = [scope for scope in common if scope in ring]
        return self.scopes[common[0]]

    def inside(self, scope: int) -> set[str]:
        """The nodes that ran in a module call, at any depth."""
        return self._nodes[scope]

    @cached_property
    def _nodes(self) -> dict[int, set[str]]:
        nodes: dict[int, set[str]] = defaultdict(set)
        for node in self._graph.nodes:
            for scope in self.around(node.scope):
                nodes[scope.id].add(node.id)
        return nodes
