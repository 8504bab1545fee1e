"""What both languages say alike: numbers, shapes, names, and which of them are worth saying."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from fxviz._analysis.facts import KINDS, Amount, Facts, Kind, Layer, Stage
from fxviz._errors import short_path, shown
from fxviz._graph import ArchGraph, units

_NAME = 60


def name(text: str) -> str:
    """A name from the model, cut where it would fill the line."""
    return shown(text, _NAME)


def path(text: str) -> str:
    """A dotted path from the model, of which the end tells most."""
    return short_path(text)


def exact(value: int, brackets: str = " ()") -> str:
    """A count in words and in full, the latter in brackets as the language has them.

    >>> exact(11_689_512), exact(640), exact(11_689_512, "（）")
    ('11.69M (11,689,512)', '640', '11.69M（11,689,512）')
    """
    return f"{units.hundredths(value)}{brackets[:-1]}{value:,}{brackets[-1]}" if value >= 1000 else str(value)


def sizes(values: Sequence[int]) -> str:
    """Sizes; equal ones of a kernel are written in full, as papers do: ``3×3``."""
    return "×".join(map(str, values))


def stride(values: Sequence[int]) -> str:
    """One number where all directions have the same."""
    return str(values[0]) if len(set(values)) == 1 else sizes(values)


def inputs(graph: ArchGraph) -> list[str]:
    """The tensors that went in: ``x 1×3×224×224``."""
    return [f"{name(key)} {units.shape(tensor.shape)}" for key, tensor in graph.trace.inputs.items()]


def class_name(cls: str) -> str:
    """The class without its Python module."""
    return name(cls.rpartition(".")[2])


def kernels(layers: Iterable[Layer]) -> list[tuple[str, int]]:
    """How many convolutions have which kernel, most frequent first."""
    counts = Counter(sizes(layer.geometry.kernel) for layer in layers if layer.geometry)
    return counts.most_common()


def strides(layers: Iterable[Layer]) -> list[tuple[str, int]]:
    """How many convolutions have which stride, most frequent first."""
    counts = Counter(stride(layer.geometry.stride) for layer in layers if layer.geometry)
    return counts.most_common()


def paddings(layers: Iterable[Layer]) -> list[str]:
    """The paddings that convolutions have; nothing for one that is not told in numbers."""
    return list(
        dict.fromkeys(stride(layer.geometry.padding) for layer in layers if layer.geometry and layer.geometry.padding)
    )


def dilations(layers: Iterable[Layer]) -> list[tuple[str, int]]:
    """How many convolutions have which dilation above 1, most frequent first."""
    counts = Counter(
        stride(layer.geometry.dilation) for layer in layers if layer.geometry and max(layer.geometry.dilation) > 1
    )
    return counts.most_common()


def plain_channels(facts: Facts, most: int = 40) -> tuple[int, ...]:
    """The output channels of a plain net, in order: each convolution reads what the one before it made. Else nothing."""
    found = [layer.geometry for layer in facts.of_kind("convolution")]
    chain = [geometry for geometry in found if geometry is not None]
    fits = all(late.in_channels == early.out_channels for early, late in pairwise(chain))
    if (
        any(facts.skips.values())
        or not fits
        or not 1 < len(chain) <= most
        or facts.depth.kinds.get("convolution") != len(chain)
    ):
        return ()
    return tuple(geometry.out_channels for geometry in chain)


def doublings(stages: Sequence[Stage]) -> tuple[int, int]:
    """How often the channels double from one size to the next, and how often the size changes."""
    pairs = list(pairwise(stages))
    return sum(late.channels == 2 * early.channels for early, late in pairs), len(pairs)


def features(layers: Sequence[Layer]) -> list[tuple[str, int]]:
    """``768 → 3072`` with how many fully connected layers have these sizes, in the order of the run."""
    return list(Counter(f"{layer.features[0]} → {layer.features[1]}" for layer in layers if layer.features).items())


def rivals(facts: Facts) -> tuple[Kind, Kind] | None:
    """Convolutions and fully connected layers, the kind with most parameters first, where one of them has over half of all."""
    kinds: list[Kind] = ["convolution", "linear"]
    if facts.attention is not None or not all(kind in facts.kinds and facts.kinds[kind].params for kind in kinds):
        return None
    larger, smaller = sorted(kinds, key=lambda kind: -facts.kinds[kind].params)
    return (larger, smaller) if facts.kinds[larger].share > 0.5 else None


def sole(facts: Facts, kind: Kind) -> str:
    """The path of the only layer of a kind; "" if there are several."""
    found = facts.of_kind(kind)
    return path(found[0].path) if len(found) == 1 else ""


def buffers(facts: Facts) -> str:
    """The bytes that so many scalars in buffers take as floats."""
    return units.memory(facts.buffers * 4)


def other_kinds(kinds: Mapping[Kind, Amount]) -> list[tuple[Kind, Amount]]:
    """Kinds that hold parameters, largest first."""
    held = [(kind, kinds[kind]) for kind in KINDS if kind in kinds and kinds[kind].params]
    return sorted(held, key=lambda item: -item[1].params)


def share_of(params: int, facts: Facts) -> str:
    """A number of parameters as a share of those that the trace uses."""
    return units.percent(params / facts.used_params) if facts.used_params else "0%"
