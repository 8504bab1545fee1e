"""Check that steps are timed as the model runs them, and that one that cannot be timed is refused, not guessed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode

import fxviz
from conftest import Notes, Result
from fxviz._graph import ArchGraph, ModelInfo
from fxviz._graph.errors import TraceError, UsageError
from fxviz._graph.options import TraceOptions
from fxviz._trace import timing, trace_module
from fxviz._trace.record import record
from fxviz._trace.timing import RUNS, _CpuClock, _Replay, time_nodes
from hard_cases import CASES, Box, Case, HeldTensor, Masks, Unregistered

Call = Callable[..., Result]
CALLS = ("module", "function", "method")


INFO = ModelInfo("model", "python", "Model")
CPU = TraceOptions(device="cpu")


def timed(model: nn.Module, inputs: Any) -> ArchGraph:
    return trace_module(model, inputs, INFO, TraceOptions(device="cpu", time=True))


def without_times(graph: ArchGraph) -> ArchGraph:
    return graph.with_nodes(tuple(replace(node, time=None) for node in graph.nodes))


def rows() -> tuple[Tensor]:
    return (torch.rand(2, 8),)


class Slow(nn.Module):
    """Waits at each call as long as the list says, and notes the calls."""

    def __init__(self, seconds: list[float]) -> None:
        super().__init__()
        self.waits = iter(seconds)  # how far an iterator went is not restored

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(next(self.waits))
        return x + 1


# -------------------------------------------------------------------- what is measured


@pytest.mark.slow
def test_the_median_of_the_timed_runs_counts() -> None:
    seconds = [0.02, 0.5, 0.06, 0.03, 0.04]
    slow = Slow([0.3, 0.3, *seconds])  # the trace, the warm-up, the timed runs
    graph = timed(nn.Sequential(slow, nn.ReLU()), rows())
    assert (RUNS, list(slow.waits)) == (len(seconds), [])
    found = {node.op: node.time for node in graph.nodes}
    assert median(seconds) <= found["Slow"] < 0.1  # their mean is 0.13
    assert 0 < found["ReLU"] < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case.build is not Unregistered], ids=lambda case: case.id)
def test_each_step_of_a_hard_case_is_timed(case: Case) -> None:
    model, inputs = case.build(), case.inputs()
    graph = timed(model, inputs)
    assert all(node.time is not None for node in graph.nodes)
    assert not any(node.time for node in graph.nodes if node.kind not in CALLS)
    untimed = {node.op for node in graph.nodes if node.kind in CALLS and not node.time}
    assert untimed <= {"getitem", "read_after_write"}
    assert without_times(graph) == trace_module(model, inputs, INFO, CPU)


def test_taking_a_part_out_of_a_tuple_costs_nothing_but_indexing_does() -> None:
    class Parts(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.chunk(2)[0][:, 1:]

    assert [(node.op, bool(node.time)) for node in timed(Parts(), rows()).nodes[1:-1]] == [
        ("chunk", True),
        ("getitem", False),
        ("getitem", False),
        ("getitem", True),
    ]


def test_no_hook_is_active_while_the_clock_runs() -> None:
    seen = Notes()
    notes = seen.reference

    class Looking(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            notes().append(
                (_get_current_dispatch_mode(), torch._C._len_torch_function_stack(), torch.is_grad_enabled())
            )
            return x + 1

    call = nn.Module.__call__
    timed(nn.Sequential(Looking()), rows())
    assert seen[-RUNS:] == [(None, 0, False)] * RUNS
    assert nn.Module.__call__ is call


def test_every_run_starts_from_the_same_inputs_buffers_and_random_numbers() -> None:
    seen = Notes()
    notes = seen.reference

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("steps", torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            self.steps += 1
            x += self.steps
            notes().append((float(self.steps), float(x.sum()), float(torch.rand(1))))
            return x * 1

    timed(nn.Sequential(Counting()), rows())
    assert len(seen) == RUNS + 2
    assert len(set(seen)) == 1


def test_shapes_that_depend_on_data_are_those_of_the_trace() -> None:
    inputs = (torch.tensor([[0.1] * 6 + [0.9] * 2]),)
    graph = timed(Masks(), inputs)
    assert {node.op: node.outputs for node in graph.nodes}["nonzero"][0].shape == (2, 2)


def test_cuda_waits_once_for_each_run_and_reads_its_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock for CUDA, with fake events."""
    log: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self, stream: str) -> None:
            log.append(stream)

        def elapsed_time(self, end: Event) -> float:
            assert isinstance(end, Event)
            return 2.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: log.append(f"wait for {device}"))
    monkeypatch.setattr(timing, "_clock", lambda device: timing._CudaClock("cuda:1"))
    graph = timed(nn.Sequential(nn.Linear(8, 3), nn.ReLU()), rows())
    assert [(node.op, node.time) for node in graph.nodes] == [
        ("input", 0.0),
        ("Linear", 0.002),
        ("ReLU", 0.002),
        ("output", 0.0),
    ]
    assert log == ([*["stream of cuda:1"] * 4, "wait for cuda:1"]) * RUNS


# -------------------------------------------------------------------- nothing changes


def test_what_the_model_writes_to_is_as_it_was() -> None:
    model, (x,) = HeldTensor(), rows()
    before = x.clone()
    timed(model, (x,))
    assert not model.held.any()
    assert torch.equal(x, before)
    assert model.training


def test_a_parameter_that_is_written_to_is_as_it_was() -> None:
    class Growing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(8))

        def forward(self, x: Tensor) -> Tensor:
            self.weight.add_(1)
            self.last = x * self.weight
            return self.last

    model, inputs = Growing(), rows()
    state = torch.get_rng_state()
    timed(model, inputs)
    assert torch.equal(model.weight, torch.ones(8))
    assert not hasattr(model, "last")
    assert model.weight.requires_grad
    assert torch.equal(torch.get_rng_state(), state)


def test_hooks_of_others_stay_when_a_step_fails() -> None:
    class Once(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = iter(range(1, 9))

        def forward(self, x: Tensor) -> Tensor:
            if next(self.calls) == 4:
                raise ValueError("enough\nof this")
            return x + 1

    class Theirs(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return func(*args, **(kwargs or {}))

    with Theirs() as mode:
        with pytest.raises(
            TraceError, match=r"op by op: '_0' fails by itself \(ValueError: enough\); leave out time=True"
        ):
            timed(nn.Sequential(Once()), rows())
        assert _get_current_dispatch_mode() is mode
    assert _get_current_dispatch_mode() is None


# -------------------------------------------------------------------- what cannot be timed


class Autocast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.fc(x)


class Unboxing(nn.Module):
    def forward(self, box: Box) -> Tensor:
        return box.tensor + 1


class Boxed(nn.Module):
    """Hands a layer an object of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Unboxing()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(Box(x))


class MakingBox(nn.Module):
    def forward(self, x: Tensor) -> tuple[Box, None]:
        return Box(x + 1), None


class Boxing(nn.Module):
    """Gets an object from a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = MakingBox()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)[0].tensor * 2


class Generated(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand(8, generator=torch.Generator())


class Filling(nn.Module):
    def forward(self, x: Tensor) -> None:
        x.fill_(1.0)


class Silent(nn.Module):
    """A layer that writes to its argument and returns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.filling = Filling()

    def forward(self, x: Tensor) -> Tensor:
        self.filling(x)
        return x * 2


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (Unregistered, "the model does not list its layer hidden.0 among its modules"),
        (Autocast, "'fc' returns 2×8 float32 by itself, 2×8 bfloat16 in the model"),
        (Boxed, r"'inner' fails by itself \(AttributeError: .*'tensor'\)"),
        (Generated, "'rand' takes an object of class Generator"),
        (Silent, "'filling' returns nothing and changes its arguments"),
        (Boxing, "'inner' returns an object of class Box"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_cannot_be_timed_is_said_in_one_line(build: Callable[[], nn.Module], reason: str) -> None:
    pattern = f"^cannot time {build.__name__} op by op: {reason}; leave out time=True$"
    with pytest.raises(TraceError, match=pattern) as caught:
        timed(build(), rows())
    assert "\n" not in str(caught.value)
    assert trace_module(build(), rows(), INFO, CPU).nodes


def test_a_step_that_gives_another_shape_is_refused() -> None:
    model = nn.Sequential(nn.Linear(8, 3))
    recording = record(model, rows(), CPU)
    with pytest.raises(TraceError, match=r"'_0' returns 5×3 float32 by itself, 2×3 float32 in the model"):
        time_nodes(model, replace(recording, values={"x": torch.rand(5, 8)}), CPU)


def test_a_replay_is_an_interpreter() -> None:
    """Check that it returns what the model returns."""
    model, inputs = nn.Sequential(nn.Linear(8, 3), nn.ReLU()), rows()
    replay = _Replay(model, record(model, inputs, CPU), _CpuClock())
    assert torch.equal(replay.run(*inputs), model(*inputs))


# -------------------------------------------------------------------- the doors


def test_a_saved_graph_keeps_its_times_and_nothing_else_is_new(in_tmp: Path, fxviz: Call) -> None:
    run = ("trace", "squeezenet1_1", "--input", "1x3x64x64", "--device", "cpu", "-q", "-o")
    assert fxviz(*run, "a.json", "--time") == Result(0, "", "")
    nodes = json.loads(Path("a.json").read_text())["nodes"]
    assert all(node["time"] > 0 for node in nodes if node["kind"] == "module")
    assert all(node["time"] == 0 for node in nodes if node["kind"] not in CALLS)
    assert fxviz(*run, "b.json") == Result(0, "", "")
    timed, untimed = ArchGraph.load("a.json"), ArchGraph.load("b.json")
    assert [node.time for node in timed.nodes] == [node["time"] for node in nodes]
    assert {node.time for node in untimed.nodes} == {None}
    assert without_times(timed) == untimed


@pytest.mark.slow
def test_rendering_times_too(fxviz: Call, in_tmp: Path) -> None:
    run = ("render", "squeezenet1_1", "--input", "1x3x64x64", "--device", "cpu", "--time", "-q", "-o", "a.svg")
    assert fxviz(*run, "--color-by", "time") == Result(0, "", "")
    assert list(in_tmp.iterdir()) == [in_tmp / "a.svg"]


@pytest.mark.parametrize("command", ["trace", "render"])
@pytest.mark.parametrize("device", [[], ["--device", "meta"]], ids=" ".join)
def test_what_does_not_compute_is_not_timed(fxviz: Call, in_tmp: Path, command: str, device: list[str]) -> None:
    said = "fxviz: cannot time on meta, which computes nothing: choose --device cpu or cuda\n"
    assert fxviz(command, "resnet18", "--time", *device) == Result(2, "", said)
    assert not list(in_tmp.iterdir())


def test_a_saved_graph_is_not_timed(fxviz: Call, tiny: ArchGraph, in_tmp: Path) -> None:
    tiny.save("tiny.json")
    result = fxviz("render", "tiny.json", "--device", "cpu", "--time")
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith("fxviz: 'tiny.json' is traced already: leave ")


def test_python_is_told_the_same() -> None:
    with pytest.raises(UsageError, match="cannot time on meta, which computes nothing: choose device='cpu' or 'cuda'"):
        fxviz.trace("resnet18", time=True)


@pytest.mark.parametrize("command", ["trace", "render"])
@pytest.mark.parametrize("extra", [[], ["--time"]], ids=" ".join)
def test_a_gpu_that_is_not_there_is_said(fxviz: Call, in_tmp: Path, command: str, extra: list[str]) -> None:
    count = torch.cuda.device_count()
    said = f"fxviz: device 'cuda:99' is not available: torch sees {count} GPU(s); use meta or cpu\n"
    assert fxviz(command, "resnet18", "--device", "cuda:99", *extra) == Result(2, "", said)
    assert not list(in_tmp.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu(fxviz: Call, in_tmp: Path) -> None:
    result = fxviz("trace", "resnet18", "--device", "cuda", "--time")
    assert result == Result(2, "", "fxviz: device 'cuda' is not available: torch sees 0 GPU(s); use meta or cpu\n")
