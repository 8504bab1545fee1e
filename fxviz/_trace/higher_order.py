"""Run operators that take functions (``torch.cond``, ``while_loop``, ``scan``, ``flex_attention``) as plain Python.

Such an operator has a kernel of its own for each mode, and torch compiles the call before it chooses one. Here torch's
plain kernel always runs, whose steps the tracer sees: the branch that is taken, each round of a loop.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from types import CellType
from typing import Any

import torch
from torch import Tensor, nn

from fxviz._graph.errors import UsageError
from fxviz._sources.own_thread import patched
from fxviz._sources.torch_private import CURRENT_MODE, plain_kernel

_WHOLE = ("flex_attention",)
"""Operators that are one step: their function changes scores one by one, which is no structure of the model."""

_DEPTH = 8

_LOOPS = ("while_loop",)
"""Operators whose number of rounds depends on values: to guess that the condition holds would never end."""

_BRANCHES = ("cond",)

BRANCH_ASSUMED = "the condition of torch.cond depends on data, so its first branch was assumed"


def name_of(func: Any) -> str:
    """Return the plain name of such an operator."""
    return str(func.name()).rpartition("::")[2]


def is_whole(func: Any) -> bool:
    """Return whether such an operator is one step."""
    return name_of(func) in _WHOLE


def is_loop(func: Any) -> bool:
    """Return whether it runs its function until a value says that it ends."""
    return name_of(func) in _LOOPS


def is_branch(func: Any) -> bool:
    """Return whether it runs one of several functions, by a value."""
    return name_of(func) in _BRANCHES


CAPTURED = "captured"
"""The argument that a step has beside those of its operator: the tensors that its functions read."""


def captured_by(arguments: Any) -> list[Tensor]:
    """Return the tensors in the closures of functions among nested arguments, except parameters.

    >>> def shifted_by(shift):
    ...     return lambda score: score + shift
    >>> captured_by((torch.ones(3), [shifted_by(torch.ones(2)), len]))
    [tensor([1., 1.])]
    """
    return list(_captured(arguments, False, 0))


def _captured(value: Any, within: bool, depth: int) -> Iterator[Tensor]:
    """Yield the tensors in a value that is a part of an argument, or ``within`` a function of it."""
    if isinstance(value, Tensor):
        yield from [value] if within and not isinstance(value, nn.Parameter) else []
    elif depth < _DEPTH:
        if isinstance(value, (tuple, list, dict)):
            parts = list(value.values() if isinstance(value, dict) else value)
        elif isinstance(value, partial):
            within, parts = True, [value.func, value.args, value.keywords]
        else:
            within, parts = True, [part for cell in getattr(value, "__closure__", None) or () for part in _held(cell)]
        for part in parts:
            yield from _captured(part, within, depth + 1)


def _held(cell: CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # nothing is assigned to the variable yet
        return []


def run_plainly(func: Any, *args: Any, captured: Any = (), **kwargs: Any) -> Any:
    """Call the plain kernel of such an operator; what its functions capture is no argument of it.

    Raises:
        UsageError: it has none.
    """
    kernel = plain_kernel(func)
    if kernel is None:
        raise UsageError(f"cannot run the operator '{name_of(func)}' step by step: torch has no plain kernel for it")
    with ExitStack() as stack:
        home = sys.modules.get(kernel.__module__)
        if hasattr(home, CURRENT_MODE):  # the kernel refuses to run beside a mode, which here only looks on
            stack.enter_context(patched(home, CURRENT_MODE, _no_mode))
        return kernel(*args, **kwargs)


def _no_mode() -> None:
    return None


@contextmanager
def nothing_compiled() -> Iterator[None]:
    """Let ``torch.compile`` return what it is given: what is compiled cannot be recorded.

    >>> with nothing_compiled():
    ...     torch.compile(len) is len, torch.compile(backend="eager")(len) is len
    (True, True)
    """
    with patched(torch, "compile", _as_written):
        yield


def _as_written(model: Callable[..., Any] | None = None, **options: Any) -> Any:
    return (lambda function: function) if model is None else model
