"""Say which weights a run uses that are no parameters of the model: layers in lists, tensors, layers made anew."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

import fxviz
from conftest import CASES, Result
from fxviz._graph.values import Unregistered
from fxviz._trace.unregistered import Strays


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(3)]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class Held(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Inner()])
        self.heads = {"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)}
        self.scale = torch.ones(4, requires_grad=True)
        self.shifts = (nn.Parameter(torch.ones(4)),)
        self.table = torch.zeros(4)
        self.unused = [nn.Linear(99, 99)]
        self.parts = SimpleNamespace(norm=nn.LayerNorm(4), width=4)
        self.owner = [self]

    def forward(self, x: Tensor) -> Tensor:
        for layer in (*self.blocks, *self.heads.values()):
            x = layer(x)
        return self.parts.norm(x * self.scale + self.shifts[0] - self.table)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_what_is_kept_without_being_registered(device: str) -> None:
    graph = fxviz.trace(Held(), torch.zeros(2, 4), device=device)
    assert graph.trace.unregistered == (
        Unregistered("Sequential", "blocks.0.layers", 3, 60, "nn.ModuleList"),
        Unregistered("Linear", "Held.heads", 2, 40, "nn.ModuleDict"),
        Unregistered("", "Held.scale", 1, 4, "nn.Parameter"),
        Unregistered("", "Held.shifts", 1, 4, "nn.ParameterList"),
        Unregistered("LayerNorm", "Held.parts", 1, 8, "add_module"),
    )
    assert graph.total_params == 0
    assert [node.path for node in graph.nodes if node.op == "Linear"][:2] == [
        "blocks.0.layers.0.0", "blocks.0.layers.1.0"
    ]  # fmt: skip
    assert fxviz.ArchGraph.from_json(graph.to_json()) == graph


def test_a_layer_that_forward_makes() -> None:
    class Forgetful(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.Linear(4, 2)(x)

    graph = fxviz.trace(Forgetful(), torch.zeros(2, 4))
    (found,) = graph.trace.unregistered
    assert found.sentence == (
        "Linear, which was found in no attribute of a module, uses 10 weights that are no parameters of the model: "
        "make it once, in __init__, as an attribute"
    )


class Called:
    def __init__(self) -> None:
        self.layer = nn.Linear(4, 4)

    def __call__(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Holder(nn.Module):
    """Calls what it holds one after the other."""

    def __init__(self, *held: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.held = list(held)

    def forward(self, x: Tensor) -> Tensor:
        for each in self.held:
            x = each(x)
        return x


@pytest.mark.parametrize(
    ("held", "found"),
    [
        (Holder(Holder(nn.Linear(4, 4))), Unregistered("Linear", "held.0.held.0.held", 1, 20, "nn.ModuleList")),
        (
            Holder(nn.Sequential(Holder(nn.Linear(4, 4)))),
            Unregistered("Linear", "held.0.held.0.0.held", 1, 20, "nn.ModuleList"),
        ),
        (Called(), Unregistered("Linear", "Holder.held", 1, 20, "add_module")),
        (Called().__call__, Unregistered("Linear", "Holder.held", 1, 20, "add_module")),
        (partial(nn.Linear(4, 4)), Unregistered("Linear", "Holder.held", 1, 20, "add_module")),
    ],
)
def test_what_is_kept_in_what_is_kept(held: Callable[[Tensor], Tensor], found: Unregistered) -> None:
    assert fxviz.trace(Holder(held), torch.zeros(2, 4)).trace.unregistered == (found,)


def test_large_tables_of_numbers_are_not_searched() -> None:
    net = nn.Sequential(nn.Linear(4, 4))
    net.table = [[0.0] * 1000] * 1000 + [[float(place)] * 1000 for place in range(1000)]
    start = time.process_time()
    Strays(net)
    assert time.process_time() - start < 1


def test_registered_models_say_nothing() -> None:
    net = nn.Sequential(nn.LSTM(4, 4), nn.Identity())
    net.copies = [net[0], net[0].weight_hh_l0, {"again": net[0]}]
    net.constants = [torch.zeros(4), 3, None, "x", nn.ReLU()]
    assert fxviz.trace(net[0], torch.zeros(2, 1, 4)).trace.unregistered == ()


def test_every_text_says_it(fxviz: Callable[..., Result]) -> None:
    model: Path | str = f"{CASES / '13_plain_list.py'}:make"
    said = (
        "Conv2d in Hidden.layers uses 112 weights that are no parameters of the model: register them with nn.ModuleList"
    )
    summary = fxviz("summary", model, "--no-cache")
    assert said in summary.err and f"{said}." in summary.out
    explained = fxviz("explain", model, "--no-cache", "-q")
    assert explained.err == "" and said in explained.out and "no weighted layers" not in explained.out
    chinese = fxviz("explain", model, "--no-cache", "-q", "--lang", "zh").out
    assert "Hidden.layers 中的 Conv2d 使用了 112 个不属于模型参数的权重：请用 nn.ModuleList 注册" in chinese
