"""Format names, sizes and counts alike in all languages."""

from __future__ import annotations

from collections.abc import Sequence

from fxviz._analysis.facts import Facts
from fxviz._graph import ArchGraph, units
from fxviz._graph.errors import short_path, shown

_NAME = 60


def name(text: str) -> str:
    """Return a name from the model, cut where it would fill the line."""
    return shown(text, _NAME)


def path(text: str) -> str:
    """Return a dotted path from the model; a long one keeps its end."""
    return short_path(text)


def class_name(cls: str) -> str:
    """Return the class without its Python module."""
    return name(cls.rpartition(".")[2])


def exact(value: int, brackets: str = " ()") -> str:
    """Return a count, rounded and then in full within ``brackets``.

    >>> exact(11_689_512), exact(640), exact(11_689_512, "（）")
    ('11.69M (11,689,512)', '640', '11.69M（11,689,512）')
    """
    return f"{units.hundredths(value)}{brackets[:-1]}{value:,}{brackets[-1]}" if value >= 1000 else str(value)


def sizes(values: Sequence[int]) -> str:
    """Return sizes as papers write them: ``3×3``."""
    return "×".join(map(str, values))


def stride(values: Sequence[int]) -> str:
    """Return one number if all directions have the same, else all of them."""
    return str(values[0]) if len(set(values)) == 1 else sizes(values)


def inputs(graph: ArchGraph) -> list[str]:
    """Return the names and shapes of the inputs: ``x 1×3×224×224``."""
    return [f"{name(key)} {units.shape(tensor.shape)}" for key, tensor in graph.trace.inputs.items()]


def share_of(params: int, facts: Facts) -> str:
    """Return a number of parameters as a share of those that the run uses."""
    return units.percent(params / facts.used_params) if facts.used_params else "0%"
