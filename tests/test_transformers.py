"""``transformers:TYPE``: a model of each type from its default configuration or a file; nothing is downloaded."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_map

import fxviz
from conftest import optional, slow
from fxviz._graph import TensorInfo
from fxviz._graph.errors import UnknownModel, UsageError
from fxviz._sources.reference import parse
from fxviz._sources.resolve import names, resolve
from fxviz._sources.transformers_inputs import arguments
from reference_runs import touched_parameters


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)


# -------------------------------------------------------------------- without the library


@pytest.fixture
def without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)


@pytest.mark.parametrize("ask", [lambda name: resolve(parse(name)), fxviz.trace, lambda name: names("transformers:")])
@pytest.mark.parametrize("name", ["transformers:bert", "transformers:no/such/config.json"])
def test_without_transformers_its_models_are_refused_with_a_hint(
    ask: Callable[[str], Any], name: str, without_transformers: None
) -> None:
    with pytest.raises(
        UsageError, match=r"need transformers, which is not installed: pip install \"fxviz\[transformers\]\""
    ):
        ask(name)


# -------------------------------------------------------------------- arguments of forward


class Config:
    """A configuration of transformers."""

    def __init__(self, **settings: Any) -> None:
        self.sub_configs = {name: type(value) for name, value in settings.items() if isinstance(value, Config)}
        vars(self).update(settings)


def wanted(
    forward: Callable[..., Any], config: Config, main: str | list[str] = "input_ids"
) -> dict[str, tuple[int, ...]]:
    cls = type("Model", (), {"forward": forward, "main_input_name": main})
    return {name: info.shape for name, info in arguments(cls, config).items()}


def test_arguments_that_change_the_run_no_more_than_needed_are_left_out() -> None:
    def forward(self, input_ids=None, attention_mask=None, use_cache=None, **kwargs): ...

    assert wanted(forward, Config()) == {"input_ids": (1, 5)}


def test_a_model_of_two_modalities_gets_both() -> None:
    def forward(self, input_ids=None, pixel_values=None): ...

    config = Config(image_size=None, vision_config=Config(image_size=[64, 32], num_channels=1))
    assert wanted(forward, config) == {"input_ids": (1, 5), "pixel_values": (1, 1, 64, 32)}


@pytest.mark.parametrize("setting", ["image_token_id", "image_token_index", "video_token_id"])
def test_text_alone_where_pictures_stand_for_tokens(setting: str) -> None:
    def forward(self, input_ids=None, pixel_values=None): ...

    assert wanted(forward, Config(**{setting: 7})) == {"input_ids": (1, 5)}


@pytest.mark.parametrize(
    ("encoder_decoder", "names"), [(True, ["input_ids", "decoder_input_ids"]), (False, ["input_ids"])]
)
def test_a_decoder_gets_its_own_ids(encoder_decoder: bool, names: list[str]) -> None:
    def forward(self, input_ids=None, decoder_input_ids=None): ...

    assert list(wanted(forward, Config(is_encoder_decoder=encoder_decoder))) == names


@pytest.mark.parametrize(
    ("main", "settings", "shape"),
    [
        ("pixel_values", {}, (1, 3, 224, 224)),
        ("pixel_values", {"image_size": 30, "num_channels": 4}, (1, 4, 30, 30)),
        ("pixel_values", {"image_size": {"height": 8, "width": 9}}, (1, 3, 8, 9)),
        ("pixel_values", {"num_frames": 16, "image_size": 8}, (1, 16, 3, 8, 8)),
        ("pixel_values_videos", {"frames_per_clip": 4, "crop_size": 8, "image_size": 8}, (1, 4, 3, 8, 8)),
        ("input_values", {}, (1, 16000)),
        ("input_values", {"sampling_rate": 24000, "audio_channels": 2}, (1, 2, 16000)),
        ("input_values", {"num_mel_bins": 128, "max_length": 1024}, (1, 1024, 128)),
        ("input_features", {"num_mel_bins": 80, "max_source_positions": 1500}, (1, 80, 3000)),
        ("input_features", {"input_feat_per_channel": 80, "input_channels": 1}, (1, 100, 80)),
        ("input_features", {"feature_projection_input_dim": 160}, (1, 100, 160)),
        ("past_values", {"context_length": 32, "num_input_channels": 3}, (1, 32, 3)),
        ("past_values", {"context_length": 32, "lags_sequence": [1, 7]}, (1, 39)),
        ("inputs", {"d_model": 768}, (1, 5, 768)),
    ],
)
def test_the_configuration_sizes_the_main_input(main: str, settings: dict[str, Any], shape: tuple[int, ...]) -> None:
    namespace: dict[str, Any] = {}
    exec(f"def forward(self, {main}, output_attentions=None): ...", namespace)
    assert wanted(namespace["forward"], Config(**settings), main) == {main: shape}


# -------------------------------------------------------------------- names and files


@pytest.fixture
def transformers(monkeypatch: pytest.MonkeyPatch) -> Any:
    return optional("transformers")


def test_every_type_that_automodel_knows_has_a_name(transformers: Any) -> None:
    known = names("transformers:")
    assert known == sorted(known)
    assert {"transformers:bert", "transformers:vit", "transformers:whisper"} <= set(known)
    assert names("transformers:bert*") == ["transformers:bert", "transformers:bert-generation"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("transformers:bret", "unknown model 'transformers:bret': did you mean transformers:"),
        (
            "transformers:xyzzyxyzzy",
            r"unknown model 'transformers:xyzzyxyzzy': fxviz.list_models\('transformers:'\) shows all names",
        ),
        ("transformers:bert-base-uncased", "unknown model 'transformers:bert-base-uncased'"),
    ],
)
def test_an_unknown_type_is_refused_with_near_ones(name: str, hint: str, transformers: Any) -> None:
    with pytest.raises(UnknownModel, match=hint):
        resolve(parse(name))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read the configuration '.*config.json'"),
        ("{", "cannot read the configuration '.*config.json'"),
        ("[]", 'has no "model_type"'),
        ("{}", 'has no "model_type"'),
        ('{"model_type": "bertt"}', "unknown model type 'bertt' in '.*config.json'; did you mean 'bert'"),
    ],
)
def test_what_is_no_configuration_is_refused(text: str | None, message: str, tmp_path: Path, transformers: Any) -> None:
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        resolve(parse(f"transformers:{path}"))


SMALL = {
    "model_type": "bert",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}


def test_a_configuration_in_a_file(tmp_path: Path, transformers: Any) -> None:
    """Remote code, the dtype and the quantization of weights do not change the architecture."""
    path = tmp_path / "config.json"
    foreign = {
        "architectures": ["BertForMaskedLM"],
        "auto_map": {"AutoModel": "someone/code--modeling.Model"},
        "dtype": "bfloat16",
        "quantization_config": {"quant_method": "gptq", "bits": 4},
    }
    path.write_text(json.dumps(SMALL | foreign), encoding="utf-8")
    graph = fxviz.trace(f"transformers:{path}")
    assert graph.model.cls == "transformers.models.bert.modeling_bert.BertModel"
    assert {parameter.dtype for parameter in graph.parameters} == {"float32"}
    assert graph.skip_counts["identity"] == 4


def test_the_command_line_draws_a_configuration(fxviz: Callable[..., Any], in_tmp: Path, transformers: Any) -> None:
    Path("config.json").write_text(json.dumps(SMALL), encoding="utf-8")
    result = fxviz("render", "transformers:config.json", "-o", "small.svg")
    assert (result.status, result.out) == (0, "")
    assert Path("small.svg").read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("hidden_act", "geluu", "unknown hidden_act 'geluu'; did you mean 'gelu'?"),
        ("num_attention_heads", 5, "ValueError: The hidden size (32) is not a multiple of ..."),
        ("hidden_dropout_prob", 2, "ValueError: dropout probability has to be between 0 and 1, but got 2"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_sentence(
    fxviz: Callable[..., Any], in_tmp: Path, transformers: Any, setting: str, value: object, message: str
) -> None:
    Path("config.json").write_text(json.dumps({**SMALL, "hidden_size": 32, setting: value}), encoding="utf-8")
    done = fxviz("summary", "transformers:config.json")
    said = f"fxviz: cannot build 'transformers:config.json': {message.removesuffix('...')}"
    assert done.status == 2 and done.err.startswith(said) and done.err.count("\n") == 1


# -------------------------------------------------------------------- graphs


TRACED = {
    "bert": (109_482_240, {"identity": 24}),
    "gpt2": (124_439_808, {"identity": 24}),
    "t5": (60_506_624, {"identity": 30}),
    "vit": (86_389_248, {"identity": 24}),
    "clip": (151_277_313, {"identity": 48}),
    "whisper": (37_760_640, {"identity": 20}),
    "mixtral": (46_571_720_704, {"identity": 64}),
    "convnext": (27_820_128, {"identity": 18}),
}


@pytest.mark.parametrize("name", ["bert", *slow(*(name for name in TRACED if name != "bert"))])
def test_totals_and_skips(name: str, transformers: Any) -> None:
    params, skips = TRACED[name]
    graph = fxviz.trace(f"transformers:{name}")
    assert (graph.model.source, graph.trace.method) == ("transformers", "fake")
    assert graph.total_params == graph.traced_params + sum(parameter.size for parameter in graph.untraced) == params
    assert {
        kind: count for kind, count in graph.skip_counts.items() if count and kind in ("identity", "projection")
    } == skips


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("bert", {"input_ids": (1, 5)}),
        ("whisper", {"input_features": (1, 80, 3000), "decoder_input_ids": (1, 5)}),
        *slow(
            ("bart", {"input_ids": (1, 5), "decoder_input_ids": (1, 5)}),
            ("clip", {"input_ids": (1, 5), "pixel_values": (1, 3, 224, 224)}),
            ("wav2vec2", {"input_values": (1, 16000)}),
            ("videomae", {"pixel_values": (1, 16, 3, 224, 224)}),
        ),
    ],
)
def test_default_inputs(name: str, inputs: dict[str, tuple[int, ...]], transformers: Any) -> None:
    source = resolve(parse(f"transformers:{name}"))
    assert {key: info.shape for key, info in source.build(False).inputs.items()} == inputs


@pytest.mark.slow
@pytest.mark.parametrize("name", ["distilbert", *slow("swin", "opt")])
def test_parameters_read_are_those_that_operations_touch(name: str, transformers: Any) -> None:
    source = resolve(parse(f"transformers:{name}"))
    graph = fxviz.trace(f"transformers:{name}")
    inputs = tree_map(dummy, dict(source.build(False).inputs), is_leaf=lambda value: isinstance(value, TensorInfo))
    read = {parameter for node in graph.nodes for parameter in node.uses}
    assert read == touched_parameters(source.build(True).module, inputs)


def dummy(info: TensorInfo) -> torch.Tensor:
    return torch.zeros(info.shape, dtype=getattr(torch, info.dtype))


def test_a_model_of_many_gigabytes_needs_none(transformers: Any) -> None:
    model = resolve(parse("transformers:mixtral")).build(False).module
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


def test_nothing_is_said_while_a_model_is_built(capfd: pytest.CaptureFixture[str], transformers: Any) -> None:
    resolve(parse("transformers:bert")).build(False)
    assert capfd.readouterr() == ("", "")


def test_a_library_makes_no_remarks_while_its_model_runs(
    fxviz: Callable[..., Any], in_tmp: Path, transformers: Any
) -> None:
    Path("config.json").write_text(
        '{"model_type": "mamba", "num_hidden_layers": 1, "hidden_size": 8, "vocab_size": 16}'
    )
    result = fxviz("trace", "transformers:config.json", "-o", "mamba.json")
    assert result.status == 0
    assert result.err.count("\n") == 1
