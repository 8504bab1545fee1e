"""What two models have in common and where they differ, as plain values. Comparing finds it, folding and styles show it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from fxviz._graph import ArchGraph, Node, Scope
from fxviz._graph.operations import flattens, is_commutative, is_dropout, is_passing, is_scaling, is_view

KINDS = ("added", "removed", "resized", "altered")
"""What can have become of a step: "resized" means other sizes of parameters or more channels, "altered" other settings."""

_INDIFFERENT = ("in_place", "inplace")
"""Settings that change nothing of what is computed."""


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
        return tally({kind: list(filter(matters, nodes)) for kind, nodes in found.items()}, self.readers)

    @cached_property
    def readers(self) -> dict[str, str]:
        """Which step reads a parameter, for each that a module's own code reads of the module itself."""
        return {**_readers(self.old), **_readers(self.new)}

    @cached_property
    def rewired(self) -> frozenset[str]:
        """The steps that were there already and read other steps than before, of which none was added or removed."""
        kept = set(self.pairs.values())
        found = set()
        for step, before in self.pairs.items():
            now, then = _arguments(self.new, step), _arguments(self.old, before)
            if all(source in self.pairs for source in now) and all(source in kept for source in then):
                was = [self.pairs[source] for source in now]
                if sorted(was) != sorted(then) or (was != then and not is_commutative(self.new.by_id[step])):
                    found.add(step)
        return frozenset(found)

    @cached_property
    def is_empty(self) -> bool:
        """Whether nothing differs that is worth a mark."""
        return not self.tally.counts and not self.rewired

    @cached_property
    def drops(self) -> bool:
        """Whether dropout differs, or its rate: in eval mode no other step sees it."""
        old, new, kept = self.old.by_id, self.new.by_id, set(self.pairs.values())
        rates = (is_dropout(new[now]) and new[now].settings != old[then].settings for now, then in self.pairs.items())
        gone = (node for node in self.old.nodes if node.id not in kept)
        return any(rates) or any(map(is_dropout, (*(new[name] for name in self.added), *gone)))

    @cached_property
    def renames(self) -> bool:
        """Whether a layer or a parameter that was there already has another path."""
        pairs = ((self.new.by_id[now], self.old.by_id[then]) for now, then in self.pairs.items())
        return any(now.path != then.path for now, then in pairs if now.kind in ("module", "parameter"))


def _readers(graph: ArchGraph) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in graph.nodes:
        for name in node.uses if node.kind == "parameter" else ():
            if name.rpartition(".")[0] == graph.index.scopes[node.scope].path:
                found.setdefault(name, _reader(graph, node.id))
    return found


def _reader(graph: ArchGraph, name: str) -> str:
    """The first step that does more with what ``name`` returns than to look at it in another way."""
    users = graph.index.users[name]
    while users and is_view(graph.by_id[users[0]]):
        users = graph.index.users[users[0]]
    return users[0] if users else name


def _arguments(graph: ArchGraph, name: str) -> list[str]:
    """What a step reads, in the order of its arguments; those with names behind the others."""
    return [edge.source for edge in sorted(graph.index.edges_to[name], key=lambda edge: _place(edge.slot))]


def _place(slot: str) -> list[tuple[int, str]]:
    """
    >>> sorted(["mask", "10", "2", "1.1"], key=_place)
    ['1.1', '2', '10', 'mask']
    """
    return [(int(part), "") if part.isdigit() else (10**9, part) for part in slot.split(".")]


def compared_settings(node: Node) -> dict[str, Any]:
    """The settings by which a step is told from another one; none of dropout, of what a function scales by or how it views.

    >>> compared_settings(Node("a", "module", "LeakyReLU", "a", settings={"negative_slope": 0.1, "inplace": True}))
    {'negative_slope': 0.1}
    >>> compared_settings(Node("b", "method", "reshape", "", settings={"1": 8}))
    {}
    """
    if is_passing(node) or (node.kind != "module" and (is_view(node) or is_scaling(node))):
        return {}
    return {name: value for name, value in node.settings.items() if name not in _INDIFFERENT}


def count_layers(nodes: Iterable[Node], readers: Mapping[str, str]) -> int:
    """How many layers with parameters there are among steps, as a reader sees them.

    A module that was called is one, and so is one whose parameters the code around it reads. What a module's own code reads of
    itself is one for each step that reads it, as ``readers`` tells.

    >>> attention = Node("a", "module", "MultiheadAttention", "attn", uses=("attn.in_proj_weight", "attn.out_proj.weight"))
    >>> bare = [Node(name, "parameter", "Parameter", name, uses=(name,)) for name in ("weight", "bias", "cls")]
    >>> count_layers([attention, *bare], {"weight": "linear", "bias": "linear", "cls": "add"})
    3
    """
    found: set[tuple[str, str]] = set()
    for node in nodes:
        if node.kind == "module":
            found.update([("module", node.path)] if node.uses else [])
        else:
            found.update(
                ("step", readers[name]) if name in readers else ("module", name.rpartition(".")[0])
                for name in node.uses
            )
    return len(found)


def tally(by_kind: Mapping[str, Sequence[Node]], readers: Mapping[str, str]) -> Tally:
    """How many layers of these steps became what, or how many steps where none of them has parameters.

    >>> tally({"added": [Node("a", "module", "Linear", "fc", uses=("fc.weight",)), Node("b", "module", "ReLU", "act")]}, {})
    Tally(counts={'added': 1}, noun='layer')
    >>> tally({"added": [], "removed": [Node("b", "module", "ReLU", "act")]}, {})
    Tally(counts={'removed': 1}, noun='step')
    """
    layers = {kind: count for kind, nodes in by_kind.items() if (count := count_layers(nodes, readers))}
    steps = {kind: len(nodes) for kind, nodes in by_kind.items() if nodes}
    return Tally(layers, "layer") if layers else Tally(steps, "step")


def matters(node: Node) -> bool:
    """Whether a step is worth a mark of its own: no input, output or buffer, no view of a tensor that figures hide, no dropout.

    >>> matters(Node("a", "method", "reshape", "")), matters(Node("b", "module", "ReLU", "b"))
    (False, True)
    >>> matters(Node("c", "module", "Identity", "c"))
    False
    """
    if is_passing(node):
        return False
    if node.kind in ("module", "parameter"):
        return node.op not in ("Buffer", "Constant")
    is_shown = flattens(node) or not is_view(node)
    return node.kind in ("function", "method") and is_shown and any(tensor.is_floating for tensor in node.outputs)
