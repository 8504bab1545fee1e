"""Put the rows of large blocks together: a block inside a block is one row, and so is a branch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

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
    """Return the rows that run in each module directly inside a block, past modules that hold all of it."""
    index = tensors.index
    inner = [scope]
    while len(inner) == 1:
        calls = [step.id for step in index.steps[inner[0]] if isinstance(step, Scope)]
        if not calls:
            return []
        inner = calls
    home = {name: call for call in inner for name in index.inside[call]}
    groups: dict[int, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        calls_of_row = {home.get(steps[step].node, -1) for step in row.steps}
        if len(calls_of_row) == 1 and (call := calls_of_row.pop()) >= 0:
            groups[call].append(place)
    return list(groups.values())


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
