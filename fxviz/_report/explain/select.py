"""Select what is worth saying about a graph, once for all languages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fxviz._analysis.facts import KINDS, WEIGHTED, Amount, Facts, Kind, Layer, Memory, Place, Stage
from fxviz._graph import RESIDUAL_KINDS, ArchGraph, units
from fxviz._graph.values import ResidualKind
from fxviz._report.explain import formats

_NAMED = 4
"""Parts, modules or layers that a sentence names before it counts them."""

_SHARES = 8
"""Shares or sizes in a row before it breaks off."""

_CHAIN = 40
"""Convolutions of which the output channels are listed one by one."""

KindCounts = list[tuple[Kind, int]]
SizeCounts = list[tuple[str, int]]


# ---------------------------------------------------------------- the model and its structure


@dataclass(frozen=True)
class Title:
    """The model; "" for what is not worth saying."""

    name: str
    cls: str
    source: str
    weights: str
    inputs: list[str]


def title(graph: ArchGraph) -> Title:
    """Return the model, its class, its source unless that is Python, its weights and inputs."""
    model = graph.model
    return Title(
        formats.name(model.name),
        formats.class_name(model.cls),
        "" if model.source == "python" else formats.name(model.source),
        formats.name(model.weights.name) if model.weights else "",
        formats.inputs(graph),
    )


def stopped(graph: ArchGraph) -> tuple[str, str] | None:
    """Return the path ("" for the model itself) and the class of the module where the run stopped, if it did."""
    failure = graph.trace.failure
    return None if failure is None else (formats.path(failure.path), formats.name(failure.class_name))


def counted(facts: Facts) -> KindCounts:
    """Count the weighted layers on the main path by kind."""
    return _counts(facts, "main", WEIGHTED)


def uncounted(facts: Facts) -> list[tuple[Place, KindCounts]]:
    """Count the layers that papers leave out: weighted ones beside the main path, norms and embeddings anywhere."""
    beside: list[tuple[Place, KindCounts]] = [(place, _counts(facts, place, WEIGHTED)) for place in _BESIDE]
    anywhere: list[tuple[Place, KindCounts]] = [("main", _counts(facts, None, (kind,))) for kind in _QUIET]
    return [(place, kinds) for place, kinds in (*beside, *anywhere) if kinds]


_BESIDE: tuple[Place, ...] = ("shortcut", "gate")
_QUIET: tuple[Kind, ...] = ("norm", "embedding")


def _counts(facts: Facts, place: Place | None, kinds: Iterable[Kind]) -> KindCounts:
    return [(kind, len(found)) for kind in kinds if (found := facts.of_kind(kind, place))]


def deepest(facts: Facts) -> KindCounts:
    """Count the layers of the longest chain by kind."""
    return [(kind, count) for kind in WEIGHTED if (count := facts.depth.kinds.get(kind, 0))]


def owners(facts: Facts) -> tuple[list[str], bool]:
    """Return the outermost modules that hold unused parameters, and whether there are more than are named."""
    found = list(dict.fromkeys(formats.path(parameter.name.partition(".")[0]) for parameter in facts.unused))
    return found[:_NAMED], len(found) > _NAMED


@dataclass(frozen=True)
class Shared:
    """A parameter that several layers read, the first of ``count``; ``more``: whether others read it than are named."""

    name: str
    readers: list[str]
    more: bool
    count: int


def shared(facts: Facts) -> Shared | None:
    """Return the first parameter that several layers read; None if there is none."""
    if not facts.shared:
        return None
    first, readers = next(iter(facts.shared.items()))
    return Shared(
        formats.path(first), list(map(formats.path, readers[:_NAMED])), len(readers) > _NAMED, len(facts.shared)
    )


# ---------------------------------------------------------------- where the parameters are


@dataclass(frozen=True)
class Core:
    """The smallest set of parts that holds 80 % of the parameters.

    Attributes:
        names: its parts, largest first; none if they are too many to be named.
        count: the number of its parts, out of ``of`` parts that hold parameters.
        share: their share together.
        first: the share of the first of several, if that is over half of all; else "".
        most: the share of the largest part, if the parts are so many that naming some tells nothing; else "".
    """

    names: tuple[str, ...]
    count: int
    of: int
    share: str
    first: str
    most: str = ""


def core(facts: Facts) -> Core | None:
    """Return the parts that hold most; None for a single part, or where all are needed and none holds over half."""
    found, parts = facts.core, sum(part.amount.params > 0 for part in facts.parts)
    if parts < 2 or (len(found) == parts and found[0].amount.share <= 0.5):
        return None
    names = tuple(formats.path(part.path) for part in found) if len(found) <= _NAMED else ()
    most = found[0].amount.share
    first = units.percent(most) if 1 < len(found) <= _NAMED and most > 0.5 else ""
    held = sum(part.amount.share for part in found)
    spread = not names and sum(part.amount.share for part in found[:_SHARES]) < _TELLING
    return Core(names, len(found), parts, units.percent(held), first, units.percent(most) if spread else "")


_TELLING = 0.25
"""The parts that hold most are named if they hold at least this share together."""

Shares = tuple[list[str], bool]
"""The parts that hold most with their shares, and whether there are more; none where there is but one, or too many."""


def shares(facts: Facts) -> Shares:
    """Return the parts that hold most parameters."""
    return _largest_parts(facts, lambda amount: amount.share)


def macs_shares(facts: Facts) -> Shares:
    """Return the parts with most MACs."""
    return _largest_parts(facts, lambda amount: amount.macs_share)


def time_shares(facts: Facts) -> Shares:
    """Return the parts that took most time."""
    return _largest_parts(facts, lambda amount: amount.time_share)


def _largest_parts(facts: Facts, share: Callable[[Amount], float]) -> Shares:
    parts = sorted((part for part in facts.parts if share(part.amount)), key=lambda part: -share(part.amount))
    named = [f"{formats.path(part.path)} {units.percent(share(part.amount))}" for part in parts[:_SHARES]]
    tells = len(parts) > 1 and sum(share(part.amount) for part in parts[:_SHARES]) >= _TELLING
    return named if tells else [], len(parts) > _SHARES


def kinds_with_params(kinds: Mapping[Kind, Amount]) -> list[tuple[Kind, Amount]]:
    """Return the kinds of layers that hold parameters, largest first."""
    found = [(kind, kinds[kind]) for kind in KINDS if kind in kinds and kinds[kind].params]
    return sorted(found, key=lambda item: -item[1].params)


def kinds_with_macs(facts: Facts) -> list[tuple[Kind, str]]:
    """Return the kinds of layers with MACs and their shares, largest first; "other" are products without weights."""
    found = sorted((item for item in facts.kinds.items() if item[1].macs), key=lambda item: -item[1].macs)
    return [(kind, units.percent(amount.macs_share)) for kind, amount in found]


def rivals(facts: Facts) -> tuple[Kind, Kind] | None:
    """Return convolutions and fully connected layers, the larger kind first, if it holds over half of all."""
    kinds: list[Kind] = ["convolution", "linear"]
    if facts.attention is not None or not all(kind in facts.kinds and facts.kinds[kind].params for kind in kinds):
        return None
    larger, smaller = sorted(kinds, key=lambda kind: -facts.kinds[kind].params)
    return (larger, smaller) if facts.kinds[larger].share > 0.5 else None


def only_layer(facts: Facts, kind: Kind) -> str:
    """Return the path of the only layer of a kind; "" if there are several."""
    found = facts.of_kind(kind)
    return formats.path(found[0].path) if len(found) == 1 else ""


@dataclass(frozen=True)
class LargestLayer:
    """The layer with most parameters, the first of ``equal`` ones; ``weight`` is "" where it is not known."""

    path: str
    name: str
    weight: str
    params: str
    share: str
    equal: int


def largest_layer(facts: Facts) -> LargestLayer | None:
    """Return the largest layer; None where there are no others."""
    layer = facts.largest
    if layer is None or len(facts.layers) < 2:
        return None
    return LargestLayer(
        formats.path(layer.path),
        formats.name(layer.name),
        units.shape(layer.weight) if layer.weight else "",
        units.hundredths(layer.params),
        formats.share_of(layer.params, facts),
        sum(other.params == layer.params for other in facts.layers),
    )


# ---------------------------------------------------------------- layers of one kind


def convolutions(facts: Facts) -> list[Layer]:
    """Return the convolutions of which the geometry is known."""
    return [layer for layer in facts.of_kind("convolution") if layer.geometry]


@dataclass(frozen=True)
class Kernels:
    """Kernels of convolutions.

    Attributes:
        count: the number of convolutions.
        sizes: how many have which kernel, most frequent first.
        stride: the stride that all of them have; "" if they differ.
        strides: how many have which stride other than 1, most frequent first.
        padding: the padding that all of them have, if the strides are equal, too; else "".
    """

    count: int
    sizes: SizeCounts
    stride: str
    strides: SizeCounts
    padding: str


def kernels(found: Sequence[Layer]) -> Kernels:
    """Return the kernels of these convolutions."""
    shapes = [layer.geometry for layer in found if layer.geometry]
    strides = Counter(formats.stride(shape.stride) for shape in shapes).most_common()
    paddings = {formats.stride(shape.padding) if shape.padding else "" for shape in shapes}
    return Kernels(
        len(shapes),
        Counter(formats.sizes(shape.kernel) for shape in shapes).most_common(),
        strides[0][0] if len(strides) == 1 else "",
        [(size, count) for size, count in strides if size != "1"],
        paddings.pop() if len(paddings) == len(strides) == 1 else "",
    )


@dataclass(frozen=True)
class Special:
    """Unusual convolutions: the number of each sort.

    Attributes:
        groups: the numbers of groups of those that are grouped and not depthwise, in order.
        dilated: how many have which dilation above 1, most frequent first.
    """

    depthwise: int
    grouped: int
    groups: tuple[int, ...]
    dilated: SizeCounts
    transposed: int


def special(found: Sequence[Layer]) -> Special:
    """Count what is unusual about these convolutions."""
    shapes = [layer.geometry for layer in found if layer.geometry]
    grouped = [shape.groups for shape in shapes if shape.groups > 1 and not shape.depthwise]
    return Special(
        sum(shape.depthwise for shape in shapes),
        len(grouped),
        tuple(sorted(set(grouped))),
        Counter(formats.stride(shape.dilation) for shape in shapes if max(shape.dilation) > 1).most_common(),
        sum(shape.transposed for shape in shapes),
    )


def plain_channels(facts: Facts) -> tuple[int, ...]:
    """Return the output channels of a plain net, where each convolution reads the one before; else nothing."""
    found = [layer.geometry for layer in facts.of_kind("convolution")]
    chain = [geometry for geometry in found if geometry is not None]
    fits = all(late.in_channels == early.out_channels for early, late in pairwise(chain))
    if (
        any(facts.skips.values())
        or not fits
        or not 1 < len(chain) <= _CHAIN
        or facts.depth.kinds.get("convolution") != len(chain)
    ):
        return ()
    return tuple(geometry.out_channels for geometry in chain)


def stages(facts: Facts) -> tuple[Stage, ...]:
    """Return the sizes of feature maps with their channels, where there are several."""
    return facts.stages if len(facts.stages) > 1 else ()


def doublings(stages: Sequence[Stage]) -> tuple[int, int]:
    """Return how often the channels double from one size to the next, and how often the size changes."""
    pairs = list(pairwise(stages))
    return sum(late.channels == 2 * early.channels for early, late in pairs), len(pairs)


def are_few(layers: Sequence[Layer]) -> bool:
    """Return whether the layers are few enough to be named one by one."""
    return len(layers) <= _NAMED


def features(layers: Sequence[Layer]) -> tuple[SizeCounts, int]:
    """Return the first sizes (``768 → 3072``) with how many layers have them, and how many sizes more there are."""
    pairs = list(Counter(f"{layer.features[0]} → {layer.features[1]}" for layer in layers if layer.features).items())
    return pairs[:_SHARES], max(len(pairs) - _SHARES, 0)


# ---------------------------------------------------------------- blocks and shortcuts


@dataclass(frozen=True)
class Shortcuts:
    """The residual skips of a kind, and the parameters of the layers on them; "" where there are none."""

    kind: ResidualKind
    count: int
    params: str
    share: str


def shortcuts(facts: Facts) -> list[Shortcuts]:
    """Return the residual skips by kind."""
    found = [(kind, facts.skips[kind], facts.skip_params.get(kind, 0)) for kind in RESIDUAL_KINDS if facts.skips[kind]]
    return [
        Shortcuts(kind, count, units.hundredths(params) if params else "", formats.share_of(params, facts))
        for kind, count, params in found
    ]


# ---------------------------------------------------------------- memory


@dataclass(frozen=True)
class Bytes:
    """The size of tensors.

    Attributes:
        traced: as they are.
        fp32: with every floating-point number in four bytes; "" where that says nothing new.
        all_fp32: whether there are floating-point numbers, and all have four bytes.
    """

    traced: str
    fp32: str
    all_fp32: bool


def weights_bytes(memory: Memory) -> Bytes:
    """Return the size of the parameters."""
    return _bytes(memory.weights, memory.weights_fp32, memory.weight_dtypes)


def activations_bytes(memory: Memory) -> Bytes:
    """Return the size of the activations."""
    return _bytes(memory.activations, memory.activations_fp32, memory.activation_dtypes)


def _bytes(traced: int, fp32: int, dtypes: frozenset[str]) -> Bytes:
    """Complex numbers stay as they are; float32 beside them is neither converted nor called fp32."""
    real = {dtype for dtype in dtypes if "complex" not in dtype}
    return Bytes(units.memory(traced), "" if real <= {"float32"} else units.memory(fp32), dtypes == {"float32"})


@dataclass(frozen=True)
class LargestTensor:
    """The largest activation, the first of ``equal`` ones, and the step that makes it."""

    path: str
    shape: str
    size: str
    equal: int


def largest_tensor(memory: Memory) -> LargestTensor | None:
    """Return the largest activation; None where there are none."""
    found = memory.largest
    if found is None:
        return None
    path = formats.path(found.path or found.name)
    return LargestTensor(path, units.shape(found.shape), units.memory(found.bytes), found.equal)
