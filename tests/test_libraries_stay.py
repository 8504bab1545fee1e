"""Check that models of the libraries are, after traces in both modes, what they were: bytes, flags, hooks, results."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy
import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

import fxviz
from fxviz._graph.options import TraceOptions
from fxviz._sources.reference import parse
from fxviz._sources.resolve import resolve
from fxviz._trace import trace_module
from fxviz._trace.arguments import materialized

pytestmark = pytest.mark.slow

MOST_BYTES = 50e6
"""Larger models are built without memory: their flags and hooks are compared, not their values."""

MOST_TO_RUN = 25e6

TIMM = """
convnext_atto cait_xxs24_224 coat_tiny crossvit_tiny_240 deit_tiny_patch16_224 edgenext_xx_small
efficientnet_b0 efficientformer_l1 fastvit_t8 ghostnet_100 hrnet_w18_small lcnet_050 levit_128s
maxvit_rmlp_pico_rw_256 mixer_s32_224 mobilevit_xxs mobilevitv2_050 nf_resnet26 poolformer_s12 pvt_v2_b0
regnetx_002 repvgg_a0 resnet18 resnest14d swin_s3_tiny_224 tinynet_e xcit_nano_12_p16_224
""".split()

TYPES = """
albert bert bart clip convnext deberta-v2 distilbert electra gpt2 llama mistral mixtral opt qwen2 roberta t5
vit wav2vec2
""".split()


def values(module: nn.Module) -> dict[str, Any]:
    return {name: digest(tensor) for name, tensor in module.state_dict(keep_vars=True).items()}


def digest(tensor: torch.Tensor) -> Any:
    if tensor.is_meta:
        return tensor.shape
    return id(tensor), tensor.data_ptr(), hashlib.sha1(tensor.detach().numpy().tobytes()).hexdigest()


def flags(module: nn.Module) -> Any:
    names = [name for name in vars(module) if name.endswith("_hooks")]
    modules = [
        (path, type(each), each.training, [len(vars(each)[name]) for name in names], sorted(vars(each)))
        for path, each in module.named_modules()
    ]
    return modules, [(name, tensor.requires_grad, tensor.grad) for name, tensor in module.named_parameters()]


def numbers() -> Any:
    return torch.get_rng_state().tolist(), random.getstate(), repr(numpy.random.get_state())


def result(module: nn.Module, given: Any) -> Any:
    torch.manual_seed(0)
    with torch.no_grad():
        returned = module.eval()(*given[0], **given[1])
    return [leaf.tolist() for leaf in tree_leaves(returned) if isinstance(leaf, torch.Tensor)]


def stays(module: nn.Module, arguments: Any, info: Any) -> None:
    size = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
    runs = size <= MOST_TO_RUN and not any(tensor.is_meta for tensor in module.state_dict().values())
    given = materialized((arguments.args, arguments.kwargs), None, "cpu") if runs else ((), {})
    first = result(module, given) if runs else None
    before = values(module), flags(module), numbers()
    for training in (False, True):
        graph = trace_module(module, arguments, info, TraceOptions(train=training, partial=True))
        assert not [note for note in graph.trace.notes if "isolated" in note or "put back" in note]
    assert (values(module), flags(module), numbers()) == before
    assert first is None or result(module, given) == first


@pytest.mark.parametrize("name", [*fxviz.list_models(), *(f"timm:{name}" for name in TIMM)])
def test_a_model_stays(name: str) -> None:
    source = resolve(parse(name))
    built = source.build(False)
    if sum(parameter.numel() * 4 for parameter in built.module.parameters()) <= MOST_BYTES:
        built = source.build(True)
    stays(built.module, built.arguments, source.info(built))


@pytest.mark.parametrize("kind", TYPES)
def test_a_small_transformer_stays(kind: str) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = dict.fromkeys(("num_hidden_layers", "num_layers", "n_layer", "n_layers", "encoder_layers"), 1)
    config = transformers.AutoConfig.for_model(kind)
    for name, size in sizes.items():
        if hasattr(config, name) and not hasattr(config, "depths"):  # a number of stages is none of layers
            setattr(config, name, size)
    source = resolve(parse(f"transformers:{kind}"))
    info = source.info(built := source.build(False))
    stays(transformers.AutoModel.from_config(config), built.arguments, info)
