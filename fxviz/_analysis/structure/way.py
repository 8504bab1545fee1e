"""Find the main way through a run: the units that most layers follow one another on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise

from fxviz._analysis.structure.attention import Core, cross_edges
from fxviz._analysis.structure.tensors import Tensors, resolutions
from fxviz._analysis.structure.units import Unit
from fxviz._graph import Skip

_DEEP = 0.6
"""A skip passes lower resolutions if positions fall below this share of those at its end."""


class Way:
    """The units of a run, how they read one another, and which of them are on the main way."""

    def __init__(self, tensors: Tensors, units: Sequence[Unit], cores: Mapping[str, Core]) -> None:
        self.tensors = tensors
        self.units = units
        self.crossing = cross_edges(tensors, cores)
        self.unit_of = {name: unit for unit in units for name in (*unit.nodes, *unit.beside)}
        self.cut, self.skip_at = self._cut()
        self._passing: dict[Skip, bool] = {}
        self.reads = self._reads(self.cut | self._mutual())
        self.main = self._main()

    def _cut(self) -> tuple[frozenset[tuple[str, str]], dict[tuple[str, str], Skip]]:
        """Return the edges that arrive at a join past a body, and the skips that arrive by them."""
        tensors = self.tensors
        cut: set[tuple[str, str]] = set()
        for name, sources in tensors.sources.items():
            if len(sources) > 1 and tensors.op(name) in ("add", "cat", "mul", "sub"):
                late = max(sources, key=tensors.position.__getitem__)
                cut |= {
                    (source, name) for source in sources if source != late and tensors.flow.is_ancestor(source, late)
                }
        skips: dict[tuple[str, str], Skip] = {}
        for skip in tensors.graph.skips:
            way = (skip.fork, *skip.through, skip.join)
            sources = tensors.sources.get(skip.join, ())
            if way[-2] in sources:
                skips |= dict.fromkeys(pairwise(way), skip)
                if len(sources) > 1:
                    cut.add((way[-2], skip.join))
        return frozenset(cut), skips

    @cached_property
    def across(self) -> tuple[Skip, ...]:
        """Return the skips of a U: past lower resolutions, and concatenations of other units within these."""
        tensors, place = self.tensors, self.tensors.position
        apart = [skip for skip in tensors.graph.skips if skip.kind != "gate" and self.passes_units(skip)]
        deep = [skip for skip in apart if self._least(skip) < _DEEP * tensors.extent(skip.join).positions]
        ends = [(place[skip.fork], place[skip.join]) for skip in deep]
        return tuple(
            skip
            for skip in apart
            if skip in deep
            or (
                skip.kind == "concat"
                and any(fork < place[skip.fork] and place[skip.join] < join for fork, join in ends)
            )
        )

    def _least(self, skip: Skip) -> int:
        """Return the fewest positions, but for single vectors, of what a skip passes."""
        body = (self.tensors.extent(name).positions for name in self.tensors.index.between(skip.fork, skip.join))
        return min((positions for positions in body if positions > 1), default=1 << 60)

    def has_weights(self, unit: Unit) -> bool:
        """Return whether a unit reads parameters."""
        index = self.tensors.index
        nodes = (self.tensors.node(name) for name in unit.nodes)
        return any(node.uses or next(index.parameters_read(node), None) is not None for node in nodes)

    def passes_units(self, skip: Skip) -> bool:
        """Return whether a skip passes a unit with layers that holds neither its fork nor its join."""
        if skip not in self._passing:
            ends = self.unit_of.get(skip.fork), self.unit_of.get(skip.join)
            body = (self.unit_of.get(name) for name in self.tensors.index.between(skip.fork, skip.join))
            self._passing[skip] = any(unit is not None and unit.layers and unit not in ends for unit in body)
        return self._passing[skip]

    @cached_property
    def resolutions_read(self) -> dict[int, int]:
        """Return how many resolutions each unit with layers reads from others, past single ways without layers."""
        origin: dict[str, frozenset[tuple[int, int]]] = {}
        read: dict[int, set[int]] = defaultdict(set)
        for name, sources in self.tensors.sources.items():
            unit = self.unit_of.get(name)
            if unit is not None and unit.layers:
                read[unit.place] |= {at for source in sources for place, at in origin[source] if place != unit.place}
                origin[name] = frozenset(((unit.place, self.tensors.extent(name).positions),))
            else:
                origin[name] = origin[sources[0]] if len(sources) == 1 else frozenset()
        return {place: resolutions(positions) for place, positions in read.items()}

    @cached_property
    def cross(self) -> int:
        """Count the edges by which keys of cross-attention come from another unit."""
        places = ((self.unit_of.get(one), self.unit_of.get(other)) for one, other in self.crossing)
        return len({other.place for one, other in places if one is not None and other is not None and one != other})

    def _mutual(self) -> set[tuple[str, str]]:
        """Return the edges by which streams attend to each other: each goes on along its own queries."""
        lists: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
        for source, target in self.crossing:
            if source in self.unit_of and target in self.unit_of:
                lists[self.unit_of[source].list, self.unit_of[target].list].add((source, target))
        mutual = {name for one, other in lists if one != other and (other, one) in lists for name in (one, other)}
        return {edge for (_, reader), edges in lists.items() if reader in mutual for edge in edges}

    @cached_property
    def readers(self) -> dict[int, list[int]]:
        """Return the units that read each unit, also by skips."""
        found: dict[int, list[int]] = {unit.place: [] for unit in self.units}
        for place, read in self._reads(frozenset()).items():
            for source in sorted(read):
                found[source].append(place)
        return found

    def _reads(self, cut: frozenset[tuple[str, str]]) -> dict[int, set[int]]:
        """Return the units that each unit reads, past what belongs to none, by other edges than those cut."""
        reads: dict[int, set[int]] = {unit.place: set() for unit in self.units}
        origins: dict[str, frozenset[int]] = {}
        for name, sources in self.tensors.sources.items():
            unit = self.unit_of.get(name)
            read = [source for source in sources if (source, name) not in cut]
            before: frozenset[int] = frozenset().union(*(origins[source] for source in read))
            if unit is None:
                origins[name] = before
            else:
                reads[unit.place] |= {place for place in before if place < unit.place}
                origins[name] = frozenset((unit.place,))
        return reads

    def _main(self) -> frozenset[int]:
        """Return the units on the way that passes most layers; of equal ways most parameters, then the later."""
        best: dict[int, tuple[int, int, int | None]] = {}
        for unit in self.units:
            read = self.reads[unit.place]
            maps = {place for place in read if self.units[place].extent.positions > 1}
            # A single vector that is added to a map, as the embedding of a time step, is not what the map is made of.
            read = maps if maps and unit.extent.positions > 1 else read
            before = max(read, key=lambda place: (*best[place][:2], place), default=None)
            layers, params = best[before][:2] if before is not None else (0, 0)
            best[unit.place] = layers + unit.layers, params + unit.params, before
        place = max(best, key=lambda place: (*best[place][:2], place), default=None)
        found = set()
        while place is not None:
            found.add(place)
            place = best[place][2]
        return frozenset(found)

    def on_way(self) -> list[Unit]:
        return [unit for unit in self.units if unit.place in self.main]
