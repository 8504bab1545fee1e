"""Make the arguments that the model is called with, and bind them to the parameters of its forward."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from fxviz._graph import TensorInfo
from fxviz._graph.errors import TraceError, UsageError, parameters, shown, spelled
from fxviz._sources.inputs import DTYPES, Dummy, describe, refuse_nested
from fxviz._sources.torch_private import FakeTensorMode, class_label
from fxviz._trace.fake import fake_of
from fxviz._trace.tensors import tensors_in, with_parts

_MAX_LISTED = 8
"""Maximum number of methods that a message lists."""


def materialized(value: Any, fake_mode: FakeTensorMode | None, device: str) -> Any:
    """Replace each tensor, and each description of one, in a nested value by a tensor for this run."""

    def of_this_run(value: Any) -> Any:
        if isinstance(value, TensorInfo):
            return _dummy(value, fake_mode, device)
        if isinstance(value, Tensor):
            refuse_nested(value)
            return _copy(value.detach(), fake_mode, device)
        return with_parts(value, of_this_run)

    return of_this_run(value)


def _copy(tensor: Tensor, fake_mode: FakeTensorMode | None, device: str) -> Tensor:
    """Copy a tensor, so that the model may write to it; of one without memory (meta) make a dummy."""
    if fake_mode:
        return fake_of(tensor, fake_mode, torch.device(device))
    return _dummy(describe(tensor), None, device) if tensor.is_meta else tensor.to(device, copy=True)


def _dummy(info: TensorInfo, fake_mode: FakeTensorMode | None, device: str) -> Tensor:
    try:
        return _allocate(info, fake_mode, device)
    except RuntimeError as error:  # all that torch raises where memory is short
        size = f"{'×'.join(map(str, info.shape))} {info.dtype}"
        raise TraceError(f"cannot allocate an input of {size} on {device}: not enough memory") from error


def _allocate(info: TensorInfo, fake_mode: FakeTensorMode | None, device: str) -> Tensor:
    """Make a tensor of this shape and dtype; a real one holds random numbers, or zeros if they are whole numbers."""
    dtype = _dtype_of(info)
    if fake_mode:
        with fake_mode:
            return torch.empty(info.shape, dtype=dtype, device=device)
    low, high = (info.low, info.high) if isinstance(info, Dummy) else (0, 1)
    generator = torch.Generator().manual_seed(0)
    if info.is_floating:
        values = low + (high - low) * torch.rand(info.shape, generator=generator)
    else:
        values = torch.randint(int(low), int(high), info.shape, generator=generator)
    if isinstance(info, Dummy) and info.ends:
        values[..., -len(info.ends) :] = torch.tensor(info.ends)
    return values.to(device, dtype)


def _dtype_of(info: TensorInfo) -> torch.dtype:
    """Return the dtype of a description, which must be that of a tensor.

    Raises:
        UsageError: the shape or the dtype cannot be that of a tensor.
    """
    if not isinstance(info.shape, (tuple, list)) or not all(type(size) is int and size >= 0 for size in info.shape):
        raise UsageError(f"invalid shape {shown(repr(info.shape))} of a TensorInfo: must be a tuple of whole numbers")
    dtype = getattr(torch, info.dtype, None) if isinstance(info.dtype, str) else None
    if not isinstance(dtype, torch.dtype):
        raise UsageError(f"invalid dtype {shown(repr(info.dtype))} of a TensorInfo: choose {', '.join(DTYPES)}")
    return dtype


def method_of(model: nn.Module, name: str) -> Callable[..., Any]:
    """Return the method of a model that is run; "" is forward.

    Raises:
        UsageError: it has no such method of its own.

    >>> method_of(nn.Linear(8, 8), "reset_parameter")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: Linear has no method 'reset_parameter' of its own; did you mean reset_parameters?
    """
    if not name:
        return model.forward
    method, cls = getattr(model, name, None), class_label(model)
    if isinstance(method, nn.Module):
        root = spelled(f"root={name!r}", f"--root {shown(name)}")
        raise UsageError(f"'{shown(name)}' is a submodule of {cls}, not a method: record it with {root}")
    if not callable(method) or hasattr(nn.Module, name):
        own = {known for part in type(model).__mro__ for known, value in vars(part).items() if callable(value)}
        known = sorted(each for each in own if not each.startswith("_") and not hasattr(nn.Module, each))
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known[:_MAX_LISTED]) or 'only forward'}"
        raise UsageError(f"{cls} has no method '{shown(name)}' of its own; {hint}")
    return cast("Callable[..., Any]", method)


def signature(function: Callable[..., Any]) -> str:
    """Return the parameters of a function in parentheses, without types.

    >>> signature(nn.Linear(8, 8).forward)
    '(input)'
    """
    try:
        return parameters(inspect.signature(function))
    except (TypeError, ValueError):
        return "(...)"


def fits(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Return whether the signature of a function accepts these arguments.

    >>> fits(nn.ReLU().forward, (1,), {}), fits(nn.ReLU().forward, (), {})
    (True, False)
    """
    try:
        declared = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    try:
        declared.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def bound(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Name each argument after its parameter of a function.

    >>> bound(nn.ReLU().forward, (1,), {})
    {'input': 1}
    """
    try:
        return dict(inspect.signature(function).bind(*args, **kwargs).arguments)
    except (TypeError, ValueError):
        return {f"input_{place}": value for place, value in enumerate(args)} | dict(kwargs)


def named_inputs(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Tensor]:
    """Name each tensor among the arguments after its parameter ("images_0" for the first in a list)."""
    named: dict[str, Tensor] = {}
    for name, value in bound(function, args, kwargs).items():
        tensors = list(tensors_in(value))
        for place, tensor in enumerate(tensors):
            named[name if isinstance(value, Tensor) else f"{name}_{place}"] = tensor
    return named
