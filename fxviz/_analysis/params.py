"""Where each parameter counts."""

from __future__ import annotations

from dataclasses import replace

from fxviz._graph import ArchGraph, Node


def count_params(graph: ArchGraph) -> ArchGraph:
    """Count each parameter at the first node that reads it; later readers name it in ``shared``.

    So the nodes' ``params`` add up to the parameters that the trace reads, however often a layer is called or a weight
    is tied. A name in ``uses`` that the graph does not list among its parameters counts nothing.

    >>> from fxviz._graph import ModelInfo, Parameter, Scope, TraceInfo
    >>> first = Node("fc", "module", "Linear", "fc", uses=("fc.weight", "fc.bias"))
    >>> again = Node("fc_1", "module", "Linear", "fc", call=1, uses=("fc.weight", "fc.bias"))
    >>> parameters = (Parameter("fc.weight", (4, 4), "float32", True), Parameter("fc.bias", (4,), "float32", True))
    >>> graph = count_params(ArchGraph(
    ...     ModelInfo("tiny", "python", "Tiny"), TraceInfo("meta", "fake", {}, "2.4.0", None), (first, again), (),
    ...     (Scope(0, "", "Tiny", 0, None),), parameters,
    ... ))
    >>> [(node.params, node.shared) for node in graph.nodes]
    [(20, ()), (0, ('fc.weight', 'fc.bias'))]
    """
    uncounted = {parameter.name: parameter.size for parameter in graph.parameters}
    listed = frozenset(uncounted)
    return graph.with_nodes(tuple(_counted(node, uncounted, listed) for node in graph.nodes))


def _counted(node: Node, uncounted: dict[str, int], listed: frozenset[str]) -> Node:
    """The node with its share of the parameters, which are then no longer in ``uncounted``."""
    if not node.uses:
        return replace(node, params=0, shared=()) if node.params or node.shared else node
    names = tuple(name for name in dict.fromkeys(node.uses) if name in listed)
    shared = tuple(name for name in names if name not in uncounted)
    return replace(node, params=sum(uncounted.pop(name, 0) for name in names), shared=shared)
