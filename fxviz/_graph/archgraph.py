"""A traced model as one value."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fxviz._errors import BadGraphFile
from fxviz._graph.files import check_target, write_whole
from fxviz._graph.saved import graph_attributes, node_attributes, parse, read
from fxviz._graph.values import NODE_KINDS, SKIP_KINDS, Edge, ModelInfo, Node, Parameter, Scope, Skip, TraceInfo

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True)
class ArchGraph:
    """A traced model: nodes in the order they ran, the data flow between them, and what was found out about them.

    >>> from fxviz._graph import TensorInfo
    >>> conv = Node("conv", "module", "Conv2d", "conv", uses=("conv.weight",), params=27, macs=1350)
    >>> graph = ArchGraph(
    ...     ModelInfo("tiny", "python", "Tiny"),
    ...     TraceInfo("meta", "fake", {"x": TensorInfo((1, 3, 5, 5), "float32")}, "2.4.0", None),
    ...     nodes=(Node("x", "input", "x", "x"), conv),
    ...     edges=(Edge("x", "conv", "0"),),
    ...     scopes=(Scope(0, "", "Tiny", 0, None),),
    ...     parameters=(Parameter("conv.weight", (1, 3, 3, 3), "float32", True),),
    ... )
    >>> graph.total_params, graph.traced_params, graph.total_macs
    (27, 27, 1350)
    >>> ArchGraph.from_networkx(graph.to_networkx()) == graph
    True
    """

    model: ModelInfo
    trace: TraceInfo
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    scopes: tuple[Scope, ...]
    parameters: tuple[Parameter, ...]
    skips: tuple[Skip, ...] = ()
    total_buffers: int = 0
    """Scalars in the model's buffers (running statistics, fixed tables), which are no parameters."""

    def __post_init__(self) -> None:
        position = {node.id: place for place, node in enumerate(self.nodes)}
        check(self, position)
        edges = sorted(self.edges, key=lambda edge: (position[edge.source], position[edge.target], edge.slot))
        object.__setattr__(self, "edges", tuple(edges))

    @cached_property
    def total_params(self) -> int:
        """Scalars in all parameters of the model, each tensor once: ``sum(p.numel() for p in model.parameters())``."""
        return sum(parameter.size for parameter in self.parameters)

    @cached_property
    def traced_params(self) -> int:
        """Scalars in the parameters that this trace reads."""
        return sum(node.params for node in self.nodes)

    @cached_property
    def untraced(self) -> tuple[Parameter, ...]:
        """The parameters that this trace never reads, in the model's order."""
        read = {name for node in self.nodes for name in node.uses}
        return tuple(parameter for parameter in self.parameters if parameter.name not in read)

    @cached_property
    def trainable_params(self) -> int:
        """Scalars in the parameters with ``requires_grad``."""
        return sum(parameter.size for parameter in self.parameters if parameter.trainable)

    @cached_property
    def total_macs(self) -> int:
        """Multiply-accumulate operations of all nodes whose count is known."""
        return sum(node.macs or 0 for node in self.nodes)

    @cached_property
    def unknown_macs(self) -> int:
        """Operations whose count is not known: those without a formula, and the one at which the run stopped."""
        return sum(node.macs is None for node in self.nodes)

    @cached_property
    def total_time(self) -> float | None:
        """Seconds of all nodes together; None if nothing was measured."""
        times = [node.time for node in self.nodes if node.time is not None]
        return sum(times) if times else None

    @cached_property
    def skip_counts(self) -> dict[str, int]:
        """Skip connections by kind, every kind named."""
        counts = dict.fromkeys(SKIP_KINDS, 0)
        for skip in self.skips:
            counts[skip.kind] += 1
        return counts

    @cached_property
    def by_id(self) -> dict[str, Node]:
        return {node.id: node for node in self.nodes}

    @cached_property
    def edges_to(self) -> dict[str, tuple[Edge, ...]]:
        """The edges that lead to each node, in the order in which their sources ran."""
        found: dict[str, list[Edge]] = {node.id: [] for node in self.nodes}
        for edge in self.edges:
            found[edge.target].append(edge)
        return {name: tuple(edges) for name, edges in found.items()}

    @cached_property
    def sources(self) -> dict[str, tuple[str, ...]]:
        """What each node reads, in the order in which it ran; twice what is two arguments."""
        return {name: tuple(edge.source for edge in edges) for name, edges in self.edges_to.items()}

    @cached_property
    def users(self) -> dict[str, tuple[str, ...]]:
        """What reads each node, in the order in which it ran; twice what has it as two arguments."""
        found: dict[str, list[str]] = {node.id: [] for node in self.nodes}
        for edge in self.edges:
            found[edge.source].append(edge.target)
        return {name: tuple(users) for name, users in found.items()}

    def with_nodes(self, nodes: tuple[Node, ...]) -> ArchGraph:
        """The same graph with other facts on its nodes."""
        return replace(self, nodes=nodes)

    def flow(self) -> nx.DiGraph:
        """The bare data flow, for graph algorithms: node ids in the order they ran, one edge for each pair that is joined."""
        import networkx as nx

        flow: nx.DiGraph = nx.DiGraph()
        flow.add_nodes_from(node.id for node in self.nodes)
        flow.add_edges_from((edge.source, edge.target) for edge in self.edges)
        return flow

    def to_networkx(self) -> nx.MultiDiGraph:
        """The annotated graph with plain values on nodes, edges and the graph itself (layout: ``docs/graph-format.md``)."""
        import networkx as nx

        graph: nx.MultiDiGraph = nx.MultiDiGraph(**graph_attributes(self))
        for node in self.nodes:
            graph.add_node(node.id, **node_attributes(node))
        for edge in self.edges:
            graph.add_edge(edge.source, edge.target, slot=edge.slot)
        return graph

    @classmethod
    def from_networkx(cls, graph: nx.MultiDiGraph) -> ArchGraph:
        """The inverse of :meth:`to_networkx`.

        Raises:
            BadGraphFile: the graph lacks what an annotated graph has.
        """
        import networkx as nx

        try:
            return cls(**read(nx.node_link_data(graph, edges="edges")))
        except (ValueError, RecursionError) as error:
            raise BadGraphFile(f"the graph is damaged: {error}") from error

    def save(self, path: str | Path) -> Path:
        """Write the graph as JSON, whole or not at all. The same graph gives the same bytes.

        Raises:
            BadOutput: the suffix is not ``.json``, or the file cannot be written.
        """
        return write_whole(check_target(path, (".json",)), self.to_json())

    def to_json(self) -> str:
        """Node-link JSON: ``networkx.node_link_graph(json.loads(text), edges="edges")`` gives the graph back."""
        import networkx as nx

        data = nx.node_link_data(self.to_networkx(), edges="edges")
        text = json.dumps(data, ensure_ascii=False, indent=1) + "\n"
        return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", text)  # half a character has no UTF-8

    @classmethod
    def from_json(cls, text: str) -> ArchGraph:
        """The inverse of :meth:`to_json`, without importing torch.

        Raises:
            BadGraphFile: the text is not whole, or not a graph of this schema.
        """
        try:
            return cls(**parse(text))
        except (ValueError, RecursionError) as error:
            raise BadGraphFile(f"the graph is damaged: {error}") from error

    @classmethod
    def load(cls, path: str | Path) -> ArchGraph:
        """Read a graph written by :meth:`save`, without importing torch.

        Raises:
            BadGraphFile: the file is missing, cut short, or not a graph of this schema.
        """
        try:
            return cls(**parse(Path(path).read_bytes()))
        except OSError as error:
            raise BadGraphFile(f"cannot read '{path}': {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise BadGraphFile(f"cannot read '{path}': {error}; write it with 'fxviz trace MODEL -o {path}'") from error


def check(graph: ArchGraph, position: Mapping[str, int]) -> None:
    """References inside the graph lead somewhere, and what follows stands behind what it follows.

    Raises:
        ValueError: one does not.
    """
    _check_scopes(graph.scopes)
    _check_nodes(graph)
    if graph.trace.failure is not None and graph.trace.failure.node not in position:
        raise ValueError(f"the failure names '{graph.trace.failure.node}', which is not there")
    for edge in graph.edges:
        _check_forward(f"the edge from '{edge.source}' to '{edge.target}'", edge.source, edge.target, position)
    for skip in graph.skips:
        said = f"the skip from '{skip.fork}' to '{skip.join}'"
        if skip.kind not in SKIP_KINDS:
            raise ValueError(f"{said} has the unknown kind '{skip.kind}'")
        _check_forward(said, skip.fork, skip.join, position)
        if lost := [name for name in skip.through if name not in position]:
            raise ValueError(f"{said} leads through '{lost[0]}', which is not there")


def _check_scopes(scopes: tuple[Scope, ...]) -> None:
    """They are a tree: the first is 0, the model itself; every other has its parent before it."""
    known: set[int] = set()
    for scope in scopes:
        if scope.id in known:
            raise ValueError(f"scope {scope.id} is there twice")
        if (scope.parent is None) != (scope.id == 0) or (scope.parent is not None and scope.parent not in known):
            expected = "a scope before it" if scope.id else "none: it is the model itself"
            raise ValueError(f"scope {scope.id} has the parent {scope.parent}, and must have {expected}")
        known.add(scope.id)
    if not known:
        raise ValueError("there is no scope 0, the model itself")


def _check_nodes(graph: ArchGraph) -> None:
    scopes, known = {scope.id for scope in graph.scopes}, set()
    for node in graph.nodes:
        if node.id in known:
            raise ValueError(f"node '{node.id}' is there twice")
        if node.kind not in NODE_KINDS:
            raise ValueError(f"node '{node.id}' has the unknown kind '{node.kind}'")
        if node.scope not in scopes:
            raise ValueError(f"node '{node.id}' ran in scope {node.scope}, which is not there")
        known.add(node.id)


def _check_forward(said: str, first: str, last: str, position: Mapping[str, int]) -> None:
    for name in (first, last):
        if name not in position:
            raise ValueError(f"{said} names '{name}', which is not there")
    if position[first] >= position[last]:
        raise ValueError(f"{said} leads back: nodes stand in the order they ran")
