"""What is worth saying, decided once for all languages: small values that each language puts into words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fxviz import units
from fxviz.explaining import telling
from fxviz.facts.values import Facts, Layer, Part
from fxviz.graph import ArchGraph

_NAMED = 4
"""Parts, modules or layers that a sentence names before it counts."""

_SHARES = 8
"""Shares in a row before it breaks off."""


@dataclass(frozen=True)
class Title:
    """What the model is; "" for what is not worth saying."""

    name: str
    cls: str
    source: str
    weights: str
    inputs: str


def title(graph: ArchGraph) -> Title:
    """The model, its class, its source unless that is Python, its weights and inputs."""
    model = graph.model
    return Title(
        telling.name(model.name),
        telling.class_name(model.cls),
        "" if model.source == "python" else telling.name(model.source),
        telling.name(model.weights.name) if model.weights else "",
        telling.inputs(graph),
    )


def stopped(graph: ArchGraph) -> tuple[str, str] | None:
    """The path ("" for the model itself) and the class of the module at which the run stopped; None if it is whole."""
    failure = graph.trace.failure
    return None if failure is None else (telling.path(failure.path), telling.name(failure.class_name))


@dataclass(frozen=True)
class Core:
    """The smallest set of parts that holds 80 % of the parameters.

    Attributes:
        names: its parts, largest first; none if they are too many to be named.
        count: how many they are, ``of`` so many parts that hold parameters.
        share: what they hold together.
        first: what the first of several holds, if that is over half of all; else "".
    """

    names: tuple[str, ...]
    count: int
    of: int
    share: str
    first: str


def core(facts: Facts) -> Core | None:
    """The parts that hold most; None where there is but one."""
    found, held = facts.core, sum(part.amount.params > 0 for part in facts.parts)
    if held < 2:
        return None
    names = tuple(telling.path(part.path) for part in found) if len(found) <= _NAMED else ()
    most = found[0].amount.share
    first = units.percent(most) if 1 < len(found) <= _NAMED and most > 0.5 else ""
    return Core(names, len(found), held, units.percent(sum(part.amount.share for part in found)), first)


def shares(facts: Facts) -> tuple[list[str], bool]:
    """The parts that hold most with their shares, and whether there are more; none where there is but one."""
    held = sorted((part for part in facts.parts if part.amount.params), key=lambda part: -part.amount.params)
    return [_shared(part, part.amount.share) for part in held[:_SHARES]] if len(held) > 1 else [], len(held) > _SHARES


def macs_shares(facts: Facts) -> list[str]:
    """The parts with most MACs with their shares of these; none where there is but one."""
    busy = sorted((part for part in facts.parts if part.amount.macs), key=lambda part: -part.amount.macs)[:_SHARES]
    return [_shared(part, part.amount.macs_share) for part in busy] if len(busy) > 1 else []


def _shared(part: Part, share: float) -> str:
    return f"{telling.path(part.path)} {units.percent(share)}"


@dataclass(frozen=True)
class Largest:
    """The layer with most parameters, the first of ``equal`` ones; ``weight`` is "" where it is not known."""

    path: str
    name: str
    weight: str
    params: str
    share: str
    equal: int


def largest(facts: Facts) -> Largest | None:
    """The largest layer; None where there are no others."""
    layer = facts.largest
    if layer is None or len(facts.layers) < 2:
        return None
    equal = sum(other.params == layer.params for other in facts.layers)
    weight = units.shape(layer.weight) if layer.weight else ""
    share = telling.share_of(layer.params, facts)
    return Largest(telling.path(layer.path), telling.name(layer.name), weight, units.count(layer.params), share, equal)


def owners(facts: Facts) -> tuple[list[str], bool]:
    """The outermost modules that hold the parameters that are not used, and whether there are more than are named."""
    found = list(dict.fromkeys(telling.path(parameter.name.partition(".")[0]) for parameter in facts.unused))
    return found[:_NAMED], len(found) > _NAMED


@dataclass(frozen=True)
class Shared:
    """A parameter that several layers read, the first of ``count``; ``more``: whether others read it than are named."""

    name: str
    readers: list[str]
    more: bool
    count: int


def shared(facts: Facts) -> Shared | None:
    """The first parameter that several layers read; None if there is none."""
    if not facts.shared:
        return None
    first, readers = next(iter(facts.shared.items()))
    return Shared(telling.path(first), list(map(telling.path, readers[:_NAMED])), len(readers) > _NAMED, len(facts.shared))


def are_few(layers: Sequence[Layer]) -> bool:
    """Whether each layer is worth a name of its own."""
    return len(layers) <= _NAMED
