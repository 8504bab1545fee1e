"""Check that a model is traced rightly, or refused in one sentence, wherever the call stands."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import fxviz
from conftest import slow
from fxviz import UsageError


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Linear(8, 8), nn.BatchNorm1d(8)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(self.layer(x)).relu()


class Functions(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


class Operations(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def steps(graph: fxviz.ArchGraph) -> list[Any]:
    return [(node.op, node.path, node.macs) for node in graph.nodes]


def traced(**options: Any) -> list[Any]:
    return steps(fxviz.trace(Net(), fxviz.TensorInfo((4, 8), "float32"), **options))


INSIDE: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "device meta": lambda: torch.device("meta"),
    "device cpu": lambda: torch.device("cpu"),
    "fake tensors": FakeTensorMode,
    "inference mode": torch.inference_mode,
    "functions": Functions,
    "operations": Operations,
    "flops": lambda: FlopCounterMode(display=False),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "anomalies": lambda: torch.autograd.detect_anomaly(check_nan=False),
    "saved tensors": lambda: torch.autograd.graph.saved_tensors_hooks(lambda x: x, lambda x: x),
}


@pytest.mark.parametrize("name", [*list(INSIDE)[:3], *slow(*list(INSIDE)[3:])])
@pytest.mark.filterwarnings("ignore:Anomaly")
def test_a_model_is_traced_inside(name: str) -> None:
    expected = traced()
    inputs = torch.rand(4, 8)
    model = Net()
    with INSIDE[name]() as entered:
        modes = torch.overrides._get_current_function_mode_stack()
        assert traced() == expected
        assert steps(fxviz.trace(model, inputs)) == expected
        assert steps(fxviz.trace(model, inputs, device="cpu")) == expected
        assert torch.overrides._get_current_function_mode_stack() == modes
    if isinstance(entered, FlopCounterMode):
        assert entered.get_total_flops() == 0


@pytest.mark.slow
@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_a_named_model_is_built_apart_from_a_default_device(device: str) -> None:
    expected = steps(fxviz.trace("resnet18", device=device))
    for inside in (torch.device("meta"), FakeTensorMode()):
        with inside:
            assert steps(fxviz.trace("resnet18", device=device)) == expected


def test_fake_parameters_cannot_run_for_real() -> None:
    with FakeTensorMode(), pytest.raises(UsageError, match=r"'layer.weight' is a fake tensor, which has no values"):
        traced(device="cpu")


def test_nothing_of_a_trace_is_recorded_by_another() -> None:
    model, inputs = Net(), torch.zeros(4, 8)
    graph = make_fx(lambda x: (fxviz.trace(model, inputs), x + 1)[1])(torch.zeros(2)).graph
    assert [node.name for node in graph.nodes] == ["x_1", "add", "output"]


@pytest.mark.parametrize("run", [torch.func.vmap, torch.func.grad])
def test_a_trace_inside_a_function_transform_is_refused(run: Callable[..., Any]) -> None:
    model, inputs = Net(), torch.zeros(4, 8)

    def function(x: Tensor) -> Tensor:
        fxviz.trace(model, inputs)
        return x.sum()

    with pytest.raises(UsageError, match=r"^cannot trace a model inside vmap, grad or another function transform"):
        run(function)(torch.rand(3, 8))


@pytest.mark.filterwarnings("ignore")
def test_a_trace_inside_a_trace_is_refused() -> None:
    class Outer(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            traced()
            return x

    with pytest.raises(UsageError, match=r"^cannot trace a model inside torch.jit.trace: do it before$"):
        torch.jit.trace(lambda x: (traced(), x)[1], torch.zeros(2))
    with pytest.raises(fxviz.FxvizError, match="inside the forward of a model that is being traced: do it before"):
        fxviz.trace(Outer(), torch.zeros(2))


def test_functional_calls_are_seen() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = Net()

        def forward(self, x: Tensor) -> Tensor:
            doubled = {name: parameter * 2 for name, parameter in self.net.named_parameters()}
            return torch.func.functional_call(self.net, doubled, (x,))

    graph = fxviz.trace(Outer(), torch.zeros(4, 8))
    assert [node.op for node in graph.nodes if node.macs or node.op == "BatchNorm1d"] == ["Linear", "BatchNorm1d"]
    assert graph.total_params == sum(parameter.numel() for parameter in Net().parameters())


def test_threads_and_loops_trace_one_model() -> None:
    model, expected = Net(), traced()

    async def several() -> list[Any]:
        return await asyncio.gather(*(asyncio.to_thread(fxviz.trace, model, torch.zeros(4, 8)) for _ in range(3)))

    with ThreadPoolExecutor(3) as pool:
        graphs = list(pool.map(lambda _: fxviz.trace(model, torch.zeros(4, 8)), range(3)))
    assert all(steps(graph) == expected for graph in [*graphs, *asyncio.run(several())])


@pytest.mark.parametrize("kind", ["trace", "profile"])
def test_the_trace_function_of_a_debugger_stays(kind: str) -> None:
    expected, seen = traced(), set()

    def noting(frame: Any, event: str, argument: Any) -> Any:
        seen.add(frame.f_code.co_name)
        return None

    before = getattr(sys, f"get{kind}")()
    getattr(sys, f"set{kind}")(noting)
    try:
        found = traced()
        stayed = getattr(sys, f"get{kind}")() is noting
    finally:
        getattr(sys, f"set{kind}")(before)
    assert stayed and found == expected and "forward" in seen


PROGRAM = """
import pickle, sys
import torch, fxviz
from torch import nn

class Here(nn.Module):
    def forward(self, x):
        return x

if __name__ == "__main__":
    model, inputs = nn.Sequential(nn.Linear(8, 8), nn.ReLU()), torch.zeros(4, 8)
    assert fxviz.trace(model, inputs, isolated=True) == fxviz.trace(model, inputs)
    for model, inputs in ((Here(), inputs), (model, torch.zeros(4, 7))):
        try:
            fxviz.trace(model, inputs, isolated=True)
        except fxviz.FxvizError as error:
            print(error)
"""


@pytest.mark.slow
def test_a_process_of_its_own_returns_the_graph_alone(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    run = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    refused, failed = run.stdout.splitlines()
    assert refused == (
        "cannot trace Here in a process of its own: its class Here is defined in the program that runs; "
        "name the file that builds it (net.py:Net), or leave out isolated=True"
    )
    assert failed.startswith("cannot trace Sequential: 0 (Linear): RuntimeError: ")


@pytest.mark.slow
def test_a_process_of_its_own_keeps_what_a_file_does(tmp_path: Path, fxviz: Any) -> None:
    (tmp_path / "net.py").write_text(
        "import os\nfrom torch import nn\nprint('imported')\nos.environ['SET_BY_NET'] = '1'\nNet = nn.ReLU\n",
        encoding="utf-8",
    )
    result = fxviz("trace", f"{tmp_path}/net.py:Net", "--isolated", "-o", "-")
    assert result.status == 0
    assert '"relu"' in result.out and "imported" not in result.out
    assert "SET_BY_NET" not in os.environ
