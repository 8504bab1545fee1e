"""Who reads what in a graph, and short walks along it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

from fxviz._graph import ArchGraph, Node, TensorInfo
from fxviz._graph.modules import Modules
from fxviz._graph.operations import is_masking, is_passing, is_scaling, is_view

_FAR = 12
"""Steps after which a walk through views and masks ends."""


class Links:
    """A graph's data flow, looked up from both ends.

    >>> from fxviz._graph import Edge, ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> nodes = (Node("x", "input", "x", "x"), Node("relu", "module", "ReLU", "relu"))
    >>> graph = ArchGraph(
    ...     ModelInfo("tiny", "python", "Tiny"), trace, nodes, (Edge("x", "relu", "0"),), (Scope(0, "", "Tiny", 0, None),), ()
    ... )
    >>> [node.id for node in Links(graph).sources["relu"]], [node.id for node in Links(graph).users["x"]]
    (['x'], ['relu'])
    """

    def __init__(self, graph: ArchGraph) -> None:
        self.graph = graph
        self.modules = Modules(graph)
        by_id = graph.by_id
        self.sources = {name: [by_id[source] for source in sources] for name, sources in graph.sources.items()}
        self.users = {name: [by_id[user] for user in users] for name, users in graph.users.items()}
        self.slots = {name: {edge.slot: by_id[edge.source] for edge in edges} for name, edges in graph.edges_to.items()}

    @cached_property
    def position(self) -> dict[str, int]:
        """When each node ran."""
        return {node.id: place for place, node in enumerate(self.graph.nodes)}

    @cached_property
    def necks(self) -> frozenset[str]:
        """The nodes through which all ways from an input to the output lead: no edge passes them by."""
        nodes = self.graph.nodes
        led, needed = {node.id for node in nodes if node.kind == "input"}, {node.id for node in nodes if node.kind == "output"}
        for node in nodes:
            if any(source.id in led for source in self.sources.get(node.id, ())):
                led.add(node.id)
        for node in reversed(nodes):
            if any(user.id in needed for user in self.users.get(node.id, ())):
                needed.add(node.id)
        places = {name: place for name, place in self.position.items() if name in led and name in needed}
        reach, necks = 0, []
        for name, place in places.items():
            if place >= reach:
                necks.append(name)
            reach = max(reach, *(places.get(user.id, 0) for user in self.users.get(name, ())), 0)
        return frozenset(necks)

    def read(self, node: Node) -> TensorInfo | None:
        """The tensor that a node works on: what its first argument returned, where that is one tensor."""
        slots = self.slots.get(node.id, {})
        source = slots.get("0") or slots.get("input") or next(iter(slots.values()), None)
        return source.outputs[0] if source is not None and len(source.outputs) == 1 else None

    def back_to(self, node: Node, wanted: Callable[[Node], bool]) -> Node | None:
        """The nearest node before ``node`` that is wanted, past nothing but views, masks, scaling and dropout."""
        return self._nearest(node, wanted, self.sources)

    def on_to(self, node: Node, wanted: Callable[[Node], bool]) -> Node | None:
        """The nearest node behind ``node`` that is wanted, past nothing but views, masks, scaling and dropout."""
        return self._nearest(node, wanted, self.users)

    def _nearest(self, start: Node, wanted: Callable[[Node], bool], links: dict[str, list[Node]]) -> Node | None:
        waiting, seen = [start], {start.id}
        for _ in range(_FAR):
            reached = [node for passed in waiting for node in links.get(passed.id, ()) if node.id not in seen]
            if found := next(filter(wanted, reached), None):
                return found
            seen.update(node.id for node in reached)
            waiting = [node for node in reached if is_view(node) or is_masking(node) or is_scaling(node) or is_passing(node)]
        return None

    def between(self, fork: str, join: str) -> Iterator[str]:
        """The nodes on all ways from ``fork`` to ``join``, without these two, in no order."""
        behind = self._reachable(fork, self.position[join])
        waiting, seen = [join], {fork, join}
        while waiting:
            for source in self.sources.get(waiting.pop(), ()):
                if source.id not in seen and source.id in behind:
                    seen.add(source.id)
                    waiting.append(source.id)
                    yield source.id

    def _reachable(self, fork: str, until: int) -> set[str]:
        """The nodes that data from ``fork`` reaches before the position ``until``."""
        waiting, seen = [fork], {fork}
        while waiting:
            for user in self.users.get(waiting.pop(), ()):
                if user.id not in seen and self.position[user.id] < until:
                    seen.add(user.id)
                    waiting.append(user.id)
        return seen
