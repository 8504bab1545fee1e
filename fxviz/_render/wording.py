"""Name things in a figure: layers, norms, parameters, modules and tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from fxviz._graph import Failure, Node, Scope, SkipKind, TensorInfo
from fxviz._graph.operations import (
    RUNS,
    computes,
    is_activation,
    is_norm,
    is_scaling,
    name_of,
    plain_name,
    says_nothing,
)
from fxviz._graph.settings import weight_slots
from fxviz._graph.units import shape
from fxviz._render.parameter_words import end_of, is_telling, words_of
from fxviz._view.view import Row

_NORMS = {"batch": "BN", "layer": "LN", "group": "GN", "instance": "IN", "rms": "RMSNorm", "localresponse": "LRN"}
_NORM_CLASSES = {
    "batch": "Batch",
    "layer": "Layer",
    "group": "Group",
    "instance": "Instance",
    "rms": "RMS",
    "localresponse": "LocalResponse",
}
_ACTIVATIONS = {
    name.lower(): name
    for name in (
        "ReLU ReLU6 GELU SiLU Hardswish Hardsigmoid Hardtanh Sigmoid Tanh Softmax LeakyReLU PReLU ELU SELU CELU Mish "
        "Softplus GLU"
    ).split()
}
STOP = "✗"
"""The sign before the operation at which the run stopped."""

_NAMED = 3
"""The most names in a list."""

_ARITHMETIC = frozenset("add sub mul div neg".split())
_COMMON = _ARITHMETIC | set(
    """abs ceil clamp concat exp flatten floor log max maximum mean min minimum pow round rsqrt sqrt square stack sum
    where assign clone ones_like zeros_like full_like contiguous""".split()
)
"""Functions that are not telling beside others."""
_EFFECTS = {"mul": "scale", "div": "scale", "add": "bias", "sub": "bias"}
"""What a parameter does in these operations."""

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
    "amax": "max",
    "amin": "min",
    "getitem": "index",
    "setitem": "assign",
    "fused_moving_avg_obs_fake_quant": "fake quant",
}


def what(row: Row) -> str:
    """Name a row: a layer, a module's class, several layers, a join.

    >>> failed = Row(0, "failed", (Node("r", "function", "raise", ""),), "", None, 0, 0)
    >>> what(failed), what(Row(0, "layers", (), "", None, 0, 0, count=500))
    ('✗ raise', '500 layers')
    """
    if row.scope is not None and row.kind in ("block", "removed"):
        return module(row)
    if row.kind in ("layers", "blocks"):
        return several(row)
    if row.kind == "code":
        return operations(row.heads)
    if row.kind == "chain":
        return chain(row.heads)
    if row.kind == "token":
        return token(row.heads[0], row.after[0] if row.after else None)
    if row.alike:
        return f"{row.alike:,} × {ranged(list(map(layer, row.heads)))}"
    name = {"join": join}.get(row.kind, layer)(row.heads[0])
    return f"{_MARKS[row.kind]} {name}" if row.kind in _MARKS else name


def several(row: Row) -> str:
    """Name several layers or blocks: layers of one class by it and their sizes, others by their number.

    >>> heads = [Node(str(width), "module", "Linear", "", settings={"in_features": width, "out_features": width},
    ...               macs=width) for width in (8, 16)]
    >>> several(Row(0, "layers", tuple(heads), "", None, count=2)), several(Row(0, "blocks", (), "", None, count=3))
    ('2 × Linear 8…16→8…16', '3 blocks')
    """
    heads = [head for head in row.heads if head.uses or head.macs]
    if row.kind == "layers" and len({head.op for head in heads}) == 1 and row.count > 1:
        return f"{row.count:,} × {ranged(list(map(layer, heads)))}"
    return f"{row.count:,} {row.kind.removesuffix('s') if row.count == 1 else row.kind}"


def ranged(names: Sequence[str]) -> str:
    """Write names that differ in their numbers as one, with the least and the greatest of each; others by a class.

    >>> ranged(["Linear 8→15", "Linear 15→9"]), ranged(["Conv 3×3", "Conv 1×1 /2"])
    ('Linear 8…15→9…15', 'Conv')
    """
    texts = {re.sub(r"\d+", "#", name) for name in names}
    if len(texts) > 1:
        return _some(" ".join(word for word in name.split() if word[:1].isalpha()) for name in names)
    numbers = zip(*(map(int, re.findall(r"\d+", name)) for name in names), strict=True)
    found = iter([(min(each), max(each)) for each in map(list, numbers)])
    return re.sub("#", lambda _: "…".join(map(str, dict.fromkeys(next(found)))), texts.pop())


def module(row: Row) -> str:
    """Name a module by what it is, or by its class; one of torch's containers by what it lists, or else by its path.

    >>> from dataclasses import replace
    >>> listed = Scope(1, "stages.0", "torch.nn.modules.container.Sequential", 0, 0)
    >>> blocks = tuple(Scope(2, f"stages.0.{place}", "net.Block", 0, 1) for place in range(2))
    >>> row = Row(0, "block", (), "stages.0", None, scope=listed)
    >>> module(row), module(replace(row, lists=blocks)), module(replace(row, alike=3))
    ('stages.0', '2 × Block', '3 × stages')
    """
    assert row.scope is not None
    if row.word and not row.alike:
        return row.word
    if not says_nothing(row.scope.cls):
        name, count = row.scope.class_name.lstrip("_"), row.alike
    else:
        classes = {part.class_name if isinstance(part, Scope) else "" for part in row.lists}
        listed = next(iter(classes)).lstrip("_") if len(classes) == 1 else ""
        name, count = listed or _by_path(row), row.alike or len(row.lists) * bool(listed)
    return f"{count} × {name}" if count > 1 else name


def _by_path(row: Row) -> str:
    """Name a container by the end of its path, from its last name on; if there are only numbers, by its layers."""
    name = end_of(row.path)
    if not name:
        return _some(_class_name(part) if isinstance(part, Node) else part.class_name for part in row.lists) or "layers"
    return name.partition(".")[0] if row.alike else name


def _some(names: Iterable[str]) -> str:
    """List the first names, each once.

    >>> _some(["Conv", "Linear", "Conv", "LSTM", "GRU"])
    'Conv, Linear, LSTM, …'
    """
    different = list(dict.fromkeys(names))
    return ", ".join([*different[:_NAMED], *["…"] * (len(different) > _NAMED)])


def operations(heads: Sequence[Node]) -> str:
    """Name consecutive functions by the most telling ones; sums and products only if there is little else.

    >>> operations([Node(op, "method", op, "") for op in ("mul", "softmax", "exp", "topk", "mul")])
    'Softmax, exp, topk, …'
    >>> operations([Node(op, "method", op, "") for op in ("pow", "mean", "add", "rsqrt", "mul")])
    'pow, mean, rsqrt, …'
    """
    names = list(dict.fromkeys(_class_name(node).lstrip("+×− ") for node in heads))
    most_telling = sorted(names, key=lambda name: (name in _ARITHMETIC, name in _COMMON))[:_NAMED]
    return _some([name for name in names if name in most_telling]) + (", …" if len(names) > _NAMED else "")


def layer(node: Node, widths: bool = True) -> str:
    """Name a layer as papers do: what it is, its kernel, channels or features in and out, and its stride; heads×width.

    ``widths``: with the channels of convolutions. A depthwise convolution keeps them, so they are not said.

    >>> conv = {"kernel_size": (3, 3), "stride": (2, 2), "in_channels": 8, "out_channels": 16}
    >>> layer(Node("a", "module", "Conv2d", "a", settings=conv))
    'Conv 3×3 8→16 /2'
    >>> layer(Node("a", "module", "Conv2d", "a", settings={**conv, "out_channels": 8, "groups": 8}))
    'DW 3×3 /2'
    >>> layer(Node("b", "module", "Linear", "b", settings={"in_features": 512, "out_features": 1000}))
    'Linear 512→1000'
    >>> pool = {"kernel_size": 3, "stride": 2}
    >>> layer(Node("c", "function", "relu_", "")), layer(Node("d", "module", "MaxPool2d", "d", settings=pool))
    ('ReLU', 'MaxPool 3×3 /2')
    >>> layer(Node("e", "function", "max_pool2d", "", settings={"1": 2}))
    'MaxPool 2×2 /2'
    >>> layer(Node("f", "function", "adaptive_avg_pool2d", ""))
    'AvgPool'
    """
    settings = node.settings
    name = _class_name(node)
    if "in_features" in settings and "out_features" in settings:
        return f"{name} {settings['in_features']}→{settings['out_features']}"
    if "num_embeddings" in settings and "embedding_dim" in settings:
        return f"{name} {settings['num_embeddings']}→{settings['embedding_dim']}"
    if "num_heads" in settings and "embed_dim" in settings:
        return f"Attention {settings['num_heads']}×{settings['embed_dim'] // settings['num_heads']}"
    kernel = settings.get("kernel_size")
    if (
        kernel is None
        and node.kind != "module"
        and re.search(r"(max|avg)_pool\d?d?$", node.op)
        and "adaptive" not in node.op
    ):
        settings = {"stride": settings.get("2", settings.get("1")), **settings}
        kernel = settings.get("1")
    if kernel is None:
        return name
    size, *others = _window(node, settings, kernel)
    return " ".join([name, size, *_channels(name, settings, widths), *others])


def _channels(name: str, settings: Mapping[str, Any], widths: bool) -> Iterator[str]:
    """Yield the channels in and out of a convolution that is not depthwise."""
    entering, leaving = settings.get("in_channels"), settings.get("out_channels")
    if widths and entering and leaving and not (name.startswith("DW") and entering == leaving):
        yield f"{entering}→{leaving}"


def _class_name(node: Node) -> str:
    if node.cls is not None and says_nothing(node.cls):
        return end_of(node.path) or "scripted module"
    name = name_of(node) if node.kind == "module" and RUNS not in node.settings else _layer_of_function(node)
    name = re.sub(r"(Conv|ConvTranspose|Pool|Norm|Upsample)[123]d$", r"\1", name).replace(
        "ConvTranspose", "Transposed Conv"
    )
    name = re.sub(r"^Adaptive(Avg|Max)Pool$", r"\1Pool", name)
    if is_activation(node):
        return "GELU" if "gelu" in name.lower() else name.removesuffix("Activation") or name
    if is_norm(node):
        return tag(node)
    groups = node.settings.get("groups", 1)
    is_depthwise = "kernel_size" in node.settings and groups != 1 and groups == node.settings.get("in_channels")
    return "DW" if is_depthwise and name == "Conv" else f"DW {name}" if is_depthwise else name


def _layer_of_function(node: Node) -> str:
    """Return the class of torch's layer that does the same as a function, or the function's name."""
    settings = node.settings
    name = settings.get(RUNS, name_of(node)).strip("_")
    if "in_features" in settings or "num_embeddings" in settings:
        return "Linear" if "in_features" in settings else "Embedding"
    if is_norm(node):
        return next((f"{cls}Norm" for word, cls in _NORM_CLASSES.items() if word in computes(node)), name)
    known = _ACTIVATIONS.get(name.replace("_", "")) or _FUNCTIONS.get(name)
    if known or not re.search(r"pool|conv|interpolate", name):
        return known or name
    if name == "convolution":
        return "ConvTranspose" if settings.get("transposed") is True else "Conv"
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


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
        names = (computes(node), *map(plain_name, node.steps))
        return next((short for name in names for word, short in _NORMS.items() if word in name), name_of(node))
    if is_activation(node):
        return _class_name(node)
    return "scale" if is_scaling(node) else {"cat": "concat", "setitem": "assign"}.get(name_of(node), name_of(node))


def tags(row: Row) -> str:
    """List what is fused into a row: "pre-LN · GELU". What the row is named after is not said again."""
    first = row.heads[0] if row.kind in ("layer", "projection", "plain") and len(row.heads) == 1 else None
    above, below = _inside(first) if first else ([], [])
    before = " ".join([*(name for node in row.before for name in _with_inside(node)), *above])
    is_named_after = row.kind == "token" and not is_telling(row.heads[0])
    after = [*below, *(name for node in row.after[is_named_after:] for name in _with_inside(node))]
    return " · ".join([f"pre-{before}"] * bool(before) + after)


def _with_inside(node: Node) -> list[str]:
    above, below = _inside(node)
    return [*above, tag(node), *below]


def _inside(node: Node) -> tuple[list[str], list[str]]:
    """Return the norms and activations inside a module of one's own, before and after what it is named after.

    >>> steps = ("relu", "conv2d", "batch_norm", "leaky_relu")
    >>> _inside(Node("a", "module", "ConvBN", "a", steps=steps, macs=9, uses=("a.weight",)))
    (['ReLU'], ['BN', 'LeakyReLU'])
    >>> _inside(Node("b", "module", "ABN", "b", steps=("batch_norm", "leaky_relu")))
    ([], ['LeakyReLU'])
    """
    steps = [Node(node.id, "function", step, "") for step in node.steps]
    main: Callable[[Node], bool] = next(
        (test for test in (_has_weights, is_norm, is_activation) if any(map(test, steps))), is_activation
    )
    place = next((place for place, step in enumerate(steps) if main(step)), 0)
    above, below = (
        [tag(step) for step in part if is_norm(step) or is_activation(step)]
        for part in (steps[:place], steps[place + 1 :])
    )
    return above, below


def _has_weights(step: Node) -> bool:
    return bool(weight_slots(plain_name(step.op)))


def token(node: Node, joins: Node | None) -> str:
    """Name a row in which a tensor of the model's own joins the data, or of a tensor that modules below read.

    It is named after the layer that makes the tensor, after a parameter whose name says what it is, or after what the
    parameter does: ``x * self.weight`` is a scale.

    >>> mul = Node("a", "function", "mul", "")
    >>> paths = "encoder.pos_embedding", "cls_token", "tokens.0", "block.gamma_1"
    >>> [token(Node("a", "parameter", "Parameter", path), mul) for path in paths]
    ['position embedding', 'class token', 'tokens 0', 'scale']
    """
    if node.kind == "module":
        return layer(node)
    if joins is None:
        return " ".join(words_of(node)) or "parameter"
    return " ".join(words_of(node)) if is_telling(node) else _EFFECTS.get(plain_name(joins.op)) or layer(joins)


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
    for text in (layer(head, widths=False) for head in heads):
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
