"""Check that a trace on a GPU equals one without, but for the times, which are the device's. Skipped without a GPU."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_map_only

import fxviz
from conftest import Result
from fxviz._graph import ArchGraph, ModelInfo, TensorInfo
from fxviz._graph.options import TraceOptions
from fxviz._sources.reference import parse
from fxviz._sources.resolve import resolve
from fxviz._trace import trace_module
from hard_cases import (
    CASES,
    Case,
    ConvNorm,
    Encoder,
    FusedWeights,
    InPlace,
    Lstm,
    Masks,
    PackedGru,
    Reparametrized,
    SharedModule,
    Vmapped,
)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

MODELS = [
    "resnet18",
    "mobilenet_v3_small",
    "densenet121",
    "googlenet",
    "vit_b_16",
    "swin_t",
    "lraspp_mobilenet_v3_large",
]
ON_CUDA = (ConvNorm, Encoder, FusedWeights, InPlace, Lstm, Masks, PackedGru, Reparametrized, SharedModule, Vmapped)
"""Hard cases whose code makes no tensors on the CPU."""


@cache
def on_cuda(name: str) -> ArchGraph:
    return fxviz.trace(name, device="cuda", time=True)


def traced(model: nn.Module, inputs: object, device: str, time: bool = False) -> ArchGraph:
    inputs = tree_map_only(torch.Tensor, lambda tensor: tensor.to(device), inputs)
    info, options = ModelInfo("model", "python", "Model"), TraceOptions(device=device, time=time)
    return trace_module(model.to(device), inputs, info, options)


def bare(graph: ArchGraph) -> ArchGraph:
    """Return the graph without times, device and method."""
    nodes = tuple(replace(node, time=None) for node in graph.nodes)
    return replace(graph, nodes=nodes, trace=replace(graph.trace, device="", method=""))


# -------------------------------------------------------------------- the same graph


@pytest.mark.parametrize("name", MODELS)
def test_shapes_and_macs_are_those_of_a_trace_without_a_gpu(name: str) -> None:
    real, fake = on_cuda(name), fxviz.trace(name)
    assert [(node.id, node.outputs) for node in real.nodes] == [(node.id, node.outputs) for node in fake.nodes]
    assert [(node.id, node.macs) for node in real.nodes] == [(node.id, node.macs) for node in fake.nodes]
    assert bare(real) == bare(fake)
    assert (real.trace.device, real.trace.method) == ("cuda", "real")


@pytest.mark.parametrize("case", [case for case in CASES if case.build in ON_CUDA], ids=lambda case: case.id)
def test_a_hard_case_is_traced_and_timed_as_on_the_cpu(case: Case) -> None:
    model, inputs = case.build(), case.inputs()
    expected = bare(traced(model, inputs, "cpu"))
    graph = traced(model, inputs, "cuda", time=True)
    assert bare(graph) == expected
    assert all(node.time for node in graph.nodes if node.kind == "module")


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.LSTM(8, 16, 2, bidirectional=True),
        lambda: nn.LSTM(8, 16, proj_size=4, batch_first=True),
        lambda: nn.GRU(8, 16, 2),
        lambda: nn.GRU(8, 16, bidirectional=True, bias=False),
        lambda: nn.RNN(8, 16),
    ],
    ids=["LSTM", "LSTM with projection", "GRU", "GRU without bias", "RNN"],
)
def test_macs_of_recurrent_layers_are_those_on_the_cpu(build: Callable[[], nn.Module]) -> None:
    model, inputs = nn.Sequential(build()), (torch.rand(5, 2, 8),)
    on_cpu = traced(model, inputs, "cpu")
    assert on_cpu.total_macs > 0
    assert [node.macs for node in traced(model, inputs, "cuda").nodes] == [node.macs for node in on_cpu.nodes]


# -------------------------------------------------------------------- times


@pytest.mark.parametrize("name", MODELS)
def test_each_layer_takes_time(name: str) -> None:
    graph = on_cuda(name)
    assert all(node.time is not None and node.time >= 0 for node in graph.nodes)
    assert all(node.time for node in graph.nodes if node.kind == "module")
    assert not any(node.time for node in graph.nodes if node.kind in ("input", "parameter", "output"))
    assert 1e-4 < sum(node.time or 0 for node in graph.nodes) < 10


def test_the_time_is_the_devices_not_that_of_the_call() -> None:
    """1.1 tera multiply-adds take milliseconds; the call that starts them returns in microseconds."""
    model = nn.Sequential(nn.Linear(8192, 8192, bias=False), nn.ReLU())
    graph = traced(model, TensorInfo((8192, 8192), "float32"), "cuda", time=True)
    product, relu = (node.time for node in graph.nodes if node.kind == "module")
    assert product is not None and relu is not None
    assert product > 1e-3
    assert product > 3 * relu


# -------------------------------------------------------------------- nothing changes


def test_the_model_the_input_and_the_random_state_are_as_they_were() -> None:
    model = resolve(parse("resnet18")).build(True).module.to("cuda").train()
    image = torch.rand(2, 3, 64, 64, device="cuda")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    given, state, device = image.clone(), torch.cuda.get_rng_state(), torch.cuda.current_device()
    fxviz.trace(model, image, device="cuda:0", time=True)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert {parameter.device.type for parameter in model.parameters()} == {"cuda"}
    assert torch.equal(image, given)
    assert torch.equal(torch.cuda.get_rng_state(), state)
    assert torch.cuda.current_device() == device


def test_a_module_that_lives_on_stays_where_it_is(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (in_tmp / "module_that_lives_on.py").write_text(
        "from torch import nn\nmade = nn.Linear(4, 2)\ndef get():\n    return made\n"
    )
    monkeypatch.syspath_prepend(str(in_tmp))
    for name in ("made", "get"):
        graph = fxviz.trace(f"module_that_lives_on:{name}", TensorInfo((1, 4), "float32"), device="cuda")
        assert (graph.trace.device, graph.trace.method) == ("cuda", "real")
    assert {parameter.device.type for parameter in sys.modules["module_that_lives_on"].made.parameters()} == {"cpu"}


# -------------------------------------------------------------------- the command line


def test_the_command_line_times_on_cuda(fxviz: Callable[..., Result], in_tmp: Path) -> None:
    assert fxviz("trace", "resnet18", "--device", "cuda", "--time", "-q") == Result(0, "", "")
    graph = ArchGraph.load("resnet18.json")
    assert graph.trace.device == "cuda"
    assert all(node.time for node in graph.nodes if node.kind == "module")
    assert fxviz("render", "resnet18.json", "-q") == Result(0, "", "")


def test_a_gpu_that_is_not_there_is_said(fxviz: Callable[..., Result], in_tmp: Path) -> None:
    result = fxviz("trace", "resnet18", "--device", "cuda:99", "--time")
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith("fxviz: device 'cuda:99' is not available: torch sees ")
    assert result.err.count("\n") == 1
