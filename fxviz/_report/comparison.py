"""Compare models side by side: their numbers, and what makes one larger than another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fxviz._analysis import Facts, facts_of
from fxviz._analysis.facts import Layer, Part
from fxviz._analysis.match import names_of
from fxviz._analysis.parts import opened_in, parts_of
from fxviz._graph import SKIP_KINDS, ArchGraph, units
from fxviz._graph.errors import printable, short_path, shown
from fxviz._report.tables import PROGRAMS, Column, Line, Table, Tabular

__all__ = ["Comparison", "compare"]

_NAME = 60


@dataclass(frozen=True)
class Side:
    """One model of a comparison.

    Attributes:
        name: its name, which no other model of the comparison has.
        graph: its graph.
        facts: what was computed from the graph.
        parts: its parts; all models are divided alike.
        ratio: its parameters as a multiple of those of the smallest model; None where that has none.
        macs_ratio: its MACs as a multiple of the fewest; None where a model has none.
    """

    name: str
    graph: ArchGraph
    facts: Facts
    parts: tuple[Part, ...]
    ratio: float | None
    macs_ratio: float | None

    @property
    def label(self) -> str:
        """Return its name, shortened for a sentence."""
        return shown(self.name, _NAME)

    def part(self, path: str) -> Part | None:
        """Return the part at a path, if the model has it."""
        return self._by_path.get(path)

    @cached_property
    def _by_path(self) -> dict[str, Part]:
        return {part.path: part for part in self.parts}


def sides_of(graphs: Sequence[ArchGraph]) -> tuple[Side, ...]:
    """Return the models in the order given. A module that is divided into parts in one of them is divided in all.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace, scopes = TraceInfo("meta", "fake", {}, "2.4.0", None), (Scope(0, "", "Net", 0, None),)
    >>> graph = ArchGraph(ModelInfo("net", "python", "Net"), trace, (), (), scopes, ())
    >>> [(side.name, side.ratio) for side in sides_of((graph, graph))]
    [('net', None), ('net (2)', None)]
    """
    facts = [facts_of(graph) for graph in graphs]
    opened = frozenset().union(*(opened_in(graph) for graph in graphs))
    params = min((each.params for each in facts), default=0)
    macs = min((each.macs for each in facts), default=0)
    return tuple(
        Side(
            name,
            graph,
            each,
            parts_of(graph, opened),
            each.params / params if params else None,
            each.macs / macs if macs else None,
        )
        for name, graph, each in zip(names_of(graphs), graphs, facts, strict=True)
    )


def are_timed(sides: Sequence[Side]) -> bool:
    """Return whether the times of all models were measured, so that they can be compared."""
    return all(side.facts.time is not None for side in sides)


def paths_of(sides: Sequence[Side]) -> tuple[str, ...]:
    """Return the paths of all parts that hold parameters, in the order of the models."""
    return tuple(dict.fromkeys(part.path for side in sides for part in side.parts if part.amount.params))


_WEIGHTS, _LARGEST, _TYPE = "weights", "largest layer", "its type"
_TEXTS = _WEIGHTS, _LARGEST, _TYPE
"""Quantities that are names, which may be cut on a narrow terminal."""

Quantity = tuple[str, Callable[[Side], str | int | None]]
"""A quantity's name, and its value for a model; 0 and None are empty cells."""


def quantities(sides: Sequence[Side], title: str) -> Table:
    """Return a table with quantities as rows and models as columns; rows that are empty for all models are left out."""
    lines = [(name, *(value(side) for side in sides)) for name, value in _quantities(are_timed(sides))]
    return Table(
        title,
        (Column("quantity", ""), *_models(sides)),
        tuple(Line(line, path=line[0] == _LARGEST, firm=line[0] not in _TEXTS) for line in lines if any(line[1:])),
        tuple(_notes(sides)),
    )


def _models(sides: Sequence[Side]) -> Iterator[Column]:
    for side in sides:
        yield Column(side.name, side.label, right=True, elastic=True)


def _quantities(timed: bool) -> Iterator[Quantity]:
    yield _WEIGHTS, _weights
    yield "input", _input
    yield "parameters", lambda side: units.hundredths(side.facts.params)
    yield "× the smallest", lambda side: None if side.ratio is None else units.ratio(side.ratio)
    yield "not used", lambda side: units.hundredths(side.facts.unused_params) if side.facts.unused else 0
    yield "MACs", lambda side: f"{'> ' * bool(side.facts.unknown_macs)}{units.macs(side.facts.macs)}"
    yield "× the fewest MACs", lambda side: None if side.macs_ratio is None else units.ratio(side.macs_ratio)
    if timed:
        yield "time", lambda side: units.seconds(side.facts.time or 0)
    yield "weighted layers", lambda side: str(side.facts.weighted)
    yield "longest chain", lambda side: str(side.facts.depth.layers)
    yield "residual blocks", lambda side: sum(block.count for block in side.facts.blocks)
    for kind in SKIP_KINDS:
        yield "gates" if kind == "gate" else f"{kind} skips", lambda side, kind=kind: side.facts.skips[kind]  # type: ignore[misc]
    yield _LARGEST, _largest
    yield _TYPE, lambda side: None if side.facts.largest is None else shown(side.facts.largest.name)
    yield "its sizes", lambda side: None if side.facts.largest is None else sizes_of(side.facts.largest) or None
    yield "its share", _largest_share
    yield "parameter memory", lambda side: units.memory(side.facts.memory.weights)
    yield "activation memory", lambda side: units.memory(side.facts.memory.activations)


def _input(side: Side) -> str | None:
    return ", ".join(units.shape(tensor.shape) for tensor in side.graph.trace.inputs.values()) or None


def _weights(side: Side) -> str | None:
    weights = side.graph.model.weights
    return None if weights is None else shown(weights.name)


def _largest(side: Side) -> str | None:
    layer = side.facts.largest
    return None if layer is None else short_path(layer.path)


def _largest_share(side: Side) -> str | None:
    layer = side.facts.largest
    return None if layer is None else units.percent(layer.params / side.facts.used_params)


def _notes(sides: Sequence[Side]) -> Iterator[str]:
    for side in sides:
        if side.graph.trace.failure is not None:
            yield f"The run of {side.label} stopped early: its numbers cover only what ran before that."
        yield from (f"{side.label}: {note}." for note in side.graph.trace.notes)
    if len({_input(side) for side in sides}) > 1:
        yield "The inputs differ, so MACs and activations are not directly comparable."


def shares(sides: Sequence[Side]) -> Table:
    """Return the shares of the parameters: parts as rows, models as columns, with bars on a terminal."""
    columns = (Column("part", "part", elastic=True, path=True), *_share_columns(sides))
    lines = tuple(Line((path, *(_share(side, path) for side in sides)), firm=True) for path in paths_of(sides))
    return Table("Share of the parameters by part:", columns, lines)


def _share_columns(sides: Sequence[Side]) -> Iterator[Column]:
    for side in sides:
        yield Column(side.name, side.label, units.percent, right=True, bar=True, elastic=True)


def _share(side: Side, path: str) -> float | None:
    part = side.part(path)
    return part.amount.share if part and part.amount.params else None


def for_programs(sides: Sequence[Side], sentences: Sequence[str]) -> Table:
    """Return a row for each model, with bare numbers."""
    rows = [_row(side, paths_of(sides), are_timed(sides)) for side in sides]
    columns = tuple(Column(key, key) for key in rows[0])
    facts = {"sentences": list(sentences), "models": [side.name for side in sides]}
    return Table("", columns, tuple(Line(tuple(row.values())) for row in rows), facts=facts)


def _row(side: Side, paths: Sequence[str], timed: bool) -> dict[str, Any]:
    facts, memory, largest = side.facts, side.facts.memory, side.facts.largest
    return {
        "model": side.name,
        "weights": None if side.graph.model.weights is None else side.graph.model.weights.name,
        "input": "; ".join("x".join(map(str, tensor.shape)) for tensor in side.graph.trace.inputs.values()),
        "params": facts.params,
        "params_ratio": side.ratio,
        "unused_params": facts.unused_params,
        "macs": facts.macs,
        "macs_ratio": side.macs_ratio,
        "macs_unknown_nodes": facts.unknown_macs,
        **({"time": facts.time} if timed else {}),
        "weighted_layers": facts.weighted,
        "depth": facts.depth.layers,
        "residual_blocks": sum(block.count for block in facts.blocks),
        **{f"{kind}_skips": facts.skips[kind] for kind in SKIP_KINDS},
        "largest_layer": None if largest is None else largest.path,
        "largest_layer_params": None if largest is None else largest.params,
        "largest_layer_share": None if largest is None else largest.params / facts.used_params,
        "weights_bytes": memory.weights,
        "activations_bytes": memory.activations,
        **{f"share.{path}": _share(side, path) for path in paths},
        "failure": None if side.graph.trace.failure is None else side.graph.trace.failure.message,
    }


_REASON = 0.2
"""The share of the difference that a single part must have to be named as its reason."""

_SAME = 0.005
"""The relative difference of MACs below which no sentence mentions it."""


def reasons(sides: Sequence[Side]) -> tuple[str, ...]:
    """Compare the largest model with the smallest: how many times the parameters, where they are, and the MACs.

    Name the part whose parameters differ most; if a single layer makes up half of that difference, the layer.
    """
    small = min(sides, key=lambda side: side.facts.params)
    large = max(sides, key=lambda side: side.facts.params)
    if large.facts.params == small.facts.params:
        return (_same(sides), *_macs(*_by_macs(sides)))
    return (f"{_times(large, small)}: {_why(large, small)}", *_macs(large, small))


def _same(sides: Sequence[Side]) -> str:
    names = [side.label for side in sides]
    params = units.hundredths(sides[0].facts.params)
    return f"{', '.join(names[:-1])} and {names[-1]} have the same number of parameters ({params})"


def _by_macs(sides: Sequence[Side]) -> tuple[Side, Side]:
    return max(sides, key=lambda side: side.facts.macs), min(sides, key=lambda side: side.facts.macs)


def _times(large: Side, small: Side) -> str:
    params = f"({units.hundredths(large.facts.params)} vs. {units.hundredths(small.facts.params)})"
    names = large.label, small.label
    if not small.facts.params:
        return f"{names[0]} has parameters, {names[1]} has none {params}"
    return (
        f"{names[0]} has {units.ratio(large.facts.params / small.facts.params)} the parameters of {names[1]} {params}"
    )


def _why(large: Side, small: Side) -> str:
    """Say where the difference is: in unused parameters, or in the layer or part that grew most."""
    unused = large.facts.unused_params - small.facts.unused_params
    grown = {path: _params(large, path) - _params(small, path) for path in paths_of((large, small))}
    path = max(grown, key=grown.__getitem__, default="")
    if unused >= grown.get(path, 0):
        return _unused(large, small)
    if grown[path] < _REASON * (large.facts.params - small.facts.params):
        return "the difference is spread over many parts"
    return _larger(large, small, path)


def _unused(large: Side, small: Side) -> str:
    """Say how many parameters the larger model does not use, and whether it uses more without them."""
    unused, before = large.facts.unused_params, small.facts.unused_params
    against = f", compared with {units.hundredths(before)} in {small.label}" if before else ""
    left_out = "reached" if large.graph.trace.failure else "used"
    sentence = f"{units.hundredths(unused)} of them are not {left_out} in this run{against}"
    used, other = large.facts.used_params, small.facts.used_params
    if used > other:
        return sentence
    return f"{sentence}; it uses {units.hundredths(used)}, {small.label} uses {units.hundredths(other)}"


def _larger(large: Side, small: Side, path: str) -> str:
    """Name the part that grew most, or the layer in it that makes up half of the difference."""
    params, before = _params(large, path), _params(small, path)
    layer = _layer_in(large, path, params - before) if not before else None
    what = _described(layer) if layer else short_path(path)
    amount = layer.params if layer else params
    if before:
        return f"{what} holds {units.hundredths(params)} of them, compared with {units.hundredths(before)}"
    if small.facts.params and amount > small.facts.params:
        times = units.ratio(amount / small.facts.params)
        return f"{what} alone holds {units.hundredths(amount)}, {times} as many as all of {small.label}"
    return f"{what} holds {units.hundredths(amount)}, and {small.label} has no such part"


def _params(side: Side, path: str) -> int:
    """Return the parameters of the part at a path; 0 where the model has no such part."""
    part = side.part(path)
    return part.amount.params if part else 0


def _layer_in(side: Side, path: str, difference: int) -> Layer | None:
    """Return the layer of this part that makes up half of the difference, if there is one."""
    inside = [layer for layer in side.facts.layers if layer.path == path or layer.path.startswith(f"{path}.")]
    largest = max(inside, key=lambda layer: layer.params, default=None)
    return largest if largest is not None and largest.params * 2 >= difference else None


def _described(layer: Layer) -> str:
    """Return a layer with its class and sizes: ``classifier.0 (Linear 25088 → 4096)``."""
    return f"{short_path(layer.path)} ({f'{shown(layer.name)} {sizes_of(layer)}'.rstrip()})"


def sizes_of(layer: Layer) -> str:
    """Return the input and output widths of a layer, else the shape of its weight, if that is known."""
    if layer.features:
        return f"{layer.features[0]} → {layer.features[1]}"
    if layer.geometry:
        kernel = "×".join(map(str, layer.geometry.kernel))
        return f"{kernel}, {layer.geometry.in_channels} → {layer.geometry.out_channels}"
    return units.shape(layer.weight) if layer.weight else ""


def _macs(large: Side, small: Side) -> tuple[str, ...]:
    """Compare the MACs of two models; those of a partial run mean nothing."""
    more, less = large.facts.macs, small.facts.macs
    if large.graph.trace.failure or small.graph.trace.failure or not more or not less or abs(more / less - 1) < _SAME:
        return ()
    macs = f"({units.macs(more)} vs. {units.macs(less)})"
    return (f"{large.label} needs {units.ratio(more / less)} the MACs {macs}",)


@dataclass(frozen=True, repr=False)
class Comparison(Tabular):
    """Models side by side. ``print`` shows the tables."""

    sides: tuple[Side, ...]

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """Return which model is larger, and why, in sentences."""
        return tuple(f"{sentence}." for sentence in reasons(self.sides))

    def __repr__(self) -> str:
        return shown(printable(f"<Comparison {', '.join(side.label for side in self.sides)}>"), 200)

    def tables(self, form: str = "table") -> tuple[Table, ...]:
        """Return the tables of a form: quantities and shares for people, one table of both for programs."""
        if form in PROGRAMS:
            return (for_programs(self.sides, self.sentences),)
        parts = shares(self.sides)
        return (quantities(self.sides, " ".join(self.sentences)), *([parts] if parts.lines else []))


def compare(graphs: Sequence[ArchGraph]) -> Comparison:
    """Compare two or more models.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace, scopes = TraceInfo("meta", "fake", {}, "2.4.0", None), (Scope(0, "", "Net", 0, None),)
    >>> graph = ArchGraph(ModelInfo("net", "python", "Net"), trace, (), (), scopes, ())
    >>> compare((graph, graph)).sentences
    ('net and net (2) have the same number of parameters (0).',)
    """
    return Comparison(sides_of(graphs))
