"""Models side by side: the facts of each, and the parts that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from fxviz._analysis.facts import Part
from fxviz._analysis.facts_facts import Facts, facts_of
from fxviz._analysis.match import names_of
from fxviz._analysis.parts import opened_in, parts_of
from fxviz._graph import ArchGraph
from fxviz.quoting import shown

_NAME = 60


@dataclass(frozen=True)
class Side:
    """One model: its name in the comparison, its graph, its facts, and its parts, cut alike in all models.

    Attributes:
        ratio: its parameters as a multiple of those of the smallest model; None where that has none.
        macs_ratio: the same of MACs.
    """

    name: str
    graph: ArchGraph
    facts: Facts
    parts: tuple[Part, ...]
    ratio: float | None
    macs_ratio: float | None

    @property
    def label(self) -> str:
        """Its name as a sentence repeats it."""
        return shown(self.name, _NAME)

    def part(self, path: str) -> Part | None:
        """The part at a path, if the model has it."""
        return self._by_path.get(path)

    @cached_property
    def _by_path(self) -> dict[str, Part]:
        return {part.path: part for part in self.parts}


def sides_of(graphs: Sequence[ArchGraph]) -> tuple[Side, ...]:
    """The models in the order given. What one of them needs taken apart is taken apart in all.

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
    """Whether the times of all models were measured, so that they can be compared."""
    return all(side.facts.time is not None for side in sides)


def paths_of(sides: Sequence[Side]) -> tuple[str, ...]:
    """The paths of all parts that hold parameters, in the order of the models."""
    return tuple(dict.fromkeys(part.path for side in sides for part in side.parts if part.amount.params))
