"""Facts that follow from a recorded graph: counted parameters, skip connections, layers, stages, blocks and memory.

Every function takes an :class:`~fxviz._graph.ArchGraph`; none knows torch or how the graph is drawn.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from fxviz._analysis.blocks import attention_of, blocks_of, depth_of, inside_attention, main_path
from fxviz._analysis.facts import KINDS, Amount, Facts, Kind, Layer
from fxviz._analysis.layers import layers_of, places_of, skip_params
from fxviz._analysis.memory import memory_of
from fxviz._analysis.parts import amount, core_of, opened_in, parts_of, shared_by
from fxviz._analysis.resolution import shrinking, stages_of, steps_of
from fxviz._analysis.skips import find_skips
from fxviz._graph import ArchGraph, Node

__all__ = ["Facts", "annotate", "count_params", "facts_of", "find_skips"]


def annotate(graph: ArchGraph) -> ArchGraph:
    """Return the same graph with its parameters counted and its skip connections found.

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


def count_params(graph: ArchGraph) -> ArchGraph:
    """Count each parameter once, and name it in ``shared`` of all other nodes that read it.

    It counts at the first call of the module that owns it, if that module is a node, else at the first node that reads
    it. So a weight that the model's code rescales, before its layer runs, counts at the layer. The nodes' ``params``
    add up to the parameters that the trace reads. A name in ``uses`` that is not among the graph's parameters counts
    nothing.

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
    readings = [(name, node) for node in graph.nodes for name in node.uses]
    owners = [(name, node) for name, node in readings if node.kind == "module" and name.rpartition(".")[0] == node.path]
    places: dict[str, str] = {}
    for name, node in (*owners, *readings):
        places.setdefault(name, node.id)
    sizes = {parameter.name: parameter.size for parameter in graph.parameters}
    return graph.with_nodes(tuple(_with_params(node, places, sizes) for node in graph.nodes))


def _with_params(node: Node, places: dict[str, str], sizes: dict[str, int]) -> Node:
    """Return a node with the parameters that count there; ``places`` are the nodes at which they count, by name."""
    if not node.uses:
        return replace(node, params=0, shared=()) if node.params or node.shared else node
    names = tuple(name for name in dict.fromkeys(node.uses) if name in sizes)
    shared = tuple(name for name in names if places[name] != node.id)
    return replace(node, params=sum(sizes[name] for name in names if places[name] == node.id), shared=shared)


def facts_of(graph: ArchGraph) -> Facts:
    """Return all facts about a graph.

    >>> from fxviz._graph import ModelInfo, Node, Parameter, Scope, TraceInfo
    >>> fc = Node("fc", "module", "Linear", "fc", uses=("fc.weight",), params=16, macs=16, settings={"in_features": 4})
    >>> graph = ArchGraph(ModelInfo("tiny", "python", "Tiny"), TraceInfo("meta", "fake", {}, "2.4.0", None), (fc,), (),
    ...                   (Scope(0, "", "Tiny", 0, None),), (Parameter("fc.weight", (4, 4), "float32", True),))
    >>> facts = facts_of(graph)
    >>> facts.weighted, facts.kinds["linear"].share, facts.memory.weights
    (1, 1.0, 64)
    """
    places = places_of(graph)
    layers = layers_of(graph, places)
    path = main_path(graph, layers)
    beside = places.keys() | inside_attention(graph, layers)
    steps = shrinking(graph, layers, [name for name in path if name not in beside])
    parts = parts_of(graph, opened_in(graph))
    return Facts(
        params=graph.total_params,
        used_params=graph.traced_params,
        unused=graph.untraced,
        frozen=graph.total_params - graph.trainable_params,
        shared=shared_by(layers, graph),
        buffers=graph.total_buffers,
        macs=graph.total_macs,
        unknown_macs=graph.unknown_macs,
        time=graph.total_time,
        layers=layers,
        kinds=_kinds(layers, graph),
        parts=parts,
        core=core_of(parts),
        largest=max((layer for layer in layers if layer.params), key=lambda layer: layer.params, default=None),
        depth=depth_of(path, layers),
        steps=steps_of(steps),
        stages=stages_of(graph, layers, steps),
        blocks=blocks_of(graph),
        attention=attention_of(graph, layers),
        skips=graph.skip_counts,
        skip_params=skip_params(graph),
        memory=memory_of(graph),
    )


def _kinds(layers: tuple[Layer, ...], graph: ArchGraph) -> dict[Kind, Amount]:
    """Return the amount of each kind of layer. MACs outside of all layers, as of products in attention, are "other"."""
    params: dict[Kind, int] = defaultdict(int)
    macs: dict[Kind, int] = defaultdict(int)
    for layer in layers:
        params[layer.kind] += layer.params
        macs[layer.kind] += sum(graph.by_id[name].least_macs for name in layer.calls)
    macs["other"] += graph.total_macs - sum(macs.values())
    return {kind: amount(params[kind], macs[kind], graph) for kind in KINDS if params[kind] or macs[kind]}
