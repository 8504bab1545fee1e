"""One thing has one number, and one number one text, in ``summary``, ``explain``, ``compare`` and the headline."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import fxviz
from conftest import Result
from fxviz._graph import ArchGraph
from fxviz._report import headline
from fxviz._report.summary.values import Row

Call = Callable[..., Result]
ROWS = torch.zeros(2, 4)


def rows_of(graph: ArchGraph) -> dict[str, Row]:
    return {row.label: row for row in fxviz.summary(graph).rows}


class Bare(nn.Module):
    """A layer of parameters of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.b, self.scale = (nn.Parameter(torch.zeros(sizes)) for sizes in ((8, 4), (8,), (8,)))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.w, self.b) * self.scale


class Turned(Bare):
    """The same by a product with a view of a parameter."""

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.w.t() + self.b) * self.scale


class Listed(nn.Module):
    """Each item of a list is used once."""

    def __init__(self) -> None:
        super().__init__()
        self.p = nn.ParameterList([nn.Parameter(torch.zeros(4, 4)) for _ in range(5)])

    def forward(self, x: Tensor) -> Tensor:
        for weight in self.p:
            x = x @ weight
        return x


class Twice(Listed):
    """Each item of a list is used twice."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(super().forward(x))


@pytest.mark.parametrize("make", [Bare, Turned])
def test_a_parameter_and_what_computes_with_it_are_one_row(make: type[nn.Module]) -> None:
    graph = fxviz.trace(make(), ROWS)
    assert {name: (row.params, row.macs) for name, row in rows_of(graph).items()} == {
        "w": (32, 64), "b": (8, 0), "scale": (8, 0), "TOTAL": (48, 64),
    }  # fmt: skip


def test_a_layer_of_parameters_is_called_by_their_names() -> None:
    said = fxviz.explain(fxviz.trace(Bare(), ROWS)).written()
    assert "The largest layer is w, b (linear, weight 8×4) with 40 parameters (83.3%)." in said
    assert "By part: w 66.7%, b 16.7%, scale 16.7%." in said


def test_items_of_a_list_are_layers_and_not_calls() -> None:
    listed, twice = (fxviz.trace(make(), ROWS) for make in (Listed, Twice))
    assert (rows_of(listed)["p"].calls, rows_of(twice)["p"].calls) == (1, 2)
    assert "calls" not in str(fxviz.summary(listed)) and "2 calls" in str(fxviz.summary(twice))
    said = fxviz.explain(listed).written()
    assert "The five largest layers have 16 parameters (20.0%) each; the first is p.0 (matmul, weight 4×4)." in said


def test_one_count_has_one_text() -> None:
    graph = fxviz.trace(nn.Sequential(nn.Linear(4, 220), nn.Linear(220, 4)), ROWS)
    assert graph.total_params == 1984
    assert headline(graph).startswith("1.98k parameters")
    assert "1.98k (1,984) parameters" in fxviz.explain(graph).written()
    assert "(1.98k)" in fxviz.compare(graph, graph).sentences[0]


def test_multiply_accumulates_are_the_same_in_cells_and_notes() -> None:
    graph = fxviz.trace(nn.Sequential(nn.Linear(4, 220), nn.Linear(220, 4)), ROWS)
    total, note = re.search(r"^TOTAL .* (\S+)$", str(fxviz.summary(graph)), re.M), "3.52 kMACs; 1 MAC is 2 FLOPs."
    assert total is not None and total[1] == "3.52k" and note in str(fxviz.summary(graph))


# ---------------------------------------------------------------- whose step it is


class Looped(nn.Module):
    """One weight is read three times, through views that take a second tensor; another is added."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(torch.zeros(4, 4)), nn.Parameter(torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        square = x.new_zeros(4, 4)
        weight = self.w
        for _ in range(3):
            x = x @ weight.expand_as(square)
        return x + self.b


def test_every_step_that_reads_a_bare_parameter_is_that_parameters() -> None:
    graph = fxviz.trace(Looped(), ROWS)
    rows, said = rows_of(graph), fxviz.explain(graph).written()
    assert (rows["w"].macs, rows["w"].calls, rows["b"].output) == (96, 3, (2, 4)) and "matmul" not in rows
    assert (
        "  - By kind: fully connected layers 100.0%.\n" in said and "1 weighted layer: 1 fully connected layer." in said
    )
    assert "The longest chain has 3 layers, counting every call: 3 fully connected layers." in said


def test_what_a_view_is_shaped_like_is_not_what_is_read() -> None:
    class Shaped(Looped):
        def forward(self, x: Tensor) -> Tensor:
            return x.expand_as(self.w[:2]) @ torch.ones(4, 4)

    rows = rows_of(fxviz.trace(Shaped(), ROWS))
    assert rows["w"].macs == 0 and rows["matmul"].macs == 32


def test_parts_have_the_same_names_in_sentences_rows_and_headline() -> None:
    graph = fxviz.trace(Turned(), ROWS)
    assert rows_of(graph)["w"].macs == graph.total_macs == 64
    assert headline(graph, "macs").endswith("; of MACs: w 100.0%")

    class Two(Bare):
        def forward(self, x: Tensor) -> Tensor:
            return x @ self.w.t() @ self.w * self.scale[:4] + F.linear(x, torch.ones(4, 4))

    assert "  - By part: w 80.0%, linear 20.0%." in fxviz.explain(fxviz.trace(Two(), ROWS)).written()


def test_parameters_that_two_layers_read_count_in_the_first() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 8)

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(F.linear(x, self.inner.weight, self.inner.bias), self.inner.weight.t())

    said = fxviz.explain(fxviz.trace(Tied(), ROWS)).written()
    assert "  - inner.weight, inner.bias: 4 → 8, 40 parameters (100.0%).\n" in said
    assert "  - inner.weight: 8 → 4, its parameters are counted elsewhere.\n" in said and "100.0%.\n" in said


def test_the_row_of_a_bare_parameter_has_the_time_of_its_operation() -> None:
    graph = fxviz.trace(Bare(), ROWS)
    timed = graph.with_nodes(
        tuple(replace(node, time=0.0 if node.kind == "parameter" else 0.5) for node in graph.nodes)
    )
    assert rows_of(timed)["scale"].time == 0.5


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (nn.LSTMCell(4, 4), (ROWS,)),
        (nn.GRUCell(4, 4), (ROWS,)),
        (nn.RNNCell(4, 4), (ROWS,)),
        (nn.Bilinear(4, 4, 3), (ROWS, ROWS)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_cells_and_bilinear_layers_are_weighted(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    said = fxviz.explain(fxviz.trace(nn.ModuleList([layer])[0], inputs)).written()
    kind = "fully connected layer" if isinstance(layer, nn.Bilinear) else "recurrent layer"
    assert f"1 weighted layer: 1 {kind}." in said and "other parameter" not in said and "without weights" not in said


def test_one_is_one() -> None:
    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(1))
            self.register_buffer("b", torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.w + self.b

    graph = fxviz.trace(One(), ROWS)
    assert "\n1 parameter, all trainable; 4 bytes in float32; 1 scalar in buffers.\n" in fxviz.summary(graph).written()
    assert "  - 1 parameter, all trainable.\n" in fxviz.explain(graph).written()


# ---------------------------------------------------------------- half a run


BOOM = (
    "from torch import nn\nclass Boom(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.a, self.b, self.c = nn.Linear(4, 5), nn.Linear(6, 3), nn.Linear(3, 3)\n"
    "    def forward(self, x):\n        return self.c(self.b(self.a(x)))\n"
    "class Whole(nn.Linear):\n    def __init__(self):\n        super().__init__(4, 2)\n"
)


def test_what_the_step_where_a_run_stopped_would_take_is_not_known(in_tmp: Path, fxviz: Call) -> None:
    Path("net.py").write_text(BOOM)
    half = "net.py:Boom", "--input", "2x4", "--partial", "-q"
    said = fxviz("summary", *half).out
    cells = {line.split()[0]: line.split() for line in said.splitlines() if line}
    assert cells["a"][-1] == "40" and cells["b"][-1] == "?" and said.count("over 40") == 2
    assert "0 MACs" not in said.replace("40 MACs", "")


@pytest.mark.slow
def test_half_a_run_says_everywhere_that_it_takes_more(in_tmp: Path, fxviz: Call) -> None:
    Path("net.py").write_text(BOOM)
    half = "--input", "2x4", "--partial", "-q"
    said = fxviz("explain", "net.py:Boom", *half).out
    assert (
        "  - At least 40 MACs for this input" in said
        and "  - The MACs of 1 operation are unknown and not included.\n" in said
    )
    assert "1 weighted layer: 1 fully connected layer." in said
    twice = "net.py:Boom", "net.py:Boom"
    assert re.search(r"^MACs +> 40 MACs +> 40 MACs$", fxviz("compare", *twice, *half).out, re.M)
    rows = json.loads(fxviz("compare", *twice, *half, "--format", "json").out)["rows"]
    totals = json.loads(fxviz("summary", "net.py:Boom", *half, "--format", "json").out)["totals"]
    assert {row["macs_unknown_nodes"] for row in rows} == {totals["macs_unknown_operations"]} == {1}
    assert all(row["failure"].startswith("RuntimeError: ") for row in rows)
    whole = fxviz("compare", "net.py:Boom", "net.py:Whole", *half).out
    assert whole.startswith("Boom has ") and "the MACs" not in whole.partition("\n")[0]


def test_code_that_stops_a_run_between_steps_takes_nothing() -> None:
    class Raising(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise ValueError(f"no {(x + 1).shape}")

    assert fxviz.trace(Raising(), ROWS, partial=True).nodes[-1].macs == 0


# ---------------------------------------------------------------- the largest of equal ones


def test_the_first_of_equally_large_tensors_is_told_as_such() -> None:
    graph = fxviz.trace(nn.Sequential(*(nn.Linear(4, 4) for _ in range(14))), ROWS)
    assert (
        "  - The 14 largest are 32 bytes each; the first is the output of 0 (2×4).\n" in fxviz.explain(graph).written()
    )
    assert "  - 其中最大的有 14 个，各占 32 字节，第一个由 0 产生：2×4。\n" in fxviz.explain(graph, lang="zh").written()
    alone = fxviz.trace(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 4)), ROWS)
    assert "  - The largest is the output of 0 (2×8): 64 bytes.\n" in fxviz.explain(alone).written()
    assert "  - 其中最大的由 0 产生：2×8，64 字节。\n" in fxviz.explain(alone, lang="zh").written()


def test_complex_numbers_are_not_told_in_fp32() -> None:
    class Spectrum(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.fft.fft(x + 1)

    said = fxviz.explain(fxviz.trace(Spectrum(), ROWS)).written()
    assert "The activations for this input take 96 bytes, counting every tensor" in said


class Apart(Bare):
    """A layer of parameters of its own beside one of a module."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.fc(x))


def test_a_figure_calls_a_function_by_the_parameter_that_it_reads() -> None:
    assert [row.path for row in fxviz.render(fxviz.trace(Apart(), ROWS)).view.rows] == ["fc", "w", "scale"]
    assert [row.path for row in fxviz.render(fxviz.trace(nn.Sequential(Listed()), ROWS)).view.rows] == ["0.p"] * 5
