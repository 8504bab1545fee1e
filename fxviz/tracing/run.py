"""One run of a model becomes a graph."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from fxviz.errors import TraceError, UsageError
from fxviz.graph import ArchGraph, ModelInfo, TensorInfo, TraceInfo
from fxviz.tracing.modes import FunctionMode, OperationMeter, StandIns, module_calls
from fxviz.tracing.recording import to_archgraph
from fxviz.tracing.tracer import ModelTracer
from fxviz.tracing.undisturbed import undisturbed
from fxviz.tracing.values import describe, tensors_in


def trace_module(model: nn.Module, inputs: Any, device: str, info: ModelInfo) -> ArchGraph:
    """Run ``model`` once in eval mode and write down what it does. Nothing about the model changes.

    Args:
        model: the module; its parameters may be on the meta device if ``device`` is "meta".
        inputs: positional arguments of forward as a tuple or list, keyword arguments as a dict, or a single tensor. Wherever a tensor
            is meant, a :class:`~fxviz.graph.TensorInfo` stands for a dummy of that shape and dtype.
        device: "meta" (fake tensors: nothing is allocated or computed), "cpu", or "cuda[:N]" (the model runs there for real).
        info: what the graph says about where the model comes from.

    Returns:
        The graph with all facts that only the run can tell. Parameters are not yet counted, skips not yet found.

    Raises:
        UsageError: the device does not exist, or the model is on another one.
        TraceError: the model's own code failed.
    """
    real = _checked_device(model, device)
    fake_mode = None if real else FakeTensorMode(allow_non_fake_inputs=True)
    args, kwargs = _call_arguments(inputs)
    args, kwargs = _materialized((args, kwargs), fake_mode, device if real else "cpu")
    named = _named_inputs(model, args, kwargs)
    tracer = ModelTracer()
    graph = _record(tracer, model, args, kwargs, named, fake_mode)
    trace = TraceInfo(
        device=device,
        method="real" if real else "fake",
        inputs={name: describe(tensor) for name, tensor in named.items()},
        torch=str(torch.__version__),
        torchvision=_torchvision_version(),
    )
    return to_archgraph(graph, tracer, info, trace)


def _record(
    tracer: ModelTracer,
    model: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    named: Mapping[str, Tensor],
    fake_mode: FakeTensorMode | None,
) -> fx.Graph:
    stand_ins = StandIns(fake_mode, {id(parameter): name for name, parameter in model.named_parameters()})
    tracer.start(model)
    tracer.meter = OperationMeter(tracer, stand_ins)
    for name, tensor in named.items():
        tracer.placeholder(name, tensor)
    with ExitStack() as stack:
        stack.enter_context(undisturbed(model, real=fake_mode is None))
        stack.enter_context(fake_mode or nullcontext())
        stack.enter_context(tracer.meter)
        stack.enter_context(module_calls(tracer))
        stack.enter_context(FunctionMode(tracer, stand_ins))
        try:
            result = model(*args, **kwargs)
        except Exception as error:
            raise TraceError(f"cannot trace {type(model).__name__}: {_first_line(error)}") from error
    return tracer.finish(result)


def _checked_device(model: nn.Module, device: str) -> bool:
    """Whether the model really runs on ``device``; False for fake tensors."""
    if device == "meta":
        return False
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"unknown device '{device}': use meta, cpu, cuda or cuda:N") from error
    if wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"no device '{device}' here: torch sees {torch.cuda.device_count()} GPU(s); use meta or cpu")
    if wanted.type not in ("cpu", "cuda"):
        raise UsageError(f"unknown device '{device}': use meta, cpu, cuda or cuda:N")
    for name, tensor in model.named_parameters():
        if tensor.device.type != wanted.type:
            raise UsageError(f"cannot run on {device}: parameter '{name}' is on {tensor.device}; move the model there first")
    return True


def _call_arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    if isinstance(inputs, (tuple, list)):
        return tuple(inputs), {}
    return (inputs,), {}


def _materialized(value: Any, fake_mode: FakeTensorMode | None, device: str) -> Any:
    """The same nested value with a tensor of this run for each tensor and each description of one."""
    if isinstance(value, TensorInfo):
        return _dummy(value, fake_mode, device)
    if isinstance(value, Tensor):
        return fake_mode.from_tensor(value.detach()) if fake_mode else value.detach().to(device, copy=True)
    if isinstance(value, Mapping):
        return {key: _materialized(item, fake_mode, device) for key, item in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_materialized(item, fake_mode, device) for item in value)
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


def _named_inputs(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Tensor]:
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


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _torchvision_version() -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("torchvision")
    except PackageNotFoundError:
        return None
