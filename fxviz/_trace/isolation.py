"""Restore the model and torch after a run, and after a first call that completes the model."""

from __future__ import annotations

import random
import sys
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from fxviz._graph.errors import first_line
from fxviz._sources.inputs import Arguments
from fxviz._sources.own_thread import patched, printing_to_stderr
from fxviz._sources.torch_private import GATHERED, TorchDispatchMode, sharded_parameters, storage_of, writes
from fxviz._trace.arguments import materialized
from fxviz._trace.tensors import tensors_in
from fxviz._trace.tracer import FAILURES

_CONTAINERS: tuple[type, ...] = (OrderedDict, dict, list, set)
"""Containers whose items are restored, a class before its base class: subclasses may refuse changes, these do not."""


@contextmanager
def undisturbed(model: nn.Module, real: bool, training: bool = False, gradients: bool = False) -> Iterator[list[str]]:
    """Run ``model`` in one mode in here, and restore the attributes, mode and buffers of every module afterwards.

    Its code prints to standard error. Random numbers are shared by all threads: those that another thread draws
    meanwhile are drawn again afterwards. Yield a list to which is added, in the end, a sentence on each attribute that
    could not be restored.

    Args:
        model: the model.
        real: whether its code writes to real tensors; then the values of all tensors that it holds are restored, too.
        training: whether it runs in training mode, not in eval mode.
        gradients: whether its code may ask for gradients.

    >>> model = nn.BatchNorm1d(4)
    >>> with undisturbed(model, real=True):
    ...     inside = model.training
    >>> inside, model.training
    (False, True)
    """
    kept = _Unrestored()
    with ExitStack() as stack:
        stack.enter_context(_random_state(real))
        stack.enter_context(torch.set_grad_enabled(gradients))
        stack.enter_context(patched(torch.backends.mha, "get_fastpath_enabled", _no_fast_path))
        stack.enter_context(_gradients(model, kept))
        if real:
            stack.enter_context(_buffer_values(model, kept))
            stack.enter_context(_CopyOnWrite(model))
        stack.enter_context(_sharding(model))
        stack.enter_context(_attributes(model, kept))
        stack.enter_context(_mode(model, training))
        stack.enter_context(printing_to_stderr())
        yield kept.sentences


@contextmanager
def no_gpu_to_wait_for() -> Iterator[None]:
    """Let a model wait for a GPU that does not exist, and choose it: on fake tensors there is nothing to wait for."""
    with ExitStack() as stack:
        if not torch.cuda.is_available():
            stack.enter_context(patched(torch.cuda, "synchronize", lambda *device, **named: None))
            stack.enter_context(patched(torch.cuda, "set_device", lambda *device, **named: None))
            stack.enter_context(patched(torch.cuda, "current_device", lambda: 0))
        yield


class _Unrestored:
    """What could not be restored, one sentence each: a run that is over does not fail because of it."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    @contextmanager
    def unless(self, name: str) -> Iterator[None]:
        """Restore the attribute of this name in here."""
        try:
            yield
        except Exception as error:
            self.sentences.append(f"'{name}' of the model could not be put back as it was: {first_line(error)}")


@contextmanager
def _random_state(real: bool) -> Iterator[None]:
    """Restore the random state of torch, of Python, and of numpy if that is imported."""
    devices = range(torch.cuda.device_count()) if real and torch.cuda.is_available() else ()
    state = random.getstate()
    numpy = sys.modules.get("numpy.random")
    numbers = numpy.get_state() if numpy else None
    try:
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        random.setstate(state)
        if numpy:
            numpy.set_state(numbers)


def _no_fast_path() -> bool:
    """Switch off MultiheadAttention's fast path while the model is traced: one opaque operation would hide its MACs."""
    return False


@contextmanager
def _gradients(model: nn.Module, kept: _Unrestored) -> Iterator[None]:
    """Restore the parameters' gradients, and which of them require one."""
    saved = [
        (name, tensor, tensor.requires_grad, tensor.grad)
        for name, tensor in model.named_parameters()
        if not is_lazy(tensor)
    ]
    try:
        yield
    finally:
        for name, tensor, required, gradient in saved:
            with kept.unless(name):
                tensor.requires_grad_(required)
                tensor.grad = gradient


@contextmanager
def _buffer_values(model: nn.Module, kept: _Unrestored) -> Iterator[None]:
    """Copy buffers beforehand and restore them: batch normalisation writes to them, and its schema does not tell."""
    saved = [(name, buffer, buffer.clone()) for name, buffer in model.named_buffers() if not is_lazy(buffer)]
    try:
        yield
    finally:
        for name, buffer, value in saved:
            with kept.unless(name):
                _write_back(buffer, value)


def _write_back(buffer: Tensor, value: Tensor) -> None:
    if buffer.shape != value.shape:  # an observer of a quantised model resizes what it has seen
        buffer.resize_(value.shape)
    if not torch.equal(buffer, value):
        buffer.copy_(value)


class _CopyOnWrite(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Copies memory that the model holds before an operation writes to it, and restores it in the end."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        tensors = [tensor for module in model.modules() for tensor in tensors_in(vars(module))]
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        self._held = {storage_of(tensor) for tensor in (*tensors, *gradients) if not is_lazy(tensor)} - {None}
        self._copies: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if writes(func):
            for tensor in tensors_in((args, kwargs)):
                self._keep(tensor)
        return func(*args, **(kwargs or {}))

    def _keep(self, tensor: Tensor) -> None:
        place = storage_of(tensor)
        if place is not None and place in self._held and place not in self._copies:
            storage = tensor.untyped_storage()
            self._copies[place] = (storage, storage.clone())  # type: ignore[no-untyped-call]

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for storage, copy in self._copies.values():
            if storage.nbytes() != copy.nbytes():
                storage.resize_(copy.nbytes())
            storage.copy_(copy)


@contextmanager
def _attributes(model: nn.Module, kept: _Unrestored) -> Iterator[None]:
    """Restore each module's attributes, and the items of dicts, lists and sets among them (parameters, caches)."""
    held: list[tuple[str, Any, Any]] = []
    for path, module in model.named_modules():
        _hold(path, module.__dict__, held, set())
    try:
        yield
    finally:
        for name, container, items in held:
            with kept.unless(name):
                _restore(container, items)


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


def _base(container: Any) -> Any:
    """Return the plain class of a container, whose methods a subclass cannot forbid."""
    return next(base for base in _CONTAINERS if isinstance(container, base))


def _hold(name: str, container: Any, held: list[tuple[str, Any, Any]], seen: set[int]) -> None:
    """Note a container, and the containers in it, with their present items."""
    seen.add(id(container))
    base = _base(container)
    items = dict(base.items(container)) if issubclass(base, dict) else list(base.__iter__(container))
    held.append((name, container, items))
    for key, part in items.items() if isinstance(items, dict) else enumerate(items):
        if isinstance(part, _CONTAINERS) and id(part) not in seen:
            _hold(f"{name}.{key}".strip("."), part, held, seen)


def _restore(container: Any, items: Any) -> None:
    """Put back what differs, so that a container that is as it was is not touched."""
    base = _base(container)
    if isinstance(items, dict):
        _restore_items(base, container, items)
    elif issubclass(base, set):
        base.intersection_update(container, items)
        base.update(container, items)
    elif not _same(base.__iter__(container), items):
        base.__setitem__(container, slice(None), items)


def _restore_items(base: Any, container: Any, items: dict[Any, Any]) -> None:
    for key in [key for key in base.keys(container) if key not in items]:
        base.__delitem__(container, key)
    for key, value in items.items():
        if base.get(container, key, items) is not value:
            base.__setitem__(container, key, value)
    if not _same(base.keys(container), items):  # what was deleted meanwhile stands at the end now
        for key, value in items.items():
            base.__delitem__(container, key)
            base.__setitem__(container, key, value)


def _same(one: Iterable[Any], other: Iterable[Any]) -> bool:
    """Return whether both are these very items in this order."""
    now, before = list(one), list(other)
    return len(now) == len(before) and all(left is right for left, right in zip(now, before, strict=True))


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
