"""The difference between two models, as plain values: the steps they share, and those added, removed or changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

from fxviz._graph import ArchGraph, Node, Scope
from fxviz._graph.operations import flattens, is_commutative, is_dropout, is_passing, is_scaling, is_view

ChangeKind = Literal["added", "removed", "resized", "altered"]
"""Ways in which a step can change: "resized" is a change of parameter shapes or channels, "altered" of settings."""

KINDS: tuple[ChangeKind, ...] = get_args(ChangeKind)

_INDIFFERENT = ("in_place", "inplace")
"""Settings that do not affect the result."""


class Tally(NamedTuple):
    """The number of changed layers; that of changed steps if only steps without parameters differ.

    Attributes:
        counts: the number for each kind of change that occurs.
        noun: the unit: "layer" or "step" (activations, pooling, sums).
    """

    counts: Mapping[ChangeKind, int]
    noun: Literal["layer", "step"]


@dataclass(frozen=True)
class Removed:
    """A part of the old model that the new one lacks: module calls, or steps drawn together (a layer and its norm).

    Attributes:
        nodes: its steps, as they ran in the old model.
        scopes: its module calls, several of one class if they followed each other; none for single steps.
        parent: the module call of the new model in which it would run.
        after: the step of the new model that it followed; None if it was the first in ``parent``.
        before: the step of the new model that followed it; None if it was the last in ``parent``.
    """

    nodes: tuple[Node, ...]
    scopes: tuple[Scope, ...]
    parent: int
    after: str | None
    before: str | None


@dataclass(frozen=True)
class Difference:
    """The difference of a model from another one.

    Attributes:
        old: the model that it is compared with.
        new: the model itself.
        names: the names of the two, never equal.
        pairs: for each step of the new model that the old one has, too, the old model's step.
        changed: those of these steps that are "resized" or "altered".
        removed: the parts that the new model lacks, in the order in which they ran.
    """

    old: ArchGraph
    new: ArchGraph
    names: tuple[str, str]
    pairs: Mapping[str, str]
    changed: Mapping[str, ChangeKind]
    removed: tuple[Removed, ...]

    @cached_property
    def added(self) -> frozenset[str]:
        """Return the steps of the new model that the old one lacks."""
        return frozenset(
            node.id for node in self.new.nodes if node.id not in self.pairs and node.kind not in ("input", "output")
        )

    def kind(self, node: str) -> ChangeKind | Literal[""]:
        """Return the change of a step of the new model: "added", "resized", "altered", or "" for none."""
        return "added" if node in self.added else self.changed.get(node, "")

    def before(self, node: str) -> Node | None:
        """Return the step of the old model that is paired with a step of the new one."""
        return self.old.by_id[self.pairs[node]] if node in self.pairs else None

    @cached_property
    def removed_after(self) -> dict[str, list[Removed]]:
        """Return the removed parts that followed each step of the new model."""
        found: dict[str, list[Removed]] = defaultdict(list)
        for lost in self.removed:
            if lost.after is not None:
                found[lost.after].append(lost)
        return dict(found)

    @cached_property
    def tally(self) -> Tally:
        """Count the changed layers of both models."""
        found: dict[ChangeKind, list[Node]] = {kind: [] for kind in KINDS}
        for node in self.new.nodes:
            if kind := self.kind(node.id):
                found[kind].append(node)
        found["removed"] = [node for lost in self.removed for node in lost.nodes]
        return tally({kind: list(filter(matters, nodes)) for kind, nodes in found.items()}, self.readers)

    @cached_property
    def readers(self) -> dict[str, str]:
        """Return the step that reads each parameter, for those that a module's own code reads from itself."""
        return {**_readers(self.old), **_readers(self.new)}

    @cached_property
    def rewired(self) -> frozenset[str]:
        """Return the kept steps that read other kept steps than before."""
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
        """Return whether nothing differs that is worth a mark."""
        return not self.tally.counts and not self.rewired

    @cached_property
    def drops(self) -> bool:
        """Return whether dropout or its rate differs, which has no effect in eval mode."""
        old, new, kept = self.old.by_id, self.new.by_id, set(self.pairs.values())
        rates = (is_dropout(new[now]) and new[now].settings != old[then].settings for now, then in self.pairs.items())
        gone = (node for node in self.old.nodes if node.id not in kept)
        return any(rates) or any(map(is_dropout, (*(new[name] for name in self.added), *gone)))

    @cached_property
    def renames(self) -> bool:
        """Return whether a layer or a parameter that both models have was renamed."""
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
    """Return the first step that reads the result of ``name`` and is no view."""
    users = graph.index.users[name]
    while users and is_view(graph.by_id[users[0]]):
        users = graph.index.users[users[0]]
    return users[0] if users else name


def _arguments(graph: ArchGraph, name: str) -> list[str]:
    """Return the sources of a step in the order of its arguments, named ones last."""
    return [edge.source for edge in sorted(graph.index.edges_to[name], key=lambda edge: _place(edge.slot))]


def _place(slot: str) -> list[tuple[int, str]]:
    """Return a key to sort slots by.

    >>> sorted(["mask", "10", "2", "1.1"], key=_place)
    ['1.1', '2', '10', 'mask']
    """
    return [(int(part), "") if part.isdigit() else (10**9, part) for part in slot.split(".")]


def compared_settings(node: Node) -> dict[str, Any]:
    """Return the settings that are compared: none of dropout, and none of functions that scale or view.

    >>> compared_settings(Node("a", "module", "LeakyReLU", "a", settings={"negative_slope": 0.1, "inplace": True}))
    {'negative_slope': 0.1}
    >>> compared_settings(Node("b", "method", "reshape", "", settings={"1": 8}))
    {}
    """
    if is_passing(node) or (node.kind != "module" and (is_view(node) or is_scaling(node))):
        return {}
    return {name: value for name, value in node.settings.items() if name not in _INDIFFERENT}


def count_layers(nodes: Iterable[Node], readers: Mapping[str, str]) -> int:
    """Count the layers with parameters among steps, as a reader of the figure would.

    A module that is called counts as one, and so does one whose parameters are read by the code around it. Parameters
    that a module's own code reads from the module itself count as one for each step in ``readers`` that reads them.

    >>> uses = "attn.in_proj_weight", "attn.out_proj.weight"
    >>> attention = Node("a", "module", "MultiheadAttention", "attn", uses=uses)
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


def tally(by_kind: Mapping[ChangeKind, Sequence[Node]], readers: Mapping[str, str]) -> Tally:
    """Count the layers among changed steps, or the steps themselves if none of them has parameters.

    >>> linear, relu = Node("a", "module", "Linear", "fc", uses=("fc.weight",)), Node("b", "module", "ReLU", "act")
    >>> tally({"added": [linear, relu]}, {})
    Tally(counts={'added': 1}, noun='layer')
    >>> tally({"added": [], "removed": [relu]}, {})
    Tally(counts={'removed': 1}, noun='step')
    """
    layers = {kind: count for kind, nodes in by_kind.items() if (count := count_layers(nodes, readers))}
    steps = {kind: len(nodes) for kind, nodes in by_kind.items() if nodes}
    return Tally(layers, "layer") if layers else Tally(steps, "step")


def matters(node: Node) -> bool:
    """Return whether a change of a step is marked: not that of an input, output, buffer, hidden view or dropout.

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
