"""Hold the rows, totals and options of a summary."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from fxviz._graph import Parameter, units
from fxviz._graph.errors import printable, shown
from fxviz._graph.options import Options, option

RowKind = Literal["layer", "parameter", "function", "module", "stage", "rest", "subtotal", "used", "unused", "total"]
"""Kinds of rows:

* "layer": a module that holds parameters or computes.
* "parameter": a parameter that a module holds beside modules that hold others.
* "function": functions of one name in a module's own code.
* "module": a module with all modules in it (``depth``).
* "stage": what runs at one resolution (``by``); its type says what it consists of.
* "rest": everything that ``top`` leaves out.
* "subtotal": the sum of a module's rows.
* "used", "unused": the sum of what the run uses, and of what it does not.
* "total": the sum of everything.
"""

SUMS: tuple[RowKind, ...] = ("subtotal", "used", "unused", "total")


@dataclass(frozen=True, repr=False)
class Row:
    """One row of a summary.

    Attributes:
        kind: what it stands for, one of ``RowKind``.
        name: dotted path of the module or parameter; for a function, the module that calls it and its own name.
        type: the class of the module, the name of the function, or "Parameter"; None where it is unknown, and for sums.
        parameters: the parameters that count here.
        shared: the parameters that it reads and that count in other rows.
        shared_with: the names of these rows.
        macs: multiply-accumulates (MACs) of all calls, as far as they are known.
        macs_unknown: number of operations with unknown MACs.
        time: seconds of all calls; for a module or a sum, steps without a row included; None if nothing was measured.
        calls: how often the run calls it; None for what is not called. Where functions compute with several parameters
            of a module, how often one of these is read.
        weight: shape of the parameter called "weight", else of the largest; None for a whole module or without any.
        output: shape of the first tensor that its first call returns, batch included; None if unknown.
        used: whether the run uses it; the total covers both.
        share: share of the parameters that the run uses, between 0 and 1; None for unused rows.
        times: the number of equal parts side by side that it stands for, all of which its sums count.
    """

    kind: RowKind
    name: str
    type: str | None = None
    parameters: tuple[Parameter, ...] = ()
    shared: tuple[Parameter, ...] = ()
    shared_with: tuple[str, ...] = ()
    macs: int = 0
    macs_unknown: int = 0
    time: float | None = None
    calls: int | None = None
    weight: tuple[int, ...] | None = None
    output: tuple[int, ...] | None = None
    used: bool = True
    share: float | None = None
    times: int = 1

    @property
    def params(self) -> int:
        """Return the number of scalars in the parameters that count here."""
        return sum(parameter.size for parameter in self.parameters)

    @property
    def frozen(self) -> int:
        """Return how many of these scalars have no ``requires_grad``."""
        return sum(parameter.size for parameter in self.parameters if not parameter.trainable)

    def __repr__(self) -> str:
        name = f"{self.kind} {shown(printable(self.label))}"
        return f"<Row {name}: {units.quantity(self.params, 'parameter')}, {units.macs(self.macs)}>"

    @property
    def is_sum(self) -> bool:
        return self.kind in SUMS

    @property
    def label(self) -> str:
        """Return the name for people, which marks sums: "layer1_total"."""
        return f"{self.name}_total" if self.kind in ("subtotal", "used", "unused") else self.name


def summed(kind: RowKind, name: str, rows: Iterable[Row], **facts: object) -> Row:
    """Return one row with the parameters, MACs and times of several."""
    parts = tuple(rows)
    return Row(
        kind,
        name,
        parameters=tuple(parameter for row in parts for parameter in row.parameters),
        macs=sum(row.macs for row in parts),
        macs_unknown=sum(row.macs_unknown for row in parts),
        time=summed_times(row.time for row in parts),
        **facts,  # type: ignore[arg-type]
    )


def summed_times(times: Iterable[float | None]) -> float | None:
    """Add up measured times; None if nothing was measured.

    >>> summed_times([0.25, None, 0.5]), summed_times([None])
    (0.75, None)
    """
    measured = [time for time in times if time is not None]
    return sum(measured) if measured else None


@dataclass(frozen=True)
class Totals:
    """Sums over the whole model.

    Attributes:
        params: scalars in all parameters, each tensor once: ``sum(p.numel() for p in model.parameters())``.
        used_params: scalars in parameters that this run reads.
        trainable: scalars in parameters with ``requires_grad``.
        buffers: scalars in buffers, which are not parameters.
        macs: multiply-accumulates (MACs) of the run, as far as they are known.
        macs_unknown: number of operations with unknown MACs.
        bytes: bytes of the parameters by dtype.
        time: seconds of all steps; None if nothing was measured.
        time_without_row: seconds of the steps that have no row.
        active: scalars in the parameters that one token uses, where a router chooses experts; else None.
    """

    params: int
    used_params: int
    trainable: int
    buffers: int
    macs: int
    macs_unknown: int
    bytes: Mapping[str, int] = field(default_factory=dict)
    time: float | None = None
    time_without_row: float | None = None
    active: int | None = None

    @property
    def unused_params(self) -> int:
        return self.params - self.used_params

    @property
    def frozen(self) -> int:
        return self.params - self.trainable


By = Literal["layer", "stage"]

Sort = Literal["params", "macs", "time", "name"]
SORTS: tuple[Sort, ...] = get_args(Sort)
"""Keys that rows can be sorted by: largest first, names in natural order (layer2 before layer10)."""


@dataclass(frozen=True)
class SummaryOptions(Options):
    """Options of a summary.

    Attributes:
        depth: show modules nested this many levels deep as one row each; None: every layer.
        sort: one of ``SORTS``; None: the order of the run, with subtotals.
        top: show only this many rows, the largest by ``sort`` (by parameters if that is None), and one for the rest.
        all: include layers without parameters and MACs.
        by: "layer", or "stage": a row for each stage of the model, and what it consists of.

    Raises:
        UsageError: an option has an invalid value.

    >>> SummaryOptions(sort="size")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: invalid sort 'size': choose params, macs, time or name
    """

    depth: int | None = option(None, "Show modules nested N levels deep as one row.", metavar="N")
    sort: Sort | None = option(
        None, f"{', '.join(SORTS)}. Default: the order of the run, with subtotals.", metavar="KEY"
    )
    top: int | None = option(None, "Only the N largest, by parameters or by --sort.", metavar="N")
    all: bool = option(False, "Also layers without parameters: activations, pooling, dropout.")
    by: By = option("layer", "layer, or stage: what runs at one resolution, and its blocks.", metavar="ROWS")


def in_order(rows: Sequence[Row], options: SummaryOptions) -> tuple[Row, ...]:
    """Sort the rows and keep the first ones, as the options say."""
    key = _KEYS[options.sort or "params"]
    if options.top is None:
        return tuple(sorted(rows, key=key))
    first = sorted(rows, key=key)
    kept, rest = first[: options.top], first[options.top :]
    return (*kept, summed("rest", f"{len(rest)} more", rest, used=rest[0].used)) if rest else tuple(kept)


def _natural(row: Row) -> tuple[Any, ...]:
    """Return the name as a key for natural order: every second item is a number."""
    parts = re.split(r"([0-9]{1,9})", row.name)
    return tuple(int(part) if place % 2 else part for place, part in enumerate(parts))


_KEYS: dict[str, Callable[[Row], Any]] = {
    "params": lambda row: -row.params,
    "macs": lambda row: -row.macs,
    "time": lambda row: -(row.time or 0),
    "name": _natural,
}
