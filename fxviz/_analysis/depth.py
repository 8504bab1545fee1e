"""How deep a network is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fxviz._analysis.facts import WEIGHTED, Depth, Layer
from fxviz._graph.index import Links


def main_way(links: Links, layers: tuple[Layer, ...]) -> tuple[str, ...]:
    """The nodes along the longest chain of weighted layers, from an input on; of equal ways the first that is read.

    >>> from fxviz._graph import ArchGraph, Edge, ModelInfo, Node, Scope, TraceInfo
    >>> nodes = (Node("x", "input", "x", "x"), Node("relu", "module", "ReLU", "relu"))
    >>> trace, scopes = TraceInfo("meta", "fake", {}, "2.4.0", None), (Scope(0, "", "Net", 0, None),)
    >>> main_way(Links(ArchGraph(ModelInfo("net", "python", "Net"), trace, nodes, (Edge("x", "relu", "0"),), scopes, ())), ())
    ('x', 'relu')
    """
    counted = _counted(layers)
    longest: dict[str, tuple[int, int]] = {}
    above: dict[str, str | None] = {}
    for node in links.graph.nodes:
        sources = links.sources.get(node.id, ())
        before = max(sources, key=lambda source: longest[source.id][0], default=None)
        above[node.id] = None if before is None else before.id
        layers_until, steps_until = (0, 0) if before is None else longest[before.id]
        longest[node.id] = layers_until + (node.id in counted), steps_until + 1
    end = max(longest, key=longest.__getitem__, default=None)
    way = []
    while end is not None:
        way.append(end)
        end = above[end]
    return tuple(reversed(way))


def _counted(layers: tuple[Layer, ...]) -> dict[str, Layer]:
    """The layers that a depth counts, by the nodes that run them."""
    return {call: layer for layer in layers if layer.place == "main" and layer.kind in WEIGHTED for call in layer.calls}


def depth_of(way: Iterable[str], layers: tuple[Layer, ...]) -> Depth:
    """The longest chain of weighted layers along the data flow, as GoogLeNet's depth is counted (arXiv:1409.4842, section 5).

    Layers on shortcuts and in gates do not count, as in the number of layers; one that is called again counts again.

    >>> depth_of((), ())
    Depth(layers=0, kinds={}, repeats=False)
    """
    counted = _counted(layers)
    passed = [counted[name] for name in way if name in counted]
    return Depth(
        len(passed), dict(Counter(layer.kind for layer in passed)), len({layer.path for layer in passed}) < len(passed)
    )
