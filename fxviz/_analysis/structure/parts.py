"""Divide the main way into stages: maximal runs of units at one resolution. What stands beside it has its own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from math import prod

from fxviz._analysis.structure.kinds import Group
from fxviz._analysis.structure.tensors import resolutions
from fxviz._analysis.structure.units import Unit
from fxviz._analysis.structure.values import Role
from fxviz._analysis.structure.way import Way
from fxviz._analysis.structure.words import side_of

_ALIKE = 1.55
"""Positions within this ratio are one resolution: 197 and 196 tokens, maps that a convolution without padding crops."""


@dataclass(frozen=True)
class _Latest:
    """What a stage with some units would be asked again and again, if they were not counted one by one.

    Attributes:
        layers: the last unit with layers.
        positions: the positions that leave the last unit with layers that more than one leaves; 0 for none.
        side: what the last unit is for whose path says it (:func:`side_of`).
        block: the last block.
    """

    layers: Unit | None = None
    positions: int = 0
    side: str = ""
    block: Unit | None = None

    def with_unit(self, unit: Unit) -> _Latest:
        positions = unit.extent.positions
        return _Latest(
            unit if unit.layers else self.layers,
            positions if unit.layers and positions > 1 else self.positions,
            side_of(unit.path) or self.side,
            unit if unit.is_block else self.block,
        )


class Part:
    """A stage in the making: consecutive units at one resolution.

    Attributes:
        lane: its lane.
        role: its role.
        order: its place among the stages; -1 for that of its units.
    """

    def __init__(self, units: Iterable[Unit], lane: int = 0, role: Role = "stage") -> None:
        self.lane, self.role, self.order = lane, role, -1
        self._units: list[Unit] = []
        self._latest = [_Latest()]
        self.add(*units)

    @property
    def units(self) -> Sequence[Unit]:
        """Return its units, to which others are added and from which the last are taken."""
        return self._units

    @property
    def latest(self) -> _Latest:
        """Return what is known of its latest units."""
        return self._latest[-1]

    @property
    def positions(self) -> int:
        """Return the positions that leave the last unit with layers; not those of a token that is treated apart."""
        latest = self.latest
        return latest.positions or (latest.layers or self.units[-1]).extent.positions

    def add(self, *units: Unit) -> None:
        """Add units at the end."""
        for unit in units:
            self._units.append(unit)
            self._latest.append(self.latest.with_unit(unit))

    def pop(self) -> Unit:
        """Take the last unit off."""
        self._latest.pop()
        return self._units.pop()

    def sort(self) -> None:
        """Put the units in the order of the run."""
        units, self._units, self._latest = sorted(self._units, key=lambda unit: unit.place), [], [_Latest()]
        self.add(*units)


def is_near(one: int, other: int) -> bool:
    """Return whether numbers of positions are those of one resolution."""
    return max(one, other) <= _ALIKE * max(1, min(one, other))


def parts_of(way: Way, groups: Iterable[Group]) -> list[Part]:
    """Return the stages on the main way, then those beside it."""
    letters = {unit.place: group.letter for group in groups for unit in group.units if group.letter}
    lanes = _lanes(way)
    within = [unit.place for part in lanes for unit in part.units]
    first, last = min(within, default=0), max(within, default=0)
    on_way = [unit for unit in _with_laterals(way) if not first <= unit.place <= last or not within]
    main = _with_ends(_without_pools(_by_resolution(way, on_way, letters)), letters)
    main = [piece for place, part in enumerate(main) for piece in _cut_at_skips(way, part, main[place + 1 :])]
    for part in (*main, *lanes):
        part.order = max(unit.place for unit in part.units)
    parts = main + lanes + _beside(way, [*main, *lanes])
    return sorted(parts, key=lambda part: part.order if part.order >= 0 else _last_place(part.units))


def _last_place(units: Sequence[Unit]) -> int:
    """Return the place of the last unit with layers, of the last one if none has."""
    return next((unit.place for unit in reversed(units) if unit.layers), units[-1].place)


# -------------------------------------------------------------------- lanes


def _lanes(way: Way) -> list[Part]:
    """Return the stages of streams that meet: one for each resolution and list of modules. Lane 0 is the finest."""
    units = [unit for unit in way.units if unit.streams is not None]
    levels: list[int] = []
    for positions in sorted({unit.extent.positions for unit in units if unit.extent.positions > 1}, reverse=True):
        if not levels or not is_near(levels[-1], positions):
            levels.append(positions)
    channels = {unit.extent.channels: _lane(levels, unit) for unit in units if unit.extent.positions > 1}
    found: dict[tuple[str | None, int], Part] = {}
    for unit in units:
        is_token = unit.extent.positions <= 1
        lane = channels.get(unit.extent.channels, 0) if is_token else _lane(levels, unit)
        found.setdefault((unit.streams, lane), Part([], lane)).add(unit)
    return list(found.values())


def _lane(levels: Sequence[int], unit: Unit) -> int:
    return next(lane for lane, positions in enumerate(levels) if is_near(positions, unit.extent.positions))


# -------------------------------------------------------------------- the main way


def _by_resolution(way: Way, on_way: Sequence[Unit], letters: Mapping[int, str]) -> list[Part]:
    """Return the runs of units at one resolution. Blocks that are called again stay with their first call."""
    lists = _lists(on_way)
    shared = _shared(way)
    kinds: dict[str, set[str]] = defaultdict(set)
    for unit in way.units:
        if unit.place in letters:
            kinds[unit.list].add(letters[unit.place].rstrip("'"))
    parts: list[Part] = []
    called: dict[str, Part] = {}
    for unit in on_way:
        first = called.get(unit.path) if unit.is_block else None
        is_head = unit.is_block and way.resolutions_read.get(unit.place, 0) > _SEVERAL
        if (unit.path in shared and first is None) or is_head:
            parts.append(Part([unit], role="head"))
        elif first is not None and first in parts:
            while parts[-1] is not first:
                first.add(*parts.pop(parts.index(first) + 1).units)
            first.add(unit)
        elif (
            parts
            and parts[-1].role != "head"
            and (
                _stays(parts[-1], unit, lists, kinds)
                or (unit.layers and not unit.is_block and not way.has_weights(unit))
            )
        ):
            parts[-1].add(unit)
        else:
            ahead = _taken_ahead(parts[-1], unit, way) if parts else []
            parts.append(Part([*ahead, unit]))
        if unit.is_block:
            called[unit.path] = parts[-1]
    return parts


_SEVERAL = 2
"""A block that reads more resolutions than this is no part of a stage at one of them, as a head for a pyramid."""


def _taken_ahead(part: Part, unit: Unit, way: Way) -> list[Unit]:
    """Take from the end of a stage what belongs to the next: what only a unit there reads, and projections to it."""
    ahead: list[Unit] = []
    blocks = [each.path.partition(".")[0] for each in part.units if each.is_block]
    near = is_near(part.positions, unit.extent.positions)
    while len(part.units) > 1:
        last = part.units[-1]
        is_between = near and blocks and not last.is_block and last.path.partition(".")[0] not in blocks
        if last.place in way.main and not is_between:
            break
        ahead.append(part.pop())
    return ahead[::-1]


def _with_laterals(way: Way) -> list[Unit]:
    """Return the units on the main way, with lone layers that only one of them reads, at its resolution, before it."""
    laterals: dict[int, list[Unit]] = defaultdict(list)
    for unit in way.units:
        readers = way.readers[unit.place]
        if unit.place not in way.main and unit.layers == 1 and not unit.is_block and len(readers) == 1:
            (reader,) = (way.units[place] for place in readers)
            if reader.place in way.main and is_near(unit.extent.positions, reader.extent.positions):
                laterals[reader.place].append(unit)
    return [each for unit in way.on_way() for each in (*laterals[unit.place], unit)]


def _lists(on_way: Sequence[Unit]) -> Counter[str]:
    """Count the blocks in each list; those of lists that alternate with others count one, as they are no stage."""
    blocks = [unit for unit in on_way if unit.is_block and unit.path]
    count = Counter(unit.list for unit in blocks)
    following = [unit.list for unit in blocks[1:]]
    parted = Counter(unit.list for unit, name in zip_longest(blocks, following) if unit.list != name)
    return Counter({name: number if parted[name] == 1 else 1 for name, number in count.items()})


def _shared(way: Way) -> set[str]:
    """Return the paths of blocks that are called at several resolutions, as a head for all levels of a pyramid."""
    found: dict[str, set[int]] = defaultdict(set)
    for unit in way.units:
        if unit.is_block and unit.scope is not None:
            found[unit.path].add(unit.entering.positions)
    return {path for path, positions in found.items() if resolutions(positions) > 1}


def _stays(part: Part, unit: Unit, lists: Counter[str], kinds: Mapping[str, set[str]]) -> bool:
    if unit.layers and part.latest.side and side_of(unit.path) not in ("", part.latest.side):
        return False
    return is_near(part.positions, unit.extent.positions) and not _is_boundary(part, unit, lists, kinds)


def _is_boundary(part: Part, unit: Unit, lists: Counter[str], kinds: Mapping[str, set[str]]) -> bool:
    """Return whether a block opens a stage at the same resolution: another list, and other widths or kinds."""
    if not unit.is_block or not unit.list:
        return False
    last = part.latest.block
    if last is None or _are_nested(last.list, unit.list):
        return False
    are_siblings = last.list.rpartition(".")[0] == unit.list.rpartition(".")[0] != ""
    if lists[unit.list] < 2 and not (are_siblings and lists[last.list] > 1):
        return False
    if last.extent.channels != unit.extent.channels:
        return True
    held = (kinds[name] for name in {block.list for block in part.units if block.is_block} if name in kinds)
    return lists[last.list] > 1 and set().union(*held).isdisjoint(kinds.get(unit.list, ()))


def _are_nested(one: str, other: str) -> bool:
    """Return whether a list is another one, or in it."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _without_pools(parts: Sequence[Part]) -> list[Part]:
    """Put what only pools or resizes to the stage that follows; at the end it has its own."""
    found: list[Part] = []
    waiting: list[Unit] = []
    for part in parts:
        if any(unit.layers for unit in part.units):
            found.append(Part([*waiting, *part.units], role=part.role))
            waiting = []
        else:
            waiting += part.units
    if waiting:
        found.append(Part(waiting))
    return found


def _with_ends(parts: Sequence[Part], letters: Mapping[int, str]) -> list[Part]:
    """Part the stem before the first block and the head behind the last one."""
    lettered = [place for place, part in enumerate(parts) if any(unit.place in letters for unit in part.units)]
    if not lettered:
        return _with_head(parts)
    first, last = lettered[0], lettered[-1]
    found = [Part(part.units, role="stem" if first <= _MOST_STEMS else "stage") for part in parts[:first]]
    for place in range(first, last + 1):
        units = parts[place].units
        blocks = [number for number, unit in enumerate(units) if unit.place in letters]
        if parts[place].role == "head" or not blocks:
            found.append(parts[place])
            continue
        start = blocks[0] if place == first and _has_layers(units[: blocks[0]]) else 0
        behind = blocks[-1] + 1
        while behind < len(units) and _is_within(units[behind], units[blocks[-1]], parts[first]):
            behind += 1
        stop = behind if place == last and _has_layers(units[behind:]) else len(units)
        ends: tuple[tuple[Sequence[Unit], Role], ...] = (
            (units[:start], "stem"), (units[start:stop], "stage"), (units[stop:], "head"),
        )  # fmt: skip
        found += [Part(list(some), role=role) for some, role in ends if some]
    rising = [place for place in range(last + 1, len(parts)) if _comes_back(parts[first:], place - first)]
    for place, part in enumerate(parts[last + 1 :], last + 1):
        if found[-1].role == "head" and not part.units[0].layers and not rising:
            found[-1].add(*part.units)
        else:
            found.append(Part(part.units, role="stage" if rising and place <= rising[-1] else "head"))
    if rising:
        until = max(place for place, part in enumerate(found) if part.role == "stage")
        for part in found[:until]:
            part.role = "stage" if part.role == "head" else part.role
    return found


def _cut_at_skips(way: Way, part: Part, following: Sequence[Part]) -> list[Part]:
    """Return the bottom of a U, where skips of its own end, as its way down, what is between, and its way up.

    A stage that smaller ones follow is no bottom.
    """
    if any(other.role == "stage" and other.positions < part.positions for other in following):
        return [part]
    number = {unit.place: at for at, unit in enumerate(part.units)}
    ends = [
        (number[fork.place], number[join.place])
        for skip in way.across
        if (fork := way.unit_of.get(skip.fork)) is not None and fork.place in number
        if (join := way.unit_of.get(skip.join)) is not None and join.place in number
    ]
    if not ends or part.role == "head":
        return [part]
    down, up = max(fork for fork, _ in ends) + 1, min(join for _, join in ends)
    cuts = [0, *([down, up] if any(unit.is_block for unit in part.units[down:up]) else [up]), len(part.units)]
    return [Part(part.units[one:other], part.lane, part.role) for one, other in pairwise(cuts) if one < other]


def _is_within(unit: Unit, block: Unit, first: Part) -> bool:
    """Return whether a unit runs in a module around the last block that holds no block of the first stage."""
    around = f"{unit.list}."
    return (
        unit.list != ""
        and f"{block.list}.".startswith(around)
        and unit.list != block.list
        and not any(each.path.startswith(around) for each in first.units)
    )


_MOST_STEMS = 2
"""More resolutions than this before the first block are stages without blocks."""


def _with_head(parts: Sequence[Part]) -> list[Part]:
    """Return the stages of a model without blocks: the last one is the head if it has no positions left."""
    found = list(parts)
    if len(found) > 1 and found[-1].positions <= 1 < found[-2].positions:
        found[-1].role = "head"
    return found


def _has_layers(units: Sequence[Unit]) -> bool:
    return any(unit.layers for unit in units)


def _comes_back(parts: Sequence[Part], place: int) -> bool:
    """Return whether the resolution rises to that of an earlier stage."""
    positions, sizes = parts[place].positions, len(parts[place].units[-1].extent.size)
    rises = positions > _ALIKE * parts[place - 1].positions and positions == prod(parts[place].units[-1].extent.size)
    return rises and any(
        is_near(part.positions, positions) and len(part.units[-1].extent.size) == sizes for part in parts[: place - 1]
    )


# -------------------------------------------------------------------- beside the main way


def _beside(way: Way, main: Sequence[Part]) -> list[Part]:
    """Return the stages beside the main way: units that follow one another at one resolution.

    What has no layers, and a lone layer that only a join of one stage reads, belongs to the stage that reads it.
    """
    home = {unit.place: part for part in main for unit in part.units}
    parts: list[Part] = []
    called = {unit.path: part for part in main for unit in part.units if unit.path and unit.params}
    ending: dict[int, Part] = {}
    streams = [part for part in main if any(unit.streams is not None for unit in part.units)]
    lanes = max(part.lane for part in main) if main else 0
    for unit in way.units:
        if unit.place in home:
            continue
        part = None if unit.params else called.get(unit.path)
        part = part or _reading(way, unit, home) or _tail(way, unit, home)
        part = part or next(iter(_read(way, unit, ending)), None)
        if part is None:
            read = [home[place] for place in sorted(way.reads[unit.place]) if place in home]
            before = [part for part in read if part.role == "side" or part in streams]
            before = [part for part in before if part.role == "side" or is_near(part.positions, unit.extent.positions)]
            lanes += not before
            part = Part([], before[-1].lane if before else lanes, "side")
            parts.append(part)
        part.add(unit)
        home[unit.place] = part
        if unit.params:
            called.setdefault(unit.path, part)
        if part.role == "side":
            ending[unit.place] = part
    for part in main:
        part.sort()
    for part in parts:
        if not way.readers[part.units[-1].place]:
            part.role = "head"
    return parts


def _reading(way: Way, unit: Unit, home: Mapping[int, Part]) -> Part | None:
    """Return the one stage that reads what is no stage of its own."""
    if unit.layers > 1:
        return None
    readers = {id(part): part for place in way.readers[unit.place] if (part := home.get(place)) is not None}
    if len(readers) != 1 and not unit.layers:
        return next((home[place] for place in sorted(way.reads[unit.place], reverse=True) if place in home), None)
    if len(readers) != 1:
        return None
    (part,) = readers.values()
    return part if not unit.layers or is_near(part.positions, unit.extent.positions) else None


def _tail(way: Way, unit: Unit, home: Mapping[int, Part]) -> Part | None:
    """Return the one stage that a lone layer reads, at its resolution, if its result goes on: a pyramid's level."""
    if unit.layers != 1 or unit.is_block or not way.readers[unit.place]:
        return None
    read = {id(part): part for place in way.reads[unit.place] if (part := home.get(place)) is not None}
    if len(read) != 1:
        return None
    (part,) = read.values()
    return part if part.role != "side" and is_near(part.positions, unit.extent.positions) else None


def _read(way: Way, unit: Unit, ending: Mapping[int, Part]) -> list[Part]:
    """Return the stages beside the main way that a unit continues: one resolution, one top-level name.

    What joins two resolutions, as a node of UNet++ (arXiv:1807.10165), continues none.
    """
    before = [ending[place] for place in sorted(way.reads[unit.place], reverse=True) if place in ending]
    if way.resolutions_read.get(unit.place, 0) > 1:
        return []
    return [part for part in before if part.units[-1].place in way.reads[unit.place] and _continues(part, unit)]


def _continues(part: Part, unit: Unit) -> bool:
    near = is_near(part.positions, unit.extent.positions) or not unit.layers
    return near and part.units[-1].path.partition(".")[0] == unit.path.partition(".")[0]
