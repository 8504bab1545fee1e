"""What a saved graph says of its model beside what it does."""

from __future__ import annotations

from fxviz._graph import ArchGraph
from fxviz._graph.information import Information
from fxviz._graph.units import shape


def of_graph(file: str, graph: ArchGraph) -> Information:
    """What is known of the model of a graph that was saved as ``file``.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("Net", "net.py", "net.Net"), trace, (), (), (Scope(0, "", "Net", 0, None),), ())
    >>> of_graph("net.json", graph).origin, of_graph("net.json", graph).facts
    ('net.json, saved from net.py', (('model', 'Net'), ('traced', 'by torch 2.4.0')))
    """
    torchvision = f", torchvision {graph.trace.torchvision}" if graph.trace.torchvision else ""
    facts = [("model", graph.model.name), ("traced", f"by torch {graph.trace.torch}{torchvision}")]
    facts += [("input", f"{name}: {shape(tensor.shape)} {tensor.dtype}") for name, tensor in graph.trace.inputs.items()]
    if graph.model.weights is not None:
        facts.append(("weights", graph.model.weights.name))
    said = "A saved graph says nothing of them, nor of documentation: ask for the model by its name."
    origin = f"{file}, saved from {graph.model.source}"
    return Information(file, graph.model.cls, origin, params=graph.total_params, facts=tuple(facts), nothing_published=said)
