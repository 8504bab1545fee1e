"""Build graphs without torch: by hand with :class:`Net`, or at random with the strategies after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from fxviz._graph import (
    ArchGraph,
    Edge,
    Failure,
    ModelInfo,
    Node,
    NodeKind,
    Parameter,
    Scope,
    Skip,
    TensorInfo,
    TraceInfo,
)

IMAGE = (1, 8, 4, 4)
LAYERS = {"Conv2d": 9216, "Linear": 64, "Embedding": 0, "BatchNorm2d": 0, "LayerNorm": 0, "PReLU": 0, "LayerScale": 0}


@dataclass
class Net:
    """A graph under construction. Each method adds one node and returns its id, which later calls take as an argument.

    >>> net = Net()
    >>> x = net.input()
    >>> total = net.call("add", x, net.layer("Conv2d", x))
    >>> [(node.id, node.macs) for node in net.graph().nodes]
    [('x', 0), ('conv2d', 9216), ('add', 0)]
    """

    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=lambda: [Scope(0, "", "models.Net", 0, None)])
    parameters: list[Parameter] = field(default_factory=list)
    running: list[int] = field(default_factory=lambda: [0])

    def input(self, shape: tuple[int, ...] = IMAGE, dtype: str = "float32") -> str:
        return self._add("x", "input", "x", (), shape, dtype=dtype)

    def parameter(self, shape: tuple[int, ...] = IMAGE) -> str:
        name = f"weight_{len(self.parameters)}"
        self.parameters.append(Parameter(name, shape, "float32", True))
        return self._add(name, "parameter", "Parameter", (), shape, uses=(name,))

    def layer(self, op: str, *sources: str, shape: tuple[int, ...] | None = None, tied: str | None = None) -> str:
        """Add a call of a leaf module; those in ``LAYERS`` own a parameter, or read the one that is ``tied``."""
        uses: tuple[str, ...] = (tied,) if tied else ()
        if op in LAYERS and not tied:
            uses = (f"{op.lower()}{len(self.nodes)}.weight",)
            self.parameters.append(Parameter(uses[0], (8, 8), "float32", True))
        return self._add(op.lower(), "module", op, sources, shape, uses=uses, macs=LAYERS.get(op, 0))

    def call(
        self,
        op: str,
        *sources: str,
        shape: tuple[int, ...] | None = None,
        macs: int = 0,
        dtype: str | None = None,
        slots: tuple[str, ...] | None = None,
        **settings: Any,
    ) -> str:
        """Add a call of a function; ``slots`` are the places of its sources, ``settings`` its plain arguments."""
        name = self._add(op.strip("_"), "function", op, sources, shape, macs=macs, dtype=dtype, slots=slots)
        self.nodes[-1] = replace(self.nodes[-1], settings=settings)
        return name

    def output(self, *sources: str) -> str:
        return self._add("output", "output", "output", sources, None)

    def chain(self, source: str, *ops: str) -> str:
        """Add several steps in a row; modules are capitalized."""
        for op in ops:
            source = self.layer(op, source) if op[0].isupper() else self.call(op, source)
        return source

    @contextmanager
    def scope(self, name: str, sequential: bool = False) -> Iterator[int]:
        """Run the nodes added meanwhile in a call of the module ``name``, inside the one that is running."""
        parent = self.scopes[self.running[-1]]
        path = f"{parent.path}.{name}" if parent.path else name
        calls = sum(scope.path == path for scope in self.scopes)
        self.scopes.append(Scope(len(self.scopes), path, f"models.{name.title()}", calls, parent.id, sequential))
        self.running.append(len(self.scopes) - 1)
        yield self.running[-1]
        self.running.pop()

    def graph(self) -> ArchGraph:
        return ArchGraph(
            ModelInfo("net", "python", "models.Net"),
            TraceInfo("meta", "fake", {"x": TensorInfo(IMAGE, "float32")}, "2.4.0", None),
            tuple(self.nodes),
            tuple(self.edges),
            tuple(self.scopes),
            tuple(self.parameters),
        )

    def _local(self, name: str, scope: Scope) -> str:
        """Return a name for one more module within a scope; equal scopes have equal names inside."""
        before = sum(
            node.scope == scope.id and node.kind == "module" and node.op.lower() == name for node in self.nodes
        )
        return f"{name}_{before}" if before else name

    def shape(self, name: str) -> tuple[int, ...]:
        return next(node for node in self.nodes if node.id == name).outputs[0].shape

    def _add(
        self,
        name: str,
        kind: NodeKind,
        op: str,
        sources: tuple[str, ...],
        shape: tuple[int, ...] | None,
        uses: tuple[str, ...] = (),
        macs: int = 0,
        dtype: str | None = None,
        slots: tuple[str, ...] | None = None,
    ) -> str:
        taken = {node.id for node in self.nodes}
        unique = next(
            free for free in (name, *(f"{name}_{place}" for place in range(1, len(taken) + 1))) if free not in taken
        )
        outputs = (TensorInfo(shape or self.shape(sources[0]), dtype or "float32"),)
        scope = self.scopes[self.running[-1]]
        path = f"{scope.path}.{self._local(name, scope)}".lstrip(".") if kind == "module" else scope.path
        self.nodes.append(Node(unique, kind, op, path, scope=scope.id, uses=uses, outputs=outputs, macs=macs))
        places = slots or tuple(map(str, range(len(sources))))
        self.edges.extend(Edge(source, unique, place) for place, source in zip(places, sources, strict=True))
        return unique


MESSAGE = "RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x8 and 4x2)"


def stopped_at(graph: ArchGraph, name: str, **facts: Any) -> ArchGraph:
    """Return the graph of a run that stopped at the node ``name``, with the nodes that ran before it."""
    last = next(place for place, node in enumerate(graph.nodes) if node.id == name)
    node = replace(graph.nodes[last], outputs=(), macs=0)
    kept = (*graph.nodes[:last], node)
    known = {node.id: node for node in kept}
    edges = tuple(edge for edge in graph.edges if edge.source in known and edge.target in known)
    met = tuple(tensor for edge in edges if edge.target == name for tensor in known[edge.source].outputs)
    cls = node.cls or next(scope.cls for scope in graph.scopes if scope.id == node.scope)
    failure = replace(Failure(name, MESSAGE, node.path, cls, "/home/a/net.py", 12, "return self.head(x)", met), **facts)
    return replace(graph, nodes=kept, edges=edges, skips=(), trace=replace(graph.trace, failure=failure))


def raised(graph: ArchGraph, scope: int = 0, **facts: Any) -> ArchGraph:
    """Return the graph of a run in which a module's own code raised after all steps of ``graph``."""
    path = next(call.path for call in graph.scopes if call.id == scope)
    steps = tuple(node for node in graph.nodes if node.kind != "output")
    edges = tuple(edge for edge in graph.edges if edge.target in {node.id for node in steps})
    node = Node("raise", "function", "raise", path, scope=scope)
    return stopped_at(replace(graph, nodes=(*steps, node), edges=edges, skips=()), "raise", **facts)


@st.composite
def stopped(draw: st.DrawFn, runs: st.SearchStrategy[ArchGraph]) -> ArchGraph:
    """Draw a run that stopped: in one of its operations, or because a module's own code raised."""
    graph = draw(runs)
    steps = [node.id for node in graph.nodes if node.kind in ("module", "function")]
    if not steps or draw(st.integers(0, 4)) == 0:
        return raised(graph, draw(st.sampled_from(_running(graph))))
    return stopped_at(graph, draw(st.sampled_from(steps)))


def _running(graph: ArchGraph) -> list[int]:
    """Return the module calls that may still be running after the last step."""
    parents = {scope.id: scope.parent for scope in graph.scopes}
    running = [graph.nodes[-2].scope]
    while (parent := parents[running[-1]]) is not None:
        running.append(parent)
    return running


STEPS = ("Conv2d", "Conv2d", "BatchNorm2d", "ReLU", "relu_", "MaxPool2d", "Dropout", "contiguous", "sigmoid")
JOINS = ("add", "__iadd__", "mul", "cat", "bias")


@st.composite
def graphs(draw: st.DrawFn, most_nodes: int = 16) -> ArchGraph:
    """Draw a graph of convolutions, norms, activations, views, sums, products and concatenations, in nested scopes."""
    net = Net()
    tensors = [net.input()]
    _fill(draw, net, tensors, most_nodes, depth=0)
    net.output(tensors[-1])
    return net.graph()


def _fill(draw: st.DrawFn, net: Net, tensors: list[str], most_nodes: int, depth: int) -> None:
    """Add steps to the running scope and to scopes inside it."""
    for place in range(draw(st.integers(1, most_nodes))):
        if len(net.nodes) >= most_nodes:
            return
        if depth < 3 and draw(st.integers(0, 5)) == 0:
            with net.scope(f"block{place}", sequential=draw(st.booleans())):
                _fill(draw, net, tensors, most_nodes, depth + 1)
        else:
            tensors.append(_step(draw, net, tensors))


def _step(draw: st.DrawFn, net: Net, tensors: list[str]) -> str:
    recent = st.sampled_from(tensors[-5:])
    first, op = draw(recent), draw(st.sampled_from(STEPS + JOINS))
    if op in STEPS:
        return net.chain(first, op)
    if op == "bias":
        return net.call("add", first, net.parameter((1,)))
    if op == "cat":
        second = draw(recent)
        channels = net.shape(first)[1] + net.shape(second)[1]
        return net.call("cat", first, second, shape=(1, channels, 4, 4))
    alike = [name for name in tensors if net.shape(name) == net.shape(first)]
    return net.call(op, first, draw(st.sampled_from(alike)))


@st.composite
def planted_nets(draw: st.DrawFn) -> tuple[ArchGraph, tuple[Skip, ...]]:
    """Draw a net assembled from known pieces, and the skips that were planted in it."""
    net = Net()
    stream = net.chain(net.input(), "Conv2d", "BatchNorm2d", "ReLU")
    skips: list[Skip] = []
    for place in range(draw(st.integers(1, 6))):
        with net.scope(f"piece{place}"):
            stream, planted = draw(st.sampled_from(PIECES))(draw, net, stream)
            skips.extend(planted)
            stream = net.chain(
                stream, *draw(st.sampled_from([(), ("ReLU",), ("BatchNorm2d",), ("Conv2d",), ("MaxPool2d",)]))
            )
    net.output(stream)
    return net.graph(), tuple(skips)


Planted = tuple[str, tuple[Skip, ...]]


def _join(draw: st.DrawFn, net: Net, op: str, body: str, side: str) -> str:
    """Add the join, with its operands in either order."""
    shape = net.shape(body)
    if op in ("cat", "concat"):
        shape = (1, shape[1] + net.shape(side)[1], 4, 4)
    return net.call(op, *draw(st.permutations([body, side])), shape=shape)


def _body(draw: st.DrawFn, net: Net, stream: str, layers: int, nonlinear: bool = False) -> str:
    """Add a body with several layers, with or without a convolution at its ends."""
    between: list[list[str]] = [["ReLU"], ["BatchNorm2d", "relu_"]]
    between += [] if nonlinear else [[], ["BatchNorm2d"]]
    steps = ["Conv2d", *draw(st.sampled_from(between))] * layers
    before = draw(st.sampled_from([[], ["BatchNorm2d", "ReLU"], ["LayerNorm"]]))
    after = draw(st.sampled_from([[], ["Dropout"], ["LayerScale"], ["contiguous"]]))
    return net.chain(stream, *before, *steps, *after)


def _residual(draw: st.DrawFn, net: Net, stream: str) -> Planted:
    kind, steps = draw(
        st.sampled_from(
            [
                ("identity", ()),
                ("identity", ("Dropout",)),
                ("identity", ("Identity", "contiguous")),
                ("resample", ("MaxPool2d",)),
                ("projection", ("Conv2d",)),
                ("projection", ("Conv2d", "BatchNorm2d")),
                ("projection", ("BatchNorm2d",)),
            ]
        )
    )
    body_first, layers = draw(st.booleans()), 2 if "Conv2d" in steps else 1
    body = _body(draw, net, stream, layers, nonlinear=kind != "identity") if body_first else ""
    start = len(net.nodes)
    side = net.chain(stream, *steps)
    through = tuple(node.id for node in net.nodes[start:])
    body = body or _body(draw, net, stream, layers, nonlinear=kind != "identity")
    join, first = _sum(draw, net, body, side)
    return join, (Skip(kind, stream, join, (*through, *first)),)


def _sum(draw: st.DrawFn, net: Net, body: str, side: str) -> tuple[str, tuple[str, ...]]:
    """Add two tensors in one of many spellings; return the join, and a step before it on the side's way."""
    shape = net.shape(body)
    spelling = draw(st.sampled_from(["add", "add_", "__iadd__", "__radd__", "Add", "sub", "rsub", *SPELLINGS]))
    if spelling == "sub":
        return net.call("sub", side, body), ()
    if spelling == "rsub":
        return net.call("rsub", body, side), ()
    if spelling == "sum":  # Python's begins with 0 + x
        first = net.call("__radd__", side, **{"1": 0})
        return net.call("__add__", first, body), (first,)
    if spelling == "stack":
        stacked = net.call("stack", side, body, shape=(2, *shape), slots=("0.0", "0.1"))
        return net.call(draw(st.sampled_from(["sum", "mean"])), stacked, shape=shape, **{"1": 0}), ()
    if spelling == "lerp":
        return net.call("lerp", side, body), ()
    if spelling == "addcmul":
        return net.call("addcmul", side, net.parameter(), body), ()
    return _join(draw, net, spelling, body, side), ()


SPELLINGS = ("sum", "stack", "lerp", "addcmul")


def _gate(draw: st.DrawFn, net: Net, stream: str) -> Planted:
    squash = draw(st.sampled_from(["Sigmoid", "sigmoid", "Hardsigmoid", "hardsigmoid"]))
    weight = net.chain(stream, "AdaptiveAvgPool2d", "Conv2d", "ReLU", "Conv2d", squash)
    operands = draw(st.permutations([weight, stream]))
    join = net.call(draw(st.sampled_from(["mul", "__imul__"])), *operands, shape=net.shape(stream))
    return join, (Skip("gate", stream, join),)


def _dense(draw: st.DrawFn, net: Net, stream: str) -> Planted:
    join = _join(draw, net, draw(st.sampled_from(["cat", "concat"])), _body(draw, net, stream, 1), stream)
    return join, (Skip("concat", stream, join),)


def _parallel(draw: st.DrawFn, net: Net, stream: str) -> Planted:
    """Add equal branches, summed or concatenated: no skip."""
    one = net.chain(stream, "Conv2d", "ReLU")
    other = net.chain(stream, "Conv2d", "BatchNorm2d")
    return _join(draw, net, draw(st.sampled_from(["add", "cat"])), one, other), ()


def _long_concat(draw: st.DrawFn, net: Net, stream: str) -> Planted:
    """Go down and up again past a path with layers of its own, as UNETR does (arXiv:2103.10504)."""
    start = len(net.nodes)
    side = net.chain(stream, *draw(st.sampled_from([("Conv2d",), ("Conv2d", "ReLU"), ("BatchNorm2d", "ReLU")])))
    through = tuple(node.id for node in net.nodes[start:])
    down = net.layer("Conv2d", net.layer("MaxPool2d", stream, shape=(1, 8, 2, 2)), shape=(1, 8, 2, 2))
    up = net.layer("Upsample", net.chain(down, "ReLU", "Conv2d"), shape=net.shape(stream))
    join = _join(draw, net, "cat", up, side)
    return join, (Skip("concat", stream, join, through),)


def _adapter(draw: st.DrawFn, net: Net, stream: str) -> Planted:
    """Add an adapter beside its layer, which are one linear map (LoRA, arXiv:2106.09685): no skip."""
    down = net.chain(stream, "Dropout", "Conv2d")
    return _join(draw, net, "add", net.chain(stream, "Conv2d"), net.chain(down, "Conv2d")), ()


def _straight_through(draw: st.DrawFn, net: Net, stream: str) -> Planted:
    """Add ``z + (q - z).detach()``, which is q (arXiv:1308.3432): no skip."""
    quantised = net.chain(stream, "Conv2d", "round")
    return _join(draw, net, "add", net.chain(net.call("sub", quantised, stream), "detach"), stream), ()


def _measured(draw: st.DrawFn, net: Net, stream: str) -> Planted:
    """Multiply by weights that a sum of two ways gives, as an attention gate does (arXiv:1804.03999): a gate alone."""
    low = net.chain(stream, "Conv2d", "ReLU", "Conv2d", "ReLU", "Conv2d")
    weight = net.chain(net.call("add", low, net.chain(stream, "Conv2d")), "ReLU", "Conv2d", "sigmoid")
    join = net.call("mul", *draw(st.permutations([weight, stream])))
    return join, (Skip("gate", stream, join),)


def _sequence(draw: st.DrawFn, net: Net, stream: str) -> Planted:
    """Run a cell over two steps of a sequence, each of which adds another part of it: no skip."""
    first, second = (net.call("getitem", stream) for _ in range(2))
    hidden = net.chain(first, "Conv2d", "tanh", "Conv2d")
    return net.chain(_join(draw, net, "add", hidden, net.chain(second, "Conv2d")), "tanh"), ()


def _plain(draw: st.DrawFn, net: Net, stream: str) -> Planted:
    return _body(draw, net, stream, 2), ()


def _position(draw: st.DrawFn, net: Net, stream: str) -> Planted:
    return net.call("add", *draw(st.permutations([stream, net.parameter()])), shape=net.shape(stream)), ()


PIECES = (
    *(_residual, _residual, _gate, _dense, _parallel, _plain, _position),
    *(_long_concat, _adapter, _straight_through, _measured, _sequence),
)


@st.composite
def staged_nets(draw: st.DrawFn) -> ArchGraph:
    """Draw a net like those of papers: stages of repeated ``BLOCKS``, with one or two inputs and outputs."""
    net = Net()
    stream = net.chain(net.input(), "Conv2d", "BatchNorm2d", "ReLU")
    if draw(st.booleans()):
        stream = net.call("add", stream, net.chain(net.input(), "Conv2d"))
    taps = []
    for stage in range(draw(st.integers(1, 3))):
        with net.scope(f"stage{stage}", sequential=draw(st.booleans())):
            blocks = draw(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=2)) * draw(
                st.sampled_from([1, 2, 3, 5])
            )
            for place, block in enumerate(blocks):
                with net.scope(str(place)):
                    stream = block(net, stream, place == 0)
        taps.append(net.chain(stream, "Conv2d") if draw(st.integers(0, 3)) == 0 else stream)
        stream = net.chain(stream, *draw(st.sampled_from([(), ("ReLU",), ("MaxPool2d",), ("Conv2d",)])))
    net.output(net.chain(stream, "Linear"), *taps[: draw(st.integers(0, 1))])
    return net.graph()


@st.composite
def iterated_nets(draw: st.DrawFn) -> ArchGraph:
    """Draw a net whose own code calls the same modules repeatedly, with functions between the calls."""
    net = Net()
    stream = start = net.chain(net.input(), "Conv2d", "ReLU")
    steps = draw(st.lists(st.sampled_from(["cumsum", "relu", "add", "mul", "round"]), min_size=4, max_size=7))
    block = draw(st.sampled_from((_plain_block, _residual_block)))
    tied: list[str] = []
    for _ in range(draw(st.integers(2, 6))):
        for step in steps:
            stream = net.call(step, stream, start) if step in ("add", "mul") else net.call(step, stream)
        with net.scope("update"):
            first = len(net.nodes)
            stream = block(net, stream, False)
            tied = _tie(net, first, tied)
    net.output(net.chain(stream, "Linear"))
    return net.graph()


def _tie(net: Net, first: int, tied: list[str]) -> list[str]:
    """Make the layers from the node ``first`` on read the parameters ``tied``, or else return those that they read."""
    readers = [place for place in range(first, len(net.nodes)) if net.nodes[place].uses]
    if not tied:
        return [net.nodes[place].uses[0] for place in readers]
    owned = {net.nodes[place].uses[0] for place in readers}
    net.parameters = [parameter for parameter in net.parameters if parameter.name not in owned]
    for place, name in zip(readers, tied, strict=True):
        net.nodes[place] = replace(net.nodes[place], uses=(name,))
    return tied


def _residual_block(net: Net, stream: str, first: bool) -> str:
    body = net.chain(stream, "Conv2d", "BatchNorm2d", "ReLU", "Conv2d", "BatchNorm2d")
    with net.scope("shortcut", sequential=True):
        side = net.chain(stream, "Conv2d", "BatchNorm2d") if first else stream
    return net.chain(net.call("__iadd__", body, side), "ReLU")


def _transformer_block(net: Net, stream: str, first: bool) -> str:
    inner = net.call("add", stream, net.chain(stream, "LayerNorm", "Linear", "softmax", "Linear", "Dropout"))
    with net.scope("mlp", sequential=True):
        body = net.chain(inner, "LayerNorm", "Linear", "GELU", "Linear")
    return net.call("add", inner, body)


def _inception_block(net: Net, stream: str, first: bool) -> str:
    """Four branches of one to three layers, one of them forked again."""
    ends = []
    for place, steps in enumerate(
        [("Conv2d",), ("Conv2d", "ReLU", "Conv2d"), ("MaxPool2d", "Conv2d"), ("Conv2d",) * 3]
    ):
        with net.scope(f"branch{place}", sequential=True):
            ends.append(net.chain(stream, *steps))
    ends.append(net.chain(ends[0], "Conv2d"))
    return net.layer("Conv2d", net.call("cat", *ends, shape=(1, 40, 4, 4)), shape=IMAGE)


def _dense_block(net: Net, stream: str, first: bool) -> str:
    features = [stream]
    for place in range(4):
        with net.scope(f"layer{place}"):
            joined = net.call("cat", *features, shape=(1, 8 * len(features), 4, 4))
            features.append(net.layer("Conv2d", net.chain(joined, "BatchNorm2d", "ReLU"), shape=IMAGE))
    joined = net.call("cat", *features, shape=(1, 40, 4, 4))
    return net.layer("Conv2d", joined, shape=IMAGE)


def _gated_block(net: Net, stream: str, first: bool) -> str:
    body = net.chain(stream, "Conv2d", "BatchNorm2d", "SiLU")
    with net.scope("se"):
        gated = net.call("mul", net.chain(body, "AdaptiveAvgPool2d", "Conv2d", "ReLU", "Conv2d", "Sigmoid"), body)
    return net.call("add", net.chain(gated, "Conv2d"), stream)


def _nested_block(net: Net, stream: str, first: bool) -> str:
    """Repetitions within a repetition."""
    with net.scope("body", sequential=True):
        for place in range(3):
            with net.scope(str(place)):
                stream = net.chain(stream, "Conv2d", "BatchNorm2d", "ReLU", "Conv2d")
    return stream


def _plain_block(net: Net, stream: str, first: bool) -> str:
    return net.chain(stream, "Conv2d", "ReLU", "contiguous", "Conv2d")


def _biased_block(net: Net, stream: str, first: bool) -> str:
    return net.chain(net.call("add", stream, net.parameter()), "Conv2d", "Conv2d")


BLOCKS = (
    _residual_block, _transformer_block, _inception_block, _dense_block, _gated_block, _nested_block, _plain_block,
    _biased_block,
)  # fmt: skip
