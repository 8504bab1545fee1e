"""Restore the model and torch after a run, whatever the model's code does or raises."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fxviz._sources.own_thread import patched, printing_to_stderr
from fxviz._sources.torch_private import TorchDispatchMode, storage_of, writes
from fxviz._trace.tensors import tensors_in

_CONTAINERS = (dict, list, set)


@contextmanager
def undisturbed(model: nn.Module, real: bool, training: bool = False, gradients: bool = False) -> Iterator[None]:
    """Run ``model`` in one mode in here, and restore the attributes, mode and buffers of every module afterwards.

    Its code prints to standard error. Random numbers are shared by all threads: those that another thread draws
    meanwhile are drawn again afterwards.

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
    with ExitStack() as stack:
        stack.enter_context(_random_state(real))
        stack.enter_context(torch.set_grad_enabled(gradients))
        stack.enter_context(patched(torch.backends.mha, "get_fastpath_enabled", _no_fast_path))
        stack.enter_context(_gradients(model))
        if real:
            stack.enter_context(_buffer_values(model))
            stack.enter_context(_CopyOnWrite(model))
        stack.enter_context(_attributes(model))
        stack.enter_context(_mode(model, training))
        stack.enter_context(printing_to_stderr())
        yield


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
def _gradients(model: nn.Module) -> Iterator[None]:
    """Restore the parameters' gradients, and which of them require one."""
    saved = [(tensor, tensor.requires_grad, tensor.grad) for tensor in model.parameters()]
    try:
        yield
    finally:
        for tensor, required, gradient in saved:
            tensor.requires_grad_(required)
            tensor.grad = gradient


@contextmanager
def _buffer_values(model: nn.Module) -> Iterator[None]:
    """Copy buffers beforehand and restore them: batch normalisation writes to them, and its schema does not tell."""
    saved = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        for buffer, value in saved:
            _write_back(buffer, value)


def _write_back(buffer: Tensor, value: Tensor) -> None:
    if not torch.equal(buffer, value):
        buffer.copy_(value)


class _CopyOnWrite(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Copies memory that the model holds before an operation writes to it, and restores it in the end."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        tensors = [tensor for module in model.modules() for tensor in tensors_in(vars(module))]
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        self._held = {storage_of(tensor) for tensor in (*tensors, *gradients)} - {None}
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
            storage.copy_(copy)


@contextmanager
def _attributes(model: nn.Module) -> Iterator[None]:
    """Restore each module's attributes, and the items of dicts, lists and sets among them (parameters, caches)."""
    held: list[tuple[Any, Any]] = []
    for module in model.modules():
        _hold(module.__dict__, held, set())
    try:
        yield
    finally:
        for container, items in held:
            _restore(container, items)


def _hold(container: Any, held: list[tuple[Any, Any]], seen: set[int]) -> None:
    """Note a container, and the containers in it, with their present items."""
    seen.add(id(container))
    held.append((container, container.copy()))
    for part in container.values() if isinstance(container, dict) else container:
        if isinstance(part, _CONTAINERS) and id(part) not in seen:
            _hold(part, held, seen)


def _restore(container: Any, items: Any) -> None:
    if not _holds(container, items):
        container.clear()
        (container.extend if isinstance(container, list) else container.update)(items)


def _holds(container: Any, items: Any) -> bool:
    """Return whether a container still holds these very items in this order; then it is not touched."""
    now, before = (
        [part for pair in each.items() for part in pair] if isinstance(each, dict) else list(each)
        for each in (container, items)
    )
    return len(now) == len(before) and all(one is other for one, other in zip(now, before, strict=True))


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
