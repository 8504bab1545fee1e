"""One run of a model becomes a graph."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.parameter import is_lazy

from fxviz.devices import check_device
from fxviz.errors import TraceError, UsageError
from fxviz.graph import ArchGraph, ModelInfo, TraceInfo
from fxviz.tracing.arguments import call_arguments, materialized, named_inputs
from fxviz.tracing.modes import FunctionMode, OperationMeter, StandIns, module_calls
from fxviz.tracing.recording import to_archgraph
from fxviz.tracing.timing import time_nodes
from fxviz.tracing.tracer import ModelTracer, Recording
from fxviz.tracing.undisturbed import undisturbed
from fxviz.tracing.values import describe

_METHODS = {"fake": False, "guessed": True}
"""Ways to trace without computing, in the order tried, and whether results that depend on data are guessed."""

_TOUCHES_MEMORY = ("data pointer", "not allocated yet", "tensor subclasses", "FakeTensor", "meta tensor", "Meta tensor")
"""In the message of an error: the model's code asked a fake tensor for the memory that it does not have."""


class _BeyondFakeTensors(TraceError):
    """The model's code did what fake tensors cannot; what it raised is the cause."""


def trace_module(
    model: nn.Module,
    inputs: Any,
    device: str,
    info: ModelInfo,
    rebuild: Callable[[], nn.Module] | None = None,
    time: bool = False,
) -> ArchGraph:
    """Run ``model`` once in eval mode and write down what it does. Nothing about the model changes.

    On "meta" nothing is computed: the model runs on fake tensors. If its code asks for values that those do not have, it runs
    again with guessed ones; if that fails too, it runs for real where its parameters are. The trace says which way it was.

    Args:
        model: the module; its parameters may be on the meta device if ``device`` is "meta".
        inputs: positional arguments of forward as a tuple or list, keyword arguments as a dict, or a single tensor. Wherever a
            tensor is meant, a :class:`~fxviz.graph.TensorInfo` stands for a dummy of that shape and dtype.
        device: "meta" (fake tensors: nothing is allocated or computed), "cpu", or "cuda[:N]" (the model runs there for real).
        info: what the graph says about where the model comes from.
        rebuild: makes the same model with memory; called only if a real run is the last way left.
        time: measure how long each step takes on ``device``, which is not "meta".

    Returns:
        The graph with all facts that only the run can tell. Parameters are not yet counted, skips not yet found.

    Raises:
        UsageError: the device does not exist, or the model is on another one.
        TraceError: the model's own code failed, or its steps cannot be timed one by one.

    >>> from fxviz.graph import TensorInfo
    >>> graph = trace_module(nn.Sequential(nn.Linear(4, 2)), TensorInfo((1, 4), "float32"), "meta", ModelInfo("a", "b", "c"))
    >>> graph.trace.method, [(node.op, node.macs) for node in graph.nodes]
    ('fake', [('input', 0), ('Linear', 8), ('output', 0)])
    """
    if device != "meta":
        return _described(model, inputs, device, "real", info, time)
    for method in _METHODS:
        try:
            return _described(model, inputs, device, method, info)
        except _BeyondFakeTensors as error:
            failure = error
    if rebuild is not None:
        _check_memory(model, failure)
        model = rebuild()
    home = next((str(parameter.device) for parameter in model.parameters()), "cpu")
    if home == "meta":
        message = f"{failure}; fake tensors do not have what it asks for: give it memory, and it runs for real"
        raise TraceError(message) from failure.__cause__
    return _described(model, inputs, home, "real", info)


def _check_memory(model: nn.Module, failure: TraceError) -> None:
    """Refuse to build a model with memory that this machine does not have."""
    needed = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    present = _memory()
    if present is not None and needed > present:
        gigabytes = f"{needed / 1e9:.1f} GB for its parameters, and this machine has {present / 1e9:.1f}"
        raise TraceError(f"{failure}; to run for real it needs {gigabytes}") from failure.__cause__


def _memory() -> int | None:
    """Bytes of memory in this machine, None where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def record(model: nn.Module, inputs: Any, device: str = "meta", guessing: bool = False) -> Recording:
    """Run ``model`` once, in one way, and keep torch's own graph. Arguments and errors as for :func:`trace_module`.

    >>> from fxviz.graph import TensorInfo
    >>> recording = record(nn.ReLU(), TensorInfo((1, 4), "float32"))
    >>> [node.name for node in recording.graph.nodes]
    ['input_1', 'relu', 'output']
    """
    _check_initialised(model)
    fake_mode = None if _runs_for_real(model, device) else FakeTensorMode(allow_non_fake_inputs=True)
    args, kwargs = materialized(call_arguments(inputs), fake_mode, device if fake_mode is None else "cpu")
    named = named_inputs(model, args, kwargs)
    stand_ins = StandIns(fake_mode, {id(parameter): name for name, parameter in model.named_parameters()})
    tracer = ModelTracer()
    tracer.start(model)
    tracer.meter = meter = OperationMeter(tracer, stand_ins, guessing)
    for name, tensor in named.items():
        tracer.placeholder(name, tensor)
    with ExitStack() as stack:
        stack.enter_context(undisturbed(model, real=fake_mode is None))
        stack.enter_context(_quiet())
        stack.enter_context(fake_mode or nullcontext())
        stack.enter_context(meter)
        stack.enter_context(module_calls(tracer))
        stack.enter_context(FunctionMode(tracer, stand_ins))
        try:
            result = model(*args, **kwargs)
        except Exception as error:
            raise _failure(model, error, meter, fake_mode is None) from error
    return Recording(tracer.finish(result), tracer, named, dict(meter.guesses))


def _check_initialised(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if is_lazy(parameter):
            raise UsageError(f"cannot trace {type(model).__name__}: '{name}' gets its shape at the first call; make that first")


def _described(model: nn.Module, inputs: Any, device: str, method: str, info: ModelInfo, time: bool = False) -> ArchGraph:
    recording = record(model, inputs, device, guessing=_METHODS.get(method, False))
    times = time_nodes(model, recording, inputs, device) if time else {}
    trace = TraceInfo(
        device=device,
        method=method,
        inputs={name: describe(tensor) for name, tensor in recording.inputs.items()},
        torch=str(torch.__version__),
        torchvision=_torchvision_version(),
        guessed=recording.guessed,
    )
    return to_archgraph(recording.graph, recording.tracer, info, trace, times)


def _failure(model: nn.Module, error: Exception, meter: OperationMeter, real: bool) -> TraceError:
    """What to raise: a failure on fake tensors that a run with real values need not have is told apart."""
    message = f"cannot trace {type(model).__name__}: {_first_line(error)}"
    beyond = meter.beyond or meter.guesses or any(words in str(error) for words in _TOUCHES_MEMORY)
    return TraceError(message) if real or not beyond else _BeyondFakeTensors(message)


@contextmanager
def _quiet() -> Iterator[None]:
    """No log of each operation that fails on fake tensors, the error that is raised says enough; no news of changes to come."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    disabled, log.disabled = log.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        log.disabled = disabled


def _runs_for_real(model: nn.Module, device: str) -> bool:
    """Whether the model really runs on ``device``; False for fake tensors."""
    check_available(device)
    if device == "meta":
        return False
    for name, tensor in model.named_parameters():
        if tensor.device.type != torch.device(device).type:
            raise UsageError(f"cannot run on {device}: parameter '{name}' is on {tensor.device}; move the model there first")
    return True


def check_available(device: str) -> None:
    """Refuse a device that torch does not have here.

    Raises:
        UsageError: there is none of that name.

    >>> check_available("cuda:99")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    fxviz.errors.UsageError: no device 'cuda:99' here: torch sees ... GPU(s); use meta or cpu
    """
    check_device(device)
    index = int(device.partition(":")[2] or 0)
    if device.startswith("cuda") and index >= torch.cuda.device_count():
        raise UsageError(f"no device '{device}' here: torch sees {torch.cuda.device_count()} GPU(s); use meta or cpu")


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _torchvision_version() -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("torchvision")
    except PackageNotFoundError:
        return None
