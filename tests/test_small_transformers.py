"""Trace types of transformers with two layers each: totals, and the skip connections that their code states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import fxviz
from conftest import optional

pytestmark = pytest.mark.slow

DEPTHS = "num_hidden_layers encoder_layers decoder_layers num_layers num_decoder_layers n_layer n_layers".split()

ATTENTION_THEN_LAYERS = (
    "albert bert big_bird bloom convbert deberta-v2 distilbert electra gemma2 gpt2 llama longformer mistral modernbert "
    "nystromformer opt phi3 qwen2 roberta rwkv vit xlnet"
)
EXPERTS = (
    "deepseek_v3 ernie4_5_moe flex_olmo glm4_moe gpt_oss granitemoe granitemoeshared llama4_text mixtral olmoe phimoe "
    "qwen2_moe qwen3_moe"
)
SIDE_BY_SIDE = "falcon gpt_neox gptj phi"
STATES = "mamba"
ENCODER_AND_DECODER = "bart nllb-moe switch_transformers t5"

SKIPS = {
    **dict.fromkeys((ATTENTION_THEN_LAYERS + " " + EXPERTS).split(), 2 * 2),
    **dict.fromkeys(SIDE_BY_SIDE.split(), 2),
    **dict.fromkeys(STATES.split(), 2 * 2),
    **dict.fromkeys(ENCODER_AND_DECODER.split(), 2 * 2 + 2 * 3),
    "mamba2": 2,
    "jamba": 2 * 3,
}
"""Identity skips by type. Two in a layer: around attention and around the rest; one where both are added together;
in a layer of states, the second passes the states by (``y + D * x``), which in mamba2 is padded to whole chunks and so
no identity; three in a decoder that attends to an encoder.
"""

SEVERAL_INPUTS = (
    "aya_vision blip clip gemma3 idefics3 internvl llava llava_next llava_onevision mllama paligemma qwen2_5_vl "
    "qwen2_vl qwen3_vl siglip smolvlm"
)


def shallow(name: str, folder: Path) -> str:
    """Write the default configuration of a type with two layers, and return the model's name."""
    settings = {"model_type": name} | _depths(optional("transformers").AutoConfig.for_model(name))
    path = folder / "config.json"
    path.write_text(json.dumps(settings), encoding="utf-8")
    return f"transformers:{path}"


def _depths(config: Any) -> dict[str, Any]:
    kept: dict[str, Any] = {depth: 2 for depth in DEPTHS if config.to_dict().get(depth, 0) not in (0, 1, 2, None)}
    for part in config.sub_configs:
        inner = getattr(config, part, None)
        if inner is not None and (depths := _depths(inner)):
            kept[part] = {"model_type": inner.model_type} | depths
    return kept


def checked(name: str, folder: Path) -> fxviz.ArchGraph:
    """Trace a type with two layers, and check what holds for all."""
    graph = fxviz.trace(shallow(name, folder))
    assert graph.trace.failure is None
    assert graph.traced_params + sum(parameter.size for parameter in graph.untraced) == graph.total_params
    assert fxviz.summary(graph).totals.params == graph.total_params
    assert fxviz.render(graph).svg.startswith("<svg")
    assert fxviz.explain(graph).sections
    return graph


@pytest.mark.parametrize("name", sorted(SKIPS))
def test_skips_are_those_of_the_code(name: str, tmp_path: Path) -> None:
    counts = checked(name, tmp_path).skip_counts
    assert {kind: counts[kind] for kind in ("identity", "projection", "concat")} == {
        "identity": SKIPS[name],
        "projection": 0,
        "concat": 0,
    }


@pytest.mark.parametrize("name", [*SEVERAL_INPUTS.split(), "fnet", "jetmoe", "minimax", "qwen3_next", "reformer"])
def test_models_of_several_inputs_and_rare_kinds(name: str, tmp_path: Path) -> None:
    checked(name, tmp_path)
