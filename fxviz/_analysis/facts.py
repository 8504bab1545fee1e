"""The facts of a model as plain values, free of wording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from fxviz._graph import Parameter, SkipKind

Kind = Literal["convolution", "linear", "attention", "recurrent", "embedding", "norm", "other"]
KINDS: tuple[Kind, ...] = get_args(Kind)
WEIGHTED: tuple[Kind, ...] = ("convolution", "linear", "attention", "recurrent")
"""Kinds of layers that count as weighted in papers, unlike norms, embeddings and bare parameters."""

Place = Literal["main", "shortcut", "gate"]
Cause = Literal["convolution", "pooling", "slicing"]


@dataclass(frozen=True)
class Geometry:
    """The geometry of a convolution, by spatial dimension; ``padding`` is () if it is no number ("same")."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    in_channels: int
    out_channels: int
    transposed: bool = False
    padding: tuple[int, ...] = ()

    @property
    def depthwise(self) -> bool:
        """Return whether each input channel is convolved by itself."""
        return 1 < self.groups == self.in_channels


@dataclass(frozen=True)
class Layer:
    """A layer: a module that owns parameters, or a function with the parameters that it reads.

    Attributes:
        path: dotted path of the module, or of the module that owns the parameters; their names if there is none.
        name: class of the module, or name of the function.
        place: on the main path, on a residual shortcut, or inside a gate.
        calls: ids of the nodes that run it.
        params: scalars counted here.
        macs: multiply-accumulates of all calls; None if one is unknown.
        weight: shape of its largest parameter; None if that is unknown.
        geometry: set for convolutions only.
        features: sizes of the last dimension before and after; set for fully connected layers only.
    """

    path: str
    name: str
    kind: Kind
    place: Place
    calls: tuple[str, ...]
    params: int
    macs: int | None
    weight: tuple[int, ...] | None = None
    geometry: Geometry | None = None
    features: tuple[int, int] | None = None


@dataclass(frozen=True)
class Amount:
    """The parameters and MACs of a kind of layer or a part of the model, with their shares (0 to 1) of those traced.

    ``time_share`` is the share of the time of all steps; 0 if none was measured, and for kinds.
    """

    params: int
    macs: int
    share: float
    macs_share: float
    time_share: float = 0.0


@dataclass(frozen=True)
class Part:
    """A part of the model by its path: a stage, a block, or a single layer."""

    path: str
    amount: Amount


@dataclass(frozen=True)
class Step:
    """A place where feature maps get smaller; sizes are spatial."""

    path: str
    cause: Cause
    before: tuple[int, ...]
    after: tuple[int, ...]
    stride: tuple[int, ...] = ()


@dataclass(frozen=True)
class Stage:
    """Feature maps of one spatial size: the channels that leave the last convolution at that size."""

    size: tuple[int, ...]
    channels: int


@dataclass(frozen=True)
class Blocks:
    """Residual blocks of one class: their number, their shortcuts by kind, and the number of times that one ran."""

    name: str
    count: int
    skips: Mapping[SkipKind, int]
    calls: int


@dataclass(frozen=True)
class Attention:
    """Attention, wherever it is computed.

    Attributes:
        count: the number of times that attention is computed.
        heads: the numbers of heads that occur, in order; empty if they are unknown.
        widths: the widths that occur, in order: the last size of the result.
        blocks: the number of modules that hold it, of those that are repeated or called repeatedly, by class.
    """

    count: int
    heads: tuple[int, ...]
    widths: tuple[int, ...]
    blocks: Mapping[str, int]


@dataclass(frozen=True)
class Tensor:
    """An activation: the path and name of the operation that returns it, and its size; ``equal`` are as large."""

    path: str
    name: str
    shape: tuple[int, ...]
    bytes: int
    equal: int = 1


@dataclass(frozen=True)
class Memory:
    """Bytes as traced, and with every floating-point number in four bytes (fp32).

    Attributes:
        weights: bytes of all parameters of the model, including those that this trace never uses.
        activations: bytes of every tensor that an operation newly makes, see
            :func:`fxviz._analysis.memory.activations`.
        largest: the largest of these tensors, the first of several.
        weight_dtypes: floating-point and complex dtypes among the parameters.
        activation_dtypes: floating-point and complex dtypes among the activations.
    """

    weights: int
    weights_fp32: int
    activations: int
    activations_fp32: int
    largest: Tensor | None
    weight_dtypes: frozenset[str] = frozenset()
    activation_dtypes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Depth:
    """The longest chain of weighted layers from an input on.

    Attributes:
        layers: its length, each call counted.
        kinds: the same by kind of layer.
        repeats: true if it passes a layer more than once.
    """

    layers: int
    kinds: Mapping[Kind, int]
    repeats: bool = False


@dataclass(frozen=True)
class Facts:
    """All facts about a model.

    Attributes:
        params: scalars in all parameters, of which this trace reads ``used_params``.
        unused: the parameters that this trace never reads.
        frozen: scalars in parameters without ``requires_grad``.
        shared: parameters that several layers read, with the paths of these layers.
        macs: multiply-accumulates of all nodes but the ``unknown_macs`` whose count is unknown.
        time: seconds of all steps; None if nothing was measured.
        layers: all layers, in the order in which they first ran.
        kinds: the amount of each kind of layer; kinds that hold nothing are left out.
        parts: the model's parts in its order; each parameter is in one of them.
        core: the smallest set of parts that holds 80 % of the parameters, largest first.
        largest: the layer with the most parameters.
        steps: the places where feature maps get smaller, each pair of sizes once.
        stages: the channels by size of the feature maps, until these grow again.
        skip_params: scalars in the parameters of layers on shortcuts, by kind of the skip.
    """

    params: int
    used_params: int
    unused: tuple[Parameter, ...]
    frozen: int
    shared: Mapping[str, tuple[str, ...]]
    buffers: int
    macs: int
    unknown_macs: int
    time: float | None
    layers: tuple[Layer, ...]
    kinds: Mapping[Kind, Amount]
    parts: tuple[Part, ...]
    core: tuple[Part, ...]
    largest: Layer | None
    depth: Depth
    steps: tuple[Step, ...]
    stages: tuple[Stage, ...]
    blocks: tuple[Blocks, ...]
    attention: Attention | None
    skips: Mapping[SkipKind, int]
    skip_params: Mapping[SkipKind, int]
    memory: Memory

    def of_kind(self, kind: Kind, place: Place | None = None) -> tuple[Layer, ...]:
        """Return the layers of a kind, all or those in one place."""
        return tuple(layer for layer in self.layers if layer.kind == kind and place in (None, layer.place))

    @property
    def weighted(self) -> int:
        """Count the weighted layers as papers do: on the main path, each once, however often it is called."""
        return sum(len(self.of_kind(kind, "main")) for kind in WEIGHTED)

    @property
    def is_chain(self) -> bool:
        """Return whether all weighted layers follow one another, each called once."""
        calls = sum(len(layer.calls) for kind in WEIGHTED for layer in self.of_kind(kind, "main"))
        return self.depth.layers == calls == self.weighted

    @property
    def unused_params(self) -> int:
        """Count the scalars in the parameters that this trace never reads."""
        return sum(parameter.size for parameter in self.unused)
