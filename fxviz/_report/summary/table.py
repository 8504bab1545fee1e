"""Write a summary as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from fxviz._graph import ModelInfo, Parameter, TraceInfo, units
from fxviz._report.summary.values import Row, Totals
from fxviz._report.tables import PEOPLE, PROGRAMS, Column, Line, Table


def tabulated(model: ModelInfo, trace: TraceInfo, rows: Sequence[Row], totals: Totals) -> Table:
    """Return the table of a summary. People and programs read the same values: "118.0M" and 118013952."""
    remark_column = Column("remark", "remarks", elastic=True, forms=PEOPLE)
    batch = batch_of(trace, rows)
    shown = [(column, of) for column, of in _COLUMNS if column.key != "time" or totals.time is not None]
    return Table(
        title(model, trace),
        (*(replace(column, format=_format(column, batch)) for column, _ in shown), remark_column),
        tuple(_lines(rows, trace, [of for _, of in shown])),
        tuple(remarks(trace, totals, batch, any(row.times > 1 for row in rows))),
        _facts(model, trace, totals),
    )


def _format(column: Column, batch: int | None) -> Callable[[Any], str]:
    """Return what formats a column: output shapes omit the batch, where all of them have it."""
    return _unbatched if column.key == "output_shape" and batch is not None else column.format


def _lines(rows: Sequence[Row], trace: TraceInfo, cells: Sequence[Callable[[Row], Any]]) -> Iterator[Line]:
    for before, row in zip((None, *rows), rows, strict=False):
        values = (*(of(row) for of in cells), remark(row, trace) or None)
        yield Line(values, row.is_sum, before is not None and _is_apart(before, row))


def _is_apart(before: Row, row: Row) -> bool:
    """Return whether a rule goes before the row: the first unused one, and the first of the last sums."""
    if row.kind in ("used", "total"):
        return before.kind != "unused"
    return before.used and not row.used and row.kind != "unused"


def _percent(share: float) -> str:
    return units.percent(share) if share else ""


def _sizes(shape: tuple[int, ...] | None) -> list[int] | None:
    return None if shape is None else list(shape)


def _unbatched(sizes: Sequence[int]) -> str:
    """
    >>> _unbatched([1, 64, 56, 56])
    '64×56×56'
    """
    return units.shape(sizes[1:])


def _macs_cell(row: Row) -> str | None:
    """Return the MACs for people: unknown ones are never 0, and a partial sum says that there are more."""
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


def by_stage(table: Table, notes: Iterable[str]) -> Table:
    """Return the table of a summary by stage: what stages consist of stands under "blocks", kinds in the notes."""
    titles = {"label": "stage", "type": "blocks"}
    columns = tuple(replace(column, title=titles.get(column.key, column.title)) for column in table.columns)
    return replace(table, columns=columns, notes=(*notes, *table.notes))


_COLUMNS: tuple[tuple[Column, Callable[[Row], Any]], ...] = (
    (Column("kind", "kind", forms=PROGRAMS), lambda row: row.kind),
    (Column("name", "name", forms=PROGRAMS), lambda row: row.name),
    (Column("label", "layer", elastic=True, path=True, forms=PEOPLE), lambda row: row.label),
    (Column("type", "type", elastic=True, rank=4), lambda row: row.type),
    (Column("params", "parameters", "{:,}".format, right=True), lambda row: row.params),
    (Column("share", "share", _percent, right=True, bar=True, rank=2), lambda row: row.share),
    (Column("weight_shape", "weight", units.shape, right=True, rank=5), lambda row: _sizes(row.weight)),
    (Column("output_shape", "output", units.shape, right=True, rank=6), lambda row: _sizes(row.output)),
    (Column("macs_said", "MACs", right=True, rank=3, forms=PEOPLE), _macs_cell),
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
"""Each column and the value that it shows. The remarks, which depend on the whole run, come last."""


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
            **({} if totals.active is None else {"active_params": totals.active}),
            "buffers": totals.buffers,
            "macs": totals.macs,
            "macs_unknown_operations": totals.macs_unknown,
            "params_bytes": sum(totals.bytes.values()),
            "params_bytes_by_dtype": dict(totals.bytes),
            **({} if totals.time is None else {"time": totals.time, "time_without_row": totals.time_without_row}),
        },
        "failure": None if trace.failure is None else trace.failure.message,
    }


_NAMED = 2
"""Rows that a remark names before it counts them."""


def title(model: ModelInfo, trace: TraceInfo) -> str:
    """Name the model and how it was run, for example::

    resnet18 (ResNet, torchvision), x 1×3×224×224
    """
    cls = model.cls.rpartition(".")[2]
    known = ", ".join(word for word in (cls, model.source) if word not in (model.name, "python"))
    inputs = ", ".join(f"{name} {units.shape(tensor.shape)}" for name, tensor in trace.inputs.items())
    mode = "in training mode" if trace.training else ""
    weights = f"weights {model.weights.name}" if model.weights else ""
    return ", ".join(filter(None, (f"{model.name} ({known})" if known else model.name, weights, inputs, mode)))


def remark(row: Row, trace: TraceInfo) -> str:
    """Return what is special about a row.

    >>> remark(Row("layer", "head", shared_with=("a", "b", "c"), calls=3), TraceInfo("meta", "fake", {}, "2.4.0", None))
    '3 calls, shared with a, b and 1 more'
    """
    return ", ".join(_remark(row, trace))


def _remark(row: Row, trace: TraceInfo) -> Iterator[str]:
    if not row.used and not row.is_sum:
        yield _unused(trace)
    if row.times > 1:
        yield f"×{row.times} parallel"
    if (row.calls or 1) > 1:
        yield f"{row.calls} calls"
    if row.shared_with:
        more = len(row.shared_with) - _NAMED
        names = ", ".join(row.shared_with[:_NAMED])
        yield f"shared with {names}" + (f" and {more} more" if more > 0 else "")
    if row.frozen:
        yield "frozen" if row.frozen == row.params else f"{row.frozen:,} frozen"


def _unused(trace: TraceInfo) -> str:
    return "not used" if trace.failure is None else "not reached"


def remarks(trace: TraceInfo, totals: Totals, batch: int | None, folded: bool = False) -> Iterator[str]:
    """Return sentences about the table as a whole."""
    if trace.failure is not None:
        where = trace.failure.path or trace.failure.class_name
        message = trace.failure.message.rstrip(".")
        yield f"The run stopped at {where}: {message}. All numbers cover only what ran before that."
    yield _parameters_remark(totals)
    yield from (f"{weights.sentence[:1].upper()}{weights.sentence[1:]}." for weights in trace.unregistered)
    if totals.active is not None:
        yield f"{units.quantity(totals.active, 'parameter')} are active for one token: a router chooses among experts."
    yield f"{_macs(trace, totals)}; 1 MAC is 2 FLOPs."
    if totals.unused_params:
        unused, are = units.quantity(totals.unused_params, "parameter"), "is" if totals.unused_params == 1 else "are"
        yield f"{unused} {are} {_unused(trace)} in this run; shares refer to the {totals.used_params:,} that are."
    if totals.time is not None:
        yield f"{_time(totals.time, totals.time_without_row)}, measured on {trace.device}."
    if batch is not None:
        yield f"Output shapes omit the batch dimension ({batch})."
    if folded:
        yield "Equal parts side by side are one row, which counts all of them; CSV and JSON list each."
    yield from trace.sentences


def batch_of(trace: TraceInfo, rows: Iterable[Row]) -> int | None:
    """Return the first size of all inputs and all results; None where they differ.

    >>> from fxviz._graph import TensorInfo
    >>> trace = TraceInfo("meta", "fake", {"x": TensorInfo((2, 8), "float32")}, "2.4.0", None)
    >>> batch_of(trace, [Row("layer", "fc", output=(2, 4))]), batch_of(trace, [Row("layer", "fc", output=(8, 4))])
    (2, None)
    """
    read = {tensor.shape[:1] for tensor in trace.inputs.values()}
    made = [row.output for row in rows if row.output is not None]
    firsts = read | {shape[:1] for shape in made}
    alike = len(firsts) == 1 and bool(read and made) and all(len(shape) > 1 for shape in made)
    return next(iter(firsts))[0] if alike else None


def _parameters_remark(totals: Totals) -> str:
    trained = f"{totals.trainable:,} trainable, {totals.frozen:,} frozen" if totals.frozen else "all trainable"
    sizes = ", ".join(f"{units.memory(number)} in {dtype}" for dtype, number in totals.bytes.items())
    if not totals.params:
        return f"No parameters{_buffers(totals)}."
    return f"{units.quantity(totals.params, 'parameter')}, {trained}; {sizes}{_buffers(totals)}."


def _buffers(totals: Totals) -> str:
    return f"; {units.quantity(totals.buffers, 'scalar')} in buffers" if totals.buffers else ""


def _time(whole: float, without_row: float | None) -> str:
    """
    >>> _time(0.0125, 0.00025), _time(0.0125, None)
    ('12.50 ms, including 0.25 ms in steps without a row here', '12.50 ms')
    """
    apart = f", including {units.seconds(without_row)} in steps without a row here" if without_row else ""
    return f"{units.seconds(whole)}{apart}"


def _macs(trace: TraceInfo, totals: Totals) -> str:
    """
    >>> trace = TraceInfo("meta", "guessed", {}, "2.4.0", None, {"aten.nonzero": 3})
    >>> _macs(trace, Totals(0, 0, 0, 0, 5000, 1))
    'About 5.00 kMACs, plus 1 operation with unknown MACs (data-dependent results were guessed: nonzero ×3)'
    """
    known = units.macs(totals.macs)
    if trace.guessed and trace.bound != "exact":
        known = f"{'About' if totals.macs_unknown or trace.bound == 'about' else 'At most'} {known}"
    if totals.macs_unknown:
        known = f"{known}, plus {units.quantity(totals.macs_unknown, 'operation')} with unknown MACs"
    if trace.guessed and trace.bound == "exact":
        return f"{known} (rows of experts follow from the number of tokens and of experts chosen for each)"
    return f"{known} (data-dependent results were guessed: {trace.guesses})" if trace.guessed else known
