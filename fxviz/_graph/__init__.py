"""The neutral form in the middle: a traced model as plain values.

An :class:`ArchGraph` knows nothing of torch and nothing of pictures. Tracing makes it, annotating fills in the facts
that follow from it, folding and the tables read it. It saves to JSON (networkx node-link form) and comes back equal.
"""

from fxviz._graph.archgraph import ArchGraph
from fxviz._graph.values import (
    NODE_KINDS,
    RESIDUAL_KINDS,
    SCHEMA,
    SKIP_KINDS,
    SKIP_NOUNS,
    Edge,
    Failure,
    ModelInfo,
    Node,
    NodeKind,
    Parameter,
    Scope,
    Skip,
    SkipKind,
    TensorInfo,
    TraceInfo,
    WeightsInfo,
)

__all__ = [
    "NODE_KINDS",
    "RESIDUAL_KINDS",
    "SCHEMA",
    "SKIP_KINDS",
    "SKIP_NOUNS",
    "ArchGraph",
    "Edge",
    "Failure",
    "ModelInfo",
    "Node",
    "NodeKind",
    "Parameter",
    "Scope",
    "Skip",
    "SkipKind",
    "TensorInfo",
    "TraceInfo",
    "WeightsInfo",
]
