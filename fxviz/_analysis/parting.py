"""Into which parts a whole is taken apart, so that their shares say something: one rule for figures, sentences and tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

_Size = TypeVar("_Size", int, float)

_DOMINANT = 0.85
"""A part with this share of the whole says nothing about where it is."""

_HALF, _FEW = 0.5, 4
"""Fewer parts than this say little, where one of them is half of the whole."""


def gives_way(share: float, parts: int) -> bool:
    """Whether the largest of so many parts gives way to its own parts, by its share, which lies between 0 and 1.

    >>> gives_way(0.9, parts=7), gives_way(0.6, parts=7), gives_way(0.6, parts=3), gives_way(0.4, parts=3)
    (True, False, True, False)
    """
    return share >= _DOMINANT or (share >= _HALF and parts < _FEW)


def opened(sizes: Mapping[str, float]) -> frozenset[str]:
    """The paths that are taken apart, the whole ("") among them.

    Parts of one size (the twelve layers of a transformer) stay together, as they say less than their sum; so does one layer.

    Args:
        sizes: what is shared out, by dotted name: a parameter's size, or what an operation takes.

    >>> sorted(opened({"stem.weight": 5, "body.0.weight": 60, "body.1.weight": 35}))
    ['', 'body']
    >>> sorted(opened({"stem.weight": 5, "body.0.weight": 60, "body.1.weight": 60}))
    ['']
    """
    total, paths = sum(sizes.values()), {""}
    parts = _children(sizes, "")
    while total:
        amounts = {part: amount for part, inside in parts.items() if (amount := sum(inside.values()))}
        path = max(amounts, key=amounts.__getitem__)
        if path in paths or not gives_way(amounts[path] / total, len(amounts)) or not _may_open(parts[path], path):
            break
        paths.add(path)
        below = _children(parts[path], path)
        parts = {one: inside for part in parts for one, inside in (below if part == path else {part: parts[part]}).items()}
    return frozenset(paths)


def part_of(name: str, paths: Collection[str]) -> str:
    """The part that a dotted name belongs to, where ``paths`` are taken apart: its shortest beginning that is not.

    >>> part_of("layer4.0.conv1.weight", {""}), part_of("classifier.0.weight", {"", "classifier"})
    ('layer4', 'classifier.0')
    """
    place = name.find(".")
    while place >= 0:
        if name[:place] not in paths:
            return name[:place]
        place = name.find(".", place + 1)
    return name


def sums(sizes: Mapping[str, _Size], paths: Collection[str]) -> dict[str, _Size]:
    """Sizes by part, where ``paths`` are taken apart, in the order in which the parts come first.

    >>> sums({"stem.weight": 5, "body.0.weight": 60, "body.0.bias": 1, "body.1.weight": 35}, {"", "body"})
    {'stem': 5, 'body.0': 61, 'body.1': 35}
    """
    parts: dict[str, _Size] = {}
    for name, size in sizes.items():
        part = part_of(name, paths)
        parts[part] = parts[part] + size if part in parts else size
    return parts


def holds_modules(names: Iterable[str], path: str) -> bool:
    """Whether a part is more than one layer: whether something below it belongs to a module of its own.

    >>> holds_modules(["fc.weight", "head.0.weight"], "fc"), holds_modules(["fc.weight", "head.0.weight"], "head")
    (False, True)
    """
    return not path or any(name.startswith(f"{path}.") and "." in name[len(path) + 1 :] for name in names)


def _children(sizes: Mapping[str, float], path: str) -> dict[str, dict[str, float]]:
    """What lies in each part right below a path, of names that all lie in it; a name that is the path itself stays one."""
    start = len(path) + 1 if path else 0
    children: dict[str, dict[str, float]] = defaultdict(dict)
    for name, size in sizes.items():
        end = name.find(".", start)
        children[name if end < 0 else name[:end]][name] = size
    return dict(children)


def _may_open(sizes: Mapping[str, float], path: str) -> bool:
    """Whether a part, of which these are all names, holds modules, and these are not all of one size."""
    children = {part: sum(inside.values()) for part, inside in _children(sizes, path).items() if part != path}
    return holds_modules(sizes, path) and (len(children) == 1 or len(set(children.values())) > 1)
