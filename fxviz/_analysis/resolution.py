"""Find the places where feature maps get smaller, and their channels at each size."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from fxviz._analysis.facts import Cause, Layer, Stage, Step
from fxviz._graph import ArchGraph, Node, TensorInfo
from fxviz._graph.index import Index
from fxviz._graph.operations import plain_name

_SMALLER = 0.75
"""The largest ratio of sizes that counts as smaller: a convolution without padding only crops a few rows."""

Shrinking = dict[str, Step]
"""The nodes after which feature maps are smaller, in the order of the run."""


def shrinking(graph: ArchGraph, layers: Iterable[Layer], path: Iterable[str]) -> Shrinking:
    """Return the nodes on the main path after which feature maps are smaller.

    Feature maps have the batch size that the first convolution reads; in other tensors, heads of attention or regions
    of an image may be folded into the batch.

    Convolutions and pooling reduce the dimensions after the channels. Slicing with a step, like the patch merging of
    Swin transformers, reduces those that it slices.
    """
    convolutions = {call: layer for layer in layers if layer.kind == "convolution" for call in layer.calls}
    nodes = [graph.by_id[name] for name in path]
    batch = next(
        (read.shape[:1] for node in nodes if node.id in convolutions and (read := graph.index.tensor_read(node))), None
    )
    found = [
        node
        for node in nodes
        if batch is not None and (read := graph.index.tensor_read(node)) and read.shape[:1] == batch
    ]
    steps = {node.id: _step(node, graph, convolutions.get(node.id)) for node in found}
    return {name: step for name, step in steps.items() if step is not None}


def steps_of(steps: Shrinking) -> tuple[Step, ...]:
    """Return the first step for each pair of sizes: parallel branches shrink alike."""
    found: dict[tuple[tuple[int, ...], tuple[int, ...]], Step] = {}
    for step in steps.values():
        found.setdefault((step.before, step.after), step)
    return tuple(found.values())


def _step(node: Node, graph: ArchGraph, convolution: Layer | None) -> Step | None:
    read, made = _feature_map(node, graph.index), node.outputs
    if read is None or len(made) != 1 or len(read.shape) != len(made[0].shape) or len(read.shape) < 3:
        return None
    pairs = list(zip(read.shape, made[0].shape, strict=True))
    if pairs[0][0] != pairs[0][1]:
        return None
    if plain_name(node.op) == "getitem":
        shrunk = [pair for pair in pairs[1:] if pair[1] <= _SMALLER * pair[0]]
        return _smaller(node, "slicing", shrunk, ()) if len(shrunk) > 1 else None
    if convolution is not None:
        return _smaller(node, "convolution", pairs[2:], convolution.geometry.stride if convolution.geometry else ())
    if "pool" in plain_name(node.op):
        return _smaller(node, "pooling", pairs[2:], _stride(node.settings.get("stride")))
    return None


def _feature_map(node: Node, index: Index) -> TensorInfo | None:
    """Return the tensor that a node works on, before it was padded for the node."""
    source = index.main_argument(node)
    while source is not None and "pad" in plain_name(source.op) and (before := index.main_argument(source)) is not None:
        source = before
    return source.outputs[0] if source is not None and len(source.outputs) == 1 else None


def _smaller(node: Node, cause: Cause, sizes: list[tuple[int, int]], stride: tuple[int, ...]) -> Step | None:
    if not any(late <= _SMALLER * early for early, late in sizes):
        return None
    return Step(node.path or node.op, cause, tuple(size for size, _ in sizes), tuple(size for _, size in sizes), stride)


def _stride(value: Any) -> tuple[int, ...]:
    sizes = value if isinstance(value, tuple) else (value,)
    return sizes if all(isinstance(size, int) for size in sizes) else ()


def stages_of(graph: ArchGraph, layers: Iterable[Layer], steps: Shrinking) -> tuple[Stage, ...]:
    """Return the channels of the feature maps at each size, just before they first get smaller than it.

    If a block makes them smaller, these are the channels that enter the block, as it may widen them first. After the
    last such step they are the output channels of the last convolution. What gets smaller after it has grown again (in
    decoders, and in branches of several sizes) does not count.
    """
    convolutions = {layer.calls[0] for layer in layers if layer.kind == "convolution" and layer.place == "main"}
    stages: list[Stage] = []
    started = False
    for node in graph.nodes:
        step = steps.get(node.id)
        if step is not None and started and step.cause != "slicing":
            smaller = not stages or (step.before != stages[-1].size and not _grew(stages[-1].size, step.before))
            channels = _channels(node, step, graph, steps) if smaller else None
            if channels:
                stages.append(Stage(step.before, channels))
        started = started or node.id in convolutions
    return (*stages, *_last(graph, layers, steps))


def _grew(before: tuple[int, ...], now: tuple[int, ...]) -> bool:
    return any(late > early for late, early in zip(now, before, strict=False))


def _channels(node: Node, step: Step, graph: ArchGraph, steps: Shrinking) -> int | None:
    """Return the channels that enter the outermost block that holds this change of size and no other."""
    index = graph.index
    read = index.tensor_read(node)
    if step.cause == "convolution":
        for scope in index.around(node.scope):
            inside = index.inside[scope.id]
            sizes = {(steps[name].before, steps[name].after) for name in inside if name in steps}
            if not scope.id or len(sizes) > 1:
                break
            if not scope.sequential:
                read = _entering(inside, step, index) or read
    return read.shape[1] if read is not None else None


def _entering(inside: Collection[str], step: Step, index: Index) -> TensorInfo | None:
    """Return the first tensor of the size before the change that comes from outside."""
    names = set(inside)
    for name in inside:
        for source in (index.by_id[source] for source in index.sources[name] if source not in names):
            if len(source.outputs) == 1 and source.outputs[0].shape[2:] == step.before:
                return source.outputs[0]
    return None


def _last(graph: ArchGraph, layers: Iterable[Layer], steps: Shrinking) -> Iterator[Stage]:
    """Return the last feature maps after the last change of size, before they grow again.

    All later nodes depend on them, or all that the change leads to, except one of several results: the feature maps of
    one of several heads do not count.
    """
    if not steps or max(last := list(steps.values())[-1].after) == 1:
        return
    shrunk = list(steps)[-1]
    calls = {call for layer in layers if layer.kind == "convolution" and layer.place == "main" for call in layer.calls}
    inputs = {node.id for node in graph.nodes if node.kind == "input"}
    results = {source for node in graph.nodes if node.kind == "output" for source in graph.index.sources[node.id]}
    for chokepoints in (_chokepoints(graph, inputs), _chokepoints(graph, {shrunk}) - results):
        convolved, channels = False, 0
        for node in graph.nodes[graph.index.position[shrunk] :]:
            if len(node.outputs) == 1 and len(shape := node.outputs[0].shape) == len(last) + 2:
                convolved = convolved or (node.id in calls and shape[2:] == last)
                if node.id in chokepoints and shape[2:] != last:
                    break
                if node.id in chokepoints:
                    channels = shape[1]
        if convolved and channels:
            yield Stage(last, channels)
            return


def _chokepoints(graph: ArchGraph, starts: Collection[str]) -> frozenset[str]:
    """Return the nodes on every path from the starts to the output: no edge passes them by."""
    index = graph.index
    led = set(starts)
    needed = {node.id for node in graph.nodes if node.kind == "output"}
    for node in graph.nodes:
        if not led.isdisjoint(index.sources[node.id]):
            led.add(node.id)
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(index.users[node.id]):
            needed.add(node.id)
    places = {name: place for name, place in index.position.items() if name in led and name in needed}
    reach, found = 0, []
    for name, place in places.items():
        if place >= reach:
            found.append(name)
        reach = max(reach, *(places.get(user, 0) for user in index.users[name]), 0)
    return frozenset(found)
