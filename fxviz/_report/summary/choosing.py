"""Which rows of a summary are shown, and in which order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fxviz._errors import UsageError, choice
from fxviz._report.summary.values import Row, summed

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
    fxviz._errors.UsageError: no order 'size': choose params, macs or name
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
