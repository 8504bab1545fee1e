"""What models consist of: stages, kinds of blocks, their facts, links between stages, and the layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import fxviz
from conftest import Result, examples
from fxviz import ArchGraph, Structure
from fxviz._analysis import annotate
from fxviz._analysis.structure import FACTS, LAYOUTS, structure_of
from models import traced
from random_graphs import graphs, staged_nets, stopped
from structure_models import MODELS, Inverted, ResNet

WIDTH, HEADS = 16, 4


@cache
def graph_of(name: str) -> ArchGraph:
    model, inputs = MODELS[name]()
    return fxviz.trace(model.eval(), inputs=inputs)


def card(found: Structure) -> str:
    """Write a structure as text, one line for each stage, kind, row of a kind, and link."""
    lines = [f"{found.layout}: {found.reason}", ""]
    for stage in found.stages:
        lane = f" lane {stage.lane}" if stage.lane else ""
        calls = f" ({stage.calls} calls)" if stage.calls > 1 else ""
        lines.append(f"{stage.title}{lane}, level {stage.level}: {stage.entering}→{stage.output} | {stage.text}{calls}")
    for kind in found.kinds:
        symbols = ", ".join(f"{name} = {values}" for name, values in kind.symbols.items())
        lines += ["", f"{kind.letter} ×{len(kind.occurrences)} {kind.word}, {kind.shortcut} {symbols}".rstrip()]
        lines += [
            f"  {place} {row.text}{' (shortcut)' if row.on_shortcut else ''} <- {', '.join(map(str, row.reads))}"
            for place, row in enumerate(kind.rows)
        ]
    links = [f"{link.source} {link.kind} {link.target}" for link in found.links if link.kind != "flow"]
    return "\n".join([*lines, "", *links]).rstrip() + "\n"


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_small_models(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"structure_{name}.txt", card(fxviz.structure(graph_of(name))))


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("resnet", "stages"),
        ("flat_transformer", "column"),
        ("mobile", "table"),
        ("unet", "U"),
        ("unet_conv", "U"),
        ("unet_add", "U"),
        ("unet_none", "stages"),
        ("unet_plus_plus", "grid"),
        ("pyramid", "ladder"),
        ("lanes", "lanes"),
        ("translator", "encoder-decoder"),
    ],
)
def test_layouts(name: str, layout: str) -> None:
    assert fxviz.structure(graph_of(name)).layout == layout in LAYOUTS


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_and_operation_counts_in_one_stage(name: str) -> None:
    graph = graph_of(name)
    found = fxviz.structure(graph)
    assert sum(stage.params for stage in found.stages) == graph.traced_params
    assert sum(stage.macs for stage in found.stages) == graph.total_macs
    nodes = [node for stage in found.stages for node in stage.nodes]
    assert len(nodes) == len(set(nodes))
    for kind in found.kinds:
        assert all(set(place.nodes) <= set(found.stages[place.stage].nodes) for place in kind.occurrences)
        assert set().union(*(row.facts for row in kind.rows)) <= set(FACTS)


@given(st.one_of(graphs(), staged_nets(), stopped(graphs())))
@settings(max_examples=examples(60))
def test_any_graph_has_a_structure(graph: ArchGraph) -> None:
    annotated = annotate(graph)
    found = structure_of(annotated)
    assert sum(stage.params for stage in found.stages) == annotated.traced_params
    assert sum(stage.macs for stage in found.stages) == annotated.total_macs
    assert found.layout in LAYOUTS


# ---------------------------------------------------------------- attention in its spellings


class Spelled(nn.Module):
    """Attention with separate projections; each subclass writes the middle in its own way."""

    kv = HEADS

    def __init__(self) -> None:
        super().__init__()
        inner = WIDTH // HEADS * self.kv
        self.q, self.k, self.v = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, inner), nn.Linear(WIDTH, inner)
        self.out, self.mix = nn.Linear(WIDTH, WIDTH), nn.Linear(HEADS, HEADS)

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, WIDTH // HEADS)).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.attend(*map(self.split, (self.q(x), self.k(x), self.v(x))))
        return x + self.out(y.transpose(1, 2).flatten(2))

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.mT / 2).softmax(-1) @ v


class Function(Spelled):
    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v)


class Einsum(Spelled):
    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.einsum("bhqk,bhkd->bhqd", torch.einsum("bhqd,bhkd->bhqk", q, k).softmax(-1), v)


class InBatch(Spelled):
    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (part.flatten(0, 1) for part in (q, k, v))
        return torch.bmm(torch.bmm(q, k.transpose(1, 2)).softmax(-1), v).unflatten(0, (-1, HEADS))


class Masked(Spelled):
    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        mask = torch.ones(q.shape[2], q.shape[2]).tril()
        return (q @ k.mT).masked_fill(mask == 0, -1e9).float().softmax(-1).to(q.dtype) @ v


class ByHand(Spelled):
    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = (q @ k.mT).exp()
        return scores / scores.sum(-1, keepdim=True) @ v


class Talking(Spelled):
    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = self.mix((q @ k.mT).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return scores.softmax(-1) @ v


class Linear(Spelled):
    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k = F.elu(q) + 1, F.elu(k) + 1
        return q @ (k.mT @ v) / (q @ k.sum(-2, keepdim=True).mT)


class Channels(Spelled):
    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return ((q.mT @ k).softmax(-1) @ v.mT).mT


class Grouped(Spelled):
    kv = 2

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = (part[:, :, None].expand(-1, -1, 2, -1, -1).flatten(1, 2) for part in (k, v))
        return (q @ k.mT).softmax(-1) @ v


class OneKey(Spelled):
    kv = 1


@pytest.mark.parametrize(
    ("spelling", "facts", "word"),
    [
        (Spelled, {}, "Attention 4×4"),
        (Function, {}, "Attention 4×4"),
        (Einsum, {}, "Attention 4×4"),
        (InBatch, {}, "Attention 4×4"),
        (Masked, {}, "Attention 4×4"),
        (ByHand, {}, "Attention 4×4"),
        (Talking, {"mixed": True}, "Attention 4×4 talking heads"),
        (Linear, {"attention": "linear"}, "Linear attention 4×4"),
        (Channels, {"attention": "channel"}, "Channel attention 4×4"),
        (Grouped, {"kv_heads": 2}, "GQA 4/2 4×4"),
        (OneKey, {"kv_heads": 1}, "MQA 4/1 4×4"),
    ],
)
def test_attention_is_found_in_every_spelling(spelling: type[Spelled], facts: dict[str, Any], word: str) -> None:
    model = nn.Sequential(spelling(), spelling()).eval()
    (kind,) = fxviz.structure(model, torch.zeros(1, 10, WIDTH)).kinds
    row = next(row for row in kind.rows if "heads" in row.facts)
    expected = {"heads": HEADS, "head_width": WIDTH // HEADS, "cross": False, "queries": 10, **facts}
    assert {name: row.value(name) for name in expected} == expected
    assert row.text == word
    assert [row.word for row in kind.rows][1:] == ["+"]


def test_facts_have_a_value_for_each_occurrence() -> None:
    kind = fxviz.structure(graph_of("mobile")).kind("A'")
    depthwise = next(kind.of("DW"))
    assert depthwise.facts["kernel"] == ((3, 3), (5, 5), (5, 5))
    assert (depthwise.value("kernel"), depthwise.value("stride")) == (None, (1, 1))
    assert kind.fact("ratio") == (1 / 8, 1 / 8, 1 / 8) and kind.fact("heads") == ()
    with pytest.raises(KeyError):
        fxviz.structure(graph_of("mobile")).kind("Z")


def test_strides_dilation_and_groups_are_said() -> None:
    class Block(nn.Module):
        def __init__(self, stride: int, dilation: int) -> None:
            super().__init__()
            self.a = nn.Conv2d(8, 8, 3, stride, dilation, dilation, groups=2)
            self.b = nn.Conv2d(8, 8, (1, 3), padding=(0, 1))
            self.s = nn.Conv2d(8, 8, 1, stride) if stride > 1 else nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            return self.b(torch.relu(self.a(x))) + self.s(x)

    blocks = nn.Sequential(Block(1, 1), Block(1, 2), Block(1, 4)).eval()
    (kind,) = fxviz.structure(blocks, torch.zeros(1, 8, 16, 16)).kinds
    texts = [row.text for row in kind.rows]
    assert texts == ["GConv 3×3 8→8 dilation d groups 2 ReLU", "Conv 1×3 8→8", "+"]
    assert kind.rows[0].facts["dilation"] == ((1, 1), (2, 2), (4, 4))


def test_sizes_of_a_family_have_one_layout_and_the_same_kinds() -> None:
    image = torch.zeros(1, 3, 16, 16)
    small, large = (fxviz.structure(ResNet(depths).eval(), image) for depths in ((2, 2, 2), (3, 8, 4)))
    assert small.layout == large.layout
    assert [kind.letter for kind in small.kinds] == [kind.letter for kind in large.kinds]
    for one, other in zip(small.kinds, large.kinds, strict=True):
        assert [row.text for row in one.rows] == [row.text for row in other.rows]


def test_a_block_that_is_called_again_stays_in_its_stage() -> None:
    class Again(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.block = nn.Linear(4, 8), Inverted(8, 8, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.embed(x).permute(0, 3, 1, 2)
            for _ in range(3):
                x = self.block(x)
            return x

    found = fxviz.structure(Again().eval(), torch.zeros(1, 8, 8, 4))
    stage = found.stages[-1]
    assert (stage.text, stage.calls, stage.blocks, stage.letters) == ("A×3", 3, 3, ("A",))


def test_models_without_blocks_have_stages() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2),
    ).eval()  # fmt: skip
    found = fxviz.structure(net, torch.zeros(1, 3, 8, 8))
    assert [(stage.role, stage.text) for stage in found.stages] == [
        ("stage", "Conv 3×3 3→4"),
        ("stage", "MaxPool 2×2 /2, Conv 3×3 4→8"),
        ("head", "AvgPool, Linear 8→2"),
    ]
    assert found.kinds == () and repr(found).startswith("<Structure Sequential: ")


def test_a_model_without_layers_has_one_stage() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(4))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.scale

    (stage,) = fxviz.structure(Scale(), torch.zeros(1, 4)).stages
    assert stage.params == 4


# ---------------------------------------------------------------- the summary by stage


def test_a_summary_by_stage_adds_up(golden: Callable[[str, str], None]) -> None:
    summary = fxviz.summary(traced("resnet18"), by="stage")
    stages = [row for row in summary.rows if row.kind == "stage"]
    assert sum(row.params for row in stages) == summary.totals.params
    assert [row.name for row in stages] == ["stem", "stage 1", "stage 2", "stage 3", "stage 4", "head"]
    golden("summary_by_stage.txt", summary.written("table", width=100))


def test_a_summary_by_stage_has_every_form(fxviz: Callable[..., Result]) -> None:
    table, csv, data = (fxviz("summary", "resnet18", "--by", "stage", "--format", form).out for form in FORMS)
    assert "A×2" in table and "Layout: stages" in table
    assert csv.splitlines()[2].startswith('stage,stage 1,"MaxPool 3×3 /2, A×2",147968')
    assert [row["name"] for row in json.loads(data)["rows"]][-1] == "TOTAL"


FORMS = "markdown", "csv", "json"


def test_a_summary_by_stage_is_sorted(fxviz: Callable[..., Result]) -> None:
    lines = fxviz("summary", "resnet18", "--by", "stage", "--sort", "params", "--format", "csv").out.splitlines()
    assert [line.split(",")[1] for line in lines[1:3]] == ["stage 4", "stage 3"]


@pytest.mark.parametrize("options", [("--depth", "2"), ("--all",)])
def test_options_that_choose_layers_are_refused(fxviz: Callable[..., Result], options: tuple[str, ...]) -> None:
    result = fxviz("summary", "resnet18", "--by", "stage", *options)
    assert result.status == 2
    assert f"{options[0]} chooses layers, and --by stage shows stages: leave out one of them" in result.err
