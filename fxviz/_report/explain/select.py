"""What is worth saying, decided once for all languages: small values that each language puts into words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fxviz._analysis.facts import Amount, Facts, Kind, Layer, Memory, Place
from fxviz._graph import RESIDUAL_KINDS, ArchGraph, units
from fxviz._report.explain import phrases

_NAMED = 4
"""Parts, modules or layers that a sentence names before it counts."""

_SHARES = 8
"""Shares or sizes in a row before it breaks off."""

BESIDE: tuple[Place, ...] = ("shortcut", "gate")
"""Where weighted layers stand that papers do not count."""

QUIET: tuple[Kind, ...] = ("norm", "embedding")
"""Kinds of layers that papers do not count."""


@dataclass(frozen=True)
class Title:
    """What the model is; "" for what is not worth saying, or no inputs."""

    name: str
    cls: str
    source: str
    weights: str
    inputs: list[str]


def title(graph: ArchGraph) -> Title:
    """The model, its class, its source unless that is Python, its weights and inputs."""
    model = graph.model
    return Title(
        phrases.name(model.name),
        phrases.class_name(model.cls),
        "" if model.source == "python" else phrases.name(model.source),
        phrases.name(model.weights.name) if model.weights else "",
        phrases.inputs(graph),
    )


def stopped(graph: ArchGraph) -> tuple[str, str] | None:
    """The path ("" for the model itself) and the class of the module at which the run stopped; None if it is whole."""
    failure = graph.trace.failure
    return None if failure is None else (phrases.path(failure.path), phrases.name(failure.class_name))


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
    """The parts that hold most; None where there is but one, or where it takes all of them and none holds over half."""
    found, held = facts.core, sum(part.amount.params > 0 for part in facts.parts)
    if held < 2 or (len(found) == held and found[0].amount.share <= 0.5):
        return None
    names = tuple(phrases.path(part.path) for part in found) if len(found) <= _NAMED else ()
    most = found[0].amount.share
    first = units.percent(most) if 1 < len(found) <= _NAMED and most > 0.5 else ""
    return Core(names, len(found), held, units.percent(sum(part.amount.share for part in found)), first)


Shares = tuple[list[str], bool]
"""The parts that hold most with their shares, and whether there are more; none where there is but one."""


def shares(facts: Facts) -> Shares:
    """The parts that hold most parameters."""
    return _largest_parts(facts, lambda held: held.share)


def macs_shares(facts: Facts) -> Shares:
    """The parts with most MACs."""
    return _largest_parts(facts, lambda held: held.macs_share)


def time_shares(facts: Facts) -> Shares:
    """The parts that took most time."""
    return _largest_parts(facts, lambda held: held.time_share)


def _largest_parts(facts: Facts, share: Callable[[Amount], float]) -> Shares:
    held = sorted((part for part in facts.parts if share(part.amount)), key=lambda part: -share(part.amount))
    said = [f"{phrases.path(part.path)} {units.percent(share(part.amount))}" for part in held[:_SHARES]]
    return said if len(held) > 1 else [], len(held) > _SHARES


def macs_kinds(facts: Facts) -> list[tuple[Kind, str]]:
    """The kinds of layers with MACs and their shares of these, largest first; "other" are products without weights."""
    kinds = sorted(((kind, held) for kind, held in facts.kinds.items() if held.macs), key=lambda item: -item[1].macs)
    return [(kind, units.percent(held.macs_share)) for kind, held in kinds]


@dataclass(frozen=True)
class Bytes:
    """What tensors take.

    Attributes:
        traced: as they are.
        fp32: with every floating-point number in four bytes; "" where that says nothing new.
        all_fp32: whether there are floating-point numbers, and all have four bytes.
    """

    traced: str
    fp32: str
    all_fp32: bool


def weights_bytes(memory: Memory) -> Bytes:
    """What the parameters take."""
    return _bytes(memory.weights, memory.weights_fp32, memory.weight_dtypes)


def activations_bytes(memory: Memory) -> Bytes:
    """What the activations take."""
    return _bytes(memory.activations, memory.activations_fp32, memory.activation_dtypes)


def _bytes(traced: int, fp32: int, dtypes: frozenset[str]) -> Bytes:
    """Complex numbers stay as they are, so that beside them nothing but fp32 is told by neither word."""
    real = {dtype for dtype in dtypes if "complex" not in dtype}
    return Bytes(units.memory(traced), "" if real <= {"float32"} else units.memory(fp32), dtypes == {"float32"})


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
    share = phrases.share_of(layer.params, facts)
    return Largest(
        phrases.path(layer.path), phrases.name(layer.name), weight, units.hundredths(layer.params), share, equal
    )


def owners(facts: Facts) -> tuple[list[str], bool]:
    """The outermost modules that hold the parameters that are not used, and whether there are more than are named."""
    found = list(dict.fromkeys(phrases.path(parameter.name.partition(".")[0]) for parameter in facts.unused))
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
    return Shared(
        phrases.path(first), list(map(phrases.path, readers[:_NAMED])), len(readers) > _NAMED, len(facts.shared)
    )


@dataclass(frozen=True)
class Special:
    """What is unusual about convolutions: how many of them are of each sort.

    Attributes:
        groups: the numbers of groups of those that are grouped and not depthwise, in order.
        dilated: how many have which dilation above 1.
    """

    depthwise: int
    grouped: int
    groups: tuple[int, ...]
    dilated: list[tuple[str, int]]
    transposed: int


def special(found: Sequence[Layer]) -> Special:
    """What is unusual about these convolutions."""
    shapes = [layer.geometry for layer in found if layer.geometry]
    grouped = [shape.groups for shape in shapes if shape.groups > 1 and not shape.depthwise]
    return Special(
        sum(shape.depthwise for shape in shapes),
        len(grouped),
        tuple(sorted(set(grouped))),
        phrases.dilations(found),
        sum(shape.transposed for shape in shapes),
    )


def features(layers: Sequence[Layer]) -> tuple[list[tuple[str, int]], int]:
    """The first sizes of fully connected layers with how many have them, and how many sizes more there are."""
    pairs = phrases.features(layers)
    return pairs[:_SHARES], max(len(pairs) - _SHARES, 0)


@dataclass(frozen=True)
class Shortcuts:
    """The residual skips of a kind, and the parameters of the layers on them; "" where there are none."""

    kind: str
    count: int
    params: str
    share: str


def shortcuts(facts: Facts) -> list[Shortcuts]:
    """The residual skips by kind."""
    held = [(kind, facts.skips[kind], facts.skip_params.get(kind, 0)) for kind in RESIDUAL_KINDS if facts.skips[kind]]
    return [
        Shortcuts(kind, count, units.hundredths(params) if params else "", phrases.share_of(params, facts))
        for kind, count, params in held
    ]


def are_few(layers: Sequence[Layer]) -> bool:
    """Whether each layer is worth a name of its own."""
    return len(layers) <= _NAMED
