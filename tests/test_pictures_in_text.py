"""Trace models of transformers that read pictures and text: the text holds as many image tokens as the model wants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import fxviz

pytest.importorskip("transformers")

TEXT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 300,
    "head_dim": 8,
}
IMAGE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}


def two(text: str, image: str, **settings: Any) -> dict[str, Any]:
    """Return a configuration with a text and an image part of these model types ("" for the default)."""
    parts = {"text_config": TEXT, "vision_config": IMAGE}
    kinds = {"text_config": text, "vision_config": image}
    named = {part: {**values, **({"model_type": kinds[part]} if kinds[part] else {})} for part, values in parts.items()}
    return {**named, **settings}


CONFIGURATIONS: dict[str, tuple[dict[str, Any], int]] = {
    "llava": (two("llama", "clip_vision_model", image_token_index=290), 16),
    "vipllava": (
        two("llama", "clip_vision_model", image_token_index=290, vision_feature_layers=[-1, -2]),
        16,
    ),
    "gemma3": (two("", "", image_token_index=290, mm_tokens_per_image=4), 4),
    "paligemma": (two("gemma", "", image_token_index=290, projection_dim=32), 16),
    "internvl": (two("qwen2", "", image_token_id=290), 4),
    "aya_vision": (two("cohere2", "siglip_vision_model", image_token_index=290), 4),
}
"""A small configuration of each type, and the features that it makes of an image."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_a_picture_and_its_tokens_are_passed(kind: str, tmp_path: Path) -> None:
    settings, features = CONFIGURATIONS[kind]
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": kind, **settings}))
    graph = fxviz.trace(f"transformers:{path}")
    assert graph.trace.inputs["input_ids"].shape == (1, 5 + features)
    assert graph.trace.inputs["pixel_values"].shape == (1, 3, 32, 32)
    used = {node.path.partition(".")[0] for node in graph.nodes}
    assert {"language_model", "multi_modal_projector"} <= used and used & {"vision_tower", "vision_model"}


@pytest.mark.slow
def test_the_tokens_are_those_of_a_picture_in_a_real_run(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "llava", **CONFIGURATIONS["llava"][0]}))
    graph = fxviz.trace(f"transformers:{path}", device="cpu")  # the model checks their number
    assert graph.trace.inputs["input_ids"].shape == (1, 21)
