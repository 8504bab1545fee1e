"""Rows are named by what they do, alike in every figure, table and sentence."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fxviz
from conftest import CASES, Result
from fxviz._graph import ArchGraph
from fxviz._graph.options import RenderOptions
from fxviz._render import wording
from fxviz._render.figure import figure_of
from fxviz._view import Detail, Outline, fold, lay_out

IMAGE = torch.zeros(1, 3, 16, 16)


def rows_of(graph: ArchGraph, **options: Any) -> list[str]:
    """Return the name of each row with what is fused into it: "Conv 3×3 /2 · BN · ReLU"."""
    shown = [(wording.what(row), wording.tags(row)) for row in fold(graph, **options).rows]
    return [" · ".join(filter(None, texts)) for texts in shown]


def traced(model: nn.Module, inputs: Any = IMAGE) -> ArchGraph:
    return fxviz.trace(model.eval(), inputs)


# ------------------------------------------------------------------ layers of one's own


class StdConv(nn.Conv2d):
    """Computes its weight first, as timm's ScaledStdConv2d does."""

    def forward(self, x: Tensor) -> Tensor:
        weight = (self.weight - self.weight.mean((1, 2, 3), True)) / (self.weight.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Depthwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Parameter(torch.rand(8, 1, 5, 5))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.filters, stride=2, padding=4, dilation=2, groups=8)


class Grow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(8, 4, 4, 4))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.weight, None, 2, 1)


class BatchStatistics(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("var", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.mean, self.var, self.weight, self.bias)


class ChannelsLast(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class Transposed(nn.Module):
    """A linear layer as GPT-2 has it: the weight is input by output."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.rand(inner, outer)), nn.Parameter(torch.zeros(outer))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.weight)


class OwnLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.n = StdConv(3, 8, 3, 2, 1), BatchStatistics(8)
        self.b, self.m = Depthwise(), ChannelsLast(8)
        self.c, self.d = Grow(), nn.Conv2d(4, 8, 1)
        self.fc = Transposed(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.n(self.a(x)).relu()
        x = self.d(self.c(self.m(self.b(x))).relu())
        return self.fc(x.mean((2, 3)))


def test_layers_of_ones_own_read_like_those_of_torch() -> None:
    assert rows_of(traced(OwnLayers())) == [
        "StdConv 3×3 3→8 /2 · BN · ReLU",
        "DW 5×5 /2 dil 2 · LN",
        "Transposed Conv 4×4 8→4 /2 · ReLU",
        "Conv 1×1 4→8",
        "mean",
        "Linear 8→10",
    ]


def test_layers_of_ones_own_count_as_what_they_are() -> None:
    explanation = fxviz.explain(traced(OwnLayers())).text()
    assert "4 convolutions and 1 fully connected layer" in explanation
    assert "a (stride 2) 16×16 → 8×8; b (stride 2) 8×8 → 4×4" in explanation
    assert "fc: 8 → 10, 90 parameters" in explanation
    assert "other parameters" not in explanation


def test_a_subclass_that_pads_is_a_convolution() -> None:
    graph = fxviz.trace(f"{CASES / 'figure_conv_subclass.py'}:Net")
    assert rows_of(graph) == ["Conv 3×3 3→8 /2 · ReLU", "SameConv 3×3 8→8 /2 · ReLU", "DW 5×5 /2"]
    assert "3 convolutions" in fxviz.explain(graph).text()


class Functional(nn.Module):
    """All in one forward: parameters of the model itself, no modules."""

    def __init__(self) -> None:
        super().__init__()
        self.w1, self.g, self.b = (
            nn.Parameter(torch.rand(8, 3, 3, 3)),
            nn.Parameter(torch.ones(8)),
            nn.Parameter(torch.zeros(8)),
        )
        self.w2, self.w3 = nn.Parameter(torch.rand(16, 8)), nn.Parameter(torch.rand(16, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = F.instance_norm(F.conv2d(x, self.w1, None, 2), weight=self.g, bias=self.b)
        return F.gelu(F.linear(x.mean((2, 3)), self.w2)) @ self.w3


def test_functions_with_bare_weights_are_layers() -> None:
    assert rows_of(traced(Functional())) == ["Conv 3×3 3→8 /2 · IN", "mean", "Linear 8→16 · GELU", "Linear 16→4"]


class Gamma(nn.Module):
    """An activation and a constant factor, as in networks without norms."""

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x) * 1.7


class NormAndAct(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(super().forward(x), 0.1)


class ActivatedConv(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return F.silu(super().forward(F.relu(x)))


class Chomp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[..., :-1].contiguous()


class Down(nn.MaxPool2d):
    pass


class Ln(nn.GroupNorm):
    pass


def test_what_a_module_of_ones_own_does_besides_is_in_its_row() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        Gamma(),
        ActivatedConv(8, 8, 3),
        NormAndAct(8),
        nn.Conv2d(8, 8, 3),
        Chomp(),
        nn.ReLU(),
        Down(2),
    )
    assert rows_of(traced(model)) == [
        "Conv 3×3 3→8 · GELU",
        "ActivatedConv 3×3 8→8 · pre-ReLU · SiLU · BN · LeakyReLU",
        "Conv 3×3 8→8 · ReLU",
        "MaxPool 2×2 /2",
    ]
    assert rows_of(traced(nn.Sequential(nn.Conv2d(3, 8, 3), Ln(2, 8), nn.ReLU()))) == ["Conv 3×3 3→8 · GN · ReLU"]


def test_a_flatten_of_the_examples_together_is_a_view() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.norm = nn.Linear(16, 8), nn.BatchNorm1d(8)

        def forward(self, x: Tensor) -> Tensor:
            x = self.fc(x)
            return self.norm(x.flatten(0, 2)).view_as(x).relu()

    assert rows_of(traced(Net())) == ["Linear 16→8 · BN · ReLU"]


def test_an_activation_joins_the_norm_whose_statistics_nothing_reads() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)

        def forward(self, x: Tensor) -> Tensor:
            norm = self.norm
            x, _, _ = torch.native_batch_norm(
                self.conv(x), norm.weight, norm.bias, norm.running_mean, norm.running_var, False, 0.1, 1e-5
            )
            return x.relu()

    assert rows_of(traced(Net())) == ["Conv 3×3 3→8 · BN · ReLU"]


# ------------------------------------------------------------------ parameters beside an operation


class Bare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.weight, self.shift = nn.Linear(8, 8), nn.Parameter(torch.ones(8)), nn.Parameter(torch.zeros(8))
        self.list = nn.ParameterList([torch.zeros(8), torch.zeros(8)])
        self.pos_embed, self.table = nn.Parameter(torch.zeros(8)), nn.Embedding(4, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cumsum(self.fc(x), 0)
        x = torch.cumsum(x + self.list[0], 0)
        x = torch.cumsum(x * self.weight, 0)
        x = torch.cumsum(torch.maximum(x, self.shift), 0)
        x = torch.cumsum(x + self.pos_embed, 0)
        return x + self.table(torch.arange(4))


def test_a_parameter_gives_its_name_only_if_that_says_what_it_is() -> None:
    shown = rows_of(traced(Bare(), torch.zeros(4, 8)))
    assert [text for text in shown if text != "cumsum"] == [
        "Linear 8→8",
        "bias",
        "scale",
        "maximum",
        "position embedding · add",
        "Embedding 4→8 · add",
    ]


def test_the_weight_of_a_table_that_is_read_whole_is_named_after_the_table() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query_pos, self.fc, self.blocks = nn.Embedding(4, 8), nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            queries = self.fc(self.query_pos.weight)
            return torch.cumsum(x @ queries.T, 0) * self.blocks.bias[:4]

    shown = rows_of(traced(Net(), torch.zeros(4, 8)))
    assert shown == ["query position", "Linear 8→8", "Linear 8→4", "cumsum", "scale"]


def test_a_parameter_that_is_reshaped_first_scales_in_every_repetition() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, padding=1)
            self.gamma = nn.Parameter(torch.ones(8))

        def forward(self, x: Tensor) -> Tensor:
            return (self.two(self.one(x)) * self.gamma.reshape(1, -1, 1, 1)).cumsum(1)

    stages = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Sequential(*(Block() for _ in range(4))))
    assert rows_of(traced(stages)) == ["Conv 1×1 3→8", "Conv 1×1 8→8", "Conv 3×3 8→8", "scale", "cumsum"]


class Posterior(nn.Module):
    """Computes what nothing reads, and adds numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.unread = nn.Linear(8, 16), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        mean, spread = self.one(x + 1).chunk(2, -1)
        spread.clamp(-30, 20).exp().sqrt()
        self.unread(mean.cumsum(0))
        return self.two(mean) * (1 + mean.cos())


def test_what_nothing_reads_and_sums_with_numbers_are_no_rows() -> None:
    shown = rows_of(traced(Posterior(), torch.zeros(4, 8)))
    assert shown == ["Linear 8→16", "cumsum", "Linear 8→2", "Linear 8→8", "cos", "× mul"]


def test_a_norm_with_a_weight_of_its_own_is_no_weight() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.conv = nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            norm = self.norm
            y = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
            return F.group_norm(self.conv(y), 2) + F.prelu(self.conv(x), norm.weight[:1])

    shown = rows_of(traced(Net()))
    assert "Conv 3×3 3→4 · pre-BN · GN" in shown
    assert not any("weight" in text for text in shown)


# ------------------------------------------------------------------ runs of functions, lists of modules


class Code(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc(x)
        x = (x.exp() + x.abs()).cumsum(0) * x
        return torch.topk(x.softmax(0), 2, 0).values


def test_consecutive_functions_are_named_by_the_most_telling_ones() -> None:
    merged = lay_out(Outline(traced(Code(), torch.zeros(4, 8))), Detail(merge_code=True)).view
    assert [wording.what(row) for row in merged.rows] == ["Linear 8→8", "cumsum, Softmax, topk, …"]


def block(width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(width, width, 3), nn.ReLU(), nn.Conv2d(width, width, 1))


class Pair(nn.Sequential):
    pass


class Listed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = block(3)
        self.body = nn.Sequential(Pair(*block(3)), Pair(*block(3)))
        self.parts = nn.ModuleList([block(3)])

    def forward(self, x: Tensor) -> Tensor:
        return self.parts[0](self.body(self.stem(x)))


def test_a_list_of_modules_is_named_by_its_path_or_by_what_it_lists() -> None:
    assert rows_of(traced(Listed()), depth=1) == ["stem", "2 × Pair", "parts.0"]
    unnamed = nn.Sequential(block(3), nn.Sequential(nn.Flatten(), nn.Linear(588, 8), nn.ReLU(), nn.Linear(8, 2)))
    assert rows_of(traced(unnamed), depth=1) == ["Conv", "MLP 588→8→2 ReLU"]


# ------------------------------------------------------------------ what torch puts around modules


def case(name: str) -> ArchGraph:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fxviz.trace(f"{CASES / name}")


@pytest.mark.slow
def test_compiled_modules_are_named_as_they_were_written() -> None:
    graph = case("09_compiled.py:make")
    assert (graph.model.cls, rows_of(graph)) == (
        "torch.nn.modules.container.Sequential",
        ["Linear 16→16 · ReLU", "Linear 16→16"],
    )
    assert [parameter.name for parameter in graph.parameters] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    inner = torch.compile(nn.Sequential(nn.Linear(8, 4)))
    compiled = fxviz.trace(inner, torch.zeros(1, 8))
    for text in (graph.to_json(), fxviz.explain(graph).text(), compiled.to_json(), str(fxviz.summary(compiled))):
        assert "_orig_mod" not in text
        assert "OptimizedModule" not in text


@pytest.mark.slow
def test_a_part_of_a_compiled_model_is_traced_by_its_written_path() -> None:
    model = nn.Sequential(nn.Linear(8, 8), torch.compile(nn.Sequential(nn.Linear(8, 4))))
    graph = fxviz.trace(torch.compile(model), torch.zeros(1, 8), root="1")
    assert (graph.model.name, rows_of(graph)) == ("Sequential.1", ["Linear 8→4"])


def test_the_message_of_a_failure_inside_a_compiled_module_has_the_written_path() -> None:
    with pytest.raises(fxviz.TraceError, match=r"cannot trace Sequential: 1 \(Linear\)"):
        fxviz.trace(torch.compile(nn.Sequential(nn.Linear(8, 8), torch.compile(nn.Linear(4, 4)))), torch.zeros(1, 8))


@pytest.mark.parametrize("make", ["make_fx", "make_export", "make_qat"])
def test_graph_modules_have_rows_like_the_model(make: str) -> None:
    assert rows_of(case(f"51_qat.py:{make}")) == ["Conv 3×3 3→8 · ReLU", "mean", "Linear 8→10"]


@pytest.mark.parametrize("make", ["make_fx", "make_export"])
def test_a_graph_module_is_called_by_the_class_it_was_made_from(make: str) -> None:
    graph = case(f"51_qat.py:{make}")
    assert graph.model.cls.rpartition(".")[2] == "Net"
    assert "GraphModule" not in fxviz.explain(graph).text()


class Own(nn.Module):
    """No module of its own, and a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.rand(8, 8, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.conv2d(torch.conv2d(x, self.w).relu(), self.w)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.own, self.fc = nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), Own(), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.own(self.norm(self.stem(x)).relu()).mean((2, 3)))


def unflattened(model: nn.Module) -> nn.Module:
    return torch.export.unflatten(torch.export.export(model, (IMAGE,)))


def exported(model: nn.Module) -> nn.Module:
    return torch.export.export(model, (IMAGE,)).module()


def observed(model: nn.Module) -> nn.Module:
    quantize_fx = pytest.importorskip("torch.ao.quantization.quantize_fx")
    from torch.ao.quantization import get_default_qconfig_mapping

    return quantize_fx.prepare_fx(model, get_default_qconfig_mapping(), (IMAGE,))


def scripted(model: nn.Module) -> nn.Module:
    return torch.jit.trace(model, IMAGE)


SMALL = ["Conv 3×3 3→8 /2 · BN · ReLU", "Conv 1×1 8→8 · ReLU", "Conv 1×1 8→8", "+ add", "mean", "Linear 8→4"]


@pytest.mark.parametrize("make", [torch.fx.symbolic_trace, unflattened, exported, observed, scripted])
@pytest.mark.parametrize("wrap", [False, True], ids=["whole", "part"])
def test_what_torch_makes_of_a_model_reads_like_it(make: Callable[[nn.Module], nn.Module], wrap: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = make(Small().eval())
        if wrap and make is not scripted:  # the inside of a scripted part is one row
            made = nn.Sequential(made, nn.Identity())
        graph = fxviz.trace(made, IMAGE)
    shown = [text.replace(" · BN", "") if make is observed else text for text in rows_of(graph)]
    wanted = [text.replace(" · BN", "") if make is observed else text for text in SMALL]
    assert (shown, graph.skip_counts["identity"]) == (wanted, 1)


@pytest.mark.slow
def test_quantized_layers_are_rows() -> None:
    quantize_fx = pytest.importorskip("torch.ao.quantization.quantize_fx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = fxviz.trace(
            quantize_fx.convert_fx(observed(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1)).eval())), IMAGE
        )
    assert rows_of(graph) == ["Conv 3×3 3→8", "Conv 1×1 8→8"]


def test_parametrized_and_scripted_modules_keep_their_classes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(Code())
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)), scripted)
    assert [node.op for node in traced(model, torch.zeros(4, 8)).nodes if node.kind == "module"] == ["Linear", "Code"]


# ------------------------------------------------------------------ one thing, one name


@pytest.mark.parametrize("model", [OwnLayers(), Functional(), Listed()], ids=lambda model: type(model).__name__)
def test_every_figure_has_the_same_names(model: nn.Module) -> None:
    graph = traced(model)
    for style in ("ledger", "graph"):
        figure = figure_of(graph, RenderOptions(style=style))
        for row in fold(graph, style=style).rows:
            assert wording.what(row) in figure.dot
            assert wording.what(row) in figure.mermaid.replace("#45;", "-")


def test_the_summary_lists_the_layers_of_the_figure(fxviz: Callable[..., Result]) -> None:
    out = fxviz("summary", f"{CASES / 'figure_conv_subclass.py'}:Net", "--no-cache").out
    for layer, cls in (("a", "Conv2d"), ("b", "SameConv"), ("c", "PaddedConv")):
        assert any(line.split()[:2] == [layer, cls] for line in out.splitlines())
