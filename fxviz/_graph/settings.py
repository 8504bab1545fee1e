"""Read the settings of a layer from the call of a function, by the names that torch's layers have for them.

``F.conv2d(x, self.weight, stride=2)`` is a convolution as ``nn.Conv2d`` is: its kernel and channels follow from the
weight's shape, the rest from the arguments.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_PLACES = {
    # https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv2d.html
    "conv": {"stride": "3", "padding": "4", "dilation": "5", "groups": "6"},
    # https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv_transpose2d.html
    "convtranspose": {"stride": "3", "padding": "4", "groups": "6", "dilation": "7"},
    # aten::convolution in torch's native_functions.yaml
    "convolution": {"stride": "3", "padding": "4", "dilation": "5", "transposed": "6", "groups": "8"},
}
"""Slots of the arguments of functions that convolve, by their names as module settings."""

_WEIGHTS = {
    **dict.fromkeys(_PLACES, ("weight", "1")),
    "linear": ("weight", "1"),
    "embedding": ("weight", "1", "0"),
    "embeddingbag": ("weight", "1"),
    "matmul": ("other", "1", "0"),
    "mm": ("mat2", "1", "0"),
    "addmm": ("mat2", "2"),
}
"""Slots in which functions may take the weight of a layer; the first that holds one counts."""


def function_of(name: str) -> str:
    """Return the function by which arguments are looked up: the one for one dimension and for three are the same.

    >>> function_of("conv2d"), function_of("convtranspose1d"), function_of("relu")
    ('conv', 'convtranspose', 'relu')
    """
    return re.sub("(?<=^conv|pose)[123]d$", "", name)


def weight_slots(name: str) -> tuple[str, ...]:
    """Return the slots in which a function of this plain name may take the weight of a layer; () for all others."""
    return _WEIGHTS.get(function_of(name), ())


def settings_of_call(name: str, arguments: Mapping[str, Any], slot: str, weight: Sequence[int]) -> dict[str, Any]:
    """Return the arguments of a call, and the settings that the layer of torch would have that computes the same.

    Args:
        name: the plain name of the function (:func:`fxviz._graph.operations.plain_name`).
        arguments: its plain arguments, by position ("3") or name ("stride").
        slot: the slot in which it takes the weight.
        weight: the weight's shape.

    >>> found = settings_of_call("conv2d", {"3": 2, "groups": 8}, "1", (16, 1, 3, 3))
    >>> found["kernel_size"], found["stride"], found["groups"], found["in_channels"], found["out_channels"]
    ((3, 3), 2, 8, 8, 16)
    >>> settings_of_call("addmm", {}, "2", (64, 128))
    {'in_features': 64, 'out_features': 128}
    """
    function, sizes = function_of(name), tuple(weight)
    if function in _PLACES:
        return _convolution(function, arguments, sizes)
    if len(sizes) < 2 or function not in _WEIGHTS:
        return dict(arguments)
    names = ("num_embeddings", "embedding_dim") if function.startswith("embedding") else ("in_features", "out_features")
    is_reversed = function == "linear" or (slot == "0" and function in ("matmul", "mm"))
    pair = sizes[-1:-3:-1] if is_reversed else sizes[-2:]
    return {**arguments, **dict(zip(names, pair, strict=True))}


def _convolution(function: str, arguments: Mapping[str, Any], weight: tuple[int, ...]) -> dict[str, Any]:
    by_place = {name: arguments[slot] for name, slot in _PLACES[function].items() if slot in arguments}
    settings = {**arguments, **by_place}
    if len(weight) < 3:
        return settings
    groups = settings.get("groups", 1)
    transposed = settings.get("transposed") is True or function == "convtranspose"
    inner, outer = (weight[0], weight[1] * groups) if transposed else (weight[1] * groups, weight[0])
    sizes = {"kernel_size": weight[2:], "in_channels": inner, "out_channels": outer}
    return {**settings, **sizes, **({"transposed": True} if transposed else {})}
