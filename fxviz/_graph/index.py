"""Who reads what in a graph, and short walks along it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Literal

from fxviz._graph import ArchGraph, Node, Scope, TensorInfo
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
        led, needed = (
            {node.id for node in nodes if node.kind == "input"},
            {node.id for node in nodes if node.kind == "output"},
        )
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
            waiting = [
                node for node in reached if is_view(node) or is_masking(node) or is_scaling(node) or is_passing(node)
            ]
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
