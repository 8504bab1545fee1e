"""Find shortcuts: terms of a sum that reach it past a body that starts at the same tensor (arXiv:1512.03385)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, partial
from itertools import chain, islice
from typing import NamedTuple

from fxviz._analysis.flow import Activations, Leads, Path
from fxviz._analysis.sums import Sum, Term, is_sum
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


class Shortcut(NamedTuple):
    """A term of a sum, the path to it, and the term at the end of the body past which it leads."""

    kind: ResidualKind
    path: Path
    side: Term
    body: Term


def shortcuts_of(flow: Activations, added: Sum) -> dict[str, Skip]:
    """Return the shortcuts in a sum by the nodes that join them, the plainest and shortest one for each term.

    What is found depends neither on the order of the terms nor on where brackets stand.
    """
    if not flow.is_floating(added.join) or len(flow.shape(added.join) or ()) < 2 or _is_no_feature(flow, added):
        return {}
    leads = flow.leads_to_another([term.name for term in added.terms])
    sides = (side for side in added.terms if side.factor > 0 and side.whole)
    alike = [side for side in sides if flow.shape(side.name) == flow.shape(added.join)]
    paths = [(side, path) for side in alike if (path := path_from_fork(flow, side.name, leads)) is not None]
    bodies = cache(partial(_bodies, flow, added))
    ways = {side: _past(flow, added, side, path, bodies(path.start, _layers_past(flow, path))) for side, path in paths}
    found = sorted(_not_running(flow, added, ways.values()), key=lambda shortcut: _rank(flow, shortcut))
    return {
        join: Skip(shortcut.kind, shortcut.path.start, join, (*shortcut.path.through, *_passed(added, shortcut, join)))
        for join, shortcut in _joined(flow, added, found).items()
    }


def rank(flow: Activations, kind: SkipKind, path: Path, body_end: str) -> tuple[int, int, int]:
    """Rank plainer and shorter paths first, and equal ones by position: the order of operands does not matter."""
    return PREFERENCE.index(kind), len(path.through), flow.position[body_end]


def _rank(flow: Activations, shortcut: Shortcut) -> tuple[int, int, int, int]:
    ranked = rank(flow, shortcut.kind, shortcut.path, shortcut.body.name)
    return (*ranked, flow.position[shortcut.side.name])


def _bodies(flow: Activations, added: Sum, start: str, layers: int) -> list[Term]:
    """Return the terms that depend on ``start`` past this many layers in a row, in the order of the run."""
    terms = sorted(added.terms, key=lambda term: flow.position[term.name])
    return [
        term
        for term in terms
        if flow.is_ancestor(start, term.name)
        and (layers <= (flow.role(term.reader) == "compute") or flow.layers_in_a_row(start, term.name) >= layers)
    ]


def _layers_past(flow: Activations, path: Path) -> int:
    """Return how many layers in a row a body has at least if a path leads past it, or for one the sum that reads it."""
    if "compute" in path.roles:
        return 2
    return 0 if _is_copy(flow, path) else 1


def _past(flow: Activations, added: Sum, side: Term, path: Path, bodies: Iterable[Term]) -> Iterator[Shortcut]:
    """Yield the skip that arrives at ``side``, with each of the bodies past which it leads, the nearest first."""
    for body in bodies:
        if body is not side and not _is_another_part(flow, path, body.name):
            kind = _kind(flow, path, added, body)
            if kind is not None:
                yield Shortcut(kind, path, side, body)


def _not_running(flow: Activations, added: Sum, ways: Iterable[Iterator[Shortcut]]) -> Iterator[Shortcut]:
    """Yield the nearest shortcut of each way, but none in a running sum of more than two terms.

    To such a sum each of several blocks adds and goes on: there the body goes on, or layers read one step of a chain
    each (the outputs of WaveNet).
    """
    found = [(first, way) for way in ways if (first := next(way, None)) is not None]
    may_run = len(added.terms) > 2
    taps = flow.in_line({first.path.start for first, _ in found if may_run and first.kind != "identity"})
    for first, way in found:
        if first.kind == "identity" or not may_run:
            yield first
        elif first.path.start not in taps:
            yield from islice((each for each in chain((first,), way) if not _goes_on(flow, each)), 1)


def _goes_on(flow: Activations, shortcut: Shortcut) -> bool:
    """Return whether nodes of a body are read outside it, too."""
    end = shortcut.body.name
    body = set(flow.between(shortcut.path.start, end))
    return any(not body.issuperset(flow.users[name]) for name in body - {end}) or len(flow.users[end]) > 1


def _joined(flow: Activations, added: Sum, shortcuts: Iterable[Shortcut]) -> dict[str, Shortcut]:
    """Give each shortcut a node of the sum that it passes to join it, at most one to a node.

    That is the first at which it meets its body if that is free, else a later one, else an earlier one. Shortcuts make
    room for one another (augmenting paths: Kuhn 1955, doi:10.1002/nav.3800020109).
    """
    joined: dict[str, Shortcut] = {}

    def place(shortcut: Shortcut, tried: set[str]) -> bool:
        meets = added.above(shortcut.body)
        above = [join for join in added.above(shortcut.side) if len(flow.sources[join]) > 1 or join == added.join]
        for join in sorted(above, key=lambda join: join not in meets):  # stable: nearest first
            if join not in tried:
                tried.add(join)
                if join not in joined or place(joined[join], tried):
                    joined[join] = shortcut
                    return True
        return False

    for shortcut in shortcuts:
        place(shortcut, set())
    return joined


def _passed(added: Sum, shortcut: Shortcut, join: str) -> tuple[str, ...]:
    """Return the inner sums that a shortcut passes before the node that joins it."""
    above = added.above(shortcut.side)
    return above[: above.index(join)]


def path_from_fork(flow: Activations, side: str, leads: Leads) -> Path | None:
    """Return the path to ``side`` from the nearest feature tensor that leads to another end, too."""
    for path in flow.paths_back(side):
        if not flow.is_floating(path.start):
            return None
        if leads(path.start, side):
            return path
    return None


def _is_another_part(flow: Activations, path: Path, body_end: str) -> bool:
    """Return whether the body starts at other parts of the fork than the path, as steps of a sequence do."""
    parts = [name for name in path.through if cuts(flow.node[name])]
    if not parts or any(flow.is_ancestor(part, body_end) for part in parts):
        return False
    ways = [user for user in flow.users[path.start] if user == body_end or flow.is_ancestor(user, body_end)]
    return len(flow.node[path.start].outputs) > 1 or all(cuts(flow.node[way]) for way in ways)


def _kind(flow: Activations, path: Path, added: Sum, body: Term) -> ResidualKind | None:
    """Return the kind of a path past a body that has as many layers as such a path needs, None if it is no shortcut."""
    if _is_copy(flow, path):
        computes = flow.role(body.reader) == "compute" or passes(flow, path.start, body.name, "compute")
        changes = body.factor > 0 and passes(flow, path.start, body.name, "norm", "resample")
        is_reinjection = _goes_elsewhere(flow, added, body.name)
        return _kind_of_copy(flow, path, added.join) if (computes or changes) and not is_reinjection else None
    if any(is_sum(flow, name) or reduces(flow.node[name]) for name in path.through):
        return None
    if not _is_nonlinear(flow, path, body.name):
        return None
    if "compute" in path.roles:
        layers = [name for name in path.through if flow.role(name) == "compute"]
        return "projection" if all(map(flow.is_linear, layers)) else None
    others = path.roles.count("other")
    if "resample" in path.roles:
        return "resample" if others <= 1 else None
    return _kind_without_layers(flow, path) if others <= 2 else None


def _is_copy(flow: Activations, path: Path) -> bool:
    """Return whether a path only views, scales or shifts."""
    return all(flow.role(name) in ("view", "scale") or _shifts(flow, name) for name in path.through)


def _shifts(flow: Activations, name: str) -> bool:
    """Return whether a node adds a number or a tensor of the model, as a bias."""
    node = flow.node[name]
    is_sum = node.kind != "module" and plain_name(node.op) in ("add", "sub")
    return is_sum and len(flow.sources[name]) == 1


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


def _goes_elsewhere(flow: Activations, added: Sum, name: str) -> bool:
    """Return whether a node is read by one that something reads, but that does not lead to the sum."""
    users = (user for user in flow.users[name] if user not in flow.index.unread)
    return any(user != added.join and not flow.is_ancestor(user, added.join) for user in users)


def _is_nonlinear(flow: Activations, path: Path, body_end: str) -> bool:
    """Return whether a nonlinearity stands on either way.

    Without one, the two are a single linear map: an adapter beside its layer (arXiv:2106.09685).
    """
    on_path = any(not flow.is_linear(name) for name in path.through)
    return on_path or flow.passes(path.start, body_end, flow.nonlinear)


def passes(flow: Activations, start: str, end: str, *roles: Role) -> bool:
    """Return whether a node with one of the roles lies on a path from ``start`` to ``end``."""
    return any(flow.passes(start, end, flow.with_role[role]) for role in roles)


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
