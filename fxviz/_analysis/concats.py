"""Find concat skips: earlier features that reach a concatenation past a body.

They are those of DenseNet (arXiv:1608.06993) and U-Net (arXiv:1505.04597).
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from math import prod
from typing import NamedTuple

from fxviz._analysis.flow import Activations, Leads, Path
from fxviz._analysis.shortcuts import passes
from fxviz._analysis.sums import is_sum
from fxviz._graph import Skip
from fxviz._graph.operations import cuts, plain_name, reduces

_LOWER = 0.6
"""A map with fewer positions than this share of another one is on a lower level."""

_MOST_LAYERS = 12
"""The most layers on a long skip: UNETR has up to seven (arXiv:2103.10504, figure 1)."""

_TIMES = 3
"""A body on the same level has this many times as many layers in a row as the skip."""


def concat_of(flow: Activations, join: str, gates: Mapping[str, Skip]) -> Skip | None:
    """Return the concat skip with the nearest fork: one for each join, however many earlier features it gathers."""
    sides = _sides(flow, join)
    if len(sides) < 2:
        return None
    bodies = [side for side in sides if not _is_token(flow.shape(side), flow.shape(join))]
    nearest = _as_it_is(flow, sides, bodies) or _long(flow, join, bodies, gates)
    if nearest is None:
        return None
    path, side = nearest
    return Skip("concat", path.start, join, (*path.through, *sides[side]))


_VALUE = {"setitem": "2", "slicescatter": "1", "selectscatter": "1"}
"""The slots of what an operation writes into a part of a tensor, whose slot is 0."""


def _sides(flow: Activations, join: str) -> dict[str, tuple[str, ...]]:
    """Return the activations that a node concatenates, and the nodes that each passes before it; none for others.

    So do the last of the assignments that fill a new tensor: ``out[:, :8] = x``, ``out[:, 8:] = f(x)``.
    """
    node = flow.node[join]
    if node.kind in ("module", "input") or node.uses or not flow.is_floating(join):
        return {}
    if plain_name(node.op) == "cat":
        return dict.fromkeys(flow.sources[join], ())
    sides: dict[str, tuple[str, ...]] = {}
    place, writers = join, list[str]()
    while (written := _written(flow, place)) is not None:
        (value, place), writers = written, [place, *writers]
        sides[value] = tuple(writers[:-1])
    filled = sum(prod(flow.shape(side) or (0,)) for side in sides)
    is_new = place not in flow.sources and all(side in flow.sources for side in sides)
    return sides if is_new and filled == prod(flow.shape(join) or ()) else {}


def _written(flow: Activations, name: str) -> tuple[str, str] | None:
    """Return what a node writes into a part of a tensor, and that tensor before."""
    plain = plain_name(flow.node[name].op)
    slots = {edge.slot: edge.source for edge in flow.index.edges_to[name]}
    value = slots.get(_VALUE.get(plain, ""))
    if plain == "readafterwrite" and (writer := slots.get("1")) and plain_name(flow.node[writer].op) == "copy":
        value = next((edge.source for edge in flow.index.edges_to[writer] if edge.slot == "1"), None)
    return (value, slots["0"]) if value is not None and "0" in slots else None


def _as_it_is(flow: Activations, sides: Collection[str], bodies: Sequence[str]) -> tuple[Path, str] | None:
    """Return the nearest feature tensor that is itself concatenated, possibly rearranged, with what follows from it."""

    leads = flow.leads_to_another(bodies)
    in_order = sorted(bodies, key=flow.position.__getitem__)
    no_tokens = frozenset(bodies)

    @cache
    def computed_from(fork: str) -> list[str]:
        """Return the first two bodies that are computed from a fork."""
        later = in_order[bisect(in_order, flow.position[fork], key=flow.position.__getitem__) :]
        found = (body for body in later if flow.is_ancestor(fork, body) and passes(flow, fork, body, "compute"))
        return list(islice(found, 2))

    found = (
        next(
            (
                (path, side)
                for path in _rearrangements(flow, side, is_token=side not in no_tokens)
                if leads(path.start, side) and any(body != side for body in computed_from(path.start))
            ),
            None,
        )
        for side in sides
    )
    return max(filter(None, found), key=lambda pair: flow.position[pair[0].start], default=None)


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


# Long skips


class _Joined(NamedTuple):
    """The shape of a concatenation, and the axis along which it is made."""

    shape: tuple[int, ...]
    along: int


def _joined(flow: Activations, join: str) -> _Joined:
    whole = flow.shape(join) or ()
    parts = [shape for side in flow.sources[join] if (shape := flow.shape(side)) and len(shape) == len(whole)]
    axes = (axis for axis, size in enumerate(whole) if any(part[axis] != size for part in parts))
    return _Joined(whole, next(axes, 1))


def _long(flow: Activations, join: str, sides: Collection[str], gates: Mapping[str, Skip]) -> tuple[Path, str] | None:
    """Return the nearest path to a side that passes layers, a gate or a resize, past a much longer body.

    The body comes back from a lower level than the path ever reaches, or it holds several residual blocks. Maps that
    are flattened to be concatenated, like the predictions of a detector at each level, are not joined.
    """
    maps = [side for side in sides if _is_map(flow, side)]
    leads, joined = flow.leads_to_another(maps), _joined(flow, join)

    @cache
    def bodies(fork: str) -> list[str]:
        return [body for body in maps if flow.is_ancestor(fork, body) and _may_be_past(flow, joined, fork, body)]

    found = [
        (path, side)
        for side in maps
        if (path := _path_past(flow, side, leads, gates)) is not None
        and any(_is_past(flow, joined, path, side, body) for body in bodies(path.start) if body != side)
    ]
    return max(found, key=lambda pair: flow.position[pair[0].start], default=None)


def _is_map(flow: Activations, side: str) -> bool:
    """Return whether a side was made with the dimensions that it has."""
    origin = side
    while flow.role(origin) == "view" and len(flow.sources[origin]) == 1:
        (origin,) = flow.sources[origin]
    return len(flow.shape(origin) or ()) == len(flow.shape(side) or ())


def _path_past(flow: Activations, side: str, leads: Leads, gates: Mapping[str, Skip]) -> Path | None:
    """Return the path to a side from the nearest feature tensor that another side follows from.

    It passes a gate from the fork of the gate, as the weights may come from below.
    """
    start = side
    through: tuple[str, ...] = ()
    while True:
        for path in flow.paths_back(start, _MOST_LAYERS):
            if not flow.is_floating(path.start):
                return None
            if leads(path.start, side):
                passed = (*path.through, *through)
                return Path(path.start, passed, tuple(map(flow.role, passed)))
            if path.start in gates:
                gate = gates[path.start]
                start, through = gate.fork, (*gate.through, path.start, *path.through, *through)
                break
        else:
            return None


def _may_be_past(flow: Activations, joined: _Joined, fork: str, body: str) -> bool:
    """Return whether paths from a fork may be skips past a body: it holds several blocks, or falls to lower levels."""
    inside = list(flow.between(fork, body))
    if sum(is_sum(flow, name) for name in inside) > 1:
        return True
    positions = _positions(flow, joined, {*inside, *(source for name in inside for source in flow.sources[name])})
    return any(
        positions[name] < positions.get(source, 0) and _shrinks(flow, name)
        for name in inside
        if name in positions
        for source in flow.sources[name]
    )


def _is_past(flow: Activations, joined: _Joined, path: Path, side: str, body: str) -> bool:
    if any(plain_name(flow.node[name].op) == "cat" and len(flow.sources[name]) > 1 for name in path.through):
        return False  # a concatenation on the way joins what leads to it
    on_path = flow.layers_in_a_row(path.start, side)
    in_body = flow.layers_in_a_row(path.start, body)
    if in_body >= max(1, on_path) and _comes_back(flow, joined, path, body):
        return True
    blocks = sum(is_sum(flow, name) for name in flow.between(path.start, body)) > 1
    return flow.node[path.start].kind != "input" and blocks and in_body >= _TIMES * max(1, on_path)


def _comes_back(flow: Activations, joined: _Joined, path: Path, body: str) -> bool:
    """Return whether the body has been on a lower level than the path.

    A layer, pooling or a slice leads there, not a new order of the axes, nor pooling to one size whatever the map's.
    """
    positions = _positions(flow, joined, {path.start, *path.through, *flow.between(path.start, body)})
    lowest = min((positions[name] for name in (path.start, *path.through) if name in positions), default=0)
    below = {name for name, count in positions.items() if count < _LOWER * lowest and name not in path.through}
    falls = [
        name for name in below if any(positions.get(source, 0) >= _LOWER * lowest for source in flow.sources[name])
    ]
    return any(_shrinks(flow, name) for name in falls)


def _positions(flow: Activations, joined: _Joined, names: Collection[str]) -> dict[str, int]:
    """Return the positions of the maps among the nodes: the sizes beside batch and the axis that is concatenated."""
    shapes = {name: shape for name in names if (shape := flow.shape(name)) and len(shape) == len(joined.shape)}
    return {
        name: prod(size for axis, size in enumerate(shape) if axis not in (0, joined.along))
        for name, shape in shapes.items()
        if shape[0] == joined.shape[0]  # windows and heads may be folded into the batch
    }


def _shrinks(flow: Activations, name: str) -> bool:
    node = flow.node[name]
    pools_whole = "adaptive" in plain_name(node.op) or reduces(node)
    return not pools_whole and (flow.role(name) in ("compute", "resample") or cuts(node))
