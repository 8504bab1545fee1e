"""Find residual blocks, attention and the depth of a network."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain
from math import prod

from fxviz._analysis.facts import WEIGHTED, Attention, Blocks, Depth, Layer
from fxviz._graph import RESIDUAL_KINDS, ArchGraph, Node, Scope, Skip, SkipKind
from fxviz._graph.index import Index
from fxviz._graph.operations import is_masking, is_passing, is_scaling, is_softmax, is_view, plain_name

_FAR = 12
"""Steps after which a walk through views and masks ends."""

_PASSED = is_view, is_masking, is_scaling, is_passing
_PRODUCTS = ("matmul", "bmm", "baddbmm", "einsum")


def blocks_of(graph: ArchGraph) -> tuple[Blocks, ...]:
    """Return the residual blocks by class: the smallest modules that hold the body and the join of a residual skip.

    A module around one block is itself the block, with the skips of both, like BERT's layer around its attention. A
    module around several blocks is no block, and neither is the model itself.
    """
    index = graph.index
    held: dict[int, Counter[SkipKind]] = defaultdict(Counter)
    for skip in graph.skips:
        block = _block(skip, index)
        if block is not None and block.id:
            held[block.id][skip.kind] += 1
    inner = _inside(held, index)
    for scope, blocks in inner.items():
        if len(blocks) == 1:
            held[scope] += held[blocks[0]]
    parts = {blocks[0] for blocks in inner.values() if len(blocks) == 1}
    by_class: dict[str, list[Scope]] = defaultdict(list)
    for scope in sorted(held):
        if scope not in parts and len(inner[scope]) < 2:
            by_class[index.scopes[scope].class_name].append(index.scopes[scope])
    return tuple(
        Blocks(
            name,
            len({_module(scope) for scope in found}),
            dict(sum((held[scope.id] for scope in found), Counter())),
            len(found),
        )
        for name, found in by_class.items()
    )


def _module(scope: Scope) -> str | int:
    """Return what distinguishes modules: the path, or the call where that is no path but a class."""
    return scope.id if scope.path.startswith("<") else scope.path


def _inside(blocks: Collection[int], index: Index) -> dict[int, list[int]]:
    """Return the blocks inside each block, at any depth."""
    inner: dict[int, list[int]] = {block: [] for block in blocks}
    for block in blocks:
        for scope in index.around(block):
            if scope.id != block and scope.id in inner:
                inner[scope.id].append(block)
    return inner


def _block(skip: Skip, index: Index) -> Scope | None:
    if skip.kind not in RESIDUAL_KINDS:
        return None
    body = chain((skip.join,), index.between(skip.fork, skip.join))
    return index.around_all({index.by_id[name].scope for name in body})


def attention_of(graph: ArchGraph, layers: tuple[Layer, ...]) -> Attention | None:
    """Find the attention computed by modules, by torch's function, or by products around a softmax.

    The number of heads is the setting ``num_heads`` of a module. Otherwise the layer that reads the result tells the
    width, of which a head has the last or, where channels attend to channels, the second-last size of the result;
    without such a layer the second of four sizes is the number of heads.
    """
    cores = list(_cores(graph, layers))
    if not cores:
        return None
    blocks: dict[str, set[str | int]] = defaultdict(set)
    siblings = Counter((scope.parent, scope.cls) for scope in graph.scopes)
    for core, _ in cores:
        repeated = (
            scope
            for scope in graph.index.around(core.scope)
            if siblings[scope.parent, scope.cls] > 1 and not scope.sequential
        )
        if (block := next(repeated, None)) is not None:
            blocks[block.class_name].add(_module(block))
    entered = {call: width for layer in layers if (width := _width_entered(layer)) for call in layer.calls}
    sizes = [_sizes(core, heads, entered, graph.index) for core, heads in cores]
    heads = dict.fromkeys(heads for heads, _ in sizes if heads)
    widths = dict.fromkeys(width for _, width in sizes if width)
    return Attention(len(cores), tuple(heads), tuple(widths), {name: len(found) for name, found in blocks.items()})


def inside_attention(graph: ArchGraph, layers: tuple[Layer, ...]) -> set[str]:
    """Return the nodes in modules whose own code computes attention, which pools keys and values, not feature maps."""
    scopes = {core.scope for core, _ in _cores(graph, layers) if core.kind != "module" and core.scope}
    return {name for scope in scopes for name in graph.index.inside[scope]}


def _cores(graph: ArchGraph, layers: tuple[Layer, ...]) -> Iterator[tuple[Node, int]]:
    """Return the nodes that compute attention, with the number of heads, 0 if unknown."""
    inside = {call for layer in layers if layer.kind == "attention" for call in layer.calls}
    for node in graph.nodes:
        if node.id in inside:
            heads = node.settings.get("num_heads", 0)
            yield node, heads if isinstance(heads, int) else 0
        elif plain_name(node.op) == "scaleddotproductattention" or _is_softmax_of_scores(node, graph.index):
            shape = node.outputs[0].shape if node.outputs else ()
            yield node, shape[1] if len(shape) == 4 and _is_along_last(node) else 0


def _is_along_last(node: Node) -> bool:
    """Return whether a softmax is taken over the last axis, so that scores are of queries and keys, for each head."""
    dim = node.settings.get("dim", node.settings.get("1", -1))
    return not is_softmax(node) or dim in (-1, 3)


def _is_softmax_of_scores(node: Node, index: Index) -> bool:
    return is_softmax(node) and all(
        _nearest_product(node, neighbors, index) for neighbors in (index.sources, index.users)
    )


def _nearest_product(start: Node, neighbors: Mapping[str, Iterable[str]], index: Index) -> Node | None:
    """Return the nearest matrix product along the sources or users, past views, masks, scaling and dropout only."""
    waiting, seen = [start.id], {start.id}
    for _ in range(_FAR):
        reached = [index.by_id[name] for passed in waiting for name in neighbors[passed] if name not in seen]
        if found := next(filter(_multiplies, reached), None):
            return found
        seen.update(node.id for node in reached)
        waiting = [node.id for node in reached if any(passes(node) for passes in _PASSED)]
    return None


def _multiplies(node: Node) -> bool:
    return not node.uses and plain_name(node.op) in _PRODUCTS


def _sizes(core: Node, heads: int, entered: Mapping[str, int], index: Index) -> tuple[int, int]:
    """Return the number of heads and the width of attention; 0 for what is unknown.

    Args:
        core: the node that computes it.
        heads: the number of heads that it declares, or the second of the four sizes of its scores or its result.
        entered: the width that each layer reads, by its calls.
        index: the graph's index.
    """
    result = _nearest_product(core, index.users, index) if is_softmax(core) else core
    if result is None or not result.outputs or not result.outputs[0].shape:
        return heads, 0
    shape = result.outputs[0].shape
    if core.kind == "module" and not is_softmax(core):
        return heads, shape[-1]
    width = _width_read(result, entered, index)
    if not width or heads * shape[-1] == width:
        return heads, heads * shape[-1]
    return next((width // size for size in reversed(shape[-2:]) if width % size == 0), 0), width


def _width_read(start: Node, entered: Mapping[str, int], index: Index) -> int:
    """Return the width that the nearest layer reads from a result, all of which it gets; 0 if there is none."""
    size, waiting = prod(start.outputs[0].shape), index.users[start.id]
    for _ in range(_FAR):
        nodes = [node for name in waiting if (node := index.by_id[name]).outputs]
        if width := next((entered[node.id] for node in nodes if node.id in entered), 0):
            return width
        kept = [node for node in nodes if prod(node.outputs[0].shape) == size and not _multiplies(node)]
        waiting = tuple(user for node in kept for user in index.users[node.id])
    return 0


def _width_entered(layer: Layer) -> int:
    """Return the number of features or channels that a fully connected layer or a convolution reads; 0 for others."""
    if layer.features is not None:
        return layer.features[0]
    return layer.geometry.in_channels if layer.geometry is not None else 0


def main_path(graph: ArchGraph, layers: tuple[Layer, ...]) -> tuple[str, ...]:
    """Return the nodes along the longest chain of weighted layers from an input; of equal chains the first.

    >>> from fxviz._graph import ArchGraph, Edge, ModelInfo, Node, Scope, TraceInfo
    >>> nodes = (Node("x", "input", "x", "x"), Node("relu", "module", "ReLU", "relu"))
    >>> trace, scopes = TraceInfo("meta", "fake", {}, "2.4.0", None), (Scope(0, "", "Net", 0, None),)
    >>> main_path(ArchGraph(ModelInfo("net", "python", "Net"), trace, nodes, (Edge("x", "relu", "0"),), scopes, ()), ())
    ('x', 'relu')
    """
    counted = _layers_in_depth(layers)
    longest: dict[str, tuple[int, int]] = {}
    above: dict[str, str | None] = {}
    for node in graph.nodes:
        before = max(graph.index.sources[node.id], key=lambda source: longest[source][0], default=None)
        above[node.id] = before
        layers_until, steps_until = (0, 0) if before is None else longest[before]
        longest[node.id] = layers_until + (node.id in counted), steps_until + 1
    end = max(longest, key=longest.__getitem__, default=None)
    path = []
    while end is not None:
        path.append(end)
        end = above[end]
    return tuple(reversed(path))


def _layers_in_depth(layers: tuple[Layer, ...]) -> dict[str, Layer]:
    """Return the layers that count towards the depth, by the nodes that run them."""
    return {call: layer for layer in layers if layer.place == "main" and layer.kind in WEIGHTED for call in layer.calls}


def depth_of(path: Iterable[str], layers: tuple[Layer, ...]) -> Depth:
    """Count the weighted layers along the main path, as GoogLeNet's depth is counted (arXiv:1409.4842, section 5).

    Layers on shortcuts and in gates do not count; a layer that is called again counts again.

    >>> depth_of((), ())
    Depth(layers=0, kinds={}, repeats=False)
    """
    counted = _layers_in_depth(layers)
    passed = [counted[name] for name in path if name in counted]
    return Depth(
        len(passed), dict(Counter(layer.kind for layer in passed)), len({layer.path for layer in passed}) < len(passed)
    )
