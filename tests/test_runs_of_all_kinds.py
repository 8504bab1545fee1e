"""Trace models that other tools refuse: lazy, deep, in threads, bound to a GPU, with operators that take functions."""

from __future__ import annotations

import sys
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import networkx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fxviz
from fxviz import ArchGraph
from fxviz._graph.errors import TraceError, UsageError
from fxviz._trace.isolation import undisturbed
from test_undisturbed import unchanged

DEVICES = ["meta", "cpu"]


def row(graph: ArchGraph, op: str) -> Any:
    return next(node for node in graph.nodes if node.op == op)


# ------------------------------------------------------------------ containers that refuse change


class Frozen(OrderedDict[str, Any]):
    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("frozen")

    __delitem__ = update = clear = pop = setdefault = copy = _refuse


class FrozenList(list[Any]):
    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("frozen")

    clear = extend = append = copy = __setitem__ = _refuse


class Configured(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.config = Frozen(width=8, inner=FrozenList([1, {"a": 1}]))
        self.seen = {"a", "b"}
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        OrderedDict.__setitem__(self.config, "cache", x)
        OrderedDict.__delitem__(self.config, "width")
        list.append(self.config["inner"], x)
        self.config["inner"][1]["b"] = x
        self.seen.discard("a")
        return self.fc(x)


@pytest.mark.parametrize("device", DEVICES)
def test_a_container_that_refuses_changes_is_restored(device: str) -> None:
    model = Configured()
    with unchanged(model):
        graph = fxviz.trace(model, torch.ones(1, 8), device=device)
    assert list(model.config) == ["width", "inner"] and model.config["inner"] == [1, {"a": 1}]
    assert model.seen == {"a", "b"}
    assert graph.total_params == 72 and not graph.trace.notes


class Stubborn:
    """A key that can be compared only until it is in use."""

    is_over = False

    def __hash__(self) -> int:
        if self.is_over:
            raise RuntimeError("no hash")
        return 1


def test_what_cannot_be_restored_is_said() -> None:
    model, key = nn.Linear(2, 2), Stubborn()
    model.table = {key: 1}
    with undisturbed(model, real=False) as sentences:
        model.table[key] = 2
        key.is_over = True
    assert sentences == ["'table' of the model could not be put back as it was: RuntimeError: no hash"]


# ------------------------------------------------------------------ deep models


class Residual(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + x


class Recursive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor, left: int = 240) -> Tensor:
        return self(x, left - 1) if left else self.fc(x)


class Endless(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return self(x)


def nested(levels: int, wrap: Callable[[nn.Module], nn.Module]) -> nn.Module:
    net: nn.Module = nn.Linear(8, 8)
    for _ in range(levels):
        net = wrap(net)
    return net


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("wrap", [nn.Sequential, Residual])
def test_a_model_may_be_as_deep_as_torch_allows(wrap: Callable[[nn.Module], nn.Module], device: str) -> None:
    limit = sys.getrecursionlimit()
    graph = fxviz.trace(nested(240, wrap), torch.ones(1, 8), device=device)
    assert (graph.total_params, graph.total_macs) == (72, 64)
    assert sys.getrecursionlimit() == limit


def test_a_module_may_call_itself() -> None:
    assert fxviz.trace(Recursive(), torch.ones(1, 8)).total_macs == 64
    limit = sys.getrecursionlimit()
    with pytest.raises(TraceError, match="RecursionError"):
        fxviz.trace(Endless(), torch.ones(1, 8))
    assert sys.getrecursionlimit() == limit


@pytest.mark.slow
def test_a_deep_model_on_the_command_line(fxviz: Callable[..., Any], tmp_path: Any) -> None:
    (tmp_path / "deep.py").write_text(
        "from torch import nn, zeros\ndef make():\n    net = nn.Linear(8, 8)\n"
        "    for _ in range(240): net = nn.Sequential(net)\n    return net, (zeros(1, 8),)\n"
    )
    for command in ("summary", "explain"):
        assert "72" in fxviz(command, f"{tmp_path / 'deep.py'}:make").out
    assert fxviz("render", f"{tmp_path / 'deep.py'}:make", "-o", str(tmp_path / "deep.svg")).status == 0


# ------------------------------------------------------------------ models that their first call completes


class Lazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d(), nn.ReLU())
        self.known = nn.Conv2d(8, 4, 1)
        self.head = nn.LazyLinear(5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.known(self.net(x)).flatten(1))


LAZY = (3 * 9 * 8 + 8) + 16 + (8 * 4 + 4) + (4 * 36 * 5 + 5)


def is_unsized(model: nn.Module) -> bool:
    kinds = (nn.UninitializedParameter, nn.UninitializedBuffer)
    return any(isinstance(tensor, kinds) for tensor in (*model.parameters(), *model.buffers()))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("train", [False, True])
def test_a_lazy_model_is_sized_for_the_run_only(device: str, train: bool) -> None:
    model = Lazy()
    kinds = [(type(module), dict(vars(module))) for module in model.modules()]
    graph = fxviz.trace(model, torch.ones(2, 3, 8, 8), device=device, train=train)
    assert graph.total_params == LAZY and graph.untraced == ()
    assert [node.op for node in graph.nodes if node.kind == "module"] == [
        "Conv2d", "BatchNorm2d", "ReLU", "Conv2d", "Linear"
    ]  # fmt: skip
    assert graph.trace.notes == (
        "the model was called once before this run, as 'net.0.weight' and 7 more get their shapes when it is called",
    )
    assert is_unsized(model) and [(type(module), dict(vars(module))) for module in model.modules()] == kinds
    assert model(torch.ones(2, 1, 12, 12)).shape == (2, 5)  # it still takes the sizes of its first real input


def test_a_lazy_model_that_fails_says_where() -> None:
    model = nn.Sequential(nn.LazyLinear(4), nn.Linear(5, 2))
    with pytest.raises(TraceError, match=r"1 \(Linear\).*mat1 and mat2 shapes cannot be multiplied"):
        fxviz.trace(model, torch.ones(1, 8))
    assert is_unsized(model) and isinstance(model[0], nn.LazyLinear)


class MadeInForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(8, 16)
        self.head: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        if self.head is None:
            self.head = nn.Linear(x.shape[-1], 3).to(x.device)
        return self.head(x)


@pytest.mark.parametrize("device", DEVICES)
def test_a_layer_that_is_made_in_the_first_call_counts(device: str) -> None:
    model = MadeInForward()
    with unchanged(model):
        graph = fxviz.trace(model, torch.ones(2, 8), device=device)
    assert (graph.total_params, graph.total_macs) == (8 * 16 + 16 + 16 * 3 + 3, 2 * (8 * 16 + 16 * 3))
    assert "'head.weight' and 1 more get their shapes when it is called" in graph.trace.notes[0]


class Once(MadeInForward):
    """A model that cannot be called twice."""

    def forward(self, x: Tensor) -> Tensor:
        if self.head is not None:
            raise RuntimeError("twice")
        return super().forward(x)


def test_a_model_that_can_be_called_once_says_what_is_not_counted() -> None:
    graph = fxviz.trace(Once(), torch.ones(2, 8), device="cpu")
    assert graph.total_params == 8 * 16 + 16
    assert graph.trace.notes == (
        "'head.weight' and 1 more get their shapes when it is called, so they are not counted",
    )


# ------------------------------------------------------------------ devices that are not here


class OnCuda(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.register_buffer("table", torch.arange(8.0))
        self.plain = torch.ones(8)

    def forward(self, x: Tensor) -> Tensor:
        place = torch.device("cuda:0")
        x = x.to("cuda") + torch.zeros(8, device="cuda") + torch.arange(8, device=place)
        x = x + torch.zeros_like(x, device="cuda") + x.new_ones(8, device="cuda:1") + self.plain.cuda()
        x = self.fc.cuda()(x.cuda(0)) + self.table.to(device=place, dtype=torch.float32)
        torch.cuda.set_device(0)
        torch.cuda.synchronize()
        x = x.type(torch.cuda.FloatTensor).type("torch.cuda.FloatTensor")
        with torch.device(torch.cuda.current_device()), torch.device("cuda"):
            x = x + torch.rand(8) + torch.tensor([1.0] * 8)
        return x.to(place, torch.float64).cpu().to("cuda")


def test_a_move_to_a_gpu_is_ignored_on_fake_tensors() -> None:
    model = OnCuda()
    with unchanged(model):
        graph = fxviz.trace(model, torch.ones(1, 8))
    assert (graph.total_params, graph.total_macs, graph.trace.method) == (72, 64, "fake")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the move succeeds")
def test_a_move_to_a_gpu_on_the_cpu_says_what_to_do() -> None:
    with pytest.raises(TraceError, match=r"moves tensors to another device by name: leave out device='cpu'"):
        fxviz.trace(OnCuda(), torch.ones(1, 8), device="cpu")


# ------------------------------------------------------------------ kernels for fake tensors that are too strict


LIBRARY = torch.library.Library("fxviz_tests", "DEF")
LIBRARY.define("strict(Tensor x) -> Tensor")
LIBRARY.impl("strict", lambda x: x[:, :3].clone(), "CPU")


@torch.library.register_fake("fxviz_tests::strict")
def _(x: Tensor) -> Tensor:
    raise RuntimeError("only float16 is supported")


class Strict(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.fxviz_tests.strict(self.fc(x))


def test_an_operation_that_fake_tensors_refuse_is_run_on_zeros() -> None:
    graph = fxviz.trace(Strict(), torch.ones(2, 8))
    assert graph.trace.method == "fake" and row(graph, "strict").outputs[0].shape == (2, 3)
    assert graph.trace.notes == ("torch refuses fxviz_tests.strict without data, so it was run on zeros",)
    assert (graph.total_macs, graph.unknown_macs) == (128, 1)


def test_an_operation_that_is_wrong_fails() -> None:
    with pytest.raises(TraceError, match=r"1 \(Linear\): RuntimeError"):
        fxviz.trace(nn.Sequential(nn.Linear(8, 4), nn.Linear(8, 4)), torch.ones(2, 8))


# ------------------------------------------------------------------ operators that take functions


class TwoLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)


class Cond(TwoLayers):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.cond(x.sum() > 0, self.a, lambda x: self.b(self.b(x)), (x,))
        return y + x


@pytest.mark.parametrize(
    ("value", "device", "macs", "notes"),
    [
        (1.0, "meta", 64, ("the condition of torch.cond depends on data, so its first branch was assumed",)),
        (1.0, "cpu", 64, ()),
        (-1.0, "cpu", 128, ()),
    ],
)
def test_the_branch_that_runs_is_recorded(value: float, device: str, macs: int, notes: tuple[str, ...]) -> None:
    graph = fxviz.trace(Cond(), torch.full((1, 8), value), device=device)
    assert (graph.total_params, graph.total_macs, graph.trace.notes) == (144, macs, notes)
    assert graph.skip_counts["identity"] == 1


class While(TwoLayers):
    def forward(self, x: Tensor) -> Tensor:
        from torch._higher_order_ops.while_loop import while_loop

        start = torch.zeros((), dtype=torch.int64)
        _, y = while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, self.a(x)), (start, x))
        return self.b(y)


class Scan(TwoLayers):
    def forward(self, x: Tensor) -> Tensor:
        from torch._higher_order_ops.scan import scan

        def step(carry: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            state = torch.tanh(self.a(x) + self.b(carry))
            return state, state.clone()

        return scan(step, torch.zeros(2, 8), x[None].expand(5, 2, 8), dim=0)[1]


class Map(TwoLayers):
    def forward(self, x: Tensor) -> Tensor:
        from torch._higher_order_ops.map import map as mapped

        return self.b(mapped(lambda row: self.a(row), x))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("model", "macs"), [(While(), 2 * 4 * 64), (Scan(), 5 * 2 * 2 * 64), (Map(), 4 * 64)], ids=["while", "scan", "map"]
)
def test_each_round_of_a_loop_is_recorded(model: nn.Module, macs: int, device: str) -> None:
    graph = fxviz.trace(model, torch.ones(2, 8), device=device)
    assert (graph.total_macs, graph.unknown_macs, graph.untraced) == (macs, 0, ())


class Flex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(2, 31))

    def forward(self, x: Tensor) -> Tensor:
        from torch.nn.attention.flex_attention import flex_attention

        return flex_attention(x, x, x, score_mod=lambda score, b, h, i, j: score + self.bias[h, i - j + 15])


@pytest.mark.filterwarnings("ignore:flex_attention called without")
@pytest.mark.parametrize("device", DEVICES)
def test_flexible_attention_is_one_step(device: str) -> None:
    graph = fxviz.trace(Flex(), torch.ones(1, 2, 16, 8), device=device)
    attention = row(graph, "flex_attention")
    assert (attention.macs, attention.uses) == (2 * 2 * 16 * 16 * 8, ("bias",))


class FlexOnOutput(nn.Module):
    """Adds to the scores what a layer computes, which the function on the scores finds around it."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        from torch.nn.attention.flex_attention import flex_attention

        shifts = {"row": self.shift(x)[..., 0]}

        def shifted(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
            return score + shifts["row"][b, h, j]

        return flex_attention(x, x, x, score_mod=shifted)


@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_attention_depends_on_what_its_function_reads() -> None:
    flow = fxviz.trace(FlexOnOutput(), torch.ones(1, 2, 16, 8)).to_networkx()
    assert networkx.has_path(flow, "shift", "flex_attention")


@pytest.mark.parametrize("device", DEVICES)
def test_each_step_of_scripted_code_is_recorded_once(device: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)))
    graph = fxviz.trace(model, torch.ones(2, 8), device=device)
    assert [node.op for node in graph.nodes if node.kind == "function" and node.op != "t"] == ["addmm", "relu", "addmm"]
    assert graph.total_macs == 2 * 8 * 8 + 2 * 8 * 4


class Compiles(TwoLayers):
    def forward(self, x: Tensor) -> Tensor:
        return torch.compile(lambda x: self.b(x))(torch.compile(self.a)(x))


def test_what_is_compiled_in_the_forward_is_recorded() -> None:
    graph = fxviz.trace(Compiles(), torch.ones(1, 8))
    assert [node.path for node in graph.nodes if node.op == "Linear"] == ["a", "b"]


# ------------------------------------------------------------------ nested tensors


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
def test_a_nested_tensor_is_refused_in_one_sentence(layout: torch.layout, device: str) -> None:
    x = torch.nested.nested_tensor([torch.zeros(2, 8), torch.zeros(3, 8)], layout=layout)
    with pytest.raises(UsageError, match=r"has no one shape: pass it padded \(x.to_padded_tensor\(0.0\)\)"):
        fxviz.trace(nn.Linear(8, 4), x, device=device)


class MakesNested(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.nested.nested_tensor([x, x[:1]], layout=torch.jagged).sin()


@pytest.mark.parametrize("device", DEVICES)
def test_a_jagged_tensor_made_of_an_input_has_the_rows_of_all_its_parts(device: str) -> None:
    graph = fxviz.trace(MakesNested(), torch.zeros(2, 8), device=device)
    assert row(graph, "sin").outputs[0].shape == (2 + 1, 8)


# ------------------------------------------------------------------ other threads


class InPool(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        with ThreadPoolExecutor(2) as pool:
            return self.c(torch.cat(list(pool.map(lambda module: module(x), [self.a, self.b])), 1))


class InThreads(InPool):
    """Calls functions, no modules."""

    def forward(self, x: Tensor) -> Tensor:
        results: dict[str, Tensor] = {}

        def work(name: str) -> None:
            results[name] = F.linear(x, getattr(self, name).weight)

        threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.c(torch.cat([results["a"], results["b"]], 1))


class Idle(InPool):
    def forward(self, x: Tensor) -> Tensor:
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        return self.c(torch.cat([self.a(x), self.b(x)], 1))


@pytest.mark.parametrize("device", DEVICES)
def test_modules_in_other_threads_are_told(device: str) -> None:
    graph = fxviz.trace(InPool(), torch.ones(1, 8), device=device)
    assert (graph.total_params, graph.total_macs, graph.unknown_macs, graph.untraced) == (212, 64, 1, ())
    assert row(graph, "other threads").params == 144
    assert "computes in other threads ('a', 'b')" in graph.trace.notes[0].replace("('b', 'a')", "('a', 'b')")
    assert "over 64" in fxviz.render(graph).svg


@pytest.mark.slow
def test_functions_in_other_threads_are_told() -> None:
    graph = fxviz.trace(InThreads(), torch.ones(1, 8))
    assert (graph.total_macs, graph.unknown_macs) == (64, 1)
    assert sorted(row(graph, "other threads").uses) == ["a.weight", "b.weight"]
    real = fxviz.trace(InThreads(), torch.ones(1, 8), device="cpu")
    assert (real.total_macs, real.unknown_macs) == (64, 1)
    assert real.trace.notes == ("the model starts another thread: what that computes is not seen",)


def test_a_thread_that_computes_nothing_changes_no_count() -> None:
    graph = fxviz.trace(Idle(), torch.ones(1, 8))
    assert (graph.total_macs, graph.unknown_macs, graph.trace.notes) == (192, 0, ())
    assert fxviz.trace(Idle(), torch.ones(1, 8), device="cpu").unknown_macs == 0


class Jagged(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 4)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        both = torch.nested.as_nested_tensor([a, b], layout=torch.jagged)
        return self.fc(both).to_padded_tensor(0.0)


@pytest.mark.parametrize("device", DEVICES)
def test_a_jagged_tensor_made_on_the_way_has_the_rows_of_all_its_parts(device: str) -> None:
    graph = fxviz.trace(Jagged(), (torch.zeros(3, 8), torch.zeros(5, 8)), device=device)
    assert (graph.total_params, graph.total_macs, graph.unknown_macs) == (36, 8 * 8 * 4, 0)
    assert row(graph, "Linear").outputs[0].shape == (8, 4) and graph.nodes[-1].outputs[0].shape == (2, 5, 4)
    assert not any("_tracer" in note for note in graph.trace.notes)
