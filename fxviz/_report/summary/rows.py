"""Fold a graph into rows: one for each layer that owns parameters or has MACs, in the order of the run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from fxviz._graph import ArchGraph, Node, Parameter
from fxviz._graph.operations import is_activation, is_norm, is_passing, name_of, role_of
from fxviz._report.summary.values import Row, RowKind, summed, summed_times

Key = tuple[RowKind, str]
"""A row's kind and name."""


def used_layers(graph: ArchGraph, every: bool = False) -> tuple[tuple[Row, ...], tuple[Node, ...]]:
    """Return the rows of what ran, and the steps that have none. Each parameter counts where the graph counts it.

    Args:
        graph: an annotated graph.
        every: include layers without parameters and MACs: activations, norms, pooling, dropout.

    A function that computes with the weight of a module which is never called itself belongs to that module's row
    (``F.linear(x, self.qkv.weight)``); one that computes with a bare parameter belongs to that parameter's row
    (``x @ self.scale``); any other function with MACs has a row of its own.
    """
    homes, counted = _Homes(graph), _first_readers(graph)
    groups: dict[Key, list[Node]] = defaultdict(list)
    rows: list[Row] = []
    rest: list[Node] = []
    for node in graph.nodes:
        key = homes.key_of(node)
        (rest if key is None else groups[key]).append(node)
    for key, nodes in groups.items():
        row = _row(key, nodes, homes, counted)
        if every or row.parameters or row.shared or row.macs or row.macs_unknown:
            rows.append(row)
        else:
            rest += nodes
    return tuple(rows), tuple(rest)


def unused_layers(graph: ArchGraph) -> tuple[Row, ...]:
    """Return the rows of the parameters that this run never reads, in the model's order."""
    homes = _Homes(graph)
    groups: dict[Key, list[Parameter]] = defaultdict(list)
    for parameter in graph.untraced:
        path = homes.index.layer_of(parameter.name)
        free = path is None or path in homes.index.called
        groups[("parameter", parameter.name) if free or path is None else ("layer", path)].append(parameter)
    return tuple(
        Row(kind, name, _type(kind, parameters), tuple(parameters), weight=_weight(name, parameters), used=False)
        for (kind, name), parameters in groups.items()
    )


class _Homes:
    """Finds the row that each parameter and each step belongs to."""

    def __init__(self, graph: ArchGraph) -> None:
        self.index = graph.index

    def read_by(self, nodes: Iterable[Node]) -> list[Parameter]:
        """Return what the steps of a row read, including arguments of functions that an earlier step read already."""
        shared = (name for node in nodes for argument in self.index.parameters_read(node) for name in argument.shared)
        names = dict.fromkeys((*(name for node in nodes for name in node.uses), *shared))
        return [self.index.parameters[name] for name in names if name in self.index.parameters]

    def calls(self, runs: Sequence[Node], read: Sequence[Parameter]) -> int:
        """Count the calls of a row; functions with several parameters of a module run as often as one is read."""
        if not read or any(node.kind == "module" for node in runs):
            return len(runs)
        arguments = [{name for argument in self.index.parameters_read(node) for name in argument.uses} for node in runs]
        return max(1, *(sum(parameter.name in names for names in arguments) for parameter in read))

    def prepares(self, node: Node) -> bool:
        """Return whether a step only computes with parameters what a layer then reads: a weight that is normalized."""
        return node.kind in ("function", "method") and node.id not in self.index.varying

    def key_of(self, node: Node) -> Key | None:
        """Return the row of a step: its owner's, else its own if the function is like a layer; None if it has none."""
        owner = self.index.owner_of(node)
        if owner is not None or node.kind not in ("function", "method"):
            return owner
        if node.macs == 0 and not node.uses and not _is_layer(node):
            return None
        name = name_of(node).rpartition(".")[2]
        return "function", f"{node.path}.{name}" if node.path else name


def _is_layer(node: Node) -> bool:
    """Return whether a function does what modules without parameters do, too."""
    return is_activation(node) or is_norm(node) or is_passing(node) or role_of(node) == "resample"


def _first_readers(graph: ArchGraph) -> dict[str, str]:
    """Map each parameter to the first node that reads it, where it counts."""
    counted: dict[str, str] = {}
    for node in graph.nodes:
        for name in node.uses:
            counted.setdefault(name, node.id)
    return counted


def _row(key: Key, nodes: list[Node], homes: _Homes, counted: dict[str, str]) -> Row:
    (kind, name), read = key, homes.read_by(nodes)
    ids = {node.id for node in nodes}
    steps = [node for node in nodes if node.kind != "parameter"]
    runs = [node for node in steps if kind == "function" or not homes.prepares(node)] or steps
    own = tuple(parameter for parameter in read if counted[parameter.name] in ids)
    shared = tuple(parameter for parameter in read if counted[parameter.name] not in ids)
    first = next((node for node in runs if node.outputs), None)
    return Row(
        kind,
        name,
        name_of(runs[0]) if runs and (kind == "function" or runs[0].kind == "module") else _type(kind, read),
        own,
        shared,
        macs=sum(node.least_macs for node in nodes),
        macs_unknown=sum(node.macs is None for node in nodes),
        time=summed_times(node.time for node in nodes),
        calls=homes.calls(runs, read) if runs else None,
        weight=_weight(name, read),
        output=first.outputs[0].shape if first else None,
    )


def _type(kind: RowKind, parameters: list[Parameter]) -> str | None:
    """Return the class of the module that owns the parameters, if the graph knows it."""
    return "Parameter" if kind == "parameter" else parameters[0].owner.rpartition(".")[2] or None


def _weight(path: str, parameters: list[Parameter]) -> tuple[int, ...] | None:
    """Return the shape of the parameter called "weight", else of the largest."""
    named = next((parameter for parameter in parameters if parameter.name == f"{path}.weight"), None)
    largest = max(parameters, key=lambda parameter: parameter.size, default=None)
    return named.shape if named else largest.shape if largest else None


Parts = tuple[str, ...]
"""A dotted path, split; () is the model itself."""


def parts(path: str) -> Parts:
    """
    >>> parts("layer1.0"), parts("")
    (('layer1', '0'), ())
    """
    return tuple(path.split(".")) if path else ()


def to_depth(rows: Sequence[Row], graph: ArchGraph, depth: int) -> tuple[Row, ...]:
    """Merge the rows of each module nested ``depth`` deep, in the place of its first."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[".".join(parts(row.name)[:depth])].append(row)
    deeper = {path for path, group in groups.items() if any(row.name != path for row in group)}
    modules = _modules(graph, deeper)
    return tuple(
        row for path, group in groups.items() for row in ([_whole(path, group, modules)] if path in deeper else group)
    )


def _whole(path: str, group: Sequence[Row], modules: dict[str, Row]) -> Row:
    known = modules.get(path) if group[0].used else None
    row = summed("module", path, group, used=group[0].used)
    own = {parameter.name for parameter in row.parameters}
    shared = dict.fromkeys(parameter for part in group for parameter in part.shared if parameter.name not in own)
    row = replace(row, shared=tuple(shared))
    return row if known is None else replace(row, type=known.type, calls=known.calls, output=known.output)


def _modules(graph: ArchGraph, paths: set[str]) -> dict[str, Row]:
    """Return the class, the number of calls and the output shape of the first call of these modules."""
    exits = _exits(graph, paths)
    modules: dict[str, Row] = {}
    for scope in graph.scopes:
        if scope.path in modules:
            modules[scope.path] = replace(modules[scope.path], calls=(modules[scope.path].calls or 0) + 1)
        elif scope.path in paths:
            modules[scope.path] = Row("module", scope.path, scope.class_name, calls=1, output=exits.get(scope.id))
    return modules


def _exits(graph: ArchGraph, paths: set[str]) -> dict[int, tuple[int, ...]]:
    """Return the output shape of each call of these modules, if a single step's result is used outside."""
    around: dict[int, tuple[int, ...]] = {}
    for scope in graph.scopes:
        outer = () if scope.parent is None else around[scope.parent]
        around[scope.id] = (*outer, scope.id) if scope.path in paths else outer
    leaving: dict[int, set[str]] = defaultdict(set)
    for edge in graph.edges:
        source, inside = graph.by_id[edge.source], around[graph.by_id[edge.target].scope]
        for scope_id in around[source.scope]:
            if scope_id not in inside and source.kind != "parameter":
                leaving[scope_id].add(source.id)
    last = {scope_id: graph.by_id[min(names)] for scope_id, names in leaving.items() if len(names) == 1}
    return {scope_id: node.outputs[0].shape for scope_id, node in last.items() if len(node.outputs) == 1}


@dataclass(frozen=True)
class Placed:
    """A row, and the module that it is in."""

    row: Row
    home: Parts

    @property
    def around(self) -> Iterator[Parts]:
        """Return the modules around it, innermost first, without the model itself."""
        return (self.home[:length] for length in range(len(self.home), 0, -1))


def with_subtotals(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Group the rows by module, and put the sum after each module with two entries or more."""
    placed = _together(_placed(rows))
    return tuple(_closed(placed, _entries(placed)))


def _placed(rows: Sequence[Row]) -> list[Placed]:
    """Place each row in its parent module; the row of a module that has other rows in it is in that module."""
    outer = {parts(row.name)[:-1] for row in rows}
    return [Placed(row, own if (own := parts(row.name)) in outer else own[:-1]) for row in rows]


def _together(placed: Sequence[Placed]) -> list[Placed]:
    """Move the rows of each module next to each other, to the place of its first row."""
    first: dict[Parts, int] = {}
    places = [
        (*(first.setdefault(path, place) for path in reversed(tuple(item.around))), place)
        for place, item in enumerate(placed)
    ]
    return [placed[order[-1]] for order in sorted(places)]


def _entries(placed: Sequence[Placed]) -> Counter[Parts]:
    """Count the entries of each module: rows, and modules with rows."""
    modules = {path for item in placed for path in item.around}
    return Counter(item.home for item in placed) + Counter(path[:-1] for path in modules)


def _closed(placed: Sequence[Placed], entries: Counter[Parts]) -> Iterator[Row]:
    """Yield the rows, and a subtotal wherever a module ends."""
    inside: dict[Parts, list[Row]] = defaultdict(list)
    for item, following in zip_longest(placed, placed[1:]):
        yield item.row
        for path in item.around:
            inside[path].append(item.row)
        for path in item.around:
            if following is not None and following.home[: len(path)] == path:
                break
            if entries[path] > 1:
                yield summed("subtotal", ".".join(path), inside[path], used=item.row.used)
