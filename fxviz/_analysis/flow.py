"""The flow of activations through a graph, and the walks along it that find skip connections."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from fxviz._graph import ArchGraph
from fxviz._graph.index import immediate_dominators
from fxviz._graph.operations import Role, is_linear, plain_name, role_of

_LONGEST_PATH = 24
_LARGEST_REGION = 40


Leads = Callable[[str, str], bool]
"""Tells whether data flows from a node to another end than the one given."""


class Path(NamedTuple):
    """A path back from a join: its first node, and the nodes that follow there, in the order of the run."""

    start: str
    through: tuple[str, ...]
    roles: tuple[Role, ...]


class Activations:
    """The nodes whose values depend on an input, and the flow between them; weights and constants are left out.

    >>> from fxviz._graph import Edge, ModelInfo, Node, Scope, TraceInfo
    >>> x, w = Node("x", "input", "x", "x"), Node("w", "parameter", "Parameter", "w")
    >>> nodes = x, w, Node("mul", "function", "mul", "")
    >>> trace, scopes = TraceInfo("meta", "fake", {}, "2.4.0", None), (Scope(0, "", "Net", 0, None),)
    >>> edges = Edge("x", "mul", "0"), Edge("w", "mul", "1")
    >>> flow = Activations(ArchGraph(ModelInfo("net", "python", "Net"), trace, nodes, edges, scopes, ()))
    >>> flow.sources
    {'x': (), 'mul': ('x',)}
    >>> flow.role("mul")
    'scale'
    """

    def __init__(self, graph: ArchGraph) -> None:
        self.index = graph.index
        self.node = graph.index.by_id
        self.position = graph.index.position
        self._depths: dict[str, dict[str, int]] = {}

    @cached_property
    def sources(self) -> dict[str, tuple[str, ...]]:
        """Return the activations that each activation is made from, each once. Outputs are left out.

        Integers and masks are no features: what is looked up by an index that was computed from a tensor is not made
        from it.
        """
        sources: dict[str, tuple[str, ...]] = {}
        for name, node in self.node.items():
            if name in self.index.varying and node.kind != "output":
                read = tuple(dict.fromkeys(source for _, source in self.arguments(name) if source in sources))
                is_feature = self.is_floating(name)
                sources[name] = tuple(source for source in read if self.is_floating(source) or not is_feature)
        return sources

    def arguments(self, name: str) -> list[tuple[str, str]]:
        """Return what a node reads, with its slot. A read after a write is a view of the writer, not the old value."""
        is_reread = plain_name(self.node[name].op) == "readafterwrite"
        return [(edge.slot, edge.source) for edge in self.index.edges_to[name] if not (is_reread and edge.slot == "0")]

    def adds_nothing(self, name: str) -> bool:
        """Return whether a node adds the number 0 to what it reads, as Python's ``sum`` does first."""
        node = self.node[name]
        if node.kind == "module" or plain_name(node.op) != "add" or len(self.arguments(name)) != 1:
            return False
        numbers = [node.settings[slot] for slot in ("0", "1", "other") if slot in node.settings]
        return bool(numbers) and not any(numbers)

    @cached_property
    def users(self) -> dict[str, tuple[str, ...]]:
        """Return the activations made from each activation."""
        users: dict[str, list[str]] = {name: [] for name in self.sources}
        for name, sources in self.sources.items():
            for source in sources:
                users[source].append(name)
        return {name: tuple(read_by) for name, read_by in users.items()}

    @cached_property
    def _roles(self) -> dict[str, Role]:
        return {
            name: "view" if self.adds_nothing(name) else role_of(self.node[name], self._reads(name))
            for name in self.sources
        }

    def _reads(self, name: str) -> int:
        """Return how many arguments of a node are activations."""
        return sum(source in self.sources for _, source in self.arguments(name))

    def is_linear(self, name: str) -> bool:
        """Return whether a node is linear in the activations that it reads."""
        return is_linear(self.node[name], self._reads(name))

    def role(self, name: str) -> Role:
        """Return what a node does to its activations."""
        return self._roles[name]

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of the one tensor that a node returns; None if it returns several or none."""
        outputs = self.node[name].outputs
        return outputs[0].shape if len(outputs) == 1 else None

    def is_floating(self, name: str) -> bool:
        """Return whether a node may return real numbers: ids, masks and positions are no features."""
        outputs = self.node[name].outputs
        return not outputs or any(tensor.is_floating for tensor in outputs)

    @cached_property
    def _ancestors(self) -> dict[str, int]:
        """Return the ancestors of each activation as the bits of one integer: bit p stands for the node at position p.

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
        """Return whether data flows from ``early`` to ``late``, two different nodes."""
        return bool(self._ancestors[late] >> self.position[early] & 1)

    def leads_to_another(self, ends: Sequence[str]) -> Leads:
        """Return a test that tells whether data flows from a node to another one of these ends than the one given."""
        some = several = 0
        for end in ends:
            several |= some & self._ancestors[end]
            some |= self._ancestors[end]
        known = frozenset(ends)

        def leads(early: str, own: str) -> bool:
            place = self.position[early]
            if several >> place & 1:
                return True
            return bool(some >> place & 1) and (own not in known or not self.is_ancestor(early, own))

        return leads

    def in_line(self, names: Collection[str]) -> frozenset[str]:
        """Return those of these nodes from or to which data flows from or to another one of them."""
        some = before = 0
        for name in names:
            some |= 1 << self.position[name]
            before |= self._ancestors[name]
        return frozenset(name for name in names if self._ancestors[name] & some or before >> self.position[name] & 1)

    @cached_property
    def with_role(self) -> dict[Role, int]:
        """Return the activations with each role, as bits like those of ancestors."""
        found: dict[Role, int] = defaultdict(int)
        for name, role in self._roles.items():
            found[role] |= 1 << self.position[name]
        return found

    @cached_property
    def nonlinear(self) -> int:
        """Return the activations that are not linear in what they read, as bits like those of ancestors."""
        return sum(1 << self.position[name] for name in self.sources if not self.is_linear(name))

    def passes(self, start: str, end: str, marked: int) -> bool:
        """Return whether one of the marked nodes is on a path from ``start`` (exclusive) to ``end`` (inclusive)."""
        seen, waiting = {start, end}, [end]
        while waiting:
            name = waiting.pop()
            if marked >> self.position[name] & 1:
                return True
            for source in self.sources[name]:
                if source not in seen and self.is_ancestor(start, source):
                    seen.add(source)
                    if (self._ancestors[source] | 1 << self.position[source]) & marked:
                        waiting.append(source)
        return False

    def layers_in_a_row(self, start: str, end: str) -> int:
        """Count the nodes that compute on the deepest path from ``start`` to ``end``."""
        depth = self._depths.setdefault(start, {start: 0})
        found, waiting = set[str](), [end]
        while waiting:
            name = waiting.pop()
            if name not in depth and name not in found:
                found.add(name)
                waiting += (source for source in self.sources[name] if self.is_ancestor(start, source))
        for name in sorted(found, key=self.position.__getitem__):
            depth[name] = max(depth.get(source, 0) for source in self.sources[name]) + (self.role(name) == "compute")
        return depth[end]

    def between(self, start: str, end: str) -> Iterator[str]:
        """Return the nodes on all paths from ``start`` (exclusive) to ``end`` (inclusive), latest path first."""
        seen, waiting = {start, end}, [end]
        while waiting:
            name = waiting.pop()
            yield name
            inner = [source for source in self.sources[name] if source not in seen and self.is_ancestor(start, source)]
            seen.update(inner)
            waiting.extend(inner)

    @cached_property
    def dominators(self) -> dict[str, str]:
        """Return the immediate dominator of each node that has one: the last node that all its data passed."""
        position, above_inputs = self.position, -1
        successors = {position[name]: [position[user] for user in users] for name, users in self.users.items()}
        successors[above_inputs] = [position[name] for name, sources in self.sources.items() if not sources]
        names = list(position)
        dominators = immediate_dominators(successors, above_inputs)
        return {names[node]: names[above] for node, above in dominators.items() if above != above_inputs}

    def paths_back(self, end: str, most_compute: int = 1) -> Iterator[Path]:
        """Return the paths to ``end`` from earlier and earlier nodes. A path passes its end, unless it starts there.

        A path passes nodes with one source; where data splits and meets again, it jumps over the whole region to its
        dominator. It passes at most ``most_compute`` nodes that compute, and is of limited length.

        >>> from fxviz._graph import Edge, ModelInfo, Node, Scope, TraceInfo
        >>> chain = ("x", "input"), ("fc", "module"), ("relu", "module")
        >>> nodes = tuple(Node(name, kind, name, name, macs=4 if name == "fc" else 0) for name, kind in chain)
        >>> trace, scopes = TraceInfo("meta", "fake", {}, "2.4.0", None), (Scope(0, "", "Net", 0, None),)
        >>> edges = Edge("x", "fc", "0"), Edge("fc", "relu", "0")
        >>> flow = Activations(ArchGraph(ModelInfo("net", "python", "Net"), trace, nodes, edges, scopes, ()))
        >>> [(path.start, path.through) for path in flow.paths_back("relu")]
        [('relu', ()), ('fc', ('relu',)), ('x', ('fc', 'relu'))]
        """
        path = Path(end, (), ())
        for _ in range(_LONGEST_PATH):
            yield path
            start = self.dominators.get(path.start)
            if start is None:
                return
            passed = self._region(start, path.start)
            path = Path(start, passed + path.through, tuple(self.role(name) for name in passed) + path.roles)
            if not passed or path.roles.count("compute") > most_compute:
                return

    def _region(self, start: str, end: str) -> tuple[str, ...]:
        """Return the nodes between a node and its dominator, in the order of the run; none if they are too many."""
        region = list(islice(self.between(start, end), _LARGEST_REGION + 1))
        return tuple(sorted(region, key=self.position.__getitem__)) if len(region) <= _LARGEST_REGION else ()
