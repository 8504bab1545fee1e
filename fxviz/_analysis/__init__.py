"""What follows from the recorded graph: which node a parameter counts at, and where the skip connections are.

Every step here takes an :class:`~fxviz._graph.ArchGraph` and gives back another; none of them sees torch or a picture.
"""

from __future__ import annotations

from fxviz._analysis.params import count_params
from fxviz._analysis.skips import find_skips
from fxviz._graph import ArchGraph

__all__ = ["annotate", "count_params", "find_skips"]


def annotate(graph: ArchGraph) -> ArchGraph:
    """The same graph with its parameters counted and its skip connections found.

    >>> from fxviz._graph import Edge, ModelInfo, Node, Parameter, Scope, TensorInfo, TraceInfo
    >>> row = (TensorInfo((1, 4), "float32"),)
    >>> nodes = (
    ...     Node("x", "input", "x", "x", outputs=row),
    ...     Node("fc", "module", "Linear", "fc", uses=("fc.weight",), outputs=row, macs=16),
    ...     Node("add", "function", "add", "", outputs=row),
    ... )
    >>> edges = (Edge("x", "fc", "0"), Edge("fc", "add", "0"), Edge("x", "add", "1"))
    >>> traced = ArchGraph(
    ...     ModelInfo("tiny", "python", "Tiny"), TraceInfo("meta", "fake", {}, "2.4.0", None), nodes, edges,
    ...     (Scope(0, "", "Tiny", 0, None),), (Parameter("fc.weight", (4, 4), "float32", True),),
    ... )
    >>> graph = annotate(traced)
    >>> graph.traced_params, graph.skip_counts["identity"]
    (16, 1)
    """
    counted = count_params(graph)
    return find_skips(counted)
