"""Name things in a figure: layers, norms, parameters, modules and tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from fxviz._graph import Failure, Node, SkipKind, TensorInfo
from fxviz._graph.operations import is_activation, is_norm, is_scaling, name_of, plain_name
from fxviz._graph.units import shape
from fxviz._view.view import Row

_NORMS = {"batch": "BN", "layer": "LN", "group": "GN", "instance": "IN", "rms": "RMSNorm", "localresponse": "LRN"}
_ACTIVATIONS = {
    name.lower(): name
    for name in (
        "ReLU ReLU6 GELU SiLU Hardswish Hardsigmoid Hardtanh Sigmoid Tanh Softmax LeakyReLU PReLU ELU SELU CELU Mish "
        "Softplus GLU"
    ).split()
}
_SPELLED_OUT = {
    "cls": "class",
    "pos": "position",
    "embed": "embedding",
    "dist": "distillation",
    "rel": "relative",
    "gamma": "scale",
}
STOP = "✗"
"""The sign before the operation at which the run stopped."""

_MARKS = {"projection": "→", "failed": STOP}
_JOINS = {"add": "+ add", "cat": "concat", "mul": "× mul"}
_FUNCTIONS = {
    "linear": "Linear",
    "cat": "concat",
    "mul": "× mul",
    "add": "+ add",
    "sub": "− sub",
    "matmul": "matmul",
    "mean": "mean",
}


def what(row: Row) -> str:
    """Name a row: a layer, a module's class, several layers, a join.

    >>> failed = Row(0, "failed", (Node("r", "function", "raise", ""),), "", None, 0, 0)
    >>> what(failed), what(Row(0, "layers", (), "", None, 0, 0, count=500))
    ('✗ raise', '500 layers')
    """
    if row.scope is not None and row.kind in ("block", "removed"):
        name = row.scope.class_name.lstrip("_")
        return f"{row.alike} × {name}" if row.alike else name
    if row.kind in ("layers", "blocks"):
        return f"{row.count} {row.kind.removesuffix('s') if row.count == 1 else row.kind}"
    if row.kind == "code":
        return f"{len(row.heads)} operations"
    if row.kind == "chain":
        return chain(row.heads)
    name = {"token": token, "join": join}.get(row.kind, layer)(row.heads[0])
    return f"{_MARKS[row.kind]} {name}" if row.kind in _MARKS else name


def layer(node: Node) -> str:
    """Name a layer as papers do: class, kernel and stride, or features in and out.

    >>> conv = {"kernel_size": (3, 3), "stride": (2, 2), "in_channels": 8, "out_channels": 8, "groups": 8}
    >>> layer(Node("a", "module", "Conv2d", "a", settings=conv))
    'DW Conv 3×3 /2'
    >>> layer(Node("b", "module", "Linear", "b", settings={"in_features": 512, "out_features": 1000}))
    'Linear 512→1000'
    >>> pool = {"kernel_size": 3, "stride": 2}
    >>> layer(Node("c", "function", "relu_", "")), layer(Node("d", "module", "MaxPool2d", "d", settings=pool))
    ('ReLU', 'MaxPool 3×3 /2')
    >>> layer(Node("e", "function", "max_pool2d", "", settings={"1": 2}))
    'MaxPool 2×2 /2'
    >>> layer(Node("f", "function", "adaptive_avg_pool2d", ""))
    'AdaptiveAvgPool'
    """
    settings = node.settings
    name = _class_name(node)
    if "in_features" in settings and "out_features" in settings:
        return f"{name} {settings['in_features']}→{settings['out_features']}"
    if "num_embeddings" in settings and "embedding_dim" in settings:
        return f"{name} {settings['num_embeddings']}→{settings['embedding_dim']}"
    kernel = settings.get("kernel_size")
    if (
        kernel is None
        and node.kind != "module"
        and re.search(r"(max|avg)_pool\d?d?$", node.op)
        and "adaptive" not in node.op
    ):
        settings = {"stride": settings.get("2", settings.get("1")), **settings}
        kernel = settings.get("1")
    return " ".join([name, *_window(node, settings, kernel)]) if kernel is not None else name


def _class_name(node: Node) -> str:
    name = name_of(node)
    if node.kind != "module":
        known = _ACTIVATIONS.get(name.replace("_", "")) or _FUNCTIONS.get(name)
        if known or not re.search(r"pool|conv|norm|interpolate", name):
            return known or name
        name = "".join(word[:1].upper() + word[1:] for word in name.split("_"))
    name = re.sub(r"(Conv|ConvTranspose|Pool|Norm|Upsample)[123]d$", r"\1", name).replace(
        "ConvTranspose", "Transposed Conv"
    )
    groups = node.settings.get("groups", 1)
    return "DW Conv" if name == "Conv" and groups != 1 and groups == node.settings.get("in_channels") else name


def _window(node: Node, settings: Mapping[str, Any], kernel: Any) -> Iterable[str]:
    """Yield the kernel, and the stride, dilation and groups if they are not the defaults."""
    dims = len(kernel) if isinstance(kernel, tuple) else max(1, len(node.outputs[0].shape) - 2 if node.outputs else 2)
    yield "×".join(map(str, _spread(kernel, dims)))
    stride = _spread(settings.get("stride") or 1, dims)
    if any(extent != 1 for extent in stride):
        yield "/" + "×".join(map(str, stride if len(set(stride)) > 1 else stride[:1]))
    dilation = _spread(settings.get("dilation") or 1, dims)
    if any(extent != 1 for extent in dilation):
        yield "dil " + "×".join(map(str, dilation if len(set(dilation)) > 1 else dilation[:1]))
    groups = settings.get("groups", 1)
    if groups not in (1, settings.get("in_channels")):
        yield f"g{groups}"


def _spread(value: Any, dims: int) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,) * dims


def tag(node: Node) -> str:
    """Abbreviate a fused norm, activation or scale.

    >>> norm, scale = Node("a", "module", "BatchNorm2d", "a"), Node("c", "method", "mul", "")
    >>> tuple(map(tag, (norm, Node("b", "function", "relu_", ""), scale)))
    ('BN', 'ReLU', 'scale')
    """
    if is_norm(node):
        name = plain_name(node.op)
        return next((short for word, short in _NORMS.items() if word in name), name_of(node))
    if is_activation(node):
        return _class_name(node)
    return "scale" if is_scaling(node) else {"cat": "concat"}.get(name_of(node), name_of(node))


def tags(row: Row) -> str:
    """List what is fused into a row: "pre-LN · GELU"."""
    before = " ".join(map(tag, row.before))
    return " · ".join([f"pre-{before}"] * bool(before) + [tag(node) for node in row.after])


def token(node: Node) -> str:
    """Name a parameter that a module uses directly, in words.

    >>> [token(Node("a", "parameter", "Parameter", path)) for path in ("encoder.pos_embedding", "cls_token")]
    ['position embedding', 'class token']
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", node.path.rpartition(".")[2]).lower().split("_")
    return " ".join(_SPELLED_OUT.get(word, word) for word in words if word) or node.path


def join(node: Node) -> str:
    """Name the operation at which a skip ends: "+ add", "concat"."""
    return _JOINS.get(name_of(node), name_of(node))


def chain(heads: Sequence[Node]) -> str:
    """List the layers of a branch in one line, without repeating a class.

    >>> conv = [Node(str(k), "module", "Conv2d", "", settings={"kernel_size": (k, k)}) for k in (1, 3)]
    >>> chain(conv)
    'Conv 1×1 → 3×3'
    """
    previous = ""
    words = []
    for text in map(layer, heads):
        name = " ".join(word for word in text.split() if word[:1].isalpha())
        words.append(text.removeprefix(f"{name} ") if name == previous and text != name else text)
        previous = name
    return " → ".join(words)


def inside(skips: Mapping[SkipKind, int]) -> str:
    """Count the skips inside a row that stands for a whole module.

    >>> inside({"identity": 1, "gate": 1}), inside({"identity": 2}), inside({"gate": 1}), inside({"concat": 3})
    ('+ skip · gate', '+ 2 skips', 'gate', '+ 3 concats')
    """
    residual = sum(count for kind, count in skips.items() if kind not in ("concat", "gate"))
    nouns = ((residual, "+ ", "skip"), (skips.get("concat", 0), "+ ", "concat"), (skips.get("gate", 0), "", "gate"))
    return " · ".join(
        f"{sign}{name}" if count == 1 else f"{sign}{count} {name}s" for count, sign, name in nouns if count
    )


def stop(failure: Failure) -> str:
    """Say where the run stopped: the module, its class, the file's name and the line.

    >>> stop(Failure("head", "RuntimeError: no", "head", "torch.nn.modules.linear.Linear", "/home/a/net.py", 12))
    'head (Linear), net.py:12'
    """
    module = f"{failure.path} ({failure.class_name})" if failure.path else failure.class_name
    file = re.split(r"[\\/]", failure.file)[-1]
    return module + (f", {file}" if file else "") + (f":{failure.line}" if file and failure.line else "")


def tensors_text(tensors: Sequence[TensorInfo]) -> str:
    """List the input tensors of an operation, with their dtypes only if these differ.

    >>> tensors_text([TensorInfo((1, 8), "float32"), TensorInfo((4, 2), "float32")])
    '1×8 and 4×2'
    >>> tensors_text([TensorInfo((1, 8), "float32"), TensorInfo((1, 8), "float16")])
    '1×8 float32 and 1×8 float16'
    """
    several = len({tensor.dtype for tensor in tensors}) > 1
    return " and ".join(shape(tensor.shape) + (f" {tensor.dtype}" if several else "") for tensor in tensors)


def output_shape(row: Row) -> str:
    """Return the shape of a row's output, without the batch."""
    if row.output is None:
        return ""
    return shape(row.output.shape[1:]) if len(row.output.shape) > 1 else shape(row.output.shape)


def relative(path: str, base: str) -> str:
    """Return a path relative to its frame.

    >>> relative("layer1.0.conv1", "layer1"), relative("conv1", "")
    ('.0.conv1', 'conv1')
    """
    return path[len(base) :] if base and (path == base or path.startswith(base + ".")) else path


def span(first: str, last: str, base: str) -> str:
    """Write the range of repeated modules: ".1 … .35".

    >>> span("layer3.1", "layer3.35", "layer3"), span("encoder.layers.block_0", "encoder.layers.block_11", "encoder")
    ('.1 … .35', '.layers.block_0 … block_11')
    >>> span("stem.conv", "head.fc", "")
    'stem.conv … head.fc'
    """
    if first == last:
        return relative(first, base)
    parent = last.rpartition(".")[0]
    if parent != first.rpartition(".")[0]:
        return f"{relative(first, base)} … {relative(last, base)}"
    short = "." + last.rpartition(".")[2] if parent == base and base else last.rpartition(".")[2]
    return f"{relative(first, base)} … {short}"


def short_span(first: str, last: str, base: str) -> str:
    """Write a range in less room: of names that differ only in their number, keep just the number of the last.

    >>> short_span("features.denseblock3.denselayer25", "features.denseblock3.denselayer32", "features.denseblock3")
    '.denselayer25 … 32'
    >>> short_span("stem.conv", "head.fc", "")
    'stem.conv … head.fc'
    """
    name = last.rstrip("0123456789")
    if name == last or name != first.rstrip("0123456789"):
        return span(first, last, base)
    return f"{relative(first, base)} … {last.removeprefix(name)}"


def repeated(first: str, last: str, times: int) -> str:
    """Write repeated modules by their common name, or by their numbers if they have none.

    >>> repeated("encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_11", 12)
    'encoder_layer ×12'
    >>> repeated("features.5.1", "features.5.8", 8), repeated("b.0.0", "b.11.0", 12)
    ('features.5.1 … 8 ×8', 'b.0.0 … 11.0 ×12')
    """
    shared = first.rpartition(".")[2].rstrip("0123456789").removesuffix("_")
    return f"{shared or f'{first} … {_differing_end(first, last)}'} ×{times}"


def _differing_end(first: str, last: str) -> str:
    """Return what is left of ``last`` after the common start of both paths."""
    names = last.split(".")
    alike = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(first.split("."), names, strict=False))))
    return ".".join(names[alike:]) or last
