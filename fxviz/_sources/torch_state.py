"""The private names of torch by which its state is read and restored: modes that are active, hooks, how it prints.

Where torch does not have one of them, that part of its state is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from fxviz._graph.errors import UsageError
from fxviz._sources.torch_private import in_function_transform, optional, without_modes


@contextmanager
def modes_restored() -> Iterator[None]:
    """Restore torch's stack of function modes, and the default device, which is one of them.

    Code that sets the default device pushes a mode; those who leave a block afterwards then pop another than theirs.
    """
    read, push, pop = (optional(f"overrides.{name}") for name in _STACK)
    holder = optional("_GLOBAL_DEVICE_CONTEXT")
    before, device = read() if read else [], getattr(holder, "device_context", None)
    try:
        yield
    finally:
        if holder is not None and getattr(holder, "device_context", None) is not device:
            holder.device_context = device
        if read and push and pop and [*map(id, read())] != [*map(id, before)]:
            for _ in read():
                pop()
            for mode in before:
                push(mode)


_STACK = ("_get_current_function_mode_stack", "_push_mode", "_pop_mode")


@contextmanager
def suspended(is_suspended: Callable[[Any], bool]) -> Iterator[None]:
    """Take those function modes off torch's stack for which the function returns True."""
    read, push, pop = (optional(f"overrides.{name}") for name in _STACK)
    if not (read and push and pop):
        yield
        return
    with modes_restored():
        kept = [mode for mode in read() if not is_suspended(mode)]
        for _ in read():
            pop()
        for mode in kept:
            push(mode)
        yield


@contextmanager
def apart_from_torch(all_modes: bool) -> Iterator[None]:
    """Suspend the modes of torch's own that are active (fake tensors, tracing, a counter), and keep those of others.

    Args:
        all_modes: whether a default device is suspended, too.

    Raises:
        UsageError: the caller runs inside a function transform or a trace of torch's, which cannot be suspended.
    """
    is_tracing = optional("jit.is_tracing")
    scripts = is_tracing is not None and is_tracing()
    if scripts or in_function_transform():
        what = "torch.jit.trace" if scripts else "vmap, grad or another function transform of torch"
        raise UsageError(f"cannot trace a model inside {what}: do it before")
    push, pop = (optional(f"utils._python_dispatch.{name}") for name in ("_push_mode", "_pop_mode"))
    with without_modes() as modes, suspended(lambda mode: all_modes and _is_of_torch(mode)):
        others = [mode for mode in modes or () if not _is_of_torch(mode)] if push and pop else []
        for mode in reversed(others):
            push(mode)
        try:
            yield
        finally:
            for _ in others:
                pop()


def _is_of_torch(mode: Any) -> bool:
    return type(mode).__module__.startswith("torch.")


def hooks_of(tensor: Tensor) -> tuple[dict[int, Any], ...]:
    """Return the containers of the hooks of a tensor's gradient; an empty one for each that it does not have.

    >>> [len(hooks) for hooks in hooks_of(Tensor())]
    [0, 0]
    """
    names = ("_backward_hooks", "_post_accumulate_grad_hooks")
    return tuple({} if (held := getattr(tensor, name, None)) is None else held for name in names)


def global_hooks() -> list[dict[int, Any]]:
    """Return the containers of the hooks that are called for all modules."""
    home = optional("nn.modules.module")
    found = [value for name, value in vars(home).items() if name.startswith("_global_") and name.endswith("_hooks")]
    return [value for value in found if isinstance(value, dict)]


def print_options() -> dict[str, Any]:
    """Return the settings with which torch prints tensors; {} where they cannot be found."""
    return getattr(optional("_tensor_str.PRINT_OPTS"), "__dict__", {})
