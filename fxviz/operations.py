"""What an operation is, told from its name: norm, activation, pooling, view, ...

Names of functions come as torch spells them (``add_``, ``__iadd__``, ``relu_``), modules by their class. Other libraries' classes are
recognised by the words in their names (``FrozenBatchNorm2d``, ``LayerNorm2d``, ``DropPath``), as those libraries name them after torch's.
"""

from __future__ import annotations

import re

from fxviz.graph import Node

_VIEWS = frozenset(
    """view reshape permute transpose contiguous flatten unflatten squeeze unsqueeze getitem chunk split unbind narrow select expand
    expand_as clone to type type_as float half double bfloat16 roll pad t T mT H mH movedim moveaxis swapaxes swapdims detach alias
    view_as reshape_as split_with_sizes tensor_split hsplit vsplit ravel flip data read_after_write unfold fold permute_copy
    channel_shuffle pixel_shuffle pixel_unshuffle meshgrid as_strided rot90 repeat tile broadcast_to cpu cuda numpy""".split()
)
_VIEW_CLASSES = frozenset(
    "Permute Flatten Unflatten Rearrange PixelShuffle PixelUnshuffle ChannelShuffle ZeroPad2d ReflectionPad2d ReplicationPad2d "
    "ConstantPad2d".split()
)
_PASSING = frozenset(
    "dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout stochastic_depth drop_path identity".split()
)
_ACTIVATIONS = frozenset(
    """relu relu6 gelu silu swish mish elu selu celu leaky_relu prelu rrelu hardswish hardsigmoid hardtanh sigmoid tanh softplus softsign
    logsigmoid softmax log_softmax softmin glu threshold quick_gelu hard_swish hard_sigmoid""".split()
)
_ACTIVATION_CLASS = re.compile(r"relu|gelu|silu|swish|mish|[sc]?elu|sigmoid|tanh|softm|softplus|softsign|shrink|glu$|activation", re.I)
_POOL = re.compile(r"pool|interpolate|upsample", re.I)
_ARITHMETIC = frozenset("mul div true_divide neg sub rsub".split())
_IN_PLACE = re.compile(r"^__i(\w+)__$")
_REFLECTED = re.compile(r"^__r(\w+)__$")
_DUNDER = re.compile(r"^__(\w+)__$")
_ALIASES = {"truediv": "div", "multiply": "mul", "concat": "cat", "concatenate": "cat"}


def plain_name(op: str) -> str:
    """One name for an operation however it was spelled.

    >>> [plain_name(op) for op in ("add_", "__iadd__", "__radd__", "iadd", "concat", "relu_", "Conv2d")]
    ['add', 'add', 'add', 'add', 'cat', 'relu', 'Conv2d']
    """
    for pattern in (_IN_PLACE, _REFLECTED, _DUNDER):
        match = pattern.match(op)
        if match:
            op = match[1]
            break
    if op in ("iadd", "imul", "isub", "itruediv", "radd", "rmul", "rtruediv"):
        op = op[1:]
    op = op.rstrip("_") or op
    return _ALIASES.get(op, op)


def name_of(node: Node) -> str:
    """The operation's plain name; a module's class."""
    return node.op if node.kind == "module" else plain_name(node.op)


def is_norm(node: Node) -> bool:
    """Batch, layer, group, instance, RMS norm and their kin."""
    name = name_of(node).lower()
    return ("norm" in name and node.kind in ("module", "function", "method")) and name not in ("norm", "normalize", "weightnorm")


def is_activation(node: Node) -> bool:
    """An elementwise nonlinearity."""
    if node.kind == "module":
        return not node.macs and _ACTIVATION_CLASS.search(node.op) is not None
    return name_of(node) in _ACTIVATIONS


def is_view(node: Node) -> bool:
    """It moves data or selects from it and computes nothing."""
    return node.op in _VIEW_CLASSES if node.kind == "module" else name_of(node) in _VIEWS


def is_passing(node: Node) -> bool:
    """Dropout, identity, stochastic depth: in eval mode the input itself."""
    if node.kind == "module":
        return node.op == "Identity" or re.search(r"dropout|droppath|stochasticdepth|patchdropout", node.op, re.I) is not None
    return name_of(node) in _PASSING


def is_pooling(node: Node) -> bool:
    """Pooling and resampling."""
    return _POOL.search(name_of(node)) is not None


def is_softmax(node: Node) -> bool:
    """The normalisation of attention scores."""
    return name_of(node).lower() in ("softmax", "log_softmax", "_softmax", "softmax2d")


def is_scaling(node: Node) -> bool:
    """Multiplication, division, negation, subtraction: elementwise arithmetic other than adding."""
    return node.kind != "module" and name_of(node) in _ARITHMETIC


def is_heavy(node: Node) -> bool:
    """A layer with multiply-accumulates, or a module with parameters that is no norm and no activation."""
    if node.kind in ("input", "parameter", "output"):
        return False
    return bool(node.macs) or (node.kind == "module" and bool(node.uses) and not is_norm(node) and not is_activation(node))
