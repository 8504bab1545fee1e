"""Put the steps of a block together to rows: attention, MLPs and gates are one row each, norms ride along."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fxviz._analysis.structure.steps import Reader, Step

_LARGEST_ATTENTION = 9
"""The most layers and products of a module that is taken for one attention."""

_LONGEST_WAY = 12
"""The most steps between two layers of one row."""

_POINTS = ("Linear", "Conv1")
_ELEMENTWISE = ("+", "−", "×")

_RECURS = 3
"""The fewest sums of products in a chain that are a recurrence."""

_OWN_SKIP = "+Q"
"""The mark of attention whose queries are added to its result (arXiv:2112.01526)."""


@dataclass
class Draft:
    """A row of one occurrence in the making.

    Attributes:
        word: the name without numbers: "Conv", "Attention", "MLP", "GLU", "SE", "+".
        steps: the places of its steps.
        facts: its facts, by the names of ``FACTS``.
        marks: the norms and activations that ride along.
        reads: the rows that it reads.
        on_shortcut: true if it stands on the block's shortcut.
        times: the number of equal rows that it stands for.
        parts: the rows that it stands for, if it is a block inside a block, or a branch.
    """

    word: str
    steps: list[int]
    facts: dict[str, Any] = field(default_factory=dict)
    marks: list[str] = field(default_factory=list)
    reads: tuple[int, ...] = ()
    on_shortcut: bool = False
    times: int = 1
    parts: list[Draft] = field(default_factory=list)

    @property
    def is_layer(self) -> bool:
        return "width" in self.facts or "heads" in self.facts


class Drafter:
    """Puts the steps of one block together."""

    def __init__(self, reader: Reader, steps: Sequence[Step], gate: frozenset[int], scope: int | None) -> None:
        self.reader, self.tensors, self.steps, self.gate, self.scope = reader, reader.tensors, steps, gate, scope
        self.readers: dict[int, list[int]] = defaultdict(list)
        for place, step in enumerate(steps):
            for read in step.reads:
                self.readers[read].append(place)
        self.taken: dict[int, Draft] = {}

    def drafts(self) -> list[Draft]:
        """Return the rows in the order of the run."""
        self._gates()
        self._attention()
        self._gated_units()
        self._perceptrons()
        self._mixtures()
        self._scans()
        rows: dict[int, Draft] = {}
        for place in range(len(self.steps)):
            draft = self.taken.get(place) or self._single(place)
            if draft is not None:
                rows.setdefault(id(draft), draft)
        found = sorted(rows.values(), key=lambda draft: draft.steps[0])
        self._wire(found)
        for draft in found:
            draft.on_shortcut = all(self.steps[place].node in self.reader.on_skips for place in draft.steps)
        return found

    def _wire(self, drafts: Sequence[Draft]) -> None:
        at = {place: number for number, draft in enumerate(drafts) for place in draft.steps}
        for place, step in enumerate(self.steps):
            if place not in at:  # what moves only passes on what it reads
                at[place] = at.get(step.reads[0], -1) if step.reads else -1
        for number, draft in enumerate(drafts):
            read = {at.get(source, -1) for place in draft.steps for source in self.steps[place].reads}
            draft.reads = tuple(sorted(read - {number})) or (-1,)

    def _take(self, draft: Draft) -> None:
        self.taken.update(dict.fromkeys(draft.steps, draft))

    # ---------------------------------------------------------------- single steps

    def _single(self, place: int) -> Draft | None:
        """Return the row of a step that is in none yet; a norm or activation rides with the layer that it reads."""
        step = self.steps[place]
        if step.role == "roll":
            return None
        if step.role in ("norm", "activation"):
            before = self.taken.get(step.reads[0]) if len(step.reads) == 1 and step.reads[0] >= 0 else None
            rides = before is not None and (before.is_layer or (before.word in ("+", "concat") and step.role != "norm"))
            if before is not None and (rides or self._follows_norm(before, step)):
                before.steps.append(place)
                if before.marks[-1:] != [step.word]:
                    before.marks.append(step.word)
                self.taken[place] = before
                return before
        draft = Draft(step.word, [place], {name: fact for name, fact in step.facts.items() if name != "experts"})
        self._take(draft)
        return draft

    def _follows_norm(self, before: Draft, step: Step) -> bool:
        """Return whether an activation stands behind a norm that is a row of its own."""
        return step.role == "activation" and self.steps[before.steps[0]].role == "norm"

    # ---------------------------------------------------------------- gates

    def _gates(self) -> None:
        """Make one row of each squeeze-and-excitation (arXiv:1709.01507): connected steps at one position."""
        waiting = sorted(self.gate)
        while waiting:
            first = waiting[0]
            part = [first]
            for place in waiting[1:]:
                if any(read in part for read in self.steps[place].reads):
                    part.append(place)
            waiting = [place for place in waiting if place not in part]
            layers = [self.steps[place] for place in part if self.steps[place].role == "layer"]
            if not layers:
                continue
            facts = {name: layers[0].facts[name] for name in ("entering",) if name in layers[0].facts}
            hidden = layers[0].facts.get("width")
            if len(layers) > 1 and hidden and facts.get("entering"):
                facts |= {"hidden": hidden, "ratio": hidden / facts["entering"]}
                ahead = next((step for step in self.steps if step.role == "layer"), layers[0])
                facts["input_ratio"] = hidden / ahead.facts.get("entering", facts["entering"])
            self._take(Draft("SE" if len(layers) > 1 else "gate", part, facts))

    # ---------------------------------------------------------------- attention

    def _attention(self) -> None:
        """Make one row of each attention, with the layers that make queries, keys and values, and the one behind."""
        for place, step in enumerate(self.steps):
            if step.role != "attention":
                continue
            region = {each for each in self._region(place) if each not in self.taken}
            layers = [self.steps[each] for each in sorted(region) if self.steps[each].role == "layer"]
            facts = dict(step.facts)
            if layers:
                facts |= {"width": layers[-1].facts.get("width", 0)}
                facts |= {"entering": layers[0].facts.get("entering", 0)}
            is_added = any(self.steps[each].node in self.reader.joins for each in region)
            self._take(Draft("Attention", sorted(region), facts, [_OWN_SKIP] if is_added else []))

    def _region(self, place: int) -> set[int]:
        """Return the steps that are one row with an attention; a module with weights has all in it."""
        node = self.tensors.node(self.steps[place].node)
        if node.kind == "module" and node.params:
            return {place}
        region = {place} | self._in_module(place) | self._projections(place)
        region |= self._behind(place, region)
        return self._without_ends(region | self._within(region), place)

    def _without_ends(self, region: set[int], core: int) -> set[int]:
        """Return the steps of an attention without norms ahead of its layers, and without those past a skip's join.

        A join of the attention's own queries, which stays, has its fork inside.
        """
        reads = {place: [read for read in self.steps[place].reads if read in region] for place in region}
        nodes = {self.steps[place].node for place in region}
        skips = self.reader.joins
        gone: set[int] = set()
        for place in sorted(region):
            skip = skips.get(self.steps[place].node)
            if skip is not None and skip.fork not in nodes:
                gone |= _reached(reads, place) if place < core else {place}
            gone |= {place} if place > core and not gone.isdisjoint(reads[place]) else set()
        fed = {core}
        for place in sorted(region - gone):
            if self.steps[place].role in ("layer", "roll") or not fed.isdisjoint(reads[place]):
                fed.add(place)
        return fed

    def _in_module(self, place: int) -> set[int]:
        """Return the steps in the module whose own code computes the attention, if it holds nothing else."""
        scope = self.tensors.node(self.steps[place].node).scope
        if scope == self.scope or not scope:
            return set()
        inside = set(self.tensors.index.inside[scope])
        found = {each for each, step in enumerate(self.steps) if step.node in inside}
        cores = sum(self.steps[each].role == "attention" for each in found)
        heavy = sum(name in self.tensors.heavy for name in inside)
        is_whole = len(found) == len(self.steps)
        return set() if cores != 1 or heavy > _LARGEST_ATTENTION or is_whole else found

    def _projections(self, place: int) -> set[int]:
        """Return the nearest layers before an attention, with what stands between."""
        found: set[int] = set()

        def back(at: int, way: tuple[int, ...]) -> None:
            for read in self.steps[at].reads:
                if read < 0 or read in self.taken or read in way or len(way) > _LONGEST_WAY:
                    continue
                if self.steps[read].role == "layer":
                    found.update((*way, read))
                elif self.steps[read].role in ("norm", "activation", "join", "roll") and read not in found:
                    back(read, (*way, read))

        back(place, ())
        return found

    def _behind(self, place: int, region: set[int]) -> set[int]:
        """Return the layer that alone reads an attention, past norms and activations."""
        way: list[int] = []
        at = place
        while len(self.readers[at]) == 1 and len(way) < 3:
            at = self.readers[at][0]
            way.append(at)
            if self.steps[at].word in _POINTS:
                return set(way)
            if self.steps[at].role not in ("norm", "activation", "roll") and not self._adds(at, region, way):
                break
        return set()

    def _within(self, region: set[int]) -> set[int]:
        """Return the steps that only read an attention's own steps, and that only these read."""
        return {
            place
            for place in range(min(region), max(region))
            if self.readers[place]
            and region.issuperset(self.steps[place].reads)
            and region.issuperset(self.readers[place])
        }

    def _adds(self, place: int, region: set[int], way: Sequence[int]) -> bool:
        """Return whether a sum adds one of the projections to the result, as pooled queries (arXiv:2112.01526)."""
        step = self.steps[place]
        return step.word == "+" and all(read in region or read in way for read in step.reads)

    # ---------------------------------------------------------------- MLPs

    def _gated_units(self) -> None:
        """Make one row of each gated linear unit (arXiv:2002.05202): two linear layers or halves, multiplied."""
        for place, step in enumerate(self.steps):
            if step.word != "×" or place in self.taken or not 1 <= len(step.reads) <= 2:
                continue
            ways = [self._to_linear(read) for read in step.reads]
            behind = self._to_next(place)
            if None in ways or behind is None or self.steps[behind[-1]].word not in _POINTS:
                continue
            before = sorted({each for way in ways if way for each in way})
            if any(
                read in before for each in before if self.steps[each].role == "layer" for read in self.steps[each].reads
            ):
                continue
            steps = [*before, place, *behind]
            if any(each in self.taken for each in steps) or not self._has_activation(before):
                continue
            first, last = self.steps[before[0]], self.steps[steps[-1]]
            facts = _of_mlp(first, last)
            self._take(Draft("GLU", steps, facts, self._words(steps, "activation")))

    def _has_activation(self, places: Sequence[int]) -> bool:
        return any(self.steps[place].role == "activation" for place in places)

    def _words(self, places: Sequence[int], role: str) -> list[str]:
        return [self.steps[place].word for place in places if self.steps[place].role == role]

    def _to_linear(self, place: int) -> list[int] | None:
        """Return the steps back to a linear layer, past activations and norms; None if it is not near."""
        way: list[int] = []
        while place >= 0 and len(way) < 4:
            way.append(place)
            step = self.steps[place]
            if step.word in _POINTS:
                return way
            if step.word == "×":  # an activation by hand: x sigmoid(x)
                ways = [self._to_linear(read) for read in step.reads]
                same = {each[-1] for each in ways if each}
                return [*way, *sorted({e for each in ways if each for e in each})] if len(same) == 1 else None
            if step.role not in ("activation", "norm") or len(step.reads) != 1:
                return None
            place = step.reads[0]
        return None

    def _to_next(self, place: int) -> list[int] | None:
        """Return the steps on to the next layer, past norms; None if several steps read one of them."""
        way: list[int] = []
        while len(self.readers[place]) == 1 and len(way) < 3:
            place = self.readers[place][0]
            way.append(place)
            if self.steps[place].role == "layer":
                return way
            if self.steps[place].role != "norm":
                return None
        return None

    def _perceptrons(self) -> None:
        """Make one row of each pair of linear layers, or convolutions of one position, around an activation."""
        for place, step in enumerate(self.steps):
            if step.word not in _POINTS or place in self.taken:
                continue
            way = self._to_second(place)
            if way is None or any(each in self.taken for each in way):
                continue
            marks = [
                *self._words(way, "activation"),
                *(f"{word} {_kernel(self, way)}" for word in self._depthwise(way)),
            ]
            self._take(Draft("MLP", [place, *way], _of_mlp(step, self.steps[way[-1]]), marks))

    # ---------------------------------------------------------------- recurrences

    def _scans(self) -> None:
        """Make one row of what a recurrence by hand adds and multiplies, step by step: ``h = a * h + b``."""
        waiting = [
            place
            for place, step in enumerate(self.steps)
            if step.word in _ELEMENTWISE
            and place not in self.taken
            and (step.node not in self.reader.joins or len(step.reads) > _RECURS)
        ]
        while waiting:
            part = [waiting[0]]
            for place in waiting[1:]:
                if not set(part).isdisjoint(self.steps[place].reads):
                    part.append(place)
            waiting = [place for place in waiting if place not in part]
            length = self._recurs(part)
            if length >= _RECURS:
                self._take(Draft("scan", part))

    def _recurs(self, part: Sequence[int]) -> int:
        """Return how often a sum follows a product in a chain of steps."""
        longest: dict[int, int] = {}
        for place in part:
            before = [(longest[read], self.steps[read].word) for read in self.steps[place].reads if read in longest]
            is_sum = self.steps[place].word != "×"
            longest[place] = max((times + (is_sum and word == "×") for times, word in before), default=0)
        return max(longest.values())

    # ---------------------------------------------------------------- experts

    def _mixtures(self) -> None:
        """Make one row of each mixture of experts (arXiv:1701.06538): a router, and matrices stacked in parameters."""
        for draft in {id(draft): draft for draft in self.taken.values()}.values():
            experts = int(self.steps[draft.steps[0]].facts.get("experts", 0))
            router = self._router(draft, experts) if experts and draft.word in ("MLP", "GLU") else None
            if router is None:
                continue
            ahead = (read for place in draft.steps for read in self.steps[place].reads)
            steps = {*draft.steps, router, *(read for read in ahead if self._is_weighted(read, router))}
            for place in range(min(steps), len(self.steps)):
                step = self.steps[place]
                is_combining = step.role in ("join", "pool", "activation") and step.node not in self.reader.joins
                if place not in self.taken and is_combining and steps.issuperset(step.reads):
                    steps.add(place)
            draft.steps = sorted(steps)
            draft.word = f"MoE {draft.word}"
            draft.facts |= {"experts": experts, "top": self._chosen(router, experts)}
            self._take(draft)

    def _router(self, draft: Draft, experts: int) -> int | None:
        """Return the nearest layer before the last step of some experts that makes a score for each of them."""
        scoring = (
            place
            for place in range(len(self.steps) - 1, -1, -1)
            if place not in self.taken
            and self.steps[place].role == "layer"
            and self.steps[place].facts.get("width") == experts
            and any(
                read in self.steps[place].reads or self._is_weighted(read, place)
                for each in draft.steps
                for read in self.steps[each].reads
            )
        )
        return next(scoring, None)

    def _is_weighted(self, place: int, router: int) -> bool:
        """Return whether a step multiplies what enters experts by a router's scores."""
        return place >= 0 and self.steps[place].word == "×" and router in self.steps[place].reads

    def _chosen(self, router: int, experts: int) -> int:
        """Return how many experts a token is sent to: the size of a choice among the scores; 0 if it is unknown."""
        tensors, waiting = self.tensors, [self.steps[router].node]
        told = tensors.node(waiting[0]).settings.get("top_k")
        if isinstance(told, int):
            return told
        for name in waiting:
            if tensors.op(name) == "topk":
                return tensors.shape(name)[-1]
            if len(waiting) < _LONGEST_WAY and tensors.shape(name)[-1:] == (experts,):
                waiting += [user for user in tensors.users.get(name, ()) if user not in waiting]
        return 0

    def _depthwise(self, way: Sequence[int]) -> list[str]:
        return [self.steps[place].word for place in way if self.steps[place].word == "DW"]

    def _to_second(self, place: int) -> list[int] | None:
        word = self.steps[place].word
        way: list[int] = []
        while len(self.readers[place]) == 1 and len(way) < _LONGEST_WAY:
            following = self.readers[place][0]
            step = self.steps[following]
            if len(step.reads) != 1:
                return None
            way.append(following)
            if step.word == word:
                is_same_size = all(size == 1 for size in step.facts.get("stride", ()))
                return way if self._has_activation(way) and is_same_size else None
            is_mixing = step.word == "DW" and word == "Linear"
            if step.role not in ("norm", "activation") and not is_mixing:
                return None
            place = following
        return None


def _reached(reads: Mapping[int, Sequence[int]], start: int) -> set[int]:
    """Return a step and all that it depends on."""
    found, waiting = {start}, [start]
    while waiting:
        new = set(reads[waiting.pop()]) - found
        found |= new
        waiting += new
    return found


def _kernel(drafter: Drafter, way: Sequence[int]) -> str:
    sizes = next(drafter.steps[place].facts["kernel"] for place in way if drafter.steps[place].word == "DW")
    return "×".join(map(str, sizes))


def _of_mlp(first: Step, last: Step) -> dict[str, Any]:
    entering, hidden = first.facts.get("entering", 0), last.facts.get("entering", 0)
    facts = {"entering": entering, "hidden": hidden, "width": last.facts.get("width", 0)}
    return {**facts, "expansion": hidden / entering} if entering else facts


def drafts_of(reader: Reader, steps: Sequence[Step], gate: frozenset[int], scope: int | None) -> list[Draft]:
    """Return the rows of a block."""
    return Drafter(reader, steps, gate, scope).drafts()
