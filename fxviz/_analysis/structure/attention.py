"""Find attention in its spellings: modules, torch's function, products around a softmax or without one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from fxviz._analysis.structure.movements import Group, group_of
from fxviz._analysis.structure.tensors import Tensors
from fxviz._graph import Node
from fxviz._graph.operations import (
    is_masking,
    is_norm,
    is_passing,
    is_scaling,
    is_softmax,
    is_view,
    plain_name,
    reduces,
)

_PRODUCTS = ("matmul", "bmm", "baddbmm", "einsum")
_FAR = 16
"""The most steps between two products of one attention."""

_BACK = 40
"""The most steps from queries back to their projection."""

_REPEATS = ("expand", "repeatinterleave", "repeat", "expandas", "tile")
_OWN = 12
"""The most steps that are followed back from queries and keys to a tensor that both are made from."""

Attending = Literal["softmax", "linear", "channel"]


@dataclass(frozen=True)
class Core:
    """One computation of attention.

    Attributes:
        node: the node that makes its result.
        first: the node that makes its scores, or the same.
        attending: "softmax", "linear", or "channel" if channels attend to channels.
        heads, width: heads, and channels of one; 0 if unknown.
        kv_heads: heads of keys and values.
        queries, keys: positions in one group.
        groups: groups of positions in one example.
        group: which positions stand in one group; None if that is unknown, or if all do.
        cross: true if keys come from another stream than queries.
        mixed: true if a layer mixes the heads' scores.
        between: the nodes between scores and result.
    """

    node: str
    first: str
    attending: Attending
    heads: int
    width: int
    kv_heads: int
    queries: int
    keys: int
    groups: int = 1
    group: Group | None = None
    cross: bool = False
    mixed: bool = False
    between: tuple[str, ...] = ()

    @property
    def in_windows(self) -> bool:
        """Return whether positions attend within groups, also where a single group holds all of a small map."""
        return self.groups > 1 or (self.group is not None and self.group.cut)


def cores_of(tensors: Tensors) -> dict[str, Core]:
    """Return the attention of a graph by the node that makes its result."""
    found: dict[str, Core] = {}
    for name in tensors.sources:
        layer = tensors.layers.get(name)
        if layer is not None and layer.kind == "attention":
            core: Core | None = _of_module(tensors, name)
        elif tensors.op(name) == "scaleddotproductattention":
            core = _of_function(tensors, name)
        elif _is_product(tensors, name):
            core = _of_products(tensors, name)
        else:
            continue
        if core is not None:
            found[name] = core
    return found


def _is_product(tensors: Tensors, name: str) -> bool:
    """Return whether a node multiplies two activations, neither of which is a weight."""
    node = tensors.node(name)
    if node.kind == "module" or node.uses or plain_name(node.op) not in _PRODUCTS:
        return False
    return sum(source in tensors.sources for _, source in tensors.flow.arguments(name)) > 1


def _argument(tensors: Tensors, name: str, place: int, keyword: str) -> str | None:
    arguments = tensors.index.arguments(tensors.node(name))
    node = arguments.get(str(place)) or arguments.get(keyword)
    return node.id if node is not None else None


def _of_module(tensors: Tensors, name: str) -> Core:
    settings, shape = tensors.node(name).settings, tensors.shape(name)
    heads = settings.get("num_heads")
    heads = heads if isinstance(heads, int) and heads > 0 else 0
    query, key = _argument(tensors, name, 0, "query"), _argument(tensors, name, 1, "key")
    positions = tensors.extent(name).positions
    keys = tensors.extent(key).positions or positions
    cross = query is not None and key is not None and _is_cross(tensors, query, key)
    width = shape[-1] // heads if heads and shape else 0
    return Core(name, name, "softmax", heads, width, heads, positions, keys, cross=cross)


def _of_function(tensors: Tensors, name: str) -> Core | None:
    query, key = _argument(tensors, name, 0, "query"), _argument(tensors, name, 1, "key")
    if query is None or key is None or len(q := tensors.shape(query)) < 3 or len(k := tensors.shape(key)) < 3:
        return None
    heads = q[-3] if len(q) > 3 else max(1, q[0] // tensors.batch)
    if _is_over_positions(tensors, query, q[-1], (q[-2], k[-2]), heads):
        return Core(name, name, "channel", heads, q[-2], heads, q[-1], q[-1])
    is_shared = len(k) > 3 and k[-3] != heads
    heads, groups = _divided(tensors, name, heads, tensors.shape(name)[-1], prod(q[:-2]))
    kv_heads = _kv_heads(tensors, key, k[-3] if is_shared else heads)
    cross = _is_cross(tensors, query, key)
    group = group_of(tensors, query)
    return Core(name, name, "softmax", heads, q[-1], min(kv_heads, heads), q[-2], k[-2], groups, group, cross)


def _of_products(tensors: Tensors, last: str) -> Core | None:
    """Return the attention of which a product makes the result: its scores are made by an earlier product."""
    first, passed = _product_before(tensors, last)
    if first is None:
        return None
    nodes = [tensors.node(name) for name in passed]
    is_normalized = any(is_softmax(node) or plain_name(node.op) == "exp" for node in nodes)
    scores, result = tensors.shape(first), tensors.shape(last)
    query, key = _operands(tensors, first)
    if len(scores) < 3 or query is None or key is None:
        return None
    summed = (tensors.node(first).macs or 0) // max(1, prod(scores))
    if not is_normalized:
        return _linear(tensors, first, last, summed)
    heads = scores[-3] if len(scores) > 3 else max(1, scores[0] // tensors.batch)
    if _is_over_positions(tensors, query, summed, (scores[-2], scores[-1]), heads):
        return Core(last, first, "channel", heads, scores[-2], heads, summed, summed)
    heads, groups = _divided(tensors, last, heads, prod(result) // max(1, prod(scores[:-1])), prod(scores[:-2]))
    is_ordered = tensors.op(first) != "einsum"
    shared = _kv_heads(tensors, key, _heads_at(tensors, key, heads) if is_ordered else heads)
    return Core(
        last,
        first,
        "softmax",
        heads,
        summed,
        min(shared, heads),
        scores[-2],
        scores[-1],
        groups,
        group_of(tensors, query) if is_ordered else None,
        _is_cross(tensors, query, key),
        any(_mixes(tensors, name, heads) for name in passed),
        tuple(passed),
    )


def _heads_at(tensors: Tensors, key: str, heads: int) -> int:
    """Return the heads of a key: one that is broadcast has a single one."""
    shape = tensors.shape(key)
    return 1 if len(shape) > 3 and shape[-3] == 1 else heads


def _linear(tensors: Tensors, first: str, last: str, summed: int) -> Core | None:
    """Return attention without a softmax between its products: keys times values first (arXiv:2006.16236)."""
    query, _ = _operands(tensors, first)
    shape = tensors.shape(first)
    projection = _projection(tensors, query) if query is not None else None
    if projection is None or max(shape[-2:]) > 2 * min(shape[-2:]) or summed <= 1:
        return None
    heads = shape[-3] if len(shape) > 3 else max(1, shape[0] // tensors.batch)
    if summed in shape[-2:] or summed != tensors.extent(projection).positions:
        return None
    return Core(last, first, "linear", heads, min(shape[-2:]), heads, summed, summed)


def cross_edges(tensors: Tensors, cores: Mapping[str, Core]) -> frozenset[tuple[str, str]]:
    """Return the edges by which keys and values enter cross-attention."""
    found: set[tuple[str, str]] = set()
    for core in cores.values():
        if not core.cross:
            continue
        if core.first == core.node:
            operands = [_argument(tensors, core.node, place, name) for place, name in ((1, "key"), (2, "value"))]
        else:
            operands = [_operands(tensors, core.first)[1], _operands(tensors, core.node)[1]]
        for operand in operands:
            if operand is None or operand not in tensors.sources:
                continue
            if _is_module(tensors.node(core.node)):
                found.add((operand, core.node))
            elif (projection := _projection(tensors, operand)) is not None:
                found |= {(source, projection) for source in tensors.sources[projection]}
    return frozenset(found)


def _operands(tensors: Tensors, name: str) -> tuple[str | None, str | None]:
    """Return the two tensors that a product multiplies, the last two of ``baddbmm``."""
    names = [source for _, source in sorted(tensors.flow.arguments(name)) if source in tensors.sources]
    pair = names[-2:] if tensors.op(name) == "baddbmm" else names[:2]
    return (pair[0], pair[1]) if len(pair) == 2 else (None, None)


def _product_before(tensors: Tensors, last: str) -> tuple[str | None, list[str]]:
    """Return the nearest product before another one, past masks, scaling and normalization, and what lies between."""
    waiting, above = [last], {last: ""}
    for _ in range(_FAR):
        reached: list[str] = []
        for name in waiting:
            for source in tensors.sources[name]:
                if source not in above:
                    above[source] = name
                    if _is_product(tensors, source):
                        return source, list(_way(above, name, last))
                    if _keeps(tensors, source):
                        reached.append(source)
        waiting = reached
    return None, []


def _way(above: dict[str, str], name: str, last: str) -> Iterator[str]:
    while name != last:
        yield name
        name = above[name]


def _keeps(tensors: Tensors, name: str) -> bool:
    """Return whether a step may stand between the products of attention; of a module its own steps count."""
    node = tensors.node(name)
    steps = [Node(node.id, "function", step, "") for step in node.steps] or [node]
    return _is_small(tensors, name) or (not node.macs and all(any(test(step) for test in _BETWEEN) for step in steps))


def _is_exponential(node: Node) -> bool:
    return plain_name(node.op) == "exp"


def _is_normalizing(node: Node) -> bool:
    """Return whether a step is one of a softmax by hand, or puts a sink beside the scores (arXiv:2309.17453)."""
    return plain_name(node.op) in ("sub", "div", "cat", "max", "amax", "clamp", "nantonum")


_BETWEEN = is_view, is_masking, is_scaling, is_passing, is_softmax, is_norm, reduces, _is_exponential, _is_normalizing


def _is_small(tensors: Tensors, name: str) -> bool:
    """Return whether a layer has as few features as heads: it mixes their scores."""
    layer = tensors.layers.get(name)
    if layer is None or layer.weight is None or layer.kind not in ("linear", "convolution"):
        return False
    return len(layer.weight) >= 2 and layer.weight[0] == layer.weight[1] <= _MOST_HEADS


_MOST_HEADS = 64


def _mixes(tensors: Tensors, name: str, heads: int) -> bool:
    layer = tensors.layers.get(name)
    return layer is not None and layer.weight is not None and layer.weight[0] == heads and _is_small(tensors, name)


def _projection(tensors: Tensors, name: str) -> str | None:
    """Return the nearest layer with weights that a tensor is made by, past views and elementwise steps."""
    waiting, seen = [name], {name}
    for _ in range(_BACK):
        reached: list[str] = []
        for each in waiting:
            layer = tensors.layers.get(each)
            if layer is not None and layer.kind in ("linear", "convolution"):
                return each
            reached += [source for source in tensors.sources.get(each, ()) if source not in seen]
            seen.update(reached)
        waiting = reached
    return None


def _is_over_positions(tensors: Tensors, name: str, summed: int, sizes: tuple[int, int], heads: int) -> bool:
    """Return whether a product sums over all positions, and makes scores between the channels of a head."""
    projection = _projection(tensors, name)
    if projection is None or sizes[0] != sizes[1] or summed == sizes[0]:
        return False
    extent = tensors.extent(projection)
    return summed == extent.positions and extent.channels in [times * sizes[0] * heads for times in (1, 2, 3)]


def _divided(tensors: Tensors, result: str, heads: int, width: int, parts: int) -> tuple[int, int]:
    """Return the heads and the groups of positions in one example.

    The layer behind tells the heads where they stand at another place than the third-last dimension of the scores, or
    are folded into the batch.
    """
    features = _features_behind(tensors, result)
    told = features // width if width and features and features % width == 0 else 0
    sizes = tensors.shape(result)[:-2]
    is_size = len(sizes) == 1 or (told in sizes and (told > 1 or len(sizes) != 2))
    if told and parts % told == 0 and is_size:
        heads = told
    return heads, max(1, parts // max(1, heads) // tensors.batch)


def _features_behind(tensors: Tensors, name: str) -> int:
    """Return the features that the next layer behind a tensor reads; 0 if there is none nearby."""
    for _ in range(_OWN):
        users = tensors.users[name]
        if len(users) != 1:
            return 0
        (name,) = users
        layer = tensors.layers.get(name)
        if layer is not None and layer.kind == "linear" and layer.features is not None:
            return layer.features[0]
        if layer is not None and layer.geometry is not None:
            return layer.geometry.in_channels
        if layer is not None and layer.kind != "norm":
            return 0
    return 0


def _kv_heads(tensors: Tensors, key: str, heads: int) -> int:
    """Return the heads of a key before they were repeated for the queries (arXiv:2305.13245)."""
    name = key
    for _ in range(_OWN):
        sources, node = tensors.sources.get(name, ()), tensors.node(name)
        if name in tensors.layers or not sources:
            return heads
        if plain_name(node.op) in _REPEATS:
            before, after = prod(tensors.shape(sources[0])), prod(tensors.shape(name))
            if 0 < before < after and heads * before % after == 0:
                return heads * before // after
        main = tensors.index.main_argument(node)
        name = main.id if main is not None and main.id in sources else sources[0]
    return heads


def _is_cross(tensors: Tensors, query: str, key: str) -> bool:
    """Return whether keys come from another stream: no tensor that is near before both makes both."""
    return _origins(tensors, query).isdisjoint(_origins(tensors, key))


def _origins(tensors: Tensors, name: str) -> set[str]:
    """Return what a tensor is made from: back along steps with one source, and the sources of the first with more.

    The projection is one step of these; what stands between it and the scores may have any number of sources.
    """
    projection = _projection(tensors, name) if not _is_module(tensors.node(name)) else None
    start = projection or name
    found = {start}
    for _ in range(_OWN):
        sources = tensors.sources.get(start, ())
        found.update(sources)
        if len(sources) != 1:
            break
        (start,) = sources
    return found


def _is_module(node: Node) -> bool:
    return node.kind == "module"
