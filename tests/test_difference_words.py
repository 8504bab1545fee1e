"""What a figure of a difference says: nothing that became of a row is cut, names are told apart, the legend explains all."""

from __future__ import annotations

import pytest
from torch import nn

import fxviz
from fxviz.drawing import Text
from fxviz.figure import Figure
from fxviz.graph import ArchGraph
from fxviz.styling import differing, palette
from fxviz.styling.marks import MARK, mark
from models import traced
from test_difference_counts import diff, graph_named
from test_difference_figures import PAIRS, figure_of, units, words
from test_ledger import boxes, cells


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_what_became_of_a_row_is_never_cut(old: str, new: str) -> None:
    figure = figure_of(old, new)
    said = "".join(words(figure))
    for row in figure.view.rows:
        ways = ["".join(word.text for word in way) for way in (*differing.wordings(row), differing.least(row))]
        assert any(way in said for way in ways), row.path
    coloured = [text for text in runs_of(figure) if text.color in palette.MARKS.values()]
    assert coloured and not any(text.text.endswith("…") for text in coloured if text.text != " …")


def runs_of(figure: Figure) -> list[Text]:
    found = [cell.content for box in boxes(figure.drawing.items) for cell in cells(box.content)]
    return [text for content in found if isinstance(content, tuple) for text in content]


def test_a_name_gives_way_before_what_became_of_it() -> None:
    class ALayerWithAnExceedinglyLongName(nn.Linear):
        pass

    new = nn.Sequential(nn.Linear(4, 4), ALayerWithAnExceedinglyLongName(4, 4))
    said = words(diff(nn.Sequential(nn.Linear(4, 4)), new, 4))
    assert "added" in said and any(text.startswith("ALayerWith") and text.endswith("…") for text in said)


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
    assert {"resized", "differs, by share", "in resnet50"} <= set(said) and "added" not in said


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


def test_a_range_keeps_both_ends() -> None:
    names = [f"a_block_with_a_long_name_{number}" for number in range(2)]
    said = words(fxviz.diff(_named(*names), _named(*names, *(f"a_block_with_a_long_name_{number}" for number in (2, 3, 4)))))
    assert any(text.startswith("…") and text.endswith("_2 … 4") for text in said)


def _named(*names: str) -> ArchGraph:
    return units(*names)
