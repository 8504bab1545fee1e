"""``timm:NAME``: every model of timm, on images of the size that timm declares."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import fxviz
from conftest import optional, slow
from fxviz._graph.errors import UnknownModel, UsageError
from fxviz._sources.reference import parse
from fxviz._sources.resolve import names, resolve
from reference_runs import touched_parameters

HINT = r"timm, which is not installed: pip install \"fxviz\[timm\]\""


@pytest.fixture
def without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)


# -------------------------------------------------------------------- without the library


@pytest.mark.parametrize(
    "ask", [lambda: resolve(parse("timm:resnet50")), lambda: names("timm:"), lambda: fxviz.trace("timm:x")]
)
def test_without_timm_its_models_are_refused_with_a_hint(ask: Callable[[], Any], without_timm: None) -> None:
    with pytest.raises(UsageError, match=HINT):
        ask()


def test_the_command_line_says_so_in_one_line(fxviz: Callable[..., Any], in_tmp: Path, without_timm: None) -> None:
    for arguments in (("render", "timm:resnet50"), ("list", "timm:resnet*")):
        result = fxviz(*arguments)
        assert (result.status, result.out) == (2, "")
        assert result.err.count("\n") == 1
        assert 'pip install "fxviz[timm]"' in result.err
    assert not list(in_tmp.iterdir())


def test_torchvision_does_not_need_timm(without_timm: None) -> None:
    assert resolve(parse("resnet18")).origin == "torchvision"
    assert not any(":" in name for name in names())


# -------------------------------------------------------------------- names


@pytest.fixture
def timm() -> Any:
    return optional("timm")


def test_every_name_of_timm_is_known(timm: Any) -> None:
    assert names("timm:") == sorted(f"timm:{name}" for name in timm.list_models())
    assert names("timm:resnet3?") == ["timm:resnet34"]
    assert names("timm:resnetv2_18") == ["timm:resnetv2_18", "timm:resnetv2_18d"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        (
            "timm:resnet81",
            r"unknown model 'timm:resnet81': did you mean timm:resnet\w+, timm:resnet\w+ or timm:resnet\w+\?",
        ),
        ("timm:xyzzyxyzzy", r"unknown model 'timm:xyzzyxyzzy': fxviz.list_models\('timm:'\) shows all names"),
        ("timm:", r"unknown model 'timm:': fxviz.list_models\('timm:'\) shows all names"),
        ("timm:resnet18.no_such_weights", "unknown model 'timm:resnet18.no_such_weights'"),
        ("tinm:resnet18", "unknown model 'tinm:resnet18'"),
    ],
)
def test_an_unknown_name_is_refused_with_near_ones(name: str, hint: str, timm: Any) -> None:
    with pytest.raises(UnknownModel, match=hint):
        resolve(parse(name))


def test_the_command_line_lists_them(fxviz: Callable[..., Any], timm: Any) -> None:
    result = fxviz("list", "timm:convnext_t*")
    assert result.status == 0
    assert "timm:convnext_tiny" in result.out.split()
    assert all(name.startswith("timm:convnext_t") for name in result.out.split())


# -------------------------------------------------------------------- inputs and graphs


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("timm:resnet50", (3, 224, 224)),
        ("timm:vit_base_patch16_384", (3, 384, 384)),
        *slow(
            ("timm:inception_v3", (3, 299, 299)),
            ("timm:tf_efficientnet_b7", (3, 600, 600)),
            ("timm:vit_base_patch14_dinov2", (3, 518, 518)),
            ("timm:samvit_base_patch16", (3, 1024, 1024)),
        ),
    ],
)
def test_images_have_the_size_that_timm_declares(name: str, size: tuple[int, ...], timm: Any) -> None:
    assert resolve(parse(name)).build(False).inputs[0].shape == (1, *size)
    assert tuple(timm.get_pretrained_cfg(name.removeprefix("timm:")).input_size) == size


@pytest.mark.parametrize(
    ("name", "params", "skips"),
    [
        ("resnet50", 25_557_032, {"identity": 12, "projection": 4}),
        *slow(
            ("vit_base_patch16_224", 86_567_656, {"identity": 24}),
            ("efficientnet_b0", 5_288_548, {"identity": 9, "gate": 16}),
            ("convnext_tiny", 28_589_128, {"identity": 18}),
            ("vgg11", 132_863_336, {}),
            ("densenet121", 7_978_856, {"concat": 58}),
            ("mixer_b16_224", 59_880_472, {"identity": 24}),
            ("swin_tiny_patch4_window7_224", 28_288_354, {"identity": 24}),
        ),
    ],
)
def test_totals_and_skips(name: str, params: int, skips: dict[str, int], timm: Any) -> None:
    graph = fxviz.trace(f"timm:{name}")
    assert graph.model.source == "timm"
    assert graph.trace.method == "fake"
    assert graph.total_params == graph.traced_params + sum(parameter.size for parameter in graph.untraced) == params
    assert {kind: count for kind, count in graph.skip_counts.items() if count} == skips


@pytest.mark.parametrize(
    "name",
    ["resnet18", *slow("botnet26t_256", "levit_128s", "coat_lite_tiny", "gemma4_vit_167m_enc")],
)
def test_parameters_read_are_those_that_operations_touch(name: str, timm: Any) -> None:
    source = resolve(parse(f"timm:{name}"))
    graph = fxviz.trace(f"timm:{name}")
    image = torch.zeros(source.build(False).arguments.args[0].shape, device="meta")
    assert {parameter for node in graph.nodes for parameter in node.uses} == touched_parameters(
        source.build(False).module.to("meta"), (image,)
    )


def test_a_model_is_built_without_memory_and_the_same_each_time(timm: Any) -> None:
    source = resolve(parse("timm:resnet18"))
    assert {parameter.device.type for parameter in source.build(False).module.parameters()} == {"meta"}
    first, second = (source.build(True).module.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_published_weights_are_listed_by_tag_the_default_first(timm: Any) -> None:
    from fxviz._sources.timm import knows, published

    weights = published("resnet18")
    assert [entry.name for entry in weights if entry.is_default] == [weights[0].name] == ["a1_in1k"]
    assert [entry.name for entry in published("resnet18.a2_in1k")] == ["a2_in1k"]
    assert [knows(name) for name in ("resnet18", "resnet18.a1_in1k", "resnet18.mine")] == [True, True, False]
