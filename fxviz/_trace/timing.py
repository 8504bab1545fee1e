"""Time each step: run the recorded graph again, step by step, without the hooks that recorded it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from statistics import median
from typing import Any, Protocol

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.rnn import PackedSequence

from fxviz._graph.errors import TimingError, first_line, spelled
from fxviz._graph.options import TraceOptions
from fxviz._sources.inputs import describe
from fxviz._sources.torch_private import class_label, tree_leaves, without_modes
from fxviz._sources.torch_state import suspended
from fxviz._trace.calls import getitem, read_after_write
from fxviz._trace.isolation import Exposures, undisturbed
from fxviz._trace.record import Recording
from fxviz._trace.tensors import listed, tensors_in

RUNS = 5
"""Timed runs, after one that warms up. A step's time is the median of theirs."""

_NONE = "no tensor"
_CALLS = ("call_function", "call_method", "call_module")


def time_nodes(model: nn.Module, recording: Recording, options: TraceOptions) -> dict[str, float]:
    """Run a recorded graph on real data, once to warm up and ``RUNS`` times with a clock, and restore the model.

    Each step is timed by itself: on the CPU from its call to its return, on CUDA between two events on the current
    stream, the launch included. Nodes that compute nothing (an input, a parameter, the output, an item of a tuple) take
    0 seconds.

    Args:
        model: the module; its parameters are on the device that the options name, "cpu" or "cuda[:N]".
        recording: the real run of it, or of its submodule, on that device.
        options: the options of that run.

    Returns:
        Seconds by the name of the node, rounded to nanoseconds.

    Raises:
        TimingError: a step cannot be run by itself, or returns other tensors than in the model.

    >>> from fxviz._trace.record import record
    >>> model, options = nn.Sequential(nn.Linear(4, 2)), TraceOptions(device="cpu")
    >>> times = time_nodes(model, record(model, torch.rand(1, 4), options), options)
    >>> [(name, seconds > 0) for name, seconds in times.items()]
    [('input_1', False), ('_0', True), ('output', False)]
    """
    _check_arguments(model, recording)

    def once(replay: _Replay) -> dict[str, float]:
        """Run once, from the same state as all other runs: inputs, buffers, random numbers."""
        inputs = [tensor.clone() for tensor in recording.values.values()]
        with undisturbed(model, True, options.train), nullcontext() if replay.watched else _unwatched():
            return replay.timed(inputs)

    with undisturbed(model, True, options.train):  # restores in the end what the first run writes to
        once(_Rehearsal(model, recording, _CpuClock()))
        runs = [once(_Replay(model, recording, _clock(options.device))) for _ in range(RUNS)]
    return {node.name: round(median(times.get(node.name, 0.0) for times in runs), 9) for node in recording.graph.nodes}


@contextmanager
def _unwatched() -> Iterator[None]:
    """Switch off what slows down operations and calls; the first run has shown what is to be restored."""
    with without_modes(), suspended(lambda mode: isinstance(mode, Exposures)):
        yield


# -------------------------------------------------------------------- clocks


class _Clock(Protocol):
    """A clock that times one step after the other."""

    def call(self, name: str, step: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the step called ``name`` and return its result."""

    def seconds(self) -> dict[str, float]:
        """Return the seconds that each step took."""


class _CpuClock:
    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def call(self, name: str, step: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        begin = time.perf_counter()
        result = step(*args, **kwargs)
        self._seconds[name] = time.perf_counter() - begin
        return result

    def seconds(self) -> dict[str, float]:
        return self._seconds


class _CudaClock:
    """A clock of CUDA events; the device is synchronized only when the times are read."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._stream = torch.cuda.current_stream(device)
        self._events: dict[str, tuple[torch.cuda.Event, torch.cuda.Event]] = {}

    def call(self, name: str, step: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        begin, end = self._event(), self._event()
        begin.record(self._stream)
        result = step(*args, **kwargs)
        end.record(self._stream)
        self._events[name] = begin, end
        return result

    def _event(self) -> torch.cuda.Event:
        return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]

    def seconds(self) -> dict[str, float]:
        torch.cuda.synchronize(self._device)
        return {name: begin.elapsed_time(end) / 1000 for name, (begin, end) in self._events.items()}


def _clock(device: str) -> _Clock:
    return _CpuClock() if device == "cpu" else _CudaClock(device)


# -------------------------------------------------------------------- runs


class _Replay(fx.Interpreter):
    """One run of a recorded graph, with a clock at each step.

    Attributes:
        watched: whether the hooks that notice writes stay on; they slow down each step.
    """

    watched = False

    def __init__(self, model: nn.Module, recording: Recording, clock: _Clock) -> None:
        super().__init__(recording.tracer.root, graph=recording.graph)
        self._refused = partial(_refusal, model, recording)
        self.extra_traceback = False  # keep the message of an error as it is
        self._constants = recording.tracer.constants
        self._clock = clock

    def timed(self, inputs: Any) -> dict[str, float]:
        """Run on these tensors and return the seconds of each step that computes."""
        self.run(*inputs)
        return self._clock.seconds()

    def fetch_attr(self, target: str) -> Any:
        return self._constants[target] if target in self._constants else super().fetch_attr(target)

    def run_node(self, n: fx.Node) -> Any:
        try:
            return self._step(n) if n.op in _CALLS else super().run_node(n)
        except Exception as error:
            raise self._refused(n, f"'{n.name}' fails by itself ({first_line(error)})") from error

    def _step(self, n: fx.Node) -> Any:
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        call: Callable[..., Any] = n.target  # type: ignore[assignment]
        if n.op == "call_method":
            call, args = getattr(args[0], str(n.target)), args[1:]
        elif n.op == "call_module":
            call = self.fetch_attr(str(n.target))
            args = _packed(call, args)
        elif call is read_after_write or (call is getitem and not isinstance(args[0], Tensor)):
            return call(*args)
        return self._clock.call(n.name, call, args, kwargs)


class _Rehearsal(_Replay):
    """The run that warms up; it also checks that each step returns what it returned in the model's own run."""

    watched = True

    def run_node(self, n: fx.Node) -> Any:
        if n.op in _CALLS and n.target is not getitem:
            self._check_sources(n)
        result = super().run_node(n)
        got = tuple(describe(tensor) for tensor in tensors_in(result))
        if n.op in _CALLS and got != n.meta["outputs"]:
            here, there = listed(got) or _NONE, listed(n.meta["outputs"]) or _NONE
            raise self._refused(n, f"'{n.name}' returns {here} by itself, {there} in the model")
        return result

    def _check_sources(self, n: fx.Node) -> None:
        """Refuse an argument that is a node of the graph, but was not a tensor in the model."""
        for source in n.all_input_nodes:
            value = self.env[source]
            if value is None:
                raise self._refused(n, f"'{source.name}' returns nothing and changes its arguments")
            if not isinstance(value, Tensor):
                raise self._refused(n, f"'{_origin(source)}' returns an object of class {type(value).__name__}")


def _origin(node: fx.Node) -> fx.Node:
    """Return the step whose result ``node`` is an item of, or ``node`` itself."""
    while node.target is getitem and isinstance(node.args[0], fx.Node):
        node = node.args[0]
    return node


def _packed(module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Make a packed sequence of the tuple that the graph holds in its place."""
    if isinstance(module, nn.RNNBase) and args and type(args[0]) is tuple:
        return PackedSequence(*args[0]), *args[1:]
    return args


# -------------------------------------------------------------------- what cannot be timed


def _check_arguments(model: nn.Module, recording: Recording) -> None:
    """Refuse a layer that the model does not list, and a step with an argument that the graph could not keep."""
    listed = set(recording.tracer.root.modules())
    for node in recording.graph.nodes:
        if node.op == "call_module" and node.meta["module"] not in listed:
            reason = f"the model does not list its layer {node.target} among its modules"
            raise _refusal(model, recording, node, reason)
        for value in tree_leaves((node.args, node.kwargs)):
            if isinstance(value, str) and value.startswith("<") and value.endswith(">") and node.op in _CALLS:
                raise _refusal(model, recording, node, f"'{node.name}' takes an object of class {value[1:-1]}")


def _refusal(model: nn.Module, recording: Recording, node: fx.Node, reason: str) -> TimingError:
    """Return the error for a step that cannot be timed; it advises to time its module as a whole."""
    path = recording.tracer.scopes[node.meta["scope"]].path
    leaf, time = spelled(f"leaf={path!r}", f"--leaf {path}"), spelled("time=True", "--time")
    whole = f", or record {path} as one node with {leaf}" if path else ""
    return TimingError(f"cannot time {class_label(model)} op by op: {reason}; leave out {time}{whole}")
