"""Note what the code of a model can change, and put it back: attributes, classes, globals, closures, arrays, caches.

Python keeps references in few kinds of places: the items of dicts, lists, sets and deques, the attributes of objects
and classes, slots, the cells of closures. Whatever else holds a value (an object of any class, a cache, a queue) is
made of these. The search starts at the model and follows what its code can name: the globals that its functions
mention, the methods that are called by a name which they mention. It does not enter torch, numpy and Python's own
library, whose settings are restored elsewhere.
"""

from __future__ import annotations

import gc
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache, partial
from types import CellType, CodeType, FrameType, FunctionType, GeneratorType, MemberDescriptorType, ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fxviz._trace.places import (
    CONTAINERS,
    MISSING,
    check_position,
    contents,
    is_dunder,
    is_namespace,
    keeper,
    nothing,
    position,
    put_attributes,
    put_cache,
    put_class_attributes,
    put_contents,
    put_items,
    put_names,
    put_slots,
    slot_value,
    unrestored,
)

_LEAVES = frozenset(
    (int, float, complex, bool, str, bytes, type(None), torch.dtype, torch.device, torch.Size, range, CodeType)
)
"""Classes of values that never change and hold nothing that does."""

_LIBRARIES = frozenset(("torch", "numpy", "fxviz"))
_HOLDING = frozenset(
    "builtins collections weakref _weakrefset types functools queue _thread _threading_local itertools operator".split()
)
"""Modules of Python's library whose objects hold values of others."""

_CACHE = type(lru_cache(len))
_MOST_ITEMS = 100_000
"""Containers with more items than these are restored, but what they hold is not."""


class _Kept(NamedTuple):
    """A place, its contents before the run, and the function that puts them back where they differ."""

    name: str
    place: Any
    before: Any
    put_back: Callable[[Any, Any], None]


class Snapshot:
    """What the code of a model can change, as it is now.

    Attributes:
        tensors: the tensors among that, by their names.
        modules: the modules among that, also those that are not registered.

    >>> model = nn.Linear(2, 2)
    >>> model.kept = [1]
    >>> snapshot = Snapshot(model)
    >>> model.kept.append(2)
    >>> len(model.kept), snapshot.put_back(), len(model.kept)
    (2, [], 1)
    """

    def __init__(self, model: nn.Module, method: str = "") -> None:
        self.tensors: dict[str, Tensor] = {}
        self.modules: list[nn.Module] = []
        self._kept: list[_Kept] = []
        self._seen: dict[int, Any] = {}
        self._entered: set[tuple[int, frozenset[str]]] = set()
        self._waiting: list[tuple[str, Any]] = []
        self._ways: dict[type, Callable[[str, Any], None]] = {}
        self._roots = frozenset(type(module).__module__.partition(".")[0] for module in model.modules())
        self._named: set[str] = set()
        self._unnamed: dict[str, list[tuple[str, Any]]] = defaultdict(list)
        self._mention({"forward", method} - {""})
        for path, module in model.named_modules():
            self._visit(path, module)
        while self._waiting:
            self._enter(*self._waiting.pop())
        del self._unnamed, self._named, self._ways

    def put_back(self) -> list[str]:
        """Put back what has changed, and return a sentence on each place where that was not possible."""
        sentences = []
        for kept in reversed(self._kept):
            try:
                kept.put_back(kept.place, kept.before)
            except Exception as error:
                sentences.append(unrestored(kept.name, error))
        return sentences

    # ---------------------------------------------------------------- the search

    def _visit(self, name: str, value: Any) -> None:
        if type(value) not in _LEAVES and id(value) not in self._seen:
            self._seen[id(value)] = value
            self._waiting.append((name, value))

    def _visit_parts(self, name: str, parts: Iterable[tuple[Any, Any]]) -> None:
        for key, part in parts:
            if type(part) not in _LEAVES:
                self._visit(f"{name}.{key}" if name else str(key), part)

    def _is_foreign(self, module: str) -> bool:
        """Return whether the code of a module is not followed: no module of the model is written in its package."""
        root = module.partition(".")[0]
        return root in _LIBRARIES or (root not in self._roots and _is_installed(root))

    def _keep(self, name: str, place: Any, before: Any, put_back: Callable[[Any, Any], None]) -> None:
        self._kept.append(_Kept(name, place, before, put_back))

    def _enter(self, name: str, value: Any) -> None:
        cls = type(value)
        if (enter := self._ways.get(cls)) is None:
            enter = self._ways[cls] = self._way_into(cls)
        enter(name, value)

    def _way_into(self, cls: type) -> Callable[[str, Any], None]:
        """Return the function that enters the objects of a class."""
        if issubclass(cls, type):
            return self._enter_class
        if cls is FunctionType:
            return self._enter_function
        if (keep := keeper(cls)) is not None:
            return lambda name, value: self._keep(name, value, *keep(value))
        if issubclass(cls, Tensor):
            return self._enter_tensor
        if issubclass(cls, (nn.Module, *CONTAINERS)) or not self._is_foreign(cls.__module__):
            return self._way_into_objects(cls)
        if cls.__module__ in _HOLDING and not issubclass(cls, (ModuleType, FrameType)):
            return self._enter_holder
        return nothing

    def _enter_tensor(self, name: str, tensor: Tensor) -> None:
        self.tensors[name] = tensor
        self._enter_attributes(name, tensor.__dict__)

    def _way_into_objects(self, cls: type) -> Callable[[str, Any], None]:
        """Return the function that keeps the items of a container, and the attributes of an object of any class."""
        base = next((each for each in CONTAINERS if issubclass(cls, each)), None)
        bases = [each for each in cls.__mro__ if "__slots__" in vars(each)]
        slots = [slot for each in bases for slot in vars(each).values() if type(slot) is MemberDescriptorType]
        self._visit(cls.__qualname__, cls)

        def enter(name: str, value: Any) -> None:
            if issubclass(cls, nn.Module):
                self.modules.append(value)
            if base is not None and not is_namespace(value):
                self._enter_items(name, value, base)
            attributes = getattr(value, "__dict__", None) if cls.__dictoffset__ else None
            if type(attributes) is dict:
                self._enter_attributes(name, attributes)
            if slots:
                before = {slot: slot_value(slot, value) for slot in slots}
                self._keep(name, value, before, put_slots)
                self._visit_parts(name, ((slot.__name__, part) for slot, part in before.items()))

        return enter

    def _enter_items(self, name: str, container: Any, base: Any) -> None:
        items = dict(base.items(container)) if issubclass(base, dict) else list(base.__iter__(container))
        self._keep(name, container, items, partial(put_items, base))
        if items and len(items) <= _MOST_ITEMS:
            self._visit_parts(name, items.items() if isinstance(items, dict) else enumerate(items))

    def _enter_attributes(self, name: str, attributes: dict[str, Any]) -> None:
        self._seen[id(attributes)] = attributes
        self._keep(name, attributes, dict(attributes), put_attributes)
        if attributes:
            self._visit_parts(name, list(attributes.items()))

    def _enter_holder(self, name: str, value: Any) -> None:
        """Enter an object of Python's library: what it holds, and its own state where that can be read."""
        cls = type(value)
        if cls is CellType:
            self._keep(name, value, before := contents(value), put_contents)
            self._visit(name, before)
            return
        if cls is _CACHE:
            self._keep(name, value, value.cache_info()[1], put_cache)
        elif issubclass(cls, GeneratorType) or cls.__name__ == "count":
            self._keep(name, value, position(value), check_position)
        attributes = getattr(value, "__dict__", None) if cls.__dictoffset__ or cls.__module__ == "_thread" else None
        if type(attributes) is dict:
            self._enter_attributes(name, attributes)
        self._visit_parts(name, enumerate(each for each in gc.get_referents(value) if type(each) is not ModuleType))

    # ---------------------------------------------------------------- code

    def _enter_class(self, _: str, cls: type) -> None:
        """Keep the attributes of a class and of its bases; enter its methods as they are mentioned by code."""
        for each in cls.__mro__:
            if self._is_foreign(each.__module__) or (each is not cls and id(each) in self._seen):
                continue
            self._seen[id(each)] = each
            name = f"{each.__module__}.{each.__qualname__}"
            attributes = {key: value for key, value in vars(each).items() if not is_dunder(key)}
            self._keep(name, each, attributes, put_class_attributes)
            for key, value in list(vars(each).items()):
                if is_dunder(key) and type(value) is not FunctionType:
                    continue
                if isinstance(value, (FunctionType, classmethod, staticmethod, property)) and not is_dunder(key):
                    self._await(key, f"{name}.{key}", value)
                else:
                    self._visit(f"{name}.{key}", value)

    def _await(self, key: str, name: str, function: Any) -> None:
        if key in self._named:
            self._visit(name, function)
        else:
            self._unnamed[key].append((name, function))

    def _mention(self, names: Collection[str]) -> None:
        for key in set(names).difference(self._named):
            self._named.add(key)
            for name, function in self._unnamed.pop(key, ()):
                self._visit(name, function)

    def _enter_function(self, name: str, function: FunctionType) -> None:
        self._visit_parts(name, enumerate(function.__closure__ or ()))
        self._visit(name, function.__defaults__)
        self._visit(name, function.__kwdefaults__)
        self._enter_attributes(name, function.__dict__)
        if not self._is_foreign(str(function.__globals__.get("__name__"))):
            names = _names(function.__code__)
            self._mention(names)
            self._enter_names(function.__globals__, names)
            for imported in names & sys.modules.keys():
                self._enter_module(sys.modules[imported], names)

    def _enter_names(self, namespace: dict[str, Any], names: frozenset[str]) -> None:
        """Keep those globals of a module that the code of a function mentions, also those that it may make."""
        before = {name: namespace.get(name, MISSING) for name in names}
        home = str(namespace.get("__name__"))
        self._keep(home, namespace, before, put_names)
        for name, value in before.items():
            if isinstance(value, ModuleType):
                self._enter_module(value, names)
            elif value is not MISSING:
                self._visit(f"{home}.{name}", value)

    def _enter_module(self, module: ModuleType, names: frozenset[str]) -> None:
        key = (id(module), names)
        if not self._is_foreign(module.__name__) and key not in self._entered:
            self._seen[id(module)] = module  # its id stays its own
            self._entered.add(key)
            self._enter_names(vars(module), names)


_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


@lru_cache(4096)
def _is_installed(root: str) -> bool:
    """Return whether a module belongs to Python or to an installed package. A user's file may have the name of one."""
    if root == "__main__":
        return False
    file = getattr(sys.modules.get(root), "__file__", None)
    return root in sys.stdlib_module_names if file is None else file.startswith(_INSTALLED)


@lru_cache(20_000)
def _names(code: CodeType) -> frozenset[str]:
    """Return the names of globals and attributes in code, and in the functions that are written inside it."""
    inner = (_names(part) for part in code.co_consts if isinstance(part, CodeType))
    return frozenset(code.co_names).union(*inner)
