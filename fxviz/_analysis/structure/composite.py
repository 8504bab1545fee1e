"""Put rows together: a block inside a block, a branch, and equal rows side by side are one; tell what enters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from fxviz._analysis.structure.rows import Draft
from fxviz._analysis.structure.steps import Step
from fxviz._analysis.structure.tensors import Tensors
from fxviz._graph import Scope

MOST_ROWS = 10
"""A block with more rows than this shows the blocks and branches inside it as rows."""

PART = "part"
"""The word of a row that stands for several until it is named after them."""


def compressed(tensors: Tensors, drafts: Sequence[Draft], steps: Sequence[Step], scope: int | None) -> list[Draft]:
    """Return the rows of a block, of a large one with the modules inside it, or else its branches, as one row each."""
    rows = list(drafts)
    if len(rows) > MOST_ROWS and scope is not None:
        rows = _grouped(rows, _in_modules(tensors, rows, steps, scope))
    if len(rows) > MOST_ROWS:
        rows = _grouped(rows, _branches(rows))
    return rows


def _in_modules(tensors: Tensors, rows: Sequence[Draft], steps: Sequence[Step], scope: int) -> list[list[int]]:
    """Return the rows that run in each module directly inside a block, past modules that hold most of it."""
    groups = _by_call(tensors, rows, steps, scope)
    while len(groups) > 0:
        call = max(groups, key=lambda call: len(groups[call]))
        if len(groups[call]) < _MOST_OF_ROWS * len(rows):
            break
        groups = _by_call(tensors, rows, steps, call)
    return list(groups.values())


_MOST_OF_ROWS = 0.7
"""A module with this share of the rows tells more by what is in it."""


def _by_call(tensors: Tensors, rows: Sequence[Draft], steps: Sequence[Step], scope: int) -> dict[int, list[int]]:
    index = tensors.index
    calls = [step.id for step in index.steps[scope] if isinstance(step, Scope)]
    home = {name: call for call in calls for name in index.inside[call]}
    groups: dict[int, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        calls_of_row = {home.get(steps[step].node, -1) for step in row.steps}
        if len(calls_of_row) == 1 and (call := calls_of_row.pop()) >= 0:
            groups[call].append(place)
    return groups


def _branches(rows: Sequence[Draft]) -> list[list[int]]:
    """Return the chains of layers of which each alone reads the one before."""
    readers: dict[int, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        for read in row.reads:
            readers[read].append(place)
    chains: list[list[int]] = []
    for place, row in enumerate(rows):
        before = row.reads[0]
        follows = len(row.reads) == 1 and before >= 0 and len(readers[before]) == 1
        chain = next((chain for chain in chains if follows and chain[-1] == before), None)
        if chain is not None and _is_plain(row) and _is_plain(rows[before]):
            chain.append(place)
        else:
            chains.append([place])
    return chains


def _is_plain(row: Draft) -> bool:
    return not row.parts and ("kernel" in row.facts or row.word == "Linear")


def _grouped(rows: Sequence[Draft], groups: Sequence[Sequence[int]]) -> list[Draft]:
    """Return the rows with each group of several made one, at the place of its last row."""
    several = [group for group in groups if len(group) > 1]
    target = {place: group[-1] for group in several for place in group}
    kept = [place for place in range(len(rows)) if target.get(place, place) == place]
    number = {place: at for at, place in enumerate(kept)} | {-1: -1}
    members = {group[-1]: group for group in several}
    found = []
    for place in kept:
        group = members.get(place, [place])
        reads = {target.get(read, read) for one in group for read in rows[one].reads} - {place}
        reads = {read for read in reads if read not in group}
        draft = rows[place] if len(group) == 1 else _together([rows[one] for one in group])
        draft.reads = tuple(sorted(number[read] for read in reads)) or (-1,)
        found.append(draft)
    return found


def _together(rows: Sequence[Draft]) -> Draft:
    """Return one row for several, with the facts of the first that has heads, if any has, else of the last layer."""
    steps = sorted(step for row in rows for step in row.steps)
    facts = next((row.facts for row in rows if "heads" in row.facts), {})
    width = next((row.facts["width"] for row in reversed(rows) if row.facts.get("width")), 0)
    entering = next((row.facts["entering"] for row in rows if row.facts.get("entering")), 0)
    return Draft(PART, steps, {**facts, "entering": entering, "width": width}, parts=list(rows))


# -------------------------------------------------------------------- equal rows side by side


def folded(drafts: Sequence[Draft]) -> list[Draft]:
    """Draw equal rows that read the same as one row, as of experts: then what joins them reads but one row.

    Rows are equal if they have one word, facts and marks.
    """
    rows = list(drafts)
    changed = True
    while changed:
        changed = False
        groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for place, row in enumerate(rows):
            if row.is_layer or row.word == "×":
                groups[row.word, row.reads, tuple(row.marks), repr(row.facts), row.times].append(place)
        equal = next((group for group in groups.values() if len(group) >= _SEVERAL), None)
        if equal is not None:
            rows = _joined(rows, equal, len(equal))
            changed = True
            continue
        sums = next((pair for pair in _chained_sums(rows)), None)
        if sums is not None:
            rows = _joined(rows, sums, 1)
            changed = True
    return rows


_SEVERAL = 3
"""Fewer equal rows than this stay apart, as queries and keys."""


def _chained_sums(rows: Sequence[Draft]) -> list[list[int]]:
    """Return two sums of which the second reads the first and otherwise the same single row of several."""
    found = []
    for place, row in enumerate(rows):
        if row.word != "+":
            continue
        for read in row.reads:
            others = set(row.reads) - {read}
            reads_alike = read >= 0 and rows[read].word == "+" and others and others <= set(rows[read].reads)
            if reads_alike and all(other >= 0 and rows[other].times > 1 for other in others):
                found.append([read, place])
    return found


def _joined(rows: Sequence[Draft], group: Sequence[int], times: int) -> list[Draft]:
    """Return the rows with those at some places made one, where the first stands."""
    first = group[0]
    gone = set(group[1:])
    number: dict[int, int] = {-1: -1}
    for place in range(len(rows)):
        if place not in gone:
            number[place] = len(number) - 1
    number.update(dict.fromkeys(gone, number[first]))
    kept = []
    for place, row in enumerate(rows):
        if place in gone:
            rows[first].steps.extend(row.steps)
            continue
        kept.append(row)
    rows[first].times *= times
    for row in kept:
        own = number[next(place for place, each in enumerate(rows) if each is row)]
        row.reads = tuple(sorted({number[read] for read in row.reads} - {own})) or (-1,)
    return kept


# -------------------------------------------------------------------- what enters


def with_entering(drafts: list[Draft], steps: Sequence[Step]) -> list[Draft]:
    """Tell which of the tensors that enter a block its rows read: -1, -2, and so on.

    Joins and cross-attention may read several; of another row with a second input, only one that reads nothing else
    is told: further ones are angles of rotary positions, masks and the like.
    """
    for draft in drafts:
        entering = {read for place in draft.steps for read in steps[place].entering}
        inside = tuple(read for read in draft.reads if read >= 0)
        if draft.word in (*_JOINING, "gate") or draft.facts.get("cross"):
            draft.reads = tuple(sorted(entering, reverse=True)) + inside
        elif draft.reads[0] < 0 and not any(_reads_first(steps[place]) for place in draft.steps):
            draft.reads = inside or (max(entering, default=-1),)
        draft.on_shortcut = draft.on_shortcut and min(draft.reads) >= -1
    return drafts


def _reads_first(step: Step) -> bool:
    return -1 in step.reads and (-1 in step.entering or not step.entering)


_JOINING = ("+", "−", "×", "concat")
