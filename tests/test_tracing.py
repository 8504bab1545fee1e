"""Compare recordings with real runs, which are observed by other means than the tracer's."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils.rnn import PackedSequence
from torch.utils._pytree import tree_map_only

import fxviz
import models
from conftest import Notes, slow
from fxviz._graph import ArchGraph, ModelInfo, Node, TensorInfo
from fxviz._graph.errors import FxvizError, TraceError, UsageError
from fxviz._graph.options import TraceOptions
from fxviz._sources.reference import parse
from fxviz._sources.resolve import resolve
from fxviz._trace import trace_module
from fxviz._trace.fake import guess_of
from fxviz._trace.record import Recording, record
from fxviz._trace.tensors import tensors_in
from hard_cases import CASES, Case, HeldTensor, IdentityAlias, InPlace, Masks, SharedModule, Unregistered, Unused
from reference_runs import SymbolicTracer, call, layer_shapes, reference_run, touched_parameters

SIZES = {"maxvit_t": 224, "vit_b_16": 224, "inception_v3": 96}
SMALL = ["mobilenet_v3_small", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1"]
MIDDLING = """convnext_tiny densenet121 efficientnet_b0 googlenet lraspp_mobilenet_v3_large quantized_mobilenet_v2
    regnet_y_400mf swin_t""".split()
HEAVY = ["inception_v3", "maxvit_t", "swin_v2_t", "vit_b_16"]
KNOWN = [*SMALL, *slow(*MIDDLING, *HEAVY)]
"""Models of torchvision that run for real here, on small images where they take those."""

INFO = ModelInfo("model", "python", "Model")


def traced(model: nn.Module, inputs: Any, device: str = "meta") -> ArchGraph:
    from fxviz._analysis import count_params

    return count_params(trace_module(model, inputs, INFO, TraceOptions(device=device)))


@cache
def known(name: str) -> nn.Module:
    """Build a model of torchvision with memory, initialised at random."""
    return resolve(parse(name)).build(True).module


def image(name: str) -> tuple[Tensor]:
    size = SIZES.get(name, 64)
    return (torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(1)),)


@cache
def known_graph(name: str) -> ArchGraph:
    return traced(known(name), image(name))


def layer_calls(graph: ArchGraph) -> list[str]:
    return [node.path for node in graph.nodes if node.kind == "module"]


def only(graph: ArchGraph, op: str) -> Node:
    (node,) = (node for node in graph.nodes if node.op == op)
    return node


# -------------------------------------------------------------------- parameters


@pytest.mark.parametrize("name", KNOWN)
def test_each_parameter_counts_where_it_is_read(name: str) -> None:
    graph, model = known_graph(name), known(name)
    read = {parameter for node in graph.nodes for parameter in node.uses}
    assert read == touched_parameters(model, image(name))
    assert graph.traced_params + sum(parameter.size for parameter in graph.untraced) == graph.total_params
    assert graph.total_params == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_each_parameter_of_a_hard_case_counts_where_it_is_read(case: Case) -> None:
    model, inputs = case.build().eval(), case.inputs()
    graph = traced(model, inputs)
    assert graph.trace.method == case.method
    touched = {name.replace("_orig_mod.", "") for name in touched_parameters(model, inputs)}
    assert {parameter for node in graph.nodes for parameter in node.uses} == touched
    assert graph.traced_params + sum(parameter.size for parameter in graph.untraced) == graph.total_params
    assert graph.total_params == sum(parameter.numel() for parameter in model.parameters())


def test_a_layer_that_is_never_called_stays_untraced() -> None:
    graph = traced(Unused(), (torch.rand(2, 8),))
    assert [parameter.name for parameter in graph.untraced] == ["spare.weight", "spare.bias"]


def test_a_shared_layer_counts_once_and_a_tied_weight_too() -> None:
    graph = traced(SharedModule(), (torch.rand(2, 8),))
    layers = [node for node in graph.nodes if node.kind == "module"]
    assert [(node.path, node.call, node.params) for node in layers] == [
        ("a", 0, 72),
        ("a", 1, 0),
        ("a", 2, 0),
        ("b", 0, 8),
        ("a", 3, 0),
    ]


# -------------------------------------------------------------------- shapes, calls, data flow


@pytest.mark.parametrize("name", KNOWN)
def test_shapes_are_those_of_a_real_run(name: str) -> None:
    model, leaves = known(name), layer_calls(known_graph(name))
    with reference_run():
        shapes = layer_shapes(model, set(leaves), image(name))
    assert shapes == [(node.path, node.outputs) for node in known_graph(name).nodes if node.kind == "module"]


@pytest.mark.parametrize("name", [*SMALL, *slow(*MIDDLING)])
def test_the_same_layers_are_called_as_in_symbolic_tracing(name: str) -> None:
    graph = SymbolicTracer().trace(known(name))
    assert [node.target for node in graph.nodes if node.op == "call_module"] == layer_calls(known_graph(name))


class Replay(fx.Interpreter):
    """Runs a recorded graph on real data."""

    def __init__(self, model: nn.Module, recording: Recording) -> None:
        super().__init__(model, graph=recording.graph)  # type: ignore[arg-type]
        self.constants = recording.tracer.constants

    def fetch_attr(self, target: str) -> Any:
        return self.constants[target] if target in self.constants else super().fetch_attr(target)

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Make a packed sequence of the tuple that the graph holds in its place."""
        if isinstance(self.fetch_attr(target), nn.RNNBase) and type(args[0]) is tuple:
            args = (PackedSequence(*args[0]), *args[1:])
        return super().call_module(target, args, kwargs)


def replayed(model: nn.Module, recording: Recording, inputs: Any) -> list[Tensor]:
    given = list(tensors_in(tree_map_only(Tensor, torch.clone, inputs)))
    with reference_run():
        return list(tensors_in(Replay(model, recording).run(*given)))


def assert_same(left: list[Tensor], right: list[Tensor]) -> None:
    assert [tensor.shape for tensor in left] == [tensor.shape for tensor in right]
    for a, b in zip(left, right, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("case", [case for case in CASES if case.build is not Unregistered], ids=lambda case: case.id)
@pytest.mark.parametrize("device", ["meta", *slow("cpu")])
def test_the_recorded_graph_of_a_hard_case_computes_what_the_model_does(case: Case, device: str) -> None:
    model, inputs = case.build().eval(), case.inputs()
    if case.build is HeldTensor and device == "meta":
        pytest.skip("what stands in for a constant on meta is not kept")
    device = "cpu" if case.method == "real" else device
    recording = record(model, inputs, TraceOptions(device=device), guessing=case.method == "guessed")
    got = replayed(model, recording, inputs)
    with reference_run():
        assert_same(got, list(tensors_in(call(model, inputs))))


@pytest.mark.parametrize("name", [*SMALL[:3], *slow("googlenet", "swin_t", "lraspp_mobilenet_v3_large")])
def test_the_recorded_graph_computes_what_the_model_does(name: str) -> None:
    recording = record(known(name), image(name))
    assert not recording.tracer.constants
    got = replayed(known(name), recording, image(name))
    with reference_run():
        assert_same(got, list(tensors_in(call(known(name), image(name)))))


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", *slow("swin_t")])
def test_a_real_run_records_the_same_graph(name: str) -> None:
    fake, real = traced(known(name), image(name)), traced(known(name), image(name), "cpu")
    assert (fake.nodes, fake.edges, fake.scopes) == (real.nodes, real.edges, real.scopes)
    assert (fake.trace.method, real.trace.method) == ("fake", "real")


def test_an_identity_is_a_step_of_its_own() -> None:
    graph = traced(IdentityAlias(), (torch.rand(2, 8),))
    joined = {edge.source for edge in graph.edges if edge.target == only(graph, "add").id}
    assert joined == {"keep", "drop"}


def test_a_write_through_a_view_comes_before_what_reads_it() -> None:
    graph = traced(InPlace(), (torch.rand(2, 8),))
    order = [node.id for node in graph.nodes]
    assert all(order.index(edge.source) < order.index(edge.target) for edge in graph.edges)
    assert len({node.id for node in graph.nodes if node.op == "read_after_write"}) >= 1


def test_a_layer_outside_the_model_is_named_after_its_place() -> None:
    graph = traced(Unregistered(), (torch.rand(2, 8),))
    assert layer_calls(graph) == ["fc", "hidden.0"]


def test_inputs_are_named_after_the_arguments() -> None:
    graph = traced(CASES[7].build(), CASES[7].inputs())
    assert list(graph.trace.inputs) == ["x", "scale_0"]


# -------------------------------------------------------------------- multiply-accumulates


def macs(model: nn.Module, *shapes: tuple[int, ...], device: str = "meta") -> int:
    return traced(model, tuple(TensorInfo(shape, "float32") for shape in shapes), device).total_macs


@pytest.mark.parametrize(("name", "expected"), [("resnet18", 1_814_073_344), ("vit_b_16", 17_563_828_224)])
def test_macs_of_known_models(name: str, expected: int) -> None:
    """resnet18: torchvision publishes 1.814. vit_b_16: 17.564, see the count by hand below."""
    assert models.traced(name).total_macs == expected


def test_macs_of_a_vision_transformer_by_hand() -> None:
    tokens, width, hidden = 14 * 14 + 1, 768, 3072
    patches = 14 * 14 * width * 3 * 16 * 16
    block = tokens * (4 * width * width + 2 * width * hidden) + 2 * tokens * tokens * width
    assert models.traced("vit_b_16").total_macs == patches + 12 * block + width * 1000


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_macs_of_recurrent_layers_by_hand(device: str) -> None:
    time, batch, size, hidden = 5, 2, 8, 16
    lstm, gru = nn.LSTM(size, hidden, 2, bidirectional=True), nn.GRU(size, hidden)
    first, second = 4 * hidden * (size + hidden), 4 * hidden * (2 * hidden + hidden)
    assert macs(nn.Sequential(lstm), (time, batch, size), device=device) == time * batch * 2 * (first + second)
    assert macs(nn.Sequential(gru), (time, batch, size), device=device) == time * batch * 3 * hidden * (size + hidden)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)

    def forward(self, x: Tensor, y: Tensor) -> Any:
        return self.attention(x, y, y, need_weights=False)[0]


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_macs_of_cross_attention_by_hand(device: str) -> None:
    queries, keys, width = 3, 7, 16
    projections = (queries + 2 * keys + queries) * width * width
    products = 2 * queries * keys * width
    assert macs(Attention(), (1, queries, width), (1, keys, width), device=device) == projections + products


def test_macs_of_a_layer_on_a_vector() -> None:
    assert macs(nn.Sequential(nn.Linear(8, 3)), (8,)) == 24


@torch.jit.script
def _scripted_product(a: Tensor, b: Tensor) -> Tensor:
    return a @ b


def test_macs_of_operations_that_python_does_not_announce() -> None:
    class Products(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = _scripted_product(x, x)
            return torch.vmap(lambda row: row @ y)(y)

    assert macs(Products(), (4, 4)) == 64 + 64
    assert macs(torch.jit.script(nn.Sequential(nn.Linear(8, 3))), (2, 8)) == 48


class Applied(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "count"),
    [
        (lambda x: x.clone().addmm_(x, x), 6**3),
        (lambda x: x[None].clone().baddbmm_(x[None], x[None]), 6**3),
        (lambda x: x.clone().addbmm_(x[None], x[None]), 6**3),
        (lambda x: x[0].clone().addmv_(x, x[0]), 6**2),
        (lambda x: x.clone().addr_(x[0], x[0]), 6**2),
    ],
)
def test_products_added_in_place_count(function: Callable[[Tensor], Tensor], count: int) -> None:
    assert macs(Applied(function), (6, 6)) == count


@pytest.mark.parametrize("rows", [2, 30])
@pytest.mark.parametrize(
    "function", [lambda x: torch.cdist(x, x), lambda x: torch.cdist(x, x, p=1), nn.functional.pdist, torch.linalg.pinv]
)
def test_macs_of_a_product_without_formula_are_unknown(function: Callable[[Tensor], Tensor], rows: int) -> None:
    assert fxviz.trace(Applied(function), torch.rand(rows, 8)).unknown_macs == 1


def test_known_macs_beside_unknown_ones_are_kept(tmp_path: Path) -> None:
    """The weight is computed by a decomposition; the product with it is known."""
    layer = nn.utils.parametrizations.orthogonal(nn.Linear(8, 8, bias=False))
    graph = fxviz.trace(nn.Sequential(layer), torch.zeros(2, 8))
    (node,) = (node for node in graph.nodes if node.macs is None)
    assert node.least_macs >= 2 * 8 * 8 and graph.total_macs == node.least_macs
    assert fxviz.summary(graph).rows[0].macs == node.least_macs
    graph.save(tmp_path / "graph.json")
    assert ArchGraph.from_json((tmp_path / "graph.json").read_text()).nodes == graph.nodes


def test_macs_of_a_bilinear_layer_are_those_of_its_two_products() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.product = nn.Bilinear(8, 8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.product(x, x)

    assert only(traced(Twice(), (torch.rand(2, 8),)), "Bilinear").macs == 2 * 3 * 8 * 8 + 2 * 3 * 8


def test_macs_of_a_sparse_product_are_those_of_its_stored_values() -> None:
    class Graph(nn.Module):
        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return left @ right

    sparse, dense = torch.eye(6).to_sparse(), torch.rand(6, 4)
    assert only(traced(Graph(), (sparse, dense), "cpu"), "matmul").macs == 6 * 4


@pytest.mark.parametrize(
    ("product", "macs"),
    [
        (lambda x: torch.outer(x[0], x[1]), 36),
        (lambda x: torch.kron(x[:2, :2], x), 4 * 36),
        (lambda x: torch.linalg.vecdot(x, x), 36),
        (lambda x: torch.addr(x, x[0], x[1]), 36),
        (lambda x: torch.addbmm(x, x[None], x[None]), 216),
        (lambda x: torch.conv_tbc(x[None], x[None], x[0]), 216),
        (lambda x: nn.functional.cosine_similarity(x, x), None),
        (lambda x: nn.functional.grid_sample(x[None, None], x[None, :, :2, None].expand(1, 6, 2, 2)), None),
    ],
)
def test_macs_of_functions(product: Callable[[Tensor], Tensor], macs: int | None) -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return product(x)

    graph = traced(Net(), (torch.rand(6, 6),))
    assert (graph.total_macs, graph.unknown_macs) == ((0, 1) if macs is None else (macs, 0))


def test_macs_of_a_transform_are_unknown() -> None:
    class Mixed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.linalg.inv(torch.fft.fft2(x).real)

    graph = traced(Mixed(), (torch.rand(8, 8),))
    assert (only(graph, "fft_fft2").macs, only(graph, "linalg_inv").macs) == (None, None)


def test_macs_of_a_layer_with_spectral_norm() -> None:
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(8, 4))
    products = 2 * 4 * 8 + 8 * 4 + 4  # the layer's on two rows, the matrix by a vector, and that by another
    assert macs(nn.Sequential(layer), (2, 8)) == products


@pytest.mark.skipif(not hasattr(nn.functional, "grouped_mm"), reason="torch has no grouped_mm yet")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_macs_of_a_product_in_groups(dtype: torch.dtype) -> None:
    class Experts(nn.Module):
        def forward(self, rows: Tensor, weights: Tensor, ends: Tensor) -> Tensor:
            return nn.functional.grouped_mm(rows, weights, offs=ends)

    rows, weights = torch.rand(16, 8, dtype=dtype), torch.rand(2, 8, 32, dtype=dtype)
    graph = traced(Experts(), (rows, weights, torch.tensor([4, 16], dtype=torch.int32)))
    assert (graph.trace.method, graph.total_macs) == ("fake", 16 * 8 * 32)
    assert [output.dtype for output in only(graph, "_grouped_mm").outputs] == [str(dtype).removeprefix("torch.")]


def test_macs_of_another_librarys_operation_are_unknown() -> None:
    from torchvision.ops import RoIAlign

    class Pooled(nn.Module):
        def forward(self, x: Tensor, boxes: Tensor) -> Any:
            return RoIAlign(2, 1.0, 2)(x, boxes)

    graph = traced(Pooled(), (torch.rand(1, 3, 8, 8), torch.rand(4, 5)))
    assert only(graph, "RoIAlign").macs is None


# -------------------------------------------------------------------- the ladder


def test_values_that_fake_tensors_lack_are_guessed_and_said() -> None:
    recording = record(Masks(), (torch.rand(2, 8),), guessing=True)
    assert recording.guessed == {"aten.index": 1, "aten._local_scalar_dense": 1, "aten.nonzero": 1}
    graph = traced(Masks(), (torch.rand(2, 8),))
    assert (graph.trace.method, graph.trace.guessed) == ("guessed", recording.guessed)


def test_what_cannot_be_guessed_runs_for_real() -> None:
    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            return torch.from_numpy(self.fc(x).numpy() + 1)

    graph = traced(Listed(), (torch.rand(2, 8),))
    assert (graph.trace.method, graph.trace.device) == ("real", "cpu")


def test_a_model_without_memory_is_built_again_for_a_real_run(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    def build(device: str) -> nn.Module:
        built.append(device)
        return Numpy().to(device)

    class Numpy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            return torch.from_numpy(self.fc(x).numpy() + 1)

    inputs = (TensorInfo((2, 8), "float32"),)
    assert trace_module(build("meta"), inputs, INFO, rebuild=lambda: build("cpu")).trace.method == "real"
    assert built == ["meta", "cpu"]
    with pytest.raises(TraceError, match=r"numpy.*give its parameters memory") as caught:
        trace_module(build("meta"), inputs, INFO)
    assert type(caught.value) is TraceError
    monkeypatch.setattr("fxviz._trace.run._memory", lambda: 4 * (64 + 8) - 1)
    with pytest.raises(TraceError, match=r"numpy.*to run for real its parameters need 0\.0 GB") as caught:
        trace_module(build("meta"), inputs, INFO, rebuild=lambda: build("cpu"))
    assert built[-1] == "meta"


class FollowsItsParameter(nn.Module):
    """Torch asks a parameter for its device before anything is dispatched."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8))
        self.shift = nn.Parameter(torch.ones(8, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        y = x.to(self.weight) * self.weight.contiguous() + self.weight.new_ones(8)
        y = torch.stack([y, y.to(self.shift).to(self.weight)]).sum(0)
        return y.type_as(self.shift) if {self.weight: 1}[self.weight] and not self.weight.requires_grad else y


@pytest.mark.parametrize("inside", [False, True])
def test_a_parameter_without_memory_chooses_no_device(inside: bool) -> None:
    graphs = []
    for device in ("cpu", "meta"):
        model = FollowsItsParameter().to(device)
        inputs = (TensorInfo((2, 8), "float32"),)
        graphs.append(traced(nn.Sequential(model, nn.ReLU()) if inside else model, inputs))
        assert model.weight.device.type == device
    first, second = ([(node.op, node.path, node.uses, node.outputs) for node in graph.nodes] for graph in graphs)
    assert first == second
    assert graphs[0].trace.method == graphs[1].trace.method == "fake"


@pytest.mark.parametrize(
    ("operation", "args", "shape"),
    [
        (torch.ops.aten.nonzero.default, (torch.zeros(2, 3),), [(6, 2)]),
        (torch.ops.aten.masked_select.default, (torch.zeros(2, 1), torch.zeros(3, dtype=torch.bool)), [(6,)]),
        (torch.ops.aten.index.Tensor, (torch.zeros(2, 3, 4), [torch.zeros(2, 3, dtype=torch.bool)]), [(6, 4)]),
        (torch.ops.aten.index.Tensor, (torch.zeros(2, 3, 4), [None, torch.zeros(3, dtype=torch.bool)]), [(2, 3, 4)]),
        (torch.ops.aten._unique2.default, (torch.zeros(2, 3), True, True, True), [(1,), (2, 3), (1,)]),
        (torch.ops.aten.unique_dim.default, (torch.zeros(2, 3), 1, True, True), [(2, 1), (3,), (0,)]),
        (torch.ops.aten.unique_consecutive.default, (torch.zeros(2, 3), False, True), [(1,), (0,), (1,)]),
        (torch.ops.aten.repeat_interleave.Tensor, (torch.ones(3, dtype=torch.int64),), [(3,)]),
        (torch.ops.aten.bincount.default, (torch.zeros(5, dtype=torch.int64), None, 4), [(4,)]),
    ],
)
def test_a_guess_has_a_shape_that_can_occur(operation: Any, args: Any, shape: list[tuple[int, ...]]) -> None:
    guess = guess_of(operation)
    assert guess is not None
    with FakeTensorMode() as mode:
        guessed = guess(*tree_map_only(Tensor, mode.from_tensor, args))
    assert [tuple(tensor.shape) for tensor in tensors_in(guessed)] == shape
    occurs = list(tensors_in(operation(*tree_map_only(Tensor, torch.ones_like, args))))
    assert [(tensor.dim(), tensor.dtype) for tensor in tensors_in(guessed)][: len(occurs)] == [
        (tensor.dim(), tensor.dtype) for tensor in occurs
    ]


@pytest.mark.parametrize(
    ("tensor", "value"),
    [
        (torch.tensor(False), True),
        (torch.tensor(3.0), 1.0),
        (torch.tensor(3), 1),
        (torch.tensor(3j), 1 + 0j),
    ],
)
def test_a_number_that_is_read_is_one(tensor: Tensor, value: Any) -> None:
    guess = guess_of(torch.ops.aten._local_scalar_dense.default)
    assert guess is not None
    assert guess(tensor) == value
    assert type(guess(tensor)) is type(value)


# -------------------------------------------------------------------- what goes wrong


def test_a_failure_names_the_model_and_its_error() -> None:
    with pytest.raises(
        TraceError,
        match=r"^cannot trace Sequential: 0 \(Linear\): RuntimeError: .*2, 8.*3, 3.*; it was given 2×8 float32; par",
    ) as caught:
        traced(nn.Sequential(nn.Linear(3, 3)), (torch.rand(2, 8),))
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_failure_of_the_models_own_is_not_tried_again() -> None:
    calls = Notes()
    noted = calls.reference

    class Failing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            noted().append(1)
            raise ValueError("no")

    with pytest.raises(TraceError, match=r"cannot trace Failing: at .*: ValueError: no$"):
        traced(Failing(), (torch.rand(2, 8),))
    assert len(calls) == 1


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "mps"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(UsageError):
        traced(Unused(), (torch.rand(2, 8),), device)


def test_a_model_elsewhere_is_refused() -> None:
    with pytest.raises(FxvizError, match=r"parameter 'used.weight' is on meta"):
        traced(Unused().to("meta"), (torch.rand(2, 8),), "cpu")


def test_buffers_and_frozen_parameters_are_counted_apart() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    model[0].requires_grad_(False)
    graph = fxviz.trace(model, torch.zeros(2, 4))
    assert (graph.total_params, graph.trainable_params, graph.total_buffers) == (21, 6, 7)
