"""A model explained in English."""

from __future__ import annotations

from fxviz._analysis.facts import Facts
from fxviz._graph import ArchGraph
from fxviz._report.explain import select as selecting
from fxviz._report.explain.costs import computation, memory
from fxviz._report.explain.document import Explanation, explanation
from fxviz._report.explain.shapes import attention, blocks, convolutions, linear, maps
from fxviz._report.explain.structure import parameters, structure


def explain(graph: ArchGraph, facts: Facts) -> Explanation:
    """What there is to say of a graph, section by section."""
    return explanation(
        _title(graph),
        (
            ("Structure", structure(graph, facts)),
            ("Where the parameters are", parameters(facts)),
            ("Convolutions", convolutions(facts)),
            ("Feature maps", maps(facts)),
            ("Fully connected layers", linear(facts)),
            ("Attention", attention(facts)),
            ("Blocks and shortcuts", blocks(facts)),
            ("Computation", computation(graph, facts)),
            ("Memory", memory(facts)),
        ),
    )


def _title(graph: ArchGraph) -> str:
    title = selecting.title(graph)
    source = f" from {title.source}" if title.source else ""
    weights = f" with the weights {title.weights}" if title.weights else ""
    inputs = f", run on {', '.join(title.inputs)}" if title.inputs else ""
    return f"{title.name}: {title.cls}{source}{weights}{inputs}"
