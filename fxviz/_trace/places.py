"""Read the places in which Python keeps values, and put back what stood there: items, attributes, slots, arrays."""

from __future__ import annotations

import random
import sys
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping
from functools import partial
from operator import is_
from types import CellType, GeneratorType
from typing import Any
from zlib import crc32

import torch

CONTAINERS: tuple[type, ...] = (OrderedDict, dict, list, set, deque)
"""Containers whose items are restored, a class before its base class: subclasses may refuse changes, these do not."""

MISSING = object()
"""Stands for what is not there."""

_MOST_BYTES = 2**26
"""Size of an array above which a checksum takes the place of a copy."""


class Changed(RuntimeError):
    """Says that something has changed which cannot be put back."""


def unrestored(name: str, error: Exception) -> str:
    """Return a sentence on a place that could not be put back."""
    if isinstance(error, Changed):
        return f"'{name}' {error}"
    text = " ".join(str(error).split())[:200]
    return f"'{name}' of the model could not be put back as it was: {type(error).__name__}: {text}"


def is_namespace(value: Any) -> bool:
    """Return whether a dict holds the globals of a module, of which only those are kept that code mentions."""
    return type(value) is dict and "__name__" in value and "__spec__" in value


def is_dunder(name: str) -> bool:
    return name[:2] == "__" and name[-2:] == "__"


def put_items(base: Any, container: Any, items: Any) -> None:
    """Put back the items that differ, so that a container that is as it was is not touched.

    Args:
        base: the plain class of the container, whose methods a subclass cannot forbid.
        container: the container.
        items: its items before.
    """
    if issubclass(base, dict):
        _put_pairs(base, container, items)
    elif issubclass(base, set):
        base.intersection_update(container, items)
        base.update(container, items)
    elif not _same(list(base.__iter__(container)), items):
        base.clear(container)
        base.extend(container, items)


put_attributes = partial(put_items, dict)


def put_hooks(held: dict[Any, Any], before: Any) -> None:
    """Put back the items of a dict of torch's, which may be an ordered one."""
    put_items(OrderedDict if isinstance(held, OrderedDict) else dict, held, before)


def _put_pairs(base: Any, container: Any, items: dict[Any, Any]) -> None:
    if _same(base.values(container), items.values()) and _same(base.keys(container), items):
        return
    for key in [key for key in base.keys(container) if key not in items]:
        base.__delitem__(container, key)
    for key, value in items.items():
        if base.get(container, key, items) is not value:
            base.__setitem__(container, key, value)
    if not _same(base.keys(container), items):  # what was deleted meanwhile stands at the end now
        for key, value in items.items():
            base.__delitem__(container, key)
            base.__setitem__(container, key, value)


def _same(one: Collection[Any], other: Collection[Any]) -> bool:
    """Return whether both are these very items in this order."""
    return len(one) == len(other) and all(map(is_, one, other))


def put_names(namespace: dict[str, Any], before: Mapping[str, Any]) -> None:
    for name, value in before.items():
        if value is MISSING:
            namespace.pop(name, None)
        elif namespace.get(name, MISSING) is not value:
            namespace[name] = value


def put_class_attributes(cls: type, before: Mapping[str, Any]) -> None:
    now = {name: value for name, value in vars(cls).items() if not is_dunder(name)}
    for name in now.keys() - before.keys():
        type.__delattr__(cls, name)
    for name, value in before.items():
        if now.get(name, MISSING) is not value:
            type.__setattr__(cls, name, value)


def slot_value(slot: Any, holder: Any) -> Any:
    try:
        return slot.__get__(holder)
    except AttributeError:
        return MISSING


def put_slots(holder: Any, before: Mapping[Any, Any]) -> None:
    for slot, value in before.items():
        if slot_value(slot, holder) is value:
            continue
        if value is MISSING:
            slot.__delete__(holder)
        else:
            slot.__set__(holder, value)


def contents(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def put_contents(cell: CellType, before: Any) -> None:
    if contents(cell) is before:
        return
    if before is MISSING:
        del cell.cell_contents
    else:
        cell.cell_contents = before


def put_cache(cache: Any, misses: int) -> None:
    """Empty a cache to which the run has added: single entries cannot be removed."""
    if cache.cache_info()[1] != misses:
        cache.cache_clear()


def position(value: Any) -> Any:
    frame = getattr(value, "gi_frame", None)
    return (frame.f_lasti if frame else None) if isinstance(value, GeneratorType) else repr(value)


def check_position(value: Any, before: Any) -> None:
    if position(value) != before:
        raise Changed("went on during the run, and cannot go back")


# -------------------------------------------------------------------- numbers that are no tensors

_Keep = tuple[Any, Callable[[Any, Any], None]]


def keeper(cls: type) -> Callable[[Any], _Keep] | None:
    """Return the function that reads the state of a generator of random numbers, or of an array; None for others."""
    if issubclass(cls, torch.Generator):
        return lambda value: (value.get_state(), _put_state)
    if issubclass(cls, random.Random):
        return lambda value: (value.getstate(), random.Random.setstate)
    if issubclass(cls, (bytearray, array)):
        return lambda value: (value[:], _put_bytes)
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or cls.__module__.partition(".")[0] != "numpy":
        return _array if numpy is not None and issubclass(cls, numpy.ndarray) else None
    if issubclass(cls, numpy.random.RandomState):
        return lambda value: (value.get_state(), _put_state)
    if issubclass(cls, numpy.random.Generator):
        return lambda value: (value.bit_generator.state, _put_bit_generator)
    return _array if issubclass(cls, numpy.ndarray) else None


def _array(value: Any) -> _Keep:
    if not value.flags.writeable:
        return None, nothing
    return (value.copy(), _put_array) if value.nbytes <= _MOST_BYTES else (_checksum(value), _check_array)


def nothing(place: Any, before: Any) -> None:
    pass


def _put_state(generator: Any, state: Any) -> None:
    generator.set_state(state)


def _put_bit_generator(generator: Any, state: Any) -> None:
    generator.bit_generator.state = state


def _put_bytes(value: Any, before: Any) -> None:
    if value != before:
        value[:] = before


def _put_array(value: Any, before: Any) -> None:
    if value.dtype.hasobject or value.tobytes() != before.tobytes():
        value[...] = before


def _checksum(value: Any) -> int:
    return crc32(memoryview(value).cast("B") if value.flags.c_contiguous else value.tobytes())


def _check_array(value: Any, before: int) -> None:
    if _checksum(value) != before:
        raise Changed("is an array that the run wrote to, and too large to be copied before")
