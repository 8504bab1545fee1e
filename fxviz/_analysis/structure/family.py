"""Tell what several models consist of: the same letter means the same kind of block in all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

from fxviz._analysis.structure.build import Builder, kind_of
from fxviz._analysis.structure.kinds import Group, letter_of
from fxviz._analysis.structure.values import Family, Structure
from fxviz._graph import ArchGraph


def family_of(graphs: Sequence[ArchGraph]) -> Family:
    """Return the structures of several models. Kinds with the same steps in the same wiring have one letter."""
    builders = [Builder(graph) for graph in graphs]
    letters: dict[object, str] = {}
    groups: dict[str, list[tuple[Builder, Group]]] = {}
    structures = []
    for builder in builders:
        own: dict[str, str] = {}
        for group in builder.groups:
            if not group.letter:
                continue
            steps = _steps(builder, group)
            if steps not in letters or letters[steps] in own.values():
                letters[steps] = _unused(group.letter, own, set(letters.values()))
            own[group.letter] = letters[steps]
            groups.setdefault(letters[steps], []).append((builder, group))
        structures.append(_renamed(builder.structure(), own))
    return Family(tuple(structures), tuple(kind_of(letter, found) for letter, found in groups.items()))


def _steps(builder: Builder, group: Group) -> object:
    """Return the steps of most blocks of a group, and their shortcut."""
    signature = Counter(builder.sorter.signature(unit) for unit in group.units).most_common(1)[0][0]
    return signature, builder.sorter.shortcut(group.units[-1])


def _unused(letter: str, own: Mapping[str, str], used: set[str]) -> str:
    """Return a letter that is not used: with a prime if the kind differs from one before in its shortcut alone.

    Args:
        letter: the kind's letter in its own model.
        own: the letters of the kinds before, by those in this model.
        used: the letters of all models.

    >>> _unused("A", {}, {"A"}), _unused("B'", {"B": "D"}, {"A", "D"})
    ('B', "D'")
    """
    base = letter.rstrip("'")
    if base != letter and base in own:
        first = own[base].rstrip("'")
        return next(primed for times in count(1) if (primed := first + "'" * times) not in used)
    taken = {each.rstrip("'") for each in used}
    return next(each for number in count() if (each := letter_of(number)) not in taken)


def _renamed(structure: Structure, letters: Mapping[str, str]) -> Structure:
    """Return a structure with other letters."""
    stages = []
    for stage in structure.stages:
        runs = (
            replace(run, names=tuple(letters[name] for name in run.names)) if run.lettered else run
            for run in stage.runs
        )
        stages.append(replace(stage, runs=tuple(runs)))
    kinds = (replace(kind, letter=letters[kind.letter]) for kind in structure.kinds)
    return replace(structure, stages=tuple(stages), kinds=tuple(kinds))
