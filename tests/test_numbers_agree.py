"""One thing has one number, and one number one text, in ``summary``, ``explain``, ``compare`` and the headline."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import fxviz
from conftest import Result
from fxviz.graph import ArchGraph
from fxviz.summarizing import headline
from fxviz.summarizing.values import Row

Call = Callable[..., Result]
ROWS = torch.zeros(2, 4)


def rows_of(graph: ArchGraph) -> dict[str, Row]:
    return {row.label: row for row in fxviz.summarize(graph).rows}


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
    assert "The largest layer is w, b (linear, weight 8×4): 40 parameters, 83.3%." in said
    assert "Part by part: w 66.7%, b 16.7%, scale 16.7%." in said


def test_items_of_a_list_are_layers_and_not_calls() -> None:
    listed, twice = (fxviz.trace(make(), ROWS) for make in (Listed, Twice))
    assert (rows_of(listed)["p"].calls, rows_of(twice)["p"].calls) == (1, 2)
    assert "calls" not in str(fxviz.summarize(listed)) and "2 calls" in str(fxviz.summarize(twice))
    assert "5 of one size, the first p.0 (matmul, weight 4×4): 16 parameters" in fxviz.explain(listed).written()


def test_one_count_has_one_text() -> None:
    graph = fxviz.trace(nn.Sequential(nn.Linear(4, 220), nn.Linear(220, 4)), ROWS)
    assert graph.total_params == 1984
    assert headline(graph).startswith("1.98k parameters")
    assert "1.98k (1,984) parameters" in fxviz.explain(graph).written()
    assert "(1.98k)" in fxviz.compare(graph, graph).sentences[0]


def test_multiply_accumulates_are_the_same_in_cells_and_notes() -> None:
    graph = fxviz.trace(nn.Sequential(nn.Linear(4, 220), nn.Linear(220, 4)), ROWS)
    total, note = re.search(r"^TOTAL .* (\S+)$", str(fxviz.summarize(graph)), re.M), "3.52 kMACs; 1 MAC is 2 FLOPs."
    assert total is not None and total[1] == "3.52k" and note in str(fxviz.summarize(graph))


# ---------------------------------------------------------------- half a run


BOOM = (
    "from torch import nn\nclass Boom(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.a, self.b, self.c = nn.Linear(4, 5), nn.Linear(6, 3), nn.Linear(3, 3)\n"
    "    def forward(self, x):\n        return self.c(self.b(self.a(x)))\n"
)


def test_what_the_step_where_a_run_stopped_would_take_is_not_known(in_tmp: Path, fxviz: Call) -> None:
    Path("net.py").write_text(BOOM)
    half = "net.py:Boom", "--input", "2x4", "--partial", "-q"
    said = fxviz("summary", *half).out
    cells = {line.split()[0]: line.split() for line in said.splitlines() if line}
    assert cells["a"][-1] == "40" and cells["b"][-1] == "?" and said.count("over 40") == 2
    assert "0 MACs" not in said.replace("40 MACs", "")


def test_where_a_run_stopped_is_no_operation_without_a_formula(in_tmp: Path, fxviz: Call) -> None:
    Path("net.py").write_text(BOOM)
    said = fxviz("explain", "net.py:Boom", "--input", "2x4", "--partial", "-q").out
    assert "  - 40 MACs for this input" in said and "no formula" not in said
    assert "2 fully connected layers" in said


def test_code_that_stops_a_run_between_steps_takes_nothing() -> None:
    class Raising(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise ValueError(f"no {(x + 1).shape}")

    assert fxviz.trace(Raising(), ROWS, partial=True).nodes[-1].macs == 0


# ---------------------------------------------------------------- the largest of equal ones


def test_the_first_of_equally_large_tensors_is_told_as_such() -> None:
    graph = fxviz.trace(nn.Sequential(*(nn.Linear(4, 4) for _ in range(14))), ROWS)
    assert "  - The largest are 14 of 32 bytes each, the first leaves 0: 2×4.\n" in fxviz.explain(graph).written()
    assert "  - 其中最大的有 14 个，各占 32 字节，第一个由 0 产生：2×4。\n" in fxviz.explain(graph, "zh").written()
    alone = fxviz.trace(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 4)), ROWS)
    assert "  - The largest of them leaves 0: 2×8, 64 bytes.\n" in fxviz.explain(alone).written()
    assert "  - 其中最大的由 0 产生：2×8，64 字节。\n" in fxviz.explain(alone, "zh").written()


def test_complex_numbers_are_not_told_in_fp32() -> None:
    class Spectrum(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.fft.fft(x + 1)

    said = fxviz.explain(fxviz.trace(Spectrum(), ROWS)).written()
    assert "The activations take 96 bytes: every tensor" in said
