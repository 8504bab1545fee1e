"""The facts of a graph agree with counts by hand and with what torch does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import pytest
import torch
from hypothesis import given
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import fxviz
from conftest import slow
from fxviz._analysis import Facts, annotate, facts_of
from fxviz._analysis.blocks import blocks_of
from fxviz._graph import ArchGraph, Edge, ModelInfo, Node, Scope, TensorInfo, TraceInfo
from fxviz._graph.index import Index
from models import traced
from random_graphs import Net, graphs, planted_nets

PUBLISHED = {
    # name: layers on the main way, longest chain, convolutions, fully connected layers, convolutions on shortcuts
    "alexnet": (8, 8, 5, 3, 0),  # Krizhevsky 2014, arXiv:1404.5997
    "vgg11": (11, 11, 8, 3, 0),  # Simonyan 2014, arXiv:1409.1556, table 1
    "vgg16": (16, 16, 13, 3, 0),
    "vgg19": (19, 19, 16, 3, 0),
    "resnet18": (18, 18, 20, 1, 3),  # He et al. 2015, arXiv:1512.03385, table 1: projections are not counted
    "resnet34": (34, 34, 36, 1, 3),
    "resnet50": (50, 50, 53, 1, 4),
    "googlenet": (
        58,
        22,
        57,
        1,
        0,
    ),  # Szegedy et al. 2014, arXiv:1409.4842: the depth of 22 counts one branch of each module
    "densenet121": (121, 121, 120, 1, 0),  # Huang et al. 2016, arXiv:1608.06993, table 1
    "mobilenet_v2": (53, 53, 52, 1, 0),  # Sandler et al. 2018, arXiv:1801.04381, table 2
}


def facts(name: str) -> Facts:
    return facts_of(traced(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_layers_are_counted_as_papers_do(name: str) -> None:
    found = facts(name)
    convolutions, linear = found.of_kind("convolution"), found.of_kind("linear")
    counted = (
        found.weighted,
        found.depth.layers,
        len(convolutions),
        len(linear),
        len(found.of_kind("convolution", "shortcut")),
    )
    assert counted == PUBLISHED[name]
    assert sum(found.depth.kinds.values()) == found.depth.layers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "weighted", "depth"),
    [
        ("resnet101", 101, 101),
        ("resnet152", 152, 152),
        ("wide_resnet50_2", 50, 50),
        ("resnext50_32x4d", 50, 50),
        ("vgg16_bn", 16, 16),
        (
            "inception_v3",
            95,
            48,
        ),  # papers count 42 or 48, by what they take for a layer; the chain that runs is 48 deep
        ("densenet201", 201, 201),
    ],
)
def test_layers_of_deeper_models(name: str, weighted: int, depth: int) -> None:
    found = facts_of(fxviz.trace(name))
    assert (found.weighted, found.depth.layers) == (weighted, depth)


def test_layers_in_gates_are_not_counted() -> None:
    found = facts("mobilenet_v3_large")
    assert len(found.of_kind("convolution", "gate")) == 16  # two in each of 8 squeeze-and-excitation blocks
    assert found.weighted == 48


@pytest.mark.parametrize(
    ("name", "core", "share"),
    [
        ("resnet18", ["layer4", "layer3"], 0.8977),
        ("vgg16", ["classifier.0", "classifier.3"], 0.8640),
        ("vit_b_16", ["encoder.layers"], 0.9825),
    ],
)
def test_the_smallest_set_that_holds_most(name: str, core: list[str], share: float) -> None:
    found = facts(name)
    assert [part.path for part in found.core] == core
    assert sum(part.amount.share for part in found.core) == pytest.approx(share, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "path", "weight"),
    [
        ("vgg16", "classifier.0", (4096, 25088)),
        ("resnet18", "layer4.0.conv2", (512, 512, 3, 3)),
        ("mobilenet_v2", "classifier.1", (1000, 1280)),
    ],
)
def test_the_largest_layer(name: str, path: str, weight: tuple[int, ...]) -> None:
    largest = facts(name).largest
    assert largest is not None and (largest.path, largest.weight) == (path, weight)


def test_parameters_by_kind() -> None:
    kinds = facts("vgg16").kinds
    assert kinds["linear"].params == 123_642_856 and kinds["convolution"].params == 14_714_688
    assert facts("resnet18").kinds["linear"].share == pytest.approx(513_000 / 11_689_512)


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("vgg16", [(224, 64), (112, 128), (56, 256), (28, 512), (14, 512)]),
        ("resnet50", [(112, 64), (56, 256), (28, 512), (14, 1024), (7, 2048)]),  # arXiv:1512.03385, table 1
        ("googlenet", [(112, 64), (56, 192), (28, 480), (14, 832), (7, 1024)]),  # arXiv:1409.4842, table 1
        ("mobilenet_v2", [(112, 16), (56, 24), (28, 32), (14, 96), (7, 1280)]),  # arXiv:1801.04381, table 2
    ],
)
def test_channels_at_each_size(name: str, stages: list[tuple[int, int]]) -> None:
    assert [(stage.size[0], stage.channels) for stage in facts(name).stages] == stages


@pytest.mark.slow
def test_where_feature_maps_get_smaller() -> None:
    said = [(step.path, step.cause, step.before, step.after, step.stride) for step in facts("resnet18").steps]
    assert said[0] == ("conv1", "convolution", (224, 224), (112, 112), (2, 2))
    assert said[1] == ("maxpool", "pooling", (112, 112), (56, 56), (2,))
    assert [path for path, *_ in said] == [
        "conv1",
        "maxpool",
        "layer2.0.conv1",
        "layer3.0.conv1",
        "layer4.0.conv1",
        "avgpool",
    ]
    assert [(step.path, step.cause) for step in facts("swin_t").steps][1:4] == [
        ("features.2", "slicing"),
        ("features.4", "slicing"),
        ("features.6", "slicing"),
    ]


class Pyramid(nn.Module):
    """Two convolutions, beside them a branch that sees the whole image, and two heads of other widths."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 16, 3, 2, 1)
        self.pool, self.context = nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 16, 1)
        self.near, self.classes, self.boxes = nn.Conv2d(16, 16, 1), nn.Conv2d(32, 5, 1), nn.Conv2d(32, 60, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.down(self.stem(x))
        y = torch.cat([self.near(x), self.context(self.pool(x)).expand_as(x)], 1)
        return self.classes(y), self.boxes(y)


def test_feature_maps_are_those_of_the_main_way() -> None:
    """Not those of a branch that is pooled, nor the channels of one head of two."""
    found = facts_of(fxviz.trace(Pyramid(), torch.zeros(1, 3, 16, 16)))
    assert [(step.path, step.after) for step in found.steps] == [("stem", (8, 8)), ("down", (4, 4))]
    assert [(stage.size, stage.channels) for stage in found.stages] == [((8, 8), 8), ((4, 4), 32)]


class PooledAttention(nn.Module):
    """Keys and values are pooled, as multiscale vision transformers do (arXiv:2104.11227)."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.pool = nn.Conv2d(8, 24, 1), nn.Conv2d(8, 8, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, 1)
        k, v = self.pool(k).flatten(2), self.pool(v).flatten(2)
        return ((q.flatten(2).mT @ k).softmax(-1) @ v.mT).mT.reshape(x.shape)


def test_what_attention_pools_are_no_feature_maps() -> None:
    found = facts_of(fxviz.trace(nn.Sequential(nn.Conv2d(3, 8, 2, 2), PooledAttention()), torch.zeros(1, 3, 16, 16)))
    assert [step.path for step in found.steps] == ["0"]


class Padded(nn.Sequential):
    """Pads before it pools, so that the pooling reads more than the map."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.ZeroPad2d(1),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(8, 16, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(super().forward(x), (1, 1, 1, 1))


def test_padding_makes_no_larger_feature_map() -> None:
    facts = facts_of(fxviz.trace(Padded(), torch.zeros(1, 3, 32, 32)))
    assert [step.before for step in facts.steps] == [(32, 32), (16, 16)]
    assert [(stage.size, stage.channels) for stage in facts.stages] == [((16, 16), 8), ((8, 8), 16)]


class Branched(nn.Module):
    """Runs two branches of different sizes that exchange features, and reads both of them in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.large, self.down = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.small, self.up = nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 8, 1)
        self.again, self.last = (nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.Conv2d(16, 32, 3, stride=2, padding=1))
        self.heads = nn.ModuleList([nn.Conv2d(8, 4, 1), nn.Conv2d(32, 4, 1)])

    def forward(self, x: Tensor) -> list[Tensor]:
        stem = self.stem(x)
        large, small = self.large(stem), self.small(self.down(stem))
        large = large + nn.functional.interpolate(self.up(small), scale_factor=2.0)
        deep = self.last(small + self.again(large))
        return [head(each) for head, each in zip(self.heads, (large, deep), strict=True)]


def test_the_last_of_several_branches_is_a_stage() -> None:
    facts = facts_of(fxviz.trace(Branched(), torch.zeros(1, 3, 32, 32)))
    assert [(stage.size, stage.channels) for stage in facts.stages] == [((16, 16), 8), ((8, 8), 16), ((4, 4), 32)]


class Heads(nn.Module):
    """Attends with four heads of eight channels: in the batch, over windows, or channels to channels."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.qkv, self.proj = nn.Linear(32, 96), nn.Linear(32, 32)

    def forward(self, x: Tensor) -> Tensor:
        attend = nn.functional.scaled_dot_product_attention
        qkv = self.qkv(x).unflatten(-1, (3, 4, 8)).permute(2, 0, 3, 1, 4)  # 3, batch, heads, tokens, channels
        if self.how == "in the batch":
            y = attend(*qkv.flatten(1, 2)).unflatten(0, (-1, 4)).transpose(1, 2).flatten(2)
        elif self.how == "over windows":
            y = attend(*qkv.unflatten(3, (3, 5))).flatten(2, 3).transpose(1, 2).flatten(2)
        else:
            y = attend(*qkv.transpose(-1, -2)).permute(0, 3, 1, 2).flatten(2)
        return self.proj(y)


@pytest.mark.parametrize("how", ["in the batch", "over windows", "channels"])
def test_heads_are_counted_wherever_they_stand(how: str) -> None:
    attention = facts_of(fxviz.trace(Heads(how), torch.zeros(2, 15, 32))).attention
    assert attention is not None and (attention.heads, attention.widths) == ((4,), (32,))


class Layout(nn.Module):
    """Attends with four heads of 8 features in a layout of its own, along the second-last axis of the input."""

    def __init__(self, scores: str, mixed: str, dim: int) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(32, 96), nn.Linear(32, 32)
        self.scores, self.mixed, self.dim = scores, mixed, dim

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 4, 8)).unbind(-3)
        weights = torch.einsum(self.scores, q, k).softmax(self.dim)
        return self.proj(torch.einsum(self.mixed, weights, v).flatten(-2))


@pytest.mark.parametrize(
    ("layout", "sizes"),
    [
        (("bihd,bjhd->bhij", "bhij,bjhd->bihd", -1), (1, 10, 32)),
        (("bihd,bjhd->bijh", "bijh,bjhd->bihd", 2), (1, 10, 32)),
        (("bihd,bjhd->ijbh", "ijbh,bjhd->bihd", 1), (2, 10, 32)),
        (("brihd,brjhd->bhrij", "bhrij,brjhd->brihd", -1), (1, 6, 10, 32)),
    ],
)
def test_heads_are_counted_in_any_layout_of_the_scores(layout: tuple[str, str, int], sizes: tuple[int, ...]) -> None:
    attention = facts_of(fxviz.trace(Layout(*layout), torch.zeros(sizes))).attention
    assert attention is not None and (attention.heads, attention.widths) == ((4,), (32,))


def test_residual_blocks_and_projections() -> None:
    found = facts("resnet18")
    assert [(block.name, block.count, dict(block.skips)) for block in found.blocks] == [
        ("BasicBlock", 8, {"identity": 5, "projection": 3})
    ]
    downsamples = [p.size for p in traced("resnet18").parameters if "downsample" in p.name]
    assert found.skip_params == {"projection": sum(downsamples)}


@pytest.mark.parametrize(
    ("name", "count", "heads", "widths", "blocks"),
    [
        ("vit_b_16", 12, (12,), (768,), {"EncoderBlock": 12}),
        pytest.param(
            *("swin_t", 12, (3, 6, 12, 24), (96, 192, 384, 768), {"SwinTransformerBlock": 12}), marks=pytest.mark.slow
        ),  # arXiv:2103.14030, section 3.3
    ],
)
def test_attention(name: str, count: int, heads: Any, widths: Any, blocks: dict[str, int]) -> None:
    found = facts(name).attention
    assert found is not None
    assert (found.count, found.heads, found.widths, dict(found.blocks)) == (count, heads, widths, blocks)


def test_a_network_without_attention_has_none() -> None:
    assert facts("resnet18").attention is None


class Made(TorchDispatchMode):
    """Count the bytes of the floating tensors with memory of their own that torch allocates."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self._alive: list[Tensor] = []
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for read in tree_leaves((args, kwargs)):
            self._keep(read)
        result = func(*args, **(kwargs or {}))
        for made in tree_leaves(result):
            if self._keep(made) and made.is_floating_point():
                self.bytes += made.numel() * made.element_size()
        return result

    def _keep(self, value: object) -> bool:
        """Return whether a value is a tensor with memory not seen before."""
        if not isinstance(value, Tensor) or value.untyped_storage()._cdata in self._known:
            return False
        self._alive.append(value)
        self._known.add(value.untyped_storage()._cdata)
        return True


def made_by(model: nn.Module, *inputs: Tensor) -> int:
    model, fakes = model.to("meta").eval(), [value.to("meta") for value in inputs]
    with torch.no_grad(), Made() as made:
        model(*fakes)
    return made.bytes


@pytest.mark.parametrize("name", ["alexnet", "resnet18", *slow("vgg16", "mobilenet_v2")])
def test_activations_are_what_torch_allocates(name: str) -> None:
    """Batch norm also returns mean and deviation for the backward pass, four bytes each per channel."""
    import torchvision

    model = torchvision.models.get_model(name)
    channels = sum(norm.num_features for norm in model.modules() if isinstance(norm, nn.BatchNorm2d))
    assert facts(name).memory.activations == made_by(model, torch.empty(1, 3, 224, 224)) - 8 * channels


class Views(nn.Module):
    """Views, copies of views, and writes in place."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = x * 2  # new
        y = self.drop(self.relu(y)).view(2, 3, 4).transpose(1, 2)
        y = y.reshape(2, 12)  # new: it was transposed
        y = y.reshape(2, 3, 4).permute(0, 2, 1).contiguous()  # new
        y = y.contiguous().float().flatten(1)
        y += 1
        y.mul_(3)
        first, second = y.chunk(2, 1)
        picked = y[:, torch.tensor([0, 2])]  # new: 2×2
        return torch.cat([first, second, picked.double().float()], 1)  # new: twice a cast, and the result


def test_views_and_writes_in_place_make_no_activations() -> None:
    x = torch.zeros(2, 12)
    floats = 24 + 24 + 24 + 4 + 2 * 4 + 4 + 28
    assert made_by(Views(), x) == 4 * floats
    assert (
        facts_of(fxviz.trace(Views(), x)).memory.activations - 2 * 8 == 4 * floats
    )  # and the two indices, 8 bytes each


@pytest.mark.parametrize(
    ("make", "traced_bytes", "fp32_bytes"),
    [(nn.Module.half, 2, 4), (nn.Module.double, 8, 4), (nn.Module.float, 4, 4)],
)
def test_bytes_as_traced_and_in_fp32(
    make: Callable[[nn.Module], nn.Module], traced_bytes: int, fp32_bytes: int
) -> None:
    model = make(nn.Linear(8, 4))
    memory = facts_of(fxviz.trace(model, torch.zeros(2, 8, dtype=model.weight.dtype))).memory  # type: ignore[union-attr]
    assert (memory.weights, memory.weights_fp32) == (36 * traced_bytes, 36 * fp32_bytes)
    assert (memory.activations, memory.activations_fp32) == (8 * traced_bytes, 8 * fp32_bytes)


class Functional(nn.Module):
    """Layers that are functions with weights of the model."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.zeros(6, 1, 5, 5))
        self.inner = nn.Module()
        self.inner.weight = nn.Parameter(torch.zeros(10, 6))
        self.inner.bias = nn.Parameter(torch.zeros(10))
        self.scale = nn.Parameter(torch.zeros(10))

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.conv2d(x, self.kernel, None, 2, 2, 1, 3).mean((2, 3))
        return nn.functional.linear(x, self.inner.weight, self.inner.bias) * self.scale


def test_functions_with_weights_are_layers() -> None:
    found = facts_of(fxviz.trace(Functional(), torch.zeros(1, 3, 8, 8)))
    assert [(layer.path, layer.kind, layer.params) for layer in found.layers] == [
        ("kernel", "convolution", 150),
        ("inner", "linear", 70),
        ("scale", "other", 10),
    ]
    shape = found.layers[0].geometry
    assert shape is not None
    assert (shape.kernel, shape.stride, shape.padding, shape.groups, shape.depthwise) == (
        (5, 5),
        (2, 2),
        (2, 2),
        3,
        True,
    )
    assert (shape.in_channels, shape.out_channels, found.layers[1].features) == (3, 6, (6, 10))


class Transposed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.zeros(6, 4, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv_transpose2d(x, self.kernel, None, 2, 1, 1, 3, 2)


def test_a_transposed_convolution_as_a_function() -> None:
    """Its groups stand where another convolution has its dilation: they are told apart by the function."""
    shape = facts_of(fxviz.trace(Transposed(), torch.zeros(1, 6, 8, 8))).layers[0].geometry
    assert shape is not None and shape.transposed
    assert (shape.stride, shape.padding, shape.groups, shape.dilation) == ((2, 2), (1, 1), 3, (2, 2))
    assert (shape.in_channels, shape.out_channels) == (6, 12)


def test_a_setting_may_be_anything(tiny: ArchGraph) -> None:
    odd = {
        "in_features": (4, 4),
        "kernel_size": "x",
        "groups": "x",
        "stride": ("a", "b"),
        "dilation": 2.5,
        "padding": "same",
    }
    nodes = tuple(replace(node, settings=odd) if node.kind == "module" else node for node in tiny.nodes)
    conv, fc = facts_of(replace(tiny, nodes=nodes)).layers
    assert conv.geometry is not None
    assert (conv.geometry.groups, conv.geometry.stride, conv.geometry.dilation) == (1, (1, 1), (1, 1))
    assert fc.features == (256, 10)


class Normed(nn.Module):
    def __init__(self, normed: Callable[[nn.Module], nn.Module]) -> None:
        super().__init__()
        self.conv, self.fc = normed(nn.Conv1d(3, 8, 3)), normed(nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).mean(2))


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("normed", [nn.utils.parametrizations.weight_norm, nn.utils.weight_norm])
def test_layers_with_weight_norm_are_layers(normed: Any) -> None:
    found = facts_of(fxviz.trace(Normed(normed), torch.zeros(1, 3, 9)))
    assert [(layer.path, layer.kind) for layer in found.layers] == [("conv", "convolution"), ("fc", "linear")]
    assert [(part.path, part.amount.params) for part in found.parts] == [("conv", 8 * 3 * 3 + 8 + 8), ("fc", 8 + 1 + 1)]
    assert found.layers[0].geometry is not None and found.layers[0].geometry.kernel == (3,)


class Towers(nn.Module):
    """Two layers in a row beside one that is called three times."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        self.right = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.left(x) + self.right(self.right(self.right(x)))


@pytest.mark.parametrize(("model", "chain"), [(Towers(), False), (Towers().left, True)], ids=["towers", "chain"])
def test_layers_beside_each_other_are_no_chain(model: nn.Module, chain: bool) -> None:
    found = facts_of(fxviz.trace(model, torch.zeros(1, 4)))
    assert found.depth.layers == (2 if chain else 3) == found.weighted
    assert (found.is_chain, found.depth.repeats) == (chain, not chain)


def test_looking_for_blocks_takes_as_many_steps_as_there_are_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net()
    x = net.input()
    for place in range(100):
        with net.scope(str(place)):
            x = net.call("add", x, net.layer("Conv2d", x))
    net.output(x)
    graph, walks = annotate(net.graph()), []
    around = Index.around
    monkeypatch.setattr(Index, "around", lambda self, scope: walks.append(scope) or around(self, scope))
    assert sum(block.count for block in blocks_of(graph)) == 100
    assert len(walks) < 1000


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 8)
        self.head = nn.Linear(8, 20, bias=False)
        self.head.weight = self.table.weight
        self.spare = nn.Linear(8, 8)
        self.table.weight.requires_grad_(False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.head(self.table(ids)) @ self.table.weight)


def test_shared_unused_and_frozen_parameters() -> None:
    found = facts_of(fxviz.trace(Tied(), torch.zeros(1, 3, dtype=torch.int64)))
    assert dict(found.shared) == {"table.weight": ("table", "head", "table.weight")}
    assert (found.params, found.used_params, found.unused_params, found.frozen) == (160 + 72, 160, 72, 160)
    assert [(layer.path, layer.kind) for layer in found.layers] == [
        ("table", "embedding"),
        ("head", "linear"),
        ("table", "linear"),
    ]
    assert (found.weighted, found.depth.layers) == (2, 3)  # head is called twice


@pytest.mark.parametrize("wrap", [nn.Sequential, lambda layer: layer], ids=["inside", "the model itself"])
def test_recurrent_layers(wrap: Callable[[nn.Module], nn.Module]) -> None:
    found = facts_of(fxviz.trace(wrap(nn.LSTM(8, 16)), torch.zeros(5, 1, 8)))
    assert [(layer.kind, layer.params) for layer in found.layers] == [("recurrent", 4 * 16 * (8 + 16 + 2))]


def test_a_model_that_is_one_layer() -> None:
    found = facts_of(fxviz.trace(nn.Linear(8, 4), torch.zeros(1, 8)))
    assert [(layer.path, layer.kind, layer.params, layer.features) for layer in found.layers] == [
        ("weight, bias", "linear", 36, (8, 4))
    ]


def _whole(found: Facts, graph: ArchGraph) -> None:
    """Check what must hold of every graph."""
    assert sum(layer.params for layer in found.layers) == graph.traced_params
    assert sum(part.amount.params for part in found.parts) == graph.traced_params
    assert sum(part.amount.macs for part in found.parts) == graph.total_macs
    assert sum(kind.params for kind in found.kinds.values()) == graph.traced_params
    assert sum(kind.macs for kind in found.kinds.values()) == graph.total_macs
    if graph.traced_params:
        assert sum(part.amount.share for part in found.parts) == pytest.approx(1)
        assert sum(kind.share for kind in found.kinds.values()) == pytest.approx(1)
        core = sorted(part.amount.params for part in found.core)
        assert 10 * sum(core) >= 8 * graph.traced_params > 10 * sum(core[1:])
    assert found.depth.layers >= 0 and found.weighted <= len(found.layers)


@given(graphs())
def test_shares_add_up_on_random_graphs(graph: ArchGraph) -> None:
    graph = annotate(graph)
    _whole(facts_of(graph), graph)


@given(planted_nets())
def test_shares_add_up_on_random_residual_nets(planted: tuple[ArchGraph, Any]) -> None:
    graph = annotate(planted[0])
    _whole(facts_of(graph), graph)


@pytest.mark.parametrize("name", ["googlenet", "swin_t", "vit_b_16", "mobilenet_v3_large"])
def test_shares_add_up_on_real_models(name: str) -> None:
    _whole(facts(name), traced(name))


@given(graphs())
def test_activations_of_random_graphs(graph: ArchGraph) -> None:
    """Without views and writes in place, activations are the results of all operations."""
    makers = [node for node in graph.nodes if node.kind in ("module", "function", "method")]
    plain = all(
        node.op in ("Conv2d", "Linear", "BatchNorm2d", "ReLU", "add", "mul", "cat", "sigmoid") for node in makers
    )
    expected = sum(4 * prod(tensor.shape) for node in makers for tensor in node.outputs)
    found = facts_of(annotate(graph)).memory.activations_fp32
    assert (
        found == expected
        if plain
        else found <= sum(8 * prod(tensor.shape) for node in makers for tensor in node.outputs)
    )


def test_a_graph_of_nothing() -> None:
    scopes = (Scope(0, "", "Empty", 0, None),)
    found = facts_of(
        ArchGraph(
            ModelInfo("empty", "python", "Empty"), TraceInfo("meta", "fake", {}, "2.4.0", None), (), (), scopes, ()
        )
    )
    assert (found.weighted, found.largest, found.parts, found.core, found.memory.activations) == (0, None, (), (), 0)


def test_a_block_around_one_block_is_that_block() -> None:
    net = Net()
    x = net.input()
    with net.scope("layer"):
        with net.scope("attention"):
            y = net.call("add", x, net.layer("Conv2d", x))
        y = net.call("add", y, net.layer("Conv2d", y))
    net.output(y)
    found = facts_of(annotate(net.graph()))
    assert [(block.name, block.count, dict(block.skips)) for block in found.blocks] == [("Layer", 1, {"identity": 2})]


def test_unknown_macs_stay_unknown() -> None:
    image = (TensorInfo((1, 4), "float32"),)
    nodes = (Node("x", "input", "x", "x", outputs=image), Node("odd", "function", "odd", "", outputs=image, macs=None))
    graph = ArchGraph(
        ModelInfo("net", "python", "Net"),
        TraceInfo("meta", "fake", {}, "2.4.0", None),
        nodes,
        (Edge("x", "odd", "0"),),
        (Scope(0, "", "Net", 0, None),),
        (),
    )
    assert facts_of(graph).unknown_macs == 1
