"""Find tensors of a run that outlive it, and remove them from what holds them.

A snapshot restores what the model's own code can reach. Other code may keep tensors, too: caches of libraries, objects
that only C code knows. So each tensor of a run is remembered by a weak reference. If one lives on after the run, the
objects that refer to it are searched upwards, to the first that was there before the run, and what leads from this to
the tensor is removed.
"""

from __future__ import annotations

import gc
import sys
import traceback
import weakref
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import CellType, FrameType, FunctionType, MemberDescriptorType, ModuleType, TracebackType
from typing import Any

from torch import Tensor, nn

from fxviz._trace.places import is_namespace, slot_value
from fxviz._trace.tensors import tensors_in

_PASSING = (FrameType, TracebackType, BaseException)
"""What holds values for as long as code runs, or its error is looked at."""

_LEVELS = 12
"""Maximum number of objects on the way from a tensor to what holds it."""

_FROZEN_AT_START = 10_000
"""More objects than Python 3.12 has frozen when it starts, fewer than a program with torch freezes."""

_is_frozen = False
"""True once it was seen that the program freezes its objects."""

_LISTED = 3
"""Maximum number of places that are named."""


class RunTensors:
    """The tensors that one run makes, by weak references."""

    def __init__(self) -> None:
        self._made: list[weakref.ref[Tensor]] = []
        self._ours: set[int] = set()

    def note(self, result: Any, arguments: Any = ()) -> None:
        """Remember the tensors in the result of an operation that were not among its arguments."""
        given = [id(tensor) for tensor in tensors_in(arguments)]
        self._made += [weakref.ref(tensor) for tensor in tensors_in(result) if id(tensor) not in given]

    def keep(self, tensors: Collection[Tensor]) -> None:
        """Let these live on: the recording holds them."""
        self._ours = {id(tensor) for tensor in tensors}

    def alive(self) -> list[Tensor]:
        """Return those that something still refers to."""
        alive = {id(tensor): tensor for reference in self._made if (tensor := reference()) is not None}
        return [tensor for identity, tensor in alive.items() if identity not in self._ours]


def forget_values(error: BaseException | None) -> None:
    """Drop the variables of the code that an error passed through: its traceback would keep them."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        frame = error.__traceback__.tb_frame.f_back if error.__traceback__ else None
        with suppress(RuntimeError):  # from here on they still run
            while frame is not None:
                frame.clear()
                frame = frame.f_back
        error = error.__cause__ or error.__context__


@contextmanager
def nothing_survives(made: RunTensors) -> Iterator[list[str]]:
    """Remove the tensors that are made in here from whatever holds them afterwards.

    Yield a list to which is added, in the end, a sentence on the places where something else may be missing now, and on
    those that still hold some. It costs nothing where none is held.
    """
    sentences: list[str] = []
    failed, frozen = False, not _program_freezes()
    if frozen:
        gc.freeze()  # so that it is quick to tell what was made since, and to collect it
    try:
        yield sentences
    except BaseException as error:
        failed = True
        forget_values(error)
        raise
    finally:
        try:
            if made.alive():
                gc.collect()
            since = set(map(id, gc.get_objects())) if made.alive() else set()
        finally:
            if frozen:
                gc.unfreeze()
        if survivors := made.alive():
            with suppress(Exception):  # a finished run does not fail because of this
                sentences += _removed(survivors, since if frozen else set())
        if failed:
            tell(sentences)


def _program_freezes() -> bool:
    """Return whether the program has frozen its objects itself (``gc.freeze``), so that they must stay so.

    They are counted one by one, which takes long where there are many: once it is known, it is not asked again.
    """
    global _is_frozen
    _is_frozen = _is_frozen or gc.get_freeze_count() >= _FROZEN_AT_START
    return _is_frozen


def tell(sentences: Collection[str]) -> None:
    """Say on standard error what a run that failed has left behind: no graph does."""
    for sentence in sentences:
        print(f"fxviz: {sentence}", file=sys.stderr)


def _removed(survivors: list[Any], since: set[int]) -> list[str]:
    """Remove tensors from what holds them, and return sentences on that."""
    lost: dict[str, None] = {}
    held: dict[str, None] = {}
    for holder, parts in _holders(survivors, since):
        if _is_ours(holder):
            continue
        try:
            if _is_cache(holder):
                holder.cache_clear()
                continue
            where = _place(holder, parts)
            (lost if _cut(holder, parts) else held)[where] = None
        except Exception:
            held[_name(holder)] = None
    return [*_sentences(lost, held)]


def _sentences(lost: Collection[str], held: Collection[str]) -> Iterator[str]:
    leaves = "isolated=True (--isolated) leaves all as it was"
    if lost:
        yield f"{_listed(lost)} held tensors of this run and was emptied; if it held something before, {leaves}"
    if held:
        yield f"{_listed(held)} still holds tensors of this run, which have no values; {leaves}"


def _listed(places: Collection[str]) -> str:
    more = f" and {len(places) - _LISTED} more" if len(places) > _LISTED else ""
    return f"{', '.join(list(places)[:_LISTED])}{more}"


# -------------------------------------------------------------------- upwards


def _holders(survivors: list[Any], since: set[int]) -> list[tuple[Any, set[int]]]:
    """Return the objects that were there before and refer to these tensors, each with the ids of what leads there.

    Args:
        survivors: the tensors.
        since: the ids of what was made in the run.
    """
    found: list[tuple[Any, set[int]]] = []
    seen, ours, level = set(map(id, survivors)), {id(found)}, survivors
    for _ in range(_LEVELS):
        parts, referrers = set(map(id, level)), gc.get_referrers(*level)
        ours |= {id(level), id(referrers)}
        new = [each for each in referrers if id(each) not in seen | ours and not _is_passing(each)]
        seen |= set(map(id, new))
        owners = _owners([each for each in new if type(each) is dict])
        ours |= {id(new), id(owners), *map(id, owners.values())}
        new = [_whole(each, owners.get(id(each), [])) for each in new]
        ours.add(id(new))
        level = [each for each in new if _leads_on(each, since, owners.get(id(each), []))]
        found += [(each, parts) for each in new if not any(each is other for other in level)]
        ours |= set(map(id, found))
        if not level:
            break
    return found


def _is_passing(holder: Any) -> bool:
    """Return whether this holds values only while code runs or an error is looked at, or is a part of fxviz."""
    return isinstance(holder, _PASSING) or type(holder).__module__.startswith("fxviz.")


def _is_ours(holder: Any) -> bool:
    """Return whether this is an attribute of a part of fxviz, which lives no longer than the recording."""
    referrers = gc.get_referrers(holder)
    owners = (owner for each in referrers if type(each) is dict for owner in gc.get_referrers(each))
    return any(type(each).__module__.startswith("fxviz.") for each in (*referrers, *owners))


def _owners(dicts: list[Any]) -> dict[int, list[Any]]:
    """Return what refers to each of these dicts, by its id."""
    owners: dict[int, list[Any]] = {id(each): [] for each in dicts}
    for owner in gc.get_referrers(*dicts) if dicts else ():
        if owner is not dicts:
            for part in gc.get_referents(owner):
                if id(part) in owners:
                    owners[id(part)].append(owner)
    return owners


def _whole(holder: Any, owners: list[Any]) -> Any:
    """Return the object, the class or the cache whose attributes or entries a dict holds; anything else as it is."""
    if is_namespace(holder):
        return holder
    wholes = [
        owner
        for owner in owners
        if _is_cache(owner)
        or (isinstance(owner, type) and vars(owner).keys() == holder.keys())
        or (not isinstance(owner, type) and getattr(owner, "__dict__", None) is holder)
    ]
    return wholes[0] if wholes else holder


def _leads_on(holder: Any, since: set[int], owners: list[Any]) -> bool:
    """Return whether what refers to this object is to be looked at: the run made it, or nothing can be taken from it.

    Args:
        holder: the object.
        since: the ids of what was made in the run.
        owners: what refers to it, if it is a dict.
    """
    if is_namespace(holder) or isinstance(holder, (type, ModuleType)) or _is_cache(holder):
        return False
    if isinstance(holder, (tuple, frozenset)) or type(holder).__name__ == "_lru_list_elem":
        return True
    if type(holder) is not dict:
        return id(holder) in since
    # a dict that was empty before the run is known to the garbage collector only since it holds something
    return id(holder) in since and all(id(owner) in since for owner in owners)


def _is_cache(value: Any) -> bool:
    return callable(getattr(value, "cache_clear", None)) and not isinstance(value, type)


# -------------------------------------------------------------------- removal


def _cut(holder: Any, parts: set[int]) -> bool:
    """Remove what has one of these ids from an object, and return whether that was possible."""
    if is_namespace(holder):
        holder.update({key: None for key, value in holder.items() if id(value) in parts})
    elif isinstance(holder, dict):
        for key in [key for key, value in dict.items(holder) if id(value) in parts or id(key) in parts]:
            dict.__delitem__(holder, key)
    elif isinstance(holder, (list, deque)):
        left = [item for item in holder if id(item) not in parts]
        holder.clear()
        holder.extend(left)
    elif isinstance(holder, set):
        holder -= {item for item in holder if id(item) in parts}
    elif isinstance(holder, CellType):
        holder.cell_contents = None
    elif names := _attributes(holder, parts):
        for name in names:
            _empty(holder, name)
    else:
        return False
    return True


def _attributes(holder: Any, parts: set[int]) -> list[str]:
    """Return the names of an object's or a class's own attributes whose values have one of these ids."""
    own = dict(getattr(holder, "__dict__", {}))
    if not isinstance(holder, type):
        for slot in [slot for cls in type(holder).__mro__ for slot in vars(cls).values() if _is_slot(slot)]:
            own[slot.__name__] = slot_value(slot, holder)
    return [name for name, value in own.items() if id(value) in parts or id(getattr(value, "__func__", 0)) in parts]


def _is_slot(value: Any) -> bool:
    return type(value) is MemberDescriptorType


def _empty(holder: Any, name: str) -> None:
    """Set an attribute to None, or remove it where a class has one of the same name."""
    is_class = isinstance(holder, type)
    if any(
        name in vars(cls) and not _is_slot(vars(cls)[name])
        for cls in (holder if is_class else type(holder)).__mro__[is_class:]
    ):
        (type if is_class else object).__delattr__(holder, name)
    else:
        (type if is_class else object).__setattr__(holder, name, None)


# -------------------------------------------------------------------- names


def _place(holder: Any, parts: set[int]) -> str:
    """Return a name of what refers to one of these ids: "net.LAST['y'] in net.py"."""
    if isinstance(holder, dict):
        keys = [key for key, value in dict.items(holder) if id(value) in parts or id(key) in parts]
        if is_namespace(holder):
            return f"{holder['__name__']}.{keys[0]}{_file(holder)}" if keys else str(holder["__name__"])
        return _name(holder, f"[{keys[0]!r:.40}]" if keys and isinstance(keys[0], (str, int)) else "")
    if isinstance(holder, (list, deque)):
        return _name(holder, f"[{next((place for place, item in enumerate(holder) if id(item) in parts), 0)}]")
    return _name(holder, "".join(f".{name}" for name in list(_attributes(holder, parts))[:1]))


def _name(holder: Any, rest: str = "") -> str:
    """Return a name by which code can reach an object, else its class."""
    target = holder
    for _ in range(_LEVELS):
        if isinstance(target, (type, FunctionType)):
            home = sys.modules.get(target.__module__)
            return f"{target.__module__}.{target.__qualname__}{rest}{_file(vars(home) if home else {})}"
        if isinstance(target, nn.Module):
            return f"{type(target).__name__}{rest}"
        step = _step_up(target)
        if step is None:
            break
        target, name = step
        rest = f"{name}{rest}"
        if isinstance(target, ModuleType):
            return f"{target.__name__}{rest}{_file(vars(target))}"
    return f"a {type(holder).__name__}{rest}"


def _step_up(target: Any) -> tuple[Any, str] | None:
    """Return an object that refers to another one, and how."""
    for each in gc.get_referrers(target):
        if _is_passing(each) or each is target:
            continue
        if type(each) is dict:
            key = _key_of(each, id(target))
            if is_namespace(each):
                return sys.modules.get(each["__name__"], each), f".{key}"
            for owner in gc.get_referrers(each) if isinstance(key, str) else ():
                if getattr(owner, "__dict__", None) is each or isinstance(owner, type):
                    return owner, f".{key}"
            if key is not None and isinstance(key, (str, int)):
                return each, f"[{key!r:.40}]"
        elif (
            getattr(each, "__dict__", None) is target
            or isinstance(each, (CellType, FunctionType, type))
            or (isinstance(each, tuple) and all(isinstance(part, CellType) for part in each))
        ):
            return each, ""
    return None


def _key_of(items: dict[Any, Any], identity: int) -> Any:
    return next((key for key, value in items.items() if id(value) == identity), None)


def _file(namespace: dict[str, Any]) -> str:
    file = namespace.get("__file__")
    return f" in {Path(file).name}" if isinstance(file, str) else ""
