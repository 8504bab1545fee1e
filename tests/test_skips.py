"""Skip connections: cases of each rule by hand, planted ones, brute force on random graphs, known models."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterator

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from torch import nn

import fxviz
from conftest import examples, slow
from fxviz._analysis import find_skips, shortcuts
from fxviz._graph import SKIP_KINDS, SKIP_NOUNS, ArchGraph, Edge, Node, Skip, TensorInfo
from fxviz._render import lines, mermaid
from models import traced
from random_graphs import Net, graphs, planted_nets

TOKENS = (1, 17, 8)


def skips_of(net: Net) -> tuple[Skip, ...]:
    return find_skips(net.graph()).skips


# Additions


@pytest.mark.parametrize("op", ["add", "add_", "__add__", "__iadd__", "__radd__", "Add"])
@pytest.mark.parametrize("body_first", [True, False])
def test_identity(op: str, body_first: bool) -> None:
    net = Net()
    x = net.input()
    body = net.chain(x, "Conv2d", "BatchNorm2d", "ReLU")
    join = net.call(op, *((body, x) if body_first else (x, body)))
    assert skips_of(net) == (Skip("identity", x, join),)


def test_views_dropout_and_scaling_leave_an_identity() -> None:
    net = Net()
    x = net.input()
    body = net.chain(x, "Conv2d")
    scaled = net.call("mul", net.chain(x, "Identity", "Dropout", "flatten"), net.parameter())
    assert skips_of(net) == ()
    join = net.call("add", body, scaled)
    assert skips_of(net) == (Skip("identity", x, join, ("identity", "dropout", "flatten", "mul")),)


def test_a_body_that_only_pools_or_normalises_is_a_body() -> None:
    for op in ("AvgPool2d", "GroupNorm"):
        net = Net()
        x = net.input()
        net.call("add", x, net.layer(op, x))
        assert [skip.kind for skip in skips_of(net)] == ["identity"]


def test_a_body_of_elementwise_steps_is_none() -> None:
    """As in a GELU written out: x + 0.0447 x³."""
    net = Net()
    x = net.input()
    net.call("add", x, net.chain(x, "pow", "mul"))
    assert skips_of(net) == ()


def test_a_square_is_no_scaling() -> None:
    net = Net()
    x = net.input()
    squared = net.call("mul", x, x)
    net.call("add", squared, net.chain(x, "Conv2d"))
    assert [skip.kind for skip in skips_of(net)] == ["projection"]


def test_x_plus_x_is_no_skip() -> None:
    net = Net()
    x = net.input()
    net.call("add", net.chain(x, "Conv2d"), net.nodes[-1].id)
    assert skips_of(net) == ()


def test_projection_and_resample() -> None:
    ways = {("Conv2d", "BatchNorm2d"): "projection", ("MaxPool2d", "Conv2d"): "projection", ("AvgPool2d",): "resample"}
    for steps, kind in ways.items():
        net = Net()
        x = net.input()
        body = net.chain(x, "Conv2d", "ReLU", "Conv2d")
        join = net.call("add", body, net.chain(x, *steps))
        assert [(skip.kind, skip.fork, skip.join, len(skip.through)) for skip in skips_of(net)] == [
            (kind, x, join, len(steps))
        ]


def test_equal_branches_are_no_skips_however_many() -> None:
    """Each new branch is one layer, and so is each that is in the sum already."""
    net = Net()
    x = net.input()
    total = net.chain(x, "Conv2d")
    for _ in range(3):
        total = net.call("add", total, net.chain(x, "Conv2d", "BatchNorm2d"))
    assert skips_of(net) == ()


def test_an_addend_without_the_inputs_data_is_no_skip() -> None:
    net = Net()
    x = net.chain(net.input(TOKENS), "Linear")
    positions = net.chain(net.call("arange", shape=(17,)), "Embedding")
    zeros = net.call("zeros_like", shape=TOKENS)
    for addend in (net.parameter(TOKENS), positions, zeros):
        x = net.call("add", net.chain(x, "Linear"), addend)
    assert skips_of(net) == ()


def test_ids_are_no_features() -> None:
    """Embeddings of words and of positions computed from the same ids are not a skip and its body."""
    net = Net()
    ids = net.input((1, 17), dtype="int64")
    words = net.layer("Embedding", ids, shape=TOKENS)
    positions = net.chain(net.layer("Embedding", net.call("cumsum", ids, dtype="int64"), shape=TOKENS), "Linear")
    net.call("add", words, positions)
    assert skips_of(net) == ()


def test_a_broadcast_condition_is_no_skip() -> None:
    """A time embedding, projected and added to the features in each block."""
    net = Net()
    x, condition = net.input(), net.input((1, 8, 1, 1))
    for _ in range(3):
        x = net.call("add", net.chain(x, "Conv2d"), net.chain(condition, "SiLU", "Linear"))
    assert skips_of(net) == ()


def test_an_attention_bias_is_no_skip() -> None:
    net = Net()
    x, mask = net.input(TOKENS), net.input((1, 17, 17))
    for _ in range(2):
        scores = net.call("matmul", net.chain(x, "Linear"), net.chain(x, "Linear"), shape=(1, 17, 17), macs=2312)
        weights = net.chain(net.call("add", net.chain(scores, "div"), mask), "masked_fill", "softmax", "Dropout")
        x = net.call("matmul", weights, net.chain(x, "Linear"), shape=TOKENS, macs=2312)
    assert skips_of(net) == ()


def test_a_residual_before_the_final_softmax_is_one() -> None:
    net = Net()
    x = net.input()
    net.output(net.chain(net.call("add", x, net.chain(x, "Conv2d")), "softmax"))
    assert [skip.kind for skip in skips_of(net)] == ["identity"]


def test_reinjection_is_no_skip() -> None:
    """Positions computed from the input are added to the keys of each layer, while the stream goes on without them."""
    net = Net()
    x = net.input(TOKENS)
    positions, joins = net.chain(x, "Linear"), []
    stream = net.chain(net.call("add", net.chain(x, "Linear"), positions), "LayerNorm")
    for _ in range(2):
        keys = net.call("add", stream, positions)
        attended = net.call("scaled_dot_product_attention", keys, stream, macs=2312)
        stream = net.call("add", stream, attended)
        joins.append(stream)
    assert [(skip.kind, skip.join) for skip in skips_of(net)] == [("identity", join) for join in joins]


def test_returning_the_bodys_end_does_not_hide_a_residual() -> None:
    net = Net()
    x = net.input()
    body = net.chain(x, "Conv2d")
    net.output(net.call("add", x, body), body)
    assert [skip.kind for skip in skips_of(net)] == ["identity"]


def test_cross_attention() -> None:
    """The memory reaches the body too, so the join's dominator is not the fork."""
    net = Net()
    x, memory = net.input(TOKENS), net.chain(net.input(TOKENS), "Linear")
    queries = net.chain(x, "Linear")
    attended = net.call("scaled_dot_product_attention", net.chain(queries, "Linear"), memory, macs=2312)
    join = net.call("add", queries, net.chain(attended, "Linear", "Dropout"))
    assert skips_of(net) == (Skip("identity", queries, join),)


def test_feature_pyramid() -> None:
    net = Net()
    stages = [net.chain(net.input(), "Conv2d", "ReLU", "Conv2d")]
    for _ in range(2):
        stages.append(net.chain(stages[-1], "Conv2d", "ReLU", "Conv2d"))
    top = net.chain(stages[-1], "Conv2d")
    for stage in stages[-2::-1]:
        top = net.call("add", net.chain(stage, "Conv2d"), net.chain(top, "interpolate"))
    assert [(skip.kind, skip.fork) for skip in skips_of(net)] == [("projection", stages[1]), ("projection", stages[0])]


def test_a_residual_around_a_region_that_splits_and_meets_again() -> None:
    """The skip's own way may split and meet again, if it only rearranges: its dominator is the fork."""
    net = Net()
    x = net.input()
    one, other = net.call("getitem", x), net.call("getitem", x)
    shuffled = net.call("cat", other, one, shape=net.shape(x))
    join = net.call("add", net.chain(x, "Conv2d"), shuffled)
    assert skips_of(net) == (Skip("identity", x, join, (one, other, shuffled)),)


def test_a_read_after_a_write_is_a_view_of_the_writer() -> None:
    """``y = relu_(x); x + conv(y)``: what is added is what relu_ wrote."""
    net = Net()
    x = net.chain(net.input(), "Conv2d")
    written = net.call("relu_", x)
    body = net.chain(written, "Conv2d")
    read = net.call("read_after_write", x, written)
    join = net.call("add", read, body)
    assert skips_of(net) == (Skip("identity", written, join, (read,)),)


# Gates


@pytest.mark.parametrize("squash", ["Sigmoid", "sigmoid_", "Hardsigmoid", "hardsigmoid"])
@pytest.mark.parametrize("weight_first", [True, False])
def test_squeeze_and_excitation(squash: str, weight_first: bool) -> None:
    net = Net()
    x = net.chain(net.input(), "Conv2d", "ReLU")
    weight = net.chain(x, "AdaptiveAvgPool2d", "Conv2d", "ReLU", "Conv2d", squash)
    join = net.call("mul", *((weight, x) if weight_first else (x, weight)), shape=net.shape(x))
    assert skips_of(net) == (Skip("gate", x, join),)


def test_a_hard_sigmoid_written_out() -> None:
    net = Net()
    x = net.input()
    join = net.call("mul", x, net.chain(x, "AdaptiveAvgPool2d", "Conv2d", "add", "relu6", "div"))
    assert skips_of(net) == (Skip("gate", x, join),)


def test_gated_linear_unit() -> None:
    net = Net()
    x = net.input(TOKENS)
    value, weight = net.chain(x, "Linear"), net.chain(x, "Linear", "sigmoid")
    join = net.call("mul", value, weight)
    assert skips_of(net) == (Skip("gate", x, join, (value,)),)


def test_gated_linear_unit_with_one_layer() -> None:
    net = Net()
    x = net.input(TOKENS)
    chunks = net.chain(x, "Linear", "chunk")
    value, weight = net.call("getitem", chunks), net.chain(chunks, "getitem", "sigmoid")
    join = net.call("mul", value, weight)
    assert skips_of(net) == (Skip("gate", x, join, ("linear", chunks, value)),)


def test_a_swish_written_out_is_no_gate() -> None:
    net = Net()
    x = net.chain(net.input(), "Conv2d")
    net.call("mul", x, net.call("sigmoid", x))
    assert skips_of(net) == ()


# Concatenations


def test_dense_block_has_one_skip_for_each_concatenation() -> None:
    net = Net()
    features = [net.chain(net.input(), "Conv2d")]
    joins = []
    for _ in range(4):
        features.append(
            net.chain(net.call("cat", *features, shape=(1, 8 * len(features), 4, 4)), "BatchNorm2d", "Conv2d")
        )
        joins.append(net.nodes[-3].id)
    expected = [Skip("concat", fork, join) for fork, join in zip(features[:-2], joins[1:], strict=True)]
    assert skips_of(net) == tuple(expected)


def test_u_net() -> None:
    net = Net()
    levels = [net.chain(net.input(), "Conv2d", "ReLU")]
    for _ in range(2):
        levels.append(net.chain(levels[-1], "MaxPool2d", "Conv2d", "ReLU"))
    stream = levels.pop()
    expected = []
    for level in reversed(levels):
        join = net.call("cat", net.chain(level, "getitem"), net.chain(stream, "Upsample"), shape=(1, 16, 4, 4))
        expected.append((level, join))
        stream = net.chain(join, "Conv2d", "ReLU")
    assert [(skip.fork, skip.join) for skip in skips_of(net)] == expected


def test_inception_is_no_skip() -> None:
    net = Net()
    x = net.chain(net.input(), "Conv2d")
    branches = [
        net.chain(x, *steps) for steps in (["Conv2d"], ["Conv2d", "Conv2d"], ["MaxPool2d", "Conv2d"], ["MaxPool2d"])
    ]
    net.call("cat", *branches, shape=(1, 32, 4, 4))
    assert skips_of(net) == ()


def test_channel_split_and_half_through_a_body() -> None:
    net = Net()
    x = net.chain(net.input(), "Conv2d")
    chunks = net.call("chunk", x)
    kept, body = net.call("getitem", chunks), net.chain(chunks, "getitem", "Conv2d")
    join = net.call("cat", kept, body, shape=(1, 16, 4, 4))
    assert skips_of(net) == (Skip("concat", chunks, join, (kept,)),)


def test_a_class_token_is_no_skip() -> None:
    net = Net()
    patches = net.chain(net.input(TOKENS), "Linear")
    learned = net.call("cat", net.chain(net.parameter((1, 1, 8)), "expand"), patches, shape=(1, 18, 8))
    token = net.call("getitem", learned, shape=(1, 1, 8))
    rest = net.chain(net.call("getitem", learned, shape=(1, 17, 8)), "Linear")
    net.call("cat", token, rest, shape=(1, 18, 8))
    net.call("cat", net.chain(token, "Linear"), net.call("getitem", learned, shape=(1, 17, 8)), shape=(1, 18, 8))
    assert skips_of(net) == ()


def test_a_single_channel_input_is_no_token() -> None:
    net = Net()
    sound = net.input((1, 1, 64))
    join = net.call("cat", net.layer("Conv1d", net.layer("Linear", sound, shape=(1, 8, 64))), sound, shape=(1, 9, 64))
    assert skips_of(net) == (Skip("concat", sound, join),)


# Planted, and against brute force


@given(planted_nets())
def test_exactly_the_planted_skips_are_found(planted: tuple[ArchGraph, tuple[Skip, ...]]) -> None:
    graph, skips = planted
    assert find_skips(graph).skips == skips


VIEWS = ("Dropout", "contiguous", "cat")
LINEAR = {"Conv2d", "BatchNorm2d", "add", "__iadd__", *VIEWS}
ROLES = {"Conv2d": "compute", "BatchNorm2d": "norm", "MaxPool2d": "pool", **dict.fromkeys(VIEWS, "view")}


class BruteForce:
    """The rules by listing every path, with networkx; for graphs of :func:`random_graphs.graphs` only."""

    def __init__(self, graph: ArchGraph) -> None:
        flow = nx.DiGraph(graph.to_networkx())
        from_input = nx.descendants(flow, "x") | {"x"}
        names = [node.id for node in graph.nodes if node.id in from_input and node.kind != "output"]
        self.flow: nx.DiGraph = flow.subgraph(names)
        self.above = nx.immediate_dominators(self.flow, "x")
        self.node, self.position = graph.by_id, {name: place for place, name in enumerate(names)}

    def role(self, name: str) -> str:
        is_double = self.node[name].op in ("add", "__iadd__") and self.flow.in_degree(name) == 1
        return "doubled" if is_double else ROLES.get(self.node[name].op, "other")

    def roles(self, names: set[str]) -> list[str]:
        return [self.role(name) for name in names]

    def between(self, start: str, end: str) -> set[str]:
        return {name for path in nx.all_simple_paths(self.flow, start, end) for name in path[1:]}

    def deepest(self, start: str, end: str) -> int:
        return max(self.roles(set(path[1:])).count("compute") for path in nx.all_simple_paths(self.flow, start, end))

    def forks(self, side: str) -> list[tuple[str, set[str]]]:
        """Return the side and its dominators, nearest first, with the nodes between."""
        found, start = [(side, set[str]())], side
        while start != "x":
            start = self.above[start]
            found.append((start, self.between(start, side)))
        return found

    def skip(self, join: str) -> tuple[str, str, set[str]] | None:
        sides = sorted(self.flow.predecessors(join), key=self.position.__getitem__)
        if len(sides) != 2:
            return None
        rule = self.gate if join.startswith("mul") else self.concat
        candidates = [found for pair in (sides, sides[::-1]) if (found := rule(join, *pair))]
        if join.startswith("cat"):
            candidates = candidates or [found for pair in (sides, sides[::-1]) if (found := self.long_concat(*pair))]
            return max(candidates, key=lambda found: self.position[found[1]], default=None)
        return min(candidates, key=lambda found: len(found[2]), default=None)

    def terms(self, join: str) -> tuple[list[str], set[str]]:
        """Return the terms of a sum with those of the sums that only it reads, and these sums, and copies of them."""
        terms, inner = list[str](), set[str]()
        for name in self.flow.predecessors(join):
            passed = [name]
            while self.node[passed[-1]].op in ("Dropout", "contiguous"):
                passed += self.flow.predecessors(passed[-1])
            if self.is_sum(passed[-1]) and all(self.flow.out_degree(each) == 1 for each in passed):
                below = self.terms(passed[-1])
                terms += below[0]
                inner |= {*passed, *below[1]}
            else:
                terms.append(name)
        return terms, inner

    def shortcuts(self, join: str, terms: list[str], unread: Collection[str]) -> list[tuple[str, str, set[str]]]:
        """Return the shortcut at each term of a sum: its kind, its fork and what it passes before the sum."""
        if self.feeds_gate(join):
            return []
        found = [each for side in terms for each in self.past(join, side, [*terms], unread)]
        changed = [each for each in found if each[1] != "identity" and len(terms) > 2]
        forks = {fork for _, _, fork, *_ in changed}
        taps = {
            fork
            for fork in forks
            if not forks.isdisjoint(nx.ancestors(self.flow, fork) | nx.descendants(self.flow, fork))
        }
        left = [
            each for each in found if each not in changed or not (each[2] in taps or self.goes_on(each[2], each[4]))
        ]
        order = ["identity", "resample", "projection"]
        return [
            min((each[1:4] for each in left if each[0] == side), key=lambda one: (order.index(one[0]), len(one[2])))
            for side in terms
            if any(each[0] == side for each in left)
        ]

    def past(
        self, join: str, side: str, others: list[str], unread: Collection[str]
    ) -> Iterator[tuple[str, str, str, set[str], str]]:
        others.remove(side)
        for fork, through in self.forks(side):
            if self.roles(through).count("compute") > 1:
                return
            if any(fork in nx.ancestors(self.flow, other) for other in others):
                for body in (other for other in others if fork in nx.ancestors(self.flow, other)):
                    kind = self.kind(fork, body, through)
                    if kind and not (kind == "identity" and self.goes_elsewhere(join, body, unread)):
                        yield side, kind, fork, through, body
                return

    def goes_elsewhere(self, join: str, body: str, unread: Collection[str]) -> bool:
        leads = nx.ancestors(self.flow, join) | {join} | set(unread)
        return any(reader not in leads for reader in self.flow.successors(body))

    def goes_on(self, fork: str, body: str) -> bool:
        inside = self.between(fork, body)
        within = all(inside.issuperset(self.flow.successors(name)) for name in inside - {body})
        return not within or self.flow.out_degree(body) > 1

    def kind(self, fork: str, other: str, way: set[str]) -> str | None:
        inside = self.between(fork, other)
        through, body = self.roles(way), self.roles(inside)
        if set(through) <= {"view", "doubled"}:
            return "identity" if set(body) & {"compute", "norm", "pool"} else None
        if "compute" not in body or all(map(self.is_linear, way | inside)) or any(map(self.is_sum, way)):
            return None
        if "compute" in through:
            return "projection" if self.deepest(fork, other) >= 2 else None
        if "pool" in through:
            return "resample" if through.count("other") + through.count("doubled") <= 1 else None
        if through.count("other") + through.count("doubled") > 2:
            return None
        is_changed = "norm" in through or not all(map(self.is_linear, way))
        return "projection" if is_changed else "resample"

    def is_linear(self, name: str) -> bool:
        return self.node[name].op in LINEAR

    def is_sum(self, name: str) -> bool:
        return self.node[name].op in ("add", "__iadd__") and self.flow.in_degree(name) > 1

    def feeds_gate(self, name: str) -> bool:
        layers = 0
        while self.node[name].op != "sigmoid":
            if self.flow.out_degree(name) != 1:
                return False
            (name,) = self.flow.successors(name)
            layers += self.role(name) == "compute"
            if layers > 1 or self.flow.in_degree(name) > 1:
                return False
        return self.only_multiplies(name)

    def only_multiplies(self, gate: str) -> bool:
        readers = list(self.flow.successors(gate))
        return bool(readers) and all(
            (self.node[reader].op == "mul" and self.flow.in_degree(reader) > 1)
            or (self.flow.in_degree(reader) == 1 and self.is_linear(reader) and self.only_multiplies(reader))
            for reader in readers
        )

    def gate(self, join: str, side: str, weight: str) -> tuple[str, str, set[str]] | None:
        end = weight
        while self.role(end) in ("view", "pool") and self.flow.in_degree(end) == 1:
            (end,) = self.flow.predecessors(end)
        if self.node[end].op != "sigmoid":
            return None
        for fork, through in self.forks(side):
            if self.roles(through).count("compute") > 1:
                return None
            if fork in nx.ancestors(self.flow, weight):
                keeps = all(self.node[name].op != "mul" for name in through)
                computes = "compute" in self.roles(self.between(fork, weight))
                return ("gate", fork, through) if keeps and computes else None
        return None

    def concat(self, join: str, side: str, other: str) -> tuple[str, str, set[str]] | None:
        for fork, through in self.forks(side):
            computes = fork in nx.ancestors(self.flow, other) and "compute" in self.roles(self.between(fork, other))
            if set(self.roles(through)) <= {"view"} and computes:
                return "concat", fork, through
        return None

    def long_concat(self, side: str, other: str) -> tuple[str, str, set[str]] | None:
        """Return a skip past several residual blocks; all maps of a random graph are of one size."""
        for fork, through in self.forks(side):
            if fork in nx.ancestors(self.flow, other):
                blocks = sum(map(self.is_sum, self.between(fork, other)))
                layers = self.deepest(fork, side) if fork != side else 0
                is_past = fork != "x" and blocks > 1 and self.deepest(fork, other) >= 3 * max(1, layers)
                return ("concat", fork, through) if is_past else None
        return None


@settings(max_examples=examples(300), deadline=None)
@given(graphs(18))
def test_brute_force_finds_the_same(graph: ArchGraph) -> None:
    """Concatenations after a gate are left out: their path may leave the dominators."""
    brute = BruteForce(graph)
    found = {skip.join: (skip.kind, skip.fork, set(skip.through)) for skip in find_skips(graph).skips}
    gates = {join for join, skip in found.items() if skip[0] == "gate"}
    unread = graph.index.unread
    merges = [node.id for node in graph.nodes if node.op in ("add", "__iadd__", "mul", "cat")]
    joins = [name for name in merges if name in brute.flow and name not in unread]
    judged = {
        join
        for join in joins
        if not brute.is_sum(join)
        and (graph.by_id[join].op != "cat" or gates.isdisjoint(nx.ancestors(brute.flow, join)))
    }
    expected = {join: skip for join in joins if join in judged and (skip := brute.skip(join))}
    assert {join: skip for join, skip in found.items() if join in judged} == expected
    sums = {name: brute.terms(name) for name in brute.flow if brute.is_sum(name)}
    for join, (terms, inner) in sums.items():
        if not any(join in inside for _, inside in sums.values()) and join not in unread:
            within = [skip for name, skip in found.items() if name in {join, *inner}]
            got = [(kind, fork, frozenset(through - inner)) for kind, fork, through in within]
            right = brute.shortcuts(join, terms, unread)
            assert Counter(got) == Counter((kind, fork, frozenset(through)) for kind, fork, through in right)


@given(graphs(30))
def test_two_ways_lead_from_fork_to_join(graph: ArchGraph) -> None:
    """One of them is ``through``, in the order it ran; the other is the body, which passes something else."""
    flow, position = nx.DiGraph(graph.to_networkx()), graph.index.position
    for skip in find_skips(graph).skips:
        own_way = flow.subgraph({skip.fork, skip.join, *skip.through})
        assert nx.has_path(own_way, skip.fork, skip.join)
        assert list(skip.through) == sorted(skip.through, key=position.__getitem__)
        assert nx.has_path(flow.subgraph(set(flow) - {skip.join}), skip.fork, _other_side(flow, skip))


def _other_side(flow: nx.DiGraph, skip: Skip) -> str:
    end_of_own_way = skip.through[-1] if skip.through else skip.fork
    sides: list[str] = [side for side in flow.predecessors(skip.join) if side != end_of_own_way]
    return next(side for side in sides if nx.has_path(flow, skip.fork, side))


@given(graphs(24))
def test_the_order_of_operands_plays_no_part(graph: ArchGraph) -> None:
    swapped = {"0": "1", "1": "0"}
    edges = tuple(Edge(edge.source, edge.target, swapped[edge.slot]) for edge in graph.edges)
    mirrored = ArchGraph(graph.model, graph.trace, graph.nodes, edges, graph.scopes, graph.parameters)
    assert find_skips(mirrored).skips == find_skips(graph).skips


@given(graphs(24))
def test_finding_again_changes_nothing(graph: ArchGraph) -> None:
    found = find_skips(graph)
    assert find_skips(found) == found


# Size


def _long(length: int, residual: bool) -> ArchGraph:
    row = (TensorInfo((1, 8), "float32"),)
    nodes, edges = [Node("x", "input", "x", "x", outputs=row)], []
    for place in range(length):
        stream = nodes[-1].id
        nodes.append(Node(f"fc{place}", "module", "Linear", "fc", outputs=row, macs=64))
        edges.append(Edge(stream, f"fc{place}", "0"))
        if residual:
            nodes.append(Node(f"add{place}", "function", "add", "", outputs=row))
            edges.extend((Edge(stream, f"add{place}", "0"), Edge(f"fc{place}", f"add{place}", "1")))
    graph = Net().graph()
    return ArchGraph(graph.model, graph.trace, tuple(nodes), tuple(edges), graph.scopes, ())


@pytest.mark.slow
@pytest.mark.parametrize("residual", [False, True])
def test_ten_thousand_layers_take_seconds(residual: bool) -> None:
    graph = _long(10_000, residual)
    start = time.process_time()
    found = find_skips(graph).skips
    assert time.process_time() - start < 10
    assert len(found) == (10_000 if residual else 0)


# Models whose skips were counted in their sources


@pytest.mark.parametrize(
    ("name", "identity", "projection", "gate", "concat"),
    [
        ("alexnet", 0, 0, 0, 0),
        ("vgg16", 0, 0, 0, 0),
        ("resnet18", 5, 3, 0, 0),
        *slow(("resnet50", 12, 4, 0, 0), ("resnet152", 46, 4, 0, 0)),
        ("mobilenet_v2", 10, 0, 0, 0),
        ("mobilenet_v3_large", 10, 0, 8, 0),
        ("vit_b_16", 24, 0, 0, 0),
        *slow(
            ("efficientnet_b0", 9, 0, 16, 0),
            ("swin_t", 24, 0, 0, 0),
            ("convnext_tiny", 18, 0, 0, 0),
            ("regnet_y_400mf", 12, 4, 16, 0),
            ("maxvit_t", 51, 4, 11, 0),
        ),
        ("densenet121", 0, 0, 0, 58),
        ("googlenet", 0, 0, 0, 0),
        ("shufflenet_v2_x1_0", 0, 0, 0, 13),
    ],
)
def test_torchvision_truth(name: str, identity: int, projection: int, gate: int, concat: int) -> None:
    counts = traced(name).skip_counts
    expected = {"identity": identity, "projection": projection, "resample": 0, "concat": concat, "gate": gate}
    assert counts == expected


@pytest.mark.parametrize(
    ("name", "identity", "projection", "resample"),
    [
        *slow(
            ("mvit_v1_b", 26, 3, 3),
            ("fcn_resnet50", 12, 4, 0),
            ("raft_small", 19, 4, 0),
            ("fasterrcnn_resnet50_fpn", 12, 7, 0),
        ),
    ],
)
def test_residuals_of_other_families(name: str, identity: int, projection: int, resample: int) -> None:
    counts = traced(name).skip_counts
    assert (counts["identity"], counts["projection"], counts["resample"]) == (identity, projection, resample)


def test_each_kind_has_an_entry_in_every_table() -> None:
    """A new kind of skip connection needs one in each of these."""
    tables = {
        "preference": shortcuts.PREFERENCE,
        "nouns": SKIP_NOUNS,
        "dashes": lines._DASHES,
        "links of Mermaid": mermaid._LINKS,
    }
    assert {name: set(table) for name, table in tables.items()} == {key: set(SKIP_KINDS) for key in tables}


class Backcast(nn.Module):
    """Two blocks that each explain a part of the signal; nothing reads what is left after the last one (N-BEATS)."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))
        self.backs = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))
        self.head = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for body, back in zip(self.bodies, self.backs, strict=True):
            hidden = body(x).relu()
            x = x - back(hidden)
        return self.head(hidden)


def test_a_sum_that_nothing_reads_joins_nothing() -> None:
    graph = fxviz.trace(Backcast(), torch.zeros(1, 8))
    assert graph.skip_counts["identity"] == 1
    view = fxviz.render(graph).view
    rows = {row.path: row.id for row in view.rows}
    assert (rows["bodies.1"], rows["backs.1"]) in view.edges
    assert {tail for tail, head in view.edges if head == rows["backs.1"]} == {rows["bodies.1"]}
