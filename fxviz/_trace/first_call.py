"""Call a model once before it is traced if only that gives it all of its parameters, and undo that afterwards."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy

from fxviz._sources.inputs import Arguments
from fxviz._trace.arguments import materialized
from fxviz._trace.isolation import undisturbed
from fxviz._trace.tracer import FAILURES


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
