"""Which tensors of a checkpoint go where in a model: wrappers are taken off, old spellings understood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

_OLD = {"gamma": "weight", "beta": "bias"}
"""How TensorFlow calls the parameters of a norm, and models that came from there."""


@dataclass(frozen=True)
class Fit:
    """The tensors of a checkpoint under the model's names.

    Attributes:
        tensors: by the model's name for them; those that it has no name for are among them under the file's own.
        names: what each is called in the file.
        part: where in the checkpoint they stood ("state_dict"), "" for its top.
        prefix: what the file's names begin with and the model's do not ("module.").
    """

    tensors: dict[str, Any]
    names: Mapping[str, str]
    part: str = ""
    prefix: str = ""


def fit(state: Mapping[str, Any], own: Set[str]) -> Fit:
    """The part of a checkpoint that fits a model best, the first of equals.

    Args:
        state: what the file holds; tensors are whatever is no mapping.
        own: the model's names.

    >>> found = fit({"epoch": {}, "state_dict": {"module.fc.weight": 1, "module.norm.gamma": 2}}, {"fc.weight", "norm.weight"})
    >>> found.tensors, found.part, found.prefix
    ({'fc.weight': 1, 'norm.weight': 2}, 'state_dict', 'module.')
    """
    fits = [_fit(tensors, own, part) for part, tensors in _parts(state)]
    return max(fits, key=lambda found: len(found.tensors.keys() & own), default=Fit({}, {}))


def _parts(state: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The mappings in a checkpoint that hold tensors, the outer ones first."""
    if tensors := {name: value for name, value in state.items() if not isinstance(value, Mapping)}:
        yield place, tensors
    for name, value in state.items():
        if isinstance(value, Mapping):
            yield from _parts(value, f"{place}.{name}" if place else name)


def _fit(tensors: Mapping[str, Any], own: Set[str], part: str) -> Fit:
    prefix = _prefix(tensors, own)
    bare = {name.removeprefix(prefix): name for name in tensors}
    if len(bare) < len(tensors):  # "module.fc" and "fc", both
        prefix, bare = "", {name: name for name in tensors}
    spelled = _spellings(own - bare.keys())
    names = {name if name in own else spelled.get(_loose(name), name): given for name, given in bare.items()}
    return Fit({name: tensors[given] for name, given in names.items()}, names, part, prefix)


def _prefix(tensors: Mapping[str, Any], own: Set[str]) -> str:
    """What at least half of the names begin with, and after which most of them are the model's."""
    known = set(map(_loose, own))
    counts: Counter[str] = Counter()
    common: Counter[str] = Counter()
    for name in tensors:
        for prefix in _prefixes(name):
            common[prefix] += 1
            counts[prefix] += _loose(name.removeprefix(prefix)) in known
    best = max(counts, key=lambda prefix: (counts[prefix] if common[prefix] * 2 >= len(tensors) else -1, -len(prefix)))
    return best


def _prefixes(name: str) -> Iterator[str]:
    """
    >>> list(_prefixes("model.fc.weight"))
    ['', 'model.', 'model.fc.']
    """
    yield ""
    for place, sign in enumerate(name):
        if sign == ".":
            yield name[: place + 1]


def _loose(name: str) -> str:
    """A name without what spellings differ in: "norm.1.weight" is "norm1.weight", "norm.gamma" is "norm.weight".

    >>> _loose("denselayer1.norm.1.gamma")
    'denselayer1norm1.weight'
    """
    path, _, last = name.rpartition(".")
    return f"{path.replace('.', '')}.{_OLD.get(last, last)}"


def _spellings(own: Set[str]) -> dict[str, str]:
    """The model's names by their loose form, where that is one name's alone."""
    counts = Counter(map(_loose, own))
    return {_loose(name): name for name in own if counts[_loose(name)] == 1}
