"""A summary as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from fxviz._graph import ModelInfo, Parameter, TraceInfo, units
from fxviz._report.summary.remarks import batch_of, remark, remarks, title
from fxviz._report.summary.values import Row, Totals
from fxviz._report.tables import PEOPLE, PROGRAMS, Column, Line, Table


def tabulated(model: ModelInfo, trace: TraceInfo, rows: Sequence[Row], totals: Totals) -> Table:
    """The table of a summary. What people and programs read differs in form alone: "118.0M" and 118013952."""
    remarked = Column("remark", "remarks", elastic=True, forms=PEOPLE)
    batch = batch_of(trace, rows)
    shown = [(column, of) for column, of in _COLUMNS if column.key != "time" or totals.time is not None]
    return Table(
        title(model, trace),
        (*(replace(column, said=_said(column, batch)) for column, _ in shown), remarked),
        tuple(_lines(rows, trace, [of for _, of in shown])),
        tuple(remarks(trace, totals, batch)),
        _facts(model, trace, totals),
    )


def _said(column: Column, batch: int | None) -> Callable[[Any], str]:
    """How people write a column's values: output shapes without the batch, where all of them have it."""
    return _unbatched if column.key == "output_shape" and batch is not None else column.said


def _lines(rows: Sequence[Row], trace: TraceInfo, cells: Sequence[Callable[[Row], Any]]) -> Iterator[Line]:
    for before, row in zip((None, *rows), rows, strict=False):
        values = (*(of(row) for of in cells), remark(row, trace) or None)
        yield Line(values, row.is_sum, before is not None and _is_apart(before, row))


def _is_apart(before: Row, row: Row) -> bool:
    """Whether a row is ruled off from the one before it: the first that the run does not use, the first of the last sums."""
    if row.kind in ("used", "total"):
        return before.kind != "unused"
    return before.used and not row.used and row.kind != "unused"


def _percent(share: float) -> str:
    """A share; nothing where there are no parameters."""
    return units.percent(share) if share else ""


def _sizes(shape: tuple[int, ...] | None) -> list[int] | None:
    return None if shape is None else list(shape)


def _unbatched(sizes: Sequence[int]) -> str:
    """
    >>> _unbatched([1, 64, 56, 56])
    '64×56×56'
    """
    return units.shape(sizes[1:])


def _macs_said(row: Row) -> str | None:
    """What is unknown is never 0; what is known in part is said to be more."""
    if row.macs_unknown:
        return f"over {units.short_macs(row.macs)}" if row.macs else "?"
    return units.short_macs(row.macs) if row.macs or (row.is_sum and row.used) else None


def _parameters(row: Row) -> list[dict[str, Any]] | None:
    """Every parameter that a layer reads; of a sum nothing."""
    if row.is_sum or row.kind == "rest":
        return None
    return [_parameter(item, False) for item in row.parameters] + [_parameter(item, True) for item in row.shared]


def _parameter(parameter: Parameter, shared: bool) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "shape": list(parameter.shape),
        "dtype": parameter.dtype,
        "trainable": parameter.trainable,
        "shared": shared,
    }


_COLUMNS: tuple[tuple[Column, Callable[[Row], Any]], ...] = (
    (Column("kind", "kind", forms=PROGRAMS), lambda row: row.kind),
    (Column("name", "name", forms=PROGRAMS), lambda row: row.name),
    (Column("label", "layer", elastic=True, path=True, forms=PEOPLE), lambda row: row.label),
    (Column("type", "type", elastic=True, rank=4), lambda row: row.type),
    (Column("params", "parameters", "{:,}".format, right=True), lambda row: row.params),
    (Column("share", "share", _percent, right=True, bar=True, rank=2), lambda row: row.share),
    (Column("weight_shape", "weight", units.shape, right=True, rank=5), lambda row: _sizes(row.weight)),
    (Column("output_shape", "output", units.shape, right=True, rank=6), lambda row: _sizes(row.output)),
    (Column("macs_said", "MACs", right=True, rank=3, forms=PEOPLE), _macs_said),
    (Column("macs", "MACs", forms=PROGRAMS), lambda row: row.macs if row.macs or not row.macs_unknown else None),
    (Column("time", "time (ms)", units.milliseconds, right=True, rank=1), lambda row: row.time),
    (Column("macs_unknown", "unknown MACs", forms=PROGRAMS), lambda row: row.macs_unknown),
    (Column("trainable", "trainable", forms=PROGRAMS), lambda row: row.params - row.frozen),
    (Column("frozen", "frozen", forms=PROGRAMS), lambda row: row.frozen),
    (Column("calls", "calls", forms=PROGRAMS), lambda row: row.calls),
    (Column("shared_with", "shared with", forms=PROGRAMS), lambda row: list(row.shared_with)),
    (Column("used", "used", forms=PROGRAMS), lambda row: row.used),
    (Column("parameters", "parameters", forms=("json",)), _parameters),
)
"""Each column and what stands in it. The remarks, which depend on the whole run, come last."""


def _facts(model: ModelInfo, trace: TraceInfo, totals: Totals) -> dict[str, Any]:
    return {
        "model": {
            "name": model.name,
            "source": model.source,
            "class": model.cls,
            "weights": model.weights.name if model.weights else None,
        },
        "inputs": {name: {"shape": list(tensor.shape), "dtype": tensor.dtype} for name, tensor in trace.inputs.items()},
        "totals": {
            "params": totals.params,
            "used_params": totals.used_params,
            "unused_params": totals.unused_params,
            "trainable_params": totals.trainable,
            "frozen_params": totals.frozen,
            "buffers": totals.buffers,
            "macs": totals.macs,
            "macs_unknown_operations": totals.macs_unknown,
            "params_bytes": sum(totals.bytes.values()),
            "params_bytes_by_dtype": dict(totals.bytes),
            **({} if totals.time is None else {"time": totals.time, "time_without_row": totals.time_without_row}),
        },
        "failure": None if trace.failure is None else trace.failure.message,
    }
