"""Modules are opened where there is room and where a caller asks for it, in the right order and frames."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import examples, slow
from fxviz._analysis import annotate
from fxviz._analysis.match import match
from fxviz._graph import ArchGraph
from fxviz._graph.errors import UsageError
from fxviz._graph.options import Style
from fxviz._render.wording import what
from fxviz._view import BUDGET, LEVELS, Outline, fitting, fold, lay_out
from fxviz._view.view import Item, Repeat, Row, Stage, View
from models import traced
from random_graphs import Net, graphs, iterated_nets, staged_nets, stopped

whole = st.one_of(graphs(24), staged_nets(), staged_nets(), iterated_nets())
anything = st.one_of(whole, whole, stopped(whole)).map(annotate)


def said(view: View) -> list[str]:
    return [what(row) for row in view.rows]


def row_at(view: View, path: str) -> Row:
    return next(row for row in view.rows if row.path == path)


def headed(view: View) -> list[str]:
    """Return the paths over frames and cards."""
    return [*_frames(view.items), *(card.heading.path for card in view.cards if card.heading)]


def _frames(items: tuple[Item, ...]) -> list[str]:
    found = []
    for item in items:
        if isinstance(item, Stage):
            found.append(item.heading.path)
        if isinstance(item, (Stage, Repeat)):
            found += _frames(item.items)
    return found


# -------------------------------------------------------------------- any graph, any overrides


@pytest.mark.slow
@given(anything, st.data())
@settings(max_examples=examples(60))
def test_whatever_is_asked_for_everything_is_counted(graph: ArchGraph, data: st.DataObject) -> None:
    paths = sorted({scope.path for scope in graph.scopes if scope.path})
    expand = data.draw(st.lists(st.sampled_from(paths), max_size=2)) if paths else []
    depth = data.draw(st.one_of(st.none(), st.integers(1, 4)))
    style = data.draw(st.sampled_from(get_args(Style)))
    repeats = data.draw(st.booleans())
    chance = data.draw(st.randoms(use_true_random=False))
    view = fold(graph, depth=depth, expand=expand, repeats=repeats, style=style)
    assert view.total == graph.traced_params == sum(part.total for part in view.parts)
    assert repeats or all(row.times == 1 for row in view.rows)
    assert fold(shuffled(graph, chance), depth=depth, expand=expand, repeats=repeats, style=style) == view


def shuffled(graph: ArchGraph, chance: random.Random) -> ArchGraph:
    edges = list(graph.edges)
    chance.shuffle(edges)
    return replace(graph, edges=tuple(edges))


@given(anything, st.integers(10, 120), st.sampled_from(get_args(Style)))
@settings(max_examples=examples(60))
def test_the_view_is_as_close_as_the_closest_level_that_fits(graph: ArchGraph, budget: int, style: str) -> None:
    view = fold(graph, budget=budget, style=style)
    fits = fitting("ledger", budget)
    level = next((found for detail in LEVELS if fits(found := lay_out(Outline(graph), detail).view)), None)
    if level is not None and view.style == "ledger":
        assert fits(view)
        assert shown(view) >= shown(level)


def shown(view: View) -> int:
    """Return how much is drawn: rows, each as often as it stands for something."""
    return sum(row.times * max(1, row.count, row.alike) for row in view.rows)


# -------------------------------------------------------------------- what is opened


def pyramid(blocks: int, widths: int = 1, layers: int = 3) -> ArchGraph:
    """Build two stages of blocks of several widths in turn, each with a module between two layers."""
    net = Net()
    stream = net.layer("Conv2d", net.input())
    for stage in range(2):
        with net.scope(f"stage{stage}", sequential=True):
            for block in range(blocks):
                with net.scope(f"{block}"):
                    width = 8 + block % widths
                    stream = net.layer("Conv2d", stream, shape=(1, width + 1, 4, 4))
                    with net.scope("mlp"):
                        for place in range(layers):
                            stream = net.layer("Conv2d", stream, shape=(1, width + place, 4, 4))
                    stream = net.layer("Conv2d", stream, shape=(1, width, 4, 4))
    net.output(stream)
    scopes = tuple(replace(scope, cls=class_of(scope.path)) for scope in net.scopes)
    return annotate(replace(net.graph(), scopes=scopes))


def class_of(path: str) -> str:
    return (
        "models.MLP" if path.endswith("mlp") else "models.Block" if "." in path else f"models.{path.title() or 'Net'}"
    )


def test_all_modules_of_a_class_are_opened_if_they_fit() -> None:
    view = fold(pyramid(3, widths=3, layers=10), budget=56)
    assert said(view) == ["Conv"] + ["Conv", "MLP", "Conv"] * 6
    assert set(headed(view)) == {
        "stage0",
        "stage1",
        *(f"stage{stage}.{block}" for stage in (0, 1) for block in range(3)),
    }


def test_one_is_opened_if_not_all_fit() -> None:
    view = fold(pyramid(7, widths=7), budget=50)
    assert said(view) == ["Conv"] + ["Conv"] * 5 + ["Block"] * 13
    assert [path for path in headed(view) if path.count(".")] == ["stage0.0", "stage0.0.mlp"]


def test_nothing_is_opened_without_room() -> None:
    view = fold(pyramid(7, widths=7), budget=30)
    assert set(said(view)) == {"Conv", "Block"} and said(view).count("Conv") == 1


def test_equal_blocks_are_opened_together() -> None:
    view = fold(pyramid(2), budget=30)
    assert said(view) == ["Conv"] * 11
    assert [row.times for row in view.rows] == [1] + [2] * 10


def test_of_blocks_that_are_not_equal_inside_the_first_is_opened() -> None:
    graph = pyramid(60)
    nodes = tuple(replace(node, settings={"dim": place}) for place, node in enumerate(graph.nodes))
    rows = fold(graph.with_nodes(nodes)).rows
    assert [(what(row), row.times) for row in rows if row.path.startswith("stage0")][-2:] == [
        ("Conv", 1),
        ("Block", 59),
    ]


def test_blocks_of_other_sizes_are_one_row_beside_an_example() -> None:
    view = fold(pyramid(60, widths=60))
    rows = [(what(row), row.path, row.alike) for row in view.rows if row.kind == "block"]
    assert rows == [("59 × Block", "stage0.1", 59), ("60 × Block", "stage1.0", 60)]
    assert view.total == view.graph.traced_params


def test_a_module_is_not_opened_into_a_single_row() -> None:
    """A wrapper is opened together with what it wraps."""
    net = Net()
    stream = net.layer("Conv2d", net.input())
    with net.scope("wrap"), net.scope("inner"):
        stream = net.layer("Conv2d", stream)
        with net.scope("deep"):
            stream = net.chain(stream, *["Conv2d", "Linear"] * 10)
        stream = net.layer("Linear", stream)
    net.output(stream)
    assert said(fold(annotate(net.graph()), budget=20)) == ["Conv", "Conv", "Deep", "Linear"]


def test_a_model_that_is_opened_all_over_stays_as_it_is() -> None:
    graph = traced("resnet18")
    assert fold(graph) == lay_out(Outline(graph), LEVELS[0]).view


@pytest.mark.parametrize("name", ["mobilenet_v3_large", *slow("efficientnet_b7")])
def test_blocks_are_opened_one_of_each_structure(name: str) -> None:
    view = fold(traced(name))
    opened = {row.path.split(".block")[0] for row in view.rows if ".block" in row.path}
    closed = {row.path for row in view.rows if row.kind == "block"}
    assert opened and closed and not opened & closed
    assert fitting("ledger", BUDGET)(view)


# -------------------------------------------------------------------- iterations


def iterated(times: int, tied: bool) -> ArchGraph:
    """Repeat a block and some functions, with the same parameters or others."""
    net = Net()
    stream = net.layer("Conv2d", net.input())
    uses: list[str] = []
    for place in range(times):
        for op in ("cumsum", "round", "cumsum", "round"):
            stream = net.call(op, stream)
        with net.scope("update" if tied else f"update{place}"):
            names = uses if tied and uses else [None, None]
            for name, op in zip(names, ("Conv2d", "Linear"), strict=True):
                stream = net.layer(op, stream, tied=name)
            uses = uses or [node.uses[0] for node in net.nodes[-2:]]
    net.output(stream)
    return annotate(net.graph())


def test_iterations_over_the_same_modules_are_drawn_once() -> None:
    view = fold(iterated(12, tied=True))
    assert [(what(row), row.times) for row in view.rows] == [
        ("Conv", 1), ("cumsum", 12), ("round", 12), ("cumsum", 12), ("round", 12), ("Conv", 12), ("Linear", 12),
    ]  # fmt: skip
    conv = view.rows[5]
    assert (conv.total, conv.counted, conv.amount) == (64, 1, 64)
    assert [item.times for item in view.items if isinstance(item, Repeat)] == [12]


def test_their_macs_count_every_time() -> None:
    conv = fold(iterated(12, tied=True), "macs").rows[5]
    assert (conv.total, conv.counted, conv.amount) == (12 * 9216, 12, 9216)


def test_iterations_over_other_modules_are_drawn_once() -> None:
    view = fold(iterated(6, tied=False))
    assert [item.span for item in view.items if isinstance(item, Repeat)] == [("update0", "update5")]
    assert {row.times for row in view.rows[1:]} == {6}


def test_iterations_that_are_wired_in_another_way_are_no_repetition() -> None:
    net = Net()
    stream = net.layer("Conv2d", net.input())
    first = ""
    for place in range(4):
        before = stream
        for op in ("cumsum", "round", "cumsum", "round"):
            stream = net.call(op, stream)
        stream = net.call("maximum", stream, before if place % 2 else net.nodes[-3].id)
        with net.scope("update"):
            start = net.layer("Conv2d", stream, tied=first or None)
            first = first or net.nodes[-1].uses[0]
            stream = net.layer("ReLU", start)
    net.output(stream)
    assert {row.times for row in fold(annotate(net.graph())).rows} == {1}


# -------------------------------------------------------------------- what a caller opens and closes


def test_a_module_that_is_expanded_is_taken_out_of_its_run() -> None:
    view = fold(traced("resnet152"), expand=["layer3.5"])
    assert (row_at(view, "layer3.1").times, row_at(view, "layer3.6").times) == (4, 30)
    assert [row.path for row in view.rows if row.path.startswith("layer3.5")] == [
        "layer3.5.conv1", "layer3.5.conv2", "layer3.5.conv3", "layer3.5",
    ]  # fmt: skip
    assert "layer3.5" in headed(view)


def test_what_is_around_it_is_opened_at_any_depth() -> None:
    rows = fold(traced("resnet152"), depth=1, expand="layer3.5").rows
    assert [row.path for row in rows if row.kind == "block"] == [
        *("layer1", "layer2", "layer3.0", "layer3.1", "layer3.6", "layer4")
    ]


def test_a_layer_that_is_expanded_opens_what_it_is_in() -> None:
    rows = fold(traced("resnet18"), depth=1, expand=["layer2.0.conv1"]).rows
    assert [row.path for row in rows if row.path.startswith("layer2")][:2] == ["layer2.0.conv1", "layer2.0.conv2"]


@pytest.mark.parametrize("name", ["Bottleneck", "torchvision.models.resnet.Bottleneck"])
def test_a_class_is_collapsed(name: str) -> None:
    view = fold(traced("resnet152"), collapse=[name])
    assert [row.times for row in view.rows if what(row) == "Bottleneck"] == [1, 2, 1, 7, 1, 35, 1, 2]
    assert not any("conv" in row.path for row in view.rows[1:])


def test_a_path_is_collapsed_and_the_rest_is_not() -> None:
    rows = fold(traced("resnet18"), collapse=["layer1"]).rows
    assert [row.path for row in rows if row.path.startswith("layer1")] == ["layer1"]
    assert "layer2.0.conv1" in [row.path for row in rows]


def test_a_list_that_nobody_calls_is_collapsed() -> None:
    net = Net()
    stream = net.input()
    for place in range(3):
        with net.scope(f"layers.{place}"):
            stream = net.layer("Linear", net.layer("Conv2d", stream), shape=(1, 8 + place, 4, 4))
    net.output(net.layer("Linear", stream))
    rows = fold(annotate(net.graph()), collapse=["layers"]).rows
    assert [(what(row), row.path) for row in rows] == [("3 blocks", "layers"), ("Linear", "linear")]


def test_a_class_is_collapsed_but_for_what_is_expanded() -> None:
    rows = fold(traced("resnet18"), collapse="BasicBlock", expand="layer3.1").rows
    assert [row.path for row in rows if row.path.startswith("layer3")] == [
        "layer3.0", "layer3.1.conv1", "layer3.1.conv2", "layer3.1",
    ]  # fmt: skip


def test_without_repeats_every_repetition_is_drawn() -> None:
    rows = fold(traced("vit_b_16"), repeats=False).rows
    assert {row.times for row in rows} == {1}
    assert len({row.path.split(".")[2] for row in rows if row.path.startswith("encoder.layers.")}) == 12


def test_what_is_asked_for_may_be_higher_than_the_page() -> None:
    graph = traced("resnet152")
    opened = [f"layer3.{block}" for block in range(30)]
    assert fold(graph, expand=opened).lines > BUDGET
    assert fold(graph, repeats=False, depth=3).lines > BUDGET


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"expand": ["layer5"]}, "unknown module 'layer5' to expand: did you mean layer4, layer3, layer2?"),
        ({"collapse": ["BasicBloc"]}, "unknown module 'BasicBloc' to collapse: did you mean BasicBlock?"),
        ({"expand": ["?"]}, "unknown module '?' to expand: the model has avgpool, bn1, conv1, fc, layer1, layer2, ..."),
        (
            {"expand": ["layer1.0"], "collapse": ["layer1"]},
            "cannot expand 'layer1.0' and collapse 'layer1': leave out one of them",
        ),
    ],
)
def test_what_cannot_be_opened_or_closed(asked: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        fold(traced("resnet18"), **asked)  # type: ignore[arg-type]
    assert str(caught.value) == message


# -------------------------------------------------------------------- side by side


@pytest.mark.parametrize(
    ("name", "style"),
    [
        ("googlenet", "graph"),
        ("resnet18", "ledger"),
        ("resnet152", "ledger"),
        ("vit_b_16", "ledger"),
        ("densenet121", "ledger"),
    ],
)
def test_the_graph_style_is_for_models_whose_branches_are_their_point(name: str, style: str) -> None:
    assert fold(traced(name), style="auto").style == style


def test_a_graph_that_is_laid_out_too_tall_gives_way_to_a_ledger() -> None:
    graph = traced("googlenet")
    assert fold(graph, style="auto", height=lambda view: 1420).style == "graph"
    assert fold(graph, style="auto", height=lambda view: 1421) == fold(graph)
    assert fold(graph, style="auto", expand=["conv1"], height=lambda view: 1421).style == "graph"
    assert fold(graph, style="graph", height=lambda view: 1421).style == "graph"


def test_the_height_of_a_ledger_is_never_measured() -> None:
    def height(view: View) -> float:
        raise AssertionError(view.style)

    assert fold(traced("resnet18"), style="auto", height=height).style == "ledger"


def test_a_figure_from_left_to_right_is_a_graph() -> None:
    assert fold(traced("resnet18"), style="auto", direction="LR") == fold(traced("resnet18"), style="graph")


def test_a_difference_is_a_ledger() -> None:
    graph = traced("googlenet")
    assert fold(graph, style="auto", difference=match(graph, graph)).style == "ledger"


def test_two_towers_stand_side_by_side() -> None:
    net = Net()
    towers = [net.chain(net.input(), "Conv2d", "Linear", "Conv2d") for _ in range(2)]
    net.output(net.chain(net.call("cat", *towers, shape=(1, 16, 4, 4)), "Linear"))
    view = fold(annotate(net.graph()), style="auto")
    assert view.style == "graph"
    assert view.tall == 130 + 3 * 44 + 22 + 44
    assert view.wide == 2 * 130
    assert [row.merges for row in view.rows] == [False] * 6 + [True, False]


def test_in_the_graph_style_rows_stand_in_the_order_in_which_they_ran() -> None:
    net = Net()
    first = net.layer("Conv2d", net.input())
    ways = [first, first]
    for _ in range(2):
        ways = [net.layer("Conv2d", way) for way in ways]
    net.output(net.call("cat", *ways, shape=(1, 16, 4, 4)))
    view = fold(annotate(net.graph()), style="graph")
    assert [row.path for row in view.rows[:5]] == ["conv2d", *(f"conv2d_{place}" for place in range(1, 5))]
    assert {row.rail for row in view.rows} == {""}


def test_a_frame_on_the_way_counts_in_the_height() -> None:
    net = Net()
    stream = net.layer("Conv2d", net.input())
    with net.scope("stage"):
        stream = net.chain(stream, "Conv2d", "MaxPool2d", "Conv2d")
    net.output(stream)
    assert fold(annotate(net.graph()), style="graph").tall == 130 + 46 + 26 + 46 + 24 + 46


def test_the_trunk_leads_through_the_middle_branch() -> None:
    net = Net()
    first = net.layer("Conv2d", net.input())
    ways = [net.chain(first, *["Conv2d", "Linear"][: 1 + (place == 1)]) for place in range(3)]
    net.output(net.chain(net.call("cat", *ways, shape=(1, 24, 4, 4)), "Linear"))
    view = fold(annotate(net.graph()), style="graph")
    assert [row.path for row in view.rows[:6]] == ["conv2d", "conv2d_1", "conv2d_2", "linear", "conv2d_3", ""]
    assert view.trunk == {(0, 2), (2, 3), (3, 5)}


def test_skips_are_not_on_the_trunk() -> None:
    view = fold(traced("resnet18"), style="graph")
    skips = {(arc.tail, arc.head) for arc in view.arcs}
    assert skips and not skips & view.trunk
    assert fold(traced("resnet18")).trunk == frozenset()


# -------------------------------------------------------------------- parameters that are read again


def test_a_layer_with_a_norm_of_its_own_is_shared_if_its_table_is() -> None:
    net = Net()
    stream = net.layer("Linear", net.input())
    table = net.nodes[-1].uses[0]
    stream = net.chain(stream, "Conv2d", "ReLU", "LayerNorm")
    net.output(net.layer("Linear", stream, tied=table))
    row = fold(annotate(net.graph())).rows[-1]
    assert (what(row), row.before[0].op, row.total, row.shared) == ("Linear", "LayerNorm", 64, True)
