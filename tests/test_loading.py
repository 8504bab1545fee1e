"""Model names are resolved to models and their inputs, without weights, memory or a download."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models

from conftest import slow
from fxviz._graph import TensorInfo
from fxviz._graph.errors import UnknownModel, UsageError
from fxviz._sources import IMAGE
from fxviz._sources.reference import parse
from fxviz._sources.resolve import names, resolve
from fxviz._sources.source import empty_parameters


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)


# -------------------------------------------------------------------- names


def test_every_name_of_torchvision_is_known() -> None:
    assert names() == sorted(models.list_models())
    assert {resolve(parse(name)).origin for name in names()} == {"torchvision"}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("raft*", ["raft_large", "raft_small"]),
        ("raft", ["raft_large", "raft_small"]),
        ("resnet[13]?", ["resnet18", "resnet34"]),
        ("*_320_fpn", ["fasterrcnn_mobilenet_v3_large_320_fpn"]),
        ("RESNET18", ["quantized_resnet18", "resnet18"]),
    ],
)
def test_names_by_pattern(pattern: str, expected: list[str]) -> None:
    assert names(pattern) == expected


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("raft_smal", "did you mean raft_small"),
        ("xyzzy", r"unknown model 'xyzzy': fxviz.list_models\(\) shows all names"),
        ("", r"invalid model '': the name is empty; fxviz.list_models\(\)"),
        ("ResNet18", "resnet18"),
    ],
)
def test_an_unknown_name_is_refused_with_near_ones(name: str, hint: str) -> None:
    with pytest.raises(UnknownModel, match=hint):
        resolve(parse(name))


@pytest.mark.parametrize("model", [3, None, nn.Linear, b"resnet18"])
def test_what_is_no_model_is_refused(model: object) -> None:
    with pytest.raises(UsageError, match=r"pass a model name or a torch\.nn\.Module"):
        resolve(model)


def test_a_module_stands_for_itself() -> None:
    module = nn.Linear(3, 4)
    source = resolve(module)
    assert (source.name, source.origin, source.build(False).arguments.args) == ("Linear", "python", (IMAGE,))
    assert source.build(False).module is source.build(True).module is module


# -------------------------------------------------------------------- inputs


def image(*shape: int) -> TensorInfo:
    return TensorInfo(shape, "float32")


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("resnet18", (image(1, 3, 224, 224),)),
        ("inception_v3", (image(1, 3, 299, 299),)),
        ("vit_h_14", (image(1, 3, 224, 224),)),
        ("quantized_resnet18", (image(1, 3, 224, 224),)),
        ("fasterrcnn_resnet50_fpn", ([image(3, 224, 224)],)),
        ("ssd300_vgg16", ([image(3, 224, 224)],)),
        ("fcn_resnet50", (image(1, 3, 520, 520),)),
        ("r3d_18", (image(1, 3, 16, 112, 112),)),
        ("mvit_v2_s", (image(1, 3, 16, 224, 224),)),
        ("raft_small", (image(1, 3, 224, 224), image(1, 3, 224, 224))),
        *slow(("efficientnet_b7", (image(1, 3, 600, 600),))),
    ],
)
def test_default_inputs(name: str, inputs: tuple[Any, ...]) -> None:
    assert resolve(parse(name)).build(False).inputs == inputs


# -------------------------------------------------------------------- building


@pytest.mark.parametrize(
    "name", ["resnet18", "regnet_y_400mf", "ssdlite320_mobilenet_v3_large", "raft_small", "swin_v2_t"]
)
def test_an_empty_model_has_every_parameter_and_no_memory(name: str) -> None:
    empty, full = resolve(parse(name)).build(False).module, resolve(parse(name)).build(True).module
    assert {parameter.device.type for parameter in empty.parameters()} == {"meta"}
    assert {parameter.device.type for parameter in full.parameters()} == {"cpu"}
    described = [
        [(key, tuple(p.shape), p.dtype, p.requires_grad) for key, p in m.named_parameters()] for m in (empty, full)
    ]
    assert described[0] == described[1]
    assert not empty.training
    assert not full.training


def test_a_model_with_memory_is_the_same_each_time_it_is_built() -> None:
    first, second = (resolve(parse("shufflenet_v2_x0_5")).build(True).module.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("allocate", [True, False])
def test_a_quantized_model_is_built_in_floating_point(allocate: bool) -> None:
    model = resolve(parse("quantized_shufflenet_v2_x0_5")).build(allocate).module
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_366_792


@pytest.mark.parametrize("allocate", [True, False])
def test_building_leaves_torch_alone(allocate: bool) -> None:
    state, register = torch.get_rng_state(), nn.Module.register_parameter
    resolve(parse("shufflenet_v2_x0_5")).build(allocate)
    assert torch.equal(torch.get_rng_state(), state)
    assert nn.Module.register_parameter is register


def test_a_builder_that_fails_leaves_torch_alone() -> None:
    register = nn.Module.register_parameter
    with pytest.raises(ZeroDivisionError), empty_parameters():
        _ = 1 / 0
    assert nn.Module.register_parameter is register


# -------------------------------------------------------------------- parameters without memory


def test_tied_weights_stay_tied() -> None:
    with empty_parameters():
        model = nn.Module()
        model.a, model.b = nn.Linear(4, 4), nn.Linear(4, 4)
        weight = nn.Parameter(torch.rand(4, 4))
        model.c, model.d = weight, weight
        model.b.weight = model.a.weight
    assert model.b.weight is model.a.weight
    assert model.c is model.d
    assert sum(parameter.numel() for parameter in model.parameters()) == 16 + 4 + 4 + 16


def test_frozen_and_lists_of_parameters_keep_what_they_are() -> None:
    with empty_parameters():
        model = nn.ParameterList([nn.Parameter(torch.rand(2), requires_grad=False), nn.Parameter(torch.rand(3))])
    assert [(parameter.is_meta, parameter.requires_grad) for parameter in model] == [(True, False), (True, True)]


def test_a_layer_that_runs_while_its_model_is_built_meets_no_real_tensor() -> None:
    with empty_parameters(), torch.no_grad():
        block = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
        result = block(torch.zeros(1, 3, 8, 8))
        steps = torch.linspace(0, 1, 3).tolist()
    assert tuple(result.shape) == (1, 4, 6, 6)
    assert steps == [0.0, 0.5, 1.0]
    assert block[1].running_mean.tolist() == [0.0] * 4


def test_lazy_parameters_are_left_to_their_module() -> None:
    with empty_parameters():
        layer = nn.LazyLinear(4)
    assert layer(torch.zeros(2, 3)).shape == (2, 4)


def test_what_fills_memory_is_never_made_real() -> None:
    with empty_parameters():
        weight = nn.Parameter(torch.randn(2**20, 2**20))
        table = torch.zeros(4, 4)
    assert weight.is_meta
    assert not table.is_meta
