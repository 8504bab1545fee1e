"""The neutral form saves to JSON and comes back equal, and a damaged file is said to be one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxviz.errors import BadGraphFile, BadOutput
from fxviz.graph import (
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

texts = st.text(st.characters(codec="utf-8"), max_size=8)
sizes = st.integers(0, 10**12)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
tensors = st.builds(TensorInfo, st.lists(st.integers(0, 512), max_size=4).map(tuple), st.sampled_from(["float32", "int64"]))
names = st.lists(texts, max_size=3, unique=True).map(tuple)


def graphs() -> st.SearchStrategy[ArchGraph]:
    return st.lists(texts, min_size=1, max_size=6, unique=True).flatmap(graphs_over)


@st.composite
def graphs_over(draw: st.DrawFn, ids: list[str]) -> ArchGraph:
    scopes = tuple(
        Scope(number, draw(texts), draw(texts), draw(sizes), number - 1 if number else None, draw(st.booleans()))
        for number in range(draw(st.integers(1, 3)))
    )
    pairs = st.tuples(st.sampled_from(ids), st.sampled_from(ids))
    return ArchGraph(
        ModelInfo(draw(texts), draw(texts), draw(texts)),
        TraceInfo("meta", "fake", draw(st.dictionaries(texts, tensors, max_size=2)), "2.4.0", draw(st.none() | texts)),
        nodes=tuple(draw(nodes(st.just(name), st.sampled_from(range(len(scopes))))) for name in ids),
        edges=tuple(Edge(source, target, draw(texts)) for source, target in draw(st.lists(pairs, max_size=8))),
        scopes=scopes,
        parameters=tuple(draw(st.lists(st.builds(Parameter, texts, shapes, texts, st.booleans()), max_size=3))),
        skips=tuple(
            Skip(draw(st.sampled_from(SKIP_KINDS)), fork, join, tuple(draw(st.lists(st.sampled_from(ids), max_size=2))))
            for fork, join in draw(st.lists(pairs, max_size=3))
        ),
    )


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
def test_the_flow_has_one_edge_for_each_joined_pair(graph: ArchGraph) -> None:
    flow = graph.flow()
    assert list(flow) == [node.id for node in graph.nodes]
    assert set(flow.edges) == {(edge.source, edge.target) for edge in graph.edges}


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
    ],
    ids=["kind", "scope", "skip", "skip kind"],
)
def test_a_reference_that_leads_nowhere_is_refused(tiny: ArchGraph, change: dict[str, Any]) -> None:
    parts: dict[str, Any] = {"nodes": (Node("a", "module", "Conv2d", "a"),), "edges": (), "skips": ()}
    with pytest.raises(ValueError, match=r"unknown kind|is not there|names what is not there"):
        ArchGraph(tiny.model, tiny.trace, scopes=tiny.scopes, parameters=(), **{**parts, **change})


def test_only_json_is_saved(tiny: ArchGraph, tmp_path: Path) -> None:
    with pytest.raises(BadOutput, match=r"the suffix must be \.json"):
        tiny.save(tmp_path / "tiny.txt")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_cut_short(tiny: ArchGraph, tmp_path: Path, share: float) -> None:
    text = tiny.to_json()
    refused(tmp_path, text[: int(len(text) * share)], "it is not whole JSON")


@pytest.mark.parametrize(
    "text", ["[]", "{}", "3", "null", '"graph"', '{"graph": []}', '{"graph": {"schema": "fxviz.graph/9"}}']
)
def test_json_of_another_kind(tmp_path: Path, text: str) -> None:
    refused(tmp_path, text, "its schema is|it holds no graph")


def test_a_graph_of_another_program(tmp_path: Path) -> None:
    refused(tmp_path, json.dumps(nx.node_link_data(nx.path_graph(3), edges="edges")), "its schema is None")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(BadGraphFile, match="it is not whole JSON"):
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
    assert "fxviz trace MODEL -o" in str(caught.value)
