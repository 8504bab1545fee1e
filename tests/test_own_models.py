"""Trace models as people write them, and check what matters about each."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import fxviz
from conftest import Notes, slow
from fxviz._graph import ArchGraph, TensorInfo
from fxviz._graph.errors import TraceError
from fxviz._sources.inputs import Dummy
from hard_cases import Box, DataclassOutput, Lstm, Masks, OwnGradient, PackedGru, Unused

ROWS = TensorInfo((2, 8), "float32")


def ops(graph: ArchGraph) -> list[str]:
    return [node.op for node in graph.nodes]


def shapes(graph: ArchGraph) -> dict[str, tuple[int, ...]]:
    return {name: info.shape for name, info in graph.trace.inputs.items()}


def joined(graph: ArchGraph, target: str) -> set[str]:
    return {edge.source for edge in graph.edges if edge.target == target}


# -------------------------------------------------------------------- what goes in and comes out


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image, self.text = nn.Conv2d(3, 4, 3), nn.Embedding(10, 4)

    def forward(self, image: Tensor, text: Tensor, /, scale: float = 1.0, *, mask: Tensor | None = None) -> Tensor:
        y = self.image(image).mean((2, 3)) + self.text(text).mean(1) * scale
        return y if mask is None else y * mask


TWO = (TensorInfo((2, 3, 8, 8), "float32"), TensorInfo((2, 5), "int64"))


def test_two_inputs() -> None:
    graph = fxviz.trace(Two(), TWO)
    assert shapes(graph) == {"image": (2, 3, 8, 8), "text": (2, 5)}
    assert joined(graph, "add") == {"mean", "mul"}
    assert graph.total_macs == 2 * 36 * 4 * 27


def test_positions_and_keywords_together() -> None:
    graph = fxviz.trace(Two(), TWO, {"mask": TensorInfo((2, 4), "float32"), "scale": 2.0})
    assert shapes(graph) == {"image": (2, 3, 8, 8), "text": (2, 5), "mask": (2, 4)}
    assert ops(graph)[-2:] == ["mul", "output"]


def test_keywords_only() -> None:
    class Keywords(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 3)

        def forward(self, *, rows: Tensor, add: Tensor) -> Tensor:
            return self.fc(rows) + add

    add = TensorInfo((3,), "float32")
    for graph in (
        fxviz.trace(Keywords(), {"add": add, "rows": ROWS}),
        fxviz.trace(Keywords(), kwargs={"add": add, "rows": ROWS}),
    ):
        assert set(shapes(graph)) == {"rows", "add"}
        assert joined(graph, "add_1") == {"fc", "add"}


def test_a_dict_goes_in_and_a_dataclass_comes_out() -> None:
    graph = fxviz.trace(DataclassOutput(), {"x": ROWS, "scale": {"s": ROWS}})
    assert shapes(graph) == {"x": (2, 8), "scale_0": (2, 8)}
    assert [info.shape for info in graph.nodes[-1].outputs] == [(2, 8), (2, 8)]
    assert joined(graph, "output") == {"mul", "x"}


@dataclass(frozen=True)
class Batch:
    x: Tensor
    parts: list[Tensor]
    name: str = "batch"


class Point(NamedTuple):
    x: Tensor
    parts: list[Tensor]


class Adding(nn.Module):
    def forward(self, batch: Any) -> Tensor:
        return batch.x.add_(batch.parts[0])


@pytest.mark.parametrize("kind", [Batch, Point], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_a_dataclass_or_named_tuple_goes_in(kind: Any, device: str) -> None:
    graph = fxviz.trace(Adding(), (kind(ROWS, [ROWS]),), device=device)
    assert (graph.trace.method, ops(graph)) == (
        "fake" if device == "meta" else "real",
        ["batch_0", "batch_1", "add_", "output"],
    )
    x = torch.ones(2, 8)
    fxviz.trace(Adding(), (kind(x, [x]),), device=device)
    assert torch.equal(x, torch.ones(2, 8))


def test_an_object_of_the_users_own_goes_in() -> None:
    class Unboxing(nn.Module):
        def forward(self, box: Box) -> Tensor:
            return box.tensor.mul_(2)

    x = torch.ones(2, 8)
    for device in ("meta", "cpu"):
        assert ops(fxviz.trace(Unboxing(), Box(x), device=device)) == ["box_0", "mul_", "output"]
        assert torch.equal(x, torch.ones(2, 8))


# -------------------------------------------------------------------- sequences


def test_an_lstm() -> None:
    graph = fxviz.trace(Lstm(), TensorInfo((2, 5, 8), "float32"))
    (lstm,) = (node for node in graph.nodes if node.op == "LSTM")
    assert [info.shape for info in lstm.outputs] == [(2, 5, 32), (4, 2, 16), (4, 2, 16)]
    assert lstm.params == sum(parameter.numel() for parameter in Lstm().lstm.parameters())


def test_a_sequence_that_the_model_packs() -> None:
    graph = fxviz.trace(PackedGru(), torch.rand(2, 5, 8))
    assert graph.trace.method == "real"
    assert graph.traced_params == graph.total_params


def test_a_packed_sequence_goes_in() -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(8, 16, batch_first=True)

        def forward(self, sequence: PackedSequence) -> Tensor:
            return self.gru(sequence)[1] * 2

    packed = pack_padded_sequence(torch.rand(2, 5, 8), torch.tensor([5, 3]), batch_first=True)
    for how in ({}, {"device": "cpu"}):
        graph = fxviz.trace(Packed(), (packed,), **how)
        (gru,) = (node for node in graph.nodes if node.op == "GRU")
        assert gru.outputs[0].shape == (8, 16)  # 5 + 3 steps
        assert gru.params == graph.total_params
        assert graph.nodes[-1].outputs[0].shape == (1, 2, 16)


# -------------------------------------------------------------------- parameters


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(1000, 64)
        self.hidden = nn.Linear(64, 64)
        self.words = nn.Linear(64, 1000, bias=False)
        self.words.weight = self.table.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.words(self.hidden(self.table(ids)))


def test_tied_weights_count_once() -> None:
    graph = fxviz.trace(Tied(), TensorInfo((1, 5), "int64"))
    assert (graph.total_params, graph.traced_params) == (68_160, 68_160)
    assert [(node.op, node.params, node.shared) for node in graph.nodes if node.kind == "module"] == [
        ("Embedding", 64_000, ()),
        ("Linear", 4_160, ()),
        ("Linear", 0, ("table.weight",)),
    ]


def test_one_layer_called_three_times() -> None:
    class Thrice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.fc(self.fc(x)))

    graph = fxviz.trace(Thrice(), ROWS)
    layers = [node for node in graph.nodes if node.kind == "module"]
    assert [(node.path, node.call, node.params, node.macs) for node in layers] == [
        ("fc", 0, 72, 128),
        ("fc", 1, 0, 128),
        ("fc", 2, 0, 128),
    ]


def test_a_layer_that_is_never_called() -> None:
    graph = fxviz.trace(Unused(), ROWS)
    assert graph.total_params - graph.traced_params == 27
    assert {parameter.name for parameter in graph.untraced} == {"spare.weight", "spare.bias"}


def test_a_bare_parameter() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(8))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.scale

    graph = fxviz.trace(Bare(), ROWS)
    assert [(node.kind, node.path, node.params) for node in graph.nodes if node.params] == [("parameter", "scale", 8)]
    assert joined(graph, "mul") == {"x", "scale"}


def test_a_model_without_parameters() -> None:
    class Plain(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.nn.functional.softmax(x.flatten(1), -1)

    graph = fxviz.trace(Plain(), TensorInfo((2, 3, 4), "float32"))
    assert (graph.total_params, ops(graph)) == (0, ["x", "flatten", "softmax", "output"])


# -------------------------------------------------------------------- code


def test_control_flow_on_data_is_guessed_or_real() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.yes, self.no = nn.Linear(8, 3), nn.Linear(8, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.yes(x) if x.sum() > 0 else self.no(x)

    guessed, real = (
        fxviz.trace(Branching(), -torch.ones(2, 8)),
        fxviz.trace(Branching(), -torch.ones(2, 8), device="cpu"),
    )
    assert (guessed.trace.method, guessed.trace.guessed) == ("guessed", {"aten._local_scalar_dense": 1})
    assert (real.trace.method, real.nodes[-1].outputs[0].shape) == ("real", (2, 5))
    assert fxviz.trace(Masks(), torch.rand(2, 8)).trace.method == "guessed"


class Descending(nn.Module):
    """Loops until a value is small."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        while x.sum() > 0:
            x = x - 1
        return self.fc(x)


@pytest.mark.slow
def test_a_loop_that_waits_for_a_value_runs_for_real(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fxviz._trace.hooks._MOST_VALUES", 20)
    graph = fxviz.trace(Descending(), torch.ones(2, 8))
    assert (graph.trace.method, ops(graph)) == ("real", ["x", "sum", "gt", "sub", "sum", "gt", "Linear", "output"])
    with pytest.raises(
        TraceError, match=r"at .*test_own_models.py:\d+, '.*': EndlessGuess: 20 values .*: give its parameters memory"
    ):
        fxviz.trace(Descending().to("meta"), ROWS)


class Searching(nn.Module):
    """Looks at each of many candidates, of which it has none where the values are known."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        for place in torch.nonzero(x > 2):
            x = x + (x[place[0]] + 1).sum()
        return self.fc(x)


def test_a_loop_that_is_too_long_with_guesses_runs_for_real(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fxviz._trace.hooks._MOST_OPERATIONS", {True: 50, False: 70})
    graph = fxviz.trace(Searching(), torch.ones(4, 8))
    assert (graph.trace.method, ops(graph)) == ("real", ["x", "gt", "nonzero", "Linear", "output"])
    with pytest.raises(TraceError, match=r"TooManySteps: 70 operations .*; give it smaller inputs, or"):
        fxviz.trace(Searching(), torch.full((4, 8), 3.0))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_a_scripted_part_of_a_model_without_memory(in_tmp: Path) -> None:
    Path("scripted_net.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.stem, self.part = nn.Linear(8, 4), torch.jit.script(nn.Sequential(nn.Linear(4, 3)))\n"
        "    def forward(self, x):\n        return self.part(self.stem(x))\n"
    )
    graph = fxviz.trace("scripted_net.py:Net", ROWS)
    assert (graph.trace.method, graph.traced_params) == ("fake", 51)
    with pytest.raises(TraceError, match=r"scripted_net.py:8, .*': RuntimeError: [^;]*; it was given 2×5 float32"):
        fxviz.trace("scripted_net.py:Net", TensorInfo((2, 5), "float32"))


def test_a_custom_autograd_function() -> None:
    graph = fxviz.trace(OwnGradient(), ROWS)
    assert ops(graph) == ["x", "mul", "Parameter", "matmul", "add", "output"]
    assert graph.total_macs == 2 * 8 * 8


class Down(nn.Sequential):
    def __init__(self, given: int, made: int) -> None:
        super().__init__(nn.Conv2d(given, made, 3, padding=1), nn.BatchNorm2d(made), nn.ReLU(inplace=True))


class UNet(nn.Module):
    def __init__(self, widths: tuple[int, ...] = (4, 8, 16)) -> None:
        super().__init__()
        self.down = nn.ModuleList(Down(given, made) for given, made in zip((3, *widths), widths, strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, 2, 2) for width in widths[-2::-1])
        self.joined = nn.ModuleList(Down(2 * width, width) for width in widths[-2::-1])
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept: list[Tensor] = []
        for block in self.down[:-1]:
            kept.append(block(x))
            x = nn.functional.max_pool2d(kept[-1], 2)
        x = self.down[-1](x)
        for up, block in zip(self.up, self.joined, strict=True):
            x = block(torch.cat([up(x), kept.pop()], 1))
        return self.head(x)


def test_a_u_net() -> None:
    graph = fxviz.trace(UNet(), TensorInfo((1, 3, 32, 32), "float32"))
    assert graph.skip_counts["concat"] == 2
    assert Counter(ops(graph))["cat"] == 2
    assert graph.nodes[-1].outputs[0].shape == (1, 1, 32, 32)
    assert graph.traced_params == graph.total_params == sum(parameter.numel() for parameter in UNet().parameters())


def test_a_module_that_prints_warns_and_sleeps(capsys: pytest.CaptureFixture[str]) -> None:
    class Chatty(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            print(x.shape)
            warnings.warn("slow", stacklevel=1)
            time.sleep(0.01)
            return self.fc(x)

    with pytest.warns(UserWarning, match="slow"):
        graph = fxviz.trace(nn.Sequential(Chatty()), ROWS)
    assert ops(graph) == ["input", "Linear", "output"]
    assert capsys.readouterr() == ("", "torch.Size([2, 8])\n")


def test_one_that_raises_halfway() -> None:
    class Halfway(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(8, 6), nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.body(x).relu()
            z = torch.matmul(y, x)
            return self.head(z)

    graph = fxviz.trace(Halfway(), ROWS, partial=True)
    failure = graph.trace.failure
    assert ops(graph) == ["x", "Linear", "relu", "matmul"]
    assert failure is not None
    assert (failure.node, failure.path, failure.class_name) == ("matmul", "", "Halfway")
    assert failure.inputs == (TensorInfo((2, 6), "float32"), ROWS)
    assert (failure.file, failure.code) == (__file__, "z = torch.matmul(y, x)")
    assert failure.line == Halfway.forward.__code__.co_firstlineno + 2
    assert joined(graph, "matmul") == {"relu", "x"}
    assert [parameter.name for parameter in graph.untraced] == ["head.weight", "head.bias"]


# -------------------------------------------------------------------- values and size


def test_a_range_is_kept_where_values_count() -> None:
    seen = Notes()
    note = seen.reference

    class Looking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(1000, 4)

        def forward(self, ids: Tensor, scale: Tensor) -> Tensor:
            note().extend([ids.tolist(), scale.tolist()])
            return self.table(ids) * scale.mean()

    def run(low: int, high: int) -> tuple[Tensor, Tensor]:
        seen.clear()
        fxviz.trace(Looking(), (Dummy((1, 500), "int64", low, high), Dummy((64,), "float32", -3, -2)), device="cpu")
        return torch.tensor(seen[0]), torch.tensor(seen[1])

    ids, scale = run(900, 1000)
    assert 900 <= int(ids.min()) < int(ids.max()) < 1000
    assert -3 <= float(scale.min()) < float(scale.max()) < -2
    assert torch.equal(run(900, 1000)[0], ids)
    with pytest.raises(fxviz.FxvizError, match="index out of range"):
        run(1000, 1001)


@pytest.mark.slow
@pytest.mark.parametrize("layers", [300, *slow(10_000)])
def test_a_model_of_many_layers(layers: int) -> None:
    graph = fxviz.trace(nn.Sequential(*(nn.Linear(4, 4) for _ in range(layers))), TensorInfo((1, 4), "float32"))
    assert len(graph.nodes) == layers + 2
    assert graph.total_params == graph.traced_params == 20 * layers
    assert [row.times for row in fxviz.render(graph).view.rows] == [layers]
