"""The list of skip connections: a line for each, with both ends, what it jumps over and what stands on it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import fxviz
from conftest import Result, slow
from fxviz._graph.errors import UsageError
from fxviz._sources.resolve import names
from models import QUICK, traced

Call = Callable[..., Result]
ALL = [*QUICK, *slow(*(name for name in names() if name not in QUICK))]


class Mixed(nn.Module):
    """A skip past two layers in the model's own code, then a pooled one and a concat."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.down, self.pool, self.last = nn.Conv2d(8, 8, 3, 2, 1), nn.AvgPool2d(2), nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.two(self.one(x).relu())
        x = self.pool(x) + self.down(x).relu()
        return torch.cat([x, self.last(x)], 1)


@pytest.fixture(scope="module")
def mixed() -> fxviz.ArchGraph:
    return fxviz.trace(Mixed(), torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("name", ALL)
def test_the_lines_agree_with_the_graph(name: str) -> None:
    graph = traced(name)
    found = fxviz.skips(graph)
    assert dict(found.counts) == dict(graph.skip_counts)
    assert [(row.kind, row.fork, row.join) for row in found.rows] == [(s.kind, s.fork, s.join) for s in graph.skips]
    assert all(row.layers or row.params or row.kind in ("concat", "resample") for row in found.rows)


def test_the_eight_lines_of_resnet18() -> None:
    rows = fxviz.skips(traced("resnet18")).rows
    assert [(row.kind, row.block, row.start, row.end) for row in rows][:3] == [
        ("identity", "layer1.0", "maxpool", "layer1.0 add"),
        ("identity", "layer1.1", "layer1.0.relu", "layer1.1 add"),
        ("projection", "layer2.0", "layer1.1.relu", "layer2.0 add"),
    ]
    assert [row.over for row in rows] == [{"convolution": 2}] * 8
    block = traced("resnet18")
    expected = sum(each.size for each in block.parameters if each.name.startswith("layer1.0."))
    assert rows[0].params == expected
    third = rows[2]
    assert (third.start_shape, third.shape) == ((1, 64, 56, 56), (1, 128, 28, 28))
    assert (third.through, third.through_params) == (("Conv 1×1 64→128 /2", "BN"), 64 * 128 + 2 * 128)


def test_which_skips_change_the_resolution() -> None:
    """Of the four projections of resnet50, the first keeps 56×56."""
    found = fxviz.skips(traced("resnet50"))
    frame = found.to_dataframe()
    assert list(frame[frame.changes_resolution].block) == ["layer2.0", "layer3.0", "layer4.0"]
    assert "The resolution changes on the way in layer2.0, layer3.0, layer4.0." in str(found)


def test_skips_of_other_kinds(mixed: fxviz.ArchGraph) -> None:
    rows = fxviz.skips(mixed).rows
    assert [(row.kind, row.block, row.over) for row in rows] == [
        ("identity", "", {"convolution": 2}),
        ("resample", "", {"convolution": 1}),
        ("concat", "", {"convolution": 1}),
    ]
    assert rows[1].through == ("AvgPool 2×2 /2",)
    assert rows[1].changes_resolution and not rows[0].changes_resolution
    assert [row.end for row in rows] == ["add", "add", "cat"]


def test_a_gate_is_over_the_layers_that_compute_the_factor() -> None:
    gates = [row for row in fxviz.skips(traced("mobilenet_v3_large")).rows if row.kind == "gate"]
    assert len(gates) == 8
    assert {tuple(row.over.items()) for row in gates} == {(("convolution", 2),)}


def test_one_kind_alone() -> None:
    found = fxviz.skips(traced("resnet18"), kind="projection")
    assert [row.block for row in found.rows] == ["layer2.0", "layer3.0", "layer4.0"]
    with pytest.raises(UsageError, match="invalid kind 'residual': choose identity, projection, resample, concat or"):
        fxviz.skips(traced("resnet18"), kind="residual")


def test_many_equal_skips_are_one_line_for_people() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(Block() for _ in range(5))

        def forward(self, x: Tensor) -> Tensor:
            for block in self.blocks:
                x = block(x)
            return x

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.two(self.one(x).relu())

    found = fxviz.skips(fxviz.trace(Net(), torch.zeros(2, 8)))
    lines = [line for line in str(found).splitlines() if line.startswith("identity")]
    assert len(lines) == 1 and "blocks.0 … 4" in lines[0] and " 5 " in lines[0]
    assert len(found.rows) == len(found.written("csv").splitlines()) - 1 == 5


def test_no_skips() -> None:
    assert str(fxviz.skips(traced("vgg16"))).startswith("vgg16: no skips")


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "json", "latex"])
def test_every_form(mixed: fxviz.ArchGraph, form: str) -> None:
    text = fxviz.skips(mixed).written(form)
    assert "resample" in text and "concat" in text
    if form == "json":
        rows = json.loads(text)["rows"]
        assert (rows[1]["kind"], rows[1]["start_shape"], rows[1]["end_shape"]) == (
            "resample",
            [1, 8, 8, 8],
            [1, 8, 4, 4],
        )
    if form == "csv":
        (first, *_) = csv.DictReader(io.StringIO(text))
        assert (first["kind"], first["layers"], first["changes_resolution"]) == ("identity", "2", "false")


def test_from_the_command_line(fxviz: Call, tmp_path: Path) -> None:
    saved = traced("resnet18").save(tmp_path / "resnet18.json")
    result = fxviz("skips", saved, "--kind", "identity", "--format", "csv")
    assert (result.status, result.err) == (0, "")
    assert [line.split(",")[:2] for line in result.out.splitlines()][1] == ["identity", "layer1.0"]
    wrong = fxviz("skips", saved, "--kind", "dense")
    assert (wrong.status, wrong.out) == (2, "")
    assert "invalid --kind 'dense': choose identity, projection, resample, concat or gate" in wrong.err
