"""A traced model as one value."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxviz._graph.errors import BadGraphFile, printable, shown, spelled
from fxviz._graph.files import check_target, read_whole, write_whole
from fxviz._graph.index import Index
from fxviz._graph.saved import graph_attributes, node_attributes, parse, read
from fxviz._graph.units import quantity
from fxviz._graph.values import (
    NODE_KINDS,
    SKIP_KINDS,
    Edge,
    ModelInfo,
    Node,
    Parameter,
    Scope,
    Skip,
    SkipKind,
    TraceInfo,
)

if TYPE_CHECKING:
    import networkx as nx

_MAX_BYTES = 200_000_000
"""Maximum size of a saved graph; one of 10,000 steps has about 10 MB."""

_MAX_PATH = 300
"""Maximum length of a path in a message."""


@dataclass(frozen=True, repr=False)
class ArchGraph:
    """A traced model: its nodes in the order they ran, the data flow between them, and the facts found about them.

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
    >>> graph
    <ArchGraph tiny: 2 nodes, 27 parameters, 0 skips>
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
    """Scalars in the model's buffers (running statistics, fixed tables), which are not parameters."""

    def __post_init__(self) -> None:
        position = self.index.position
        _check(self, position)
        edges = sorted(self.edges, key=lambda edge: (position[edge.source], position[edge.target], edge.slot))
        object.__setattr__(self, "edges", tuple(edges))

    def __repr__(self) -> str:
        numbers = {"node": len(self.nodes), "parameter": self.total_params, "skip": len(self.skips)}
        counts = ", ".join(quantity(number, noun) for noun, number in numbers.items())
        return f"<ArchGraph {shown(printable(self.model.name))}: {counts}>"

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields, without cached values, which can be computed again."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def index(self) -> Index:
        """Return the lookups of this graph."""
        return Index(self)

    @property
    def by_id(self) -> dict[str, Node]:
        """Return the nodes by id."""
        return self.index.by_id

    @cached_property
    def total_params(self) -> int:
        """Count the scalars in all parameters, each tensor once: ``sum(p.numel() for p in model.parameters())``."""
        return sum(parameter.size for parameter in self.parameters)

    @cached_property
    def traced_params(self) -> int:
        """Count the scalars in the parameters that this trace reads."""
        return sum(node.params for node in self.nodes)

    @property
    def active_params(self) -> int | None:
        """Count the scalars in the parameters that one token uses, where a router chooses experts; else None."""
        return self.traced_params - self.trace.idle if self.trace.idle else None

    @cached_property
    def untraced(self) -> tuple[Parameter, ...]:
        """Return the parameters that this trace never reads, in the model's order."""
        read = {name for node in self.nodes for name in node.uses}
        return tuple(parameter for parameter in self.parameters if parameter.name not in read)

    @cached_property
    def trainable_params(self) -> int:
        """Count the scalars in the parameters with ``requires_grad``."""
        return sum(parameter.size for parameter in self.parameters if parameter.trainable)

    @cached_property
    def total_macs(self) -> int:
        """Count the multiply-accumulate operations of all nodes whose MACs are known."""
        return sum(node.least_macs for node in self.nodes)

    @cached_property
    def unknown_macs(self) -> int:
        """Count the operations whose MACs are unknown: those without a formula, and the one that failed."""
        return sum(node.macs is None for node in self.nodes)

    @cached_property
    def total_time(self) -> float | None:
        """Return the seconds of all nodes together; None if nothing was measured."""
        times = [node.time for node in self.nodes if node.time is not None]
        return sum(times) if times else None

    @cached_property
    def skip_counts(self) -> dict[SkipKind, int]:
        """Count the skip connections of each kind; kinds without any count 0."""
        counts = dict.fromkeys(SKIP_KINDS, 0)
        for skip in self.skips:
            counts[skip.kind] += 1
        return counts

    def with_nodes(self, nodes: tuple[Node, ...]) -> ArchGraph:
        """Return the same graph with other facts on its nodes."""
        return replace(self, nodes=nodes)

    def to_networkx(self) -> nx.MultiDiGraph:
        """Return a networkx graph with plain values (layout: ``docs/graph-format.md``)."""
        import networkx as nx

        graph: nx.MultiDiGraph = nx.MultiDiGraph(**graph_attributes(self))
        for node in self.nodes:
            graph.add_node(node.id, **node_attributes(node))
        for edge in self.edges:
            graph.add_edge(edge.source, edge.target, slot=edge.slot)
        return graph

    @classmethod
    def from_networkx(cls, graph: nx.MultiDiGraph) -> ArchGraph:
        """Return the graph of which :meth:`to_networkx` made this networkx graph.

        Raises:
            BadGraphFile: the networkx graph lacks an attribute, or has one of the wrong type.
        """
        import networkx as nx

        try:
            return cls(**read(nx.node_link_data(graph, edges="edges")))
        except (ValueError, RecursionError) as error:
            raise BadGraphFile(f"invalid graph: {error}") from error

    def save(self, path: str | Path) -> Path:
        """Write the graph as JSON, atomically. Equal graphs are written as equal bytes.

        Raises:
            BadOutput: the suffix is not ``.json``, or the file cannot be written.
        """
        return write_whole(check_target(path, (".json",)), self.to_json())

    def to_json(self) -> str:
        """Return node-link JSON, which ``networkx.node_link_graph(json.loads(text), edges="edges")`` can read."""
        keys: Counter[tuple[str, str]] = Counter()
        edges = []
        for edge in self.edges:
            ends = edge.source, edge.target
            edges.append({"slot": edge.slot, "source": edge.source, "target": edge.target, "key": keys[ends]})
            keys[ends] += 1
        data = {
            "directed": True,
            "multigraph": True,
            "graph": graph_attributes(self),
            "nodes": [{**node_attributes(node), "id": node.id} for node in self.nodes],
            "edges": edges,
        }
        text = json.dumps(data, ensure_ascii=False, indent=1) + "\n"
        return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", text)  # a lone surrogate has no UTF-8

    @classmethod
    def from_json(cls, text: str) -> ArchGraph:
        """Return the graph that :meth:`to_json` wrote, without importing torch.

        Raises:
            BadGraphFile: the text is truncated, or no graph of this schema.
        """
        try:
            return cls(**parse(text))
        except (ValueError, RecursionError) as error:
            raise BadGraphFile(f"invalid graph: {error}") from error

    @classmethod
    def load(cls, path: str | Path) -> ArchGraph:
        """Read a graph written by :meth:`save`, without importing torch.

        Raises:
            BadGraphFile: the file is missing or truncated, or holds no graph of this schema.
        """
        try:
            return cls(**parse(read_whole(path, _MAX_BYTES)))
        except OSError as error:
            raise BadGraphFile(f"cannot read '{shown(str(path), _MAX_PATH)}': {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            create = spelled("fxviz.trace(MODEL).save(FILE.json)", "'fxviz trace MODEL -o FILE.json'")
            name = shown(str(path), _MAX_PATH)
            raise BadGraphFile(f"cannot read '{name}': {error}; graphs are written by {create}") from error


def _check(graph: ArchGraph, position: Mapping[str, int]) -> None:
    """Check that all references inside a graph resolve, and that edges and skips lead forward.

    Raises:
        ValueError: a reference names something missing, or a node precedes what it reads.
    """
    _check_scopes(graph.scopes)
    _check_nodes(graph)
    if graph.trace.failure is not None and graph.trace.failure.node not in position:
        raise ValueError(f"the failure names node '{shown(graph.trace.failure.node)}', which does not exist")
    for edge in graph.edges:
        name = f"the edge from '{shown(edge.source)}' to '{shown(edge.target)}'"
        _check_forward(name, edge.source, edge.target, position)
    for skip in graph.skips:
        name = f"the skip from '{shown(skip.fork)}' to '{shown(skip.join)}'"
        if skip.kind not in SKIP_KINDS:
            raise ValueError(f"{name} has the unknown kind '{shown(skip.kind)}'")
        _check_forward(name, skip.fork, skip.join, position)
        if lost := [passed for passed in skip.through if passed not in position]:
            raise ValueError(f"{name} passes node '{shown(lost[0])}', which does not exist")


def _check_scopes(scopes: tuple[Scope, ...]) -> None:
    """Check that scopes are a tree: the first is 0, the model itself, and each other one follows its parent."""
    known: set[int] = set()
    for scope in scopes:
        if scope.id in known:
            raise ValueError(f"duplicate scope {scope.id}")
        if (scope.parent is None) != (scope.id == 0) or (scope.parent is not None and scope.parent not in known):
            expected = "an earlier scope" if scope.id else "null, as scope 0 is the model itself"
            raise ValueError(f"invalid parent {scope.parent} of scope {scope.id}: must be {expected}")
        known.add(scope.id)
    if not known:
        raise ValueError("scope 0, the model itself, is missing")


def _check_nodes(graph: ArchGraph) -> None:
    scopes, known = {scope.id for scope in graph.scopes}, set()
    for node in graph.nodes:
        if node.id in known:
            raise ValueError(f"duplicate node '{shown(node.id)}'")
        if node.kind not in NODE_KINDS:
            raise ValueError(f"node '{shown(node.id)}' has the unknown kind '{shown(node.kind)}'")
        if node.scope not in scopes:
            raise ValueError(f"node '{shown(node.id)}' ran in scope {node.scope}, which does not exist")
        known.add(node.id)


def _check_forward(name: str, first: str, last: str, position: Mapping[str, int]) -> None:
    for end in (first, last):
        if end not in position:
            raise ValueError(f"{name} names node '{shown(end)}', which does not exist")
    if position[first] >= position[last]:
        raise ValueError(f"{name} leads backward: nodes must be in the order in which they ran")
