"""The flow of activations through a graph, and the questions that skip connections ask about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from fxviz._graph import Edge, Node
from fxviz._graph.operations import Role, makes_constant, plain_name, role_of

_LONGEST_WAY = 24
_LARGEST_REGION = 40


class Way(NamedTuple):
    """A way back from a join: where it begins, and the nodes it passes from there, in the order they ran."""

    start: str
    through: tuple[str, ...]
    roles: tuple[Role, ...]


@dataclass(frozen=True)
class Flow:
    """Which activation becomes which. An activation is what depends on an input's values; weights and constants are not.

    >>> row = ("x", "input", "x", "x"), ("w", "parameter", "Parameter", "w"), ("mul", "function", "mul", "")
    >>> flow = Flow(tuple(Node(*facts) for facts in row), (Edge("x", "mul", "0"), Edge("w", "mul", "1")))
    >>> flow.sources
    {'x': (), 'mul': ('x',)}
    >>> flow.role("mul")
    'scale'
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @cached_property
    def node(self) -> dict[str, Node]:
        """Nodes by id."""
        return {node.id: node for node in self.nodes}

    @cached_property
    def position(self) -> dict[str, int]:
        """When each node ran. Every node ran after those it reads."""
        return {node.id: place for place, node in enumerate(self.nodes)}

    @cached_property
    def sources(self) -> dict[str, tuple[str, ...]]:
        """The activations that each activation is made from, each once. Outputs are left out."""
        sources: dict[str, tuple[str, ...]] = {}
        for node in self.nodes:
            read = tuple(dict.fromkeys(source for source in self._arguments.get(node.id, ()) if source in sources))
            made_from_activations = bool(read) and node.kind not in ("parameter", "output") and not makes_constant(node)
            if node.kind == "input" or made_from_activations:
                sources[node.id] = read
        return sources

    @cached_property
    def _arguments(self) -> dict[str, list[str]]:
        """What each node reads. A read after a write, of the old value and the writer, is a view of the writer alone."""
        arguments: dict[str, list[str]] = {}
        for edge in self.edges:
            if edge.slot == "0" and plain_name(self.node[edge.target].op) == "readafterwrite":
                continue
            arguments.setdefault(edge.target, []).append(edge.source)
        return arguments

    @cached_property
    def users(self) -> dict[str, tuple[str, ...]]:
        """The activations made from each activation."""
        users: dict[str, list[str]] = {name: [] for name in self.sources}
        for name, sources in self.sources.items():
            for source in sources:
                users[source].append(name)
        return {name: tuple(read_by) for name, read_by in users.items()}

    @cached_property
    def _roles(self) -> dict[str, Role]:
        read = {name: sum(source in self.sources for source in sources) for name, sources in self._arguments.items()}
        return {name: role_of(self.node[name], read.get(name, 0)) for name in self.sources}

    def role(self, name: str) -> Role:
        """What the node does to its activations."""
        return self._roles[name]

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The sizes of the one tensor the node returns; None if it returns several or none."""
        outputs = self.node[name].outputs
        return outputs[0].shape if len(outputs) == 1 else None

    def is_floating(self, name: str) -> bool:
        """Whether the node returns real numbers, as far as is known: ids, masks and positions are no features."""
        outputs = self.node[name].outputs
        return not outputs or any(tensor.is_floating for tensor in outputs)

    @cached_property
    def _ancestors(self) -> dict[str, int]:
        """The ancestors of each activation as the bits of one integer: bit p stands for the node at position p.

        A graph of 5,000 nodes needs 2 MB of them and a few milliseconds, where sets would take 12 million entries.
        """
        ancestors: dict[str, int] = {}
        for name, sources in self.sources.items():
            bits = 0
            for source in sources:
                bits |= ancestors[source] | 1 << self.position[source]
            ancestors[name] = bits
        return ancestors

    def is_ancestor(self, early: str, late: str) -> bool:
        """Whether data flows from ``early`` to ``late``, two different nodes."""
        return bool(self._ancestors[late] >> self.position[early] & 1)

    def between(self, start: str, end: str) -> Iterator[str]:
        """The nodes on all ways from ``start`` to ``end``, without ``start``, with ``end``, latest way first."""
        seen, waiting = {start, end}, [end]
        while waiting:
            name = waiting.pop()
            yield name
            inner = [source for source in self.sources[name] if source not in seen and self.is_ancestor(start, source)]
            seen.update(inner)
            waiting.extend(inner)

    @cached_property
    def dominators(self) -> dict[str, str | None]:
        """The last node that all data for a node has passed (its immediate dominator); None if there is no such node.

        In the order they ran, a node's dominator is where the dominators of all its sources meet.
        """
        above: dict[str, str | None] = {}
        depth: dict[str | None, int] = {None: 0}
        for name, sources in self.sources.items():
            meeting: str | None = sources[0] if sources else None
            for source in sources[1:]:
                meeting = _meet(meeting, source, above, depth)
            above[name] = meeting
            depth[name] = depth[meeting] + 1
        return above

    def ways_back(self, end: str, most_compute: int = 1) -> Iterator[Way]:
        """The ways from earlier and earlier nodes to ``end`` (which counts as passed unless it is the start itself).

        A way passes nodes with one source; where data splits and meets again it jumps over the whole region to its
        dominator. It passes at most ``most_compute`` nodes that compute, and is not followed for ever.

        >>> chain = ("x", "input"), ("fc", "module"), ("relu", "module")
        >>> nodes = tuple(Node(name, kind, name, name, macs=4 if name == "fc" else 0) for name, kind in chain)
        >>> flow = Flow(nodes, (Edge("x", "fc", "0"), Edge("fc", "relu", "0")))
        >>> [(way.start, way.through) for way in flow.ways_back("relu")]
        [('relu', ()), ('fc', ('relu',)), ('x', ('fc', 'relu'))]
        """
        way = Way(end, (), ())
        for _ in range(_LONGEST_WAY):
            yield way
            start = self.dominators[way.start]
            if start is None:
                return
            passed = self._region(start, way.start)
            way = Way(start, passed + way.through, tuple(self.role(name) for name in passed) + way.roles)
            if not passed or way.roles.count("compute") > most_compute:
                return

    def _region(self, start: str, end: str) -> tuple[str, ...]:
        """What lies between a node and its dominator, in the order it ran; nothing if that is too much to be passed over."""
        region = list(islice(self.between(start, end), _LARGEST_REGION + 1))
        return tuple(sorted(region, key=self.position.__getitem__)) if len(region) <= _LARGEST_REGION else ()


def _meet(one: str | None, other: str | None, above: dict[str, str | None], depth: dict[str | None, int]) -> str | None:
    """The last node above both in the tree of dominators."""
    while one != other:
        if depth[one] < depth[other]:
            one, other = other, one
        assert one is not None
        one = above[one]
    return one
