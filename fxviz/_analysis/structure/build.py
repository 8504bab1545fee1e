"""Build the structure of a model from its units, kinds, stages and layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from math import isqrt, prod

from fxviz._analysis.structure.attention import cores_of
from fxviz._analysis.structure.composite import compressed, folded, with_entering
from fxviz._analysis.structure.kinds import Group, Sorter
from fxviz._analysis.structure.layout import layout_of, levels_of, measured
from fxviz._analysis.structure.parts import Part, is_near, parts_of
from fxviz._analysis.structure.rows import Draft, drafts_of
from fxviz._analysis.structure.steps import Reader, norm_word, sizes_word
from fxviz._analysis.structure.tensors import Extent, Tensors
from fxviz._analysis.structure.units import Unit, units_of
from fxviz._analysis.structure.values import Kind, Link, LinkKind, Occurrence, Run, Stage, Structure
from fxviz._analysis.structure.way import Way
from fxviz._analysis.structure.words import kind_word, lone_words, rows_of, side_of
from fxviz._graph import RESIDUAL_KINDS, SKIP_KINDS, ArchGraph, Skip
from fxviz._graph.operations import is_norm, plain_name

_FEW = 4
"""More steps of pooling and resizing than this in one stage are not listed."""

_LEAST_DRAWN = 0.03
"""A part that stands once and has a smaller share of the parameters is not drawn."""

_LONGEST_PERIOD = 4
"""The most blocks that alternate."""


class Builder:
    """Builds the structure of one graph."""

    def __init__(self, graph: ArchGraph) -> None:
        self.graph = graph
        self.tensors = Tensors(graph)
        self.units = units_of(self.tensors)
        self.cores = cores_of(self.tensors)
        self.reader = Reader(self.tensors, self.cores)
        self.sorter = Sorter(self.tensors, self.reader)
        self.way = Way(self.tensors, self.units, self.cores)
        self.groups = self.sorter.groups(self.units, self.way.on_way())
        self.letters = {unit.place: group.letter for group in self.groups for unit in group.units}
        self.parts = parts_of(self.way, self.groups)
        self.home = self._homes()
        self.total = max(1, graph.traced_params)

    def structure(self) -> Structure:
        """Return the structure."""
        stages = self._stages()
        kinds = tuple(kind_of(group.letter, [(self, group)]) for group in self.groups if group.letter)
        measures = measured(self.way, self.parts, self.groups)
        layout, reason = layout_of(measures, stages, kinds, self.groups)
        links, lone = self._links(), self._lone(stages)
        return Structure(self.graph.model.name, layout, reason, stages, kinds, links, self._untold(links), lone)

    def _lone(self, stages: Sequence[Stage]) -> tuple[Kind, ...]:
        """Return the parts of stem and heads that are worth a drawing: blocks with branches and many parameters."""
        found = []
        for group in self.groups:
            (unit, *others) = group.units
            if group.letter or others or unit.params < _LEAST_DRAWN * self.total:
                continue
            kind = kind_of(stages[self.occurrence(unit).stage].title, [(self, group)])
            if sum(row.reads == (-1,) for row in kind.rows) > 1:
                found.append(kind)
        return tuple(found)

    # ---------------------------------------------------------------- nodes and stages

    def _homes(self) -> dict[str, int]:
        """Return the stage of each node but inputs and outputs; a parameter is where it is first read."""
        stage_of = {unit.place: place for place, part in enumerate(self.parts) for unit in part.units}
        home = {name: stage_of[unit.place] for name, unit in self.way.unit_of.items()}
        for node in reversed(self.graph.nodes):
            if node.id in home or node.kind in ("input", "output"):
                continue
            users = [home[user] for user in self.tensors.index.users[node.id] if user in home]
            if users or self.parts:
                home[node.id] = min(users) if users else len(self.parts) - 1
        return home

    def _stages(self) -> tuple[Stage, ...]:
        nodes: list[list[str]] = [[] for _ in self.parts]
        for node in self.graph.nodes:
            if node.id in self.home:
                nodes[self.home[node.id]].append(node.id)
        levels = levels_of([part.positions for part in self.parts])
        stages = [self._stage(part, found, level) for part, found, level in zip(self.parts, nodes, levels, strict=True)]
        return tuple(_titled(stages))

    def _stage(self, part: Part, nodes: Sequence[str], level: int) -> Stage:
        extent = self._leaving(part, nodes)
        found = [self.tensors.node(name) for name in nodes]
        params = sum(node.params for node in found)
        calls = max((node.call for node in found if node.kind == "module" and node.uses), default=0) + 1
        blocks = [unit for unit in part.units if self.letters.get(unit.place)]
        return Stage(
            title="",
            path=_common_path([unit.path for unit in blocks or part.units]),
            role=part.role,
            level=level,
            lane=part.lane,
            entering=part.units[0].entering.channels,
            channels=extent.channels,
            size=extent.size,
            runs=self._runs(part.units),
            params=params,
            macs=sum(node.least_macs for node in found),
            share=params / self.total,
            calls=calls,
            nodes=tuple(nodes),
        )

    def _leaving(self, part: Part, nodes: Sequence[str]) -> Extent:
        """Return the extent of what leaves a stage: the last result that is read outside, at its resolution."""
        inside = set(nodes)
        for name in reversed(nodes):
            users = self.tensors.users.get(name)
            is_read = users is not None and not inside.issuperset(users) and self.tensors.flow.is_floating(name)
            if is_read and is_near(self.tensors.extent(name).positions, part.positions):
                return self.tensors.extent(name)
        return part.units[-1].extent

    def _runs(self, units: Sequence[Unit]) -> tuple[Run, ...]:
        """Return what units are. Pooling and resizing between calls of the same blocks, or much of it, is left out."""
        again = len({unit.path for unit in units if unit.is_block}) < sum(unit.is_block for unit in units)
        again = again or sum(not unit.layers for unit in units) > _FEW
        named: list[tuple[str, bool]] = []
        for unit in units:
            if unit.layers or (not again and self._resamples(unit)):
                letter = self.letters.get(unit.place)
                words = letter or self._words(unit)
                named += [(words, bool(letter))] if words else []
            for words in self._added(unit):
                if words[0] == "+" and named and not named[-1][1]:
                    named[-1] = (f"{named[-1][0]} {words}", False)
                else:
                    named.append((words, False))
        runs: list[Run] = []
        for place in range(len(named)):
            if place and named[place][1] == named[place - 1][1] and named[place][1]:
                continue
            if named[place][1]:
                letters = [name for name, lettered in _while_lettered(named[place:])]
                runs += repeats(letters)
            elif runs and not runs[-1].lettered and runs[-1].names == (named[place][0],):
                runs[-1] = replace(runs[-1], times=runs[-1].times + 1)
            else:
                runs.append(Run((named[place][0],), 1, False))
        return tuple(runs)

    def _words(self, unit: Unit) -> str:
        if unit.streams is not None:
            return "fuse"
        read = [node for node in map(self.graph.by_id.__getitem__, unit.nodes) if node.uses]
        if not read and unit.layers and not self.way.has_weights(unit):
            return "product"
        is_tied = unit.layers == 1 and not unit.params and bool(read) and not any(node.call for node in read)
        words = lone_words(self.drafts(unit), [unit.cls] if unit.cls else [])
        if not words:
            return "product" if unit.layers else unit.cls
        return f"{self._patches(unit)}{words}{' (tied)' if is_tied else ''}"

    def _resamples(self, unit: Unit) -> bool:
        return any(step.role in ("pool", "resize") for step in self.sorter.steps(unit))

    def _patches(self, unit: Unit) -> str:
        """Return the sizes of the patches that a linear layer makes one position of each; "" if it makes none."""
        first = next((step for step in self.sorter.steps(unit) if step.role == "layer"), None)
        if first is None or first.word != "Linear" or unit.layers > 1 or not unit.entering.channels:
            return ""
        into = self.tensors.extent(first.node)
        factor, rest = divmod(unit.entering.positions, max(1, into.positions))
        if rest or factor < 2 or first.facts.get("entering") != factor * unit.entering.channels:
            return ""
        sizes = unit.entering.size
        if len(into.size) == len(sizes) > 1:
            return (
                f"Patches {sizes_word([one // max(1, other) for one, other in zip(sizes, into.size, strict=True)])}, "
            )
        side = isqrt(factor)
        return f"Patches {side}×{side}, " if side * side == factor and len(sizes) == 2 else ""

    def _added(self, unit: Unit) -> Iterator[str]:
        """Yield what stands behind a unit with parameters and no layer: learned tokens, positions, the last norm."""
        behind = unit.beside if self.letters.get(unit.place) else (*unit.nodes, *unit.beside)
        for name in behind:
            node = self.graph.by_id[name]
            if node.kind != "module" and (op := plain_name(node.op)) in ("cat", "add"):
                for rows in self._learned(name):
                    if op == "cat":
                        yield "+token" if rows == 1 else f"+{rows} tokens"
                    elif rows > 1:
                        yield "+position" if rows >= self.tensors.extent(name).positions else "+embedding"
            elif unit is self._last_block and name in unit.beside and is_norm(node) and node.uses:
                yield norm_word(node)

    def _learned(self, name: str) -> Iterator[int]:
        """Yield the numbers of vectors that a step reads from parameters alone: of tables, those that may be looked up.

        Tables that are looked up by constants count, too, as those of positions.
        """
        graph, channels = self.graph, self.tensors.extent(name).channels
        for parameter in graph.index.parameters_read(graph.by_id[name]):
            shape = parameter.outputs[0].shape if parameter.outputs else ()
            if shape[-1:] == (channels,):
                yield prod(shape) // max(1, channels)
        for source in graph.index.sources[name]:
            rows = graph.by_id[source].settings.get("num_embeddings")
            if source not in self.tensors.sources and isinstance(rows, int):
                yield rows

    @cached_property
    def _last_block(self) -> Unit | None:
        return next((unit for unit in reversed(self.way.on_way()) if self.letters.get(unit.place)), None)

    def drafts(self, unit: Unit) -> list[Draft]:
        sorter = self.sorter
        steps = sorter.steps(unit)
        drafts = folded(drafts_of(self.reader, steps, sorter.gate(unit), unit.scope))
        return with_entering(compressed(self.tensors, drafts, steps, unit.scope), steps)

    # ---------------------------------------------------------------- kinds

    def params(self, unit: Unit, drafts: Sequence[Draft]) -> list[int] | None:
        """Return the parameters of each row of a block; None if some belong to no row.

        A node that is in no row counts in the first row that reads it.
        """
        steps = self.sorter.steps(unit)
        row_of = {steps[place].node: row for row, draft in enumerate(drafts) for place in draft.steps}
        inside, amounts = set(unit.nodes), [0] * len(drafts)
        for name in unit.nodes:
            if not (params := self.graph.by_id[name].params):
                continue
            at: str | None = name
            while at is not None and at not in row_of:
                at = next((user for user in self.graph.index.users[at] if user in inside), None)
            if at is None:
                return None
            amounts[row_of[at]] += params
        return amounts

    def occurrence(self, unit: Unit) -> Occurrence:
        stage = self.home[next(name for name in unit.nodes if name in self.home)]
        return Occurrence(
            unit.path, stage, unit.entering.channels, unit.extent.channels, unit.extent.size, unit.params, unit.macs,
            unit.nodes,
        )  # fmt: skip

    # ---------------------------------------------------------------- links and skips

    def _untold(self, links: Sequence[Link]) -> tuple[Skip, ...]:
        """Return the skips that end in no row of a kind and are no link."""
        told = {step for unit in self.units if self.letters.get(unit.place) for step in self._joins_told(unit)}
        across = {(link.source, link.target) for link in links if link.kind in SKIP_KINDS}
        return tuple(
            skip
            for skip in self.graph.skips
            if skip.join not in told and (self.home.get(skip.fork), self.home.get(skip.join)) not in across
        )

    def _joins_told(self, unit: Unit) -> Iterator[str]:
        """Yield the nodes that join in a row of a block: of more than one thing, or within a gate or attention.

        Behind the last of the blocks whose results are joined, a concatenation is one of theirs.
        """
        steps = self.sorter.steps(unit)
        if self.sorter.shortcut(unit) == "concat":
            yield from unit.beside
        for draft in self.drafts(unit):
            for row in draft.parts or (draft,):
                joins = [step for place in row.steps if (step := steps[place]).role == "join"]
                if len(row.reads) > 1 or row.word not in ("+", "−", "concat"):
                    yield from (step.node for step in joins)

    def _links(self) -> tuple[Link, ...]:
        """Return what stages hand to one another, each tensor once for each stage that reads it, apart from skips."""
        links: dict[tuple[int, int, str, bool], Link] = {}
        lanes: dict[int, list[int]] = {}
        for place, part in enumerate(self.parts):
            lanes.setdefault(part.lane, []).append(place)
        following = {one: other for places in lanes.values() for one, other in pairwise(places)}
        for name, sources in self.tensors.sources.items():
            target = self.home.get(name) if name in self.tensors.needed else None
            for source in sources:
                start = self.home.get(source)
                if start is None or target is None or start == target:
                    continue
                extent = self.tensors.extent(source)
                kind = self._link_kind(source, name, following.get(start) == target)
                key = start, target, source, kind in SKIP_KINDS
                links.setdefault(key, Link(start, target, kind, source, extent.channels, extent.size))
        return tuple(links.values())

    def _link_kind(self, source: str, target: str, is_next: bool) -> LinkKind:
        skip = self.way.skip_at.get((source, target))
        if skip is not None and (skip.kind not in RESIDUAL_KINDS or self.way.passes_units(skip)):
            return skip.kind
        if (source, target) in self.way.crossing:
            return "cross"
        return "flow" if is_next else "tap"


def kind_of(letter: str, groups: Sequence[tuple[Builder, Group]]) -> Kind:
    """Return a kind: a group of one model, or groups of several; its share is that of the parameters of them all."""
    units = [(builder, unit) for builder, group in groups for unit in group.units]
    drafts = [builder.drafts(unit) for builder, unit in units]
    entering = [unit.entering.channels for _, unit in units]
    leaving = [unit.extent.channels for _, unit in units]
    rows, symbols = rows_of(drafts, entering, leaving)
    held = [builder.params(unit, each) for (builder, unit), each in zip(units, drafts, strict=True)]
    if all(amounts is not None and len(amounts) == len(rows) for amounts in held):
        sums = [sum(column) for column in zip(*(amounts for amounts in held if amounts is not None), strict=True)]
        rows = tuple(replace(row, params=amount) for row, amount in zip(rows, sums, strict=True))
    last, unit = units[-1]
    shortcut = last.sorter.shortcut(unit)
    occurrences = tuple(builder.occurrence(unit) for builder, unit in units)
    params = sum(occurrence.params for occurrence in occurrences)
    members = tuple(dict.fromkeys(unit.cls for _, unit in units))
    return Kind(
        letter=letter,
        word=kind_word(rows, members, any(unit.residual for _, unit in units)),
        members=members,
        rows=rows,
        symbols=symbols.names,
        shortcut=shortcut,
        occurrences=occurrences,
        params=params,
        macs=sum(occurrence.macs for occurrence in occurrences),
        share=params / sum(builder.total for builder, _ in groups),
    )


def _while_lettered(named: Sequence[tuple[str, bool]]) -> list[tuple[str, bool]]:
    found = []
    for each in named:
        if not each[1]:
            break
        found.append(each)
    return found


def repeats(letters: Sequence[str]) -> list[Run]:
    """Return the shortest writing of letters as repetitions of one to four.

    >>> [run.text for run in repeats(list("ABABABC"))], [run.text for run in repeats(["A", "A'", "A'"])]
    (['(A B)×3', 'C'], ['A', "A'×2"])
    """
    cost, last = [0], [Run((), 0, True)]
    alike: dict[int, list[int]] = {period: [0] for period in range(1, _LONGEST_PERIOD + 1)}
    for stop in range(1, len(letters) + 1):
        found: list[tuple[int, Run]] = []
        for period in range(1, _LONGEST_PERIOD + 1):
            start = stop - period
            again = start >= period and letters[start - period : start] == letters[start:stop]
            most = alike[period][start] + 1 if again else 1
            alike[period].append(most if start >= 0 else 0)
            for times in {1, most} if start >= 0 else ():
                if period == 1 or times > 1:
                    run = Run(tuple(letters[start:stop]), times, True)
                    found.append((cost[stop - period * times] + 2 * period + 1, run))
        amount, run = min(found, key=lambda pair: pair[0])
        cost.append(amount)
        last.append(run)
    runs: list[Run] = []
    stop = len(letters)
    while stop:
        runs.append(last[stop])
        stop -= len(last[stop].names) * last[stop].times
    return runs[::-1]


def _common_path(paths: Sequence[str]) -> str:
    """Return the path of the modules around all.

    >>> _common_path(["layer1.0", "layer1.1"]), _common_path(["fc"])
    ('layer1', 'fc')
    """
    known = list(dict.fromkeys(path for path in paths if path))
    if len(known) < 2:
        return known[0] if known else ""
    split = [path.split(".") for path in known]
    common: list[str] = []
    for names in zip(*split, strict=False):
        if len(set(names)) > 1:
            break
        common.append(names[0])
    return ".".join(common)


def _titled(stages: Sequence[Stage]) -> list[Stage]:
    """Return the stages with their titles: "stem", "stage 1", "head"; beside the main way their paths.

    Stages in modules that are named after what they are for have these names, and so have several heads.
    """
    named = [stage.role == "stage" or (stage.role == "side" and stage.blocks > 0) for stage in stages]
    sides = [side_of(stage.path) if is_named else "" for stage, is_named in zip(stages, named, strict=True)]
    if len(set(filter(None, sides))) < 2:
        sides = [""] * len(stages)
    heads = _heads(stages)
    names = [sides[place] or heads.get(place) or stage.role for place, stage in enumerate(stages)]
    several, count = Counter(names), Counter[str]()
    found = []
    for stage, name in zip(stages, names, strict=True):
        count[name] += 1
        number = f" {count[name]}" if name == "stage" or several[name] > 1 else ""
        title = stage.path if name == "side" and stage.path else f"{name}{number}"
        found.append(replace(stage, title=title))
    return found


def _heads(stages: Sequence[Stage]) -> dict[int, str]:
    """Return the names of the modules of heads by place, if there are several that differ in these."""
    names = {place: _spoken(stage.path) for place, stage in enumerate(stages) if stage.role == "head"}
    return names if len(set(names.values())) == len(names) > 1 and all(names.values()) else {}


def _spoken(path: str) -> str:
    """Return the last name in a path as one says it, past numbers; "" if there is none.

    >>> _spoken("roi_heads.box_head.0"), _spoken("rpn"), _spoken("7")
    ('box head', 'RPN', '')
    """
    names = [name for name in path.split(".") if name.strip("_") and not name.strip("_").isdigit()]
    name = names[-1] if names else ""
    return name.upper() if name.isalpha() and len(name) <= _ABBREVIATED else name.replace("_", " ")


_ABBREVIATED = 3
"""Names of modules that are as short are abbreviations."""
