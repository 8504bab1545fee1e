"""The whole comparison: sentences and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from fxviz._graph import ArchGraph
from fxviz._report.comparing_tables import for_programs, quantities, shares
from fxviz._report.reasons import reasons
from fxviz._report.sides import Side, sides_of
from fxviz._report.tables import PROGRAMS, Table, Tabular


@dataclass(frozen=True)
class Comparison(Tabular):
    """Models side by side. ``print`` shows the tables."""

    sides: tuple[Side, ...]

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """Which model is larger, and what makes it so."""
        return tuple(f"{sentence}." for sentence in reasons(self.sides))

    def tables(self, form: str = "table") -> tuple[Table, ...]:
        """What a form shows: for people quantities, and shares if there are any; for programs one table of both."""
        if form in PROGRAMS:
            return (for_programs(self.sides, self.sentences),)
        parts = shares(self.sides)
        return (quantities(self.sides, " ".join(self.sentences)), *([parts] if parts.lines else []))


def compare(graphs: Sequence[ArchGraph]) -> Comparison:
    """Two models or more, side by side.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace, scopes = TraceInfo("meta", "fake", {}, "2.4.0", None), (Scope(0, "", "Net", 0, None),)
    >>> graph = ArchGraph(ModelInfo("net", "python", "Net"), trace, (), (), scopes, ())
    >>> compare((graph, graph)).sentences
    ('net and net (2) have the same number of parameters (0).',)
    """
    return Comparison(sides_of(graphs))
