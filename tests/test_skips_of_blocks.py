"""Skip connections agree with torchvision's blocks: an attribute, or a forward that always adds."""

from __future__ import annotations

from collections import Counter

import pytest
from torch import nn

import fxviz
from conftest import slow
from fxviz._sources.reference import parse
from fxviz._sources.resolve import names, resolve

ALWAYS = {"CNBlock": 1, "SwinTransformerBlock": 2, "SwinTransformerBlockV2": 2, "EncoderBlock": 2}
"""The number of unconditional additions in the forward of blocks, by class."""

KNOWN = (
    "resnet resnext wide_resnet regnet convnext swin vit_ mobilenet_v2 mobilenet_v3 efficientnet mnasnet "
    "r3d_18 mc3_18 r2plus1d_18 alexnet vgg squeezenet googlenet inception s3d"
).split()


def declared(block: nn.Module) -> Counter[str]:
    """Count the residual additions of one block, by kind, from its attributes."""
    name = type(block).__name__
    if name in ("BasicBlock", "Bottleneck", "QuantizableBasicBlock", "QuantizableBottleneck"):
        return Counter(["identity" if block.downsample is None else "projection"])
    if name == "ResBottleneckBlock":
        return Counter(["identity" if block.proj is None else "projection"])
    for attribute in ("use_res_connect", "apply_residual"):
        if getattr(block, attribute, False):
            return Counter(["identity"])
    return Counter({"identity": ALWAYS[name]} if name in ALWAYS else {})


def check(name: str) -> None:
    module = resolve(parse(name)).build(False).module
    counts = fxviz.trace(name).skip_counts
    expected = sum(map(declared, module.modules()), Counter[str]())
    found = {kind: counts[kind] for kind in ("identity", "projection", "resample") if counts[kind]}
    assert found == dict(expected)


@pytest.mark.parametrize(
    "name", ["mobilenet_v3_small", *slow("regnet_x_400mf", "resnet34", "mnasnet0_5", "efficientnet_v2_s", "swin_v2_t")]
)
def test_blocks_and_graph_agree(name: str) -> None:
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in names() if name.removeprefix("quantized_").startswith(tuple(KNOWN))])
def test_blocks_and_graph_agree_everywhere(name: str) -> None:
    check(name)
