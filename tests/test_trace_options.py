"""Check training mode, modules that are one node, and a submodule recorded with the inputs it really receives."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import fxviz
from conftest import Notes
from fxviz._graph import ArchGraph, ModelInfo, TensorInfo
from fxviz._graph.errors import TraceError, UsageError
from fxviz._graph.options import TraceOptions
from fxviz._trace import trace_module
from test_undisturbed import Restless, unchanged

ROWS = TensorInfo((2, 8), "float32")
INFO = ModelInfo("model", "python", "Model")


def ops(graph: ArchGraph) -> list[str]:
    return [node.op for node in graph.nodes]


def facts(graph: ArchGraph) -> Any:
    """Return what does not depend on the position of a part in its model."""
    nodes = [
        (node.id, node.op, node.path, node.scope, node.uses, node.outputs, node.macs, node.params)
        for node in graph.nodes
    ]
    return nodes, graph.edges, graph.parameters, graph.skips, [(s.path, s.cls, s.parent) for s in graph.scopes[1:]]


# -------------------------------------------------------------------- training


class Dropping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.norm = nn.BatchNorm1d(8)

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.norm(self.fc(x)), 0.5, self.training)


@pytest.mark.slow
def test_auxiliary_heads_appear_in_training_mode_only() -> None:
    trained, evaluated = fxviz.trace("googlenet", train=True), fxviz.trace("googlenet")
    assert (trained.trace.training, evaluated.trace.training) == (True, False)
    assert trained.total_params - trained.traced_params == 0
    assert sum(parameter.size for parameter in evaluated.untraced) == 6_379_984
    assert [len(graph.nodes[-1].outputs) for graph in (trained, evaluated)] == [3, 1]


def test_dropout_is_recorded_in_training_mode_only() -> None:
    model = Dropping().eval()
    assert "dropout" in ops(fxviz.trace(model, ROWS, train=True))
    assert "dropout" not in ops(fxviz.trace(model, ROWS))
    assert not model.training


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("training", [True, False])
def test_a_model_is_as_before_after_a_run_in_training_mode(device: str, training: bool) -> None:
    model, inputs = Restless().train(training), (torch.rand(4, 8),)
    model.norm.train(not training)
    with unchanged(model):
        graph = trace_module(model, inputs, INFO, TraceOptions(device=device, train=True))
    assert graph.trace.training
    model = nn.Sequential(nn.BatchNorm1d(8))
    with unchanged(model):
        trace_module(model, inputs, INFO, TraceOptions(device=device, train=True))


def test_times_are_taken_in_training_mode() -> None:
    seen = Notes()
    noted = seen.reference

    class Noting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            noted().append(self.training)
            return x + 1

    graph = fxviz.trace(nn.Sequential(Noting(), Dropping()), torch.rand(2, 8), device="cpu", time=True, train=True)
    assert seen == [True] * len(seen)
    assert {node.op: bool(node.time) for node in graph.nodes}["dropout"]


def test_one_example_is_too_few_to_train_with() -> None:
    with pytest.raises(
        TraceError,
        match=r"Expected more than 1 value per channel .*; training mode needs a batch of 2 or more: batch=2$",
    ):
        fxviz.trace(Dropping(), TensorInfo((1, 8), "float32"), train=True)
    assert fxviz.trace(Dropping(), TensorInfo((1, 8), "float32"), train=True, batch=2).trace.inputs["x"].shape == (2, 8)


def test_a_detector_says_itself_what_it_needs_to_train() -> None:
    with pytest.raises(TraceError, match=r"AssertionError: targets should not be none when in training mode"):
        fxviz.trace("fasterrcnn_mobilenet_v3_large_320_fpn", train=True)


# -------------------------------------------------------------------- leaves


@pytest.mark.parametrize(
    "name", ["layer1.0", "BasicBlock", "resnet.BasicBlock", "torchvision.models.resnet.BasicBlock"]
)
def test_a_leaf_is_one_node_with_all_that_is_inside(name: str, resnet18: ArchGraph) -> None:
    graph = fxviz.trace("resnet18", leaf=[name])
    (first, *others) = (node for node in graph.nodes if node.op == "BasicBlock")
    assert (first.path, len(others)) == ("layer1.0", 0 if name == "layer1.0" else 7)
    inside = [node for node in resnet18.nodes if node.path.startswith("layer1.0.")]
    assert first.macs == sum(node.macs or 0 for node in inside)
    assert first.params == sum(node.params for node in inside)
    assert first.outputs == inside[-1].outputs
    assert not any(node.path.startswith("layer1.0.") for node in graph.nodes)
    assert (graph.total_macs, graph.traced_params) == (resnet18.total_macs, resnet18.traced_params)


def test_a_leaf_may_be_named_by_an_alias_and_as_one_text() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(8, 8)), nn.ReLU())
    model.again = model[0]
    assert ops(fxviz.trace(model, ROWS, leaf="again")) == ["input", "Sequential", "ReLU", "Sequential", "output"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "layr1.0",
            "ResNet has no module with the path or class 'layr1.0'; did you mean layer1.0, layer4.0, layer3.0?",
        ),
        ("BasicBloc", "ResNet has no module with the path or class 'BasicBloc'; did you mean BasicBlock?"),
        ("ResNet", "ResNet cannot be one node as a whole: name modules inside it, by path or class"),
        ("", "ResNet cannot be one node as a whole: name modules inside it, by path or class"),
    ],
)
def test_a_leaf_that_is_not_there_is_said(name: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        fxviz.trace("resnet18", leaf=[name])
    assert str(caught.value) == said


def test_the_root_is_no_leaf_but_its_like_inside_are() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(8, 8)), nn.ReLU())
    assert ops(fxviz.trace(model, ROWS, leaf=["Sequential"])) == ["input", "Sequential", "ReLU", "output"]


# -------------------------------------------------------------------- a submodule


@dataclass
class Pair:
    a: Tensor
    b: list[Tensor]


class Joining(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 4)
        self.register_buffer("shift", torch.ones(4))

    def forward(self, pair: Pair, *, scale: dict[str, Tensor] | None = None, flag: bool = False) -> Tensor:
        assert scale is not None and flag
        return self.fc(pair.a + pair.b[0]) * scale["s"] + self.shift


class Outer(nn.Module):
    """Calls its submodule with an object and keywords, and would fail afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(8, 8)
        self.joining = Joining()
        self.unused = nn.ModuleList([nn.Linear(8, 8) for _ in range(6)])

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        with suppress(Exception):
            self.joining(Pair(x, [x.relu()]), scale={"s": x[:, :4]}, flag=True)
        raise ValueError("not reached")


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_a_submodule_receives_what_the_model_gives_it(device: str) -> None:
    with unchanged(model := Outer()):
        graph = fxviz.trace(model, ROWS, root="joining", device=device)
    assert (graph.model.name, graph.model.cls) == ("Outer.joining", f"{__name__}.Joining")
    assert {name: info.shape for name, info in graph.trace.inputs.items()} == {
        "pair_0": (2, 8),
        "pair_1": (2, 8),
        "scale_0": (2, 4),
    }
    assert ops(graph) == ["pair_0", "pair_1", "scale_0", "add", "Linear", "mul", "Buffer", "add", "output"]
    assert [node.path for node in graph.nodes if node.kind == "module"] == ["fc"]
    assert [parameter.name for parameter in graph.parameters] == ["fc.weight", "fc.bias"]
    assert (graph.total_params, graph.traced_params, graph.total_buffers) == (36, 36, 4)


def test_a_submodule_is_recorded_as_if_it_were_the_model(resnet18: ArchGraph) -> None:
    from torchvision.models import resnet18 as build

    part = fxviz.trace("resnet18", root="layer2")
    alone = fxviz.trace(build().layer2, TensorInfo((1, 64, 56, 56), "float32"))
    assert facts(part) == facts(alone)
    assert (part.model.name, part.scopes[0].path, part.scopes[0].cls) == ("resnet18.layer2", "", alone.model.cls)
    assert part.total_macs == sum(node.macs or 0 for node in resnet18.nodes if node.path.startswith("layer2."))


def test_a_submodule_inside_a_leaf_of_torchs_own() -> None:
    model = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2, enable_nested_tensor=False
    )
    graph = fxviz.trace(model, TensorInfo((1, 3, 16), "float32"), root="layers.1.self_attn")
    assert {"query", "key", "value"} >= set(graph.trace.inputs)
    assert "MultiheadAttention" not in ops(graph)
    assert graph.total_macs == 4 * 3 * 16 * 16 + 2 * 3 * 3 * 16


def test_only_the_first_call_of_a_submodule_counts() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = nn.Sequential(nn.Linear(8, 8))

        def forward(self, x: Tensor) -> Tensor:
            return self.part(self.part(x)[:1])

    graph = fxviz.trace(Twice(), ROWS, root="part")
    assert ops(graph) == ["input", "Linear", "output"]
    assert graph.trace.inputs["input"].shape == (2, 8)


def test_paths_of_leaves_start_at_the_submodule() -> None:
    graph = fxviz.trace("resnet18", root="layer1", leaf=["0"])
    assert next((node.op, node.path) for node in graph.nodes if node.kind == "module") == ("BasicBlock", "0")
    with pytest.raises(UsageError, match=r"Sequential has no module with the path or class 'layer1\.0'"):
        fxviz.trace("resnet18", root="layer1", leaf=["layer1.0"])


@pytest.mark.slow
def test_a_submodule_after_values_that_depend_on_data() -> None:
    graph = fxviz.trace("fasterrcnn_mobilenet_v3_large_320_fpn", root="roi_heads.box_head")
    assert graph.trace.method == "guessed"
    assert [node.op for node in graph.nodes if node.kind == "module"] == ["Linear", "Linear"]


@pytest.mark.parametrize(
    ("root", "said"),
    [
        ("joinin", "Outer has no submodule 'joinin'; did you mean joining, joining.fc?"),
        ("joining.fc.weight", "Outer has no submodule 'joining.fc.weight'; did you mean joining.fc?"),
        (
            ".",
            "Outer has no submodule '.'; "
            "it has stem, joining, joining.fc, unused, unused.0, unused.1, unused.2, unused.3, ...",
        ),
    ],
)
def test_a_submodule_that_is_not_there_is_said(root: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        fxviz.trace(Outer(), ROWS, root=root)
    assert str(caught.value) == said


class Choosing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])
        self.head = nn.Linear(8, 3)
        self.spare = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Any:
        for layer in self.layers:
            x = layer(x)
        return self.head(x) if self.training else x


@pytest.mark.parametrize(
    ("root", "train", "said"),
    [
        ("layers", False, "'layers' (ModuleList), which is only a container: choose layers.0, layers.1"),
        ("head", False, "'head' (Linear) in eval mode: it may with train=True"),
        ("spare", True, "'spare' (Linear) in training mode"),
    ],
)
def test_a_submodule_that_never_runs_is_said(root: str, train: bool, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        fxviz.trace(Choosing(), ROWS, root=root, train=train)
    assert str(caught.value) == f"Choosing never calls its submodule {said}"
    assert fxviz.trace(Choosing(), ROWS, root="head", train=True).total_params == 27


class Filling(nn.Module):
    """Writes to its argument, and notes it."""

    def __init__(self, seen: Notes) -> None:
        super().__init__()
        self.seen = seen.reference

    def forward(self, x: Tensor) -> Tensor:
        self.seen().append(float(x.sum()))
        return x.add_(1) * 2


def test_each_timed_run_of_a_submodule_gets_what_the_model_gave_it() -> None:
    seen = Notes()
    filling = Filling(seen)
    model = nn.Sequential(nn.Linear(8, 8), nn.Sequential(filling), nn.Linear(8, 8))
    graph = fxviz.trace(model, torch.rand(2, 8), device="cpu", time=True, root="1")
    assert ops(graph) == ["input", "Filling", "output"]
    assert len(seen) > 5
    assert len(set(seen)) == 1
    assert graph.nodes[1].time


def test_nothing_but_a_bare_except_sees_the_end_of_the_run() -> None:
    seen = Notes()
    noted = seen.reference

    class Greedy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = nn.Sequential(nn.Linear(8, 8))

        def forward(self, x: Tensor) -> Tensor:
            try:
                self.part(x)
            except:  # noqa: E722
                noted().append("bare")
            return self.part(torch.zeros(7, 7))

    graph = fxviz.trace(Greedy(), ROWS, root="part")
    assert seen == ["bare"]
    assert ops(graph) == ["input", "Linear", "output"]
