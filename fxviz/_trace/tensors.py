"""Find the tensors inside the values that a model passes around, and remember the node that each came from."""

from __future__ import annotations

import copy
import dataclasses
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from fxviz._graph import TensorInfo
from fxviz._sources.torch_private import innermost, storage_of, version_of

PLAIN = (int, float, complex, bool, str, bytes, type(None), torch.dtype, torch.device, torch.Size, type)
"""What has no parts."""

OPAQUE = (nn.Module, types.FunctionType, types.ModuleType, types.BuiltinFunctionType)
"""What holds no tensors that a value brings along."""

_HOLDERS = (Tensor, TensorInfo, list, tuple, dict)
_DEPTH = 8


def tensors_in(value: Any, depth: int = 0) -> Iterator[Tensor]:
    """Yield every tensor inside nested containers, dataclasses and plain objects, in a fixed order, to a depth of 8.

    >>> [tuple(t.shape) for t in tensors_in({"a": torch.zeros(2), "b": [torch.zeros(3), 1]})]
    [(2,), (3,)]
    """
    if isinstance(value, Tensor):
        yield value
    elif not isinstance(value, PLAIN) and depth < _DEPTH:
        for part in _parts(value):
            yield from tensors_in(part, depth + 1)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, slice):
        return (value.start, value.stop, value.step)
    return [getattr(value, name) for name in _attributes(value)]


def with_parts(value: Any, change: Callable[[Any], Any]) -> Any:
    """Copy a container, dataclass or plain object, with ``change`` applied to its parts; return anything else as it is.

    >>> with_parts({"a": [1]}, lambda part: part + [2])
    {'a': [1, 2]}
    """
    if isinstance(value, PLAIN):
        return value
    if type(value) is tuple or hasattr(value, "_fields"):
        parts = [change(part) for part in value]
        return tuple(parts) if type(value) is tuple else type(value)(*parts)
    if isinstance(value, Mapping) and not isinstance(value, MutableMapping):
        return {key: change(part) for key, part in value.items()}
    if isinstance(value, (list, MutableMapping)):
        copied: Any = copy.copy(value)
        for key, part in value.items() if isinstance(value, MutableMapping) else enumerate(value):
            copied[key] = change(part)
        return copied
    return _with_attributes(value, change)


def swapped(value: Any, swap: Callable[[Tensor], Tensor]) -> Any:
    """Replace each tensor in the arguments of an operation, which nest tuples, lists and dicts alone.

    >>> swapped((torch.ones(2), [torch.ones(3), None], {"dim": 1}), lambda tensor: tensor.sum())
    (tensor(2.), [tensor(3.), None], {'dim': 1})
    """
    if isinstance(value, Tensor):
        return swap(value)
    if type(value) in (tuple, list):
        return type(value)(swapped(part, swap) for part in value)
    if type(value) is dict:
        return {key: swapped(part, swap) for key, part in value.items()}
    return value


def _with_attributes(value: Any, change: Callable[[Any], Any]) -> Any:
    names = _attributes(value)
    if not names:
        return value
    copied = copy.copy(value)
    for name in names:
        object.__setattr__(copied, name, change(getattr(value, name)))
    return copied


def _attributes(value: Any) -> list[str]:
    """Return the attributes in which a dataclass or a plain object of the user may hold tensors."""
    if isinstance(value, OPAQUE) or type(value).__module__.partition(".")[0] in ("torch", "builtins"):
        return []
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value) if hasattr(value, field.name)]
    return (
        [name for name, part in vars(value).items() if isinstance(part, _HOLDERS)] if hasattr(value, "__dict__") else []
    )


def listed(tensors: Iterable[TensorInfo]) -> str:
    """List shapes and dtypes as a message does.

    >>> listed([TensorInfo((2, 8), "float32"), TensorInfo((), "bool")])
    '2×8 float32, a single bool'
    """
    return ", ".join(f"{'×'.join(map(str, info.shape)) or 'a single'} {info.dtype}" for info in tensors)


@dataclasses.dataclass
class _Binding:
    tensor: Tensor
    node: fx.Node
    version: int


class Bindings:
    """The node that each live tensor came from.

    Tensors are distinguished by identity and kept alive while the trace runs, so that no identity is used twice. A
    write through a view shows in the tensor's version and in the last node that wrote to the same storage. A tensor
    that function transforms have wrapped is known by the one inside.
    """

    def __init__(self) -> None:
        self._bindings: dict[int, _Binding] = {}
        self._writers: dict[int, fx.Node] = {}
        self._changed: list[tuple[int, int | None]] = []

    def __len__(self) -> int:
        """Return how often a tensor was bound so far."""
        return len(self._changed)

    def clear(self) -> None:
        """Forget all tensors."""
        self._bindings.clear()

    def bind(self, tensor: Tensor, node: fx.Node) -> None:
        """Remember that ``tensor`` is the result of ``node`` from now on."""
        tensor = innermost(tensor)
        self._bindings[id(tensor)] = _Binding(tensor, node, version_of(tensor))
        self._changed.append((id(tensor), None))

    def node_of(self, tensor: Tensor) -> fx.Node | None:
        """Return the node that made ``tensor``, None if no recorded step did."""
        binding = self._bindings.get(id(innermost(tensor)))
        return None if binding is None else binding.node

    def wrote(self, tensor: Tensor, node: fx.Node) -> None:
        """Remember that ``node`` changed ``tensor`` in place."""
        tensor = innermost(tensor)
        storage = storage_of(tensor)
        if storage is not None:
            self._writers[storage] = node
        self.bind(tensor, node)
        self._changed.append((id(tensor), storage))

    def pending_write(self, tensor: Tensor) -> fx.Node | None:
        """Return the node that changed the memory of ``tensor`` through another view since it was bound, if any."""
        tensor = innermost(tensor)
        binding = self._bindings[id(tensor)]
        if version_of(tensor) == binding.version:
            return None
        binding.version = version_of(tensor)
        writer = self._writers.get(storage_of(tensor) or 0)
        return writer if writer is not binding.node else None

    def replace(self, nodes: Collection[fx.Node], node: fx.Node, since: int) -> None:
        """Put one node in the place of several, to which tensors were bound ``since`` that many bindings.

        Parameters and other tensors that no step made are unbound: they are read anew.
        """
        for identity, storage in self._changed[since:]:
            binding = self._bindings.get(identity)
            if binding is not None and binding.node in nodes:
                if binding.node.op == "get_attr":
                    del self._bindings[identity]
                else:
                    binding.node = node
            if storage is not None and self._writers.get(storage) in nodes:
                self._writers[storage] = node
