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


def advice(model: nn.Module, inputs: Any) -> str:
    """What to change about the inputs that a failed run was given; None stands for none. Empty if they look right.

    >>> advice(nn.Linear(8, 8), (2, 8))
    "; sizes are no tensors: pass inputs=torch.zeros(2, 8), or fxviz.graph.TensorInfo((2, 8), 'float32')"
    >>> advice(nn.Linear(8, 8), None)
    '; no inputs were given, so a 1×3×224×224 image was assumed: pass inputs=... for its forward(input)'
    """
    if inputs is None:
        taken = f"forward{_parameters(model)}"
        return f"; no inputs were given, so a 1×3×224×224 image was assumed: pass inputs=... for its {taken}"
    shape = inputs[0] if isinstance(inputs, (tuple, list)) and len(inputs) == 1 else inputs
    if isinstance(shape, (tuple, list)) and shape and all(type(size) is int for size in shape):
        sizes = ", ".join(map(str, shape))
        info = f"TensorInfo({tuple(shape)}, 'float32')"
        return f"; sizes are no tensors: pass inputs=torch.zeros({sizes}), or fxviz.graph.{info}"
    return ""


def _parameters(model: nn.Module) -> str:
    """What forward takes, in parentheses, without types."""
    try:
        signature = inspect.signature(model.forward)
    except (TypeError, ValueError):
        return "(...)"
    bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))


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
