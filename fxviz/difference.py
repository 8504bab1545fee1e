"""What two models have in common and where they differ, as plain values. Comparing finds it, folding and styles show it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from fxviz.graph import ArchGraph, Node, Scope
from fxviz.operations import flattens, is_passing, is_view

KINDS = ("added", "removed", "resized", "altered")
"""What can have become of a step: "resized" means other sizes of parameters or more channels, "altered" other settings."""


class Tally(NamedTuple):
    """How many became what, by kind, and whether layers with parameters are counted or, as none differs, steps without.

    Attributes:
        counts: how many for each of ``KINDS`` that occurs.
        noun: what is counted: "layer" or "step" (activations, pooling, sums).
    """

    counts: Mapping[str, int]
    noun: str


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
        names: what the two are called, each different.
        pairs: the step of the old model for each step of the new one that was there already.
        changed: the steps among them that are not as they were, "resized" or "altered".
        removed: what is gone, in the order in which it ran.
    """

    old: ArchGraph
    new: ArchGraph
    names: tuple[str, str]
    pairs: Mapping[str, str]
    changed: Mapping[str, str]
    removed: tuple[Removed, ...]

    @cached_property
    def added(self) -> frozenset[str]:
        """The steps of the new model that the old one lacks."""
        return frozenset(
            node.id for node in self.new.nodes if node.id not in self.pairs and node.kind not in ("input", "output")
        )

    def kind(self, node: str) -> str:
        """What became of a step of the new model: "added", "resized", "altered", or "" for nothing."""
        return "added" if node in self.added else self.changed.get(node, "")

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
    def tally(self) -> Tally:
        """How many layers of the models became what."""
        found: dict[str, list[Node]] = {kind: [] for kind in KINDS}
        for node in self.new.nodes:
            if kind := self.kind(node.id):
                found[kind].append(node)
        found["removed"] = [node for lost in self.removed for node in lost.nodes]
        return tally({kind: list(filter(matters, nodes)) for kind, nodes in found.items()})

    @cached_property
    def rewired(self) -> frozenset[str]:
        """The steps that were there already and read other steps than before, of which none was added or removed."""
        kept = set(self.pairs.values())
        now, then = self.new.sources, self.old.sources
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
        return not self.tally.counts and not self.rewired

    @cached_property
    def drops(self) -> bool:
        """Whether dropout differs, or its rate: in eval mode no other step sees it."""
        old, new = self.old.by_id, self.new.by_id
        rates = (is_passing(new[now]) and new[now].settings != old[then].settings for now, then in self.pairs.items())
        come_or_gone = (*(new[name] for name in self.added), *(node for lost in self.removed for node in lost.nodes))
        return any(rates) or any(map(is_passing, come_or_gone))


def count_layers(nodes: Iterable[Node]) -> int:
    """How many modules own the parameters that steps read.

    >>> count_layers([Node("a", "module", "Linear", "fc", uses=("fc.weight", "fc.bias")), Node("b", "function", "relu", "")])
    1
    """
    return len({name.rpartition(".")[0] for node in nodes for name in node.uses})


def count_steps(nodes: Iterable[Node]) -> int:
    """How many steps compute something, dropout left aside."""
    return sum(not is_passing(node) for node in nodes)


def tally(by_kind: Mapping[str, Sequence[Node]]) -> Tally:
    """How many layers of these steps became what, or how many steps where none of them has parameters; dropout left aside.

    >>> tally({"added": [Node("a", "module", "Linear", "fc", uses=("fc.weight",)), Node("b", "module", "ReLU", "act")]})
    Tally(counts={'added': 1}, noun='layer')
    >>> tally({"added": [], "removed": [Node("b", "module", "ReLU", "act")]})
    Tally(counts={'removed': 1}, noun='step')
    """
    layers = {kind: count for kind, nodes in by_kind.items() if (count := count_layers(nodes))}
    steps = {kind: count for kind, nodes in by_kind.items() if (count := count_steps(nodes))}
    return Tally(layers, "layer") if layers else Tally(steps, "step")


def matters(node: Node) -> bool:
    """Whether a step is worth a mark of its own: no input, output or buffer, no view of a tensor that figures hide, no dropout
    without a module.

    >>> matters(Node("a", "method", "reshape", "")), matters(Node("b", "module", "ReLU", "b"))
    (False, True)
    """
    if node.kind in ("module", "parameter"):
        return node.op not in ("Buffer", "Constant")
    is_shown = flattens(node) or not (is_view(node) or is_passing(node))
    return node.kind in ("function", "method") and is_shown and any(tensor.is_floating for tensor in node.outputs)
