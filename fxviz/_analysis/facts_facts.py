"""What there is to say of one graph, as values of no language: layers, shares, shapes, blocks, memory."""

from __future__ import annotations

from collections import defaultdict

from fxviz._analysis.blocks import attention_of, blocks_of, inside_attention
from fxviz._analysis.depth import depth_of, main_way
from fxviz._analysis.facts import KINDS, Amount, Facts, Kind, Layer
from fxviz._analysis.layers import layers_of, places_of, skip_params
from fxviz._analysis.memory import memory_of
from fxviz._analysis.parts import amount, core_of, opened_in, parts_of, shared_by
from fxviz._analysis.resolution import shrinking, stages_of, steps_of
from fxviz._graph import ArchGraph
from fxviz._graph.index import Links

__all__ = ["Facts", "facts_of"]


def facts_of(graph: ArchGraph) -> Facts:
    """All that fxviz can say of a graph.

    >>> from fxviz._graph import ModelInfo, Node, Parameter, Scope, TraceInfo
    >>> fc = Node("fc", "module", "Linear", "fc", uses=("fc.weight",), params=16, macs=16, settings={"in_features": 4})
    >>> graph = ArchGraph(ModelInfo("tiny", "python", "Tiny"), TraceInfo("meta", "fake", {}, "2.4.0", None), (fc,), (),
    ...                   (Scope(0, "", "Tiny", 0, None),), (Parameter("fc.weight", (4, 4), "float32", True),))
    >>> facts = facts_of(graph)
    >>> facts.weighted, facts.kinds["linear"].share, facts.memory.weights
    (1, 1.0, 64)
    """
    links = Links(graph)
    places = places_of(links)
    layers = layers_of(links, places)
    way = main_way(links, layers)
    beside = places.keys() | inside_attention(links, layers)
    steps = shrinking(links, layers, [name for name in way if name not in beside])
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
        depth=depth_of(way, layers),
        steps=steps_of(steps),
        stages=stages_of(links, layers, steps),
        blocks=blocks_of(links),
        attention=attention_of(links, layers),
        skips=graph.skip_counts,
        skip_params=skip_params(graph),
        memory=memory_of(links),
    )


def _kinds(layers: tuple[Layer, ...], graph: ArchGraph) -> dict[Kind, Amount]:
    """What each kind of layer holds; MACs outside of any layer are those of products without weights, as in attention."""
    params: dict[Kind, int] = defaultdict(int)
    macs: dict[Kind, int] = defaultdict(int)
    for layer in layers:
        params[layer.kind] += layer.params
        macs[layer.kind] += layer.macs or 0
    macs["other"] += graph.total_macs - sum(macs.values())
    return {kind: amount(params[kind], macs[kind], graph) for kind in KINDS if params[kind] or macs[kind]}
