"""Trace models of diffusers in small configurations: totals, skip connections read from their code, figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import nn

import fxviz
from conftest import optional
from fxviz import TensorInfo

pytestmark = pytest.mark.slow


def floats(*shape: int) -> TensorInfo:
    return TensorInfo(shape, "float32")


def ints(*shape: int) -> TensorInfo:
    return TensorInfo(shape, "int64")


@dataclass(frozen=True)
class Case:
    """A class of diffusers, its configuration, its inputs, and the skip connections that its code states."""

    cls: str
    config: dict[str, Any]
    inputs: dict[str, Any]
    skips: dict[str, int] = field(default_factory=dict)


STEP = ints(1)
TEXT = floats(1, 7, 24)
IMAGE = {"sample": floats(1, 3, 32, 32)}
SIZES = {"layers_per_block": 1, "block_out_channels": (32, 64), "norm_num_groups": 8}
HEADS = {"num_attention_heads": 4, "attention_head_dim": 8}
COARSE = {
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": 8,
}
CROSS = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "cross_attention_dim": 24,
    "attention_head_dim": 8,
}
CONDITIONED = {"sample": floats(1, 4, 16, 16), "timestep": STEP, "encoder_hidden_states": TEXT}
AUTOENCODER = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}

CASES = (
    Case("UNet2DModel", SIZES | COARSE, IMAGE | {"timestep": STEP}, {"identity": 7, "projection": 5, "concat": 4}),
    Case(
        "UNet2DConditionModel",
        SIZES | CROSS | {"up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D")},
        CONDITIONED,
        {"identity": 19, "projection": 5, "concat": 4},
    ),
    Case(
        "ControlNetModel",
        SIZES | CROSS | {"conditioning_embedding_out_channels": (16, 32)},
        CONDITIONED | {"controlnet_cond": floats(1, 3, 32, 32)},
        {"identity": 11, "projection": 1},
    ),
    Case("AutoencoderKL", SIZES | AUTOENCODER, IMAGE, {"identity": 10, "projection": 2}),
    Case("VQModel", {"block_out_channels": (32,), "norm_num_groups": 8}, IMAGE, {"identity": 9}),
    Case("AutoencoderTiny", {}, IMAGE, {"identity": 20}),
    Case(
        "DiTTransformer2DModel",
        HEADS | {"num_layers": 4, "sample_size": 16},
        {"hidden_states": floats(1, 4, 16, 16), "timestep": STEP, "class_labels": STEP},
        {"identity": 8},
    ),
    Case(
        "PixArtTransformer2DModel",
        HEADS | {"num_layers": 2, "sample_size": 16, "caption_channels": 24, "cross_attention_dim": 32},
        {
            "hidden_states": floats(1, 4, 16, 16),
            "encoder_hidden_states": TEXT,
            "timestep": STEP,
            "added_cond_kwargs": {"resolution": None, "aspect_ratio": None},
        },
        {"identity": 6},
    ),
    Case(
        "SD3Transformer2DModel",
        HEADS
        | {
            "num_layers": 2,
            "sample_size": 16,
            "in_channels": 4,
            "joint_attention_dim": 24,
            "caption_projection_dim": 32,
            "pooled_projection_dim": 24,
            "out_channels": 4,
        },
        {
            "hidden_states": floats(1, 4, 16, 16),
            "encoder_hidden_states": TEXT,
            "pooled_projections": floats(1, 24),
            "timestep": STEP,
        },
        {"identity": 6},
    ),
    Case(
        "FluxTransformer2DModel",
        {
            "in_channels": 4,
            "num_layers": 1,
            "num_single_layers": 1,
            "attention_head_dim": 16,
            "num_attention_heads": 2,
            "joint_attention_dim": 24,
            "pooled_projection_dim": 24,
            "axes_dims_rope": (4, 4, 8),
        },
        {
            "hidden_states": floats(1, 16, 4),
            "encoder_hidden_states": TEXT,
            "pooled_projections": floats(1, 24),
            "timestep": floats(1),
            "img_ids": floats(16, 3),
            "txt_ids": floats(7, 3),
        },
        {"identity": 5},
    ),
    Case(
        "WanTransformer3DModel",
        {"num_attention_heads": 2, "attention_head_dim": 12, "text_dim": 24, "ffn_dim": 32, "num_layers": 2},
        {"hidden_states": floats(1, 16, 2, 8, 8), "timestep": STEP, "encoder_hidden_states": TEXT},
        {"identity": 6},
    ),
    Case(
        "PriorTransformer",
        HEADS | {"num_layers": 2, "embedding_dim": 24, "num_embeddings": 7},
        {
            "hidden_states": floats(1, 24),
            "timestep": STEP,
            "proj_embedding": floats(1, 24),
            "encoder_hidden_states": TEXT,
        },
        {"identity": 4},
    ),
)


def build(case: Case) -> nn.Module:
    """Build the model without memory for its parameters."""
    with torch.device("meta"):
        model: nn.Module = getattr(optional("diffusers"), case.cls)(**case.config)
    return model.eval()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.cls)
def test_totals_and_skips_are_those_of_the_code(case: Case) -> None:
    model = build(case)
    graph = fxviz.trace(model, case.inputs)
    unread = sum(parameter.size for parameter in graph.untraced)
    assert graph.total_params == graph.traced_params + unread == sum(weight.numel() for weight in model.parameters())
    assert fxviz.summary(graph).totals.params == graph.total_params
    assert {kind: count for kind, count in graph.skip_counts.items() if count and kind != "gate"} == case.skips
    for style in ("ledger", "graph"):
        assert fxviz.render(graph, style=style).svg.startswith("<svg")
    assert fxviz.explain(graph).sections
