"""A model as a tree of steps, each with a signature, so that the steps of two models can be told equal or alike."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property

from fxviz._analysis.difference import compared_settings
from fxviz._graph import ArchGraph, Node, Scope
from fxviz._graph.operations import is_heavy, is_norm, plain_name

_HEAVY = 4
"""A layer says so much more than a norm or an activation about what a module is: many norms are of one width."""


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a module's forward: a call of a module with children (``scope``) or a single node.

    Attributes:
        nodes: all that ran in it.
        name: what its module is called within the one around it; "" for functions.
        cls: what it is: the class of a module, the name of a function.
        signature: equal for steps with equal classes, settings and sizes of parameters, own or shared, at any depth.
        content: what it holds, by signature and by class, each with its weight.
    """

    scope: Scope | None
    nodes: tuple[Node, ...]
    name: str
    cls: Hashable
    signature: int
    content: Counter[tuple[str, Hashable]]

    @cached_property
    def weight(self) -> int:
        """How much it holds."""
        return sum(weight for (how, _), weight in self.content.items() if how == "equal")


class Tree:
    """The steps in every module call of a graph. Trees that share ``numbers`` have comparable signatures."""

    def __init__(self, graph: ArchGraph, numbers: dict[Hashable, int]) -> None:
        self._shapes = {parameter.name: parameter.shape for parameter in graph.parameters}
        self._numbers = numbers
        self.scopes = {scope.id: scope for scope in graph.scopes}
        self.children: dict[int, list[Step]] = defaultdict(list)
        self._build(graph)

    def _build(self, graph: ArchGraph) -> None:
        """From the innermost module calls out; a call stands where its first step ran."""
        place = {node.id: number for number, node in enumerate(graph.nodes)}
        for node in graph.nodes:
            self.children[node.scope].append(self._leaf(node))
        for scope in reversed(graph.scopes):
            inside = self.children[scope.id]
            inside.sort(key=lambda step: place[step.nodes[0].id])
            if inside and scope.parent is not None:
                self.children[scope.parent].append(self._call(scope, inside))

    def sizes(self, node: Node) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter that a node reads, by its name in the layer."""
        return {name.removeprefix(node.path): self._shapes[name] for name in node.uses if name in self._shapes}

    def _number(self, facts: Hashable) -> int:
        return self._numbers.setdefault(facts, len(self._numbers))

    def _leaf(self, node: Node) -> Step:
        cls = _class(node)
        signature = self._number((cls, *self._facts(node)))
        weight = _HEAVY if is_heavy(node) or (node.uses and not is_norm(node)) else 1
        content = Counter({("equal", signature): weight, ("alike", cls): weight})
        named = node.kind in ("module", "parameter")
        return Step(None, (node,), node.path.rpartition(".")[2] if named else "", cls, signature, content)

    def _facts(self, node: Node) -> tuple[Hashable, ...]:
        if node.kind in ("input", "output"):
            return ()
        settings = tuple((name, repr(value)) for name, value in compared_settings(node).items())
        return (tuple(self.sizes(node).values()), bool(node.shared), settings)

    def _call(self, scope: Scope, inside: list[Step]) -> Step:
        nodes = tuple(node for step in inside for node in step.nodes)
        content: Counter[tuple[str, Hashable]] = Counter()
        for step in inside:
            content.update(step.content)
        signature = self._number((scope.cls, tuple(step.signature for step in inside)))
        return Step(scope, nodes, scope.path.rpartition(".")[2], scope.cls, signature, content)


def _class(node: Node) -> Hashable:
    """What a step is: ``x + y``, ``x += y`` and ``torch.add(x, y)`` are one."""
    if node.kind in ("input", "output"):
        return node.kind
    return ("function", plain_name(node.op)) if node.kind in ("function", "method") else (node.kind, node.cls or node.op)
