"""Check figures of failed runs: they show all that ran, and where and why it stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from browser import Browser, contrast, outside, outside_their_card, overlapping
from conftest import examples, slow
from fxviz._analysis import annotate
from fxviz._graph import ArchGraph, TensorInfo
from fxviz._render import palette
from fxviz._render.bars import SHEET
from fxviz._render.drawing import Box
from fxviz._render.engine import Picture
from fxviz._render.style_ledger import draw
from fxviz._render.wording import what
from fxviz._report import headline
from fxviz._view import LEVELS, MERGED, Outline, fold, lay_out
from fxviz._view.detail import Detail
from models import traced
from random_graphs import MESSAGE, Net, graphs, raised, staged_nets, stopped, stopped_at

SVG = "{http://www.w3.org/2000/svg}"
whole = st.one_of(graphs(24), staged_nets())
details = st.sampled_from([*LEVELS, *MERGED, *(Detail(depth=depth, fold_layers=True) for depth in (1, 2, 3))])


def svg_texts(graph: ArchGraph) -> list[str]:
    root = ElementTree.fromstring(Picture(draw(fold(graph)), "light").svg)
    return [(text.text or "").replace("\u00a0", " ") for text in root.iter(f"{SVG}text")]


def stopped_resnet(op: str = "Linear", **facts: str) -> ArchGraph:
    graph = traced("resnet18")
    name = [node.id for node in graph.nodes if node.op == op][-1]
    return annotate(stopped_at(graph, name, **facts))


# -------------------------------------------------------------------- the row


@given(stopped(whole).map(annotate), details)
@settings(max_examples=examples(60))
def test_the_last_row_is_the_operation_that_failed_alone(graph: ArchGraph, detail: Detail) -> None:
    assert graph.trace.failure is not None
    rows = lay_out(Outline(graph), detail).view.rows
    assert [row.id for row in rows if row.kind == "failed"] == [len(rows) - 1]
    last = rows[-1]
    assert [head.id for head in last.heads] == [graph.trace.failure.node]
    assert (last.before, last.after, last.times, last.output, dict(last.skips)) == ((), (), 1, None, {})


@given(stopped(whole).map(annotate))
@settings(max_examples=examples(50))
def test_every_such_figure_is_drawn(graph: ArchGraph) -> None:
    drawing = draw(fold(graph))
    assert "✗" in repr(drawing.items) and MESSAGE in drawing.description


def test_blocks_around_it_are_opened_and_those_beside_it_are_not() -> None:
    graph = traced("resnet152")
    name = next(node.id for node in graph.nodes if node.path == "layer3.20.conv2")
    rows = lay_out(Outline(annotate(stopped_at(graph, name))), LEVELS[-3]).view.rows
    assert [what(row) for row in rows if row.path.startswith("layer3")][-2:] == [
        "Conv 1×1 1024→256",
        "✗ Conv 3×3 256→256",
    ]
    assert {row.path for row in rows if row.path.startswith("layer3") and row.kind == "block"} == {
        "layer3.0",
        "layer3.1",
    }
    assert next(row.times for row in rows if row.path == "layer3.1") == 19
    assert [row.path for row in rows if row.path in ("layer1", "layer2")] == ["layer1", "layer2"]


def test_a_repetition_in_which_it_failed_is_not_folded() -> None:
    net = Net()
    stream = net.input()
    for _ in range(3):
        stream = net.layer("Conv2d", stream)
        last = net.layer("Log", stream)
    graph = net.graph()
    silent = tuple(replace(node, outputs=()) if node.op == "Log" else node for node in graph.nodes)
    rows = fold(annotate(stopped_at(replace(graph, nodes=silent), last)), depth=1).rows
    assert [what(row) for row in rows] == ["Conv", "Conv", "Conv", "✗ Log"]


def test_parameters_that_nothing_read_are_not_those_of_its_row() -> None:
    net = Net()
    stream = net.layer("Conv2d", net.input())
    net.parameter()
    failed = net.layer("Linear", stream)
    rows = fold(annotate(stopped_at(net.graph(), failed))).rows
    assert [(what(row), row.total) for row in rows] == [("Conv", 64), ("parameter", 128), ("✗ Linear", 64)]


def test_a_depth_opens_what_is_around_it() -> None:
    rows = fold(stopped_resnet("Conv2d"), depth=1).rows
    assert [row.path for row in rows][-4:] == ["layer3", "layer4.0", "layer4.1.conv1", "layer4.1.conv2"]


def test_the_skip_of_an_unfinished_block_is_not_there() -> None:
    graph = traced("resnet18")
    adds = [skip.join for skip in graph.skips]
    assert stopped_resnet().skips == graph.skips
    assert annotate(stopped_at(graph, adds[-1])).skips == graph.skips[:-1]


@pytest.mark.parametrize("op", ["cat", "mul", "add"])
def test_an_operation_that_failed_joins_no_skip(op: str) -> None:
    net = Net()
    stream = net.layer("Conv2d", net.input())
    weight = net.chain(stream, "Conv2d", "Sigmoid")
    join = net.call(op, stream, weight)
    assert annotate(stopped_at(net.graph(), join)).skips == ()


# -------------------------------------------------------------------- what is said


def test_where_why_and_on_what() -> None:
    texts = svg_texts(stopped_resnet(code="x = self.fc(x)"))
    assert "✗ Linear 512→1000" in texts and "on 1×512" in texts
    assert texts[-4:] == ["✗ stopped at fc (Linear), net.py:12", MESSAGE, "> x = self.fc(x)", "on 1×512"]
    assert "where the run stopped" in texts and "output" not in texts


def test_the_description_says_it_too() -> None:
    description = draw(fold(stopped_resnet())).description
    assert description.endswith(f"The run stopped at fc (Linear), net.py:12: {MESSAGE}")


def test_parameters_it_did_not_reach() -> None:
    assert "+ 11.68M parameters not reached in this run: bn1, layer1, layer2, …" in svg_texts(stopped_at_first())


def stopped_at_first() -> ArchGraph:
    graph = traced("resnet18")
    return annotate(stopped_at(graph, "conv1"))


def test_no_place_and_no_line_is_made_up() -> None:
    texts = svg_texts(stopped_resnet(file="", line=0, code="", path="", cls="models.Net", inputs=()))
    assert texts[-2:] == ["✗ stopped at Net", MESSAGE]


def test_a_long_message_is_wrapped_and_cut() -> None:
    sentence = "the number of channels does not agree with what the layer before it gives, "
    texts = svg_texts(stopped_resnet(message=sentence * 40, code=""))
    lines = texts[texts.index("✗ stopped at fc (Linear), net.py:12") + 1 : -1]
    assert len(lines) == 6 and lines[-1].endswith("…")
    assert " ".join(lines).startswith((sentence * 5).strip())


def test_a_message_without_blanks_is_wrapped_too() -> None:
    texts = svg_texts(stopped_resnet(message="x" * 50_000, code=""))
    assert sum(set(text.rstrip("…")) == {"x"} for text in texts) == 6


def test_dtypes_are_said_where_they_differ() -> None:
    inputs = (TensorInfo((1, 8), "float32"), TensorInfo((1, 8), "int64"))
    graph = stopped_resnet()
    assert graph.trace.failure is not None
    failure = replace(graph.trace.failure, inputs=inputs)
    assert "on 1×8 float32 and 1×8 int64" in svg_texts(replace(graph, trace=replace(graph.trace, failure=failure)))


def test_code_that_raised_on_its_own() -> None:
    graph = annotate(raised(traced("resnet18"), message="ValueError: no", code='raise ValueError("no")'))
    rows = fold(graph).rows
    assert what(rows[-1]) == "✗ raise"
    assert '> raise ValueError("no")' in svg_texts(graph)


@pytest.mark.parametrize("nodes", [("x",), ()], ids=["nothing but the input", "not even that"])
def test_nothing_ran(nodes: tuple[str, ...]) -> None:
    graph = traced("resnet18")
    kept = tuple(node for node in graph.nodes if node.id in nodes)
    alone = raised(replace(graph, nodes=kept, edges=(), skips=()))
    texts = svg_texts(annotate(alone))
    assert "✗ raise" in texts and "0 parameters" in " ".join(texts)


def test_an_operation_that_reads_parameters_alone() -> None:
    net = Net()
    net.input()
    failed = net.call("exp", net.parameter())
    rows = fold(annotate(stopped_at(net.graph(), failed))).rows
    assert [(what(row), row.total) for row in rows] == [("✗ exp", 128)]


# -------------------------------------------------------------------- how it is seen


def test_the_notice_is_as_wide_as_the_cards() -> None:
    box = draw(fold(stopped_resnet())).items[-1]
    assert isinstance(box, Box)
    assert sum(cell.width or 0 for cell in box.content.rows[0]) == SHEET


@pytest.mark.parametrize("op", ["Linear", *slow("Conv2d", "ReLU")])
@pytest.mark.parametrize(
    "message", [MESSAGE, "no " * 1_000, "字" * 1_000, "W" * 1_000], ids=["usual", "long", "wide", "W"]
)
def test_a_browser_shows_every_text_in_its_place(page: Browser, tmp_path: Path, op: str, message: str) -> None:
    page.open_svg(Picture(draw(fold(stopped_resnet(op, message=message))), "light").svg, tmp_path)
    texts = [text for text in page.texts() if text.text.strip()]
    assert overlapping(texts) == []
    assert outside(texts, page.figure()) == []
    assert outside_their_card(texts, page.shapes()) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_its_colours_stand_apart(theme: str) -> None:
    ground, card = getattr(palette.STOPPED, theme), getattr(palette.CARD, theme)
    assert all(contrast(getattr(ink, theme), ground) >= 4.5 for ink in (palette.STOP, palette.INK, palette.MUTED))
    assert contrast(getattr(palette.STOP, theme), card) >= 4.5


def test_its_row_is_tinted_in_both_themes() -> None:
    for theme in ("light", "dark"):
        svg = Picture(draw(fold(stopped_resnet())), theme).svg
        assert svg.count(getattr(palette.STOPPED, theme)) >= 2 and getattr(palette.STOP, theme) in svg


# -------------------------------------------------------------------- the line that tells what was written


def test_the_headline_says_where_it_stopped() -> None:
    said = headline(stopped_resnet("MaxPool2d"))
    assert said == (
        "stopped at maxpool (MaxPool2d); until then 9.54k parameters (+ 11.68M not reached), no skips; "
        "conv1 98.7%, bn1 1.3%"
    )
    assert headline(stopped_resnet(path="", cls="models.Net")).startswith(
        "stopped at Net; until then 11.69M parameters, 8 skips"
    )


def test_a_run_to_the_end_says_nothing_of_it(resnet18: ArchGraph) -> None:
    assert "stopped" not in headline(resnet18) and "✗" not in " ".join(svg_texts(resnet18))


# -------------------------------------------------------------------- training mode


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"training": True}, ["Traced in training mode."]),
        (
            {"training": True, "method": "real", "device": "cpu"},
            ["Traced in training mode. Shapes from a real run on cpu."],
        ),
        ({}, []),
    ],
)
def test_training_mode_is_said(facts: dict[str, object], said: list[str], resnet18: ArchGraph) -> None:
    graph = replace(resnet18, trace=replace(resnet18.trace, **facts))
    assert [text for text in svg_texts(graph) if text.endswith((".", "mode"))] == said


def test_a_batch_is_seen_at_the_input(resnet18: ArchGraph) -> None:
    batch = (TensorInfo((7, 3, 224, 224), "float32"),)
    nodes = tuple(replace(node, outputs=batch) if node.kind == "input" else node for node in resnet18.nodes)
    assert "7×3×224×224" in svg_texts(replace(resnet18, nodes=nodes))
