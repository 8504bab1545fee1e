"""Convert a graph to node-link data, and check such data as it is read back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from fxviz._graph.errors import shown
from fxviz._graph.values import (
    MACS_BOUNDS,
    NODE_KINDS,
    SCHEMA,
    SKIP_KINDS,
    TRACE_METHODS,
    Edge,
    Failure,
    ModelInfo,
    Node,
    Parameter,
    Scope,
    Skip,
    TensorInfo,
    TraceInfo,
    Unregistered,
    WeightsInfo,
)

if TYPE_CHECKING:
    from fxviz._graph.archgraph import ArchGraph


class Parts(TypedDict):
    """The fields of an :class:`~fxviz._graph.ArchGraph`."""

    model: ModelInfo
    trace: TraceInfo
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    scopes: tuple[Scope, ...]
    parameters: tuple[Parameter, ...]
    skips: tuple[Skip, ...]
    total_buffers: int


def parse(content: str | bytes) -> Parts:
    """Read a graph that was saved as JSON.

    Raises:
        ValueError: the text is not valid JSON, or no graph of this schema.
        RecursionError: it is nested too deeply.
    """
    try:
        data = json.loads(content if isinstance(content, str) else content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not valid JSON ({error})") from error
    _check_schema(data)
    return read(data)


def _check_schema(data: Any) -> None:
    attributes = data.get("graph") if isinstance(data, dict) else None
    if not isinstance(attributes, dict):
        raise ValueError("it is not an fxviz graph")
    if attributes.get("schema") != SCHEMA:
        raise ValueError(f"unknown schema {_quoted(attributes.get('schema'))}: must be '{SCHEMA}'")


def read(data: Mapping[str, Any]) -> Parts:
    """Read a graph in node-link form.

    Raises:
        ValueError: a field is missing or has an invalid value.
    """
    whole = Fields(data, "the file")
    graph = Fields(whole.raw("graph"), "the graph")
    return Parts(
        model=_read_model(graph.inner("model")),
        trace=_read_trace(graph.inner("trace")),
        nodes=tuple(map(_read_node, whole.items("nodes", "id"))),
        edges=tuple(Edge(edge.text("source"), edge.text("target"), edge.text("slot")) for edge in whole.items("edges")),
        scopes=tuple(map(_read_scope, graph.items("scopes"))),
        parameters=tuple(
            Parameter(
                item.text("name"), item.sizes("shape"), item.text("dtype"), item.flag("trainable"), _read_owner(item)
            )
            for item in graph.items("parameters")
        ),
        skips=tuple(
            Skip(skip.choice("kind", SKIP_KINDS), skip.text("fork"), skip.text("join"), skip.texts("through"))
            for skip in graph.items("skips")
        ),
        total_buffers=graph.inner("totals").count("buffers"),
    )


def _read_model(model: Fields) -> ModelInfo:
    """Read the model; its method is written only if it is not forward."""
    method = model.text("method") if "method" in model.value else ""
    return ModelInfo(model.text("name"), model.text("source"), model.text("class"), _read_weights(model), method)


def _read_owner(parameter: Fields) -> str:
    """Read the owner, which graphs saved by early versions lack."""
    return parameter.text("owner") if "owner" in parameter.value else ""


def _read_weights(model: Fields) -> WeightsInfo | None:
    """Read the weights, which graphs saved by early versions lack."""
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
        trace.choice("method", TRACE_METHODS),
        {name: _read_tensor(inputs.inner(name)) for name in inputs.value},
        trace.text("torch"),
        trace.text_or_none("torchvision"),
        {name: guessed.count(name) for name in guessed.value},
        trace.flag("training"),
        None if trace.raw("failure") is None else _read_failure(trace.inner("failure")),
        trace.choice("bound", MACS_BOUNDS) if "bound" in trace.value else "about",
        trace.count("idle") if "idle" in trace.value else 0,
        trace.texts("notes") if "notes" in trace.value else (),
        tuple(map(_read_unregistered, trace.items("unregistered") if "unregistered" in trace.value else ())),
    )


def _read_unregistered(found: Fields) -> Unregistered:
    return Unregistered(
        found.text("class"), found.text("place"), found.count("count"), found.count("scalars"), found.text("remedy")
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
        known_macs=node.count("known_macs") if "known_macs" in node.value else 0,
        params=node.count("params"),
        shared=node.texts("shared"),
        time=node.seconds_or_none("time"),
        steps=node.texts("steps") if "steps" in node.value else (),
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


def graph_attributes(graph: ArchGraph) -> dict[str, Any]:
    """Return the attributes of a graph as a whole."""
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
            **({} if graph.trace.bound == "about" else {"bound": graph.trace.bound}),
            **({"idle": graph.trace.idle} if graph.trace.idle else {}),
            **({"notes": list(graph.trace.notes)} if graph.trace.notes else {}),
            **_unregistered_attributes(graph.trace),
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
            {"kind": skip.kind, "fork": skip.fork, "join": skip.join, "through": list(skip.through)}
            for skip in graph.skips
        ],
        "scopes": [_renamed(asdict(scope), "cls", "class") for scope in graph.scopes],
        "parameters": [asdict(parameter) | {"shape": list(parameter.shape)} for parameter in graph.parameters],
    }


def _model_attributes(model: ModelInfo) -> dict[str, Any]:
    weights = None if model.weights is None else _plain(asdict(model.weights))
    method = {"method": model.method} if model.method else {}
    return {"name": model.name, "source": model.source, "class": model.cls, "weights": weights, **method}


def _unregistered_attributes(trace: TraceInfo) -> dict[str, Any]:
    found = [_renamed(asdict(weights), "cls", "class") for weights in trace.unregistered]
    return {"unregistered": found} if found else {}


def node_attributes(node: Node) -> dict[str, Any]:
    """Return the attributes of a node, without its id."""
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
        **({"known_macs": node.known_macs} if node.known_macs else {}),
        **({"steps": list(node.steps)} if node.steps else {}),
    }


def _tensor_attributes(tensor: TensorInfo) -> dict[str, Any]:
    return {"shape": list(tensor.shape), "dtype": tensor.dtype}


def _failure_attributes(failure: Failure) -> dict[str, Any]:
    inputs = [_tensor_attributes(tensor) for tensor in failure.inputs]
    return _renamed(asdict(failure), "cls", "class") | {"inputs": inputs}


def _plain(value: Any) -> Any:
    """Return a value with lists in place of tuples, as in JSON."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _renamed(attributes: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    return {new if key == old else key: value for key, value in attributes.items()}


_Choice = TypeVar("_Choice", bound=str)

_LIMIT = 2**63
"""Counts are smaller: torch counts in 64 bits."""


@dataclass(frozen=True)
class Fields:
    """The fields of one object in a file. Each method reads and checks one of them.

    Args:
        value: the object, as parsed from JSON.
        where: its name in messages ("node 'conv1'").

    Raises:
        ValueError: the field is missing or has an invalid value.

    >>> fields = Fields({"op": "Conv2d", "params": -1}, "node 'conv1'")
    >>> fields.text("op")
    'Conv2d'
    >>> fields.count("params")
    Traceback (most recent call last):
    ...
    ValueError: node 'conv1': 'params' must be a non-negative integer, not -1
    """

    value: Any
    where: str

    def __post_init__(self) -> None:
        if not isinstance(self.value, dict):
            raise ValueError(f"{self.where} must be an object, not {_quoted(self.value)}")

    def raw(self, key: str) -> Any:
        """Return a field of any type."""
        if key not in self.value:
            raise ValueError(f"{self.where} has no '{key}'")
        return self.value[key]

    def text(self, key: str) -> str:
        return str(self._checked(key, isinstance(self.raw(key), str), "a string"))

    def text_or_none(self, key: str) -> str | None:
        return None if self.raw(key) is None else self.text(key)

    def choice(self, key: str, allowed: Sequence[_Choice]) -> _Choice:
        value = self._checked(key, self.raw(key) in allowed, f"one of {', '.join(allowed)}")
        return allowed[allowed.index(value)]

    def flag(self, key: str) -> bool:
        return bool(self._checked(key, isinstance(self.raw(key), bool), "true or false"))

    def count(self, key: str) -> int:
        return int(self._checked(key, _is_count(self.raw(key)), "a non-negative integer"))

    def count_or_none(self, key: str) -> int | None:
        return None if self.raw(key) is None else self.count(key)

    def seconds_or_none(self, key: str) -> float | None:
        value = self.raw(key)
        if value is None:
            return None
        is_number = isinstance(value, float) or _is_count(value)
        return float(self._checked(key, is_number and 0 <= value < _LIMIT, "a number of seconds"))

    def sizes(self, key: str) -> tuple[int, ...]:
        """Return the shape of a tensor; the number of its elements must be in range, too."""
        value = self.raw(key)
        good = isinstance(value, (list, tuple)) and all(map(_is_count, value)) and prod(value) < _LIMIT
        return tuple(self._checked(key, good, "a list of sizes"))

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.raw(key)
        good = isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)
        return tuple(self._checked(key, good, "a list of strings"))

    def settings(self, key: str) -> dict[str, Any]:
        """Return plain values by name: numbers, strings, booleans, null, and lists of these."""
        settings = self.inner(key).value
        for name, value in settings.items():
            if not _is_plain(value):
                expected = "a number, a string, true, false, null or a list of these"
                raise ValueError(f"{self.where}: '{key}' '{shown(name)}' must be {expected}, not {_quoted(value)}")
        return dict(settings)

    def inner(self, key: str) -> Fields:
        """Return the fields of an object in this one."""
        return Fields(self.raw(key), f"{self.where}: '{key}'")

    def items(self, key: str, name: str = "") -> Iterator[Fields]:
        """Yield the objects in a list. Messages name each by its field ``name``, or else by its place in the list."""
        value = self._checked(key, isinstance(self.raw(key), (list, tuple)), "a list")
        for place, item in enumerate(value):
            fields = Fields(item, f"{self.where}: '{key}' {place}")
            yield Fields(item, f"{key.removesuffix('s')} '{shown(fields.text(name))}'") if name else fields

    def _checked(self, key: str, good: bool, expected: str) -> Any:
        if not good:
            raise ValueError(f"{self.where}: '{key}' must be {expected}, not {_quoted(self.value[key])}")
        return self.value[key]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LIMIT


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _quoted(value: Any) -> str:
    """Format a value for a message.

    >>> _quoted(None), _quoted("a" * 50), _quoted({"a": 1})
    ('null', "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...", 'an object')
    """
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, int) and abs(value) >= _LIMIT:
        return "a number beyond 64 bits"
    text = repr(value)
    return text if len(text) <= 41 else f"{text[:38]}..."
