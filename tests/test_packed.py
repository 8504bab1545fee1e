"""Say how many weights quantised models have, beside the number of values that they store."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fxviz
from conftest import CASES, Result


class Halves(nn.Module):
    """A layer with two weights in each byte, and a child, so that its steps are recorded one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.packed = nn.Parameter(torch.zeros(8 * 4 // 2, dtype=torch.uint8), requires_grad=False)
        self.scale = nn.Parameter(torch.ones(4, 1))
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        pairs = torch.stack([self.packed & 15, self.packed >> 4], 1).view(4, 8)
        return self.act(F.linear(x, (pairs.float() - 8) * self.scale))


class Eighths(nn.Module):
    """A layer with eight weights and eight zero points in each value of 32 bits, both of them buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("qweight", torch.zeros(16 // 8, 8, dtype=torch.int32))
        self.register_buffer("qzeros", torch.zeros(1, 8 // 8, dtype=torch.int32))
        self.register_buffer("shifts", torch.arange(0, 32, 4, dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        zeros = (self.qzeros[:, :, None] >> self.shifts) & 15
        weight = (self.qweight[:, None, :] >> self.shifts[None, :, None]) & 15
        return x @ (weight.reshape(16, 8) - zeros.reshape(1, 8)).float()


class Bytes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 8, dtype=torch.int8), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype))


class Hidden(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.codes = nn.Parameter(torch.zeros(8, dtype=torch.uint8), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.codes.float()


class Pruned(nn.Module):
    """A layer with all its weights, some of which a mask removes, in another order."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(8, 8))
        self.register_buffer("mask", torch.ones(8, 8, dtype=torch.uint8))
        self.register_buffer("order", torch.arange(8, dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.linear(x, self.weight * self.mask).relu(), self.weight[self.order])


class Codes(nn.Module):
    """A layer whose weights are looked up in a table of 16 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(16))
        self.register_buffer("codes", torch.zeros(8, 8, dtype=torch.uint8))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.linear(x, self.table[self.codes.int()]), torch.eye(8))


MODELS = {
    "parameters": (Halves(), 8, ("'packed' holds 32 weights of 4 bits each in 16 values of uint8",
                                 "with each weight counted, the model has 36 parameters")),
    "buffers": (nn.Sequential(Eighths(), nn.Linear(8, 16), Eighths()), 16,
                ("'0.qweight' and 1 more hold 256 weights of 4 bits each in 32 values of int32, "
                 "which are no parameters",)),
    "one for one": (Bytes(), 8, ()),
    "uncertain": (Hidden(), 8,
                  ("'codes' holds 8 whole numbers, which are counted as stored: each may stand for several weights",)),
    "masks and orders": (Pruned(), 8, ()),
    "codes": (Codes(), 8, ("'codes' holds 64 weights of 8 bits each in 64 values of uint8, which are no parameters",)),
    "none": (nn.Sequential(nn.Embedding(4, 8), nn.Linear(8, 4)), 0, ()),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_packed_values(name: str) -> None:
    model, width, notes = MODELS[name]
    graph = fxviz.trace(model, torch.zeros(1, width) if width else torch.zeros(1, dtype=torch.int64))
    assert graph.trace.notes == notes


@pytest.mark.filterwarnings("ignore")
def test_quantised_modules_of_torch_run_without_being_told_to() -> None:
    torch.backends.quantized.engine = torch.backends.quantized.supported_engines[-1]
    net = nn.Sequential(nn.Linear(8, 8), nn.LSTM(8, 4))
    net = torch.ao.quantization.quantize_dynamic(net, {nn.Linear, nn.LSTM}, dtype=torch.qint8)
    graph = fxviz.trace(net, torch.zeros(2, 1, 8))
    assert {(found.cls, found.scalars) for found in graph.trace.unregistered} == {
        ("Linear", 72),
        ("LSTM", 4 * 4 * (8 + 4 + 1 + 1)),
    }
    assert graph.trace.method == "real"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("03_packed4bit.py", "0.weight' holds 4,096 weights of 4 bits each in 2,048 values of uint8"),
        ("04_dynquant.py", "Linear (0 and 1 more) uses 9,610 weights that are no parameters of the model"),
        ("50_subclass.py", "0.weight' holds 256 weights in 260 bytes (int8, float32)"),
    ],
)
def test_every_text_says_it(fxviz: Callable[..., Result], tmp_path: Path, case: str, said: str) -> None:
    model = f"{CASES / case}:make"
    assert said in fxviz("summary", model, "--no-cache", "-q").out
    assert said in fxviz("explain", model, "--no-cache", "-q").out
    drawn = fxviz("render", model, "--no-cache", "-o", str(tmp_path / "net.svg"))
    assert said in drawn.err
    assert said in unescape((tmp_path / "net.svg").read_text(encoding="utf-8"))
