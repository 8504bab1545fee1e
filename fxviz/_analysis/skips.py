"""Find skip connections: tensors that reach a join past a body that starts at the same tensor.

The terms are those of the papers: identity and projection shortcuts are from He et al. 2015 (arXiv:1512.03385),
concatenation of earlier features from Huang et al. 2016 (arXiv:1608.06993), gates from Hu et al. 2017
(arXiv:1709.01507).
"""

from __future__ import annotations

from dataclasses import replace

from fxviz._analysis.concats import concat_of
from fxviz._analysis.flow import Activations, Path
from fxviz._analysis.shortcuts import passes, path_from_fork, rank, shortcuts_of
from fxviz._analysis.sums import is_sum, sums_of
from fxviz._graph import ArchGraph, Skip
from fxviz._graph.operations import cuts, is_activation, plain_name, squashes


def find_skips(graph: ArchGraph) -> ArchGraph:
    """Return the same graph with its skip connections, at most one for each join, in the order of the joins.

    A sum of feature tensors, however it is written (:mod:`fxviz._analysis.sums`), joins a skip if one of them, traced
    back through steps with one source, comes from a fork that another one (the body) comes from, too. Of several terms
    each may be one, whatever their order: in ``x + a(x) + b(a(x))`` are two. The operations on the skip decide its
    kind:

    - **identity**: only views, dropout, and constants that are added or multiplied, while the body computes, normalizes
      or pools; in a difference ``x - f(x)`` the body computes;
    - **resample**: pooling, interpolation, added channels, or other copies without weights, while the body computes;
    - **projection**: one convolution or linear layer, while the body has at least two in a row (with one each they are
      equal branches); also a norm or activations alone, while the body computes: a norm is a projection by a diagonal
      matrix. Neither the mean nor the sum of a tensor stands on a skip.

    The order of the operands does not matter. These are no skips: an addend that does not depend on an input (a
    position embedding, a bias), a broadcast addend (a condition, a time embedding), scores that go on to a softmax (an
    attention bias), the sum inside a gate, a difference that only measures a distance, an earlier tensor added to a
    stream that is also used elsewhere (a re-injected position or prompt), parts of one tensor other than those that the
    body starts at (steps of a sequence), what is looked up by an index that was computed from the tensor, what is
    subtracted again (a straight-through estimator), and a projection or resampling in a running sum of what goes on
    elsewhere, or where neither way has a nonlinearity: the two are one linear map (an adapter beside its layer).

    A multiplication is a **gate** if one factor ends in a sigmoid-like step after compute from the fork of the other,
    or in a sum of such steps. A concatenation, or the last of the assignments that fill a new tensor, is a **concat**
    skip if one input is the fork of another, possibly rearranged, with compute between them; also if it passes layers,
    a gate or a resize, while the body comes back from smaller maps and has no fewer layers in a row, or holds several
    residual blocks and three times as many. What nothing reads joins none, nor does the node at which a run failed.

    >>> from fxviz._graph import Edge, ModelInfo, Node, Scope, TensorInfo, TraceInfo
    >>> image = (TensorInfo((1, 8, 4, 4), "float32"),)
    >>> nodes = (
    ...     Node("x", "input", "x", "x", outputs=image),
    ...     Node("conv", "module", "Conv2d", "conv", outputs=image, macs=9216),
    ...     Node("add", "function", "add", "", outputs=image),
    ... )
    >>> edges = (Edge("x", "conv", "0"), Edge("conv", "add", "0"), Edge("x", "add", "1"))
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> scopes = (Scope(0, "", "Tiny", 0, None),)
    >>> graph = ArchGraph(ModelInfo("tiny", "python", "Tiny"), trace, nodes, edges, scopes, ())
    >>> find_skips(graph).skips
    (Skip(kind='identity', fork='x', join='add', through=()),)
    """
    found = _skips(Activations(graph))
    if graph.trace.failure:
        found.pop(graph.trace.failure.node, None)
    joins = (node.id for node in graph.nodes if node.id in found and node.id not in graph.index.unread)
    return replace(graph, skips=tuple(found[join] for join in joins))


def _skips(flow: Activations) -> dict[str, Skip]:
    """Return the skips by the node that joins them."""
    gates = {node: skip for node in _products(flow) if (skip := _gate(flow, node)) is not None}
    found = dict(gates)
    for added in sums_of(flow):
        found.update(shortcuts_of(flow, added))
    concats = {node: concat for node in flow.sources if (concat := concat_of(flow, node, gates)) is not None}
    return {**found, **concats}


def _products(flow: Activations) -> list[str]:
    """Return the steps that multiply several feature tensors."""
    return [
        node
        for node, sides in flow.sources.items()
        if len(sides) > 1
        and plain_name(flow.node[node].op) == "mul"
        and flow.node[node].kind not in ("module", "input")
        and not flow.node[node].uses
        and flow.is_floating(node)
    ]


def _gate(flow: Activations, join: str) -> Skip | None:
    sides = flow.sources[join]
    if len(sides) != 2:
        return None
    found = [
        (path, weight)
        for side, weight in (sides, sides[::-1])
        if _squashing_end(flow, weight) and (path := _path_past_gate(flow, side, weight)) is not None
    ]
    if not found:
        return None
    path, _ = min(found, key=lambda pair: rank(flow, "gate", *pair))
    return Skip("gate", path.start, join, path.through)


def _squashing_end(flow: Activations, weight: str) -> str | None:
    """Return the sigmoid-like node before ``weight``, past views, resampling and scaling; also ``relu6(...) / 6``.

    So is a sum of such nodes, whose weights are bounded, too.
    """
    scaled = False
    for path in flow.paths_back(weight, most_compute=0):
        node = flow.node[path.start]
        if squashes(node) or (scaled and plain_name(node.op) == "relu6"):
            return path.start
        if is_sum(flow, path.start) and all(_squashing_end(flow, term) for term in flow.sources[path.start]):
            return path.start
        if flow.role(path.start) not in ("view", "resample", "scale"):
            return None
        scaled = scaled or flow.role(path.start) == "scale"
    return None


def _path_past_gate(flow: Activations, side: str, weight: str) -> Path | None:
    """Return the path to ``side`` from the fork, if the gate computes its weights from there.

    In a gated linear unit, one layer may compute both factors, which are then cut out of its result. The fork is that
    layer's input.
    """
    path = path_from_fork(flow, side, flow.leads_to_another([weight]))
    if path is None or not all(_keeps_features(flow, name) for name in path.through):
        return None
    if _computes_from(flow, path.start, weight):
        return path
    if path.through and cuts(flow.node[path.through[0]]) and "sigmoid" in plain_name(flow.node[weight].op):
        return next((longer for longer in flow.paths_back(side) if longer.roles.count("compute") == 1), None)
    return None


def _keeps_features(flow: Activations, name: str) -> bool:
    """Return whether a step may stand on the way to a gate: an activation may, a square may not."""
    return flow.role(name) != "other" or flow.is_linear(name) or is_activation(flow.node[name])


def _computes_from(flow: Activations, fork: str, end: str) -> bool:
    return flow.is_ancestor(fork, end) and passes(flow, fork, end, "compute")
