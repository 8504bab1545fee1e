"""Find skip connections: tensors that reach a join past a body that starts at the same tensor.

The terms are those of the papers: identity and projection shortcuts are from He et al. 2015 (arXiv:1512.03385),
concatenation of earlier features from Huang et al. 2016 (arXiv:1608.06993), gates from Hu et al. 2017
(arXiv:1709.01507).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from fxviz._analysis.flow import Activations, Path
from fxviz._graph import ArchGraph, Skip, SkipKind
from fxviz._graph.operations import Role, cuts, is_masking, is_softmax, plain_name, squashes

_SOFTMAX_WITHIN = 8
_PREFERENCE: tuple[SkipKind, ...] = ("identity", "resample", "projection", "gate", "concat")


def find_skips(graph: ArchGraph) -> ArchGraph:
    """Return the same graph with its skip connections, at most one for each join, in the order of the joins.

    An addition of two feature tensors joins a skip if one of them, traced back through steps with one source, comes
    from a fork that the other one (the body) comes from, too. The operations on the skip decide its kind:

    - **identity**: only views, dropout and scaling by constants, while the body computes, normalizes or pools;
    - **resample**: pooling or interpolation, and nothing that computes, while the body computes;
    - **projection**: one convolution or linear layer, while the body has at least two in a row (with one each they are
      equal branches); also a norm or activations alone, while the body computes: a norm is a projection by a diagonal
      matrix.

    The order of the operands does not matter. These are no skips: an addend that does not depend on an input (a
    position embedding, a bias), a broadcast addend (a condition, a time embedding), scores that go on to a softmax (an
    attention bias), and an earlier tensor added to a stream that is also used elsewhere (a re-injected position or
    prompt).

    A multiplication is a **gate** if one factor ends in a sigmoid-like step after compute from the fork of the other. A
    concatenation is a **concat** skip if one input is the fork of another, possibly rearranged, with compute between
    them. The node at which a run failed joins none.

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
    flow = Activations(graph)
    failed = graph.trace.failure.node if graph.trace.failure else None
    skips = (_skip_at(flow, node.id) for node in graph.nodes if node.id != failed)
    return replace(graph, skips=tuple(skip for skip in skips if skip is not None))


def _skip_at(flow: Activations, join: str) -> Skip | None:
    node, sides = flow.node[join], flow.sources.get(join, ())
    finder = {"add": _residual, "mul": _gate, "cat": _concat}.get(plain_name(node.op))
    if finder is None or len(sides) < 2 or node.uses or not flow.is_floating(join):
        return None
    return finder(flow, join, sides)


# Additions


def _residual(flow: Activations, join: str, sides: tuple[str, ...]) -> Skip | None:
    if len(sides) != 2 or len(flow.shape(join) or ()) < 2 or _are_scores(flow, join):
        return None
    found = [
        (skip, body_end)
        for side, body_end in (sides, sides[::-1])
        if (skip := _shortcut(flow, join, side, body_end)) is not None
    ]
    if not found:
        return None
    skip, body_end = min(found, key=lambda pair: _rank(flow, *pair))
    is_reinjection = skip.kind == "identity" and len(flow.users[body_end]) > 1
    return None if is_reinjection else skip


def _rank(flow: Activations, skip: Skip, body_end: str) -> tuple[int, int, int]:
    """Rank plainer and shorter paths first, and equal ones by position: the order of operands does not matter."""
    return _PREFERENCE.index(skip.kind), len(skip.through), flow.position[body_end]


def _are_scores(flow: Activations, join: str) -> bool:
    """Return whether the sum reaches a softmax, whose result is used, through nothing but scaling and masking."""
    frontier = {join}
    for _ in range(_SOFTMAX_WITHIN):
        users = {user for name in frontier for user in flow.users[name]}
        if any(is_softmax(flow.node[user]) and flow.users[user] for user in users):
            return True
        frontier = {user for user in users if _keeps_scores(flow, user)}
    return False


def _keeps_scores(flow: Activations, name: str) -> bool:
    is_cat = plain_name(flow.node[name].op) == "cat"
    return is_masking(flow.node[name]) or (flow.role(name) in ("view", "scale") and not is_cat)


def _shortcut(flow: Activations, join: str, side: str, body_end: str) -> Skip | None:
    """Return the skip that arrives at ``side``, past the body that ends in ``body_end``."""
    if flow.shape(side) != flow.shape(join):
        return None
    path = _path_from_fork(flow, side, body_end)
    kind = path and _shortcut_kind(flow, path, body_end)
    return Skip(kind, path.start, join, path.through) if path and kind else None


def _path_from_fork(flow: Activations, side: str, other: str) -> Path | None:
    """Return the path to ``side`` from the nearest feature tensor that ``other`` depends on, too."""
    for path in flow.paths_back(side):
        if not flow.is_floating(path.start):
            return None
        if flow.is_ancestor(path.start, other):
            return path
    return None


def _shortcut_kind(flow: Activations, path: Path, body_end: str) -> SkipKind | None:
    if set(path.roles) <= {"view", "scale"}:
        return "identity" if _passes(flow, path.start, body_end, "compute", "norm", "resample") else None
    if "compute" in path.roles:
        return "projection" if _layers_in_a_row(flow, path.start, body_end) > 1 else None
    resamples, others = "resample" in path.roles, path.roles.count("other")
    if others > (1 if resamples else 2) or not _passes(flow, path.start, body_end, "compute"):
        return None
    return "resample" if resamples else "projection"


def _passes(flow: Activations, start: str, end: str, *roles: Role) -> bool:
    """Return whether a node with one of the roles lies on a path from ``start`` to ``end``."""
    return any(flow.role(name) in roles for name in flow.between(start, end))


def _layers_in_a_row(flow: Activations, start: str, end: str) -> int:
    """Count the nodes that compute on the deepest path from ``start`` to ``end``."""
    depth = {start: 0}
    for name in sorted(flow.between(start, end), key=flow.position.__getitem__):
        depth[name] = max(depth.get(source, 0) for source in flow.sources[name]) + (flow.role(name) == "compute")
    return depth[end]


# Multiplications


def _gate(flow: Activations, join: str, sides: tuple[str, ...]) -> Skip | None:
    if len(sides) != 2:
        return None
    found = [
        (Skip("gate", path.start, join, path.through), weight)
        for side, weight in (sides, sides[::-1])
        if _squashing_end(flow, weight) and (path := _path_past_gate(flow, side, weight)) is not None
    ]
    return min(found, key=lambda pair: _rank(flow, *pair))[0] if found else None


def _squashing_end(flow: Activations, weight: str) -> str | None:
    """Return the sigmoid-like node before ``weight``, past views, resampling and scaling; also ``relu6(...) / 6``."""
    scaled = False
    for path in flow.paths_back(weight, most_compute=0):
        node = flow.node[path.start]
        if squashes(node) or (scaled and plain_name(node.op) == "relu6"):
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
    path = _path_from_fork(flow, side, weight)
    if path is None:
        return None
    if _computes_from(flow, path.start, weight):
        return path
    if path.through and cuts(flow.node[path.through[0]]) and "sigmoid" in plain_name(flow.node[weight].op):
        return next((longer for longer in flow.paths_back(side) if longer.roles.count("compute") == 1), None)
    return None


def _computes_from(flow: Activations, fork: str, end: str) -> bool:
    return flow.is_ancestor(fork, end) and _passes(flow, fork, end, "compute")


# Concatenations


def _concat(flow: Activations, join: str, sides: tuple[str, ...]) -> Skip | None:
    """Return the concat skip with the nearest fork: one for each join, however many earlier features it gathers."""
    bodies = [side for side in sides if not _is_token(flow.shape(side), flow.shape(join))]

    @cache
    def computed_from(fork: str) -> list[str]:
        return [body for body in bodies if _computes_from(flow, fork, body)]

    nearest: Path | None = None
    for side in sides:
        for path in _rearrangements(flow, side, is_token=side not in bodies):
            if any(body != side for body in computed_from(path.start)):
                nearest = max(nearest or path, path, key=lambda found: flow.position[found.start])
                break
    return Skip("concat", nearest.start, join, nearest.through) if nearest else None


def _rearrangements(flow: Activations, side: str, is_token: bool) -> Iterator[Path]:
    """Return the feature tensors that ``side`` is a rearrangement of. A token cut out of a sequence is none."""
    for path in flow.paths_back(side, most_compute=0):
        is_cut_out = is_token and any(cuts(flow.node[name]) for name in path.through)
        if not set(path.roles) <= {"view", "scale"} or is_cut_out or not flow.is_floating(path.start):
            return
        yield path


def _is_token(side: tuple[int, ...] | None, join: tuple[int, ...] | None) -> bool:
    """Return whether a side is one position of a sequence, like a class token; one channel of an image is not."""
    if side is None or join is None or len(side) != len(join):
        return False
    along = [axis for axis, (size, whole) in enumerate(zip(side, join, strict=True)) if size != whole]
    return len(along) == 1 and side[along[0]] == 1 and (len(side) == 3 or (along[0] != 1 and len(side) == 4))
