"""The words of a difference: no change is cut, names stay distinct, and the legend explains everything."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

import fxviz
from altered_graphs import resized
from fxviz._graph import ArchGraph, Node
from fxviz._render import differences, palette
from fxviz._render.figure import Figure
from fxviz._render.legend import MARK, legend, mark
from fxviz._view.view import Altered, Change, Row
from models import traced
from test_difference_counts import diff, graph_named
from test_difference_figures import PAIRS, figure_of, units, words
from test_ledger import boxes, cells, texts


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_what_became_of_a_row_is_never_cut(old: str, new: str) -> None:
    figure = figure_of(old, new)
    changed = [row for row in figure.view.rows if row.change]
    said = list(said_of_rows(figure))
    assert changed and len(said) == len(changed)
    for row, text in zip(changed, said, strict=True):
        ways = (*differences.wordings(row), differences.shortest_wording(row))
        assert text in ["".join(word.text for word in way) for way in ways], row.path


def said_of_rows(figure: Figure) -> Iterator[str]:
    """Yield the change that the figure states for each row that differs, from top to bottom."""
    for box in boxes(figure.drawing.items):
        for cell in cells(box.content):
            runs = cell.content if isinstance(cell.content, tuple) else ()
            if runs and runs[0].color in palette.MARKS.values() and all(run.bold and run.size == 9 for run in runs):
                yield "".join(run.text for run in runs)


def test_a_name_gives_way_before_what_became_of_it() -> None:
    class ALayerWithAnExceedinglyLongName(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.inner(x))

    old, new = nn.Sequential(nn.Linear(4, 4)), nn.Sequential(nn.Linear(4, 4), ALayerWithAnExceedinglyLongName())
    x = torch.zeros(1, 4)
    added = fxviz.trace(new, x, leaf=["ALayerWithAnExceedinglyLongName"])
    said = words(fxviz.diff(fxviz.trace(old, x), added))
    assert "added" in said and any(text.startswith("ALayerWith") and text.endswith("…") for text in said)


def test_two_numbers_of_channels_are_told_apart() -> None:
    def linear(into: int, out: int) -> Node:
        settings = {"in_features": into, "out_features": out}
        return Node("a", "module", "Linear", "a", settings=settings)

    change = Change("resized", (Altered("resized", linear(30, 40), linear(10, 20)),))
    ways = list(differences.wordings(Row(0, "layer", (change.parts[0].node,), "a", None, 0, 0, change=change)))
    assert ["".join(word.text for word in way) for way in ways] == [
        "out 20 → 40 · in 10 → 30",
        "out 20→40 · in 10→30",
        "out 20 → 40 …",
        "out 20→40 …",
        "20→40 …",
    ]


# -------------------------------------------------------------------- header


def against(old: str, new: str) -> Figure:
    graph = traced("resnet18")
    return fxviz.diff(graph_named(old, graph), graph_named(new, graph))


def test_two_of_one_name_are_told_apart() -> None:
    figure = against("net", "net")
    assert "net (2) against net" in words(figure) and figure.drawing.name == "net (2) against net"


@pytest.mark.parametrize("middle", ["_of_a_long_family_of_models", ""])
def test_two_long_names_are_told_apart(middle: str) -> None:
    name = "an_experiment_with_more_words_than_a_title_holds" + middle
    said = words(against(f"{name}_small", f"{name}_large"))[0]
    new, old = said.split(" against ")
    assert new.startswith("an_e") and new.endswith("large") and old.startswith("an_e") and old.endswith("small")


def test_no_fact_is_broken_over_lines() -> None:
    said = words(figure_of("mobilenet_v3_small", "mobilenet_v3_large"))
    assert said[1:3] == [
        "5.48M parameters (+2.94M, 2.2x) · 216.6 MMACs (+160.1 MMACs, 3.8x)",
        "10 skips (+4, 1.7x) · 8 gates (−1, 0.89x)",
    ]
    assert "(those with parameters, norms too)" in said


# -------------------------------------------------------------------- legend


def test_the_legend_explains_what_occurs_and_nothing_else() -> None:
    said = words(figure_of("vgg11", "vgg11_bn"))
    assert {"+ 8 layers added   ", "added", "parts differ", "as before"} <= set(said)
    assert not any("by share" in text or "removed" in text or "resized" in text for text in said)
    said = words(figure_of("resnet50", "wide_resnet50_2"))
    assert {"resized", "differs, by share of parameters", "in resnet50"} <= set(said) and "added" not in said


def test_no_line_of_the_legend_holds_a_lone_entry() -> None:
    graph = traced("resnet18")
    view = fxviz.diff(graph, graph_named("ResNet", resized(graph, "fc", width=10))).view
    wide = [len([text for text in texts(line) if text]) for line in legend(view, largest=4e6)]
    assert len(wide) == 2 and min(wide) > 1


def test_the_overview_has_colour_where_a_layer_differs() -> None:
    view = figure_of("vit_b_16", "vit_b_32").view
    assert [part.path for part in view.parts if part.differs] == ["conv_proj", "encoder.pos_embedding"]
    assert not any(part.differs for part in figure_of("vgg11", "vgg11_bn").view.parts)


def test_a_sign_stands_clear_of_its_rule() -> None:
    rule, sign = mark("removed")
    assert (rule.width or 0) + (sign.width or 0) == MARK and (rule.width or 0) - rule.rail_width >= 2


def test_dropout_is_said_to_differ_and_not_counted() -> None:
    for new in (nn.Dropout(0.1), nn.Identity()):
        figure = diff(nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)), nn.Sequential(nn.Linear(4, 4), new), 4)
        assert "no difference but for dropout" in words(figure)
    new = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Dropout())
    figure = diff(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), new, 4)
    assert "no difference but for dropout" in words(figure) and not any(row.change for row in figure.view.rows)


def test_names_are_said_to_differ_and_not_counted() -> None:
    def net(name: str, *more: nn.Module) -> nn.Module:
        return nn.Sequential(OrderedDict({name: nn.Sequential(nn.Linear(4, 4), nn.ReLU(), *more)}))

    assert "no difference but for names" in words(diff(net("body"), net("trunk"), 4))
    assert "no difference but for names and dropout" in words(diff(net("body"), net("trunk", nn.Dropout()), 4))


def test_an_identity_is_no_step_that_came() -> None:
    chains = (nn.Sequential(nn.Linear(4, 4), second, nn.Linear(4, 4)) for second in (nn.ReLU(), nn.Identity()))
    figure = diff(*chains, 4)
    assert [row.change.mark for row in figure.view.rows if row.change] == ["mixed"]
    assert "− 1 step removed   " in words(figure) and "added" not in words(figure)


def test_a_range_keeps_both_ends() -> None:
    names = [f"a_block_with_a_long_name_{number}" for number in range(2)]
    said = words(
        fxviz.diff(_named(*names), _named(*names, *(f"a_block_with_a_long_name_{number}" for number in (2, 3, 4))))
    )
    assert any(text.startswith("…") and text.endswith("_2 … 4") for text in said)


def _named(*names: str) -> ArchGraph:
    return units(*names)
