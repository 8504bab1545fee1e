"""Several models side by side: one alphabet, one scale, lines of equal sizes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import fxviz
from conftest import Result
from fxviz._analysis.structure import family_of
from fxviz._graph.errors import UsageError
from fxviz._render.paper.family import aligned
from fxviz._render.paper.scene import Area, Stroke
from models import traced
from test_paper import check, labels

Call = Callable[..., Result]
RESNETS = ("resnet18", "resnet34", "resnet50")


def figure(*names: str, **options: object) -> fxviz.Figure:
    return fxviz.side_by_side(*map(traced, names), **options)  # type: ignore[arg-type]


def test_the_same_letter_is_the_same_block() -> None:
    """Basic blocks of resnet18 and resnet34 share letters that bottlenecks do not have."""
    family = family_of([traced(name) for name in RESNETS])
    texts = [[stage.text for stage in structure.stages][2] for structure in family.structures]
    assert texts == ["A', A", "A', A×3", "B, B'×3"]
    assert [kind.letter for kind in family.kinds] == ["A", "A'", "B", "B'"]
    basic, _, bottleneck, _ = family.kinds
    assert len(basic.occurrences) == 5 + 13 and len(bottleneck.occurrences) == 4
    assert set(basic.symbols["C"]) == {64, 128, 256, 512}


@pytest.mark.slow
def test_widths_that_differ_between_models_are_symbols() -> None:
    """The block of vit_b_16 and that of vit_l_16 are one, with C = 768, 1024."""
    family = family_of([traced("vit_b_16"), traced("vit_l_16")])
    (kind,) = family.kinds
    assert dict.fromkeys(kind.symbols["C"]).keys() == {768, 1024}
    assert [row.text for row in kind.rows if row.word == "MLP"] == ["MLP C→4C→C GELU"]


def test_shares_of_a_family_are_those_of_all_parameters() -> None:
    family = family_of([traced("resnet18"), traced("resnet34")])
    total = traced("resnet18").traced_params + traced("resnet34").traced_params
    assert family.kinds[0].share == pytest.approx(family.kinds[0].params / total)


def test_stages_of_the_same_size_stand_in_one_line() -> None:
    structures = family_of([traced(name) for name in RESNETS]).structures
    assert aligned(structures) == [(place,) * 3 for place in range(6)]


def test_models_of_other_families_are_aligned_by_their_places() -> None:
    structures = family_of([traced("resnet18"), traced("vit_b_16")]).structures
    lines = aligned(structures)
    roles = [
        {each.stages[place].role for each, place in zip(structures, line, strict=True) if place is not None}
        for line in lines
    ]
    assert all(len(role) == 1 for role in roles)
    assert [place for line in lines if (place := line[1]) is not None] == list(range(len(structures[1].stages)))


@pytest.mark.parametrize(("width", "points"), [("column", 238), ("page", 505)])
@pytest.mark.parametrize("names", [RESNETS, ("resnet18", "vit_b_16"), ("resnet18",) * 7], ids=len)
def test_every_text_has_its_place(names: tuple[str, ...], width: str, points: float) -> None:
    check(figure(*names, width=width)._scene, points)


def test_bars_have_one_scale() -> None:
    """The stage of both models with most parameters fills its column; half as many are half as long."""
    graphs = [traced("resnet18"), traced("resnet50")]
    stages = [stage.params for graph in graphs for stage in fxviz.structure(graph).stages if stage.params]
    scene = fxviz.side_by_side(*graphs, width="page")._scene
    bars = [item for item in scene.items if isinstance(item, Area) and item.height == 3]
    tracks, filled = bars[::2], bars[1::2]
    assert len({track.width for track in tracks}) == 1
    longest = max(stages)
    assert [bar.width for bar in filled] == pytest.approx(
        [max(0.5, tracks[0].width * params / longest) for params in stages]
    )


def test_each_stage_leads_to_the_next() -> None:
    scene = figure("resnet18", "resnet50")._scene
    arrows = [
        item for item in scene.items if isinstance(item, Stroke) and item.line == 1
    ]  # those in blocks are thinner
    down = [item for item in arrows if item.points[1][1] - item.points[0][1] == 7]
    assert len(down) == len(arrows) == 2 * 5


def test_names_and_totals_stand_above_each_column() -> None:
    said = [label.text for label in labels(figure("resnet18", "resnet50")._scene)]
    assert {"resnet18", "resnet50", "11.69M parameters · 1.81 GMACs", "16 skip connections"} <= set(said)
    assert "resnet18, resnet50" not in said
    assert "ResNets" in [label.text for label in labels(figure("resnet18", "resnet50", title="ResNets")._scene)]


def test_what_has_no_room_is_said() -> None:
    low = figure("resnet18", "resnet50", width="page", height="3in")
    assert low.left_out == ("the inside of blocks A, A', B, B'",)
    assert figure("resnet18", "resnet50", width="page").left_out == ()


@pytest.mark.parametrize("form", ["svg", "pdf", "dot"])
def test_it_is_written_in_every_form_of_a_picture(form: str, tmp_path: Path) -> None:
    written = figure("resnet18", "resnet34").save(tmp_path / f"family.{form}")
    assert written.stat().st_size > 1000


def test_a_form_of_one_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"must be \.svg, \.png, \.pdf or \.dot"):
        figure("resnet18", "resnet34").save(tmp_path / "family.json")


@pytest.mark.parametrize("form", ["mermaid", "json", "graphml"])
def test_a_text_of_one_model_is_refused(form: str) -> None:
    with pytest.raises(UsageError, match=r"invalid suffix '\.\w+': choose \.svg, \.png, \.pdf or \.dot"):
        getattr(figure("resnet18", "resnet34"), form)


@pytest.mark.parametrize("options", [{"style": "ledger"}, {"layout": "U"}])
def test_other_styles_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="models stand side by side in columns of stages"):
        figure("resnet18", "resnet34", **options)


def test_one_model_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to draw side by side: pass two models or more"):
        figure("resnet18")


def test_from_the_command_line(fxviz: Call, tmp_path: Path) -> None:
    saved = [str(traced(name).save(tmp_path / f"{name}.json")) for name in ("resnet18", "resnet34")]
    result = fxviz("render", *saved, "--side-by-side", "-o", tmp_path / "family.svg")
    assert result.err.startswith(f"wrote {tmp_path / 'family.svg'}")
    assert "resnet34" in (tmp_path / "family.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet18", "--side-by-side", "-o", "x.svg"), "nothing to draw beside 'resnet18'"),
        (("resnet18", "vgg16", "--side-by-side"), "name the file of the figure with -o FILE"),
        (("resnet18", "vgg16", "--side-by-side", "-o", "x.mmd"), "the suffix must be .svg, .png, .pdf or .dot"),
        (("resnet18", "vgg16", "--side-by-side", "-o", "x.svg", "--jobs", "2"), "--side-by-side draws one figure"),
        (("resnet18", "vgg16", "--side-by-side", "-o", "x.svg", "--style", "graph"), "leave out --style and --layout"),
    ],
)
def test_wrong_calls(fxviz: Call, arguments: tuple[str, ...], message: str) -> None:
    result = fxviz("render", *arguments)
    assert result.status == 2
    assert message in result.err
