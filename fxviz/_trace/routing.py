"""Follow the choice of a router through a run: which rows go to which expert, and which weights are applied to them.

A router chooses ``count`` of ``experts`` for each token (``topk``, ``argmax``). Whatever it chooses, all experts
together get tokens x count rows. What is known of a tensor is a :class:`Fact`: that it holds chosen numbers of
experts, that it marks the entries of an expert, that its rows were selected by such marks, or that it is a view of
parameters. An operation that is not known here ends what is known.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor

from fxviz._graph.values import MacsBound
from fxviz._sources.torch_private import number_in
from fxviz._trace.tensors import tensors_in

Labels = tuple[str, ...]
"""One word for each dimension: "choice" runs over the experts chosen for a token, "expert" over all; else ""."""


@dataclass
class Choice:
    """One choice of a router.

    Attributes:
        experts: the number of experts to choose from.
        count: the number chosen for each token.
        seen: the experts that rows were selected for; -1 stands for all at once.
        rounded_up: whether an expert got a row though fewer than one was due to it.
        read: scalars of each parameter that is applied to the rows of an expert.
        stacked: scalars of the parameters with a part for each expert, which is looked up by the expert's number.
        matrices: whether there is a matrix for each expert among these: else they are tables of vectors.
    """

    experts: int
    count: int
    seen: set[int] = field(default_factory=set)
    rounded_up: bool = False
    read: dict[int, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    stacked: dict[str, int] = field(default_factory=dict)
    matrices: bool = False

    def rows(self, entries: Fraction, expert: int) -> int:
        """Return how many of the entries go to an expert, if they are spread evenly; at least one."""
        each, left = divmod(int(entries), self.experts)
        self.seen.add(expert)
        due = each + (expert < left)
        self.rounded_up = self.rounded_up or not due
        return max(due, 1)

    def note_use(self, expert: int, sizes: Mapping[str, int]) -> None:
        """Note parameters that are applied to the rows of an expert."""
        for name, size in sizes.items():
            self.read[expert][name] = max(size, self.read[expert].get(name, 0))

    def note_stacked(self, weights: Tensor, sizes: Mapping[str, int]) -> None:
        """Note parameters with a part for each expert, which is looked up by the expert's number."""
        self.stacked |= sizes
        self.matrices = self.matrices or weights.dim() > 2

    def expert_parameters(self, parameters: Mapping[str, int]) -> dict[str, int] | None:
        """Return the scalars in the experts' parameters; None where these are not alike and apart from each other."""
        held = {name: parameters[name] for name in self.stacked} if self.matrices else {}
        if not self.read:
            return held
        met: Counter[str] = Counter()
        for sizes in self.read.values():
            met.update(sizes)
        alike = len(self.read) == self.experts and len({sum(sizes.values()) for sizes in self.read.values()}) == 1
        return held | met if alike and all(size == parameters[name] for name, size in met.items()) else None

    def all_rows(self, entries: Fraction) -> int:
        """Return how many of the entries go to all experts."""
        self.seen.add(-1)
        return int(entries)

    @property
    def covers_all(self) -> bool:
        """Return whether rows were selected for all experts or for none."""
        return not self.seen or -1 in self.seen or self.seen >= set(range(self.experts))


@dataclass(frozen=True)
class Fact:
    """What is known of a tensor.

    Attributes:
        kind: "chosen": numbers of experts; "numbers": all of them in order; "marks": not zero where an expert was
            chosen, and only there; "counts": rows of each expert; "rows": rows selected for an expert; "weights": made
            of parameters; "zeros": zeros, in which marks may be written.
        choice: the choice; None for weights, numbers and zeros.
        labels: of chosen numbers and marks.
        share: the share of the entries that is marked.
        expert: the expert that is marked, or that the rows go to.
        sizes: the scalars of each parameter that a tensor is made of.
    """

    kind: Literal["chosen", "numbers", "marks", "counts", "rows", "weights", "zeros"]
    choice: Choice | None = None
    labels: Labels = ()
    share: Fraction = Fraction(1)
    expert: int | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)


class Routing:
    """Follows every choice of a run.

    Args:
        names: the names of parameters by the ``id`` of the tensor.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self._facts: dict[int, tuple[Tensor, Fact]] = {}
        self._choices: list[Choice] = []
        self._used_by_others: set[str] = set()

    def follow(self, func: Any, args: tuple[Any, ...], result: Any) -> None:
        """Note what is known of the result of an operation: nothing where it is called in a way not known here."""
        name = func.overloadpacket.__name__
        try:
            if name in _CHOICES:
                self._choose(name, args, result)
            else:
                read = [(tensor, self._of(tensor)) for tensor in tensors_in(args)]
                self._note_uses(read)
                self._note(result[0] if name == "sort" else result, _passed_on(name, args, read, result))
        except (ArithmeticError, LookupError, TypeError, ValueError):
            self._note(result, None)

    def rows(self, marks: Tensor) -> int | None:
        """Return how many entries of a mask are true if experts get equally many; None if it marks no experts."""
        fact = self._of(marks)
        if fact is None or fact.kind != "marks" or fact.choice is None:
            return None
        entries = marks.numel() * fact.share * fact.choice.experts
        if fact.expert is not None:
            return fact.choice.rows(entries, fact.expert) if entries else 0
        return fact.choice.all_rows(entries / marks.shape[fact.labels.index("expert")])

    def foresees(self, args: tuple[Any, ...]) -> bool:
        """Return whether a result that depends on these arguments only tells which experts were chosen."""
        masks = [tensor for tensor in tensors_in(args) if tensor.dtype is torch.bool] or list(tensors_in(args[:1]))
        facts = [self._of(mask) for mask in masks]
        told = ("marks", "counts") if masks[0].dtype is torch.bool else ("marks",)
        return all(fact is not None and fact.kind in told for fact in facts)

    def release(self) -> None:
        """Let go of the tensors of which something is known."""
        self._facts.clear()

    @property
    def bound(self) -> MacsBound:
        """Return what the rows that were counted add up to, whatever the router chooses: "about" if not to all."""
        if not all(choice.covers_all for choice in self._choices):
            return "about"
        return "most" if any(choice.rounded_up for choice in self._choices) else "exact"

    def idle(self, parameters: Mapping[str, int]) -> int:
        """Count the scalars in parameters that are not applied to a token; 0 where that is not certain.

        It is certain if every expert has parameters of its own, equally many, that are applied to no other rows.
        """
        found: dict[str, Fraction] = {}
        for choice in self._choices:
            held = choice.expert_parameters(parameters)
            if held is None or not found.keys().isdisjoint(held):
                return 0
            found |= {name: size * (1 - Fraction(choice.count, choice.experts)) for name, size in held.items()}
        return 0 if not self._used_by_others.isdisjoint(found) else int(sum(found.values()))

    # ---------------------------------------------------------------- one operation

    def _of(self, tensor: Tensor) -> Fact | None:
        name = self._names.get(id(tensor))
        if name is not None:
            return Fact("weights", sizes={name: tensor.numel()})
        known = self._facts.get(id(tensor))
        return None if known is None else known[1]

    def _note(self, result: Any, fact: Fact | None) -> None:
        for tensor in tensors_in(result):
            if fact is not None:
                self._facts[id(tensor)] = (tensor, fact)
            else:
                self._facts.pop(id(tensor), None)

    def _choose(self, name: str, args: tuple[Any, ...], result: Any) -> None:
        """Begin to follow the numbers that a router returns, where it chooses along a dimension."""
        scores, chosen = args[0], result[1] if isinstance(result, (tuple, list)) else result
        place, dim = _CHOICES[name]
        if place is not None and len(args) > place:
            dim = args[place]
        if not isinstance(dim, int) or scores.dim() == 0:
            return
        dim, kept = dim % scores.dim(), chosen.dim() == scores.dim()
        choice = Choice(scores.shape[dim], chosen.shape[dim] if kept else 1)
        if choice.count < choice.experts:
            self._choices.append(choice)
            labels = tuple("choice" if place == dim else "" for place in range(scores.dim()) if kept or place != dim)
            self._note(chosen, Fact("chosen", choice, labels, Fraction(1, choice.experts)))

    def _note_uses(self, read: list[tuple[Tensor, Fact | None]]) -> None:
        """Note which parameters are applied to the rows of an expert, and which to others."""
        weights = [(tensor, fact) for tensor, fact in read if fact is not None and fact.kind == "weights"]
        if not weights or len(weights) == len(read):
            return
        others = [fact for _, fact in read if fact is None or fact.kind != "weights"]
        routed = [fact for fact in others if fact is not None and fact.choice is not None]
        group = _only({(id(fact.choice), fact.expert): fact for fact in routed if fact.kind == "rows"}.values())
        chosen = _only({id(fact.choice): fact for fact in routed if fact.kind in ("chosen", "counts")}.values())
        for tensor, fact in weights:
            if group is not None and group.choice is not None and group.expert is not None:
                group.choice.note_use(group.expert, fact.sizes)
            elif chosen is not None and chosen.choice is not None and tensor.shape[:1] == (chosen.choice.experts,):
                chosen.choice.note_stacked(tensor, fact.sizes)
            else:
                self._used_by_others.update(fact.sizes)


_CHOICES: dict[str, tuple[int | None, int | None]] = {
    "topk": (2, -1),
    "argmax": (1, None),
    "max": (1, None),
    "multinomial": (None, -1),
}
"""Operations that choose along a dimension, with the place of that argument and its default."""

_WRITES = ("index_add", "index_put", "_index_put_impl", "index_copy", "scatter", "scatter_add", "scatter_reduce")
_ZEROS = ("zeros", "zeros_like", "new_zeros", "zero", "full", "full_like", "new_full", "fill")
_SAME = ("clone", "_to_copy", "alias", "detach", "contiguous", "lift_fresh", "expand")
_CUTS = ("select", "slice", "unbind", "split", "split_with_sizes", "chunk")
_RESHAPES = ("view", "_unsafe_view", "reshape", "flatten")


def _only(facts: Any) -> Fact | None:
    found = list(facts)
    return found[0] if len(found) == 1 else None


def _passed_on(name: str, args: tuple[Any, ...], read: list[tuple[Tensor, Fact | None]], result: Any) -> Fact | None:
    """Return what is known of the result of an operation."""
    plain, facts = name.rstrip("_"), [fact for _, fact in read if fact is not None and fact.kind != "zeros"]
    if plain in _WRITES:
        return _after_write(plain, args, read)
    if name == "arange" and (len(args) == 1 or (args[0] == 0 and args[2:] in ((), (1,)))):
        return Fact("numbers")
    if plain in _ZEROS and ("zero" in plain or number_in(args[-1]) == 0):
        return Fact("zeros")
    if not facts:
        return read[0][1] if len(read) == 1 and plain in (*_SAME, *_RESHAPES) else None
    if len(facts) == len(read) and all(fact.kind == "weights" for fact in facts):
        return _made_of(plain, facts, result)
    rows = {(id(fact.choice), fact.expert): fact for fact in facts if fact.kind == "rows"}
    if rows:
        return _only(rows.values())
    if name == "eq" and [fact.kind for fact in facts] == ["chosen", "numbers"]:
        return _compared(facts[0], args[0].shape, result.shape)
    routed = [fact for fact in facts if fact.kind != "weights"]
    if len(routed) != 1 or len(routed) != len(facts):
        return None
    fact = routed[0]
    if fact.kind in ("counts", "numbers"):
        return fact if fact.kind == "counts" or plain in (*_SAME, *_RESHAPES, "unsqueeze") else None
    if fact.kind == "marks" and plain in ("nonzero", "index", "masked_select"):
        return replace(fact, kind="rows", labels=())
    if read[0][1] is not fact:
        return None
    return _of_marks(plain, fact, args, result) if fact.kind == "marks" else _of_chosen(plain, fact, args, result)


def _after_write(name: str, args: tuple[Any, ...], read: list[tuple[Tensor, Fact | None]]) -> Fact | None:
    """Return what is known of a tensor after a write at some positions: marks, if these are chosen numbers."""
    before, index = read[0][1], read[1][1] if len(read) > 1 else None
    if index is None or index.kind != "chosen" or not name.startswith("scatter"):
        return None if before is None or before.kind == "zeros" else before
    if before is None or before.kind != "zeros":
        return before
    if name != "scatter":
        return replace(index, kind="counts", labels=())
    labels = index.labels or ("",)
    dim = args[1] % len(labels)
    sizes, whole = tuple(args[2].shape) or (1,), tuple(args[0].shape)
    if number_in(args[3]) == 0 or sizes[:dim] + sizes[dim + 1 :] != whole[:dim] + whole[dim + 1 :]:
        return None
    labels = tuple("expert" if place == dim else label for place, label in enumerate(labels))
    return replace(index, kind="marks", labels=labels, share=index.share * sizes[dim])


def _made_of(name: str, facts: list[Fact], result: Any) -> Fact:
    """Return the parameters that a tensor is made of; part of one if it was cut out of that."""
    sizes = {parameter: size for fact in facts for parameter, size in fact.sizes.items()}
    if name in _CUTS and len(sizes) == 1:
        part = next(tensors_in(result)).numel()
        sizes = {parameter: min(size, part) for parameter, size in sizes.items()}
    return Fact("weights", sizes=sizes)


def _of_chosen(name: str, fact: Fact, args: tuple[Any, ...], result: Any) -> Fact | None:
    """Return what is known of a tensor that an operation makes from chosen numbers."""
    if name == "eq":
        expert = number_in(args[1])
        if expert is None or not float(expert).is_integer():
            return None
        present = fact.choice is not None and 0 <= expert < fact.choice.experts
        return replace(fact, kind="marks", expert=int(expert), share=fact.share * present)
    if name in ("histc", "bincount"):
        return replace(fact, kind="counts", labels=())
    if name == "sort":
        return replace(fact, labels=("",) * len(fact.labels))
    labels = _moved(name, fact.labels, args, result)
    return None if labels is None else replace(fact, labels=labels)


def _of_marks(name: str, fact: Fact, args: tuple[Any, ...], result: Any) -> Fact | None:
    """Return what is known of a tensor that an operation makes from marks."""
    if name in ("any", "sum", "amax"):
        return _reduced(fact, args, result)
    if name in ("gt", "ne"):
        return fact if number_in(args[1]) == 0 else None
    labels = _moved(name, fact.labels, args, result)
    if labels is None or (fact.expert is None and "expert" not in labels and name != "select"):
        return None
    if name == "select" and fact.expert is None and fact.labels[args[1]] == "expert":
        expert = int(args[2]) % args[0].shape[args[1]]
        present = fact.choice is not None and expert < fact.choice.experts
        return replace(fact, labels=labels, expert=expert, share=fact.share * present)
    return replace(fact, labels=labels) if fact.expert is not None or "expert" in labels else None


def _compared(fact: Fact, before: Any, after: Any) -> Fact | None:
    """Return the marks that chosen numbers leave among all numbers, which run along one new or stretched dimension."""
    added = len(after) - len(before)
    labels, sizes = ("",) * added + fact.labels, (1,) * added + tuple(before)
    grown = [place for place, (size, now) in enumerate(zip(sizes, after, strict=True)) if size != now]
    if len(grown) != 1 or fact.choice is None or after[grown[0]] < fact.choice.experts:
        return None
    return replace(fact, kind="marks", labels=(*labels[: grown[0]], "expert", *labels[grown[0] + 1 :]))


def _reduced(fact: Fact, args: tuple[Any, ...], result: Any) -> Fact | None:
    """Reduce over the experts chosen for one token, of which at most one is marked; or count over all tokens."""
    if len(args) < 2 or args[1] is None or args[1] == []:
        return replace(fact, kind="counts", labels=())
    if not fact.labels:
        return fact
    dims = {dim % len(fact.labels) for dim in (args[1] if isinstance(args[1], (list, tuple)) else [args[1]])}
    labels = tuple(label for place, label in enumerate(fact.labels) if place not in dims)
    if result.dim() == len(fact.labels):
        labels = tuple("" if place in dims else label for place, label in enumerate(fact.labels))
    if all(fact.labels[dim] == "choice" for dim in dims):
        return replace(fact, labels=labels, share=fact.share * prod(args[0].shape[dim] for dim in dims))
    return replace(fact, kind="counts", labels=()) if "expert" in labels else None


def _moved(name: str, labels: Labels, args: tuple[Any, ...], result: Any) -> Labels | None:
    """Return the labels after an operation that only moves or casts entries; None after any other."""
    places = list(labels)
    if name in _SAME:
        return labels if result.dim() == len(labels) else None
    if name == "slice":
        cuts_experts = any(
            label == "expert" and args[0].shape[place] != result.shape[place] for place, label in enumerate(labels)
        )
        return None if cuts_experts else labels
    if name in ("permute", "t", "transpose"):
        order = list(range(len(labels)))
        if name == "permute":
            order = [dim % len(labels) for dim in args[1]]
        elif len(labels) > 1:
            first, second = (args[1], args[2]) if name == "transpose" else (0, 1)
            order[first], order[second] = order[second], order[first]
        return tuple(labels[place] for place in order)
    if name == "unsqueeze":
        places.insert(args[1] % (len(labels) + 1), "")
        return tuple(places)
    if name == "squeeze":
        dims = args[1] if len(args) > 1 else range(len(labels))
        removed = {dim % max(len(labels), 1) for dim in ([dims] if isinstance(dims, int) else dims)}
        return tuple(label for place, label in enumerate(labels) if place not in removed or args[0].shape[place] != 1)
    if name == "select":
        del places[args[1]]
        return tuple(places)
    return _reshaped(labels, args[0].shape, result.shape) if name in _RESHAPES else None


def _reshaped(labels: Labels, before: Any, after: Any) -> Labels:
    """Keep the labels of the first and of the last dimensions whose sizes stay.

    >>> _reshaped(("", "", "choice"), (2, 5, 3), (10, 3))
    ('', 'choice')
    """
    kept = [""] * len(after)
    for place in range(min(len(before), len(after))):
        if before[-1 - place] != after[-1 - place]:
            break
        kept[-1 - place] = labels[-1 - place]
    return tuple(kept)
