"""What a summary says in words: its title, the remark behind a row, the sentences below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fxviz._graph import ModelInfo, TraceInfo, units
from fxviz._report.summary.values import Row, Totals

_NAMED = 2
"""Rows that a remark names before it counts."""


def title(model: ModelInfo, trace: TraceInfo) -> str:
    """Which model it is and how it was run, for example::

    resnet18 (ResNet, torchvision), x 1×3×224×224
    """
    cls = model.cls.rpartition(".")[2]
    known = ", ".join(word for word in (cls, model.source) if word not in (model.name, "python"))
    inputs = ", ".join(f"{name} {units.shape(tensor.shape)}" for name, tensor in trace.inputs.items())
    mode = "in training mode" if trace.training else ""
    weights = f"weights {model.weights.name}" if model.weights else ""
    return ", ".join(filter(None, (f"{model.name} ({known})" if known else model.name, weights, inputs, mode)))


def remark(row: Row, trace: TraceInfo) -> str:
    """What is special about a row.

    >>> remark(Row("layer", "head", shared_with=("a", "b", "c"), calls=3), TraceInfo("meta", "fake", {}, "2.4.0", None))
    '3 calls, shared with a, b and 1 more'
    """
    return ", ".join(_remark(row, trace))


def _remark(row: Row, trace: TraceInfo) -> Iterator[str]:
    if not row.used and not row.is_sum:
        yield _unused(trace)
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


def remarks(trace: TraceInfo, totals: Totals, batch: int | None) -> Iterator[str]:
    """What belongs to the table as a whole, in sentences."""
    if trace.failure is not None:
        where = trace.failure.path or trace.failure.class_name
        yield f"The run stopped at {where}: {trace.failure.message.rstrip('.')}. All numbers are of what ran until then."
    yield _parameters(totals)
    yield f"{_macs(trace, totals)}; 1 MAC is 2 FLOPs."
    if totals.unused_params:
        unused, are = _counted(totals.unused_params, "parameter"), "is" if totals.unused_params == 1 else "are"
        yield f"{unused} {are} {_unused(trace)} in this run; shares are of the {totals.used_params:,} that are."
    if totals.time is not None:
        yield f"{_time(totals.time, totals.time_without_row)}, measured on {trace.device}."
    if batch is not None:
        yield f"Output shapes are without their first size, {batch}, which is that of the inputs."


def batch_of(trace: TraceInfo, rows: Iterable[Row]) -> int | None:
    """The size with which all inputs and all results begin; None where they do not begin alike.

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


def _parameters(totals: Totals) -> str:
    trained = f"{totals.trainable:,} trainable, {totals.frozen:,} frozen" if totals.frozen else "all trainable"
    sizes = ", ".join(f"{units.memory(number)} of {dtype}" for dtype, number in totals.bytes.items())
    if not totals.params:
        return f"No parameters{_buffers(totals)}."
    return f"{_counted(totals.params, 'parameter')}, {trained}; {sizes}{_buffers(totals)}."


def _counted(count: int, noun: str) -> str:
    """
    >>> _counted(1, "parameter"), _counted(1413, "parameter")
    ('1 parameter', '1,413 parameters')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _buffers(totals: Totals) -> str:
    return f"; {_counted(totals.buffers, 'number')} in buffers" if totals.buffers else ""


def _time(whole: float, without_row: float | None) -> str:
    """
    >>> _time(0.0125, 0.00025), _time(0.0125, None)
    ('12.50 ms, 0.25 ms of it in steps that have no row here', '12.50 ms')
    """
    apart = f", {units.seconds(without_row)} of it in steps that have no row here" if without_row else ""
    return f"{units.seconds(whole)}{apart}"


def _macs(trace: TraceInfo, totals: Totals) -> str:
    """
    >>> trace = TraceInfo("meta", "guessed", {}, "2.4.0", None, {"aten.nonzero": 3})
    >>> _macs(trace, Totals(0, 0, 0, 0, 5000, 1))
    'About 5.00 kMACs, and 1 operation of unknown MACs (guessed, because they depend on the data: nonzero ×3)'
    """
    known = units.macs(totals.macs)
    if trace.guessed:
        known = f"About {known}"
    if totals.macs_unknown:
        many = "s" * (totals.macs_unknown > 1)
        known = f"{known}, and {totals.macs_unknown} operation{many} of unknown MACs"
    guesses = ", ".join(f"{name.rpartition('.')[2]} ×{times}" for name, times in trace.guessed.items())
    return f"{known} (guessed, because they depend on the data: {guesses})" if guesses else known
