"""Run a model: on fake tensors, on fake tensors with guessed values, or for real."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from fxviz._graph import ArchGraph, ModelInfo, TraceInfo, TraceMethod
from fxviz._graph.errors import TraceError, UsageError
from fxviz._graph.options import TraceOptions
from fxviz._sources.inputs import Arguments
from fxviz._sources.own_thread import ignored_warnings, one_at_a_time, silenced
from fxviz._sources.torch_private import FAKE_TENSOR_LOGGER, FakeTensor, class_label, class_name, gathered, unwrapped
from fxviz._trace import packed
from fxviz._trace.advice import Situation, next_step
from fxviz._trace.arguments import method_of
from fxviz._trace.failures import sentence
from fxviz._trace.isolation import called_once, made_late, memory_needed, note_on, unsized
from fxviz._trace.record import Recording, home_of, record, to_archgraph
from fxviz._trace.survivors import tell
from fxviz._trace.timing import time_nodes

_DEFAULTS = TraceOptions()

_LIBRARIES = r"(torch|torchvision|timm|transformers|fxviz)(\.|$)"
"""Libraries whose warnings of future changes do not concern the user."""

_OURS = r"fxviz(\.|$)"
"""The model's calls pass through fxviz: warnings that torch attributes to its lines do not concern the user."""


@dataclass(frozen=True)
class _Attempt:
    """One run of a model.

    Attributes:
        model: the model that ran.
        options: the options of the run, with the device on which it really ran.
        method: how it ran.
        recording: the recording of the run.
        obstacle: the reason why the model could not run for real; "" if there is none.
    """

    model: nn.Module
    options: TraceOptions
    method: TraceMethod
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
    """Run ``model`` once and record what it does. The model is left as it was.

    On "meta" nothing is computed: the model runs on fake tensors. If its code asks for values that those do not have,
    it runs again with guessed ones; if that fails, too, it runs for real where its parameters are. The graph says how
    it ran. One thread at a time traces; other threads may run models meanwhile, but not change this one.

    Args:
        model: the module; its parameters may be on the meta device if that is the device to run on.
        inputs: :class:`~fxviz._sources.inputs.Arguments`, or positional arguments as a tuple or list, keyword arguments
            as a dict, or a single tensor. A :class:`~fxviz.TensorInfo` may stand for a dummy tensor of its shape and
            dtype.
        info: the origin of the model, for the graph.
        options: how it is run.
        rebuild: builds the same model with memory; called only if the model must run for real.
        assumed: whether the user passed no inputs, so that those assumed may be the cause of a failure.

    Returns:
        The graph with all facts that only the run can tell; parameters are not counted yet, skips not found.

    Raises:
        UsageError: the device is missing, the model's parameters are elsewhere, an option names no module, or another
            model is being traced in this thread.
        TraceError: the model's own code failed, or its steps cannot be timed one by one.

    >>> from fxviz._graph import TensorInfo
    >>> graph = trace_module(nn.Sequential(nn.Linear(4, 2)), TensorInfo((1, 4), "float32"), ModelInfo("a", "b", "c"))
    >>> graph.trace.method, [(node.op, node.macs) for node in graph.nodes]
    ('fake', [('input', 0), ('Linear', 8), ('output', 0)])
    """
    wanted = _Wanted(Arguments.of(inputs), options, info, assumed)
    with one_at_a_time(), _quiet(), _deep_calls(), gathered(model):
        if lazy := unsized(model):
            return _traced_after_a_call(model, wanted, lazy, rebuild)
        attempt = _attempt(model, wanted.given, options, rebuild)
        if late := attempt.recording.late:
            return _traced_after_a_call(model, wanted, late, rebuild, attempt)
        return _finished(attempt, wanted)


@dataclass(frozen=True)
class _Wanted:
    """What was asked for: the arguments (``assumed`` if none were given), options of the run, origin of the model."""

    given: Arguments
    options: TraceOptions
    info: ModelInfo
    assumed: bool


def _traced_after_a_call(
    model: nn.Module,
    wanted: _Wanted,
    names: Collection[str],
    rebuild: Callable[[], nn.Module] | None,
    before: _Attempt | None = None,
) -> ArchGraph:
    """Run a model that gets the parameters ``names`` at its first call once more, after such a call.

    Args:
        model: the model.
        wanted: what was asked for.
        names: parameters that have no shape yet, or that were made in the run ``before``.
        rebuild: builds the same model with memory.
        before: the run without such a call, which counts if the model cannot be called twice.
    """
    if rebuild is not None:
        if obstacle := _memory_lacking(model):
            raise UsageError(f"{note_on(names)}; {obstacle}")
        model = rebuild()
    model = unwrapped(model)
    options, home = wanted.options, home_of(model)
    function = method_of(model, options.method) if options.method else model
    with called_once(model, function, wanted.given, home, options.train) as succeeded:
        if not succeeded:  # the run that is recorded fails there, too, and says where
            options = replace(options, device=home)
        attempt = _attempt(model, wanted.given, options, None)
        if before is None or attempt.recording.stop is None:
            return _finished(attempt, wanted, note_on(names))
    return _finished(before, wanted, f"{made_late(names)}, so they are not counted")


def _finished(attempt: _Attempt, wanted: _Wanted, *notes: str) -> ArchGraph:
    """Return the graph of a run, or raise the error that ended it."""
    stop = attempt.recording.stop
    if stop is not None:
        situation = Situation(attempt.model, wanted.given, wanted.assumed, wanted.options, stop)
        if not (wanted.options.partial and situation.began) or unsized(attempt.model):
            tell(attempt.recording.left)
            raise _error(situation, attempt.obstacle) from stop.error
    return _described(attempt, wanted.info, notes)


def _attempt(
    model: nn.Module, given: Arguments, options: TraceOptions, rebuild: Callable[[], nn.Module] | None
) -> _Attempt:
    """Run on fake tensors, then with guessed values, then for real, until values are no longer lacking."""
    model = unwrapped(model)
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
        model = unwrapped(rebuild())
    first = next(model.parameters(), None)
    home = "cpu" if first is None else str(first.device)
    if home == "meta" or isinstance(first, FakeTensor):
        return replace(
            attempt,
            obstacle="its code asks for values that fake tensors lack: give its parameters memory to run for real",
        )
    options = replace(options, device=home)
    return _Attempt(model, options, "real", record(model, given, options))


def _memory_lacking(model: nn.Module) -> str:
    """Explain why the model cannot be built with memory on this machine; "" if it can."""
    needed, present = memory_needed(model), _memory()
    if present is None or needed <= present:
        return ""
    return f"to run for real its parameters need {needed / 1e9:.1f} GB, and this machine has {present / 1e9:.1f} GB"


def _memory() -> int | None:
    """Return the bytes of memory in this machine; None if they cannot be found out."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _error(situation: Situation, obstacle: str) -> TraceError:
    """Return the error for a run that failed; an obstacle to a real run already says what to do."""
    step = obstacle or next_step(situation)
    error = TraceError(f"{sentence(class_label(situation.model), situation.stop.failure)}{f'; {step}' if step else ''}")
    error.failure = situation.stop.failure
    return error


def _described(attempt: _Attempt, info: ModelInfo, notes: tuple[str, ...]) -> ArchGraph:
    recording, options = attempt.recording, attempt.options
    times = time_nodes(attempt.model, recording, options) if options.time else {}
    root = recording.tracer.root
    called = {scope.path for scope in recording.tracer.scopes} | {node.meta["path"] for node in recording.graph.nodes}
    trace = TraceInfo(
        device=options.device,
        method=attempt.method,
        inputs=recording.inputs,
        torch=str(torch.__version__),
        torchvision=_torchvision_version(),
        guessed=recording.guessed,
        training=options.train,
        failure=None if recording.stop is None else recording.stop.failure,
        bound=recording.bound if recording.guessed else "about",
        idle=recording.idle,
        notes=(*notes, *recording.notes, *packed.notes_on(root, list(recording.graph.nodes))),
        unregistered=(*recording.unregistered, *packed.packed_by_torch(root, called)),
    )
    if options.method:
        info = replace(info, name=f"{info.name}.{options.method}()", method=options.method)
    if options.root:
        info = replace(info, name=f"{info.name}.{options.root}", cls=class_name(root))
    return to_archgraph(recording.graph, recording.tracer, info, trace, times)


_CALLS = 3
"""The tracer's calls for each call of a module, at most, beside torch's own three."""


@contextmanager
def _deep_calls() -> Iterator[None]:
    """Let modules nest as deeply as torch itself can run them, though the tracer's calls stand between theirs."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(_CALLS * limit)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


@contextmanager
def _quiet() -> Iterator[None]:
    """Ignore the log of operations that fail on fake tensors, and warnings of future changes."""
    with silenced(FAKE_TENSOR_LOGGER), ignored_warnings(FutureWarning, _LIBRARIES), ignored_warnings(module=_OURS):
        yield


def _torchvision_version() -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("torchvision")
    except PackageNotFoundError:
        return None
