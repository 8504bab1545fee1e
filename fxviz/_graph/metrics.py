"""Metrics that the bars of a figure can show: parameters, MACs, activations, time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from fxviz._graph import ArchGraph, Node, units
from fxviz._graph.errors import UsageError, spelled


@dataclass(frozen=True)
class Metric:
    """A number that each node has, and its format.

    Attributes:
        name: the value of the option ``metric``.
        noun: its name in sentences ("71.8% of parameters").
        of: returns the number of one node; 0 if it has none or it is unknown.
        format: writes the number in a few characters.
    """

    name: str
    noun: str
    of: Callable[[Node], float]
    format: Callable[[float], str]


def _activations(node: Node) -> float:
    """Count the output elements of convolutions, matrix products and attention (arXiv:2003.13678, section 3)."""
    return sum(prod(tensor.shape) for tensor in node.outputs) if node.macs else 0


METRICS = {
    metric.name: metric
    for metric in (
        Metric("params", "parameters", lambda node: node.params, lambda value: units.count(round(value))),
        Metric("macs", "MACs", lambda node: node.least_macs, lambda value: units.count(round(value)).replace("B", "G")),
        Metric("activations", "activations", _activations, lambda value: units.count(round(value))),
        Metric("time", "time", lambda node: node.time or 0, units.seconds),
    )
}
"""Metrics by name."""


def metric_for(graph: ArchGraph, name: str) -> Metric:
    """Return the metric of a name.

    Raises:
        UsageError: the metric is time, and the graph holds no times.
        KeyError: the metric is unknown.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("empty", "python", "Empty"), trace, (), (), (Scope(0, "", "Empty", 0, None),), ())
    >>> metric_for(graph, "macs").noun
    'MACs'
    >>> metric_for(graph, "time")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: cannot color by time: the graph holds no times; trace it on cpu or cuda with time=True
    """
    if name == "time" and not any(node.time for node in graph.nodes):
        option = spelled("time=True", "--time")
        raise UsageError(f"cannot color by time: the graph holds no times; trace it on cpu or cuda with {option}")
    return METRICS[name]
