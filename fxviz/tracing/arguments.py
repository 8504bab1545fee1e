"""What the model is called with."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from fxviz.graph import TensorInfo
from fxviz.tracing.values import tensors_in


def call_arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments: a mapping holds keywords, a tuple or list positions, anything else is the one argument.

    >>> call_arguments({"x": 1}), call_arguments([1, 2]), call_arguments(1)
    (((), {'x': 1}), ((1, 2), {}), ((1,), {}))
    """
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    if isinstance(inputs, (tuple, list)):
        return tuple(inputs), {}
    return (inputs,), {}


def materialized(value: Any, fake_mode: FakeTensorMode | None, device: str) -> Any:
    """The same nested value with a tensor of this run for each tensor and each description of one."""
    if isinstance(value, TensorInfo):
        return _dummy(value, fake_mode, device)
    if isinstance(value, Tensor):
        return fake_mode.from_tensor(value.detach()) if fake_mode else value.detach().to(device, copy=True)
    if isinstance(value, Mapping):
        return {key: materialized(item, fake_mode, device) for key, item in value.items()}
    if type(value) in (tuple, list):
        return type(value)(materialized(item, fake_mode, device) for item in value)
    return value


def _dummy(info: TensorInfo, fake_mode: FakeTensorMode | None, device: str) -> Tensor:
    dtype = getattr(torch, info.dtype)
    if fake_mode:
        with fake_mode:
            return torch.empty(info.shape, dtype=dtype, device=device)
    if not info.is_floating:
        return torch.zeros(info.shape, dtype=dtype, device=device)
    generator = torch.Generator().manual_seed(0)
    return torch.rand(info.shape, generator=generator).to(device, dtype)


def named_inputs(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Tensor]:
    """Each tensor among the arguments, named after forward's parameter ("images_0" for the first in a list)."""
    try:
        bound = inspect.signature(model.forward).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        bound = {f"input_{place}": value for place, value in enumerate(args)} | dict(kwargs)
    named: dict[str, Tensor] = {}
    for name, value in bound.items():
        tensors = list(tensors_in(value))
        for place, tensor in enumerate(tensors):
            named[name if isinstance(value, Tensor) else f"{name}_{place}"] = tensor
    return named
