"""Outline a model as a tree of module calls: the stages among them, and those that are drawn as one row."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from fxviz._analysis.difference import Difference, Removed
from fxviz._graph import ArchGraph, Node, Scope, SkipKind
from fxviz._graph.metrics import METRICS, Metric
from fxviz._graph.operations import (
    flattens,
    is_activation,
    is_heavy,
    is_norm,
    is_passing,
    is_scaling,
    is_softmax,
    is_view,
    makes_constant,
)
from fxviz._view.detail import Detail
from fxviz._view.view import Repeats

if TYPE_CHECKING:
    from fxviz._analysis.structure.telling import Teller

LARGEST_UNIT = 8
"""The most layers (projections, matrix products, pooling convolutions) of one attention or gate."""


Source = tuple[int, int]
"""A node that a step reads: the place of its step and its own place in there. Elsewhere the place is negative."""

MOST_ORIGINS = 8
"""The most origins that are followed through steps that make no row."""


@dataclass(frozen=True)
class Run:
    """A repetition among the elements of a module call.

    Attributes:
        start, shown, stop: the elements from ``start`` to ``shown`` are drawn, those up to ``stop`` repeat them.
        first: the place of the first among the steps (see :meth:`Outline.steps`).
        period: the number of steps that are repeated.
        times: the number of repetitions.
        kind: "chain" if each repetition reads the one before, "shared" if those also have the weights of the first,
            "parallel" if none reads another, "calls" if all call the same modules.
        carrying: nodes of the first repetition of which counterparts read an earlier one.
        calls: the places of all calls among the steps, if what stands between them is not drawn.
    """

    start: int
    shown: int
    stop: int
    first: int
    period: int
    times: int
    kind: Repeats
    carrying: frozenset[str] = field(default=frozenset(), compare=False)
    calls: tuple[int, ...] = ()


@dataclass(frozen=True)
class Element:
    """One step of a module's forward: a call of a module with children (``scope``) or a single node."""

    scope: int | None
    nodes: tuple[str, ...]


class Outline:
    """The tree of module calls of a graph, with the lookups that folding needs."""

    def __init__(
        self, graph: ArchGraph, metric: Metric = METRICS["params"], difference: Difference | None = None
    ) -> None:
        self.graph = graph
        self.metric = metric
        self.difference = difference
        self.failed: str | None = graph.trace.failure.node if graph.trace.failure else None
        self.signatures: dict[tuple[int | None, str, bool], str] = {}
        self.parameters: dict[tuple[int | None, str], tuple[tuple[int, ...], tuple[tuple[str, ...], ...]]] = {}
        self.rows_at: dict[Detail, int] = {}
        self.runs: dict[tuple[int, frozenset[int], frozenset[int], bool, frozenset[str]], list[Run]] = {}
        self.sources = graph.index.sources
        self.users = graph.index.users
        self.scopes = graph.index.scopes
        self.position = graph.index.position
        self.kinds: dict[tuple[object, ...], int] = {}
        self._reads: dict[int, list[frozenset[Source]]] = {}
        self._steps: dict[int, list[int]] = {}
        self._places: dict[int, dict[str, Source]] = {}
        self._elements = {scope: list(map(self._element, steps)) for scope, steps in graph.index.steps.items()}

    def _element(self, step: Node | Scope) -> Element:
        return Element(None, (step.id,)) if isinstance(step, Node) else Element(step.id, self.nodes_in(step.id))

    def word(self, scope: int) -> str:
        """Return what a module call is in the words of the field; "" if there are none, or two models are compared."""
        return "" if self.difference else self._teller.word(scope)

    @cached_property
    def _teller(self) -> Teller:
        from fxviz._analysis.structure.telling import Teller  # only where a module is one row

        return Teller(self.graph)

    def elements(self, scope: int) -> list[Element]:
        """Return the steps of a module's forward, in the order in which they ran."""
        return self._elements[scope]

    def children(self, scope: int) -> list[int]:
        """Return the module calls directly inside ``scope``."""
        return [element.scope for element in self.elements(scope) if element.scope is not None]

    def node(self, name: str) -> Node:
        return self.graph.by_id[name]

    def nodes_in(self, scope: int) -> tuple[str, ...]:
        """Return all nodes that ran inside ``scope``, at any depth."""
        return self.graph.index.inside[scope]

    @cached_property
    def size(self) -> dict[int, int]:
        """Return the number of layers inside each module call; attention and gates count as one."""
        size: dict[int, int] = defaultdict(int)
        counted: set[int] = set()
        for node in self.graph.nodes:
            if is_heavy(node):
                unit = next((scope for scope in self.around(node.scope) if scope in self.units), None)
                if unit not in counted:
                    for scope in self.around(node.scope):
                        size[scope] += 1
                if unit is not None:
                    counted.add(unit)
        return size

    def around(self, scope: int | None) -> Iterator[int]:
        """Yield a module call and those that it runs in, from the inside out."""
        while scope is not None:
            yield scope
            scope = self.scopes[scope].parent

    @cached_property
    def structure(self) -> dict[int, tuple[str, ...]]:
        """Return the class of each module call and the operations in it that take rows, in order, without sizes."""
        takes_row = {node.id for node in self.graph.nodes if self.takes_row(node)}
        return {
            scope.id: (scope.cls, *(self.node(name).op for name in self.nodes_in(scope.id) if name in takes_row))
            for scope in self.graph.scopes
        }

    def blocks(self, scope: int) -> list[int]:
        """Return the module calls directly inside ``scope`` that hold two layers or more."""
        return [child for child in self.children(scope) if self.size[child] > 1]

    def takes_rows(self, scope: int) -> bool:
        """Return whether a module call takes two rows or more when it is opened: layers, pooling, joins."""
        return self.room[scope] > 1

    @cached_property
    def room(self) -> dict[int, int]:
        """Return about how many rows each module call takes when all in it is opened."""
        room: dict[int, int] = defaultdict(int)
        for node in self.graph.nodes:
            if self.takes_row(node):
                for scope in self.around(node.scope):
                    room[scope] += 1
        return room

    def takes_row(self, node: Node) -> bool:
        """Return whether a step is likely a row: no norm, activation, view or scaling, which are fused or hidden."""
        fused = (is_norm, is_activation, is_view, is_passing, is_scaling)
        return node.kind != "parameter" and not any(test(node) for test in fused)

    # ---------------------------------------------------------------- data flow between what is drawn

    def steps(self, scope: int) -> list[int]:
        """Return the places of the elements of ``scope`` that show: all but views, constants and the like."""
        if scope not in self._steps:
            elements = enumerate(self.elements(scope))
            self._steps[scope] = [place for place, element in elements if any(map(self.shows, element.nodes))]
        return self._steps[scope]

    def places(self, scope: int) -> dict[str, Source]:
        """Return for each node in the steps of ``scope`` the place of its step and its own place in there."""
        if scope not in self._places:
            elements = enumerate(self.elements(scope)[place] for place in self.steps(scope))
            self._places[scope] = {
                name: (step, at) for step, element in elements for at, name in enumerate(element.nodes)
            }
        return self._places[scope]

    def reads(self, scope: int) -> list[frozenset[Source]]:
        """Return for each step of ``scope`` the nodes outside it whose results reach it past what makes no row."""
        if scope not in self._reads:
            places = self.places(scope)
            self._reads[scope] = found = []
            for step, element in enumerate(self.elements(scope)[place] for place in self.steps(scope)):
                names = {
                    origin for name in element.nodes for source in self.sources[name] for origin in self.origins[source]
                }
                sources = (places.get(name) or (-1 - self._place_outside(name), 0) for name in names)
                found.append(frozenset(source for source in sources if source[0] != step))
        return self._reads[scope]

    def _place_outside(self, name: str) -> int:
        """Return a number for a node; all inputs share one."""
        return len(self.position) if self.node(name).kind == "input" else self.position[name]

    def shows(self, name: str) -> bool:
        """Return whether a node is likely a row or a part of one: no parameter, constant, view, mask or scaling."""
        return self._shows[name]

    @cached_property
    def _shows(self) -> dict[str, bool]:
        """Return for each node whether it shows. What failed once, or lost a step behind it, shows everywhere."""
        failed = None if self.failed is None else self.node(self.failed)
        lost_behind = {lost.after for lost in self.difference.removed} if self.difference else set()
        return {
            node.id: node.id in lost_behind
            or (failed is not None and (node.kind, node.op) == (failed.kind, failed.op))
            or self._is_shown(node)
            for node in self.graph.nodes
        }

    def _is_shown(self, node: Node) -> bool:
        if node.kind in ("input", "output") or flattens(node):
            return True
        if node.kind == "parameter" or is_view(node) or is_passing(node) or self._is_constant(node):
            return False
        if not any(tensor.is_floating for tensor in node.outputs):
            return False
        return not is_scaling(node) or len(self.sources[node.id]) > 1

    def _is_constant(self, node: Node) -> bool:
        return node.kind in ("function", "method") and makes_constant(node.op) and not self.sources[node.id]

    @cached_property
    def origins(self) -> dict[str, frozenset[str]]:
        """Return the nodes that show from which each node's data comes: itself, or those that it reads."""
        found: dict[str, frozenset[str]] = {}
        for node in self.graph.nodes:
            own = frozenset((node.id,))
            if self.shows(node.id):
                found[node.id] = own
            else:
                origins = frozenset().union(*(found[source] for source in self.sources[node.id]))
                found[node.id] = origins if len(origins) <= MOST_ORIGINS else own
        return found

    @cached_property
    def constants(self) -> dict[str, str]:
        """Return for each node that is a parameter, or comes from one without any data, what kind it is; else ""."""
        found: dict[str, str] = {}
        for node in self.graph.nodes:
            if node.kind == "parameter":
                found[node.id] = f"{node.op} {[tensor.shape for tensor in node.outputs]}"
            elif self.shows(node.id) or self.origins[node.id]:
                found[node.id] = ""
            else:
                found[node.id] = next(filter(None, (found[source] for source in self.sources[node.id])), "")
        return found

    @cached_property
    def readers(self) -> dict[str, list[tuple[str, str]]]:
        """Return the nodes that show which each node's data reaches, with the slot in which they read it."""
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for edge in self.graph.edges:
            if self.shows(edge.target):
                for origin in self.origins[edge.source]:
                    found[origin].append((edge.target, edge.slot))
        return found

    # ---------------------------------------------------------------- stages

    @cached_property
    def stages(self) -> tuple[int, ...]:
        """Return the module calls that get a frame: the blocks of the model, where a mere list of stages is opened."""
        found: list[int] = []
        waiting = [(child, 0) for child in reversed(self.children(0))]
        while waiting:
            child, parent = waiting.pop()
            if self._opens(child, parent):
                waiting += [(grandchild, child) for grandchild in reversed(self.children(child))]
            elif self.size[child] > 1:
                found.append(child)
        return tuple(found)

    @cached_property
    def around_stages(self) -> frozenset[int]:
        """Return the module calls that stages run in."""
        return frozenset(scope for stage in self.stages for scope in self.around(self.scopes[stage].parent))

    def _opens(self, scope: int, parent: int) -> bool:
        """Return whether the stages are inside ``scope``: it wraps the model, or lists groups of blocks."""
        groups = [self.scopes[child] for child in self.children(scope) if len(self.blocks(child)) > 1]
        if self.scopes[scope].sequential:
            return len(groups) > 1
        wraps_all = self.size[scope] == self.size[parent] and len(self.blocks(scope)) > 1
        return (wraps_all or sum(group.sequential for group in groups) > 1) and self._computes_nothing(scope)

    def _computes_nothing(self, scope: int) -> bool:
        """Return whether ``scope`` only calls modules."""
        own = [self.node(element.nodes[0]) for element in self.elements(scope) if element.scope is None]
        return all(node.kind == "module" or is_view(node) or is_passing(node) for node in own)

    # ---------------------------------------------------------------- skips

    @cached_property
    def joins(self) -> frozenset[str]:
        """Return the nodes in which skips end."""
        return frozenset(skip.join for skip in self.graph.skips)

    @cached_property
    def skips_in(self) -> dict[int, Counter[SkipKind]]:
        """Return the skips that end inside each module call, by kind."""
        counts: dict[int, Counter[SkipKind]] = defaultdict(Counter)
        for skip in self.graph.skips:
            for scope in self.around(self.node(skip.join).scope):
                counts[scope][skip.kind] += 1
        return counts

    # ---------------------------------------------------------------- the other model

    @cached_property
    def removed_in(self) -> dict[int | None, list[Removed]]:
        """Return what was removed from each module call, at any depth."""
        found: dict[int | None, list[Removed]] = defaultdict(list)
        for lost in self.difference.removed if self.difference else ():
            for scope in self.around(lost.parent):
                found[scope].append(lost)
        return dict(found)

    # ---------------------------------------------------------------- modules that are one row by nature

    @cached_property
    def units(self) -> frozenset[int]:
        """Return attention and gates: modules that the field regards as one operation."""
        return frozenset(self._attention() | self._gates())

    def _attention(self) -> set[int]:
        """Return the modules whose own code computes attention: a softmax between products, or the fused operation."""
        owners = {
            node.scope for node in self.graph.nodes if is_softmax(node) or node.op == "scaled_dot_product_attention"
        }
        return {scope for scope in owners if scope and self._is_small(scope) and self._multiplies(scope)}

    def _multiplies(self, scope: int) -> bool:
        inside = (self.node(name) for name in self.nodes_in(scope))
        return any(node.macs and node.kind != "module" for node in inside)

    def _is_small(self, scope: int) -> bool:
        return sum(is_heavy(self.node(name)) for name in self.nodes_in(scope)) <= LARGEST_UNIT

    def _gates(self) -> set[int]:
        """Return the smallest module around each gate (squeeze-and-excitation) whose input comes from outside."""
        found = set()
        for skip in self.graph.skips:
            scope = self.node(skip.join).scope
            if skip.kind == "gate" and scope and self.node(skip.fork).scope != scope and self._is_small(scope):
                found.add(scope)
        return found
