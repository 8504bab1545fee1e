"""One run of a model, in one way, as torch's own graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.parameter import is_lazy

from fxviz._errors import UsageError
from fxviz._graph.options import TraceOptions, check_device
from fxviz._sources.inputs import Arguments
from fxviz._trace.arguments import materialized, named_inputs
from fxviz._trace.blaming import FAILURES
from fxviz._trace.choosing import leaves, submodule
from fxviz._trace.failures import Stop, stop_of
from fxviz._trace.hooks import FunctionMode, OperationMeter, StandIns, module_calls
from fxviz._trace.isolation import undisturbed
from fxviz._trace.tracer import ModelTracer
from fxviz.locating import text_of

_TOUCHES_MEMORY = (
    "data pointer",
    "not allocated yet",
    "tensor subclasses",
    "FakeTensor",
    "no storage",
    "TorchScript interpreter",  # scripted code takes the model's own tensors, which may have no memory
)
"""In the message of an error: the model's code asked a tensor for the memory that it does not have."""

_NEEDS_GRADIENTS = "does not require grad"
"""In the message of an error: the model's code asked for a gradient."""

_FIRST_CALL = "call the model once before, or name a function of yours that does so and returns it"
"""What to do with modules that are initialised at their first call."""

_DEFAULTS = TraceOptions()


@dataclass(frozen=True)
class Recording:
    """One run as torch sees it.

    Attributes:
        graph: what ran; each node's ``meta`` as :class:`~fxviz._trace.tracer.ModelTracer` describes it.
        tracer: who wrote it down.
        inputs: the tensors that the recorded module was called with, by name, with the values that they had then.
        guessed: operations whose result was guessed, and how often.
        stop: where the run stopped before its end, None if it did not.
        lacked_values: whether it stopped for want of values that fake tensors do not have.
    """

    graph: fx.Graph
    tracer: ModelTracer
    inputs: Mapping[str, Tensor]
    guessed: Mapping[str, int]
    stop: Stop | None = None
    lacked_values: bool = False


def record(model: nn.Module, inputs: Any, options: TraceOptions = _DEFAULTS, guessing: bool = False) -> Recording:
    """Run ``model`` once. Arguments and errors as for :func:`~fxviz._trace.run.trace_module`, but no failure is raised.

    It runs without gradients; where its code asks for some (a force, a differential equation), it runs again with them.

    >>> from fxviz._graph import TensorInfo
    >>> recording = record(nn.ReLU(), TensorInfo((1, 4), "float32"))
    >>> [node.name for node in recording.graph.nodes]
    ['input_1', 'relu', 'output']
    """
    recording = _recorded(model, inputs, options, guessing, gradients=False)
    if recording.stop is not None and _NEEDS_GRADIENTS in text_of(recording.stop.error):
        return _recorded(model, inputs, options, guessing, gradients=True)
    return recording


def _recorded(model: nn.Module, inputs: Any, options: TraceOptions, guessing: bool, gradients: bool) -> Recording:
    _check_initialised(model)
    root = submodule(model, options.root)
    fake_mode = None if _runs_for_real(model, options.device) else FakeTensorMode(allow_non_fake_inputs=True)
    stand_ins = StandIns(fake_mode, {id(parameter): name for name, parameter in root.named_parameters()})
    tracer = ModelTracer()
    tracer.start(root, leaves(root, options.leaf))
    tracer.meter = meter = OperationMeter(tracer, stand_ins, guessing)
    given = Arguments.of(inputs)
    args, kwargs = materialized((given.args, given.kwargs), fake_mode, "cpu" if fake_mode else options.device)
    call = _RootCall(tracer, real=fake_mode is None)
    with ExitStack() as stack:
        stack.enter_context(undisturbed(model, real=fake_mode is None, training=options.train, gradients=gradients))
        stack.enter_context(fake_mode or nullcontext())
        stack.enter_context(meter)
        stack.enter_context(module_calls(tracer, call.ending))
        stack.enter_context(FunctionMode(tracer, stand_ins))
        error = call.within(model, args, kwargs)
    recording = Recording(tracer.graph, tracer, call.inputs, dict(meter.guesses))
    if error is not None:
        beyond = meter.beyond or meter.guesses or gradients or any(words in text_of(error) for words in _TOUCHES_MEMORY)
        return replace(recording, stop=stop_of(error, tracer, model), lacked_values=bool(fake_mode and beyond))
    if not tracer.finished:
        raise UsageError(_never_called(model, root, options))
    return recording


class _RootReturned(BaseException):
    """Ends a run of which no more is wanted. No ``except Exception`` of the model's code stops it."""


@dataclass
class _RootCall:
    """The call to record: the model's own, or the first one of its submodule.

    Attributes:
        inputs: the tensors that it was made with.
        error: what it raised.
    """

    tracer: ModelTracer
    real: bool
    inputs: dict[str, Tensor] = field(default_factory=dict)
    error: BaseException | None = None

    def within(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> BaseException | None:
        """Call the model until the call to record is over; what was raised."""
        try:
            if self.tracer.root is model:
                self._make(model, args, kwargs)
            else:
                model(*args, **kwargs)
        except _RootReturned:
            pass
        except FAILURES as error:
            if not self.tracer.begun:
                return error
        return self.error

    def ending(self, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Make the submodule's call, and end the run with it."""
        self._make(call, args, kwargs)
        raise _RootReturned

    def _make(self, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        named = named_inputs(self.tracer.root, args, kwargs)
        self.inputs = {name: tensor.clone() if self.real else tensor for name, tensor in named.items()}
        try:
            self.tracer.record(named, partial(call, *args, **kwargs))
        except FAILURES as error:
            self.error = error


def _check_initialised(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if is_lazy(parameter):
            raise UsageError(f"cannot trace {type(model).__name__}: '{name}' gets its shape at the first call; {_FIRST_CALL}")


def _never_called(model: nn.Module, root: nn.Module, options: TraceOptions) -> str:
    """Why there is nothing to record of ``root``, and what to do."""
    said = f"{type(model).__name__} never calls its submodule '{options.root}' ({type(root).__name__})"
    children = [f"{options.root}.{name}" for name, _ in root.named_children()]
    if isinstance(root, (nn.ModuleList, nn.ModuleDict)) and children:
        return f"{said}, which only holds others: choose {', '.join(children[:4])}{', ...' if len(children) > 4 else ''}"
    return f"{said} in {'training' if options.train else 'eval'} mode{'' if options.train else ': it may with --train'}"


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
    fxviz._errors.UsageError: no device 'cuda:99' here: torch sees ... GPU(s); use meta or cpu
    """
    check_device(device)
    index = int(device.partition(":")[2] or 0)
    if device.startswith("cuda") and index >= torch.cuda.device_count():
        raise UsageError(f"no device '{device}' here: torch sees {torch.cuda.device_count()} GPU(s); use meta or cpu")
