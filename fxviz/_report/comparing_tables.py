"""A comparison as tables: for people quantities as rows and models as columns, for programs a row for each model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fxviz._graph import SKIP_KINDS, units
from fxviz._report.reasons import sizes_of
from fxviz._report.sides import Side, are_timed, paths_of
from fxviz._report.tables import Column, Line, Table
from fxviz.quoting import short_path, shown

_WEIGHTS, _LARGEST, _KIND = "weights", "largest layer", "its kind"
_TEXTS = _WEIGHTS, _LARGEST, _KIND
"""Quantities that are names, and may be cut where a terminal is too narrow."""

Quantity = tuple[str, Callable[[Side], str | int | None]]
"""What it is, and what is said of it; 0 where a model has none of what another may have."""


def quantities(sides: Sequence[Side], title: str) -> Table:
    """Quantities as rows, models as columns, in words; a quantity that no model has is left out."""
    lines = [(name, *(said(side) for side in sides)) for name, said in _quantities(are_timed(sides))]
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
    yield _KIND, lambda side: None if side.facts.largest is None else shown(side.facts.largest.name)
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
            yield f"{side.label} stopped before its end: its numbers are of what ran until then."
    if len({_input(side) for side in sides}) > 1:
        yield "The inputs differ, and with them MACs and activations."


def shares(sides: Sequence[Side]) -> Table:
    """The parameters' shares part by part: parts as rows, models as columns, with bars on a terminal."""
    columns = (Column("part", "part", elastic=True, path=True), *_share_columns(sides))
    lines = tuple(Line((path, *(_share(side, path) for side in sides)), firm=True) for path in paths_of(sides))
    return Table("Share of the parameters, part by part:", columns, lines)


def _share_columns(sides: Sequence[Side]) -> Iterator[Column]:
    for side in sides:
        yield Column(side.name, side.label, units.percent, right=True, bar=True, elastic=True)


def _share(side: Side, path: str) -> float | None:
    part = side.part(path)
    return part.amount.share if part and part.amount.params else None


def for_programs(sides: Sequence[Side], sentences: Sequence[str]) -> Table:
    """A row for each model, numbers as numbers."""
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
