"""The figure of a difference: its marks, the text of four figures, every format, and the command that writes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn, sub

import fxviz as package
from conftest import slow
from fxviz._analysis import annotate
from fxviz._analysis.difference import Difference, Tally
from fxviz._graph import ArchGraph, Node, TensorInfo
from fxviz._graph.errors import BadOutput, UsageError
from fxviz._render import differences
from fxviz._render.bars import FULL
from fxviz._render.differences import summary_line
from fxviz._render.drawing import Text
from fxviz._render.figure import Figure
from fxviz._view.view import Altered, Change, Row
from models import traced
from random_graphs import Net
from test_ledger import boxes, cells, frames, texts, too_wide

PAIRS = [
    ("resnet18", "resnet34"),
    ("vgg11", "vgg11_bn"),
    *slow(
        ("resnet34", "resnet18"),
        ("resnet50", "wide_resnet50_2"),
        ("vit_b_16", "vit_b_32"),
        ("fcn_resnet50", "deeplabv3_resnet50"),
        ("mobilenet_v3_small", "mobilenet_v3_large"),
    ),
]


@cache
def figure_of(old: str, new: str, theme: str = "light") -> Figure:
    return package.diff(traced(old), traced(new), theme=theme)


def units(*names: str, gate: str = "") -> ArchGraph:
    """Return a stem and residual units of these names, one of them with a gate of its own."""
    net = Net()
    stream = net.chain(net.input(), "Conv2d", "BatchNorm2d", "ReLU")
    with net.scope("body", sequential=True):
        for name in names:
            with net.scope(name):
                inner = net.chain(stream, "Conv2d", "BatchNorm2d", "ReLU", "Conv2d")
                if name == gate:
                    inner = net.layer("Sigmoid", inner)
                stream = net.chain(net.call("add", inner, stream), "ReLU")
    net.output(net.chain(stream, "Linear"))
    graph = annotate(net.graph())
    scopes = tuple(
        replace(scope, cls="models.Unit") if scope.path.startswith("body.") else scope for scope in graph.scopes
    )
    return replace(graph, scopes=scopes)


def marks(figure: Figure) -> list[tuple[str, str, str]]:
    """Return the sign, path and words of each row that differs."""
    return [(differences.sign(row), row.path, differences.change_text(row)) for row in figure.view.rows if row.change]


# -------------------------------------------------------------------- the whole text


@pytest.mark.parametrize(
    ("old", "new"), [("resnet18", "resnet34"), *slow(("resnet34", "resnet18"), ("resnet50", "wide_resnet50_2"))]
)
def test_the_whole_figure(old: str, new: str, golden: Callable[[str, str], None]) -> None:
    golden(f"difference/{old}-{new}.dot", figure_of(old, new).dot)


def test_the_whole_figure_of_an_own_pair(golden: Callable[[str, str], None]) -> None:
    figure = package.diff(units("a", "b", "c"), units("a", "extra", "b", "c"), theme="light")
    assert marks(figure) == [("+", "body.extra", "added")]
    golden("difference/own.dot", figure.dot)


# -------------------------------------------------------------------- what is marked


def test_added_blocks_stand_beside_those_that_were_there() -> None:
    rows = [
        (row.path, row.times, row.change and row.change.mark) for row in figure_of("resnet18", "resnet34").view.rows
    ]
    assert ("layer1.0", 2, None) in rows and ("layer1.2", 1, "added") in rows and ("layer3.2", 4, "added") in rows


def test_removed_blocks_stand_where_they_stood() -> None:
    figure = figure_of("resnet34", "resnet18")
    assert marks(figure) == [("−", f"layer{stage}.2", "removed") for stage in (1, 2, 3, 4)]
    rows = figure.view.rows
    gone = next(row for row in rows if row.path == "layer2.2")
    assert rows[gone.id - 1].path == "layer2.1" and gone.alike == 2 and gone.total == 0
    found = [run for box in boxes(figure.drawing.items) for cell in cells(box.content) for run in runs(cell)]
    struck = [run.text for run in found if run.struck]
    assert struck == ["BasicBlock", "2 × BasicBlock", "4 × BasicBlock", "BasicBlock"]


def runs(cell: Any) -> tuple[Text, ...]:
    return cell.content if isinstance(cell.content, tuple) else ()


@pytest.mark.slow
def test_resized_layers_say_which_size() -> None:
    assert marks(figure_of("resnet50", "wide_resnet50_2"))[:3] == [
        ("~", "layer1.0.conv1", "out 64 → 128"),
        ("~", "layer1.0.conv2", "in, out 64 → 128"),
        ("~", "layer1.0.conv3", "in 64 → 128"),
    ]
    assert [said for *_, said in marks(figure_of("vit_b_16", "vit_b_32"))] == [
        "kernel 16 → 32 · stride 16 → 32",
        "197 → 50",
    ]


def test_a_norm_that_came_to_a_layer_is_named() -> None:
    assert {(sign, said) for sign, _, said in marks(figure_of("vgg11", "vgg11_bn"))} == {("~", "+ BN")}


@pytest.mark.slow
def test_a_head_of_another_class_is_one_removed_and_one_added() -> None:
    said = marks(figure_of("fcn_resnet50", "deeplabv3_resnet50"))
    assert said[0] == ("−", "classifier", "removed") and {sign for sign, *_ in said[1:]} == {"+"}


def test_what_came_to_every_block_but_one_keeps_them_apart() -> None:
    figure = package.diff(units("a", "b", "c", "d"), units("a", "b", "c", "d", gate="d"))
    assert next((row.path, row.times) for row in figure.view.rows if row.path.startswith("body.")) == ("body.a", 3)
    assert [path for _, path, _ in marks(figure)] == ["body.d.conv2d_1"]


def test_a_row_of_several_layers_says_how_many_differ() -> None:
    nodes = [Node(name, "module", "Conv2d", name, uses=(f"{name}.weight",)) for name in "abc"]
    row = Row(0, "layers", tuple(nodes), "a", None, 0, 0, count=3)
    added = tuple(Altered("added", node) for node in nodes)

    def said(mark: str, of: int, **counts: int) -> str:
        return differences.change_text(replace(row, change=Change(mark, added, Tally(counts, "layer"), of)))

    assert said("mixed", 6, added=3) == "3 of 6 added"
    assert said("added", 3, added=3) == "added"
    assert said("mixed", 4, added=1, removed=1) == "+1 −1 of 4"
    assert said("mixed", 9, resized=2, altered=1) == "3 of 9 altered"
    assert said("mixed", 6, added=1, resized=2, altered=1) == "+1 ~3 of 6"
    assert said("mixed", 3, added=3) == "3 added"


def test_bars_show_what_was_there() -> None:
    """A tick in each bar that ended elsewhere, hollow bars for what is gone; all as long as the column."""
    figure = figure_of("resnet50", "wide_resnet50_2")
    assert "in resnet50" in " ".join(words(figure))
    dot = figure_of("resnet34", "resnet18").dot
    assert f'width="{FULL}"' in dot and dot.count("<s>") == 4
    assert "in resnet34" not in words(figure_of("resnet34", "resnet18"))


def test_a_hidden_step_that_came_is_no_new_row() -> None:
    """vgg16 has no dropout in front of its first linear layer, alexnet has: the row above it was there already."""
    said = {path: said for _, path, said in marks(figure_of("vgg16", "alexnet"))}
    assert said["avgpool"] == "output size 7 → 6" and not any("Dropout" in text for text in said.values())


@pytest.mark.slow
def test_what_stands_behind_a_dense_block_is_not_inside_its_last_layer() -> None:
    figure = figure_of("densenet201", "densenet121")
    rows = [(row.kind, row.alike) for row in figure.view.rows if row.path.startswith("features.denseblock3")]
    assert rows == [("block", 24), ("removed", 24)]


# -------------------------------------------------------------------- header, words


def words(figure: Figure) -> list[str]:
    items = figure.drawing.items
    tables = [*(box.content for box in boxes(items)), *(frame.label for frame in frames(items))]
    return [text for table in tables for text in texts(table)]


def test_the_header_says_how_much_more_it_is() -> None:
    said = " ".join(words(figure_of("resnet18", "resnet34")))
    assert "resnet34 against resnet18" in said
    assert "21.80M parameters (+10.11M, 1.9x) · 3.66 GMACs (+1.85 GMACs, 2.0x) · 16 skips (+8, 2.0x)" in said
    assert "+ 32 layers added" in said
    said = " ".join(words(figure_of("resnet34", "resnet18")))
    assert "11.69M parameters (−10.11M, 0.54x)" in said and "− 32 layers removed" in said and "as before" in said


def test_two_equal_models_say_so() -> None:
    figure = package.diff(traced("resnet18"), traced("resnet18"))
    assert marks(figure) == []
    assert "no difference" in words(figure) and figure.drawing.description.endswith("no difference.")


def test_readers_who_do_not_see_it_are_told_what_differs() -> None:
    assert (
        "Marked: BasicBlock layer1.2: added; BasicBlock layer2.2: added"
        in figure_of("resnet18", "resnet34").drawing.description
    )


def test_other_inputs_are_said() -> None:
    new = traced("resnet18")
    trace = replace(new.trace, inputs={"x": replace(new.trace.inputs["x"], shape=(1, 3, 96, 96))})
    said = package.diff(new, replace(new, trace=trace)).drawing.description
    assert "input 1×3×224×224 → 1×3×96×96" in said


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_every_text_fits(old: str, new: str) -> None:
    assert too_wide(figure_of(old, new)) == []  # type: ignore[arg-type]


def test_hostile_names_stay_texts() -> None:
    old = units("a", "b")
    new = replace(units("a", '"]<script>|\x1b', "b"), model=replace(old.model, name="<b>\x1b[2J&amp;"))
    figure = package.diff(old, new)
    assert marks(figure)[0][0] == "+"
    for text in (figure.svg, figure.dot, figure.mermaid):
        assert "<script>" not in text and "\x1b" not in text


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf", ".dot", ".mmd"])
def test_every_form_of_a_picture_can_be_written(suffix: str, tmp_path: Path) -> None:
    assert figure_of("resnet34", "resnet18").save(tmp_path / f"diff{suffix}").stat().st_size > 1000


@pytest.mark.parametrize("suffix", [".json", ".graphml"])
def test_a_form_that_holds_the_graph_alone_is_refused(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(BadOutput, match=r"the suffix must be \.svg, \.png, \.pdf, \.dot or \.mmd"):
        figure_of("resnet34", "resnet18").save(tmp_path / f"diff{suffix}")
    assert not list(tmp_path.iterdir())


def _tail() -> tuple[nn.Module, ...]:
    return nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 8, 1)


def _chain(*layers: nn.Module) -> ArchGraph:
    return package.trace(nn.Sequential(*layers), TensorInfo((1, 3, 8, 8), "float32"))


def test_a_layer_that_went_is_a_row_although_its_norm_stayed() -> None:
    old = _chain(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 32, 3), *_tail())
    figure = package.diff(old, _chain(nn.Conv2d(3, 32, 3), *_tail()))
    assert [sign for sign, _, said in marks(figure) if said == "removed"] == ["−"]


def test_norms_of_one_width_by_chance_do_not_lead_astray() -> None:
    def net(width: int) -> ArchGraph:
        first = (nn.Conv2d(3, 2 * width, 3), nn.BatchNorm2d(2 * width), nn.ReLU())
        second = (nn.Conv2d(2 * width, 2 * width, 3), nn.BatchNorm2d(2 * width), nn.ReLU())
        return _chain(*first, *second, nn.Conv2d(2 * width, width, 1), nn.BatchNorm2d(width))

    assert package.diff(net(8), net(16)).view.difference.tally.counts == {"resized": 6}


def test_a_removed_first_step_stands_in_the_card_that_it_led() -> None:
    def net(*more: nn.Module) -> ArchGraph:
        return _chain(_Residual(nn.Conv2d(3, 3, 3, padding=1)), _Residual(nn.Sequential(*more, nn.Conv2d(3, 3, 1))))

    figure = package.diff(net(nn.Conv2d(3, 3, 3, padding=1)), net())
    cards = [[row.kind for row in card.rows] for card in figure.view.cards]
    assert ["removed", "layer", "join"] in cards


def test_what_was_removed_from_a_repeated_block_says_how_often() -> None:
    assert "−264.2k ×5" in figure_of("resnet50", "resnet34").dot


class _Residual(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class _Wired(nn.Module):
    def __init__(self, late: bool, in_place: bool = False) -> None:
        super().__init__()
        self.a, self.b, self.late, self.in_place = nn.Linear(4, 4), nn.Linear(4, 4), late, in_place

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        y = self.b(h)
        if self.in_place:
            y += h if self.late else x
            return y
        return y + (h if self.late else x)


def _wired(**how: bool) -> ArchGraph:
    return package.trace(_Wired(**how), TensorInfo((1, 4), "float32"))


def test_a_step_that_reads_another_one_is_told() -> None:
    assert summary_line(package.diff(_wired(late=False), _wired(late=True)).view).endswith("~ 1 step with other inputs")


class _Joined(nn.Module):
    def __init__(self, join: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.p, self.q, self.join = nn.Linear(4, 4), nn.Linear(4, 4), join

    def forward(self, x: Tensor) -> Tensor:
        return self.join(self.p(x), self.q(x))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda p, q: q - p, "~ 1 step with other inputs"),
        (lambda p, q: sub(p, other=q), "no difference"),
    ],
)
def test_the_order_of_what_is_subtracted_counts(other: Callable[[Tensor, Tensor], Tensor], said: str) -> None:
    old, new = (package.trace(_Joined(join), TensorInfo((1, 4), "float32")) for join in (lambda p, q: p - q, other))
    assert summary_line(package.diff(old, new).view).endswith(said)


def test_the_order_of_what_is_added_does_not() -> None:
    joins = (lambda p, q: p + q), (lambda p, q: q + p)
    old, new = (package.trace(_Joined(join), TensorInfo((1, 4), "float32")) for join in joins)
    assert summary_line(package.diff(old, new).view).endswith("no difference")


def test_a_sum_in_place_is_the_same_sum() -> None:
    figure = package.diff(_wired(late=True), _wired(late=True, in_place=True))
    assert summary_line(figure.view).endswith("no difference")


def test_a_model_that_is_one_layer_counts_as_one() -> None:
    old, new = (package.trace(nn.Linear(4, width), TensorInfo((1, 4), "float32")) for width in (8, 16))
    assert package.diff(old, new).view.difference.tally.counts == {"resized": 1}


def test_mermaid_marks_the_same_rows() -> None:
    text = figure_of("resnet34", "resnet18").mermaid
    assert len(re.findall(r":::removed$", text, re.MULTILINE)) == 4 and "classDef removed" in text
    assert '"− 2 × BasicBlock · removed<br>layer2.2 … 3' in text


def test_a_difference_has_no_graph_style() -> None:
    with pytest.raises(UsageError, match="a difference is drawn as a ledger, or in columns for print: leave out style"):
        package.diff(traced("resnet18"), traced("resnet34"), style="graph")


def test_depth_and_expand_are_heeded() -> None:
    old, new = traced("resnet18"), traced("resnet34")
    whole = package.diff(old, new, depth=1)
    assert ("~", "layer1", "4 of 12 added") in marks(whole)
    opened = package.diff(old, new, expand=("layer1.2",))
    assert ("+", "layer1.2.conv1", "added") in marks(opened)


def test_a_figure_of_one_model_knows_of_no_other() -> None:
    view = package.render(traced("resnet18")).view
    assert view.difference is None and all(row.change is None for row in view.rows)
    assert isinstance(figure_of("resnet18", "resnet34").view.difference, Difference)


# -------------------------------------------------------------------- the command


@pytest.fixture
def saved(in_tmp: Path) -> tuple[Path, Path]:
    return tuple(traced(name).save(in_tmp / f"{name}.json") for name in ("resnet18", "resnet34"))  # type: ignore[return-value]


@pytest.mark.slow
def test_the_command_writes_the_figure_in_place_of_the_table(
    fxviz: Callable[..., Any], saved: tuple[Path, Path]
) -> None:
    result = fxviz("compare", *saved, "-o", "diff.svg")
    assert (result.status, result.out) == (0, "")
    assert result.err.startswith("wrote diff.svg: resnet34 against resnet18: 21.80M parameters (+10.11M, 1.9x)")
    assert Path("diff.svg").read_text(encoding="utf-8") == figure_of("resnet18", "resnet34", "auto").svg
    result = fxviz("compare", *saved, "-o", "diff.svg", "--theme", "pair", "-q")
    assert result.status == 0 and 'alt="resnet34 against resnet18: 21.80M' in result.out
    assert Path("diff-dark.svg").exists() and result.err == ""
    assert fxviz("compare", *saved, "-o", "-").out.startswith("<svg")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-o", "a.json"), "the suffix must be .svg, .png, .pdf, .dot or .mmd"),
        (("--theme", "dark"), "options of a figure need a file: name it with -o FILE, or leave them out"),
        (("-o", "a.svg", "--format", "csv"), "leave out --format csv or -o"),
        (("-o", "a.svg", "--style", "graph"), "a difference is drawn as a ledger"),
        (("resnet18.json", "-o", "a.svg"), "a figure shows the differences of two models, not of 3"),
    ],
)
def test_what_does_not_go_together_is_told_in_one_line(
    fxviz: Callable[..., Any], saved: tuple[Path, Path], options: tuple[str, ...], message: str
) -> None:
    result = fxviz("compare", *saved, *options)
    assert result.status == 2 and message in result.err and result.err.count("\n") == 1
