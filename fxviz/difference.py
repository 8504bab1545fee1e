"""What two models have in common and where they differ, as plain values. Comparing finds it, folding and styles show it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from fxviz.graph import ArchGraph, Node, Scope
from fxviz.operations import is_passing, is_view

KINDS = ("added", "removed", "resized")
"""What can have become of a step: "resized" means other sizes or settings."""


@dataclass(frozen=True)
class Removed:
    """Something of the old model that the new one lacks: a module call, or steps that belong together (a layer and its norm).

    Attributes:
        nodes: its steps, as they ran in the old model.
        scopes: the module calls, several of one class if they followed each other; none for mere steps.
        parent: the module call of the new model in which it would have run.
        after: the step of the new model behind which it stood, None if it stood first in ``parent``.
        before: the step of the new model before which it stood, None if it stood last in ``parent``.
    """

    nodes: tuple[Node, ...]
    scopes: tuple[Scope, ...]
    parent: int
    after: str | None
    before: str | None


@dataclass(frozen=True)
class Difference:
    """How a model differs from another one.

    Attributes:
        old: what it is compared with.
        new: the model itself.
        pairs: the step of the old model for each step of the new one that was there already.
        resized: the steps among them that have other sizes or settings.
        removed: what is gone, in the order in which it ran.
    """

    old: ArchGraph
    new: ArchGraph
    pairs: Mapping[str, str]
    resized: frozenset[str]
    removed: tuple[Removed, ...]

    @cached_property
    def added(self) -> frozenset[str]:
        """The steps of the new model that the old one lacks."""
        return frozenset(
            node.id for node in self.new.nodes if node.id not in self.pairs and node.kind not in ("input", "output")
        )

    def kind(self, node: str) -> str:
        """What became of a step of the new model: "added", "resized", or "" for nothing."""
        return "added" if node in self.added else "resized" if node in self.resized else ""

    def before(self, node: str) -> Node | None:
        """The step of the old model that a step of the new one was."""
        return self.old.by_id[self.pairs[node]] if node in self.pairs else None

    @cached_property
    def removed_after(self) -> dict[str, list[Removed]]:
        """What stood behind each step of the new model."""
        found: dict[str, list[Removed]] = defaultdict(list)
        for lost in self.removed:
            if lost.after is not None:
                found[lost.after].append(lost)
        return dict(found)

    @cached_property
    def layers(self) -> dict[str, int]:
        """How many layers with parameters were added, removed, resized."""
        return {kind: count_layers(nodes) for kind, nodes in self._nodes.items()}

    @cached_property
    def steps(self) -> dict[str, int]:
        """The same for what has no parameters: activations, pooling, sums."""
        return {kind: sum(matters(node) and not node.uses for node in nodes) for kind, nodes in self._nodes.items()}

    @cached_property
    def rewired(self) -> frozenset[str]:
        """The steps that were there already and read other steps than before, of which none was added or removed."""
        kept = set(self.pairs.values())
        now, then = _sources(self.new), _sources(self.old)
        return frozenset(
            step
            for step, before in self.pairs.items()
            if all(source in self.pairs for source in now[step])
            and all(source in kept for source in then[before])
            and sorted(self.pairs[source] for source in now[step]) != sorted(then[before])
        )

    @cached_property
    def is_empty(self) -> bool:
        """Whether nothing differs that is worth a mark."""
        return not any((*self.layers.values(), *self.steps.values(), self.rewired))

    @cached_property
    def _nodes(self) -> dict[str, list[Node]]:
        nodes = self.new.nodes
        return {
            "added": [node for node in nodes if node.id in self.added],
            "removed": [node for lost in self.removed for node in lost.nodes],
            "resized": [node for node in nodes if node.id in self.resized],
        }


def _sources(graph: ArchGraph) -> Mapping[str, list[str]]:
    """What each step reads."""
    found: dict[str, list[str]] = defaultdict(list)
    for edge in graph.edges:
        found[edge.target].append(edge.source)
    return found


def count_layers(nodes: Iterable[Node]) -> int:
    """How many modules own the parameters that steps read.

    >>> count_layers([Node("a", "module", "Linear", "fc", uses=("fc.weight", "fc.bias")), Node("b", "function", "relu", "")])
    1
    """
    return len({name.rpartition(".")[0] for node in nodes for name in node.uses})


def matters(node: Node) -> bool:
    """Whether a step is worth a mark of its own: no input, output or buffer, no view of a tensor, no dropout without a module.

    >>> matters(Node("a", "method", "reshape", "")), matters(Node("b", "module", "ReLU", "b"))
    (False, True)
    """
    if node.kind in ("module", "parameter"):
        return node.op not in ("Buffer", "Constant")
    computes = node.kind in ("function", "method") and not is_view(node) and not is_passing(node)
    return computes and any(tensor.is_floating for tensor in node.outputs)
