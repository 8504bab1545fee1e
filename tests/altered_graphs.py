"""Build graphs that differ from another one in one known step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from fxviz._analysis import annotate
from fxviz._analysis.difference import matters
from fxviz._graph import ArchGraph, Edge
from random_graphs import graphs, staged_nets


def without(graph: ArchGraph, name: str) -> ArchGraph:
    """Return the graph of a model that lacks a step: its readers read its first source."""
    sources = [edge.source for edge in graph.edges if edge.target == name]
    kept = tuple(node for node in graph.nodes if node.id != name)
    edges = {
        Edge(sources[0] if edge.source == name else edge.source, edge.target, edge.slot)
        for edge in graph.edges
        if edge.target != name and (edge.source != name or sources)
    }
    read = {used for node in kept for used in node.uses}
    parameters = tuple(parameter for parameter in graph.parameters if parameter.name in read)
    return annotate(replace(graph, nodes=kept, edges=tuple(edges), parameters=parameters, skips=()))


def resized(graph: ArchGraph, name: str, **settings: Any) -> ArchGraph:
    """Return the graph of a model in which a step has other settings, and twice the parameters."""
    uses = graph.by_id[name].uses
    nodes = tuple(replace(node, settings=settings) if node.id == name else node for node in graph.nodes)
    parameters = tuple(replace(known, shape=(16, 8)) if known.name in uses else known for known in graph.parameters)
    return annotate(replace(graph, nodes=nodes, parameters=parameters))


@st.composite
def graphs_and_step(draw: st.DrawFn) -> tuple[ArchGraph, str]:
    """Draw an annotated graph, and a step in it whose change is marked."""
    graph = annotate(draw(st.one_of(graphs(), staged_nets())))
    steps = [node.id for node in graph.nodes if matters(node) and node.kind != "parameter"]
    return graph, draw(st.sampled_from(steps or [graph.nodes[0].id]))
