"""A graph's values as attributes: plain numbers, texts, lists and objects (layout: ``docs/graph-format.md``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fxviz._graph.values import SCHEMA, Failure, ModelInfo, Node, TensorInfo

if TYPE_CHECKING:
    from fxviz._graph.archgraph import ArchGraph


def graph_attributes(graph: ArchGraph) -> dict[str, Any]:
    """What is known of the model as a whole."""
    return {
        "schema": SCHEMA,
        "model": _model_attributes(graph.model),
        "trace": {
            "device": graph.trace.device,
            "method": graph.trace.method,
            "inputs": {name: _tensor_attributes(tensor) for name, tensor in graph.trace.inputs.items()},
            "torch": graph.trace.torch,
            "torchvision": graph.trace.torchvision,
            "guessed": dict(graph.trace.guessed),
            "training": graph.trace.training,
            "failure": None if graph.trace.failure is None else _failure_attributes(graph.trace.failure),
        },
        "totals": {
            "params": graph.total_params,
            "traced_params": graph.traced_params,
            "untraced_params": sum(parameter.size for parameter in graph.untraced),
            "trainable_params": graph.trainable_params,
            "buffers": graph.total_buffers,
            "macs": graph.total_macs,
            "macs_unknown_nodes": graph.unknown_macs,
            "skips": dict(graph.skip_counts),
        },
        "skips": [
            {"kind": skip.kind, "fork": skip.fork, "join": skip.join, "through": list(skip.through)} for skip in graph.skips
        ],
        "scopes": [_renamed(asdict(scope), "cls", "class") for scope in graph.scopes],
        "parameters": [asdict(parameter) | {"shape": list(parameter.shape)} for parameter in graph.parameters],
    }


def _model_attributes(model: ModelInfo) -> dict[str, Any]:
    weights = None if model.weights is None else _plain(asdict(model.weights))
    return {"name": model.name, "source": model.source, "class": model.cls, "weights": weights}


def node_attributes(node: Node) -> dict[str, Any]:
    """What is known of one step, without its id."""
    return {
        "kind": node.kind,
        "op": node.op,
        "path": node.path,
        "class": node.cls,
        "call": node.call,
        "scope": node.scope,
        "params": node.params,
        "macs": node.macs,
        "outputs": [_tensor_attributes(tensor) for tensor in node.outputs],
        "settings": _plain(node.settings),
        "uses": list(node.uses),
        "shared": list(node.shared),
        "time": node.time,
    }


def _tensor_attributes(tensor: TensorInfo) -> dict[str, Any]:
    return {"shape": list(tensor.shape), "dtype": tensor.dtype}


def _failure_attributes(failure: Failure) -> dict[str, Any]:
    inputs = [_tensor_attributes(tensor) for tensor in failure.inputs]
    return _renamed(asdict(failure), "cls", "class") | {"inputs": inputs}


def _plain(value: Any) -> Any:
    """Tuples as lists, so that what is saved and what is kept in memory are the same."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _renamed(attributes: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    return {new if key == old else key: value for key, value in attributes.items()}
