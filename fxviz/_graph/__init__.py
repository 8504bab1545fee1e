"""A traced model as plain values, independent of torch and of how it is drawn.

Tracing makes an :class:`ArchGraph`, analysis adds facts that follow from it, views and reports read it. It is saved as
JSON (networkx node-link form) and loaded as an equal graph.
"""

from fxviz._graph.archgraph import ArchGraph
from fxviz._graph.values import (
    NODE_KINDS,
    RESIDUAL_KINDS,
    SCHEMA,
    SKIP_KINDS,
    SKIP_NOUNS,
    TRACE_METHODS,
    Edge,
    Failure,
    ModelInfo,
    Node,
    NodeKind,
    Parameter,
    ResidualKind,
    Scope,
    Skip,
    SkipKind,
    TensorInfo,
    TraceInfo,
    TraceMethod,
    WeightsInfo,
)

__all__ = [
    "NODE_KINDS",
    "RESIDUAL_KINDS",
    "SCHEMA",
    "SKIP_KINDS",
    "SKIP_NOUNS",
    "TRACE_METHODS",
    "ArchGraph",
    "Edge",
    "Failure",
    "ModelInfo",
    "Node",
    "NodeKind",
    "Parameter",
    "ResidualKind",
    "Scope",
    "Skip",
    "SkipKind",
    "TensorInfo",
    "TraceInfo",
    "TraceMethod",
    "WeightsInfo",
]
