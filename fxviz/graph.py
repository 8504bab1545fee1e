"""The neutral form in the middle: a traced model as plain values.

An :class:`ArchGraph` knows nothing of torch and nothing of pictures. Tracing makes it, annotating fills in the facts
that follow from it, folding and the tables read it. It saves to JSON (networkx node-link form) and comes back equal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxviz.errors import BadGraphFile
from fxviz.reading import Fields
from fxviz.writing import check_target, write_whole

if TYPE_CHECKING:
    import networkx as nx

SCHEMA = "fxviz.graph/1"
NODE_KINDS = ("input", "module", "function", "method", "parameter", "output")
RESIDUAL_KINDS = ("identity", "projection", "resample")
"""Kinds of skips that end in an addition."""

SKIP_KINDS = (*RESIDUAL_KINDS, "concat", "gate")


@dataclass(frozen=True)
class TensorInfo:
    """One tensor: its sizes (batch included) and its dtype as torch prints it, without ``torch.``."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def is_floating(self) -> bool:
        return "float" in self.dtype


@dataclass(frozen=True)
class Node:
    """One recorded step: an input, a call of a leaf module, a function, a method, a tensor read from the model, or the output.

    Attributes:
        id: unique name of the node in the graph.
        kind: one of ``NODE_KINDS``.
        op: what it does in one word: the class of a module ("Conv2d"), the name of a function ("add"), and for kind
            "parameter" one of "Parameter", "Buffer", "Constant".
        path: dotted path of the module (kind module), of the tensor (kind parameter), of the module whose code made
            the call (kinds function and method), or the argument's name (kind input).
        cls: the module's class with its Python module ("torch.nn.modules.conv.Conv2d"); None for all other kinds.
        call: which call of the module at that path this is, from 0.
        scope: id of the :class:`Scope` in which it ran.
        uses: names of the parameters it reads.
        outputs: the tensors it returns.
        settings: the plain settings of a module or the plain arguments of a call (kernel_size, stride, ...).
        macs: multiply-accumulate operations (1 MAC = 2 FLOPs); None when unknown, which is never 0.
        params: scalars in the parameters counted here. A parameter counts at the first node that reads it.
        shared: names in ``uses`` that are counted at an earlier node.
        time: seconds that it took, the median of several runs; None if that was not measured.
    """

    id: str
    kind: str
    op: str
    path: str
    cls: str | None = None
    call: int = 0
    scope: int = 0
    uses: tuple[str, ...] = ()
    outputs: tuple[TensorInfo, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    macs: int | None = 0
    params: int = 0
    shared: tuple[str, ...] = ()
    time: float | None = None


@dataclass(frozen=True)
class Edge:
    """Data flow: ``source``'s result is the argument ``slot`` ("0", "1.2", "mask") of ``target``."""

    source: str
    target: str
    slot: str


@dataclass(frozen=True)
class Scope:
    """One call of a module that has children. Scope 0 is the model itself; ``parent`` is None for it alone.

    ``sequential`` is true for ``nn.Sequential`` and its subclasses that keep its forward: a mere list of steps.
    """

    id: int
    path: str
    cls: str
    call: int
    parent: int | None
    sequential: bool = False

    @property
    def class_name(self) -> str:
        return self.cls.rpartition(".")[2]


@dataclass(frozen=True)
class Parameter:
    """A parameter of the model, once, under the first of its names.

    ``owner``: the class of the module that holds it, with its Python module ("torch.nn.modules.linear.Linear"); "" if unknown.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool
    owner: str = ""

    @property
    def size(self) -> int:
        size = 1
        for extent in self.shape:
            size *= extent
        return size


@dataclass(frozen=True)
class Skip:
    """A skip connection: ``fork``'s result reaches ``join`` past the body that starts at ``fork`` too.

    ``through`` names the nodes on the skip's own way, in order: none for most identities, the convolution (and its norm)
    for a projection. ``kind`` is one of ``SKIP_KINDS``.
    """

    kind: str
    fork: str
    join: str
    through: tuple[str, ...] = ()


@dataclass(frozen=True)
class WeightsInfo:
    """The weights that were loaded into a model.

    Attributes:
        name: what they were asked for by: a file, or the name of published weights.
        dtype: the floating dtype of most of their elements; "" if none is floating.
        part: where in the file they stood ("state_dict"), "" for its top.
        prefix: what their names begin with and the model's do not ("module.").
        missing: the model's tensors that are not among them.
        unexpected: those that the model has no place for, under the file's names.
    """

    name: str
    dtype: str
    part: str = ""
    prefix: str = ""
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelInfo:
    """Which model it is: the name it was asked for by, where it comes from, its class, the weights that were loaded if any."""

    name: str
    source: str
    cls: str
    weights: WeightsInfo | None = None


@dataclass(frozen=True)
class Failure:
    """Where and why the model's own code stopped before its end.

    Attributes:
        node: the operation that raised, the last node of the graph; it has no outputs. Where the code raised on its own,
            outside of any operation, its op is "raise" and nothing leads to it.
        message: what was raised, in one line ("RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x8 and 4x2)").
        path: dotted path of the innermost module whose call raised, "" for the model itself.
        cls: that module's class with its Python module.
        file: the file of the code that raised, as Python names it; "" if that is not known. The user's own, where one of
            their lines led there; never one of torch's.
        line: its line there, from 1; 0 if not known.
        code: that line's text, stripped.
        inputs: the tensors that met in the operation.
    """

    node: str
    message: str
    path: str
    cls: str
    file: str = ""
    line: int = 0
    code: str = ""
    inputs: tuple[TensorInfo, ...] = ()

    @property
    def class_name(self) -> str:
        return self.cls.rpartition(".")[2]


@dataclass(frozen=True)
class TraceInfo:
    """How it was traced.

    Attributes:
        device: "meta", "cpu", "cuda" or "cuda:N".
        method: "fake" (fake tensors), "guessed" (fake tensors, where results that depend on data were guessed), "real".
        inputs: the tensors that went in, by name.
        torch: version of torch.
        torchvision: version of torchvision, None if it is not installed.
        guessed: how often the result of which operation was guessed ("aten.nonzero": 3).
        training: whether it ran in training mode.
        failure: where it stopped, None for a run to the end. A graph with a failure has no node of kind "output".
    """

    device: str
    method: str
    inputs: Mapping[str, TensorInfo]
    torch: str
    torchvision: str | None
    guessed: Mapping[str, int] = field(default_factory=dict)
    training: bool = False
    failure: Failure | None = None


@dataclass(frozen=True)
class ArchGraph:
    """A traced model: nodes in the order they ran, the data flow between them, and what was found out about them.

    >>> conv = Node("conv", "module", "Conv2d", "conv", uses=("conv.weight",), params=27, macs=1350)
    >>> graph = ArchGraph(
    ...     ModelInfo("tiny", "python", "Tiny"),
    ...     TraceInfo("meta", "fake", {"x": TensorInfo((1, 3, 5, 5), "float32")}, "2.4.0", None),
    ...     nodes=(Node("x", "input", "x", "x"), conv),
    ...     edges=(Edge("x", "conv", "0"),),
    ...     scopes=(Scope(0, "", "Tiny", 0, None),),
    ...     parameters=(Parameter("conv.weight", (1, 3, 3, 3), "float32", True),),
    ... )
    >>> graph.total_params, graph.traced_params, graph.total_macs
    (27, 27, 1350)
    >>> ArchGraph.from_networkx(graph.to_networkx()) == graph
    True
    """

    model: ModelInfo
    trace: TraceInfo
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    scopes: tuple[Scope, ...]
    parameters: tuple[Parameter, ...]
    skips: tuple[Skip, ...] = ()
    total_buffers: int = 0
    """Scalars in the model's buffers (running statistics, fixed tables), which are no parameters."""

    def __post_init__(self) -> None:
        position = {node.id: place for place, node in enumerate(self.nodes)}
        _check(self, position)
        edges = sorted(self.edges, key=lambda edge: (position[edge.source], position[edge.target], edge.slot))
        object.__setattr__(self, "edges", tuple(edges))

    @cached_property
    def total_params(self) -> int:
        """Scalars in all parameters of the model, each tensor once: ``sum(p.numel() for p in model.parameters())``."""
        return sum(parameter.size for parameter in self.parameters)

    @cached_property
    def traced_params(self) -> int:
        """Scalars in the parameters that this trace reads."""
        return sum(node.params for node in self.nodes)

    @cached_property
    def untraced(self) -> tuple[Parameter, ...]:
        """The parameters that this trace never reads, in the model's order."""
        read = {name for node in self.nodes for name in node.uses}
        return tuple(parameter for parameter in self.parameters if parameter.name not in read)

    @cached_property
    def trainable_params(self) -> int:
        """Scalars in the parameters with ``requires_grad``."""
        return sum(parameter.size for parameter in self.parameters if parameter.trainable)

    @cached_property
    def total_macs(self) -> int:
        """Multiply-accumulate operations of all nodes whose count is known."""
        return sum(node.macs or 0 for node in self.nodes)

    @cached_property
    def skip_counts(self) -> dict[str, int]:
        """Skip connections by kind, every kind named."""
        counts = dict.fromkeys(SKIP_KINDS, 0)
        for skip in self.skips:
            counts[skip.kind] += 1
        return counts

    @cached_property
    def by_id(self) -> dict[str, Node]:
        return {node.id: node for node in self.nodes}

    def with_nodes(self, nodes: tuple[Node, ...]) -> ArchGraph:
        """The same graph with other facts on its nodes."""
        return replace(self, nodes=nodes)

    def flow(self) -> nx.DiGraph:
        """The bare data flow, for graph algorithms: node ids in the order they ran, one edge for each pair that is joined."""
        import networkx as nx

        flow: nx.DiGraph = nx.DiGraph()
        flow.add_nodes_from(node.id for node in self.nodes)
        flow.add_edges_from((edge.source, edge.target) for edge in self.edges)
        return flow

    def to_networkx(self) -> nx.MultiDiGraph:
        """The annotated graph with plain values on nodes, edges and the graph itself (layout: ``docs/graph-format.md``)."""
        import networkx as nx

        graph: nx.MultiDiGraph = nx.MultiDiGraph(**_graph_attributes(self))
        for node in self.nodes:
            graph.add_node(node.id, **_node_attributes(node))
        for edge in self.edges:
            graph.add_edge(edge.source, edge.target, slot=edge.slot)
        return graph

    @classmethod
    def from_networkx(cls, graph: nx.MultiDiGraph) -> ArchGraph:
        """The inverse of :meth:`to_networkx`.

        Raises:
            BadGraphFile: the graph lacks what an annotated graph has.
        """
        import networkx as nx

        try:
            return _read(nx.node_link_data(graph, edges="edges"))
        except (ValueError, RecursionError) as error:
            raise BadGraphFile(f"the graph is damaged: {error}") from error

    def save(self, path: str | Path) -> Path:
        """Write the graph as JSON, whole or not at all. The same graph gives the same bytes.

        Raises:
            BadOutput: the suffix is not ``.json``, or the file cannot be written.
        """
        return write_whole(check_target(path, (".json",)), self.to_json())

    def to_json(self) -> str:
        """Node-link JSON: ``networkx.node_link_graph(json.loads(text), edges="edges")`` gives the graph back."""
        import networkx as nx

        data = nx.node_link_data(self.to_networkx(), edges="edges")
        text = json.dumps(data, ensure_ascii=False, indent=1) + "\n"
        return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", text)  # half a character has no UTF-8

    @classmethod
    def from_json(cls, text: str) -> ArchGraph:
        """The inverse of :meth:`to_json`, without importing torch.

        Raises:
            BadGraphFile: the text is not whole, or not a graph of this schema.
        """
        try:
            data = json.loads(text)
            _check_schema(data)
            return _read(data)
        except (ValueError, RecursionError) as error:
            raise BadGraphFile(f"the graph is damaged: {error}") from error

    @classmethod
    def load(cls, path: str | Path) -> ArchGraph:
        """Read a graph written by :meth:`save`, without importing torch.

        Raises:
            BadGraphFile: the file is missing, cut short, or not a graph of this schema.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise BadGraphFile(f"cannot read '{path}': {error.strerror or error}") from error
        except (ValueError, RecursionError) as error:
            raise BadGraphFile(f"cannot read '{path}': it is not whole JSON ({error}); {_again(path)}") from error
        try:
            _check_schema(data)
            return _read(data)
        except (ValueError, RecursionError) as error:
            raise BadGraphFile(f"cannot read '{path}': {error}; {_again(path)}") from error


def _again(path: str | Path) -> str:
    return f"write it with 'fxviz trace MODEL -o {path}'"


def _graph_attributes(graph: ArchGraph) -> dict[str, Any]:
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
            "macs_unknown_nodes": sum(node.macs is None for node in graph.nodes),
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


def _node_attributes(node: Node) -> dict[str, Any]:
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


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _frozen(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(item) for item in value)
    return value


def _renamed(attributes: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    return {new if key == old else key: value for key, value in attributes.items()}


def _check_schema(data: Any) -> None:
    attributes = data.get("graph") if isinstance(data, dict) else None
    if not isinstance(attributes, dict):
        raise ValueError("it holds no graph of fxviz")
    if attributes.get("schema") != SCHEMA:
        raise ValueError(f"its schema is {attributes.get('schema')!r}, not '{SCHEMA}'")


def _read(data: Mapping[str, Any]) -> ArchGraph:
    """The graph in node-link form.

    Raises:
        ValueError: a field is missing or of another kind, or a reference leads nowhere.
    """
    whole = Fields(data, "the file")
    graph = Fields(whole.raw("graph"), "the graph")
    model = graph.inner("model")
    return ArchGraph(
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


def _check(graph: ArchGraph, position: Mapping[str, int]) -> None:
    """References inside the graph lead somewhere, and what follows stands behind what it follows.

    Raises:
        ValueError: one does not.
    """
    _check_scopes(graph.scopes)
    _check_nodes(graph)
    if graph.trace.failure is not None and graph.trace.failure.node not in position:
        raise ValueError(f"the failure names '{graph.trace.failure.node}', which is not there")
    for edge in graph.edges:
        _check_forward(f"the edge from '{edge.source}' to '{edge.target}'", edge.source, edge.target, position)
    for skip in graph.skips:
        said = f"the skip from '{skip.fork}' to '{skip.join}'"
        if skip.kind not in SKIP_KINDS:
            raise ValueError(f"{said} has the unknown kind '{skip.kind}'")
        _check_forward(said, skip.fork, skip.join, position)
        if lost := [name for name in skip.through if name not in position]:
            raise ValueError(f"{said} leads through '{lost[0]}', which is not there")


def _check_scopes(scopes: tuple[Scope, ...]) -> None:
    """They are a tree: the first is 0, the model itself; every other has its parent before it."""
    known: set[int] = set()
    for scope in scopes:
        if scope.id in known:
            raise ValueError(f"scope {scope.id} is there twice")
        if (scope.parent is None) != (scope.id == 0) or (scope.parent is not None and scope.parent not in known):
            expected = "a scope before it" if scope.id else "none: it is the model itself"
            raise ValueError(f"scope {scope.id} has the parent {scope.parent}, and must have {expected}")
        known.add(scope.id)
    if not known:
        raise ValueError("there is no scope 0, the model itself")


def _check_nodes(graph: ArchGraph) -> None:
    scopes, known = {scope.id for scope in graph.scopes}, set()
    for node in graph.nodes:
        if node.id in known:
            raise ValueError(f"node '{node.id}' is there twice")
        if node.kind not in NODE_KINDS:
            raise ValueError(f"node '{node.id}' has the unknown kind '{node.kind}'")
        if node.scope not in scopes:
            raise ValueError(f"node '{node.id}' ran in scope {node.scope}, which is not there")
        known.add(node.id)


def _check_forward(said: str, first: str, last: str, position: Mapping[str, int]) -> None:
    for name in (first, last):
        if name not in position:
            raise ValueError(f"{said} names '{name}', which is not there")
    if position[first] >= position[last]:
        raise ValueError(f"{said} leads back: nodes stand in the order they ran")
