"""Find the layers of a graph: modules and functions with weights, their kind and their place."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Any

from fxviz._analysis.facts import Geometry, Kind, Layer, Place
from fxviz._graph import RESIDUAL_KINDS, ArchGraph, Node, SkipKind
from fxviz._graph.index import Index
from fxviz._graph.operations import is_norm, is_view, name_of, plain_name

_RECURRENT = ("lstm", "gru", "rnntanh", "rnnrelu", "lstmcell", "grucell", "rnntanhcell", "rnnrelucell")
_PRODUCTS = ("linear", "matmul", "mm", "addmm", "bmm", "baddbmm", "einsum", "bilinear")


def layers_of(graph: ArchGraph, places: Mapping[str, Place]) -> tuple[Layer, ...]:
    """Return the layers in the order in which they first ran; calls of one module are one layer.

    >>> from fxviz._graph import ModelInfo, Parameter, Scope, TensorInfo, TraceInfo
    >>> fc = Node("fc", "module", "Linear", "fc", uses=("fc.weight",), params=16, macs=16,
    ...           settings={"in_features": 4, "out_features": 4}, outputs=(TensorInfo((1, 4), "float32"),))
    >>> graph = ArchGraph(ModelInfo("tiny", "python", "Tiny"), TraceInfo("meta", "fake", {}, "2.4.0", None), (fc,), (),
    ...                   (Scope(0, "", "Tiny", 0, None),), (Parameter("fc.weight", (4, 4), "float32", True),))
    >>> [(layer.path, layer.kind, layer.place, layer.weight) for layer in layers_of(graph, {})]
    [('fc', 'linear', 'main', (4, 4))]
    """
    index = graph.index
    pairs = list(_pairs(graph))
    read: dict[str, list[str]] = defaultdict(list)
    for holder, runner in pairs:
        read[runner.id] += holder.uses
    groups: dict[tuple[str, ...], list[tuple[Node, Node]]] = defaultdict(list)
    for holder, runner in pairs:
        groups[_identity(holder, runner, read[runner.id], index)].append((holder, runner))
    functions = Counter(path for path, *read in groups if read)
    params = _params_of(groups.values())
    return tuple(
        _layer(_path(key, functions[key[0]]), group, amount, places, index)
        for (key, group), amount in zip(groups.items(), params, strict=True)
    )


def _params_of(groups: Iterable[list[tuple[Node, Node]]]) -> Iterator[int]:
    """Return the scalars that each group counts; what several groups hold counts in the first."""
    counted: set[str] = set()
    for group in groups:
        held = {holder.id: holder.params for holder, _ in group if holder.id not in counted}
        counted |= held.keys()
        yield sum(held.values())


def _pairs(graph: ArchGraph) -> Iterator[tuple[Node, Node]]:
    """Pair each node that holds parameters with those that compute with them: itself, or the functions that read it."""
    readers: dict[str, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        if node.kind in ("function", "method") and not is_view(node) and _kind(node, []) != "other":
            for argument in graph.index.parameters_read(node):
                readers[argument.id].append(node)
    for node in graph.nodes:
        if node.uses:
            found = readers.get(node.id, [node])
            on_data = [reader for reader in found if reader.id in graph.index.varying]
            yield from ((node, reader) for reader in on_data or found)


def _identity(holder: Node, runner: Node, read: list[str], index: Index) -> tuple[str, ...]:
    """Return a key that is equal for nodes of one layer, with its path first: for a function all that it reads.

    A function's path is that of the module whose weight it reads, or the names of parameters that stand for themselves.
    """
    if holder.kind != "parameter" or runner is holder:
        return (holder.path,)
    return (index.layer_of(read[0]) or ", ".join(read), *read)


def _path(identity: tuple[str, ...], functions: int) -> str:
    """Return the path of a layer, or the names of its parameters if several functions share the path."""
    path, *read = identity
    return ", ".join(read) if read and functions > 1 else path


def _layer(
    path: str,
    pairs: list[tuple[Node, Node]],
    params: int,
    places: Mapping[str, Place],
    index: Index,
) -> Layer:
    runners = list({runner.id: runner for _, runner in pairs}.values())
    names = dict.fromkeys(name for holder, _ in pairs for name in holder.uses)
    shapes = (index.parameters[name].shape for name in names if name in index.parameters)
    weights = sorted(shapes, key=prod, reverse=True)
    first, weight = index.described(runners[0]), weights[0] if weights else None
    kind = _kind(first, weights)
    macs = [node.macs for node in runners]
    return Layer(
        path,
        _name(first, path, names, index),
        kind,
        places.get(first.id, "main"),
        tuple(node.id for node in runners),
        params=params,
        macs=None if None in macs else sum(count or 0 for count in macs),
        weight=weight,
        geometry=_geometry(first, weight) if kind == "convolution" else None,
        features=_features(first, weight, index) if kind == "linear" else None,
    )


def _name(node: Node, path: str, names: Iterable[str], index: Index) -> str:
    """Return the class of the module that a layer is, or else the function's name."""
    owners = {index.parameters[name].owner for name in names if index.layer_of(name) == path}
    owner = owners.pop().rpartition(".")[2] if len(owners) == 1 else ""
    return owner if owner and node.kind != "module" else name_of(node)


def _kind(node: Node, weights: list[tuple[int, ...]]) -> Kind:
    """Return the kind of the layer that a node runs; functions need no weights for it.

    A module's kind follows from its settings: other libraries keep torch's names for these in classes of their own.
    """
    settings, name = node.settings, plain_name(node.op)
    if is_norm(node):
        return "norm"
    if "embedding" in name or "num_embeddings" in settings:
        return "embedding"
    if node.kind != "module":
        return _kind_of_function(name, node)
    if "hidden_size" in settings and ("num_layers" in settings or name.endswith("cell")):
        return "recurrent"
    if node.macs == 0:
        return "other"
    if "num_heads" in settings or "attention" in name:
        return "attention"
    matrices = [weight for weight in weights if len(weight) > 1 and not _scales(weight, weights[0])]
    if len(matrices) != 1:
        return "other"
    if len(matrices[0]) == 2 or name == "bilinear":
        return "linear"
    return "convolution" if "kernel_size" in settings or "conv" in name else "other"


def _scales(weight: tuple[int, ...], largest: tuple[int, ...]) -> bool:
    """Return whether a parameter scales a larger one, as weight norm does (arXiv:1602.07868).

    >>> _scales((64, 1, 1), (64, 3, 3)), _scales((64, 3, 3), (64, 3, 3))
    (True, False)
    """
    stretches = len(weight) == len(largest) and all(
        size in (1, full) for size, full in zip(weight, largest, strict=True)
    )
    return stretches and weight != largest


def _kind_of_function(name: str, node: Node) -> Kind:
    if name.startswith("conv"):
        return "convolution"
    if name in _RECURRENT:
        return "recurrent"
    return "linear" if name in _PRODUCTS and node.macs != 0 else "other"


def _geometry(node: Node, weight: tuple[int, ...] | None) -> Geometry | None:
    """Return the geometry that settings tell; of a module, whose settings may be anything, from the weight's shape."""
    settings = node.settings
    groups = _whole(settings.get("groups")) or 1
    transposed = settings.get("transposed") is True or "transpose" in plain_name(node.op)
    if node.kind != "module":
        if "kernel_size" not in settings:
            return None
        kernel, inner, outer = settings["kernel_size"], settings["in_channels"], settings["out_channels"]
    elif weight is None or len(weight) < 3:
        return None
    else:
        kernel = weight[2:]
        inner, outer = (weight[0], weight[1] * groups) if transposed else (weight[1] * groups, weight[0])
    dims = len(kernel)
    stride, dilation = (_sizes(settings.get(name), dims) or (1,) * dims for name in ("stride", "dilation"))
    padding = _sizes(settings.get("padding", 0), dims)
    return Geometry(kernel, stride, dilation, groups, inner, outer, transposed, padding)


def _whole(value: Any) -> int | None:
    """Return a setting if it is a positive integer: custom modules may keep anything under its name."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _sizes(value: Any, dims: int) -> tuple[int, ...]:
    """Return one number per dimension; () if the value is no number."""
    sizes = value if isinstance(value, tuple) else (value,)
    if len(sizes) not in (1, dims) or not all(isinstance(size, int) for size in sizes):
        return ()
    return sizes if len(sizes) == dims else sizes * dims


def _features(node: Node, weight: tuple[int, ...] | None, index: Index) -> tuple[int, int] | None:
    inner, outer = (_whole(node.settings.get(name)) for name in ("in_features", "out_features"))
    if inner is not None and outer is not None:
        return inner, outer
    read, made = index.tensor_read(node), node.outputs[:1]
    if read is not None and made and read.shape and made[0].shape:
        return read.shape[-1], made[0].shape[-1]
    return (weight[1], weight[0]) if weight is not None and len(weight) == 2 else None


def places_of(graph: ArchGraph) -> dict[str, Place]:
    """Return the place of the nodes on residual shortcuts and inside gates.

    Layers on shortcuts do not count as layers, as in He et al. (arXiv:1512.03385, table 1).
    """
    places: dict[str, Place] = {}
    for skip in graph.skips:
        if skip.kind in RESIDUAL_KINDS:
            places.update(dict.fromkeys(skip.through, "shortcut"))
        elif skip.kind == "gate":
            gate = set(graph.index.between(skip.fork, skip.join)) - set(skip.through)
            places.update(dict.fromkeys(gate, "gate"))
    return places


def skip_params(graph: ArchGraph) -> dict[SkipKind, int]:
    """Count the scalars in the parameters of layers and biases on shortcuts, by kind of skip, where there are any."""
    params: dict[SkipKind, int] = {}
    for skip in graph.skips:
        read = {source for name in skip.through for source in graph.index.sources[name]}
        weights = (name for name in read if graph.by_id[name].kind == "parameter")
        if amount := sum(graph.by_id[name].params for name in (*skip.through, *weights)):
            params[skip.kind] = params.get(skip.kind, 0) + amount
    return params
