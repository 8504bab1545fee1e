"""Run a model: on fake tensors, on fake tensors with guessed values, or for real."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from fxviz._errors import TraceError
from fxviz._graph import ArchGraph, ModelInfo, TraceInfo
from fxviz._graph.options import TraceOptions
from fxviz._sources.inputs import Arguments
from fxviz._sources.own_thread import ignored_warnings, one_at_a_time, silenced
from fxviz._sources.torch_private import FAKE_TENSOR_LOGGER
from fxviz._trace.advice import Situation, next_step
from fxviz._trace.failures import sentence
from fxviz._trace.record import Recording, record, to_archgraph
from fxviz._trace.tensors import describe
from fxviz._trace.timing import time_nodes
from fxviz._trace.tracer import class_name

_DEFAULTS = TraceOptions()

_LIBRARIES = r"(torch|torchvision|timm|transformers|fxviz)(\.|$)"
"""Whose news of changes to come are not for the user."""

_OURS = r"fxviz(\.|$)"
"""What torch remarks of our lines, through which the model's calls pass, is none of the user's."""


@dataclass(frozen=True)
class _Attempt:
    """One way to run a model, and what came of it.

    Attributes:
        model: the one that ran.
        options: how it was run, with the device where it really was.
        method: "fake", "guessed" or "real".
        recording: what was written down.
        obstacle: why it was not run for real after all, "" if nothing stood in the way.
    """

    model: nn.Module
    options: TraceOptions
    method: str
    recording: Recording
    obstacle: str = ""


def trace_module(
    model: nn.Module,
    inputs: Any,
    info: ModelInfo,
    options: TraceOptions = _DEFAULTS,
    rebuild: Callable[[], nn.Module] | None = None,
    assumed: bool = False,
) -> ArchGraph:
    """Run ``model`` once and write down what it does. Nothing about the model changes.

    On "meta" nothing is computed: the model runs on fake tensors. If its code asks for values that those do not have, it runs
    again with guessed ones; if that fails too, it runs for real where its parameters are. The trace says which way it was.

    Args:
        model: the module; its parameters may be on the meta device if that is the device to run on.
        inputs: :class:`~fxviz._sources.inputs.Arguments`, or what they can be made of: positional arguments as a tuple or list, keyword
            arguments as a dict, a single tensor. Wherever a tensor is meant, a :class:`~fxviz.TensorInfo` stands for a
            dummy of that shape and dtype.
        info: what the graph says about where the model comes from.
        options: how it is run.
        rebuild: makes the same model with memory; called only if a real run is the last way left.
        assumed: whether the inputs are nobody's choice, so that they may be to blame.

    Returns:
        The graph with all facts that only the run can tell. Parameters are not yet counted, skips not yet found.

    Raises:
        UsageError: the device is not there, the model's parameters are elsewhere, or an option names no module.
        TraceError: the model's own code failed, or its steps cannot be timed one by one.

    >>> from fxviz._graph import TensorInfo
    >>> graph = trace_module(nn.Sequential(nn.Linear(4, 2)), TensorInfo((1, 4), "float32"), ModelInfo("a", "b", "c"))
    >>> graph.trace.method, [(node.op, node.macs) for node in graph.nodes]
    ('fake', [('input', 0), ('Linear', 8), ('output', 0)])
    """
    given = Arguments.of(inputs)
    with one_at_a_time(), _quiet():
        attempt = _attempt(model, given, options, rebuild)
        stop = attempt.recording.stop
        if stop is not None:
            situation = Situation(attempt.model, given, assumed, options, stop)
            if not (options.partial and situation.began):
                raise _error(situation, attempt.obstacle) from stop.error
        return _described(attempt, info)


def _attempt(
    model: nn.Module, given: Arguments, options: TraceOptions, rebuild: Callable[[], nn.Module] | None
) -> _Attempt:
    """The first way that comes to an end or fails for a reason of the model's own, else the last one there is."""
    if options.device != "meta":
        return _Attempt(model, options, "real", record(model, given, options))
    attempt = _Attempt(model, options, "fake", record(model, given, options))
    if attempt.recording.lacked_values:
        attempt = _Attempt(model, options, "guessed", record(model, given, options, guessing=True))
    if not attempt.recording.lacked_values:
        return attempt
    if rebuild is not None:
        if obstacle := _memory_lacking(model):
            return replace(attempt, obstacle=obstacle)
        model = rebuild()
    home = next((str(parameter.device) for parameter in model.parameters()), "cpu")
    if home == "meta":
        return replace(
            attempt, obstacle="fake tensors do not have what it asks for: give it memory, and it runs for real"
        )
    options = replace(options, device=home)
    return _Attempt(model, options, "real", record(model, given, options))


def _memory_lacking(model: nn.Module) -> str:
    """Why the model cannot be built with memory here, "" if it can."""
    needed = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    present = _memory()
    if present is None or needed <= present:
        return ""
    return (
        f"to run for real it needs {needed / 1e9:.1f} GB for its parameters, and this machine has {present / 1e9:.1f}"
    )


def _memory() -> int | None:
    """Bytes of memory in this machine, None where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _error(situation: Situation, obstacle: str) -> TraceError:
    """What to raise for a run that stopped; an obstacle to another try says enough of what to do."""
    step = obstacle or next_step(situation)
    error = TraceError(
        f"{sentence(type(situation.model).__name__, situation.stop.failure)}{f'; {step}' if step else ''}"
    )
    error.failure = situation.stop.failure
    return error


def _described(attempt: _Attempt, info: ModelInfo) -> ArchGraph:
    recording, options = attempt.recording, attempt.options
    times = time_nodes(attempt.model, recording, options) if options.time else {}
    trace = TraceInfo(
        device=options.device,
        method=attempt.method,
        inputs={name: describe(tensor) for name, tensor in recording.inputs.items()},
        torch=str(torch.__version__),
        torchvision=_torchvision_version(),
        guessed=recording.guessed,
        training=options.train,
        failure=None if recording.stop is None else recording.stop.failure,
    )
    if options.root:
        info = replace(info, name=f"{info.name}.{options.root}", cls=class_name(recording.tracer.root))
    return to_archgraph(recording.graph, recording.tracer, info, trace, times)


@contextmanager
def _quiet() -> Iterator[None]:
    """No log of each operation that fails on fake tensors, the error that is raised says enough; no news of changes to come."""
    with silenced(FAKE_TENSOR_LOGGER), ignored_warnings(FutureWarning, _LIBRARIES), ignored_warnings(module=_OURS):
        yield


def _torchvision_version() -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("torchvision")
    except PackageNotFoundError:
        return None
