"""Tell the steps of a block: layers, norms, activations, attention and joins, and how they are wired."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from fxviz._analysis.facts import Geometry, Layer
from fxviz._analysis.structure.attention import Core
from fxviz._analysis.structure.tensors import Tensors, resolutions
from fxviz._graph import RESIDUAL_KINDS, Node
from fxviz._graph.operations import (
    computes,
    is_activation,
    is_norm,
    is_passing,
    is_softmax,
    is_view,
    name_of,
    plain_name,
    reduces,
    resamples,
    role_of,
)

Role = Literal["layer", "attention", "norm", "activation", "join", "pool", "resize", "roll"]

_JOINS = {"add": "+", "sub": "−", "mul": "×", "cat": "concat"}
_PRODUCTS = ("matmul", "mm", "bmm", "baddbmm", "einsum", "linear", "groupedmm")
_NORMS = (
    ("batchnorm", "BN"), ("layernorm", "LN"), ("groupnorm", "GN"), ("instancenorm", "IN"), ("rms", "RMSNorm"),
    ("localresponsenorm", "LRN"),
)  # fmt: skip
_ACTIVATIONS = {
    "relu": "ReLU", "gelu": "GELU", "silu": "SiLU", "swish": "SiLU", "mish": "Mish", "sigmoid": "Sigmoid",
    "tanh": "Tanh", "hardswish": "Hardswish", "hardsigmoid": "Hardsigmoid", "relu6": "ReLU6", "elu": "ELU",
    "leakyrelu": "LeakyReLU", "prelu": "PReLU", "glu": "GLU", "softplus": "Softplus", "quickgelu": "QuickGELU",
    "newgelu": "GELU", "softmax": "Softmax", "squaredrelu": "ReLU²", "relusquared": "ReLU²", "gelutanh": "GELU",
    "fastgelu": "GELU", "pytorchgelutanh": "GELU", "gelupythontanh": "GELU", "clippedgelu": "GELU",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A step of a block.

    Attributes:
        node: the node.
        role: what it is.
        word: its name without numbers, which two blocks of one kind share: "Conv", "DW", "Linear", "BN", "ReLU", "+".
        reads: the places of the steps that it reads; -1 is what enters the block.
        facts: its facts, by the names of ``FACTS``.
        entering: the tensors from outside that it reads, numbered from -1, the first one that the block reads, down.
    """

    node: str
    role: Role
    word: str
    reads: tuple[int, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    entering: tuple[int, ...] = ()


class Reader:
    """Reads the steps of any nodes of a graph."""

    def __init__(self, tensors: Tensors, cores: Mapping[str, Core]) -> None:
        self.tensors = tensors
        self.cores = cores
        self.windowed = {core.queries * core.groups for core in cores.values() if core.in_windows}
        residual = [skip for skip in tensors.graph.skips if skip.kind in RESIDUAL_KINDS]
        self.joins = {skip.join: skip for skip in residual}
        self.on_skips = frozenset(name for skip in residual for name in skip.through)
        self.inside = {name for core in cores.values() for name in (core.first, *core.between)} - cores.keys()

    def steps(self, nodes: Sequence[str]) -> tuple[Step, ...]:
        """Return the steps in the order of the run. Views, dropout, products of attention and second calls are none."""
        sources = self.tensors.sources
        place: dict[str, int] = {}
        before: dict[str, frozenset[int]] = {}
        called: dict[str, int] = {}
        found: list[Step] = []
        entering = _Entering(self.tensors, nodes)
        for name in nodes:
            if name not in sources:
                continue
            reads: frozenset[int] = frozenset().union(
                *(
                    frozenset((place[source],)) if source in place else before.get(source) or entering.number(source)
                    for source in self._read(name)
                )
            )
            before[name] = reads
            node = self.tensors.node(name)
            if node.kind == "module" and node.uses and called.setdefault(node.path, node.call) != node.call:
                continue
            step = self._step(name, tuple(sorted({max(read, -1) for read in reads})))
            if step is not None:
                place[name] = len(found)
                found.append(replace(step, entering=tuple(sorted((read for read in reads if read < 0), reverse=True))))
        return tuple(found)

    def _is_beside_windows(self, core: Core) -> bool:
        """Return whether attention is over all positions where other attention at this resolution is in windows."""
        positions = core.queries * core.groups
        return not core.in_windows and any(resolutions((positions, other)) < 2 for other in self.windowed)

    def _step(self, name: str, reads: tuple[int, ...]) -> Step | None:
        node, layer = self.tensors.node(name), self.tensors.layers.get(name)
        if name in self.inside:
            return None
        if name in self.cores:
            core = self.cores[name]
            word = f"attention {core.attending}{' of all' if self._is_beside_windows(core) else ''}"
            return Step(name, "attention", word, reads, _facts_of_core(core))
        if is_norm(node):
            return Step(name, "norm", norm_word(node), reads)
        if node.kind == "module" and role_of(node) == "scale" and (layer is None or layer.kind != "embedding"):
            return Step(name, "norm", "scale", reads)
        spectral = self._spectral(name, node)
        if spectral is not None:
            return Step(name, "layer", "Spectral conv", reads, spectral)
        stacked = self._stacked(node)
        if stacked is not None:
            return Step(name, "layer", "Linear", reads, stacked)
        if layer is not None and name in self.tensors.heavy:
            word, facts = _layer(layer, self.tensors, name)
            return Step(name, "layer", word, reads, facts)
        if is_passing(node) or is_softmax(node):
            return None
        op = computes(node)
        if op == "roll":
            return Step(name, "roll", "roll", reads)
        if is_view(node):
            return None
        if is_activation(node):
            return Step(name, "activation", activation_word(node), reads)
        if op in _JOINS and len(self._read(name)) > 1:
            return Step(name, "join", _JOINS[op], reads)
        if self._pools(name, node):
            return Step(name, "pool", _pool_word(node), reads, _kernel_facts(node, len(self.tensors.shape(name)) - 2))
        if resamples(node):
            return Step(name, "resize", "resize", reads)
        if name in self.tensors.heavy and node.kind == "module":
            return Step(name, "layer", node.op, reads, {"width": self.tensors.extent(name).channels})
        return None

    def _read(self, name: str) -> list[str]:
        """Return the activations that a step reads, without what is taken from a parameter by indices: a bias."""
        sources = self.tensors.sources[name]
        return [source for source in sources if not self._is_looked_up(source)] or list(sources)

    def _is_looked_up(self, name: str) -> bool:
        node = self.tensors.node(name)
        is_index = node.kind != "module" and plain_name(node.op) in ("getitem", "index", "indexselect")
        floating = (source for source in self.tensors.index.sources[name] if self.tensors.flow.is_floating(source))
        return is_index and all(self.tensors.node(source).kind == "parameter" for source in floating)

    def _spectral(self, name: str, node: Node) -> dict[str, Any] | None:
        """Return the facts of a product with a weight for each frequency (arXiv:2010.08895); None for another step."""
        if node.kind not in ("function", "method") or plain_name(node.op) not in (*_PRODUCTS, "mul"):
            return None
        weights = (parameter.outputs[0].shape for parameter in self.tensors.index.parameters_read(node))
        weight = next((shape for shape in weights if len(shape) > 2), None)
        while weight is not None and len(sources := self._read(name)) == 1:
            (name,) = sources
            if "fftn" in self.tensors.op(name) or self.tensors.op(name).endswith(("rfft", "fft2")):
                return {"entering": weight[0], "width": weight[1]}
            if not (is_view(self.tensors.node(name)) or "shift" in self.tensors.op(name)):
                break
        return None

    def _stacked(self, node: Node) -> dict[str, Any] | None:
        """Return the facts of a product with matrices in one parameter, one for each expert; None for another step."""
        if node.kind not in ("function", "method") or plain_name(node.op) not in _PRODUCTS:
            return None
        weights = (parameter.outputs[0].shape for parameter in self.tensors.index.parameters_read(node))
        weight = next((shape for shape in weights if len(shape) == 3), None)
        width = self.tensors.shape(node.id)[-1:]
        if weight is None or not width or width[0] not in weight[1:]:
            return None
        entering = weight[2] if weight[1] == width[0] else weight[1]
        return {"experts": weight[0], "entering": entering, "width": width[0]}

    def _pools(self, name: str, node: Node) -> bool:
        if "pool" in computes(node):
            return True
        before = max((self.tensors.extent(source).positions for source in self.tensors.sources[name]), default=0)
        return reduces(node) and self.tensors.extent(name).positions < before


class _Entering:
    """Numbers the tensors that enter a block: -1 for the first one, as in :class:`Step`; views of one are one."""

    def __init__(self, tensors: Tensors, nodes: Sequence[str]) -> None:
        self.tensors = tensors
        first = tensors.entering(nodes)
        self.known = {self._origin(first): -1} if first is not None else {}

    def number(self, name: str) -> frozenset[int]:
        if not self.tensors.flow.is_floating(name):
            return _FIRST
        return frozenset((self.known.setdefault(self._origin(name), -1 - len(self.known)),))

    def _origin(self, name: str) -> str:
        while len(sources := self.tensors.sources.get(name, ())) == 1:
            node = self.tensors.node(name)
            if not (is_view(node) or is_passing(node)):
                break
            (name,) = sources
        return name


_FIRST = frozenset((-1,))


def _facts_of_core(core: Core) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "attention": core.attending,
        "heads": core.heads,
        "head_width": core.width,
        "kv_heads": core.kv_heads,
        "queries": core.queries,
        "keys": core.keys,
        "cross": core.cross,
        "mixed": core.mixed,
    }
    if core.in_windows and core.group is not None:
        name = "grid" if max(core.group.steps) > 1 else "window"
        facts |= {name: core.group.sizes, "shift": core.group.shift}
    elif core.groups > 1:
        facts["window"] = (core.queries,)
    if core.groups == 1 and not core.cross and 1 < core.keys < core.queries:
        ratio = core.queries / core.keys
        facts["reduction"] = round(ratio) if abs(ratio - round(ratio)) < 0.02 * ratio else round(ratio, 2)
    return {**facts, "windows": core.groups}


def _layer(layer: Layer, tensors: Tensors, name: str) -> tuple[str, dict[str, Any]]:
    """Return the word for a layer, without numbers, and its facts."""
    if layer.geometry is not None and layer.kind == "convolution":
        return _convolution(layer.geometry)
    width = tensors.extent(name).channels
    if layer.kind == "linear":
        entering, leaving = layer.features or (0, width)
        return "Linear", {"entering": entering, "width": leaving}
    words = {"embedding": "Embedding", "recurrent": name_of(tensors.node(name))}
    return words.get(layer.kind, layer.name), {"width": width}


def _convolution(geometry: Geometry) -> tuple[str, dict[str, Any]]:
    is_point = all(size == 1 for size in geometry.kernel)
    word = "DW" if geometry.depthwise else "GConv" if geometry.groups > 1 else "Conv1" if is_point else "Conv"
    facts: dict[str, Any] = {
        "kernel": geometry.kernel,
        "stride": geometry.stride,
        "dilation": geometry.dilation,
        "entering": geometry.in_channels,
        "width": geometry.out_channels,
    }
    if word == "GConv":
        facts["groups"] = geometry.groups
    return f"Up{word}" if geometry.transposed else word, facts


def norm_word(node: Node) -> str:
    """Return the short name of a norm.

    >>> [norm_word(Node("n", "module", op, "n")) for op in ("BatchNorm2d", "LlamaRMSNorm", "FrozenBatchNorm2d")]
    ['BN', 'RMSNorm', 'BN']
    """
    if _is_without_mean(node):
        return "RMSNorm"
    name = computes(node)
    return next((word for part, word in _NORMS if part in name), node.op)


def _is_without_mean(node: Node) -> bool:
    """Return whether a module called a layer norm only divides by the root of the mean square (arXiv:1910.07467)."""
    if node.kind != "module" or "layernorm" not in computes(node) or "normalized_shape" in node.settings:
        return False
    steps = {plain_name(step) for step in node.steps}
    by_hand = "rsqrt" in steps and "mean" in steps and not steps & {"sub", "var"}
    return by_hand or (not steps and "variance_epsilon" in node.settings)


def is_norm_word(word: str) -> bool:
    """Return whether a word is that of a norm, as "LN"."""
    return word in {short for _, short in _NORMS} or word.endswith("Norm")


def activation_word(node: Node) -> str:
    """Return the usual name of an activation.

    >>> [activation_word(Node("n", "module", op, "n")) for op in ("relu_", "NewGELUActivation", "SiLU")]
    ['ReLU', 'GELU', 'SiLU']
    """
    plain = re.sub("activation|^new|^act(?=.)", "", computes(node))
    return _ACTIVATIONS.get(plain, name_of(node))


def _pool_word(node: Node) -> str:
    name = computes(node)
    kind = "MaxPool" if "max" in name else "mean" if name == "mean" else "AvgPool"
    return kind if "pool" in name or name == "mean" else name


def _kernel_facts(node: Node, dimensions: int) -> dict[str, Any]:
    """Return the sizes of a pooling; one number stands for all dimensions.

    >>> _kernel_facts(Node("p", "module", "MaxPool3d", "p", settings={"kernel_size": 2}), 3)
    {'kernel': (2, 2, 2), 'stride': (2, 2, 2)}
    >>> _kernel_facts(Node("p", "module", "AdaptiveAvgPool2d", "p", settings={"output_size": 6}), 2)
    {'bins': (6, 6)}
    """
    named = {"kernel": ("kernel_size", "1"), "stride": ("stride", "2")}
    if "adaptive" in computes(node):
        named = {"bins": ("output_size", "1")}
    found: dict[str, Any] = {}
    for fact, names in named.items():
        value = next((node.settings[name] for name in names if node.settings.get(name) is not None), None)
        sizes = value if isinstance(value, tuple) else (value,) * dimensions
        if sizes and all(isinstance(size, int) for size in sizes):
            found[fact] = sizes
    if "kernel" in found:
        found.setdefault("stride", found["kernel"])
    return found


def sizes_word(sizes: Sequence[int]) -> str:
    """Return sizes as papers write them.

    >>> sizes_word((3, 3)), sizes_word((1, 7)), sizes_word((5,)), sizes_word((3, 1, 1))
    ('3×3', '1×7', '5', '3×1×1')
    """
    return "×".join(map(str, sizes))


def stride_word(sizes: Sequence[int]) -> str:
    """
    >>> stride_word((2, 2)), stride_word((1, 2, 2)), stride_word((1, 1))
    ('/2', '/1×2×2', '')
    """
    if all(size == 1 for size in sizes):
        return ""
    return f"/{sizes[0]}" if len(set(sizes)) == 1 else f"/{sizes_word(sizes)}"
