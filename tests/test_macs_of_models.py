"""Compare the MACs of whole models with what torch's own counter sees when they run for real on the CPU.

:class:`torch.utils.flop_counter.FlopCounterMode` counts convolutions and matrix products as they are dispatched, two
operations for each multiply-accumulate. It does not know the fused encoder layer and the fused attention that torch
takes on the CPU: both are turned off while it counts.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import fxviz
from conftest import optional

pytestmark = pytest.mark.slow

TORCHVISION = (
    "alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet inception_v3 maxvit_t mnasnet0_5 "
    "mobilenet_v2 mobilenet_v3_small mobilenet_v3_large regnet_x_400mf regnet_y_400mf resnet18 resnet34 resnet50 "
    "resnext50_32x4d wide_resnet50_2 shufflenet_v2_x0_5 shufflenet_v2_x1_0 squeezenet1_0 squeezenet1_1 swin_t "
    "swin_v2_t vgg11 vgg16_bn vit_b_16 vit_b_32 fcn_resnet50 deeplabv3_mobilenet_v3_large lraspp_mobilenet_v3_large "
    "r3d_18 mc3_18 r2plus1d_18 s3d mvit_v1_b swin3d_t"
).split()
SIZES = {
    "inception_v3": (1, 3, 299, 299),
    **dict.fromkeys(("maxvit_t", "swin_t", "swin_v2_t", "vit_b_16", "vit_b_32"), (1, 3, 224, 224)),
    **dict.fromkeys(("r3d_18", "mc3_18", "r2plus1d_18", "swin3d_t"), (1, 3, 8, 64, 64)),
    "s3d": (1, 3, 16, 224, 224),
    "mvit_v1_b": (1, 3, 16, 224, 224),
}
"""The inputs of models that do not take an image of 64 x 64."""

TIMM = (
    "convmixer_768_32 convnextv2_atto crossvit_tiny_240 davit_tiny deit_tiny_patch16_224 edgenext_xx_small "
    "efficientformer_l1 ghostnet_100 hrnet_w18_small levit_128 mixer_s32_224 mobilevit_xxs nf_resnet50 "
    "poolformer_s12 pvt_v2_b0 regnety_002 repvgg_a0 res2net50_14w_8s resnest14d skresnet18 tiny_vit_5m_224 "
    "visformer_tiny xcit_nano_12_p16_224"
).split()

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 99}
GROUPED = SMALL | {"num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0}
TRANSFORMERS = {
    **dict.fromkeys(("albert", "bert", "electra", "roberta", "mpnet", "squeezebert"), SMALL | {"embedding_size": 32}),
    **dict.fromkeys(("gemma", "gemma2", "llama", "mistral", "phi3", "qwen2", "qwen3", "olmo"), GROUPED),
    "distilbert": {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 4, "vocab_size": 99},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 99},
    "gpt_neox": SMALL,
    "opt": SMALL | {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "xlnet": {"d_model": 32, "d_inner": 64, "n_layer": 2, "n_head": 4, "vocab_size": 99},
}  # fmt: skip


@contextmanager
def counting() -> Iterator[FlopCounterMode]:
    """Count what the model computes by operations that the counter knows."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def check(model: nn.Module, *inputs: Tensor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = fxviz.trace(model.eval(), inputs)
        with counting() as counter:
            model(*inputs)
    assert counter.get_total_flops() == 2 * graph.total_macs > 0


def test_there_are_many() -> None:
    assert len(TORCHVISION) + len(TIMM) + len(TRANSFORMERS) >= 80


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision(name: str) -> None:
    options: dict[str, Any] = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    if name.startswith(("fcn", "deeplab", "lraspp")):
        options["weights_backbone"] = None
    check(torchvision.models.get_model(name, weights=None, **options), torch.rand(SIZES.get(name, (1, 3, 64, 64))))


@pytest.mark.parametrize("name", TIMM)
def test_timm(name: str) -> None:
    model = optional("timm").create_model(name)
    check(model, torch.rand(1, *model.default_cfg["input_size"]))


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers(name: str) -> None:
    library = optional("transformers")
    config = library.AutoConfig.for_model(name, **TRANSFORMERS[name])
    check(library.AutoModel.from_config(config, attn_implementation="eager"), torch.arange(1, 9)[None])
