"""Choose the layout that suits a model, by measures of its stages, kinds, skips and attention."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log

from fxviz._analysis.structure.kinds import Group
from fxviz._analysis.structure.parts import Part
from fxviz._analysis.structure.tensors import resolutions
from fxviz._analysis.structure.units import Unit
from fxviz._analysis.structure.values import Kind, Layout, Stage
from fxviz._analysis.structure.way import Way
from fxviz._graph import Skip

_LOWER, _HIGHER = 0.7, 1.4
"""Ratios of positions that count as falling and rising resolution."""

_DEEP = 0.6
"""A way is deep if positions fall below this share of those where it joins another."""

_LEVEL = 1.6
"""The ratio of positions of two levels."""


@dataclass(frozen=True)
class Arch:
    """A join of a way at its resolution with one that went below and came back.

    Attributes:
        fork, join: places of the nodes in the run.
        positions: positions at the join.
        layers: layers on the way that stays.
    """

    fork: int
    join: int
    positions: int
    layers: int


def arches_of(way: Way) -> list[Arch]:
    """Return the joins of a U or a ladder: one side stays at its resolution from the last common node on."""
    tensors, flow = way.tensors, way.tensors.flow
    found = []
    for name, sources in tensors.sources.items():
        if tensors.op(name) not in ("add", "cat") or len(sources) < 2:
            continue
        fork, positions = flow.dominators.get(name), tensors.extent(name).positions
        if fork is None or positions < 4 or not _has_block(way, fork, name):
            continue
        sides = [_side(way, fork, source, positions) for source in sources]
        lateral = [layers for least, layers in sides if least >= _DEEP * positions]
        if lateral and len(lateral) < len(sides):
            found.append(Arch(tensors.position[fork], tensors.position[name], positions, max(lateral)))
    joins = {arch.join for arch in found}
    found += [arch for skip in way.across if (arch := _arch(way, skip)).join not in joins and arch.positions >= 4]
    return found


def _arch(way: Way, skip: Skip) -> Arch:
    tensors = way.tensors
    layers = sum(name in tensors.heavy for name in skip.through)
    return Arch(tensors.position[skip.fork], tensors.position[skip.join], tensors.extent(skip.join).positions, layers)


def _has_block(way: Way, fork: str, join: str) -> bool:
    """Return whether a unit of several layers stands between."""
    first, last = way.unit_of.get(fork), way.unit_of.get(join)
    if first is not None and first is last:
        return False
    start = first.place + 1 if first is not None else 0
    stop = last.place + (join in last.beside) if last is not None else len(way.units)
    return any(unit.layers > 1 for unit in way.units[start:stop])


def _side(way: Way, fork: str, source: str, positions: int) -> tuple[int, int]:
    """Return the least positions on the way from a fork to one side of a join, and the layers on it."""
    tensors = way.tensors
    names = (
        [source]
        if source == fork or not tensors.flow.is_ancestor(fork, source)
        else [name for name in tensors.flow.between(fork, source) if tensors.flow.is_floating(name)]
    )
    least = min((tensors.extent(name).positions or positions for name in names), default=positions)
    return least, sum(name in tensors.heavy for name in names)


@dataclass(frozen=True)
class Measures:
    """What the choice of a layout rests on.

    Attributes:
        levels: the resolutions at which arches end, one arch each, nested.
        nested: true if forks ascend while joins descend.
        laterals: levels whose shorter way has layers of its own.
        falls, rises: how often resolution falls before the head, and rises among all stages.
        steps: how often it falls from a stage with blocks to one with blocks.
        widths: the numbers of channels of stages with blocks.
        lanes: streams of several resolutions that meet in modules.
        fans: the most resolutions that one unit reads.
        beside: the share of lettered parameters that run side by side.
        cross: units that attend to another one.
        beside_pairs: pairs of blocks beside the main way of which one reads the other.
        level_pairs: such pairs at one resolution.
        outputs: tensors that the model returns.
        inputs: inputs of the model.
    """

    levels: int
    nested: bool
    laterals: int
    falls: int
    steps: int
    rises: int
    widths: int
    lanes: int
    fans: int
    beside: float
    cross: int
    beside_pairs: int
    level_pairs: int
    outputs: int
    inputs: int


def measured(way: Way, parts: Sequence[Part], groups: Sequence[Group]) -> Measures:
    """Measure a model for the choice of its layout."""
    letters = {unit.place: group.letter for group in groups for unit in group.units}
    main = [part for part in parts if part.lane == 0]
    lettered = [part for part in main if any(letters.get(unit.place) for unit in part.units)] or main
    maps = [part for part in main if part.role != "head" and part.positions > 1]
    arches = _nested(arches_of(way))
    pairs = list(pairwise(arches))
    off, level = _off(way, letters)
    nodes = way.tensors.graph.nodes
    results = {source for node in nodes if node.kind == "output" for source in way.tensors.index.sources[node.id]}
    steps = list(pairwise(main))
    return Measures(
        levels=len({arch.positions for arch in arches}),
        nested=len(arches) > 1 and all(one.join > other.join for one, other in pairs),
        laterals=sum(arch.layers > 0 for arch in arches),
        falls=sum(other.positions < _LOWER * one.positions for one, other in pairwise(maps)),
        steps=sum(
            other.positions < _LOWER * one.positions and other.positions > 1 for one, other in pairwise(lettered)
        ),
        rises=sum(other.positions > _HIGHER * one.positions for one, other in steps),
        widths=len({part.units[-1].extent.channels for part in lettered}),
        lanes=len({part.lane for part in parts if any(unit.streams is not None for unit in part.units)}),
        fans=max(way.resolutions_read.values(), default=0),
        beside=_beside(way, letters),
        cross=way.cross,
        beside_pairs=off,
        level_pairs=level,
        outputs=len(results),
        inputs=sum(node.kind == "input" for node in nodes),
    )


def _off(way: Way, letters: dict[int, str]) -> tuple[int, int]:
    """Count the pairs of blocks beside the main way of which one reads the other: all, and those of one resolution."""
    off = {unit.place for unit in way.units if letters.get(unit.place) and unit.place not in way.main}
    pairs = [(one, other) for one in sorted(off) for other in sorted(off & _readers(way, one))]
    positions = [(way.units[one].extent.positions, way.units[other].extent.positions) for one, other in pairs]
    return len(pairs), sum(resolutions(pair) < 2 for pair in positions)


def _readers(way: Way, place: int) -> set[int]:
    """Return the units that read one, past pooling and resizing."""
    found: set[int] = set()
    waiting = [place]
    while waiting:
        for reader in way.readers[waiting.pop()]:
            if way.units[reader].layers:
                found.add(reader)
            else:
                waiting.append(reader)
    return found


def _nested(arches: Sequence[Arch]) -> list[Arch]:
    """Return the longest arch of each level, in the order of their forks."""
    levels: dict[int, list[Arch]] = defaultdict(list)
    for arch in arches:
        levels[round(log(arch.positions, _LEVEL))].append(arch)
    return sorted((max(found, key=lambda arch: arch.join - arch.fork) for found in levels.values()), key=_fork)


def _fork(arch: Arch) -> int:
    return arch.fork


def _beside(way: Way, letters: dict[int, str]) -> float:
    """Return the share of parameters of lettered units that stand side by side: as far from the input as others."""
    total = max(1, way.tensors.graph.traced_params)
    depth: dict[int, int] = {}
    levels: dict[int, list[Unit]] = defaultdict(list)
    for unit in way.units:
        depth[unit.place] = max(
            (depth[place] + (way.units[place].layers > 0) for place in way.reads[unit.place]), default=0
        )
        if letters.get(unit.place) and unit.params > 0.002 * total:
            levels[depth[unit.place]].append(unit)
    return sum(unit.params for units in levels.values() if len(units) > 1 for unit in units) / total


def layout_of(
    measures: Measures, stages: Sequence[Stage], kinds: Sequence[Kind], groups: Sequence[Group]
) -> tuple[Layout, str]:
    """Return the layout that suits a model, and why."""
    at = measures
    if at.lanes > 1:
        return "lanes", f"{at.lanes} streams of different resolution meet again and again"
    if at.nested and at.rises and at.levels > 1:
        if at.level_pairs and at.outputs == 1:
            return "grid", f"skips across {at.levels} resolutions, with blocks on the skips"
        if at.laterals >= at.levels - 1 and (at.outputs > 1 or at.fans > 2 or at.beside_pairs):
            return "ladder", f"{at.levels} resolutions are joined from the coarsest up, and several are read"
        if at.rises > 1 or at.laterals < at.levels:
            return "U", f"skips across {at.levels} resolutions, which fall and rise again"
    if at.cross and at.beside > 0.5:
        return "lanes", "towers side by side attend to each other"
    if at.cross > 1 or (at.cross and at.inputs > 1):
        return "encoder-decoder", f"a stack attends to another one, {at.cross} times"
    if at.beside > 0.3:
        return "lanes", f"{at.beside:.0%} of the parameters run side by side"
    return _plain(at, kinds, groups)


def _plain(at: Measures, kinds: Sequence[Kind], groups: Sequence[Group]) -> tuple[Layout, str]:
    """Return the layout of a model without branches."""
    letters = {group.base for group in groups if group.letter}
    families = {group.family for group in groups if group.letter}
    varying = [kind.letter for kind in kinds if _varies(kind)]
    repeated = any(len(kind.occurrences) > 1 for kind in kinds)
    if at.falls > 1 and repeated:
        if varying:
            return "table", f"blocks of kind {varying[0]} differ in kernel or expansion"
        if len(letters) > 3 and len(families) <= 0.75 * len(letters):
            return "table", f"{len(letters)} kinds of blocks differ in small ways"
    if at.falls > 1 or at.widths > 2 or at.steps:
        times = "once" if at.falls == 1 else f"{at.falls} times"
        return "stages", f"resolution falls {times}, {at.widths} widths"
    return "column", "one resolution throughout" if not at.falls else "the resolution falls once"


def _varies(kind: Kind) -> bool:
    """Return whether the occurrences differ in depthwise kernels, or in widths of convolutions that no rule serves."""
    if any(len(set(filter(None, row.facts.get("kernel", ())))) > 1 for row in kind.of("DW")):
        return True
    is_plain = not any("heads" in row.facts or row.word in ("MLP", "GLU") for row in kind.rows)
    without_rule = any("kernel" in row.facts and "width" in row.facts and not row.channels for row in kind.rows)
    return is_plain and without_rule and len(kind.occurrences) > 3


def levels_of(positions: Sequence[int]) -> list[int]:
    """Return the place of each number of positions among the resolutions, 0 for the finest.

    >>> levels_of([3136, 784, 196, 197, 3136])
    [0, 1, 2, 2, 0]
    """
    ordered = sorted(Counter(positions), reverse=True)
    level = dict.fromkeys(ordered[:1], 0)
    for one, other in pairwise(ordered):
        level[other] = level[one] + (other < _LOWER * one)
    return [level[each] for each in positions]
