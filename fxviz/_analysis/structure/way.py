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


class Way:
    """The units of a run, how they read one another, and which of them are on the main way."""

    def __init__(self, tensors: Tensors, units: Sequence[Unit], cores: Mapping[str, Core]) -> None:
        self.tensors = tensors
        self.units = units
        self.crossing = cross_edges(tensors, cores)
        self.unit_of = {name: unit for unit in units for name in (*unit.nodes, *unit.beside)}
        self.cut, self.skip_at = self._cut()
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
            before = max(self.reads[unit.place], key=lambda place: (*best[place][:2], place), default=None)
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
