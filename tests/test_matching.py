"""Which steps of two models are one and the same: exactly what was added, removed or resized is found."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given

from altered_graphs import graphs_and_step, resized, without
from fxviz.annotating import annotate
from fxviz.comparing.matching import match
from fxviz.difference import Difference
from fxviz.errors import UsageError
from fxviz.folding import fold
from fxviz.graph import ArchGraph
from fxviz.operations import plain_name
from fxviz.view import View
from models import traced
from random_graphs import Net, graphs, staged_nets, stopped_at

Case = tuple[ArchGraph, str]


def lost(difference: Difference) -> list[str]:
    return [node.id for removed in difference.removed for node in removed.nodes]


def old_total(view: View) -> float:
    """What the rows say that the other model had."""
    return sum(row.change.was if row.change else row.total for row in view.rows)


# -------------------------------------------------------------------- any graph


@given(graphs())
def test_a_graph_does_not_differ_from_itself(graph: ArchGraph) -> None:
    graph = annotate(graph)
    difference = match(graph, graph)
    assert difference.is_empty and difference.removed == () and difference.added == frozenset()
    assert difference.pairs == {node.id: node.id for node in graph.nodes}
    assert all(row.change is None for row in fold(graph, difference=difference).rows)


@given(graphs_and_step())
def test_a_step_that_was_removed_is_found_and_nothing_else(case: Case) -> None:
    graph, name = case
    assume(graph.by_id[name].kind != "input")
    difference = match(graph, without(graph, name))
    assert [plain_name(graph.by_id[found].op) for found in lost(difference)] == [plain_name(graph.by_id[name].op)]
    assert difference.resized == frozenset() and difference.added == frozenset()
    assert len(difference.pairs) == len(graph.nodes) - 1


@given(graphs_and_step())
def test_a_step_that_was_added_is_found_and_nothing_else(case: Case) -> None:
    graph, name = case
    assume(graph.by_id[name].kind != "input")
    difference = match(without(graph, name), graph)
    assert [plain_name(graph.by_id[found].op) for found in difference.added] == [plain_name(graph.by_id[name].op)]
    assert difference.resized == frozenset() and difference.removed == ()
    marked = [row.change.kind for row in fold(graph, difference=difference).rows if row.change]
    assert set(marked) <= {"added", "mixed"}


@given(graphs_and_step())
def test_a_step_that_was_resized_is_found_and_nothing_else(case: Case) -> None:
    graph, name = case
    assume(graph.by_id[name].kind == "module" and graph.by_id[name].uses)
    difference = match(graph, resized(graph, name, width=9))
    assert difference.resized == {name}
    assert difference.added == frozenset() and difference.removed == ()
    assert difference.layers == {"added": 0, "removed": 0, "resized": 1}


@given(graphs_and_step())
def test_the_rows_add_up_to_both_models(case: Case) -> None:
    graph, name = case
    assume(graph.by_id[name].kind != "input")
    smaller = without(graph, name)
    for old, new in ((graph, smaller), (smaller, graph), (graph, resized(graph, name, width=9))):
        difference = match(old, new)
        for budget in (89, 25):
            view = fold(new, budget=budget, difference=difference)
            assert view.total == new.traced_params
            assert old_total(view) == old.traced_params


@given(staged_nets())
def test_a_repeat_never_mixes_what_differs_with_what_does_not(graph: ArchGraph) -> None:
    graph = annotate(graph)
    layers = [node.id for node in graph.nodes if node.uses and node.kind == "module"]
    changed = resized(graph, layers[len(layers) // 2], width=9)
    view = fold(changed, difference=match(graph, changed))
    marked = [row for row in view.rows if row.change]
    assert len(marked) == 1 and (marked[0].times == 1 or marked[0].kind in ("layers", "blocks"))


# -------------------------------------------------------------------- lists


def stack(*layers: int) -> ArchGraph:
    """Convolutions of these widths in a list, an activation behind each."""
    net = Net()
    stream = net.input()
    with net.scope("features", sequential=True):
        for place, width in enumerate(layers):
            stream = net.chain(stream, "Conv2d", "ReLU")
            at = len(net.nodes) - 2
            net.nodes[at] = replace(net.nodes[at], path=f"features.{2 * place}", settings={"out_channels": width})
            net.nodes[-1] = replace(net.nodes[-1], path=f"features.{2 * place + 1}")
    net.output(stream)
    return annotate(net.graph())


@pytest.mark.parametrize(
    ("old", "new", "added"),
    [
        ((8, 16, 32), (4, 8, 16, 32), [0]),
        ((8, 16, 32), (8, 12, 16, 32), [1]),
        ((8, 16, 32), (8, 16, 32, 64), [3]),
        ((8, 8, 16), (8, 8, 8, 16), [2]),
        ((8, 16, 16), (8, 8, 16, 16, 16), [1, 4]),
    ],
)
def test_one_inserted_layer_does_not_mark_all_that_follow(old: tuple[int, ...], new: tuple[int, ...], added: list[int]) -> None:
    difference = match(stack(*old), stack(*new))
    found = [difference.new.by_id[name].path for name in difference.added if difference.new.by_id[name].uses]
    assert sorted(found) == [f"features.{2 * place}" for place in added]
    assert difference.resized == frozenset() and difference.removed == ()


def test_what_is_replaced_at_one_place_is_resized() -> None:
    difference = match(stack(8, 16, 32), stack(8, 24, 32))
    assert [difference.new.by_id[name].path for name in difference.resized] == ["features.2"]


# -------------------------------------------------------------------- models


@pytest.mark.parametrize(
    ("old", "new", "layers"),
    [
        ("resnet18", "resnet34", {"added": 32, "removed": 0, "resized": 0}),
        ("resnet34", "resnet18", {"added": 0, "removed": 32, "resized": 0}),
        ("vgg11", "vgg11_bn", {"added": 8, "removed": 0, "resized": 0}),
        ("resnet50", "wide_resnet50_2", {"added": 0, "removed": 0, "resized": 80}),
    ],
)
def test_the_layers_that_differ_are_counted(old: str, new: str, layers: dict[str, int]) -> None:
    difference = match(traced(old), traced(new))
    assert difference.layers == layers
    before, now = traced(old).by_id, traced(new).by_id
    gone = sum(before[name].params for name in lost(difference))
    come = sum(now[name].params for name in difference.added)
    grown = sum(now[name].params - before[difference.pairs[name]].params for name in difference.resized)
    assert come - gone + grown == traced(new).traced_params - traced(old).traced_params


def test_two_families_are_refused_in_one_sentence() -> None:
    with pytest.raises(
        UsageError, match=r"'vgg11' and 'resnet18' have next to nothing in common \(\d of 11 layers\).*without -o"
    ):
        match(traced("vgg11"), traced("resnet18"))


def test_half_a_run_is_refused(tiny: ArchGraph) -> None:
    with pytest.raises(UsageError, match="cannot compare half a run: 'tiny' stopped before its end"):
        match(tiny, stopped_at(tiny, "fc"))
