"""The values of a summary: its rows and its totals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fxviz._errors import UsageError, choice
from fxviz._graph import Parameter

KINDS = ("layer", "parameter", "function", "module", "rest", "subtotal", "used", "unused", "total")
"""What a row can be: a module; a parameter that a module holds beside modules that hold others; functions of one name in a
module's own code; a module with all modules in it (``depth``); all that ``top`` leaves out; the sum of a module's rows; the
sum of what the run uses, of what it does not; the sum of everything."""

SUMS = ("subtotal", "used", "unused", "total")


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        kind: one of ``KINDS``.
        name: dotted path of the module or parameter; of a function the module whose code calls it, and its own name.
        type: the class of the module, the name of the function, or "Parameter"; None where it is unknown, and for sums.
        parameters: the parameters that count here.
        shared: the parameters that it reads and that count elsewhere.
        shared_with: the names of the rows where they count.
        macs: multiply-accumulates of all calls, those that are known.
        macs_unknown: operations whose multiply-accumulates are unknown.
        time: seconds of all calls; of a module or a sum also those of its steps that have no row; None if nothing was measured.
        calls: how often the run calls it, of a module with several parameters that functions compute with how often one of
            these is read; None for what is not called.
        weight: shape of the parameter called "weight", else of the largest; None if it is a whole module or has none.
        output: shape of the first tensor that its first call returns, the batch included; None if that is unknown.
        used: whether the run uses it; the total is of both kinds.
        share: of the parameters that the run uses, between 0 and 1; None for what it does not use, and where there are none.
    """

    kind: str
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

    @property
    def params(self) -> int:
        """Scalars in the parameters that count here."""
        return sum(parameter.size for parameter in self.parameters)

    @property
    def frozen(self) -> int:
        """Those of them without ``requires_grad``."""
        return sum(parameter.size for parameter in self.parameters if not parameter.trainable)

    @property
    def is_sum(self) -> bool:
        return self.kind in SUMS

    @property
    def label(self) -> str:
        """The name for people, which tells sums from layers: "layer1_total"."""
        return f"{self.name}_total" if self.kind in ("subtotal", "used", "unused") else self.name


def summed(kind: str, name: str, rows: Iterable[Row], **facts: object) -> Row:
    """One row with the parameters, multiply-accumulates and times of several."""
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
    """The sum of what was measured; None if nothing was.

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
        used_params: scalars in those that this run reads.
        trainable: scalars in those with ``requires_grad``.
        buffers: scalars in buffers, which are no parameters.
        macs: multiply-accumulates of the run, those that are known.
        macs_unknown: operations whose multiply-accumulates are unknown.
        bytes: bytes of the parameters by dtype.
        time: seconds of all steps; None if nothing was measured.
        time_without_row: those of the steps that have no row.
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

    @property
    def unused_params(self) -> int:
        return self.params - self.used_params

    @property
    def frozen(self) -> int:
        return self.params - self.trainable


SORTS = ("params", "macs", "name")
"""What rows can be sorted by: the largest first, names as people count (layer2 before layer10)."""


@dataclass(frozen=True)
class SummaryOptions:
    """What a summary shows.

    Attributes:
        depth: modules nested so many levels deep are one row each; None: every layer.
        sort: one of ``SORTS``; None: the order of the run, with subtotals.
        top: only so many rows, the largest by ``sort`` (by parameters if that is None), and one for the rest; None: all.
        all: also layers without parameters and multiply-accumulates.

    Raises:
        UsageError: there is no such order, or a number is below 1.

    >>> SummaryOptions(sort="size")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: no order 'size': choose params, macs or name
    """

    depth: int | None = None
    sort: str | None = None
    top: int | None = None
    all: bool = False

    def __post_init__(self) -> None:
        if self.sort is not None and self.sort not in SORTS:
            raise UsageError(f"no order '{self.sort}': choose {choice(SORTS)}")
        for name in ("depth", "top"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise UsageError(f"no {name} {number}: give a whole number from 1 on")


def in_order(rows: Sequence[Row], options: SummaryOptions) -> tuple[Row, ...]:
    """The rows sorted and cut as asked for."""
    key = _KEYS[options.sort or "params"]
    if options.top is None:
        return tuple(sorted(rows, key=key))
    first = sorted(rows, key=key)
    kept, rest = first[: options.top], first[options.top :]
    return (*kept, summed("rest", f"{len(rest)} more", rest, used=rest[0].used)) if rest else tuple(kept)


def _natural(row: Row) -> tuple[Any, ...]:
    """The name with its numbers, which stand at every second place, as numbers."""
    parts = re.split(r"([0-9]{1,9})", row.name)
    return tuple(int(part) if place % 2 else part for place, part in enumerate(parts))


_KEYS: dict[str, Callable[[Row], Any]] = {
    "params": lambda row: -row.params,
    "macs": lambda row: -row.macs,
    "name": _natural,
}
