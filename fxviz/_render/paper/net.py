"""Read the rows of a block as a net: who reads whom, in which column and on which level each row stands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from fxviz._analysis.structure import Row
from fxviz._render.paper.style import is_join


@dataclass(frozen=True)
class Skip:
    """A way from row ``start`` (-1 for what enters) to the join ``end``, past other rows, perhaps through rows."""

    start: int
    end: int
    through: tuple[int, ...] = ()


@dataclass(frozen=True)
class Net:
    """The rows of a block as a net: who reads whom, and where each row stands."""

    rows: tuple[Row, ...]

    @cached_property
    def reads(self) -> list[tuple[int, ...]]:
        """Return what each row reads, without further tensors that enter the block."""
        return [tuple(read for read in row.reads if read >= -1) for row in self.rows]

    @cached_property
    def entering(self) -> list[int]:
        """Return the rows that read a further tensor from outside: a skip of a decoder, the result of an encoder."""
        return [place for place, row in enumerate(self.rows) if any(read < -1 for read in row.reads)]

    @cached_property
    def order(self) -> list[int]:
        """Return the rows in such an order that each stands behind those that it reads."""
        before = {place: [read for read in reads if read >= 0] for place, reads in enumerate(self.reads)}
        try:
            return list(TopologicalSorter(before).static_order())
        except CycleError:
            return list(range(len(self.rows)))

    @cached_property
    def levels(self) -> list[int]:
        """Return how many rows stand above each row; rows on a shortcut stand beside."""
        levels = [0] * len(self.rows)
        for place in self.order:
            reads = self.reads[place]
            above = [levels[read] + 1 if read >= 0 else 0 for read in reads if not self._is_beside(read)]
            levels[place] = max(above, default=0)
        return levels

    def _is_beside(self, row: int) -> bool:
        return row >= 0 and self.rows[row].on_shortcut

    @cached_property
    def skips(self) -> list[Skip]:
        """Return what joins read past other rows."""
        found = []
        for place, row in enumerate(self.rows):
            if not is_join(row) or len(self.reads[place]) < 2 or row.on_shortcut:
                continue
            for read in self.reads[place]:
                if self._is_beside(read):
                    found.append(Skip(self._start(read), place, tuple(self._beside(read))))
                elif any(read in self.above[other] for other in self.reads[place] if other >= 0):
                    found.append(Skip(read, place))
        return sorted(found, key=lambda skip: self.levels[skip.end] - self.top(skip.start))

    @cached_property
    def above(self) -> list[set[int]]:
        """Return what each row depends on."""
        above: list[set[int]] = [set() for _ in self.rows]
        for place in self.order:
            reads = self.reads[place]
            above[place] = set(reads).union(*(above[read] for read in reads if read >= 0))
        return above

    @cached_property
    def lanes(self) -> dict[Skip, int]:
        """Return the lane of each skip, from the rows outwards: no two in one lane pass the same rows."""
        lanes: dict[Skip, int] = {}
        for skip in self.skips:
            taken = {lanes[other] for other in lanes if self.overlap(skip, other)}
            lanes[skip] = next(lane for lane in range(len(taken) + 1) if lane not in taken)
        return lanes

    def overlap(self, one: Skip, other: Skip) -> bool:
        """Return whether two skips pass the same rows."""
        return self.top(one.start) < self.levels[other.end] and self.top(other.start) < self.levels[one.end]

    def _beside(self, row: int) -> list[int]:
        """Return a row on a shortcut and those before it there, without joins, in the order of the run."""
        found, waiting = set[int](), [row]
        while waiting:
            place = waiting.pop()
            if self._is_beside(place) and place not in found:
                found.add(place)
                waiting += self.rows[place].reads
        return [place for place in sorted(found) if len(found) == 1 or not is_join(self.rows[place])]

    def _start(self, row: int) -> int:
        """Return where a shortcut begins."""
        while self._is_beside(row):
            row = self.reads[row][0] if self.reads[row] else -1
        return row

    def top(self, row: int) -> int:
        """Return the level of a row, -1 for what enters."""
        return self.levels[row] if row >= 0 else -1

    @cached_property
    def flows(self) -> list[tuple[int, int]]:
        """Return who reads whom, apart from skips."""
        passed = {(skip.start, skip.end) for skip in self.skips}
        return [
            (read, place)
            for place, row in enumerate(self.rows)
            if not row.on_shortcut
            for read in self.reads[place]
            if not self._is_beside(read) and (read, place) not in passed
        ]

    @cached_property
    def columns(self) -> dict[int, float]:
        """Return the column of each row and of what enters (-1): a row stands below what it reads, joins amid it."""
        columns: dict[int, float] = {}
        taken: dict[int, int] = {}
        most = -1
        for place in self.order:
            if self.rows[place].on_shortcut:
                continue
            reads = [read for read, reader in self.flows if reader == place]
            if len(reads) > 1:
                columns[place] = sum(columns.get(read, 0.0) for read in reads) / len(reads)
            elif reads and not taken.get(reads[0]):
                columns[place] = columns.get(reads[0], 0.0)
            else:
                columns[place] = most + 1
            for read in reads:
                taken[read] = taken.get(read, 0) + 1
            most = max(most, int(columns[place] + 0.999))
        starts = [columns[place] for read, place in self.flows if read == -1]
        return columns | {-1: sum(starts) / len(starts) if starts else 0.0}
