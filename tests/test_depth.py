"""A depth makes the modules nested this deep one row each, opens all above, and loses nothing."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import examples
from fxviz._analysis import annotate
from fxviz._graph import ArchGraph
from fxviz._graph.errors import UsageError
from fxviz._graph.options import RenderOptions
from fxviz._render.engine import Picture
from fxviz._render.style_ledger import draw
from fxviz._render.wording import what
from fxviz._view import fold
from fxviz._view.collapse import level
from fxviz._view.view import Row
from models import EACH_MODEL, traced
from random_graphs import Net, graphs, staged_nets, stopped

whole = st.one_of(graphs(24), staged_nets())
anything = st.one_of(whole, stopped(whole)).map(annotate)
depths = st.integers(1, 5)


def paths(graph: ArchGraph, depth: int) -> list[str]:
    return [row.path for row in fold(graph, depth=depth).rows]


def said(row: Row) -> tuple[str, str, int]:
    return what(row), row.path, row.times


# -------------------------------------------------------------------- any graph


@given(anything, depths)
@settings(max_examples=examples(60))
def test_a_module_at_the_depth_is_one_row(graph: ArchGraph, depth: int) -> None:
    """Its steps are not spread over consecutive rows, unless the run stopped in it, which opens it."""
    rows = fold(graph, depth=depth).rows
    opened = {module(row, depth) for row in rows if row.kind == "failed"}
    for above, below in pairwise(row for row in rows if row.kind != "projection"):
        assert (
            module(above, depth) is None
            or module(above, depth) != module(below, depth)
            or module(above, depth) in opened
        )


def module(row: Row, depth: int) -> str | None:
    """Return the module ``depth`` levels deep of which a row shows a part, None if there is none."""
    is_call = bool(row.heads) and row.heads[0].kind == "function"
    return ".".join(row.path.split(".")[:depth]) if level(row.path) + is_call > depth else None


@given(anything, depths)
@settings(max_examples=examples(60))
def test_percentages_add_up(graph: ArchGraph, depth: int) -> None:
    view = fold(graph, depth=depth)
    assert view.total == graph.traced_params
    assert sum(part.total for part in view.parts) == graph.traced_params


@pytest.mark.slow
@given(whole.map(annotate))
@settings(max_examples=examples(50))
def test_deeper_never_shows_less(graph: ArchGraph) -> None:
    shown = [sum(map(shown_of, fold(graph, depth=depth).rows)) for depth in range(1, 6)]
    assert all(above <= below for above, below in pairwise(shown))


def shown_of(row: Row) -> int:
    """Return how many layers or functions a row stands for."""
    return row.times * (len(row.heads) if row.kind == "code" else max(1, row.count))


@given(anything, st.integers(8, 50))
@settings(max_examples=examples(50))
def test_a_depth_beyond_the_model_opens_all(graph: ArchGraph, depth: int) -> None:
    view = fold(graph, depth=depth)
    assert view == fold(graph, depth=100)
    assert all(row.kind not in ("block", "blocks", "layers") for row in view.rows)


# -------------------------------------------------------------------- known models


@pytest.mark.parametrize("name", EACH_MODEL)
@pytest.mark.parametrize("depth", [1, 2, 3, 20])
def test_known_models_add_up_and_are_drawn_whole(name: str, depth: int) -> None:
    graph = traced(name)
    view = fold(graph, depth=depth)
    assert view.total == graph.traced_params
    assert all(level(row.path) <= depth for row in view.rows if row.kind == "block")
    assert len(list(Picture(draw(view), "light").drawing.items)) > 2


def test_depth_1_shows_the_models_children() -> None:
    assert paths(traced("resnet18"), 1) == [
        *(
            "conv1",
            "maxpool",
            "layer1",
            "layer2",
            "layer3",
            "layer4",
            "avgpool",
            "",
            "fc",
        )  # "" is flatten, called by the model
    ]
    skips = {row.path: dict(row.skips) for row in fold(traced("resnet18"), depth=1).rows if row.skips}
    assert skips == {
        "layer1": {"identity": 2},
        **{f"layer{place}": {"projection": 1, "identity": 1} for place in (2, 3, 4)},
    }


def test_depth_2_shows_their_children() -> None:
    rows = fold(traced("resnet18"), depth=2).rows
    assert [(row.path, row.times) for row in rows if row.kind == "block"] == [
        ("layer1.0", 2),
        *((f"layer{stage}.{block}", 1) for stage in (2, 3, 4) for block in (0, 1)),
    ]


@pytest.mark.slow
def test_functions_that_take_too_many_rows_are_merged() -> None:
    rows = fold(traced("fasterrcnn_resnet50_fpn"), depth=2).rows
    assert len(rows) < 15
    assert [row.path for row in rows if row.kind == "code"] == ["rpn", "roi_heads"]


def test_attention_above_the_depth_is_opened() -> None:
    rows = fold(traced("swin_t"), depth=5).rows
    assert "features.1.0.attn.qkv" in [row.path for row in rows]
    assert [row for row in rows if row.kind == "block"] == []


def test_a_deep_figure_may_be_higher_than_the_budget() -> None:
    assert fold(traced("resnet152"), depth=2).lines < fold(traced("resnet152"), budget=10, depth=3).lines


def test_equal_neighbours_fold() -> None:
    rows = fold(traced("vit_b_16"), depth=3).rows
    assert ("EncoderBlock", "encoder.layers.encoder_layer_0", 12) in [said(row) for row in rows]


# -------------------------------------------------------------------- modules that are lists and never called


def listed(*widths: int) -> ArchGraph:
    """Blocks of two layers in a ModuleList: its path has a level of its own, but nobody calls it."""
    net = Net()
    stream = net.layer("Linear", net.input())
    for place, width in enumerate(widths):
        with net.scope(f"layers.{place}"):
            stream = net.layer("Linear", net.layer("Linear", stream), shape=(1, width, 4, 4))
    net.output(net.layer("Linear", stream))
    graph = net.graph()
    scopes = tuple(replace(scope, cls="models.Block") if scope.id else scope for scope in graph.scopes)
    return annotate(replace(graph, scopes=scopes))


def test_a_list_of_different_blocks_is_one_row() -> None:
    rows = fold(listed(4, 5, 6), depth=1).rows
    assert [said(row) for row in rows] == [
        ("Linear", "linear", 1),
        ("3 blocks", "layers", 1),
        ("Linear", "linear_1", 1),
    ]
    assert rows[1].total == 6 * 64


def test_a_list_of_equal_blocks_says_their_class() -> None:
    row = fold(listed(4, 4, 4), depth=1).rows[1]
    assert said(row) == ("Block", "layers.0", 3)
    assert row.span == ("layers.0", "layers.2")


def test_its_items_are_the_next_level() -> None:
    assert paths(listed(4, 5, 6), 2) == ["linear", "layers.0", "layers.1", "layers.2", "linear_1"]


# -------------------------------------------------------------------- invalid depths


@pytest.mark.parametrize("depth", [0, -1, 1.5, True, "2"])
def test_an_invalid_depth_is_refused(depth: Any) -> None:
    with pytest.raises(UsageError, match=f"^invalid depth {depth!r}: must be a whole number, 1 or greater$"):
        RenderOptions(depth=depth)
