"""Tell a single module in the words of the field: attention, an MLP, a gate, an inverted residual."""

from __future__ import annotations

from fxviz._analysis.structure.attention import cores_of
from fxviz._analysis.structure.composite import folded
from fxviz._analysis.structure.kinds import gate_in
from fxviz._analysis.structure.rows import drafts_of
from fxviz._analysis.structure.steps import Reader, is_norm_word
from fxviz._analysis.structure.tensors import Tensors
from fxviz._analysis.structure.words import FEED_FORWARD, inverted_residual, rows_of
from fxviz._graph import ArchGraph

_MOST_NODES = 200
"""Modules of more steps are no single unit."""
_UNITS = (*FEED_FORWARD, "SE")


class Teller:
    """Tells the modules of one graph."""

    def __init__(self, graph: ArchGraph) -> None:
        self._tensors = Tensors(graph)
        self._reader = Reader(self._tensors, cores_of(self._tensors))
        self._inside = graph.index.inside
        self._found: dict[int, str] = {}

    def word(self, scope: int) -> str:
        """Return the words for a module call: "Attention 12×64", "MBConv 5×5 t6 SE ¼"; "" if it is no such unit."""
        if scope not in self._found:
            self._found[scope] = self._word(scope)
        return self._found[scope]

    def _word(self, scope: int) -> str:
        nodes = self._inside[scope]
        if len(nodes) > _MOST_NODES:
            return ""
        steps = self._reader.steps(nodes)
        gate = gate_in(self._tensors, steps) if steps and self._leaves_positions(nodes) else frozenset[int]()
        drafts = folded(drafts_of(self._reader, steps, gate, scope))
        if not drafts:
            return ""
        rows, _ = rows_of([drafts], [0], [0])
        units = [row for row in rows if row.word != "+" and not is_norm_word(row.word)]
        if len(units) == 1 and ("heads" in units[0].facts or units[0].word in _UNITS):
            return units[0].text
        layers = [row for row in rows if row.channels or "width" in row.facts or "heads" in row.facts]
        residual = any(step.node in self._reader.joins for step in steps)
        return inverted_residual(layers, [row for row in rows if row.word == "SE"], residual)

    def _leaves_positions(self, nodes: tuple[str, ...]) -> bool:
        return any(self._tensors.extent(name).positions > 1 for name in nodes[-1:])
