"""Write the calls of Python code into torch as ``torch.fx`` does."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from torch import Tensor, fx

from fxviz._sources.torch_private import OpOverload

_IN_PLACE_DUNDERS = frozenset(
    f"__{name}__"
    for name in "setitem iadd isub imul itruediv ifloordiv imod ipow iand ior ixor ilshift irshift imatmul".split()
)


def read_after_write(value: Any, writer: Any) -> Any:
    """Mark in the graph where a tensor is read whose memory ``writer`` changed through another view."""
    return value


def getitem(value: Any, key: Any) -> Any:
    """Return ``value[key]``, as a node of the graph."""
    return value[key]


def setitem(value: Any, key: Any, item: Any) -> Any:
    """Run ``value[key] = item``, as a node of the graph, and return ``value``."""
    value[key] = item
    return value


def stopped() -> None:
    """Mark in the graph where the model's code raised outside any operation."""


def name_of(func: Callable[..., Any]) -> str:
    """Return the name of a function; ``aten.mean.dim`` is called "mean"."""
    named = func.overloadpacket if isinstance(func, OpOverload) else func
    return getattr(named, "__name__", None) or str(func)


def plain_arguments(node: fx.Node) -> dict[str, Any]:
    """Return the plain arguments of a call, by position ("1") or name ("dim")."""
    arguments = [(str(place), value) for place, value in enumerate(node.args)] + list(node.kwargs.items())
    return {name: plain(value) for name, value in arguments if is_plain(value)}


def is_plain(value: Any) -> bool:
    """Return whether a value is a number, a text or a truth value that a file can hold, or a list of such."""
    if isinstance(value, (tuple, list)):
        return all(is_plain(item) for item in value)
    return isinstance(value, (int, float, bool, str)) and value == value and value not in (float("inf"), float("-inf"))


def plain(value: Any) -> Any:
    """Return a plain value with tuples in place of lists."""
    return tuple(plain(item) for item in value) if isinstance(value, (tuple, list)) else value


def _is_method(func: Callable[..., Any]) -> bool:
    if isinstance(func, (types.MethodDescriptorType, types.WrapperDescriptorType)):
        return True
    return getattr(func, "__qualname__", "").startswith(("Tensor.", "TensorBase.", "_TensorBase."))


def writes_by_name(func: Callable[..., Any], name: str, args: tuple[Any, ...]) -> bool:
    """Return whether a call is in place by its name: a fake value written to a real tensor keeps its version."""
    if not args or not isinstance(args[0], Tensor) or name == "requires_grad_":
        return False
    return name in _IN_PLACE_DUNDERS or (name.endswith("_") and not name.endswith("__") and _is_method(func))


def returns_nothing_new(result: Any, inputs: list[Tensor]) -> bool:
    """Return whether a call only returned its first tensor (``x.contiguous()``, ``F.dropout(x, training=False)``)."""
    return bool(inputs) and result is inputs[0]


def written(func: Callable[..., Any], name: str, args: tuple[Any, ...]) -> tuple[str, Any, str, tuple[Any, ...]]:
    """Return a call as fx writes it: kind, target, the operation's plain name, arguments."""
    if name == "__get__":
        attribute = func.__self__.__name__  # type: ignore[attr-defined]
        return "call_function", getattr, attribute, (args[0], attribute)
    if name == "__getitem__":
        return "call_function", getitem, "getitem", args
    if name == "__setitem__":
        return "call_function", setitem, "setitem", args
    if _is_method(func):
        return "call_method", name, name.strip("_") if name.startswith("__") else name, args
    return "call_function", func, name, args
