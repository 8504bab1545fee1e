"""The way back from node-link data to a graph's values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypedDict

from fxviz._graph.reading import Fields
from fxviz._graph.values import (
    NODE_KINDS,
    SCHEMA,
    SKIP_KINDS,
    Edge,
    Failure,
    ModelInfo,
    Node,
    Parameter,
    Scope,
    Skip,
    TensorInfo,
    TraceInfo,
    WeightsInfo,
)


class Parts(TypedDict):
    """What an :class:`~fxviz._graph.ArchGraph` is made of."""

    model: ModelInfo
    trace: TraceInfo
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    scopes: tuple[Scope, ...]
    parameters: tuple[Parameter, ...]
    skips: tuple[Skip, ...]
    total_buffers: int


def parse(content: str | bytes) -> Parts:
    """The parts of a graph that was saved as JSON.

    Raises:
        ValueError: it is no whole JSON, or not a graph of this schema.
        RecursionError: it is nested too deeply.
    """
    try:
        data = json.loads(content if isinstance(content, str) else content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not whole JSON ({error})") from error
    _check_schema(data)
    return read(data)


def _check_schema(data: Any) -> None:
    attributes = data.get("graph") if isinstance(data, dict) else None
    if not isinstance(attributes, dict):
        raise ValueError("it holds no graph of fxviz")
    if attributes.get("schema") != SCHEMA:
        raise ValueError(f"its schema is {attributes.get('schema')!r}, not '{SCHEMA}'")


def read(data: Mapping[str, Any]) -> Parts:
    """The parts of a graph in node-link form.

    Raises:
        ValueError: a field is missing or of another kind.
    """
    whole = Fields(data, "the file")
    graph = Fields(whole.raw("graph"), "the graph")
    model = graph.inner("model")
    return Parts(
        model=ModelInfo(model.text("name"), model.text("source"), model.text("class"), _read_weights(model)),
        trace=_read_trace(graph.inner("trace")),
        nodes=tuple(map(_read_node, whole.items("nodes", "id"))),
        edges=tuple(Edge(edge.text("source"), edge.text("target"), edge.text("slot")) for edge in whole.items("edges")),
        scopes=tuple(map(_read_scope, graph.items("scopes"))),
        parameters=tuple(
            Parameter(item.text("name"), item.sizes("shape"), item.text("dtype"), item.flag("trainable"), _read_owner(item))
            for item in graph.items("parameters")
        ),
        skips=tuple(
            Skip(skip.choice("kind", SKIP_KINDS), skip.text("fork"), skip.text("join"), skip.texts("through"))
            for skip in graph.items("skips")
        ),
        total_buffers=graph.inner("totals").count("buffers"),
    )


def _read_owner(parameter: Fields) -> str:
    """Graphs that were saved before owners were written have none."""
    return parameter.text("owner") if "owner" in parameter.value else ""


def _read_weights(model: Fields) -> WeightsInfo | None:
    """A graph saved before there were weights to load says nothing of them."""
    if model.value.get("weights") is None:
        return None
    weights = model.inner("weights")
    return WeightsInfo(
        weights.text("name"),
        weights.text("dtype"),
        weights.text("part"),
        weights.text("prefix"),
        weights.texts("missing"),
        weights.texts("unexpected"),
    )


def _read_trace(trace: Fields) -> TraceInfo:
    inputs, guessed = trace.inner("inputs"), trace.inner("guessed")
    return TraceInfo(
        trace.text("device"),
        trace.text("method"),
        {name: _read_tensor(inputs.inner(name)) for name in inputs.value},
        trace.text("torch"),
        trace.text_or_none("torchvision"),
        {name: guessed.count(name) for name in guessed.value},
        trace.flag("training"),
        None if trace.raw("failure") is None else _read_failure(trace.inner("failure")),
    )


def _read_failure(failure: Fields) -> Failure:
    return Failure(
        failure.text("node"),
        failure.text("message"),
        failure.text("path"),
        failure.text("class"),
        failure.text("file"),
        failure.count("line"),
        failure.text("code"),
        tuple(map(_read_tensor, failure.items("inputs"))),
    )


def _read_node(node: Fields) -> Node:
    return Node(
        id=node.text("id"),
        kind=node.choice("kind", NODE_KINDS),
        op=node.text("op"),
        path=node.text("path"),
        cls=node.text_or_none("class"),
        call=node.count("call"),
        scope=node.count("scope"),
        uses=node.texts("uses"),
        outputs=tuple(map(_read_tensor, node.items("outputs"))),
        settings=_frozen(node.settings("settings")),
        macs=node.count_or_none("macs"),
        params=node.count("params"),
        shared=node.texts("shared"),
        time=node.seconds_or_none("time"),
    )


def _read_scope(scope: Fields) -> Scope:
    return Scope(
        id=scope.count("id"),
        path=scope.text("path"),
        cls=scope.text("class"),
        call=scope.count("call"),
        parent=scope.count_or_none("parent"),
        sequential=scope.flag("sequential"),
    )


def _read_tensor(tensor: Fields) -> TensorInfo:
    return TensorInfo(tensor.sizes("shape"), tensor.text("dtype"))


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _frozen(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(item) for item in value)
    return value
