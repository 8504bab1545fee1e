"""Matching two models finds exactly the steps that were added, removed or resized."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace

import pytest
from hypothesis import assume, given

from altered_graphs import graphs_and_step, resized, without
from fxviz._analysis import annotate
from fxviz._analysis.difference import Difference, matters
from fxviz._analysis.match import match
from fxviz._graph import ArchGraph, Node
from fxviz._graph.errors import UsageError
from fxviz._graph.operations import plain_name
from fxviz._view import fold
from fxviz._view.view import View
from models import traced
from random_graphs import Net, graphs, staged_nets, stopped_at

Case = tuple[ArchGraph, str]


def lost(difference: Difference) -> list[str]:
    return [node.id for removed in difference.removed for node in removed.nodes]


def old_total(view: View) -> float:
    """Return the total of the old model according to the rows."""
    return sum(row.change.was if row.change else row.total for row in view.rows)


def parts(view: View) -> list[tuple[str, str]]:
    """Return the change of each step according to the rows."""
    return [(part.kind, part.node.id) for row in view.rows if row.change for part in row.change.parts]


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
    assert difference.changed == {} and difference.added == frozenset()
    assert len(difference.pairs) == len(graph.nodes) - 1


@given(graphs_and_step())
def test_a_step_that_was_added_is_found_and_nothing_else(case: Case) -> None:
    graph, name = case
    assume(graph.by_id[name].kind != "input")
    difference = match(without(graph, name), graph)
    assert [plain_name(graph.by_id[found].op) for found in difference.added] == [plain_name(graph.by_id[name].op)]
    assert difference.changed == {} and difference.removed == ()
    assert parts(fold(graph, difference=difference)) == [("added", added) for added in difference.added]


@given(graphs_and_step())
def test_a_step_that_was_resized_is_found_and_nothing_else(case: Case) -> None:
    graph, name = case
    assume(graph.by_id[name].kind == "module" and graph.by_id[name].uses)
    changed = resized(graph, name, width=9)
    difference = match(graph, changed)
    assert difference.changed == {name: "resized"}
    assert difference.added == frozenset() and difference.removed == ()
    assert difference.tally == ({"resized": 1}, "layer")
    assert parts(fold(changed, difference=difference)) == [("resized", name)]


@pytest.mark.slow
@given(graphs_and_step())
def test_the_rows_add_up_to_both_models(case: Case) -> None:
    graph, name = case
    assume(graph.by_id[name].kind != "input")
    smaller = without(graph, name)
    assume(any(matters(node) and node.kind != "parameter" for node in smaller.nodes))
    for old, new in ((graph, smaller), (smaller, graph), (graph, resized(graph, name, width=9))):
        difference = match(old, new)
        for budget in (89, 25):
            view = fold(new, budget=budget, difference=difference)
            assert view.total == new.traced_params
            assert old_total(view) == old.traced_params


@pytest.mark.slow
@given(staged_nets())
def test_a_repeat_never_mixes_what_differs_with_what_does_not(graph: ArchGraph) -> None:
    graph = annotate(graph)
    layers = [node.id for node in graph.nodes if node.uses and node.kind == "module"]
    changed = resized(graph, layers[len(layers) // 2], width=9)
    view = fold(changed, difference=match(graph, changed))
    marked = [row for row in view.rows if row.change]
    assert len(marked) == 1 and (marked[0].times == 1 or marked[0].kind in ("layers", "blocks"))


# -------------------------------------------------------------------- lists


def stack(*layers: int, is_called: bool = True) -> ArchGraph:
    """Build convolutions of these widths in a list, each followed by an activation; a loop runs a list not called."""
    net = Net()
    stream = net.input()
    with net.scope("features", sequential=True) if is_called else nullcontext():
        for place, width in enumerate(layers):
            stream = net.chain(stream, "Conv2d", "ReLU")
            at = len(net.nodes) - 2
            net.nodes[at] = replace(net.nodes[at], path=f"features.{2 * place}", settings={"out_channels": width})
            net.nodes[-1] = replace(net.nodes[-1], path=f"features.{2 * place + 1}")
    net.output(stream)
    return annotate(net.graph())


@pytest.mark.parametrize("is_called", [True, False])
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
def test_one_inserted_layer_does_not_mark_all_that_follow(
    old: tuple[int, ...], new: tuple[int, ...], added: list[int], is_called: bool
) -> None:
    difference = match(stack(*old, is_called=is_called), stack(*new, is_called=is_called))
    found = [difference.new.by_id[name].path for name in difference.added if difference.new.by_id[name].uses]
    assert sorted(found) == [f"features.{2 * place}" for place in added]
    assert difference.changed == {} and difference.removed == ()


def test_what_is_replaced_at_one_place_is_resized() -> None:
    difference = match(stack(8, 16, 32), stack(8, 24, 32))
    assert {difference.new.by_id[name].path: kind for name, kind in difference.changed.items()} == {
        "features.2": "resized"
    }


# -------------------------------------------------------------------- models


@pytest.mark.parametrize(
    ("old", "new", "layers"),
    [
        ("resnet18", "resnet34", {"added": 32}),
        ("resnet34", "resnet18", {"removed": 32}),
        ("vgg11", "vgg11_bn", {"added": 8}),
        ("resnet50", "wide_resnet50_2", {"resized": 80}),
    ],
)
def test_the_layers_that_differ_are_counted(old: str, new: str, layers: dict[str, int]) -> None:
    assert match(traced(old), traced(new)).tally == (layers, "layer")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("resnet18", "resnet34"),
        ("resnet34", "resnet18"),
        ("resnet50", "wide_resnet50_2"),
        ("vit_b_16", "vit_b_32"),
        pytest.param("mnasnet0_5", "mnasnet1_0", marks=pytest.mark.slow),
        pytest.param("densenet121", "densenet169", marks=pytest.mark.slow),
        pytest.param("shufflenet_v2_x0_5", "shufflenet_v2_x1_0", marks=pytest.mark.slow),
        pytest.param("regnet_y_400mf", "regnet_y_800mf", marks=pytest.mark.slow),
    ],
)
def test_layers_of_one_path_are_compared_as_by_hand(old: str, new: str) -> None:
    """Families in which a path is the same layer: the difference is that of the parameters' names and shapes."""
    difference = match(traced(old), traced(new))
    was, now = shapes_of(traced(old)), shapes_of(traced(new))
    assert owners(difference.new.by_id[name] for name in difference.added) == now.keys() - was.keys()
    assert owners(difference.old.by_id[name] for name in lost(difference)) == was.keys() - now.keys()
    changed = {path for path in was.keys() & now.keys() if was[path] != now[path]}
    resized_now = [difference.new.by_id[name] for name, kind in difference.changed.items() if kind == "resized"]
    assert owners(resized_now) == changed


def shapes_of(graph: ArchGraph) -> dict[str, list[tuple[int, ...]]]:
    """Return the shapes of the parameters that each module owns itself, by its path."""
    used = {name for node in graph.nodes for name in node.uses}
    found: dict[str, list[tuple[int, ...]]] = {}
    for parameter in graph.parameters:
        if parameter.name in used:
            found.setdefault(parameter.name.rpartition(".")[0], []).append(parameter.shape)
    return found


def owners(nodes: Iterable[Node]) -> set[str]:
    return {name.rpartition(".")[0] for node in nodes for name in node.uses}


def test_two_families_are_refused_in_one_sentence() -> None:
    with pytest.raises(
        UsageError, match=r"'vgg11' and 'resnet18' have almost nothing in common \(\d of 11 layers\).*use fxviz.compare"
    ):
        match(traced("vgg11"), traced("resnet18"))


def test_half_a_run_is_refused(tiny: ArchGraph) -> None:
    with pytest.raises(UsageError, match="cannot compare an incomplete run: 'tiny' failed; trace a run that completes"):
        match(tiny, stopped_at(tiny, "fc"))
