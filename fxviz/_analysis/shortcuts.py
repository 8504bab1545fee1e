"""Find shortcuts: terms of a sum that reach it past a body that starts at the same tensor (arXiv:1512.03385)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from fxviz._analysis.flow import Activations, Path
from fxviz._analysis.sums import Sum, Term, goes_into_sum, is_sum
from fxviz._graph import ResidualKind, Skip, SkipKind
from fxviz._graph.operations import (
    Role,
    cuts,
    is_activation,
    is_masking,
    is_norm,
    is_softmax,
    plain_name,
    reduces,
    squashes,
)

PREFERENCE: tuple[SkipKind, ...] = ("identity", "resample", "projection", "gate", "concat")

_WITHIN = 8
"""The most steps from a sum of scores to their softmax, or from a gate's sum to its sigmoid."""

_DISTANCES = frozenset("pow square abs norm linalgnorm vectornorm mseloss l1loss smoothl1loss huberloss".split())


def shortcut_of(flow: Activations, added: Sum) -> Skip | None:
    """Return the plainest and shortest shortcut in a sum, in whatever order its terms are written."""
    join = added.join
    if not flow.is_floating(join) or len(flow.shape(join) or ()) < 2 or _is_no_feature(flow, added):
        return None
    found = [
        (skip, body.name)
        for side in added.terms
        if side.factor > 0 and side.whole
        for skip, body in _past(flow, join, side, [term for term in added.terms if term is not side])
    ]
    if not found:
        return None
    skip, body_end = min(found, key=lambda pair: rank(flow, *pair))
    is_reinjection = skip.kind == "identity" and len(flow.users[body_end]) > 1
    return None if is_reinjection else skip


def rank(flow: Activations, skip: Skip, body_end: str) -> tuple[int, int, int]:
    """Rank plainer and shorter paths first, and equal ones by position: the order of operands does not matter."""
    return PREFERENCE.index(skip.kind), len(skip.through), flow.position[body_end]


def _past(flow: Activations, join: str, side: Term, others: Sequence[Term]) -> Iterator[tuple[Skip, Term]]:
    """Yield the skip that arrives at ``side``, with each of the bodies past which it leads."""
    if flow.shape(side.name) != flow.shape(join):
        return
    path = path_from_fork(flow, side.name, [other.name for other in others])
    if path is None:
        return
    for body in others:
        if flow.is_ancestor(path.start, body.name) and not _is_another_part(flow, path, body.name):
            kind = _kind(flow, path, join, body)
            if kind is not None:
                yield Skip(kind, path.start, join, path.through), body


def path_from_fork(flow: Activations, side: str, others: Sequence[str]) -> Path | None:
    """Return the path to ``side`` from the nearest feature tensor that one of the others depends on, too."""
    for path in flow.paths_back(side):
        if not flow.is_floating(path.start):
            return None
        if any(flow.is_ancestor(path.start, other) for other in others):
            return path
    return None


def _is_another_part(flow: Activations, path: Path, body_end: str) -> bool:
    """Return whether the body starts at other parts of the fork than the path, as steps of a sequence do."""
    parts = [name for name in path.through if cuts(flow.node[name])]
    if not parts or any(flow.is_ancestor(part, body_end) for part in parts):
        return False
    ways = [user for user in flow.users[path.start] if user == body_end or flow.is_ancestor(user, body_end)]
    return len(flow.node[path.start].outputs) > 1 or all(cuts(flow.node[way]) for way in ways)


def _kind(flow: Activations, path: Path, join: str, body: Term) -> ResidualKind | None:
    computes = passes(flow, path.start, body.name, "compute") or flow.role(join) == "compute"
    if set(path.roles) <= {"view", "scale"}:
        changes = body.factor > 0 and passes(flow, path.start, body.name, "norm", "resample")
        return _kind_of_copy(flow, path, join) if computes or changes else None
    if not computes or _is_partial(flow, path, join, body.name) or not _is_nonlinear(flow, path, body.name):
        return None
    if any(is_sum(flow, name) or reduces(flow.node[name]) for name in path.through):
        return None
    if "compute" in path.roles:
        layers = [name for name in path.through if flow.role(name) == "compute"]
        is_projection = all(map(flow.is_linear, layers)) and layers_in_a_row(flow, path.start, body.name) > 1
        return "projection" if is_projection else None
    others = path.roles.count("other")
    if "resample" in path.roles:
        return "resample" if others <= 1 else None
    return _kind_without_layers(flow, path) if others <= 2 else None


def _kind_without_layers(flow: Activations, path: Path) -> ResidualKind:
    """Return the kind of a path that is a norm, an activation, or copies and pads."""
    nodes = [flow.node[name] for name in path.through]
    changes = any(is_norm(node) or is_activation(node) or node.uses or not flow.is_linear(node.id) for node in nodes)
    return "projection" if changes else "resample"


def _kind_of_copy(flow: Activations, path: Path, join: str) -> ResidualKind:
    """Return the kind of a path on which nothing is computed: one that adds empty channels is no identity."""
    nodes = (flow.node[name] for name in path.through)
    steps = (plain_name(step) for node in nodes for step in node.steps or (node.op,))
    fills = any(re.search(r"pad(nd|[123]d)?$", step) for step in steps)
    return "resample" if fills and flow.shape(path.start) != flow.shape(join) else "identity"


def _is_partial(flow: Activations, path: Path, join: str, body_end: str) -> bool:
    """Return whether a sum only goes on into another one, like a running sum of the outputs of many blocks.

    The body of such a sum goes on elsewhere, into the next block.
    """
    if not goes_into_sum(flow, join):
        return False
    body = set(flow.between(path.start, body_end))
    return any(not body.issuperset(flow.users[name]) for name in body - {body_end}) or len(flow.users[body_end]) > 1


def _is_nonlinear(flow: Activations, path: Path, body_end: str) -> bool:
    """Return whether a nonlinearity stands on either way.

    Without one, the two are a single linear map: an adapter beside its layer (arXiv:2106.09685).
    """
    return any(not flow.is_linear(name) for name in (*path.through, *flow.between(path.start, body_end)))


def passes(flow: Activations, start: str, end: str, *roles: Role) -> bool:
    """Return whether a node with one of the roles lies on a path from ``start`` to ``end``."""
    return any(flow.role(name) in roles for name in flow.between(start, end))


def layers_in_a_row(flow: Activations, start: str, end: str) -> int:
    """Count the nodes that compute on the deepest path from ``start`` to ``end``."""
    depth = {start: 0}
    for name in sorted(flow.between(start, end), key=flow.position.__getitem__):
        depth[name] = max(depth.get(source, 0) for source in flow.sources[name]) + (flow.role(name) == "compute")
    return depth[end]


# Sums that are no features


def _is_no_feature(flow: Activations, added: Sum) -> bool:
    """Return whether a sum is only read as scores of attention, as the input of a gate, or as a distance."""
    join = added.join
    users = flow.users[join]
    is_distance = (
        any(term.factor < 0 for term in added.terms)
        and bool(users)
        and all(plain_name(flow.node[user].op) in _DISTANCES for user in users)
    )
    return is_distance or _are_scores(flow, join) or _feeds_gate(flow, join)


def _are_scores(flow: Activations, join: str) -> bool:
    """Return whether the sum reaches a softmax, whose result is used, through nothing but scaling and masking."""
    frontier = {join}
    for _ in range(_WITHIN):
        users = {user for name in frontier for user in flow.users[name]}
        if any(is_softmax(flow.node[user]) and flow.users[user] for user in users):
            return True
        frontier = {user for user in users if _keeps_scores(flow, user)}
    return False


def _keeps_scores(flow: Activations, name: str) -> bool:
    is_cat = plain_name(flow.node[name].op) == "cat"
    return is_masking(flow.node[name]) or (flow.role(name) in ("view", "scale") and not is_cat)


def _feeds_gate(flow: Activations, join: str) -> bool:
    """Return whether the sum is only read by a sigmoid-like step that only multiplies, one layer on at most.

    So are the sums in the cells of recurrent networks (arXiv:1406.1078) and in attention gates (arXiv:1804.03999).
    """
    name, layers = join, 0
    for _ in range(_WITHIN):
        if squashes(flow.node[name]):
            return _only_multiplies(flow, name)
        if len(flow.users[name]) != 1:
            return False
        (name,) = flow.users[name]
        layers += flow.role(name) == "compute"
        if layers > 1 or len(flow.sources[name]) > 1:
            return False
    return False


def _only_multiplies(flow: Activations, gate: str) -> bool:
    """Return whether all readers of a gate's weights multiply by them, also by one minus them."""
    waiting, multiplied = [gate], False
    for _ in range(_WITHIN):
        if not waiting:
            break
        for user in flow.users[waiting.pop()]:
            node = flow.node[user]
            if plain_name(node.op) == "mul" and len(flow.sources[user]) > 1:
                multiplied = True
            elif len(flow.sources[user]) == 1 and flow.is_linear(user):
                waiting.append(user)
            else:
                return False
    return multiplied and not waiting
