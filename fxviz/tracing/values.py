"""Which node a tensor came from, and how to find the tensors inside whatever a model passes around."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

from fxviz.graph import TensorInfo

_PLAIN = (int, float, complex, bool, str, bytes, type(None), torch.dtype, torch.device, torch.Size, type)
_OPAQUE = (nn.Module, types.FunctionType, types.ModuleType, types.BuiltinFunctionType)
_DEPTH = 8


def tensors_in(value: Any, depth: int = 0) -> Iterator[Tensor]:
    """Every tensor inside nested containers, dataclasses and plain objects, in a fixed order, ``_DEPTH`` levels down.

    >>> [tuple(t.shape) for t in tensors_in({"a": torch.zeros(2), "b": [torch.zeros(3), 1]})]
    [(2,), (3,)]
    """
    if isinstance(value, Tensor):
        yield value
    elif not isinstance(value, _PLAIN) and depth < _DEPTH:
        for part in _parts(value):
            yield from tensors_in(part, depth + 1)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, slice):
        return (value.start, value.stop, value.step)
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    if isinstance(value, _OPAQUE) or type(value).__module__.partition(".")[0] in ("torch", "builtins"):
        return ()
    return [part for part in getattr(value, "__dict__", {}).values() if isinstance(part, (Tensor, list, tuple, dict))]


def describe(tensor: Tensor) -> TensorInfo:
    """Sizes and dtype of a tensor as plain values.

    >>> describe(torch.zeros(1, 2))
    TensorInfo(shape=(1, 2), dtype='float32')
    """
    return TensorInfo(tuple(int(size) for size in tensor.shape), str(tensor.dtype).removeprefix("torch."))


def version_of(tensor: Tensor) -> int:
    """The counter that torch raises at every write; 0 for tensors that keep none (inference mode)."""
    return 0 if tensor.is_inference() else tensor._version


def storage_of(tensor: Tensor) -> int | None:
    """What tells two views of the same memory; None for tensors without storage (sparse, nested)."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return None


@dataclasses.dataclass
class _Binding:
    tensor: Tensor
    node: fx.Node
    version: int


class Bindings:
    """The node that each live tensor came from.

    Tensors are told apart by identity and kept alive while the trace runs, so that no identity is used twice. A write
    through a view is noticed by the tensor's version and by the last node that wrote to the same storage.
    """

    def __init__(self) -> None:
        self._bindings: dict[int, _Binding] = {}
        self._writers: dict[int, fx.Node] = {}

    def bind(self, tensor: Tensor, node: fx.Node) -> None:
        """From now on ``tensor`` is the result of ``node``."""
        self._bindings[id(tensor)] = _Binding(tensor, node, version_of(tensor))

    def node_of(self, tensor: Tensor) -> fx.Node | None:
        """The node that made ``tensor``, None if no recorded step did."""
        binding = self._bindings.get(id(tensor))
        return None if binding is None else binding.node

    def wrote(self, tensor: Tensor, node: fx.Node) -> None:
        """``node`` changed ``tensor`` in place."""
        storage = storage_of(tensor)
        if storage is not None:
            self._writers[storage] = node
        self.bind(tensor, node)

    def pending_write(self, tensor: Tensor) -> fx.Node | None:
        """The node that changed ``tensor``'s memory through another view since ``tensor`` was bound, if there is one."""
        binding = self._bindings[id(tensor)]
        if version_of(tensor) == binding.version:
            return None
        binding.version = version_of(tensor)
        writer = self._writers.get(storage_of(tensor) or 0)
        return writer if writer is not binding.node else None
