"""Find the axis of each activation that holds its channels, and so its positions: what "resolution" means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

from fxviz._analysis.facts import Layer
from fxviz._analysis.flow import Activations
from fxviz._analysis.layers import layers_of, places_of
from fxviz._graph import ArchGraph, Node
from fxviz._graph.operations import is_activation, is_heavy, is_passing, plain_name, resamples

_LAST = ("embedding", "lstm", "gru", "rnn", "scaleddotproductattention")
_FIRST_NORMS = ("batchnorm", "groupnorm", "instancenorm")
_ELEMENTWISE = ("add", "mul", "sub", "div", "cat", "pad", "chunk", "split", "getitem", "contiguous", "narrow", "clone")
_PERMUTES = ("permute",)
_SWAPS = ("transpose", "swapaxes", "swapdims")


class Extent(NamedTuple):
    """The extent of a tensor: positions of one example, channels, and its sizes beside batch and channels."""

    positions: int
    channels: int
    size: tuple[int, ...]


class Tensors:
    """The channels and positions of every activation of a graph, and the layers that make them.

    The layers tell which axis holds the channels; everything else carries it along. Positions are the elements over
    channels and batch, so they stay the same where windows are cut, heads are split or maps are flattened.
    """

    def __init__(self, graph: ArchGraph) -> None:
        self.graph = graph
        self.index = graph.index
        self.flow = Activations(graph)
        self.sources, self.users = self.flow.sources, self.flow.users
        self.position = graph.index.position
        self.layers: dict[str, Layer] = {
            call: layer for layer in layers_of(graph, places_of(graph)) for call in layer.calls
        }
        first = next((tensor.shape for tensor in graph.trace.inputs.values() if tensor.shape), (1,))
        self.batch = first[0] or 1

    def node(self, name: str) -> Node:
        return self.graph.by_id[name]

    def op(self, name: str) -> str:
        return plain_name(self.graph.by_id[name].op)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of the first tensor that a node returns; () if there is none."""
        outputs = self.graph.by_id[name].outputs
        return outputs[0].shape if outputs else ()

    def is_layer(self, name: str) -> bool:
        node = self.graph.by_id[name]
        return is_heavy(node) and not (resamples(node) and not node.uses)

    @cached_property
    def heavy(self) -> frozenset[str]:
        """Return the layers and products among the activations."""
        return frozenset(name for name in self.sources if self.is_layer(name))

    @cached_property
    def needed(self) -> frozenset[str]:
        """Return the activations from which an output is made."""
        found: set[str] = set()
        for name in reversed(self.sources):
            if self._ends(name) or not found.isdisjoint(self.users[name]):
                found.add(name)
        return frozenset(found)

    # ---------------------------------------------------------------- the axis of channels

    @cached_property
    def axis(self) -> dict[str, int]:
        """Return the axis that holds the channels of the first tensor that each activation is."""
        axis: dict[str, int] = {}
        for name in self.sources:
            if shape := self.shape(name):
                axis[name] = min(max(self._axis(name, shape, axis), 0), len(shape) - 1)
        self._correct(axis)
        return axis

    def _axis(self, name: str, shape: Sequence[int], axis: dict[str, int]) -> int:
        told = self._told(name, len(shape))
        if told is not None:
            return told
        source = next((source for source in self.sources[name] if source in axis), None)
        if source is None:
            return _of_input(shape) if self.node(name).kind == "input" else len(shape) - 1
        return self._carried(name, shape, self.shape(source), axis[source])

    def _told(self, name: str, rank: int) -> int | None:
        """Return the axis that a layer itself tells; None for what only passes it on."""
        layer, op = self.layers.get(name), self.op(name)
        if layer is not None and layer.kind == "convolution":
            return 1
        if layer is not None and layer.kind in ("linear", "attention", "recurrent", "embedding"):
            return rank - 1
        if any(word in op for word in _FIRST_NORMS) or (resamples(self.node(name)) and rank > 2):
            return 1
        settings = self.node(name).settings
        normalized = settings.get("normalized_shape", settings.get("1"))
        is_last = op == "layernorm" and isinstance(normalized, tuple) and len(normalized) == 1
        if op.endswith("rmsnorm"):
            is_last = self._is_scaled_along_last(name)
        return rank - 1 if is_last or op in _LAST else None

    def _is_scaled_along_last(self, name: str) -> bool:
        """Return whether a norm has a weight for each feature of the last axis, and no other axis is as long."""
        sizes, params = self.shape(name)[1:], self.node(name).params
        return not params or params not in sizes or (sizes[-1] == params and params not in sizes[:-1])

    def _carried(self, name: str, shape: Sequence[int], before: Sequence[int], axis: int) -> int:
        node, op, rank = self.node(name), self.op(name), len(shape)
        if op in _PERMUTES and (order := _numbers(node)) and len(order) == len(before) == rank:
            order = tuple(place % rank for place in order)
            return order.index(axis) if axis in order else rank - 1
        if op in _SWAPS and len(pair := _numbers(node)) == 2 and rank:
            one, other = (place % rank for place in pair)
            return {one: other, other: one}.get(axis, axis)
        if len(before) == rank:
            return axis
        channels = before[axis] if axis < len(before) else 0
        same = [place for place in range(1, rank) if shape[place] == channels]
        if not same:
            return rank - 1
        return 1 if axis == 1 and 1 in same else same[-1]

    def _correct(self, axis: dict[str, int]) -> None:
        """Let layers also tell the axis of what they read, past steps that keep it."""
        sure: dict[str, int] = {}
        for name in reversed(self.sources):
            asks = self._asks(name, sure)
            if asks is None:
                continue
            rank = len(self.shape(name))
            for source in self.sources[name]:
                if len(self.shape(source)) > 2 and (not rank or rank == len(self.shape(source))):
                    sure.setdefault(source, asks)
                    axis[source] = asks % len(self.shape(source))

    def _asks(self, name: str, sure: dict[str, int]) -> int | None:
        layer, node, op = self.layers.get(name), self.node(name), self.op(name)
        if (layer is not None and layer.kind == "convolution") or "batchnorm" in op or "groupnorm" in op:
            return 1
        if (layer is not None and layer.kind == "linear") or self._told(name, 0) == -1:
            return -1
        keeps = is_activation(node) or is_passing(node) or op in _ELEMENTWISE or resamples(node)
        return sure.get(name) if keeps and layer is None else None

    # ---------------------------------------------------------------- extents

    def extent(self, name: str | None) -> Extent:
        """Return the positions, channels and sizes of an activation."""
        if name is None or name not in self._extents:
            return Extent(0, 0, ())
        return self._extents[name]

    @cached_property
    def _extents(self) -> dict[str, Extent]:
        return {name: self._extent(name) for name in self.sources if self.node(name).outputs}

    def _extent(self, name: str) -> Extent:
        shape = self.shape(name)
        if not shape:
            return Extent(1, 1, ())
        axis = self.axis[name]
        size = tuple(extent for place, extent in enumerate(shape) if place not in (0, axis))
        folded = max(1, shape[0] // self.batch) if axis else 1
        return Extent(max(1, prod(size) * folded), shape[axis] if axis else 1, size)

    def entering(self, nodes: Sequence[str]) -> str | None:
        """Return the first feature tensor from outside that some nodes read; a lone vector only if there is no map."""
        inside = set(nodes)
        read = [source for name in nodes for source in self.sources.get(name, ()) if source not in inside]
        features = [source for source in read if self.flow.is_floating(source)]
        maps = (source for source in features if self.extent(source).positions > 1)
        return next(maps, features[0] if features else None)

    def results(self, nodes: Sequence[str]) -> list[str]:
        """Return the feature tensors made by some nodes that are read elsewhere, in the order of the run."""
        inside = set(nodes)
        made = [name for name in nodes if name in self.sources]
        read = [
            name
            for name in made
            if name in self.needed and (not inside.issuperset(self.users[name]) or self._ends(name))
        ]
        return [name for name in read if self.node(name).outputs and self.flow.is_floating(name)] or made

    def leaving(self, nodes: Sequence[str]) -> str | None:
        """Return the node whose result leaves some nodes: of many the largest, else the last that is no lone token."""
        results = self.results(nodes)
        is_many = len(results) > _MANY

        def rank(name: str) -> tuple[int, int]:
            size = prod(self.shape(name)) if is_many else int(self.extent(name).positions > 1)
            return size, self.position[name]

        return max(results, key=rank, default=None)

    def _ends(self, name: str) -> bool:
        return any(self.node(user).kind == "output" for user in self.index.users[name])


_MANY = 3
"""Up to this many results of a part the last one counts as what leaves it."""


def _of_input(shape: Sequence[int]) -> int:
    """Return the axis of the channels of an input: the second of images, the first of an image without a batch.

    >>> _of_input((1, 3, 224, 224)), _of_input((3, 224, 224)), _of_input((2, 128, 64))
    (1, 0, 2)
    """
    rank = len(shape)
    return 1 if rank in (4, 5) else 0 if rank == 3 and shape[0] == 3 else rank - 1


def _numbers(node: Node) -> tuple[int, ...]:
    """Return the dimensions that a call names, as a tuple or one by one."""
    settings = node.settings
    for slot in ("1", "dims"):
        value: Any = settings.get(slot)
        if isinstance(value, tuple) and all(isinstance(each, int) for each in value):
            return value
    numbered = sorted((int(slot), value) for slot, value in settings.items() if slot.isdigit() and slot != "0")
    found = [value for _, value in numbered] or [settings[slot] for slot in _NAMED_DIMENSIONS if slot in settings]
    return tuple(value for value in found if isinstance(value, int))


_NAMED_DIMENSIONS = ("dim0", "axis0", "dim1", "axis1")


def resolutions(positions: Iterable[int]) -> int:
    """Count resolutions: those of about the same size once, and not that of a single position.

    >>> resolutions({196, 197, 784}), resolutions({1})
    (2, 0)
    """
    found = sorted(each for each in positions if each > 1)
    return bool(found) + sum(other > 1.5 * one for one, other in pairwise(found))
