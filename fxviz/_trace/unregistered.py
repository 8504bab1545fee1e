"""Find layers and weights that a module keeps where ``parameters()`` does not look: lists, dicts, plain attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from types import MethodType
from typing import Any

from torch import Tensor, nn

from fxviz._graph.values import Unregistered
from fxviz._sources.torch_private import class_label
from fxviz._trace.tensors import OPAQUE, PLAIN

_DEPTH = 4
_MOST_ITEMS = 1000
_OWN = frozenset(vars(nn.Module()))
"""The attributes in which torch keeps what is registered, and hooks."""

_REMEDIES: dict[tuple[bool, type], str] = {
    (True, list): "nn.ModuleList",
    (True, dict): "nn.ModuleDict",
    (True, object): "add_module",
    (False, list): "nn.ParameterList",
    (False, dict): "nn.ParameterDict",
    (False, object): "nn.Parameter",
}
"""What registers modules (True) and tensors that are kept in a list, in a dict, and elsewhere."""


@dataclass(frozen=True)
class _Found:
    """A module or a tensor that is not registered: the attribute that holds it, its path, and what registers it."""

    place: str
    path: str
    value: Any
    remedy: str


class Strays:
    """The weights that a model holds without registering them, and which of them a run uses."""

    def __init__(self, root: nn.Module) -> None:
        self._registered = {id(tensor) for tensor in (*root.parameters(), *root.buffers())}
        self._root = root
        self._late: dict[int, tuple[str, Tensor]] = {}
        self._homes: dict[int, tuple[_Found, Tensor]] = {}
        self._used: dict[int, None] = {}
        self.paths: dict[nn.Module, str] = {}
        known = set(root.modules())
        waiting = list(root.named_modules())
        for path, module in waiting:
            for found in _kept(module, path, class_label(module), known):
                self._add(found)
                if isinstance(found.value, nn.Module):
                    inner = {each: name for each, name in self.paths.items() if each not in known}
                    known |= inner.keys()
                    waiting += [(name, each) for each, name in inner.items()]

    def _add(self, found: _Found) -> None:
        tensors = found.value.parameters() if isinstance(found.value, nn.Module) else [found.value]
        for tensor in tensors:
            if id(tensor) not in self._registered:
                self._homes.setdefault(id(tensor), (found, tensor))
        if isinstance(found.value, nn.Module):
            for inner, module in found.value.named_modules():
                self.paths.setdefault(module, f"{found.path}.{inner}" if inner else found.path)

    def meet(self, module: nn.Module) -> None:
        """Note a module that is called and was not found anywhere: the model's code makes it, or a closure holds it."""
        self._add(_Found("", f"<{class_label(module)}>", module, ""))

    def late_name(self, tensor: Tensor) -> str:
        """Return the name of a parameter that took the place of another one meanwhile; "" for any other tensor.

        Sharded models (``fully_shard``) gather the parameters of a module before they call it.
        """
        if not isinstance(tensor, nn.Parameter) or id(tensor) in self._homes:
            return ""
        if id(tensor) not in self._late:
            self._late |= {id(parameter): (name, parameter) for name, parameter in self._root.named_parameters()}
            self._late.setdefault(id(tensor), ("", tensor))
        return self._late[id(tensor)][0]

    def stands_for(self, stand_in: Tensor, tensor: Tensor) -> None:
        """Note that a tensor takes the place of another one."""
        if id(tensor) in self._homes:
            self._homes[id(stand_in)] = self._homes[id(tensor)]

    def note(self, tensor: Tensor) -> None:
        """Note that an operation reads a tensor."""
        if id(tensor) in self._homes:
            self._used[id(self._homes[id(tensor)][1])] = None

    def release(self) -> None:
        """Let go of the tensors that were met."""
        self._late.clear()
        self._homes.clear()

    def used(self) -> tuple[Unregistered, ...]:
        """Return what the run used, by the attribute that holds it."""
        scalars: Counter[tuple[str, str, str]] = Counter()
        holders: dict[tuple[str, str, str], set[str]] = {}
        for name in self._used:
            found, tensor = self._homes[name]
            cls = type(found.value).__name__ if isinstance(found.value, nn.Module) else ""
            key = found.place, cls, found.remedy
            scalars[key] += tensor.numel()
            holders.setdefault(key, set()).add(found.path)
        return tuple(
            Unregistered(cls, place, len(holders[place, cls, remedy]), count, remedy)
            for (place, cls, remedy), count in scalars.items()
        )


def _kept(module: nn.Module, path: str, name: str, known: set[nn.Module]) -> Iterator[_Found]:
    """Yield what a module keeps in plain attributes, and in containers and objects in these."""
    for attribute, value in list(vars(module).items()):
        if attribute not in _OWN:
            place = f"{path or name}.{attribute}"
            inside = f"{path}.{attribute}" if path else attribute
            yield from _inside(value, place, inside, object, known, set(), 0)


def _inside(
    value: Any, place: str, path: str, holder: type, known: set[nn.Module], seen: set[int], depth: int
) -> Iterator[_Found]:
    if isinstance(value, nn.Module):
        if value not in known:
            yield _Found(place, path, value, _REMEDIES[True, holder])
    elif isinstance(value, Tensor):
        if value.requires_grad and value.is_leaf:
            yield _Found(place, path, value, _REMEDIES[False, holder])
    elif depth < _DEPTH and id(value) not in seen:
        seen.add(id(value))
        for key, part, kind in _parts(value):
            yield from _inside(part, place, f"{path}.{key}", kind, known, seen, depth + 1)


def _parts(value: Any) -> Iterator[tuple[Any, Any, type]]:
    """Yield what may hold weights in a container or an object, each with its key and the kind of container."""
    kind: type = object
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        kind, items = dict, list(value.items())
    elif isinstance(value, (list, tuple, set)):
        kind, items = list, enumerate(value)
    elif isinstance(value, MethodType):
        items = [("__self__", value.__self__)]
    elif isinstance(value, partial):
        items = [("func", value.func), ("args", value.args), ("keywords", value.keywords)]
    elif hasattr(value, "__dict__") and not isinstance(value, OPAQUE):
        items = list(vars(value).items())
    yield from ((key, part, kind) for key, part in islice(items, _MOST_ITEMS) if not isinstance(part, PLAIN))
