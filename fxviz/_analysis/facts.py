"""The values of this room: plain, frozen, of no language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fxviz._graph import Parameter

Kind = Literal["convolution", "linear", "attention", "recurrent", "embedding", "norm", "other"]
KINDS: tuple[Kind, ...] = ("convolution", "linear", "attention", "recurrent", "embedding", "norm", "other")
WEIGHTED: tuple[Kind, ...] = ("convolution", "linear", "attention", "recurrent")
"""Kinds of layers that papers count; norms, embeddings and tables of parameters are not counted."""

Place = Literal["main", "shortcut", "gate"]


@dataclass(frozen=True)
class Geometry:
    """How a convolution moves: sizes in the order of the spatial dimensions; ``padding`` is () where it is told in words."""

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
        """Whether each input channel is convolved by itself."""
        return 1 < self.groups == self.in_channels


@dataclass(frozen=True)
class Layer:
    """A layer: a module that owns parameters, or a function with the parameters that it reads.

    Attributes:
        path: dotted path of the module, or of the module that owns the parameters; where that is none, their names.
        name: class of the module, or name of the function.
        place: on the main way, on the way of a residual shortcut, or inside a gate.
        calls: ids of the nodes that run it.
        params: scalars counted here.
        macs: multiply-accumulates of all calls; None if one is unknown.
        weight: shape of its largest parameter; None where that is counted elsewhere and not known here.
        geometry: of a convolution alone.
        features: sizes of the last dimension before and after; of a fully connected layer alone.
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
    """What a kind of layer, or a part of the model, holds; shares lie between 0 and 1 and are of what the trace uses.

    ``time_share`` is that of the time of all steps; 0 where none was measured, and for kinds.
    """

    params: int
    macs: int
    share: float
    macs_share: float
    time_share: float = 0.0


@dataclass(frozen=True)
class Part:
    """A part of the model by its path: a stage, a block, or a lone layer."""

    path: str
    amount: Amount


@dataclass(frozen=True)
class Step:
    """A place where feature maps get smaller: ``cause`` is "convolution", "pooling" or "slicing"; sizes are spatial."""

    path: str
    cause: str
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
    """Residual blocks of one class: how often such a block ran, and the kinds of all their shortcuts."""

    name: str
    count: int
    skips: Mapping[str, int]


@dataclass(frozen=True)
class Attention:
    """Attention, wherever it is computed.

    Attributes:
        count: how often attention is computed.
        heads: the numbers of heads that occur, in order; empty where they are not known.
        widths: the widths of what attends that occur, in order: the last size of the result.
        blocks: class and number of the repeated modules that hold it, by class.
    """

    count: int
    heads: tuple[int, ...]
    widths: tuple[int, ...]
    blocks: Mapping[str, int]


@dataclass(frozen=True)
class Tensor:
    """An activation: the node that makes it, where, and its size; ``equal`` of them are as large."""

    path: str
    name: str
    shape: tuple[int, ...]
    bytes: int
    equal: int = 1


@dataclass(frozen=True)
class Memory:
    """Bytes, as traced and with every floating-point number in four bytes (fp32).

    Attributes:
        weights: of all parameters of the model, those that this trace never uses included.
        activations: of every tensor that an operation newly makes, see :func:`fxviz._analysis.memory.activations`.
        largest: the largest of these tensors, the first of several.
        weight_dtypes: the dtypes that floating-point and complex numbers have among the parameters,
        activation_dtypes: and among the activations.
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
        layers: how long it is, each call counted.
        kinds: the same by kind of layer.
        repeats: whether it passes a layer more than once.
    """

    layers: int
    kinds: Mapping[Kind, int]
    repeats: bool = False


@dataclass(frozen=True)
class Facts:
    """What there is to say of a model.

    Attributes:
        params: scalars in all parameters; ``used_params`` of them are read by this trace.
        unused: the parameters that this trace never reads.
        frozen: scalars in parameters without ``requires_grad``.
        shared: parameters that several layers read, with the paths of these layers.
        macs: of all nodes whose count is known; that of ``unknown_macs`` operations is not.
        time: seconds of all steps; None if nothing was measured.
        layers: in the order in which they ran first.
        kinds: what each kind of layer holds; kinds that hold nothing are left out.
        parts: the model's parts, each parameter in one of them, in the model's order.
        core: the smallest set of parts that holds 80 % of the parameters, largest first.
        largest: the layer with most parameters.
        steps: where feature maps get smaller, each pair of sizes once.
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
    skips: Mapping[str, int]
    skip_params: Mapping[str, int]
    memory: Memory

    def of_kind(self, kind: Kind, place: Place | None = None) -> tuple[Layer, ...]:
        """The layers of a kind, all or those in one place."""
        return tuple(layer for layer in self.layers if layer.kind == kind and place in (None, layer.place))

    @property
    def weighted(self) -> int:
        """Weighted layers as papers count them: on the main way, each once, however often it is called."""
        return sum(len(self.of_kind(kind, "main")) for kind in WEIGHTED)

    @property
    def is_chain(self) -> bool:
        """Whether all weighted layers follow one another, each called once."""
        calls = sum(len(layer.calls) for kind in WEIGHTED for layer in self.of_kind(kind, "main"))
        return self.depth.layers == calls == self.weighted

    @property
    def unused_params(self) -> int:
        """Scalars in the parameters that this trace never reads."""
        return sum(parameter.size for parameter in self.unused)
