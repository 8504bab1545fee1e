"""A graph is saved as JSON and loaded as an equal graph; messages name the damage in a file."""

from __future__ import annotations

import json
import pickle
import re
from dataclasses import fields, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxviz._graph import (
    NODE_KINDS,
    SKIP_KINDS,
    ArchGraph,
    Edge,
    ModelInfo,
    Node,
    Parameter,
    Scope,
    Skip,
    TensorInfo,
    TraceInfo,
)
from fxviz._graph.errors import BadGraphFile, BadOutput

texts = st.text(st.characters(codec="utf-8"), max_size=8)
sizes = st.integers(0, 10**12)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)
tensors = st.builds(
    TensorInfo, st.lists(st.integers(0, 512), max_size=4).map(tuple), st.sampled_from(["float32", "int64"])
)
names = st.lists(texts, max_size=3, unique=True).map(tuple)


def graphs() -> st.SearchStrategy[ArchGraph]:
    return st.lists(texts, min_size=1, max_size=6, unique=True).flatmap(graphs_over)


@st.composite
def graphs_over(draw: st.DrawFn, ids: list[str]) -> ArchGraph:
    scopes = tuple(
        Scope(number, draw(texts), draw(texts), draw(sizes), number - 1 if number else None, draw(st.booleans()))
        for number in range(draw(st.integers(1, 3)))
    )
    places = st.lists(st.sampled_from(range(len(ids))), min_size=2, max_size=2, unique=True).map(sorted)
    pairs = places.map(lambda pair: (ids[pair[0]], ids[pair[1]])) if len(ids) > 1 else st.nothing()
    return ArchGraph(
        ModelInfo(draw(texts), draw(texts), draw(texts)),
        TraceInfo("meta", "fake", draw(st.dictionaries(texts, tensors, max_size=2)), "2.4.0", draw(st.none() | texts)),
        nodes=tuple(draw(nodes(st.just(name), st.sampled_from(range(len(scopes))))) for name in ids),
        edges=tuple(Edge(source, target, draw(texts)) for source, target in draw(some(pairs, 8))),
        scopes=scopes,
        parameters=tuple(draw(st.lists(st.builds(Parameter, texts, shapes, texts, st.booleans()), max_size=3))),
        skips=tuple(
            Skip(draw(st.sampled_from(SKIP_KINDS)), fork, join, tuple(draw(st.lists(st.sampled_from(ids), max_size=2))))
            for fork, join in draw(some(pairs, 3))
        ),
    )


def some(things: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[list[Any]]:
    """None where there can be none: one node alone has no edge."""
    return st.just([]) if things.is_empty else st.lists(things, max_size=most)


shapes = st.lists(st.integers(0, 512), max_size=4).map(tuple)


def nodes(ids: st.SearchStrategy[str], scopes: st.SearchStrategy[int]) -> st.SearchStrategy[Node]:
    return st.builds(
        Node,
        id=ids,
        kind=st.sampled_from(NODE_KINDS),
        op=texts,
        path=texts,
        cls=st.none() | texts,
        call=sizes,
        scope=scopes,
        uses=names,
        outputs=st.lists(tensors, max_size=2).map(tuple),
        settings=st.dictionaries(texts, plain, max_size=3),
        macs=st.none() | sizes,
        params=sizes,
        shared=names,
        time=st.none() | st.floats(0, 1e6),
    )


@given(graphs())
def test_a_graph_comes_back_equal(tmp_path_factory: pytest.TempPathFactory, graph: ArchGraph) -> None:
    path = graph.save(tmp_path_factory.mktemp("graph") / "graph.json")
    again = ArchGraph.load(path)
    assert again == graph
    assert again.to_json() == path.read_text(encoding="utf-8")


@given(graphs())
def test_networkx_reads_what_is_saved(graph: ArchGraph) -> None:
    read = nx.node_link_graph(json.loads(graph.to_json()), edges="edges")
    assert isinstance(read, nx.MultiDiGraph)
    assert nx.utils.graphs_equal(read, graph.to_networkx())
    assert list(read) == [node.id for node in graph.nodes]


@given(graphs())
def test_what_is_saved_is_what_networkx_writes(graph: ArchGraph) -> None:
    written = nx.node_link_data(graph.to_networkx(), edges="edges")
    assert json.dumps(json.loads(graph.to_json())) == json.dumps(written)


@given(graphs())
def test_the_index_knows_the_nodes_that_each_node_reads_and_is_read_by(graph: ArchGraph) -> None:
    rich, index = graph.to_networkx(), graph.index
    ids = [node.id for node in graph.nodes]
    assert list(index.sources) == list(index.users) == list(index.edges_to) == list(index.position) == ids
    for name in ids:
        assert list(index.sources[name]) == sorted(rich.predecessors(name), key=ids.index)
        assert list(index.users[name]) == sorted(rich.successors(name), key=ids.index)
        read = [(edge.source, edge.slot) for edge in index.edges_to[name]]
        assert sorted(read) == sorted((source, slot) for source, _, slot in rich.in_edges(name, data="slot"))


@given(graphs())
def test_the_index_knows_the_nodes_between_two(graph: ArchGraph) -> None:
    rich, ids = graph.to_networkx(), [node.id for node in graph.nodes]
    for fork, join in combinations(ids, 2):
        between = list(graph.index.between(fork, join))
        assert len(between) == len(set(between))
        assert set(between) == nx.descendants(rich, fork) & nx.ancestors(rich, join)


@given(graphs())
def test_the_index_knows_the_steps_of_each_module_call(graph: ArchGraph) -> None:
    index = graph.index

    def nodes_in(scope: int) -> list[str]:
        steps = ([step.id] if isinstance(step, Node) else nodes_in(step.id) for step in index.steps[scope])
        return [name for names in steps for name in names]

    for scope in graph.scopes:
        inside = [node.id for node in graph.nodes if scope in index.around(node.scope)]
        assert list(index.inside[scope.id]) == inside
        assert sorted(nodes_in(scope.id)) == sorted(inside)
        starts = [step.id if isinstance(step, Node) else index.inside[step.id][0] for step in index.steps[scope.id]]
        assert starts == sorted(starts, key=index.position.__getitem__)
        calls = {step.id for step in index.steps[scope.id] if isinstance(step, Scope)}
        assert calls == {call.id for call in graph.scopes if call.parent == scope.id and index.inside[call.id]}
    for one, other in combinations(graph.scopes, 2):
        common = [scope for scope in index.around(one.id) if scope in index.around(other.id)]
        assert index.around_all({one.id, other.id}) == common[0]


def test_the_index_is_built_once_and_never_saved(tiny: ArchGraph) -> None:
    assert tiny.index is tiny.index
    assert tiny.index.sources is tiny.index.sources
    again = pickle.loads(pickle.dumps(tiny))
    assert again == tiny
    assert vars(again).keys() == {field.name for field in fields(ArchGraph)}
    assert again.index.sources == tiny.index.sources


@pytest.mark.parametrize("name", ["x" * 1000, "\x00" * 1000, "two\nlines", "", "\U0001f600" * 1000], ids=repr)
def test_a_graph_is_shown_in_one_short_line(tiny: ArchGraph, name: str) -> None:
    text = repr(replace(tiny, model=replace(tiny.model, name=name)))
    assert len(text) <= 200 and text.isprintable()
    assert text.startswith("<ArchGraph ") and text.endswith(f" {len(tiny.nodes)} nodes, 2,714 parameters, 1 skip>")


def test_a_short_line_of_a_model(resnet18: ArchGraph) -> None:
    assert repr(resnet18) == "<ArchGraph resnet18: 71 nodes, 11,689,512 parameters, 8 skips>"


def test_the_order_of_edges_given_does_not_matter(tiny: ArchGraph) -> None:
    turned = ArchGraph(tiny.model, tiny.trace, tiny.nodes, tiny.edges[::-1], tiny.scopes, tiny.parameters, tiny.skips)
    assert turned == tiny
    assert turned.to_json() == tiny.to_json()


def test_the_totals_are_what_the_format_says(tiny: ArchGraph) -> None:
    assert json.loads(tiny.to_json())["graph"]["totals"] == {
        "params": 2714,
        "traced_params": 2714,
        "untraced_params": 0,
        "trainable_params": 2714,
        "buffers": 0,
        "macs": 11776,
        "macs_unknown_nodes": 0,
        "skips": {"identity": 1, "projection": 0, "resample": 0, "concat": 0, "gate": 0},
    }


def test_every_field_is_in_the_documentation(tiny: ArchGraph) -> None:
    page = (Path(__file__).parent.parent / "docs" / "graph-format.md").read_text(encoding="utf-8")
    data = json.loads(tiny.to_json())
    nested = {f"{key}.{inner}" for key in ("model", "trace", "totals") for inner in data["graph"][key]}
    listed = [*data, "schema", *nested]
    for part in (data["nodes"], data["edges"], *(data["graph"][key] for key in ("skips", "scopes", "parameters"))):
        listed += part[0]
    assert [name for name in listed if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    "change",
    [
        {"nodes": (Node("a", "moduel", "Conv2d", "a"),)},
        {"nodes": (Node("a", "module", "Conv2d", "a", scope=7),)},
        {"skips": (Skip("identity", "a", "nowhere"),)},
        {"skips": (Skip("sideways", "a", "a"),)},
        {"skips": (Skip("identity", "a", "a"),)},
        {"edges": (Edge("a", "nowhere", "0"),)},
        {"edges": (Edge("a", "a", "0"),)},
        {"nodes": (Node("a", "module", "Conv2d", "a"),) * 2},
    ],
    ids=["kind", "scope", "skip", "skip kind", "skip back", "edge", "edge back", "twice"],
)
def test_a_reference_that_leads_nowhere_is_refused(tiny: ArchGraph, change: dict[str, Any]) -> None:
    parts: dict[str, Any] = {"nodes": (Node("a", "module", "Conv2d", "a"),), "edges": (), "skips": ()}
    with pytest.raises(ValueError, match=r"unknown kind|does not exist|leads backward|duplicate node"):
        ArchGraph(tiny.model, tiny.trace, scopes=tiny.scopes, parameters=(), **{**parts, **change})


def put(content: Any, path: str, value: Any) -> None:
    *way, last = (int(key) if key.isdigit() else key for key in path.split("."))
    for key in way:
        content = content[key]
    content[last] = value


SCOPE = {"id": 1, "path": "a", "class": "A", "call": 0, "parent": 0, "sequential": False}
SCOPE_0 = SCOPE | {"id": 0, "parent": None}


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("nodes.1.op", -1, "node 'conv': 'op' must be a string, not -1"),
        ("nodes.1.path", [], "node 'conv': 'path' must be a string, not []"),
        ("nodes.1.settings", None, "node 'conv': 'settings' must be an object, not null"),
        (
            "nodes.1.settings.stride",
            {},
            "node 'conv': 'settings' 'stride' must be a number, a string, true, false, null "
            "or a list of these, not an object",
        ),
        (
            "nodes.1.settings.stride",
            [2, [{}]],
            "node 'conv': 'settings' 'stride' must be a number, a string, true, false, null "
            "or a list of these, not [2, [{}]]",
        ),
        ("nodes.1.params", "x", "node 'conv': 'params' must be a non-negative integer, not 'x'"),
        ("nodes.1.params", float("nan"), "node 'conv': 'params' must be a non-negative integer, not nan"),
        ("nodes.1.params", 1e308, "node 'conv': 'params' must be a non-negative integer, not 1e+308"),
        (
            "nodes.1.params",
            10**400,
            "node 'conv': 'params' must be a non-negative integer, not a number beyond 64 bits",
        ),
        ("nodes.1.params", -1, "node 'conv': 'params' must be a non-negative integer, not -1"),
        ("nodes.1.params", True, "node 'conv': 'params' must be a non-negative integer, not True"),
        ("nodes.1.macs", [], "node 'conv': 'macs' must be a non-negative integer, not []"),
        ("nodes.1.time", [None], "node 'conv': 'time' must be a number of seconds, not [None]"),
        ("nodes.1.time", float("nan"), "node 'conv': 'time' must be a number of seconds, not nan"),
        ("nodes.1.uses", "weight", "node 'conv': 'uses' must be a list of strings, not 'weight'"),
        ("nodes.1.kind", None, "node 'conv': 'kind' must be one of input, module,"),
        ("nodes.1.id", 7, "'id' must be a string, not 7"),
        ("nodes.1", 7, "'nodes' 1 must be an object, not 7"),
        ("nodes.1.outputs.0.dtype", None, "node 'conv': 'outputs' 0: 'dtype' must be a string, not null"),
        ("nodes.1.outputs.0.shape", ["a"], "node 'conv': 'outputs' 0: 'shape' must be a list of sizes, not ['a']"),
        ("nodes.1.outputs.0.shape", [-1], "node 'conv': 'outputs' 0: 'shape' must be a list of sizes, not [-1]"),
        ("nodes.1.outputs.0.shape", [2**40, 2**40], "must be a list of sizes"),
        ("nodes.1.scope", 5, "node 'conv' ran in scope 5, which does not exist"),
        ("graph.scopes", [], "scope 0, the model itself, is missing"),
        ("graph.scopes.0.parent", -1, "'scopes' 0: 'parent' must be a non-negative integer, not -1"),
        ("graph.scopes.0.parent", 0, "invalid parent 0 of scope 0: must be null"),
        ("graph.scopes", [SCOPE_0, SCOPE | {"parent": 1}], "invalid parent 1 of scope 1: must be an earlier scope"),
        (
            "graph.scopes",
            [SCOPE_0, SCOPE | {"parent": 2}, SCOPE | {"id": 2, "parent": 1}],
            "invalid parent 2 of scope 1",
        ),
        ("graph.scopes", [SCOPE_0, SCOPE | {"parent": None}], "invalid parent None of scope 1"),
        ("graph.scopes", [SCOPE_0, SCOPE, SCOPE], "duplicate scope 1"),
        ("graph.skips.0.join", "nowhere", "the skip from 'x' to 'nowhere' names node 'nowhere', which does not exist"),
        (
            "graph.skips.0.through",
            ["nowhere"],
            "the skip from 'x' to 'add' passes node 'nowhere', which does not exist",
        ),
        ("graph.trace.guessed", {"nonzero": "x"}, "'guessed': 'nonzero' must be a non-negative integer, not 'x'"),
        ("graph.trace.inputs.x.shape", 3, "'inputs': 'x': 'shape' must be a list of sizes, not 3"),
        ("graph.parameters.0.trainable", 1, "'parameters' 0: 'trainable' must be true or false, not 1"),
        ("graph.model.name", None, "'model': 'name' must be a string, not null"),
        ("edges.0.source", "nowhere", "the edge from 'nowhere' to 'conv' names node 'nowhere', which does not exist"),
        ("edges.0.source", "fc", "the edge from 'fc' to 'conv' leads backward"),
        ("edges", None, "'edges' must be a list, not null"),
    ],
)
def test_a_wrong_field_is_named(tiny: ArchGraph, tmp_path: Path, path: str, value: Any, said: str) -> None:
    content = json.loads(tiny.to_json())
    put(content, path, value)
    refused(tmp_path, json.dumps(content), re.escape(said))


def test_a_number_too_long_to_read(tmp_path: Path) -> None:
    refused(tmp_path, "9" * 5000, "it is not valid JSON|it is not an fxviz graph")


def test_settings_nested_too_deeply(tiny: ArchGraph, tmp_path: Path) -> None:
    text = tiny.to_json().replace('"start_dim": 1', '"start_dim": ' + "[" * 100_000 + "]" * 100_000)
    refused(tmp_path, text, "cannot read")


def test_a_networkx_graph_of_another_kind() -> None:
    with pytest.raises(BadGraphFile, match="invalid graph: the graph has no 'model'"):
        ArchGraph.from_networkx(nx.MultiDiGraph())


def test_only_json_is_saved(tiny: ArchGraph, tmp_path: Path) -> None:
    with pytest.raises(BadOutput, match=r"the suffix must be \.json"):
        tiny.save(tmp_path / "tiny.txt")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_cut_short(tiny: ArchGraph, tmp_path: Path, share: float) -> None:
    text = tiny.to_json()
    refused(tmp_path, text[: int(len(text) * share)], "it is not valid JSON")


@pytest.mark.parametrize(
    "text", ["[]", "{}", "3", "null", '"graph"', '{"graph": []}', '{"graph": {"schema": "fxviz._graph/9"}}']
)
def test_json_of_another_kind(tmp_path: Path, text: str) -> None:
    refused(tmp_path, text, "unknown schema|it is not an fxviz graph")


def test_a_graph_of_another_program(tmp_path: Path) -> None:
    refused(
        tmp_path,
        json.dumps(nx.node_link_data(nx.path_graph(3), edges="edges")),
        "unknown schema null: must be 'fxviz.graph/1'",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [('{"graph": ', "it is not valid JSON"), ("[]", "it is not an fxviz graph"), ("[" * 100_000, "not valid JSON")],
)
def test_a_text_that_is_no_graph(text: str, said: str) -> None:
    with pytest.raises(BadGraphFile, match=f"invalid graph: .*{said}"):
        ArchGraph.from_json(text)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(BadGraphFile, match="it is not valid JSON"):
        ArchGraph.load(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadGraphFile, match="No such file"):
        ArchGraph.load(tmp_path / "no.json")


@given(st.data())
def test_whatever_is_taken_out_the_graph_loads_or_is_said_to_be_damaged(
    tiny: ArchGraph, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = json.loads(tiny.to_json())
    place: Any = content
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    if data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = data.draw(st.sampled_from([None, 3, "x", [], {}]))
    path = tmp_path_factory.mktemp("damaged") / "damaged.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    try:
        ArchGraph.load(path)
    except BadGraphFile as error:
        assert "\n" not in str(error)


def refused(folder: Path, text: str, message: str) -> None:
    path = folder / "bad.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadGraphFile, match=message) as caught:
        ArchGraph.load(path)
    assert "\n" not in str(caught.value)
    assert "graphs are written by" in str(caught.value)
