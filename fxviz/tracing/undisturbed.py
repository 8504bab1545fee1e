"""Leave the model and torch as they were, whatever the model's code does or raises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def undisturbed(model: nn.Module, real: bool) -> Iterator[None]:
    """Run ``model`` in eval mode in here; afterwards every module has the attributes, mode and buffers that it had.

    Args:
        model: the model.
        real: its code writes to real tensors, so the values of the buffers are kept too.
    """
    devices = range(torch.cuda.device_count()) if real and torch.cuda.is_initialized() else ()
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=list(devices)))
        stack.enter_context(torch.no_grad())
        stack.enter_context(_attention_in_full())
        stack.enter_context(_attributes(model))
        if real:
            stack.enter_context(_buffer_values(model))
        for module in model.modules():
            module.training = False
        yield


@contextmanager
def _attributes(model: nn.Module) -> Iterator[None]:
    saved = [(module, _copy(module.__dict__)) for module in model.modules()]
    try:
        yield
    finally:
        for module, attributes in saved:
            for name in ("_parameters", "_buffers", "_modules"):
                _restore(module.__dict__[name], attributes[name])
                attributes[name] = module.__dict__[name]
            _restore(module.__dict__, attributes)


def _copy(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes, and the three registries among them one level deeper."""
    copied = dict(attributes)
    for name in ("_parameters", "_buffers", "_modules"):
        copied[name] = dict(attributes[name])
    return copied


def _restore(now: dict[str, Any], before: dict[str, Any]) -> None:
    now.clear()
    now.update(before)


@contextmanager
def _buffer_values(model: nn.Module) -> Iterator[None]:
    saved: list[tuple[Tensor, Tensor]] = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        for buffer, value in saved:
            buffer.copy_(value)


@contextmanager
def _attention_in_full() -> Iterator[None]:
    """MultiheadAttention's fast path is one opaque operation that hides its MACs: off while the model is traced."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)
