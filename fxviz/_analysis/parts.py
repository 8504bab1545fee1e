"""Divide the parameters, MACs and time of a model among its parts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

from fxviz._analysis.facts import Amount, Layer, Part
from fxviz._graph import ArchGraph, Node
from fxviz._graph.index import Index

_CORE = Fraction(8, 10)


_PARAMETRIZED = re.compile(r"(^|\.)parametrizations\.([^.]+)\..*")
"""Names that torch gives to the tensors from which a parameter is computed (``torch.nn.utils.parametrize``)."""


def used_sizes(graph: ArchGraph) -> dict[str, int]:
    """Return the sizes of the parameters that the trace reads, by name; parametrizations count as their parameter."""
    unused = {parameter.name for parameter in graph.untraced}
    sizes: dict[str, int] = defaultdict(int)
    for parameter in graph.parameters:
        if parameter.name not in unused:
            sizes[_parametrized(parameter.name)] += parameter.size
    return dict(sizes)


def _parametrized(name: str) -> str:
    """Return the name of the parameter that a tensor is a parametrization of, or the tensor's own."""
    return _PARAMETRIZED.sub(r"\1\2", name)


def opened_in(graph: ArchGraph) -> frozenset[str]:
    """Return the paths of the modules to split further, judged by the parameters that the trace reads."""
    return opened(used_sizes(graph))


def parts_of(graph: ArchGraph, paths: Collection[str]) -> tuple[Part, ...]:
    """Return the parts of a model that hold parameters or MACs or took time, with the modules at ``paths`` split.

    A step belongs to the same part as the parameters that it reads. Other operations of a split module are parts of
    their own, named by the module's path and the operation.

    >>> from fxviz._graph import ModelInfo, Node, Parameter, Scope, TraceInfo
    >>> fc = Node("fc", "module", "Linear", "head.fc", uses=("head.fc.weight",), params=16, macs=16)
    >>> graph = ArchGraph(ModelInfo("tiny", "python", "Tiny"), TraceInfo("meta", "fake", {}, "2.4.0", None), (fc,), (),
    ...                   (Scope(0, "", "Tiny", 0, None),), (Parameter("head.fc.weight", (4, 4), "float32", True),))
    >>> [(part.path, part.amount.share) for part in parts_of(graph, {""})]
    [('head', 1.0)]
    """
    sizes = used_sizes(graph)
    paths = {path for path in paths if holds_modules(sizes, path)}
    params = sums(sizes, paths)
    macs: dict[str, int] = defaultdict(int)
    times: dict[str, float] = defaultdict(float)
    for node in graph.nodes:
        part = part_of(step_name(node, graph.index), paths)
        macs[part] += node.least_macs
        times[part] += node.time or 0
    amounts = {
        path: amount(params.get(path, 0), macs.get(path, 0), graph, times[path])
        for path in dict.fromkeys((*params, *macs))
    }
    return tuple(Part(path, held) for path, held in amounts.items() if held.params or held.macs or held.time_share)


def step_name(node: Node, index: Index) -> str:
    """Return the dotted name under which a step counts: that of the module or parameter that owns it, else its own."""
    owner = index.owner_of(node)
    if owner is not None and owner[0] == "parameter":
        return _parametrized(owner[1])
    return f"{node.path if owner is None else owner[1]}.{node.op}".lstrip(".")


def amount(params: int, macs: int, graph: ArchGraph, time: float = 0.0) -> Amount:
    """Return parameters, MACs and time with their shares of those traced."""
    return Amount(
        params,
        macs,
        params / graph.traced_params if graph.traced_params else 0.0,
        macs / graph.total_macs if graph.total_macs else 0.0,
        time / graph.total_time if graph.total_time else 0.0,
    )


def core_of(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return the smallest set of parts that holds 80 % of the parameters, largest first."""
    missing = _CORE * sum(part.amount.params for part in parts)
    core = []
    for part in sorted(parts, key=lambda part: -part.amount.params):
        if missing <= 0:
            break
        missing -= part.amount.params
        core.append(part)
    return tuple(core)


def shared_by(layers: Iterable[Layer], graph: ArchGraph) -> dict[str, tuple[str, ...]]:
    """Return the parameters that several layers read, with these layers' paths; calls of one layer count as one."""
    paths = {call: layer.path for layer in layers for call in layer.calls}
    readers: dict[str, dict[str, None]] = defaultdict(dict)
    for node in graph.nodes:
        for name in node.uses:
            readers[name][paths.get(node.id, node.path)] = None
    return {name: tuple(read_by) for name, read_by in readers.items() if len(read_by) > 1}


_Size = TypeVar("_Size", int, float)

_DOMINANT = 0.85
"""A part with at least this share of the whole is too large to be informative."""

_HALF, _FEW = 0.5, 4
"""Fewer parts than this are too few if one of them is half of the whole."""


def gives_way(share: float, parts: int) -> bool:
    """Return whether the largest part, with this share (0 to 1) and one of so many, is split into its own parts.

    >>> gives_way(0.9, parts=7), gives_way(0.6, parts=7), gives_way(0.6, parts=3), gives_way(0.4, parts=3)
    (True, False, True, False)
    """
    return share >= _DOMINANT or (share >= _HALF and parts < _FEW)


def opened(sizes: Mapping[str, float]) -> frozenset[str]:
    """Return the paths of the modules to split, the whole model ("") among them.

    A module whose parts are of equal size (the twelve layers of a transformer) is not split, as its sum is more
    informative; neither is a single layer.

    Args:
        sizes: the amounts to divide, by dotted name: sizes of parameters, or amounts of operations.

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
        parts = {
            one: inside for part in parts for one, inside in (below if part == path else {part: parts[part]}).items()
        }
    return frozenset(paths)


def part_of(name: str, paths: Collection[str]) -> str:
    """Return the part that a dotted name belongs to: its shortest prefix that is not among the ``paths`` to split.

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
    """Add up sizes by part, with the modules at ``paths`` split, in the order in which the parts first occur.

    >>> sums({"stem.weight": 5, "body.0.weight": 60, "body.0.bias": 1, "body.1.weight": 35}, {"", "body"})
    {'stem': 5, 'body.0': 61, 'body.1': 35}
    """
    parts: dict[str, _Size] = {}
    for name, size in sizes.items():
        part = part_of(name, paths)
        parts[part] = parts[part] + size if part in parts else size
    return parts


def holds_modules(names: Iterable[str], path: str) -> bool:
    """Return whether a part is more than one layer: whether modules inside it own something.

    >>> holds_modules(["fc.weight", "head.0.weight"], "fc"), holds_modules(["fc.weight", "head.0.weight"], "head")
    (False, True)
    """
    return not path or any(name.startswith(f"{path}.") and "." in name[len(path) + 1 :] for name in names)


def _children(sizes: Mapping[str, float], path: str) -> dict[str, dict[str, float]]:
    """Group names below a path by the part right below it; a name equal to the path is a part of its own."""
    start = len(path) + 1 if path else 0
    children: dict[str, dict[str, float]] = defaultdict(dict)
    for name, size in sizes.items():
        end = name.find(".", start)
        children[name if end < 0 else name[:end]][name] = size
    return dict(children)


def _may_open(sizes: Mapping[str, float], path: str) -> bool:
    """Return whether a part with these names holds modules that are not all of one size."""
    children = {part: sum(inside.values()) for part, inside in _children(sizes, path).items() if part != path}
    return holds_modules(sizes, path) and (len(children) == 1 or len(set(children.values())) > 1)
