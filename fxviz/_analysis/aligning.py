"""Which steps of one module's forward are which of another's: an alignment in order.

Needleman, Wunsch: A general method applicable to the search for similarities in the amino acid sequence of two proteins (1970).
"""

from __future__ import annotations

from collections.abc import Sequence

from fxviz._analysis.tree import Step

_EQUAL, _NAMED_TOO = 600, 1
"""Points for each unit of weight of two equal steps, and if they have one name: few, so that what was inserted is found."""

_SHARED, _ALIKE, _NAMED = 200, 80, 60
"""The same of two steps that differ: for what both hold, for what is of one class, and if they have one name."""

Pairs = list[tuple[int, int]]


def align(old: Sequence[Step], new: Sequence[Step]) -> Pairs:
    """The places of the steps that belong together, in order.

    Equal steps belong together before alike ones, and among these the earlier ones, so that what was inserted or appended is
    found as such and does not shift all that follows. A name that both have is that of one and the same module, unless it is
    the number of a place in a list.

    Args:
        old, new: the steps of a module's forward in two models.
    """
    both = {name for name in {step.name for step in old} & {step.name for step in new} if not name.isdecimal()}
    start = 0
    while start < min(len(old), len(new)) and _is_same(old[start], new[start]):
        start += 1
    rest = _best(old[start:], new[start:], both)
    return [*((at, at) for at in range(start)), *((start + one, start + other) for one, other in rest)]


def _is_same(one: Step, other: Step) -> bool:
    return (one.signature, one.name) == (other.signature, other.name)


def _may_pair(one: Step, other: Step, both: set[str]) -> bool:
    """Whether names allow it: one that both models have is that of one module."""
    return one.name == other.name or not ({one.name, other.name} & both)


def _best(old: Sequence[Step], new: Sequence[Step], both: set[str]) -> Pairs:
    """The pairs with the most points; of equally good ones the earliest. What is called again and again is weighed once."""
    known: dict[tuple[int, str, int, str], int] = {}

    def weigh(one: Step, other: Step) -> int:
        key = one.signature, one.name, other.signature, other.name
        if key not in known:
            known[key] = _points(one, other, both)
        return known[key]

    points = [[weigh(one, other) for other in new] for one in old]
    best = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for at in range(len(old) - 1, -1, -1):
        for place in range(len(new) - 1, -1, -1):
            without = max(best[at + 1][place], best[at][place + 1])
            together = points[at][place]
            best[at][place] = max(without, together + best[at + 1][place + 1]) if together else without
    return list(_walk(points, best))


def _walk(points: list[list[int]], best: list[list[int]]) -> Pairs:
    one = other = 0
    found: Pairs = []
    while one < len(points) and other < len(points[one]):
        if points[one][other] and best[one][other] == points[one][other] + best[one + 1][other + 1]:
            found.append((one, other))
            one, other = one + 1, other + 1
        elif best[one][other] == best[one + 1][other]:
            one += 1
        else:
            other += 1
    return found


def _points(one: Step, other: Step, both: set[str]) -> int:
    """How much speaks for two steps being one and the same; 0 if they cannot be."""
    if (one.scope is None) != (other.scope is None) or not _may_pair(one, other, both):
        return 0
    same_name = one.name == other.name
    if one.signature == other.signature:
        return (_EQUAL + _NAMED_TOO * same_name) * one.weight
    equal, alike = _shared(one, other)
    largest = max(one.weight, other.weight)
    if not _is_enough(one, other, equal + alike, largest):
        return 0
    return _SHARED * equal + _ALIKE * alike + _NAMED * same_name * min(one.weight, other.weight)


def _shared(one: Step, other: Step) -> tuple[int, int]:
    """The weight of what both hold, equal and of one class only."""
    if one.scope is None:
        return 0, min(one.weight, other.weight) if one.cls == other.cls else 0
    shared = one.content & other.content
    equal = sum(weight for (how, _), weight in shared.items() if how == "equal")
    return equal, sum(weight for (how, _), weight in shared.items() if how == "alike") - equal


def _is_enough(one: Step, other: Step, shared: int, largest: int) -> bool:
    """Modules of one class share a quarter unless they have one name; those of two classes have one name and share half."""
    if one.cls == other.cls:
        return one.scope is None or one.name == other.name or 4 * shared >= largest
    return one.scope is not None and one.name == other.name and 2 * shared >= largest
