"""From the recorded ``torch.fx.Graph`` to the neutral ArchGraph. Here torch ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import fx, nn

from fxviz._graph import ArchGraph, Edge, ModelInfo, Node, Parameter, TraceInfo
from fxviz._trace.tensors import describe
from fxviz._trace.tracer import ModelTracer, class_name

_KINDS = {
    "placeholder": "input",
    "call_module": "module",
    "call_function": "function",
    "call_method": "method",
    "get_attr": "parameter",
    "output": "output",
}


def to_archgraph(
    graph: fx.Graph, tracer: ModelTracer, info: ModelInfo, trace: TraceInfo, times: Mapping[str, float]
) -> ArchGraph:
    """The recorded graph as plain values; nothing of torch is kept. ``times``: seconds of the nodes that were timed."""
    owners = {path: class_name(module) for path, module in tracer.root.named_modules()}
    return ArchGraph(
        model=info,
        trace=trace,
        nodes=tuple(_node(node, times.get(node.name)) for node in graph.nodes),
        edges=tuple(edge for node in graph.nodes for edge in _edges(node)),
        scopes=tuple(tracer.scopes),
        parameters=tuple(_parameter(name, tensor, owners) for name, tensor in tracer.root.named_parameters()),
        total_buffers=sum(buffer.numel() for buffer in tracer.root.buffers()),
    )


def _node(node: fx.Node, time: float | None) -> Node:
    module = node.meta.get("module")
    return Node(
        id=node.name,
        kind=_KINDS[node.op],
        op=node.meta["op"],
        path=node.meta["path"],
        cls=None if module is None else class_name(module),
        call=node.meta["call"],
        scope=node.meta["scope"],
        uses=tuple(node.meta["uses"]),
        outputs=node.meta["outputs"],
        settings=_call_settings(node) if module is None else _module_settings(module),
        macs=node.meta["macs"],
        time=time,
    )


def _parameter(name: str, tensor: nn.Parameter, owners: Mapping[str, str]) -> Parameter:
    described = describe(tensor)
    owner = owners.get(name.rpartition(".")[0], "")
    return Parameter(name, described.shape, described.dtype, tensor.requires_grad, owner)


def _edges(node: fx.Node) -> Iterator[Edge]:
    for slot, source in _sources("", (node.args, node.kwargs)):
        yield Edge(source.name, node.name, slot)


def _sources(slot: str, value: Any) -> Iterator[tuple[str, fx.Node]]:
    """Each node among the arguments with the place it stands at: "0", "1.2", "mask"."""
    if isinstance(value, fx.Node):
        yield slot, value
    elif slot == "" and isinstance(value, tuple):
        args, kwargs = value
        for key, item in [*enumerate(args), *kwargs.items()]:
            yield from _sources(str(key), item)
    elif isinstance(value, (tuple, list)):
        for place, item in enumerate(value):
            yield from _sources(f"{slot}.{place}", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _sources(f"{slot}.{key}", item)
    elif isinstance(value, slice):
        for key in ("start", "stop", "step"):
            yield from _sources(f"{slot}.{key}", getattr(value, key))


def _module_settings(module: nn.Module) -> dict[str, Any]:
    """The plain public attributes of a module: kernel_size, stride, in_features, ... in the order they were set."""
    attributes = ((name, value) for name, value in vars(module).items() if not name.startswith("_") and name != "training")
    return {name: _plain(value) for name, value in attributes if _is_plain(value)}


def _call_settings(node: fx.Node) -> dict[str, Any]:
    """The plain arguments of a call, by place ("1") or name ("dim")."""
    if node.op not in ("call_function", "call_method"):
        return {}
    arguments = [(str(place), value) for place, value in enumerate(node.args)] + list(node.kwargs.items())
    return {name: _plain(value) for name, value in arguments if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(_is_plain(item) for item in value)
    return isinstance(value, (int, float, bool, str)) and value == value and value not in (float("inf"), float("-inf"))


def _plain(value: Any) -> Any:
    return tuple(_plain(item) for item in value) if isinstance(value, (tuple, list)) else value
