"""The settings of a layer of an exported program, which keeps operations only: kernel_size, stride, in_features, ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import fx, nn
from torch._ops import OpOverload


def settings(layer: nn.Module, graph: fx.Graph) -> dict[str, Any]:
    """What ``layer``'s operation is called with, and the sizes of its weight, under the names that torch's own layers use.

    Args:
        layer: holds the parameters.
        graph: what it runs; nothing is told of a module that has others in it.

    >>> import torch
    >>> model = nn.Sequential(nn.Linear(4, 2), nn.MaxPool1d(2))
    >>> program = torch.export.export(model, (torch.ones(1, 1, 4),), strict=False)
    >>> linear, pool = torch.export.unflatten(program).children()
    >>> settings(linear, linear.graph), settings(pool, pool.graph)["kernel_size"]
    ({'in_features': 4, 'out_features': 2}, (2,))
    """
    node = _operation(graph)
    if node is None or any(name != "parametrizations" for name, _ in layer.named_children()):
        return {}
    schema: Any = getattr(node.target, "_schema")  # noqa: B009
    given = dict(zip([argument.name for argument in schema.arguments], node.args, strict=False)) | node.kwargs
    defaults = {argument.name: argument.default_value for argument in schema.arguments if argument.has_default_value()}
    found = {name: tuple(value) if isinstance(value, list) else value for name, value in (defaults | given).items()}
    if isinstance(given.get("weight"), fx.Node):
        found |= _sizes(schema.name, _shape(layer, given["weight"]), found)
    return {name: value for name, value in found.items() if _is_plain(value) and not hasattr(layer, name)}


def _operation(graph: fx.Graph) -> fx.Node | None:
    """The operation that a layer consists of: the one that takes a weight, else the only one."""
    calls = [node for node in graph.nodes if isinstance(node.target, OpOverload)]
    weighing = [node for node in calls if any(argument.name == "weight" for argument in node.target._schema.arguments)]
    return next(iter(weighing), calls[0] if len(calls) == 1 else None)


def _shape(layer: nn.Module, weight: fx.Node) -> Sequence[int]:
    """The sizes of a parameter, or of what a parametrization makes of several."""
    sizes: Sequence[int] = (layer.get_parameter(str(weight.target)) if weight.op == "get_attr" else weight.meta["val"]).shape
    return sizes


def _sizes(op: str, weight: Sequence[int], found: Mapping[str, Any]) -> dict[str, Any]:
    """What torch's own layers call the sizes of their weight."""
    name = op.rpartition("::")[2]
    if name == "linear":
        return {"in_features": weight[1], "out_features": weight[0]}
    if name == "embedding":
        return {"num_embeddings": weight[0], "embedding_dim": weight[1]}
    if not name.startswith("conv"):
        return {}
    groups = found.get("groups", 1)
    transposed = "transpose" in name or found.get("transposed", False)
    outer, inner = (weight[1] * groups, weight[0]) if transposed else (weight[0], weight[1] * groups)
    return {"in_channels": inner, "out_channels": outer, "kernel_size": tuple(weight[2:])}


def _is_plain(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str)) or (
        isinstance(value, tuple) and value != () and all(map(_is_plain, value))
    )
