"""Look up the nodes, module calls and parameters of a graph, and find the dominators of a flow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from fxviz._graph.operations import is_view, plain_name
from fxviz._graph.settings import settings_of_call, weight_slots
from fxviz._graph.values import Edge, Node, Parameter, Scope, TensorInfo

if TYPE_CHECKING:
    from fxviz._graph.archgraph import ArchGraph

Owner = tuple[Literal["layer", "parameter"], str]
"""The owner of a step: a module, by its path, or a parameter that counts as a layer of its own, by its name."""


class Index:
    """The lookups of one graph, reached as ``graph.index``. Each is built when it is first used, and then kept.

    >>> from fxviz._graph import ArchGraph, ModelInfo, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> nodes = Node("x", "input", "x", "x"), Node("relu", "module", "ReLU", "body.relu", scope=1)
    >>> scopes = Scope(0, "", "Net", 0, None), Scope(1, "body", "Body", 0, 0)
    >>> net = ArchGraph(ModelInfo("net", "python", "Net"), trace, nodes, (Edge("x", "relu", "0"),), scopes, ())
    >>> net.index.sources["relu"], net.index.users["x"], net.index.inside[0], net.index.inside[1]
    (('x',), ('relu',), ('x', 'relu'), ('relu',))
    >>> [scope.path for scope in net.index.around(1)]
    ['body', '']
    """

    def __init__(self, graph: ArchGraph) -> None:
        self.graph = graph

    # ---------------------------------------------------------------- nodes

    @cached_property
    def by_id(self) -> dict[str, Node]:
        """Return the nodes by id."""
        return {node.id: node for node in self.graph.nodes}

    @cached_property
    def position(self) -> dict[str, int]:
        """Return the place of each node in the order of the run. Every node follows those that it reads."""
        return {node.id: place for place, node in enumerate(self.graph.nodes)}

    @cached_property
    def edges_to(self) -> dict[str, tuple[Edge, ...]]:
        """Return the edges that lead to each node, in the order in which their sources ran."""
        found: dict[str, list[Edge]] = {node.id: [] for node in self.graph.nodes}
        for edge in self.graph.edges:
            found[edge.target].append(edge)
        return {name: tuple(edges) for name, edges in found.items()}

    @cached_property
    def sources(self) -> dict[str, tuple[str, ...]]:
        """Return the nodes that each node reads, each once, in the order of the run."""
        return {name: tuple(dict.fromkeys(edge.source for edge in edges)) for name, edges in self.edges_to.items()}

    @cached_property
    def users(self) -> dict[str, tuple[str, ...]]:
        """Return the nodes that read each node, each once, in the order of the run."""
        found: dict[str, list[str]] = {node.id: [] for node in self.graph.nodes}
        for name, sources in self.sources.items():
            for source in sources:
                found[source].append(name)
        return {name: tuple(users) for name, users in found.items()}

    def arguments(self, node: Node) -> dict[str, Node]:
        """Return the nodes that a node reads, by slot."""
        return {edge.slot: self.by_id[edge.source] for edge in self.edges_to[node.id]}

    def main_argument(self, node: Node) -> Node | None:
        """Return the node that a node works on: its first argument, not one that only gives a size (``expand_as``)."""
        arguments = self.arguments(node)
        return arguments.get("0") or arguments.get("input") or next(iter(arguments.values()), None)

    def tensor_read(self, node: Node) -> TensorInfo | None:
        """Return the tensor that a node works on; None if its main argument is not a single tensor."""
        source = self.main_argument(node)
        return source.outputs[0] if source is not None and len(source.outputs) == 1 else None

    @cached_property
    def varying(self) -> frozenset[str]:
        """Return the nodes that data from an input reaches; the others compute with the model's own tensors."""
        found: set[str] = set()
        for node in self.graph.nodes:
            if node.kind == "input" or not found.isdisjoint(self.sources[node.id]):
                found.add(node.id)
        return frozenset(found)

    @cached_property
    def unread(self) -> frozenset[str]:
        """Return the functions without weights and products of which neither the output nor a layer is made."""
        if self.graph.trace.failure is not None or not any(node.kind == "output" for node in self.graph.nodes):
            return frozenset()
        used: set[str] = set()
        for node in reversed(self.graph.nodes):
            if node.kind in ("output", "module") or node.uses or node.macs != 0:
                used.add(node.id)
            if node.id in used:
                used.update(self.sources[node.id])
        return frozenset(self.position).difference(used)

    def described(self, node: Node) -> Node:
        """Return a node with the settings of the layer that it computes, also if it is the call of a function."""
        if node.kind not in ("function", "method") or not (slots := weight_slots(plain_name(node.op))):
            return node
        name, arguments = plain_name(node.op), self.arguments(node)
        for slot in slots:
            weight = arguments.get(slot)
            if weight is not None and weight.outputs and self._may_be_weight(name, weight):
                return replace(node, settings=settings_of_call(name, node.settings, slot, weight.outputs[0].shape))
        return node

    def _may_be_weight(self, name: str, argument: Node) -> bool:
        """Return whether an argument is a weight: of a product, only a tensor of the model's own is one."""
        is_product = name in ("matmul", "mm", "addmm")
        return argument.outputs[0].is_floating and not (is_product and argument.id in self.varying)

    def between(self, fork: str, join: str) -> Iterator[str]:
        """Yield the nodes on all paths from ``fork`` to ``join``, without these two, in no particular order."""
        behind = self._reachable(fork, self.position[join])
        waiting, seen = [join], {fork, join}
        while waiting:
            for source in self.sources[waiting.pop()]:
                if source not in seen and source in behind:
                    seen.add(source)
                    waiting.append(source)
                    yield source

    def _reachable(self, fork: str, until: int) -> set[str]:
        """Return the nodes that data from ``fork`` reaches before the position ``until``."""
        waiting, seen = [fork], {fork}
        while waiting:
            for user in self.users[waiting.pop()]:
                if user not in seen and self.position[user] < until:
                    seen.add(user)
                    waiting.append(user)
        return seen

    # ---------------------------------------------------------------- module calls

    @cached_property
    def scopes(self) -> dict[int, Scope]:
        """Return the module calls by id."""
        return {scope.id: scope for scope in self.graph.scopes}

    @cached_property
    def steps(self) -> dict[int, tuple[Node | Scope, ...]]:
        """Return the steps of each module call in order: its own nodes, and the calls in which other nodes ran."""
        steps: dict[int, list[Node | Scope]] = {scope: [] for scope in self.scopes}
        started: set[int] = set()
        for node in self.graph.nodes:
            step: Node | Scope = node
            for scope in self.around(node.scope):
                steps[scope.id].append(step)
                if scope.id in started:
                    break
                started.add(scope.id)
                step = scope
        return {scope: tuple(found) for scope, found in steps.items()}

    @cached_property
    def inside(self) -> dict[int, tuple[str, ...]]:
        """Return the nodes that ran in each module call, at any depth, in the order of the run."""
        inside: dict[int, list[str]] = {scope: [] for scope in self.scopes}
        for node in self.graph.nodes:
            for scope in self.around(node.scope):
                inside[scope.id].append(node.id)
        return {scope: tuple(names) for scope, names in inside.items()}

    def around(self, scope: int | None) -> Iterator[Scope]:
        """Yield a module call and those that it runs in, innermost first."""
        while scope is not None:
            yield self.scopes[scope]
            scope = self.scopes[scope].parent

    def around_all(self, scopes: Collection[int]) -> Scope:
        """Return the smallest module call that holds all of these."""
        first, *others = scopes
        common = list(self.around(first))
        for other in others:
            ring = {scope.id for scope in self.around(other)}
            common = [scope for scope in common if scope.id in ring]
        return common[0]

    # ---------------------------------------------------------------- parameters

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """Return the parameters by name."""
        return {parameter.name: parameter for parameter in self.graph.parameters}

    @cached_property
    def called(self) -> frozenset[str]:
        """Return the paths of the modules that are steps themselves."""
        return frozenset(node.path for node in self.graph.nodes if node.kind == "module")

    @cached_property
    def _holders(self) -> frozenset[str]:
        """Return the paths of the modules that hold modules with parameters."""
        owners = {_module_of(parameter.name) for parameter in self.graph.parameters}
        return frozenset({"", *(path for owner in owners for path in above(owner))})

    def layer_of(self, parameter: str) -> str | None:
        """Return the path of the module that owns a parameter; None if modules inside it own some, too.

        >>> from fxviz._graph import ArchGraph, ModelInfo, TraceInfo
        >>> parameters = tuple(Parameter(name, (4,), "float32", True) for name in ("in_proj", "out_proj.weight"))
        >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
        >>> model, scopes = ModelInfo("net", "python", "Net"), (Scope(0, "", "Net", 0, None),)
        >>> net = ArchGraph(model, trace, (), (), scopes, parameters)
        >>> [net.index.layer_of(parameter.name) for parameter in parameters]
        [None, 'out_proj']
        """
        path = _module_of(parameter)
        return None if path in self._holders else path

    def parameters_read(self, node: Node) -> Iterator[Node]:
        """Yield the parameters that the arguments of a step are, or are views of, or are computed from alone."""
        for edge in self.edges_to[node.id]:
            yield from self._parameters_in[edge.source]

    @cached_property
    def _parameters_in(self) -> dict[str, tuple[Node, ...]]:
        """Return the parameters that each node is, is a view of, or is computed from without data from an input.

        Products are layers of their own: what they return is no longer the parameter.
        """
        found: dict[str, tuple[Node, ...]] = {}
        for node in self.graph.nodes:
            viewed = self.main_argument(node) if is_view(node) else None
            sources = (viewed.id,) if viewed is not None else self.sources[node.id]
            is_constant = node.kind in ("function", "method") and node.macs == 0 and node.id not in self.varying
            if node.kind == "parameter":
                found[node.id] = (node,)
            elif viewed is not None or is_constant:
                found[node.id] = tuple({each.id: each for name in sources for each in found[name]}.values())
            else:
                found[node.id] = ()
        return found

    def owner_of(self, node: Node) -> Owner | None:
        """Return the owner of a step; None for a view, and if it reads no parameters or those of several owners.

        A function belongs to the module whose weight it reads, if that module is never called itself, or to the largest
        parameter that counts as a layer of its own.
        """
        if node.kind == "module":
            return "layer", node.path
        if node.kind == "parameter":
            return self._owner_of_parameter(node.uses[0]) if node.uses else None
        if node.kind not in ("function", "method") or is_view(node):
            return None
        read = [name for parameter in self.parameters_read(node) for name in parameter.uses]
        paths = {self.layer_of(name) for name in read} - self.called
        if paths == {None}:
            return "parameter", max(read, key=lambda name: (self.layer_of(name) is None, self._size(name)))
        layers = paths - {None}
        return ("layer", str(layers.pop())) if len(layers) == 1 else None

    def _owner_of_parameter(self, name: str) -> Owner:
        path = self.layer_of(name)
        return ("parameter", name) if path is None else ("layer", path)

    def _size(self, name: str) -> int:
        return self.parameters[name].size if name in self.parameters else 0


def _module_of(parameter: str) -> str:
    return parameter.rpartition(".")[0]


def above(path: str) -> Iterator[str]:
    """Yield the paths of the modules around one, the model's own last.

    >>> list(above("layer1.0.conv1"))
    ['layer1.0', 'layer1', '']
    """
    while path:
        path = path.rpartition(".")[0]
        yield path


def immediate_dominators(successors: Mapping[int, Collection[int]], root: int) -> dict[int, int]:
    """Return the immediate dominator of each node that can be reached from the root, which itself has none.

    Args:
        successors: for each node those that its edges lead to; nodes without edges may be left out.
        root: the node at which all paths start.

    Returns:
        For each node the last one that lies on every path from the root to it.

    Implements Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001).

    >>> sorted(immediate_dominators({0: [1, 2], 1: [3], 2: [3], 3: [4]}, 0).items())
    [(1, 0), (2, 0), (3, 0), (4, 3)]
    """
    order = _reverse_postorder(successors, root)
    rank = {node: place for place, node in enumerate(order)}
    predecessors: dict[int, list[int]] = defaultdict(list)
    for node in order:
        for successor in successors.get(node, ()):
            predecessors[successor].append(node)
    dominators = {root: root}
    changed = True
    while changed:
        changed = False
        for node in order[1:]:
            first, *others = (source for source in predecessors[node] if source in dominators)
            passed: set[int] = set()  # nodes from which the way up is known to lead to "first"
            for other in others:
                while first != other and other not in passed:
                    if rank[first] > rank[other]:
                        passed.add(first)
                        first = dominators[first]
                    else:
                        passed.add(other)
                        other = dominators[other]
            changed |= dominators.get(node) != first
            dominators[node] = first
    del dominators[root]
    return dominators


def _reverse_postorder(successors: Mapping[int, Collection[int]], root: int) -> list[int]:
    order, seen, path = [], {root}, [(root, iter(successors.get(root, ())))]
    while path:
        node, following = path[-1]
        successor = next((each for each in following if each not in seen), None)
        if successor is None:
            order.append(node)
            path.pop()
        else:
            seen.add(successor)
            path.append((successor, iter(successors.get(successor, ()))))
    return order[::-1]
