"""Divide a run into units: blocks, and lone layers with the norms, activations and views behind them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from fxviz._analysis.structure.opening import Opening
from fxviz._analysis.structure.tensors import Extent, Tensors, resolutions
from fxviz._graph import RESIDUAL_KINDS, Node, Scope
from fxviz._graph.operations import is_norm, reduces, resamples

_LONGEST_BLOCK = 60
"""The most units that are put together to a block without a module."""

_BESIDE = 1.9
"""What changes positions by more than this is no part of the layer before."""


@dataclass(frozen=True)
class Unit:
    """A block or a lone layer.

    Attributes:
        place: its place among the units.
        scope: the module call that it is; None for a lone layer and a block without a module of its own.
        nodes: its nodes in the order of the run.
        beside: nodes that ride along with it and are not its steps: norms and activations behind a block.
        path, cls: the path and class of its module; of the first layer if there is none.
        layers: the number of its layers and products.
        residual: true if a residual skip ends in it.
        extent, entering: the extents of what leaves and what enters.
        params, macs: sums over its nodes, without those beside.
        streams: the path of the list of modules in which streams of several resolutions meet, if it runs in one.
    """

    place: int
    scope: int | None
    nodes: tuple[str, ...]
    path: str
    cls: str
    layers: int
    residual: bool
    extent: Extent
    entering: Extent
    params: int
    macs: int
    beside: tuple[str, ...] = ()
    streams: str | None = None

    @property
    def is_block(self) -> bool:
        return self.cls != "" and (self.layers > 1 or (self.residual and self.layers > 0))

    @property
    def list(self) -> str:
        """Return the path of what holds it."""
        return self.path.rpartition(".")[0]


def units_of(tensors: Tensors) -> tuple[Unit, ...]:
    """Return the units of a run in its order."""
    divider = _Divider(tensors)
    found = [unit for unit in divider.walk(0) if any(name in tensors.sources for name in unit.nodes)]
    found.sort(key=lambda unit: tensors.position[next(filter(tensors.heavy.__contains__, unit.nodes), unit.nodes[0])])
    joined = divider.with_ridden(divider.with_virtual_blocks(found))
    if found and not joined:
        joined = [divider.unit(None, [name for unit in found for name in unit.nodes])]
    meetings = {(unit.streams, _within(unit)) for unit in joined if unit.streams is not None}
    if len(meetings) < 2:
        joined = [replace(unit, streams=None) for unit in joined]
    return tuple(replace(unit, place=place) for place, unit in enumerate(joined))


def _within(unit: Unit) -> str:
    """Return the name of the module in a list of meeting streams that a unit runs in."""
    return unit.path.removeprefix(unit.streams or "").partition(".")[0]


class _Divider:
    """Makes the units of a run."""

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors
        self.opening = Opening(tensors)
        self.index = tensors.index
        self.scopes = tensors.index.scopes

    @cached_property
    def _joins(self) -> frozenset[str]:
        """Return the nodes in which residual skips end."""
        return frozenset(skip.join for skip in self.tensors.graph.skips if skip.kind in RESIDUAL_KINDS)

    @cached_property
    def _concats(self) -> frozenset[str]:
        """Return the concatenations of a U: past lower resolutions, or within such a skip."""
        place = self.tensors.position
        found = [skip for skip in self.tensors.graph.skips if skip.kind == "concat"]
        ends = [(place[skip.fork], place[skip.join]) for skip in found if self.opening.falls(skip)]
        return frozenset(
            skip.join
            for skip in found
            if any(fork <= place[skip.fork] and place[skip.join] <= join for fork, join in ends)
        )

    def walk(self, scope: int) -> Iterator[Unit]:
        for step in self.index.steps[scope]:
            if isinstance(step, Node):
                if step.kind not in ("input", "output", "parameter"):
                    yield self.unit(None, (step.id,))
            elif self.opening.layers[step.id] > 1 and self.opening.is_meeting(step.id):
                yield from self._by_level(list(self.walk(step.id)), step.id)
            elif self.opening.layers[step.id] and self.opening.opens(step.id):
                yield from self.walk(step.id)
            else:
                yield self.unit(step.id, self.index.inside[step.id])

    def _by_level(self, units: Sequence[Unit], scope: int) -> Iterator[Unit]:
        """Put what is no residual block together by resolution."""
        levels: dict[int, list[Unit]] = {}
        lanes = resolutions({unit.extent.positions for unit in units if unit.is_block and unit.residual})
        around = self.scopes[scope].path.rpartition(".")[0]
        streams = f"{around}." if lanes > 1 and around else "" if lanes > 1 else None
        for unit in units:
            is_named = unit.scope is not None and not self.scopes[unit.scope].sequential
            if unit.streams is not None or (unit.is_block and (unit.residual or is_named)):
                yield replace(unit, streams=unit.streams or streams)
                continue
            near = (level for level in levels if resolutions((level, unit.extent.positions)) < 2)
            levels.setdefault(next(near, unit.extent.positions), []).append(unit)
        for level in levels.values():
            path = next((unit.path for unit in level if unit.layers), level[0].path)
            together = self.unit(None, [name for unit in level for name in unit.nodes], path)
            yield replace(together, streams=streams)

    def unit(self, scope: int | None, nodes: Sequence[str], path: str = "", cls: str = "") -> Unit:
        tensors, first = self.tensors, self.tensors.node(nodes[0])
        found = [tensors.node(name) for name in nodes]
        return Unit(
            place=0,
            scope=scope,
            nodes=tuple(nodes),
            path=path or (self.scopes[scope].path if scope is not None else first.path),
            cls=cls or (self._class(scope) if scope is not None else ""),
            layers=sum(name in tensors.heavy for name in nodes),
            residual=not self._joins.isdisjoint(nodes),
            extent=tensors.extent(tensors.leaving(nodes)),
            entering=tensors.extent(tensors.entering(nodes)),
            params=sum(node.params for node in found),
            macs=sum(node.least_macs for node in found),
        )

    def _class(self, scope: int) -> str:
        """Return the name of the class of a module call; of a list with a single module, that of the module."""
        steps = self.index.steps[scope]
        if self.scopes[scope].sequential and len(steps) == 1 and isinstance(steps[0], Scope):
            return self._class(steps[0].id)
        return self.scopes[scope].class_name

    def with_virtual_blocks(self, units: Sequence[Unit]) -> list[Unit]:
        """Put together what stands between fork and join of a residual skip in code without a module of its own."""
        at = {name: place for place, unit in enumerate(units) for name in unit.nodes}
        group = list(range(len(units)))
        for skip in self.tensors.graph.skips:
            if skip.kind not in RESIDUAL_KINDS or skip in self.opening.long or skip.fork not in self.tensors.sources:
                continue
            body = {at[name] for name in (*self.index.between(skip.fork, skip.join), skip.join) if name in at}
            if len(body) < 2 or max(body) - min(body) > _LONGEST_BLOCK:
                continue
            lone = sum(units[place].scope is None and units[place].layers > 0 for place in body)
            is_virtual = lone > 1 and not self.opening.falls(skip)
            if not is_virtual and not self._is_around_one(units[min(body) : max(body) + 1]):
                continue
            first = min(group[place] for place in body)
            group[min(body) : max(body) + 1] = [first] * (max(body) + 1 - min(body))
        members: dict[int, list[Unit]] = defaultdict(list)
        for place, unit in zip(group, units, strict=True):
            members[place].append(unit)
        return [self._together(parts) for _, parts in sorted(members.items())]

    def _is_around_one(self, units: Sequence[Unit]) -> bool:
        """Return whether all layers among some units are those of one block, and nothing pools or resizes."""
        layers = [unit for unit in units if unit.layers]
        return (
            len(layers) == 1
            and layers[0].is_block
            and not any(self._resizes(unit.nodes[0]) for unit in units if not unit.layers)
        )

    def _together(self, parts: Sequence[Unit]) -> Unit:
        """Return one unit for several: of one block with what stands around it, a block of its class."""
        if len(parts) == 1:
            return parts[0]
        (first, *others) = [part for part in parts if part.layers]
        if not others:
            return self.unit(first.scope, [name for part in parts for name in part.nodes], first.path, first.cls)
        path = next((part.path for part in parts if part.layers), parts[0].path)
        return self.unit(None, [name for part in parts for name in part.nodes], path, _RESIDUAL)

    def with_ridden(self, units: Sequence[Unit]) -> list[Unit]:
        """Let norms, activations and views ride along with what they read last; pooling and resizing stand alone.

        The concatenations of a U ride along with what follows.
        """
        found: list[Unit] = []
        ahead: tuple[str, ...] = ()
        owner: dict[str, int] = {}
        for unit in units:
            if unit.layers or any(self._resizes(name) for name in unit.nodes):
                place = len(found)
                found.append(replace(unit, beside=ahead))
                ahead = ()
            elif found and unit.nodes[0] not in self._concats:
                read = [source for name in unit.nodes for source in self.tensors.sources.get(name, ())]
                place = max((owner[source] for source in read if source in owner), default=len(found) - 1)
                found[place] = self._with_behind(found[place], unit)
            else:
                ahead += unit.nodes
                continue
            owner.update(dict.fromkeys(unit.nodes, place))
        if found and ahead:
            found[-1] = replace(found[-1], beside=found[-1].beside + ahead)
        return found

    def _with_behind(self, before: Unit, light: Unit) -> Unit:
        """Return a unit with what stands behind it: of a lone layer a part, unless it changes the positions."""
        positions = self.tensors.extent(self.tensors.leaving(light.nodes)).positions
        is_far = max(positions, before.extent.positions) > _BESIDE * max(1, min(positions, before.extent.positions))
        if before.is_block or is_far or not self._follows(before, light):
            return replace(before, beside=before.beside + light.nodes)
        joined = self.unit(before.scope, before.nodes + light.nodes, before.path, before.cls)
        return replace(joined, beside=before.beside, streams=before.streams)

    def _follows(self, before: Unit, light: Unit) -> bool:
        one, other = self.tensors.leaving(before.nodes), self.tensors.leaving(light.nodes)
        return bool(one and other and one != other and self.tensors.flow.is_ancestor(one, other))

    def _resizes(self, name: str) -> bool:
        """Return whether a step pools, interpolates, or takes the mean over positions."""
        node = self.tensors.node(name)
        if name not in self.tensors.sources or is_norm(node):
            return False
        if resamples(node):
            return True
        before = max((self.tensors.extent(source).positions for source in self.tensors.sources[name]), default=0)
        falls = reduces(node) and self.tensors.extent(name).positions < before
        return falls and not self._finds_indices(name)

    def _finds_indices(self, name: str) -> bool:
        """Return whether of a greatest value only its place is read, as in the search of a code."""
        tensors = self.tensors
        users = tensors.users[name]
        read = (user for user in users if tensors.flow.is_floating(user) and (tensors.users[user] or len(users) == 1))
        return "max" in tensors.op(name) and bool(users) and next(read, None) is None


_RESIDUAL = "residual block"
"""The class of a block that has no module of its own."""
