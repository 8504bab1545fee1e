"""Classify operations by their names: norm, activation, view, scaling and so on.

Names are compared in one spelling (:func:`plain_name`), so that functions, methods and modules share one list of words.
Classes of other libraries are recognized by the words in their names (``FrozenBatchNorm2d``, ``DropPath``), as those
libraries name them after torch's. No predicate is true of an input, a parameter or the output, whatever its name.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Literal

from fxviz._graph.settings import weight_slots
from fxviz._graph.values import Node

Role = Literal["compute", "norm", "resample", "view", "scale", "other"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ARITHMETIC = _words("add sub mul div truediv floordiv pow mod matmul")
_SAME = {
    **dict.fromkeys(("concat", "concatenate", "hstack", "vstack", "dstack", "columnstack", "rowstack"), "cat"),
    **dict.fromkeys(("divide", "truediv", "truedivide"), "div"),
    "multiply": "mul",
}
_CONSTANTS = _words(
    """zeros zeroslike ones oneslike full fulllike empty emptylike rand randlike randn randnlike newzeros newones
    newempty newfull newtensor arange linspace eye"""
)
_SHAPED_AS = _words("expandas viewas reshapeas resizeas typeas to sumtosize")
_CUTS = _words("getitem chunk split splitwithsizes tensorsplit hsplit vsplit unbind narrow select slice")
_CUTS |= {f"{name}copy" for name in _CUTS}
_VIEWS = _CUTS | _words(
    """view viewas reshape reshapeas ravel flatten unflatten squeeze unsqueeze permute transpose t mt h mh adjoint
    movedim moveaxis swapaxes swapdims expand expandas asstrided contiguous clone detach alias data to type typeas
    float half bfloat16 double roll flip pad constantpadnd rearrange pixelshuffle pixelunshuffle channelshuffle
    readafterwrite unsafeview tocopy liftfreshcopy"""
)
_SHARING = _words(
    """view viewas asstrided detach alias data expand expandas squeeze unsqueeze unflatten permute transpose t mt h mh
    adjoint movedim moveaxis swapaxes swapdims narrow select slice getitem split splitwithsizes tensorsplit hsplit
    vsplit dsplit chunk unbind diagonal real imag viewasreal viewascomplex unsafeview unsafesplit unsafechunk
    readafterwrite"""
)
"""Operations that share memory (https://docs.pytorch.org/docs/stable/tensor_view.html). ``_VIEWS``, which figures hide,
has copies, too, and lacks views that are worth a row."""
_TURNS = _words(
    """permute transpose t mt h mh adjoint movedim moveaxis swapaxes swapdims expand expandas narrow select slice
    getitem split splitwithsizes tensorsplit hsplit vsplit dsplit chunk unbind diagonal unfold"""
)
_BORDERS = ("zero", "constant", "reflection", "replication", "circular")
_COPIES = _words("repeat repeatinterleave tile broadcastto fold unfold meshgrid rot90 permutecopy cpu cuda numpy") | {
    f"{border}pad{dims}d" for border in _BORDERS for dims in (1, 2, 3)
}
_DROPS = ("dropout", "droppath", "dropblock", "stochasticdepth")
_ROUNDS = ("fakequant", "quantizeper", "dequantize")
"""What stores tensors as small integers and reads them back, or does as if."""
_RESAMPLERS = ("pool", "interpolate", "upsample", "downsample", "resize", "resample", "gridsample")
_RESIZES = _words("resize resizeas")
"""Methods that change the shape of a tensor, not what it shows."""
_MEASURES = _words("norm normalize weightnorm")
_NORMS = ("batchnorm", "layernorm", "groupnorm", "instancenorm", "rmsnorm", "responsenorm")
"""Words in the names of functions that are norm layers; others measure a length, or draw from a normal distribution."""
_ACTIVATIONS = _words(
    "relu gelu silu swish mish sigmoid tanh softmax softmin softplus softsign shrink threshold activation"
)
_SIGMOIDS = _words("sigmoid softmax tanh expit logistic")
_MASKING = _words("add sub maskedfill where clamp max maximum setitem nantonum")
_COMMUTATIVE = _words(
    "add mul maximum minimum eq ne logicaland logicalor logicalxor bitwiseand bitwiseor bitwisexor and or xor"
)
_NAMELESS = frozenset(
    """Sequential ModuleList ModuleDict Module GraphModule InterpreterModule UnflattenedModule ScriptModule
    RecursiveScriptModule TracedModule TopLevelTracedModule""".split()
)
_SAME_VALUES = _words(
    "detach alias clone contiguous to type float half bfloat16 double data readafterwrite liftfreshcopy tocopy"
)
_NORM_STEPS = _words("rsqrt std var stdmean varmean")
_REDUCTIONS = _words("mean sum amax amin max min median prod logsumexp")
_PRODUCTS = ("conv", "linear", "matmul", "mm", "einsum", "fft", "embed")
_SUMS = _words("add sub neg sum mean stack cumsum setitem scatter indexadd indexcopy repeat tile lerp")
_LIGHT = ("norm", "scale", "affine", "relu", "swish", "activation", "embed", "position")


@cache
def plain_name(op: str) -> str:
    """Return one spelling for the in-place, reflected, dunder and module forms of an operation.

    >>> [plain_name(op) for op in ("add", "add_", "__iadd__", "__radd__", "torch.add", "Add")]
    ['add', 'add', 'add', 'add', 'add', 'add']
    >>> plain_name("hard_sigmoid"), plain_name("Hardsigmoid"), plain_name("__truediv__"), plain_name("concat")
    ('hardsigmoid', 'hardsigmoid', 'div', 'cat')
    """
    name = op.rpartition(".")[2].replace("_", "").lower()
    if name[:1] in ("i", "r") and name[1:] in _ARITHMETIC:
        name = name[1:]
    return _SAME.get(name, name)


def name_of(node: Node) -> str:
    """Return the name to show: a module's class, or a function as torch spells it, without underscores.

    >>> [name_of(Node("n", "method", op, "")) for op in ("masked_fill_", "__iadd__", "concat", "_softmax")]
    ['masked_fill', 'add', 'cat', 'softmax']
    >>> name_of(Node("n", "module", "Conv2d", "n"))
    'Conv2d'
    """
    if node.kind == "module":
        return node.op
    plain, spelled = plain_name(node.op), node.op.strip("_")
    return spelled if spelled.replace("_", "").lower() == plain else plain


def says_nothing(cls: str) -> bool:
    """Return whether a class says nothing of what its module does: torch's containers, and what torch generates.

    >>> says_nothing("torch.nn.modules.container.Sequential"), says_nothing("torchvision.ops.misc.MLP")
    (True, False)
    """
    return cls.startswith("torch.") and cls.rpartition(".")[2] in _NAMELESS


RUNS = "runs_function"
"""The setting that names the function of torch that a module of the user's own runs, if its class does not tell it."""


def tells(cls: str, function: str) -> bool:
    """Return whether the name of a class tells what one of torch's functions or layers computes.

    >>> tells("Conv2dSame", "conv2d"), tells("LayerNorm2d", "layer_norm"), tells("Up", "conv_transpose2d")
    (True, True, False)
    >>> tells("QuickGELU", "gelu"), tells("GammaAct", "gelu"), tells("Skip", "Identity"), tells("Down", "MaxPool2d")
    (True, False, False, False)
    """
    name, own = plain_name(function), plain_name(cls)
    if _activates(name):
        return _activates(own) and "activation" not in own
    kinds = ("norm", "embedding", "conv", "pool", "dropout")
    kind = next((kind for kind in kinds if kind in name), "linear" if weight_slots(name) else "")
    return kind in own if kind else name == own


def computes(node: Node) -> str:
    """Return the plain name of what a module, function or method does.

    >>> own = Node("n", "module", "Own", "n", settings={RUNS: "layer_norm"})
    >>> computes(own), computes(Node("n", "method", "relu_", ""))
    ('layernorm', 'relu')
    """
    runs = node.settings.get(RUNS) if node.kind == "module" else None
    return plain_name(runs if isinstance(runs, str) else node.op)


def _plain(node: Node) -> str:
    """Return the plain name of an operation; "" for other nodes, as an input may be called ``t`` or ``data``."""
    return computes(node) if node.kind in ("module", "function", "method") else ""


def _has(name: str, words: Iterable[str]) -> bool:
    return any(word in name for word in words)


def is_norm(node: Node) -> bool:
    """Return whether a node is a norm layer or function (batch, layer, group, RMS norm); not the length of a vector.

    >>> [is_norm(Node("n", "function", op, "")) for op in ("batch_norm", "norm", "linalg_vector_norm", "normal")]
    [True, False, False, False]
    >>> [is_norm(Node("n", "module", op, "n")) for op in ("ScaleNorm", "LayerNorm2d")]
    [True, True]
    """
    name = _plain(node)
    if node.kind != "module":
        return _has(name, _NORMS)
    return "norm" in name and name not in _MEASURES


def is_activation(node: Node) -> bool:
    """Return whether a node is a nonlinearity and computes nothing else.

    >>> [is_activation(Node("n", "module", op, "n")) for op in ("LeakyReLU", "GLU", "Softmax", "PixelUnshuffle")]
    [True, True, True, False]
    """
    return not node.macs and _activates(_plain(node))


def _activates(name: str) -> bool:
    return _has(name, _ACTIVATIONS) or name.endswith(("elu", "glu"))


def is_softmax(node: Node) -> bool:
    """Return whether a node is a softmax, as over attention scores.

    >>> [is_softmax(Node("n", "function", op, "")) for op in ("softmax", "log_softmax")]
    [True, False]
    """
    return _plain(node) in ("softmax", "xsoftmax")


def is_masking(node: Node) -> bool:
    """Return whether a node may mask attention scores before the softmax.

    >>> is_masking(Node("m", "method", "masked_fill", "")), is_masking(Node("m", "method", "relu", ""))
    (True, False)
    """
    return _plain(node) in _MASKING


def is_view(node: Node) -> bool:
    """Return whether a node moves data, copies it or selects from it, and computes nothing.

    >>> nodes = ("method", "unsqueeze_"), ("module", "ZeroPad2d"), ("input", "t")
    >>> [is_view(Node("n", kind, op, "")) for kind, op in nodes]
    [True, True, False]
    >>> [is_view(Node("n", "function", op, "")) for op in ("slice", "_to_copy", "_unsafe_view", "constant_pad_nd")]
    [True, True, True, True]
    """
    names = [plain_name(step) for step in node.steps] or [_plain(node)]
    return all(name in _VIEWS or name in _COPIES for name in names) and not is_heavy(node)


def flattens(node: Node) -> bool:
    """Return whether a node flattens each example to one vector: a view that figures show.

    >>> from fxviz._graph import TensorInfo
    >>> vectors = (TensorInfo((196, 512), "float32"),)
    >>> each = Node("f", "function", "flatten", "", outputs=vectors, settings={"1": 1})
    >>> together = Node("f", "method", "flatten", "", outputs=vectors, settings={"1": 0, "2": 1})
    >>> flattens(each), flattens(together)
    (True, False)
    """
    is_flatten = _plain(node) == "flatten" or node.steps == ("flatten",)
    merges_examples = node.settings.get("1", node.settings.get("start_dim")) == 0
    return is_flatten and not merges_examples and bool(node.outputs) and len(node.outputs[0].shape) == 2


def shares_memory(node: Node) -> bool:
    """Return whether the result shares the memory of the input; fxviz's own step to read what a view wrote does, too.

    >>> [shares_memory(Node("n", kind, op, "")) for kind, op in (("method", "unfold"), ("function", "pad"))]
    [True, False]
    """
    name = _plain(node)
    return name in _SHARING or (name == "unfold" and node.kind == "method")


def turns(node: Node) -> bool:
    """Return whether the result is no longer contiguous in memory.

    >>> turns(Node("t", "method", "transpose", "")), turns(Node("v", "method", "view", ""))
    (True, False)
    """
    return _plain(node) in _TURNS


def resamples(node: Node) -> bool:
    """Return whether a node pools or interpolates.

    >>> [resamples(Node("n", "function", op, "")) for op in ("avg_pool2d", "interpolate", "relu", "resize_")]
    [True, True, False, False]
    """
    name = _plain(node)
    return _has(name, _RESAMPLERS) and (node.kind == "module" or name not in _RESIZES)


def reduces(node: Node) -> bool:
    """Return whether a node takes the mean, sum or extreme of a tensor.

    >>> [reduces(Node("n", "method", op, "")) for op in ("mean", "amax", "softmax")]
    [True, True, False]
    """
    return _plain(node) in _REDUCTIONS


def is_passing(node: Node) -> bool:
    """Return whether a node returns its input in eval mode: dropout, identity, stochastic depth.

    So do, up to rounding, the steps that quantize, and torch's observers of what they will quantize.

    >>> [is_passing(Node("n", "module", op, "n")) for op in ("Identity", "FeatureAlphaDropout", "DropPath")]
    [True, True, True]
    >>> is_passing(Node("n", "function", "quantize_per_tensor", ""))
    True
    """
    observes = node.cls is not None and node.cls.startswith("torch.ao.quantization.")
    return _passes(_plain(node)) or observes


def is_dropout(node: Node) -> bool:
    """Return whether a node is dropout or stochastic depth, which return their input in eval mode only.

    >>> [is_dropout(Node("n", "module", op, "n")) for op in ("Identity", "FeatureAlphaDropout", "DropPath")]
    [False, True, True]
    """
    return _has(_plain(node), _DROPS)


def _passes(name: str) -> bool:
    return name == "identity" or _has(name, (*_DROPS, *_ROUNDS))


def is_scaling(node: Node) -> bool:
    """Return whether a node is elementwise arithmetic other than an addition, which joins.

    >>> [is_scaling(Node("n", "method", op, "")) for op in ("__rmul__", "true_divide", "add")]
    [True, True, False]
    """
    return node.kind != "module" and _plain(node) in ("mul", "div", "neg", "sub")


def is_commutative(node: Node) -> bool:
    """Return whether the order of the operands does not matter.

    >>> [is_commutative(Node("n", "function", op, "")) for op in ("__iadd__", "mul", "sub", "cat")]
    [True, True, False, False]
    """
    return node.kind != "module" and _plain(node) in _COMMUTATIVE


def is_heavy(node: Node) -> bool:
    """Return whether a node is a layer: it has multiply-accumulates, or parameters and is no norm or activation.

    >>> nodes = Node("m", "method", "matmul", "", macs=16), Node("e", "module", "Embedding", "e", uses=("e.table",))
    >>> [is_heavy(node) for node in nodes]
    [True, True]
    """
    owns = node.kind == "module" and bool(node.uses)
    return bool(node.macs) or (owns and not is_norm(node) and not is_activation(node))


def role_of(node: Node, arguments: int = 1) -> Role:
    """Return the role of a node, of whose arguments so many are activations (``x * x`` has two).

    The roles are those that matter for skip connections. A node **computes** if it has multiply-accumulates, or an
    unknown number of them, is a Fourier transform, or is a module with parameters that is no norm, scale, activation or
    embedding. A multiplication **scales** if only one factor is an activation, and the other a number or a tensor of
    the model. Concatenation, dropout and drop-path count as **views**: the last two do nothing at inference. Repeating
    and padding by a module do not. The role of a module of one's own follows from the steps in it.

    >>> role_of(Node("fc", "module", "Linear", "fc", uses=("fc.weight",), macs=16))
    'compute'
    >>> role_of(Node("mul", "function", "mul", "")), role_of(Node("mul", "function", "mul", ""), arguments=2)
    ('scale', 'other')
    >>> [role_of(Node("n", "module", op, "n")) for op in ("BatchNorm2d", "MaxPool2d", "Flatten", "DropPath", "ReLU")]
    ['norm', 'resample', 'view', 'view', 'other']
    >>> [role_of(Node("n", "module", "Conv", "n", steps=steps)) for steps in (("pad",), ("view", "mul"), ("relu",))]
    ['view', 'scale', 'other']
    """
    if node.steps:
        return _role_of_steps(node)
    name = _plain(node)
    if not name:
        return "other"
    if _computes(node, name):
        return "compute"
    if _has(name, ("norm", "affine")):
        return "norm"
    if resamples(node):
        return "resample"
    if name in _VIEWS or name == "cat" or is_passing(node):
        return "view"
    if arguments == 1 and (name in ("mul", "div") or (node.kind == "module" and "scale" in name)):
        return "scale"
    return "other"


def _role_of_steps(node: Node) -> Role:
    if node.macs != 0:
        return "compute"
    roles = {role_of(Node(node.id, "function", step, "")) for step in node.steps}
    if roles & {"compute", "norm"} or not _NORM_STEPS.isdisjoint(map(plain_name, node.steps)):
        return "norm"
    heaviest: tuple[Role, ...] = ("resample", "other", "scale")
    return next((role for role in heaviest if role in roles), "view")


def _computes(node: Node, name: str) -> bool:
    is_light = _has(name, _LIGHT) or name.startswith("act") or name.endswith("act")
    return node.macs != 0 or "fft" in name or (node.kind == "module" and bool(node.uses) and not is_light)


def is_linear(node: Node, arguments: int = 1) -> bool:
    """Return whether the result is linear in the activations that a node reads, up to a constant.

    So are convolutions and products with weights, views, scaling, sums, average pooling, and batch norm at inference.

    >>> [is_linear(Node("n", "module", op, "n", macs=macs)) for op, macs in (("Conv2d", 9), ("ReLU", 0), ("LSTM", 9))]
    [True, False, False]
    >>> [is_linear(Node("n", "function", "matmul", "", macs=9), arguments) for arguments in (1, 2)]
    [True, False]
    """
    names = [plain_name(step) for step in node.steps] or [_plain(node)]
    role = role_of(node, arguments)
    if role == "compute":
        return arguments == 1 and all(_has(name, _PRODUCTS) or name in _VIEWS | _SUMS for name in names)
    if role == "norm":
        return all(_has(name, ("batchnorm", "affine")) for name in names)
    if role == "resample":
        return not any("max" in name for name in names)
    return role in ("view", "scale") or all(name in _SUMS | _COPIES for name in names)


def makes_constant(op: str) -> bool:
    """Return whether a function makes a new tensor: of what it is shaped as, it reads no values.

    >>> makes_constant("zeros_like"), makes_constant("relu_")
    (True, False)
    """
    return plain_name(op) in _CONSTANTS


def takes_shape_of(op: str) -> bool:
    """Return whether a function reads values of its first argument alone, and of a second one only the shape or dtype.

    >>> takes_shape_of("expand_as"), takes_shape_of("add")
    (True, False)
    """
    return plain_name(op) in _SHAPED_AS


def keeps_values(node: Node) -> bool:
    """Return whether the result is the input itself, in another place, precision or graph of gradients.

    >>> [keeps_values(Node("n", "method", op, "")) for op in ("detach", "contiguous", "view")]
    [True, True, False]
    """
    return _plain(node) in _SAME_VALUES or is_passing(node)


def cuts(node: Node) -> bool:
    """Return whether the result is a slice of the input.

    >>> [cuts(Node("n", "method", op, "")) for op in ("chunk", "select_copy", "index_select", "view")]
    [True, True, True, False]
    """
    return _plain(node) in _CUTS or _plain(node) == "indexselect"


def squashes(node: Node) -> bool:
    """Return whether the result is bounded, like the weights of a gate: sigmoid and its hard forms, softmax, tanh.

    >>> [squashes(Node("n", "module", op, "n")) for op in ("Sigmoid", "Hardsigmoid", "Softmax", "LogSigmoid", "SiLU")]
    [True, True, True, False, False]
    """
    name = _plain(node)
    return name in _SIGMOIDS or (name.endswith("sigmoid") and not name.startswith("log"))
