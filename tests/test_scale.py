"""Large models: thousands of layers, and modules nested deeper than Python's own calls may be, still make one page."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import pytest

from conftest import slow
from fxviz._analysis import annotate
from fxviz._graph import ArchGraph, Edge, ModelInfo, Node, Parameter, Scope, TensorInfo, TraceInfo
from fxviz._render.bars import SHEET
from fxviz._render.drawing import Box, Cell, Drawing, Table
from fxviz._render.engine import Picture
from fxviz._render.style_ledger import draw
from fxviz._render.wording import what
from fxviz._report import headline
from fxviz._view import BUDGET, fold
from random_graphs import Net, raised

LIST = "torch.nn.modules.container.Sequential"


def chain(layers: Iterable[tuple[str, int, int]], scopes: Iterable[Scope] = ()) -> ArchGraph:
    """Chain linear layers, given the path of each, its width, and the module call it runs in."""
    start = Node("x", "input", "x", "x", outputs=(TensorInfo((1, 8), "float32"),))
    nodes = [start, *(layer(path, width, scope) for path, width, scope in layers)]
    nodes.append(Node("output", "output", "output", "", outputs=nodes[-1].outputs))
    return annotate(
        ArchGraph(
            ModelInfo("large", "python", "models.Large"),
            TraceInfo("meta", "fake", {"x": TensorInfo((1, 8), "float32")}, "2.4.0", None),
            tuple(nodes),
            tuple(Edge(above.id, below.id, "0") for above, below in pairwise(nodes)),
            (Scope(0, "", "models.Large", 0, None), *scopes),
            tuple(
                Parameter(name, (node.outputs[0].shape[1], 8), "float32", True) for node in nodes for name in node.uses
            ),
        )
    )


def layer(path: str, width: int, scope: int) -> Node:
    outputs = (TensorInfo((1, width), "float32"),)
    return Node(path, "module", "Linear", path, scope=scope, uses=(f"{path}.weight",), outputs=outputs, macs=8 * width)


def blocks(count: int, widths: int = 1, structures: int = 1) -> ArchGraph:
    """Chain blocks of five layers or fewer, of several widths and structures in turn."""
    scopes = [Scope(place + 1, f"blocks.{place}", "models.Block", 0, 0) for place in range(count)]
    inside = ((at, layer) for at in range(count) for layer in range(5 - at % structures))
    return chain(((f"blocks.{at}.{layer}", 8 + at % widths + layer, at + 1) for at, layer in inside), scopes)


def nested(levels: int) -> ArchGraph:
    """Nest lists in lists, each with a layer behind the inner list."""
    paths = ["", *(".".join("0" * level) for level in range(1, levels + 1))]
    scopes = [Scope(level, paths[level], LIST, 0, level - 1, True) for level in range(1, levels + 1)]
    return chain(((f"{paths[level]}.1".lstrip("."), 8, level) for level in reversed(range(levels + 1))), scopes)


def drawn(graph: ArchGraph) -> list[tuple[str, int]]:
    """Return the rows' words and repetitions of a figure, which is on one page and complete."""
    view = fold(graph)
    assert view.lines <= BUDGET
    assert view.total == graph.traced_params == sum(part.total for part in view.parts)
    assert Picture(draw(view), "light").svg.startswith("<svg")
    return [(what(row), row.times) for row in view.rows]


@pytest.mark.parametrize("count", [1_000, *slow(10_000)])
def test_equal_layers_are_one_row(count: int) -> None:
    assert drawn(chain((f"layers.{place}", 8, 0) for place in range(count))) == [("Linear", count)]


@pytest.mark.slow
@pytest.mark.parametrize("count", [2_000, 10_000])
def test_a_chain_of_layers_that_differ_in_size_is_one_row(count: int) -> None:
    widths = random.Random(0).choices(range(8, 21), k=count)
    graph = chain((f"layers.{place}", width, 0) for place, width in enumerate(widths))
    assert drawn(graph) == [(f"{count:,} × Linear", 1)]
    assert fold(graph).rows[0].span == ("layers.0", f"layers.{count - 1}")


@pytest.mark.slow
def test_a_chain_of_layers_that_grow_is_a_few_rows() -> None:
    view = fold(chain((f"layers.{place}", 1 + place, 0) for place in range(1_200)))
    assert [what(row) for row in view.rows] == ["100 × Linear"] * 12
    assert (view.rows[0].span, view.rows[-1].span) == (("layers.0", "layers.99"), ("layers.1100", "layers.1199"))


@pytest.mark.slow
def test_layers_of_several_classes_are_put_together() -> None:
    net = Net()
    stream = net.input()
    for place, op in enumerate(random.Random(0).choices(["Conv2d", "Linear"], k=600)):
        stream = net.layer(op, stream, shape=(1, place + 1, 4, 4))
    net.output(stream)
    rows = drawn(annotate(net.graph()))
    assert 40 < len(rows) < BUDGET
    assert {said.rpartition(" ")[2] for said, _ in rows} <= {"layers", "Linear", "Conv"}


def test_a_layer_put_together_with_a_function_keeps_its_name() -> None:
    net = Net()
    stream = net.input()
    for place in range(45):
        stream = net.layer("Conv2d", net.call("cumsum", stream), shape=(1, place + 1, 4, 4))
    net.output(stream)
    rows = fold(annotate(net.graph())).rows
    assert {what(row) for row in rows} == {"Conv", "cumsum"}
    assert (what(rows[0]), rows[0].path, rows[0].span) == ("Conv", "conv2d", None)


def test_skips_in_repetitions_that_are_put_together_are_counted() -> None:
    net = Net()
    stream = net.input()
    for place, first in enumerate(random.Random(0).choices(range(3), k=240)):
        with net.scope(f"{place}"):
            stream = net.call("add", stream, net.chain(stream, *("Conv2d", "Conv2d", "Linear")[first:]))
    scopes = tuple(replace(scope, cls="models.Block") for scope in net.scopes)
    graph = annotate(replace(net.graph(), scopes=scopes))
    view = fold(graph)
    assert any(row.kind == "blocks" for row in view.rows) and view.lines <= BUDGET
    drawn = sum(arc.kind == "identity" for arc in view.arcs)
    inside = sum(row.times * row.skips.get("identity", 0) for row in view.rows)
    assert drawn + inside == graph.skip_counts["identity"] == 240


def test_equal_blocks_are_drawn_once() -> None:
    assert drawn(blocks(1_000)) == [("Linear", 1_000)] * 5


def test_blocks_that_differ_in_size_alone_are_one_row_beside_an_example() -> None:
    view = fold(blocks(300, widths=89))
    assert [what(row) for row in view.rows] == ["Linear"] * 5 + ["299 × Block"]
    assert (view.rows[-1].alike, view.rows[-1].span, view.rows[-1].times) == (299, ("blocks.1", "blocks.299"), 1)


@pytest.mark.slow
def test_blocks_that_differ_are_put_together() -> None:
    rows = drawn(blocks(400, widths=89, structures=4))
    assert 40 < len(rows) < BUDGET
    assert {said for said, _ in rows} == {"5 blocks", "6 blocks"}


@pytest.mark.slow
@pytest.mark.parametrize("depth", [None, 1, 500, 5_000])
def test_modules_may_be_nested_deeper_than_calls(depth: int | None) -> None:
    graph = nested(1_100)
    view = fold(graph, depth=depth)
    assert view.total == graph.traced_params
    assert len(view.rows) == (501 if depth == 500 else 1_101) if depth and depth > 1 else len(view.rows) < 10
    if len(view.rows) < BUDGET:
        assert Picture(draw(view), "light").svg.startswith("<svg")
    assert headline(graph).startswith("70.46k parameters, no skips")


@pytest.mark.slow
def test_the_operation_that_failed_is_never_put_together_with_others() -> None:
    graph = annotate(raised(chain((f"layers.{place}", 1 + place % 97, 0) for place in range(1_000))))
    above, last = (said for said, _ in drawn(graph)[-2:])
    assert last == "✗ raise" and above.endswith("× Linear")


@pytest.mark.slow
def test_the_strip_shows_parts_as_long_as_they_are_large() -> None:
    view = fold(chain((f"layers.{place}", 1 + place % 97, 0) for place in range(970)))
    lengths = [cell.width or 0 for cell in strip(draw(view))[::2]]
    room = SHEET - len(lengths) + 1
    assert sum(lengths) == room
    assert all(
        abs(part.total / view.total * room - length) <= 2 for part, length in zip(view.parts, lengths, strict=True)
    )


def strip(drawing: Drawing) -> tuple[Cell, ...]:
    """Return the cells of the overview strip, none if there is no strip."""
    header = drawing.items[0]
    assert isinstance(header, Box)
    inside = [cell.content for row in header.content.rows for cell in row if cell.height == 20]
    return inside[0].rows[0] if inside and isinstance(inside[0], Table) else ()


def test_a_strip_of_too_many_parts_is_left_out() -> None:
    view = fold(chain((f"layers.{place}", 1 + place % 97, 0) for place in range(400)), depth=2)
    assert len(view.parts) == 400
    assert strip(draw(view)) == ()
