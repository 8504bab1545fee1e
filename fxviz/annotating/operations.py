"""What an operation does to an activation, told from the recorded name.

Only as much is told apart as skip connections need: does a node compute, normalise, resample, rearrange or scale?
"""

from __future__ import annotations

from typing import Literal

from fxviz.graph import Node

Role = Literal["compute", "norm", "resample", "view", "scale", "other"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ARITHMETIC = ("add", "sub", "mul", "div", "truediv", "floordiv", "pow", "mod", "matmul")
_SAME = {
    "multiply": "mul",
    "divide": "div",
    "truediv": "div",
    "truedivide": "div",
    "concat": "cat",
    "concatenate": "cat",
    "hstack": "cat",
    "vstack": "cat",
    "dstack": "cat",
    "columnstack": "cat",
    "rowstack": "cat",
}
_CONSTANTS = _words(
    """zeros zeroslike ones oneslike full fulllike empty emptylike rand randlike randn randnlike newzeros newones newempty
    newfull newtensor arange linspace eye"""
)
_CUTS = _words("getitem chunk split splitwithsizes tensorsplit hsplit vsplit unbind narrow select")
_VIEWS = _CUTS | _words(
    """view viewas reshape reshapeas ravel flatten unflatten squeeze unsqueeze permute transpose t mt h mh adjoint movedim
    moveaxis swapaxes swapdims expand expandas asstrided contiguous clone detach alias data to type typeas float half
    bfloat16 double roll flip pad cat rearrange pixelshuffle pixelunshuffle channelshuffle identity readafterwrite"""
)
_REGULARISERS = ("dropout", "droppath", "dropblock", "stochasticdepth")
_RESAMPLERS = ("pool", "interpolate", "upsample", "downsample", "resize", "resample", "gridsample")
_SIGMOIDS = frozenset({"sigmoid", "softmax", "tanh", "expit", "logistic"})
_LIGHT = ("norm", "scale", "affine", "relu", "swish", "activation", "embed", "position")


def plain_name(op: str) -> str:
    """One spelling for the in-place, reflected, dunder and module forms of an operation.

    >>> [plain_name(op) for op in ("add", "add_", "__iadd__", "__radd__", "torch.add", "Add")]
    ['add', 'add', 'add', 'add', 'add', 'add']
    >>> plain_name("hard_sigmoid"), plain_name("Hardsigmoid"), plain_name("__truediv__"), plain_name("concat")
    ('hardsigmoid', 'hardsigmoid', 'div', 'cat')
    """
    name = op.rpartition(".")[2].replace("_", "").lower()
    if name[:1] in ("i", "r") and name[1:] in _ARITHMETIC:
        name = name[1:]
    return _SAME.get(name, name)


def role_of(node: Node, arguments: int = 1) -> Role:
    """What ``node`` does to an activation, when that many of its arguments are activations (``x * x`` has two).

    Something **computes** if it has multiply-accumulates, or is a module with parameters of its own that is no norm,
    scale, activation or embedding, or a Fourier transform. A multiplication **scales** if only one factor is an
    activation: by a number, or by a tensor of the model. Dropout and drop-path count as **views**: at inference they do
    nothing.

    >>> role_of(Node("fc", "module", "Linear", "fc", uses=("fc.weight",), macs=16))
    'compute'
    >>> role_of(Node("mul", "function", "mul", "")), role_of(Node("mul", "function", "mul", ""), arguments=2)
    ('scale', 'other')
    >>> [role_of(Node("n", "module", op, "n")) for op in ("BatchNorm2d", "MaxPool2d", "Flatten", "DropPath", "ReLU")]
    ['norm', 'resample', 'view', 'view', 'other']
    """
    name = plain_name(node.op)
    if node.kind in ("input", "parameter", "output"):
        return "other"
    if _computes(node, name):
        return "compute"
    if "norm" in name or "affine" in name:
        return "norm"
    if any(word in name for word in _RESAMPLERS):
        return "resample"
    if name in _VIEWS or any(word in name for word in _REGULARISERS):
        return "view"
    if arguments == 1 and (name in ("mul", "div") or (node.kind == "module" and "scale" in name)):
        return "scale"
    return "other"


def _computes(node: Node, name: str) -> bool:
    if node.macs or "fft" in name:
        return True
    light = any(word in name for word in _LIGHT) or name.startswith("act") or name.endswith("act")
    return node.kind == "module" and bool(node.uses) and not light


def makes_constant(node: Node) -> bool:
    """Whether the result does not depend on the values read: ``zeros_like`` reads a tensor for its shape only.

    >>> makes_constant(Node("z", "function", "zeros_like", "")), makes_constant(Node("r", "method", "relu_", ""))
    (True, False)
    """
    return node.kind in ("function", "method") and plain_name(node.op) in _CONSTANTS


def cuts(node: Node) -> bool:
    """Whether the result is a piece of what is read.

    >>> cuts(Node("c", "method", "chunk", "")), cuts(Node("v", "method", "view", ""))
    (True, False)
    """
    return plain_name(node.op) in _CUTS


def squashes(node: Node) -> bool:
    """Whether the result is a bounded weight, as a gate's is: sigmoid and its hard forms, softmax, tanh.

    >>> [squashes(Node("n", "module", op, "n")) for op in ("Sigmoid", "Hardsigmoid", "Softmax", "LogSigmoid", "SiLU")]
    [True, True, True, False, False]
    """
    name = plain_name(node.op)
    return name in _SIGMOIDS or (name.endswith("sigmoid") and not name.startswith("log"))


def is_masking(node: Node) -> bool:
    """Whether the step is one of those with which attention scores are masked on their way to the softmax.

    >>> is_masking(Node("m", "method", "masked_fill", "")), is_masking(Node("m", "method", "relu", ""))
    (True, False)
    """
    return plain_name(node.op) in ("add", "sub", "maskedfill", "where", "clamp", "max", "maximum", "setitem", "nantonum")
