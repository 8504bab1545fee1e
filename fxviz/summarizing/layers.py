"""The layers of a graph, one row each: whatever owns parameters or has multiply-accumulates, in the order of the run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from fxviz.graph import ArchGraph, Node, Parameter
from fxviz.operations import is_activation, is_norm, is_passing, name_of, role_of
from fxviz.summarizing.values import Row

Key = tuple[str, str]
"""What nodes of one row have in common: the row's kind and name."""


def used_layers(graph: ArchGraph, every: bool = False) -> tuple[Row, ...]:
    """The rows of what ran. Each parameter counts in the row of the node that the graph counts it at.

    Args:
        graph: an annotated graph.
        every: also layers without parameters and multiply-accumulates: activations, norms, pooling, dropout.

    A function that computes with the weight of a module which is never called itself is that module's row
    (``F.linear(x, self.qkv.weight)``); any other function with multiply-accumulates has a row of its own.
    """
    owners = Owners(graph)
    groups: dict[Key, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        if (key := owners.key_of(node)) is not None:
            groups[key].append(node)
    counted = _counted(graph)
    rows = (_row(key, nodes, owners.read_by(nodes), counted) for key, nodes in groups.items())
    return tuple(row for row in rows if every or row.parameters or row.shared or row.macs or row.macs_unknown)


def unused_layers(graph: ArchGraph) -> tuple[Row, ...]:
    """The rows of the parameters that this run never reads, in the model's order."""
    owners = Owners(graph)
    groups: dict[Key, list[Parameter]] = defaultdict(list)
    for parameter in graph.untraced:
        path = owners.layer_of(parameter.name)
        free = path is None or path in owners.called
        groups[("parameter", parameter.name) if free or path is None else ("layer", path)].append(parameter)
    return tuple(
        Row(kind, name, _type(kind, parameters), tuple(parameters), weight=_weight(name, parameters), used=False)
        for (kind, name), parameters in groups.items()
    )


@dataclass
class Owners:
    """Which module each parameter and each step belongs to."""

    graph: ArchGraph
    called: set[str] = field(init=False)
    _holders: set[str] = field(init=False)
    _read: dict[str, list[Node]] = field(init=False)
    _by_name: dict[str, Parameter] = field(init=False)

    def __post_init__(self) -> None:
        graph = self.graph
        self.called = {node.path for node in graph.nodes if node.kind == "module"}
        owners = {parameter.name.rpartition(".")[0] for parameter in graph.parameters}
        self._holders = {"", *_above(owners)}
        self._by_name = {parameter.name: parameter for parameter in graph.parameters}
        self._read = defaultdict(list)
        for edge in graph.edges:
            source = graph.by_id[edge.source]
            if source.kind == "parameter":
                self._read[edge.target].append(source)

    def read_by(self, nodes: Iterable[Node]) -> list[Parameter]:
        """What the steps of a row read: their own, and those of a function's arguments that an earlier step read already."""
        shared = (name for node in nodes for argument in self._read[node.id] for name in argument.shared)
        names = dict.fromkeys((*(name for node in nodes for name in node.uses), *shared))
        return [self._by_name[name] for name in names if name in self._by_name]

    def layer_of(self, name: str) -> str | None:
        """The path of the module that owns a parameter; None where other modules in it own some, too."""
        path = name.rpartition(".")[0]
        return None if path in self._holders else path

    def key_of(self, node: Node) -> Key | None:
        """The row of a step; None if it has none."""
        if node.kind == "module":
            return "layer", node.path
        if node.kind == "parameter":
            path = self.layer_of(node.uses[0]) if node.uses else None
            return ("layer", path) if path is not None else ("parameter", node.uses[0]) if node.uses else None
        if node.kind in ("function", "method") and (node.macs != 0 or node.uses or _is_layer(node)):
            return self._function(node)
        return None

    def _function(self, node: Node) -> Key:
        """A function belongs to the module whose weight it reads, if nothing else stands for that module."""
        paths = {self.layer_of(name) for argument in self._read[node.id] for name in argument.uses} - {None} - self.called
        if len(paths) == 1:
            return "layer", str(paths.pop())
        name = name_of(node).rpartition(".")[2]
        return "function", f"{node.path}.{name}" if node.path else name


def _above(paths: Iterable[str]) -> Iterable[str]:
    """Every path that one of ``paths`` lies below."""
    for path in paths:
        while path:
            path = path.rpartition(".")[0]
            yield path


def _is_layer(node: Node) -> bool:
    """Whether a function does what modules without parameters do, too."""
    return is_activation(node) or is_norm(node) or is_passing(node) or role_of(node) == "resample"


def _counted(graph: ArchGraph) -> dict[str, str]:
    """At which node each parameter counts: the first that reads it."""
    counted: dict[str, str] = {}
    for node in graph.nodes:
        for name in node.uses:
            counted.setdefault(name, node.id)
    return counted


def _row(key: Key, nodes: list[Node], read: list[Parameter], counted: dict[str, str]) -> Row:
    kind, name = key
    ids = {node.id for node in nodes}
    runs = [node for node in nodes if node.kind != "parameter"]
    own = tuple(parameter for parameter in read if counted[parameter.name] in ids)
    shared = tuple(parameter for parameter in read if counted[parameter.name] not in ids)
    first = next((node for node in runs if node.outputs), None)
    return Row(
        kind,
        name,
        name_of(runs[0]) if runs and (kind == "function" or runs[0].kind == "module") else _type(kind, read),
        own,
        shared,
        macs=sum(node.macs or 0 for node in nodes),
        macs_unknown=sum(node.macs is None for node in nodes),
        calls=len(runs) or None,
        weight=_weight(name, read),
        output=first.outputs[0].shape if first else None,
    )


def _type(kind: str, parameters: list[Parameter]) -> str | None:
    """The class of the module that owns the parameters, where the graph knows it."""
    return "Parameter" if kind == "parameter" else parameters[0].owner.rpartition(".")[2] or None


def _weight(path: str, parameters: list[Parameter]) -> tuple[int, ...] | None:
    """The shape of what is called "weight", else of the largest."""
    named = next((parameter for parameter in parameters if parameter.name == f"{path}.weight"), None)
    largest = max(parameters, key=lambda parameter: parameter.size, default=None)
    return named.shape if named else largest.shape if largest else None
