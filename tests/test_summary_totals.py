"""Compare totals with torchinfo's and fvcore's: equal where those are right; else who is wrong and why.

* torchinfo takes MACs for "parameters times positions": it counts a bias and each parameter of a norm as MACs, forgets
  that a linear layer runs at every position of a sequence, and does not see functions.
* fvcore also counts batch norm, layer norm and adaptive pooling, and does not know fused attention.
"""

from __future__ import annotations

import logging
import warnings
from math import prod

import pytest
import torch
import torch.nn.functional as F
import torchinfo
import torchvision
from fvcore.nn import FlopCountAnalysis, parameter_count
from torch import Tensor, nn

import fxviz
from fxviz._report.summary import Summary

SIZES = {
    "alexnet": 96, "resnet18": 64, "squeezenet1_1": 64, "vit_b_16": 224, "vgg11": 64, "mobilenet_v3_small": 64,
    "shufflenet_v2_x1_0": 64, "mnasnet0_5": 64, "googlenet": 64, "convnext_tiny": 64,
}  # fmt: skip
SLOW = {"googlenet", "mobilenet_v3_small", "vit_b_16", "convnext_tiny", "mnasnet0_5", "shufflenet_v2_x1_0"}
PRODUCTS = ("conv", "linear", "matmul", "bmm", "einsum", "addmm")


def built(name: str) -> tuple[nn.Module, Tensor]:
    """Return the model with uninitialized parameters, and an image."""
    with torch.device("meta"):
        model = torchvision.models.get_model(
            name, weights=None, **({"init_weights": False} if name == "googlenet" else {})
        )
    return model.to_empty(device="cpu").eval(), torch.zeros(1, 3, SIZES[name], SIZES[name])


def by_torchinfo(model: nn.Module, *inputs: Tensor) -> tuple[int, int]:
    """Parameters and MACs as torchinfo has them."""
    said = torchinfo.summary(model, input_data=list(inputs), verbose=0, device="cpu")
    return said.total_params, said.total_mult_adds


def by_fvcore(model: nn.Module, *inputs: Tensor) -> tuple[int, dict[str, int]]:
    """Parameters, and multiply-accumulates by kind of operation as fvcore has them."""
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(model, inputs).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        operators = {name: int(number) for name, number in analysis.by_operator().items()}
    return parameter_count(model)[""], operators


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in SIZES]
)
def test_totals_of_ten_models(name: str) -> None:
    model, image = built(name)
    ours = fxviz.summary(fxviz.trace(model, image))
    params, macs = by_torchinfo(model, image)
    fvcore_params, operators = by_fvcore(model, image)
    assert ours.totals.params == params == fvcore_params == sum(tensor.numel() for tensor in model.parameters())
    assert ours.totals.macs == sum(operators.get(product, 0) for product in PRODUCTS) + attention_of(model)
    assert set(operators) <= {*PRODUCTS, "batch_norm", "layer_norm", "adaptive_avg_pool2d"}
    assert macs == as_torchinfo_counts(model, ours)


def attention_of(model: nn.Module) -> int:
    """Count what fvcore lacks: in each fused attention queries by keys and weights by values, 2·N²·D."""
    blocks = [module for module in model.modules() if isinstance(module, nn.MultiheadAttention)]
    positions = model.seq_length if isinstance(model, torchvision.models.VisionTransformer) else 0
    return sum(2 * positions**2 * block.embed_dim for block in blocks)


def as_torchinfo_counts(model: nn.Module, ours: Summary) -> int:
    """Count MACs as torchinfo does: parameters, for a convolution times positions.

    It takes parameters that a larger module holds itself (tokens, positions, scales) for no layer.
    """
    total = 0
    for row in ours.rows:
        if row.kind == "layer" and row.used and row.output is not None and row.type != "MultiheadAttention":
            total += row.params * (row.calls or 0) * (prod(row.output[2:]) if row.type == "Conv2d" else 1)
    return total


# ---------------------------------------------------------------- where they differ


def test_torchinfo_forgets_the_positions_of_a_sequence() -> None:
    model, rows = nn.Sequential(nn.Linear(8, 4, bias=False)), torch.zeros(1, 5, 8)
    assert by_torchinfo(model, rows)[1] == 8 * 4  # one product of a row and the weight, but there are five rows
    assert by_fvcore(model, rows)[1] == {"linear": 5 * 8 * 4}
    assert fxviz.summary(fxviz.trace(model, rows)).totals.macs == 5 * 8 * 4


def test_torchinfo_counts_a_bias_as_multiplications() -> None:
    plain, biased = nn.Sequential(nn.Linear(8, 4, bias=False)), nn.Sequential(nn.Linear(8, 4))
    row = torch.zeros(1, 8)
    assert by_torchinfo(biased, row)[1] - by_torchinfo(plain, row)[1] == 4
    assert by_fvcore(biased, row)[1] == by_fvcore(plain, row)[1] == {"linear": 32}
    assert {fxviz.summary(fxviz.trace(model, row)).totals.macs for model in (plain, biased)} == {32}


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x))


def test_torchinfo_counts_tied_weights_twice() -> None:
    model, row = Tied(), torch.zeros(1, 8)
    truth = sum(tensor.numel() for tensor in model.parameters())
    assert by_torchinfo(model, row)[0] == 2 * truth == 128
    assert by_fvcore(model, row)[0] == fxviz.summary(fxviz.trace(model, row)).totals.params == truth


class Functional(nn.Module):
    """A layer that is a function and two parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(4, 8)), nn.Parameter(torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


def test_torchinfo_does_not_see_functions() -> None:
    model, row = nn.Sequential(Functional()), torch.zeros(3, 8)
    assert by_torchinfo(model, row) == (36, 3 * 36)  # parameters times the batch, whatever is done with them
    assert by_fvcore(model, row) == (36, {"linear": 3 * 32})
    totals = fxviz.summary(fxviz.trace(model, row)).totals
    assert (totals.params, totals.macs) == (36, 3 * 32)


def test_fvcore_does_not_see_fused_attention() -> None:
    class Attention(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(x, x, x)

    sequence = torch.zeros(1, 2, 5, 8)
    assert by_fvcore(Attention(), sequence)[1] == {}
    assert fxviz.summary(fxviz.trace(Attention(), sequence)).totals.macs == 2 * (2 * 5 * 5 * 8)
