"""Restore the model and torch after a run, and after a first call that completes the model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from fxviz._sources.inputs import Arguments
from fxviz._sources.own_thread import patched, printing_to_stderr
from fxviz._sources.torch_private import (
    GATHERED,
    FakeTensor,
    TorchDispatchMode,
    argument_names,
    sharded_parameters,
    storage_of,
    without_function_modes,
    without_modes,
    writes,
)
from fxviz._sources.torch_state import hooks_of, modes_restored
from fxviz._trace.arguments import materialized
from fxviz._trace.places import put_hooks, unrestored
from fxviz._trace.process import random_state, settings
from fxviz._trace.snapshot import Snapshot
from fxviz._trace.tensors import tensors_in
from fxviz._trace.tracer import FAILURES


@contextmanager
def undisturbed(
    model: nn.Module,
    real: bool,
    training: bool = False,
    gradients: bool = False,
    method: str = "",
    sentences: list[str] | None = None,
) -> Iterator[list[str]]:
    """Run ``model`` in one mode in here, and put back afterwards what its code can change.

    That is what :class:`~fxviz._trace.snapshot.Snapshot` finds, the memory of tensors that operations write to or hand
    out, flags and gradients of tensors, random numbers, and settings of torch, numpy and the process. Its code prints
    to standard error. Random numbers are shared by all threads: those that another thread draws meanwhile are drawn
    again afterwards. Yield a list to which is added, in the end, a sentence on each place that could not be restored.

    Args:
        model: the model.
        real: whether its operations write to real tensors; then these are restored, too.
        training: whether it runs in training mode, not in eval mode.
        gradients: whether its code may ask for gradients.
        method: the method that runs in place of forward.
        sentences: the list to yield, if not a new one.

    >>> model = nn.BatchNorm1d(4)
    >>> with undisturbed(model, real=True):
    ...     inside = model.training
    >>> inside, model.training
    (False, True)
    """
    sentences = [] if sentences is None else sentences
    with ExitStack() as stack:
        stack.enter_context(modes_restored())
        stack.enter_context(random_state(real))
        stack.enter_context(settings(sentences))
        stack.enter_context(torch.set_grad_enabled(gradients))
        stack.enter_context(patched(torch.backends.mha, "get_fastpath_enabled", _no_fast_path))
        snapshot, memory = Snapshot(model, method), _Memory()
        stack.enter_context(_tensors(snapshot.tensors, sentences))
        stack.enter_context(memory.restored(sentences))
        if real:
            stack.enter_context(_buffer_values(snapshot.modules, sentences))
            stack.enter_context(_Writes(memory))
        stack.enter_context(Exposures(memory))
        stack.enter_context(_sharding(model))
        stack.callback(lambda: sentences.extend(snapshot.put_back()))
        stack.enter_context(_mode(model, training))
        stack.enter_context(printing_to_stderr())
        yield sentences


@contextmanager
def no_gpu_to_wait_for() -> Iterator[None]:
    """Let a model wait for a GPU that does not exist, and choose it: on fake tensors there is nothing to wait for."""
    with ExitStack() as stack:
        if not torch.cuda.is_available():
            stack.enter_context(patched(torch.cuda, "synchronize", lambda *device, **named: None))
            stack.enter_context(patched(torch.cuda, "set_device", lambda *device, **named: None))
            stack.enter_context(patched(torch.cuda, "current_device", lambda: 0))
        yield


@contextmanager
def _noting(name: str, sentences: list[str]) -> Iterator[None]:
    """Add a sentence if something cannot be put back in here: a run that is over does not fail because of it."""
    try:
        yield
    except Exception as error:
        sentences.append(unrestored(name, error))


def _no_fast_path() -> bool:
    """Switch off MultiheadAttention's fast path while the model is traced: one opaque operation would hide its MACs."""
    return False


@contextmanager
def _tensors(tensors: Mapping[str, Tensor], sentences: list[str]) -> Iterator[None]:
    """Restore which memory tensors refer to, which of them require a gradient, their gradients and hooks."""
    saved = [
        (name, tensor, tensor.detach(), tensor.requires_grad, tensor.grad if tensor.is_leaf else None, hooks_of(tensor))
        for name, tensor in tensors.items()
        if not is_lazy(tensor)
    ]
    try:
        yield
    finally:
        for name, tensor, memory, required, gradient, hooks in saved:
            with _noting(name, sentences):
                if _refers(tensor) != _refers(memory):
                    tensor.data = memory
                if tensor.is_leaf:
                    tensor.requires_grad_(required)
                    tensor.grad = gradient
                for now, before in zip(hooks_of(tensor), hooks, strict=True):
                    put_hooks(now, before)


def _refers(tensor: Tensor) -> Any:
    """Return the memory that a tensor refers to, and how."""
    place = storage_of(tensor)
    return (place, tensor.dtype, tensor.shape, *(() if place is None else (tensor.stride(), tensor.storage_offset())))


@contextmanager
def _buffer_values(modules: list[nn.Module], sentences: list[str]) -> Iterator[None]:
    """Copy buffers beforehand and restore them: batch normalisation writes to them, and its schema does not tell."""
    buffers = {id(each): (name, each) for module in modules for name, each in module.named_buffers(recurse=False)}
    saved = [(name, buffer, buffer.clone()) for name, buffer in buffers.values() if not is_lazy(buffer)]
    try:
        yield
    finally:
        for name, buffer, value in saved:
            with _noting(name, sentences):
                _write_back(buffer, value)


def _write_back(buffer: Tensor, value: Tensor) -> None:
    if buffer.shape != value.shape:  # an observer of a quantised model resizes what it has seen
        buffer.resize_(value.shape)
    if not torch.equal(buffer, value):
        buffer.copy_(value)


class _Memory:
    """Copies of memory that was there before a run and that the run may write to."""

    def __init__(self) -> None:
        self._copies: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}
        self._new: set[int] = set()

    def keep(self, tensor: Tensor) -> None:
        """Copy the memory of a tensor, unless the run itself has made it."""
        place = None if isinstance(tensor, FakeTensor) or is_lazy(tensor) or tensor.is_meta else storage_of(tensor)
        if place is not None and place not in self._new and place not in self._copies:
            storage = tensor.untyped_storage()
            with without_modes(), without_function_modes():
                self._copies[place] = (storage, storage.clone())  # type: ignore[no-untyped-call]

    def made(self, result: Any, arguments: Any) -> None:
        """Note the memory of a result that is no view of an argument."""
        given = {storage_of(tensor) for tensor in tensors_in(arguments)}
        self._new.update({storage_of(tensor) or 0 for tensor in tensors_in(result)}.difference(given))

    @contextmanager
    def restored(self, sentences: list[str]) -> Iterator[None]:
        """Write the copies back in the end."""
        try:
            yield
        finally:
            for storage, copy in self._copies.values():
                with _noting("the memory of a tensor", sentences):
                    if storage.nbytes() != copy.nbytes():
                        storage.resize_(copy.nbytes())
                    storage.copy_(copy)


_STATISTICS = ("running_mean", "running_var")
"""Arguments that batch normalisation writes to, and its schema does not tell."""


class _Writes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps memory before an operation writes to it."""

    def __init__(self, memory: _Memory) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._memory = memory
        self._statistics: dict[Any, list[int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        arguments = (args, kwargs or {})
        if func not in self._statistics:
            self._statistics[func] = [place for place, name in enumerate(argument_names(func)) if name in _STATISTICS]
        written = arguments if writes(func) else [args[place] for place in self._statistics[func] if place < len(args)]
        for tensor in tensors_in(written):
            self._memory.keep(tensor)
        result = func(*args, **(kwargs or {}))
        self._memory.made(result, arguments)
        return result


_HANDS_OUT_MEMORY = frozenset(
    "numpy __array__ data_ptr const_data_ptr untyped_storage _typed_storage storage __dlpack__ share_memory_".split()
)
"""Methods of a tensor after which others than torch can write to its memory."""


class Exposures(TorchFunctionMode):
    """Keeps memory before it is handed out: numpy, for example, writes to it unseen."""

    def __init__(self, memory: _Memory) -> None:
        super().__init__()
        self._memory = memory

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in _HANDS_OUT_MEMORY:
            for tensor in tensors_in(args[:1]):
                self._memory.keep(tensor)
        return func(*args, **(kwargs or {}))


@contextmanager
def _sharding(model: nn.Module) -> Iterator[None]:
    """Shard all parameters before and after the run, and forget what it gathered: that may have no values."""
    parameters = sharded_parameters(model)
    sharded: list[Any] = [module for module in model.modules() if hasattr(module, "reshard")] if parameters else []
    for module in sharded:
        module.reshard()
    saved = [{name: vars(each)[name] for name in GATHERED if name in vars(each)} for each in parameters]
    try:
        yield
    finally:
        for module in sharded:
            module.reshard()
        for each, gathered in zip(parameters, saved, strict=True):
            for name in GATHERED:
                vars(each).pop(name, None)
            vars(each).update({"all_gather_outputs": [], **gathered})


@contextmanager
def _mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Set the mode of each module, without ``model.train()`` or ``model.eval()``, which a model may override."""
    saved = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in saved:
            module.training = training
        yield
    finally:
        for module, before in saved:
            module.training = before


def reset() -> None:
    """Reset the defaults of torch that imported code may have set for the whole process.

    >>> torch.set_default_dtype(torch.float64)
    >>> reset()
    >>> torch.get_default_dtype()
    torch.float32
    """
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)
    torch.use_deterministic_algorithms(False)


def unsized(model: nn.Module) -> list[str]:
    """Return the names of parameters and buffers that get their shape at the first call.

    >>> unsized(nn.Sequential(nn.ReLU(), nn.LazyLinear(3))), unsized(nn.Linear(2, 3))
    (['1.weight', '1.bias'], [])
    """
    return [name for name, tensor in (*model.named_parameters(), *model.named_buffers()) if is_lazy(tensor)]


def note_on(names: Collection[str]) -> str:
    """Return a sentence on the call.

    >>> note_on(["fc.weight", "fc.bias", "head.weight"])
    "the model was called once before this run, as 'fc.weight' and 2 more get their shapes when it is called"
    """
    return f"the model was called once before this run, as {made_late(names)}"


def made_late(names: Collection[str]) -> str:
    """Say that these parameters get their shapes when the model is called."""
    first, more = next(iter(names)), len(names) - 1
    return f"'{first}'{f' and {more} more get their shapes' if more else ' gets its shape'} when it is called"


@contextmanager
def called_once(
    model: nn.Module, function: Callable[..., Any], given: Arguments, device: str, training: bool
) -> Iterator[bool]:
    """Leave ``model`` as its first call leaves it while this is active; afterwards it is as it was.

    Yield whether the call succeeded.

    Args:
        model: the model, whose parameters have memory.
        function: the model itself, or the method of it that is called.
        given: the arguments of the call.
        device: the device of its parameters.
        training: the mode of the call.

    >>> model = nn.LazyLinear(3)
    >>> with called_once(model, model, Arguments.of(__import__("torch").ones(1, 2)), "cpu", training=False):
    ...     inside = model
    ...     shape = tuple(model.weight.shape)
    >>> shape, unsized(model), type(model).__name__
    ((3, 2), ['weight', 'bias'], 'LazyLinear')
    """
    tensors = [tensor for tensor in (*model.parameters(), *model.buffers()) if is_lazy(tensor)]
    before = [(tensor, type(tensor), tensor.data) for tensor in tensors]
    classes = [(module, type(module)) for module in model.modules()]
    try:
        with undisturbed(model, real=True, training=training):
            yield _succeeds(function, given, device)
    finally:
        for tensor, kind, data in before:
            tensor.data = data
            tensor.__class__ = kind
        for module, cls in classes:
            module.__class__ = cls


def _succeeds(function: Callable[..., Any], given: Arguments, device: str) -> bool:
    args, kwargs = materialized((given.args, given.kwargs), None, device)
    try:
        function(*args, **kwargs)
    except FAILURES:
        return False
    return True


def memory_needed(model: nn.Module) -> int:
    """Return the bytes of the parameters whose shapes are known."""
    sizes: list[Any] = [parameter for parameter in model.parameters() if not is_lazy(parameter)]
    return sum(parameter.numel() * parameter.element_size() for parameter in sizes)
