"""What a figure of a difference counts: its title, its rows, and what is found by hand say the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import fxviz
from conftest import examples
from fxviz._analysis.match import match
from fxviz._graph import ArchGraph, TensorInfo
from fxviz._graph.errors import UsageError
from fxviz._render import differences
from fxviz._render.figure import Figure, RenderOptions
from fxviz._view import fold
from fxviz._view.view import Row, View
from models import traced

PAIRS = ["resnet18 resnet34", "resnet34 resnet18", "resnet50 wide_resnet50_2", "vgg11 vgg11_bn", "vit_b_16 vit_b_32"]
SLOW = [
    "mobilenet_v3_small mobilenet_v3_large", "fcn_resnet50 deeplabv3_resnet50", "densenet121 densenet169",
    "swin_t swin_v2_t",
    "densenet169 densenet121", "resnet50 resnet34", "resnet34 resnet50", "r3d_18 mc3_18", "convnext_tiny convnext_base",
    "efficientnet_b0 efficientnet_b1", "efficientnet_b1 efficientnet_b0", "mnasnet0_5 mnasnet1_0",
    "resnext50_32x4d resnext101_32x8d",
    "fasterrcnn_resnet50_fpn retinanet_resnet50_fpn", "regnet_y_400mf regnet_x_400mf", "resnet101 resnet50",
    "mobilenet_v2 mobilenet_v3_large", "shufflenet_v2_x0_5 shufflenet_v2_x1_0", "squeezenet1_0 squeezenet1_1",
]  # fmt: skip


def check_counts(view: View) -> None:
    """Compare the counts of the title and both totals with the sums of the rows, in all repetitions."""
    difference = view.difference
    assert difference is not None
    counted, noun = difference.tally
    of_rows: Counter[str] = Counter()
    for row in view.rows:
        if row.change is not None and row.change.tally.noun == noun:
            of_rows.update({kind: count * times(row) for kind, count in row.change.tally.counts.items()})
    assert of_rows == counted
    assert view.total == difference.new.traced_params
    assert sum(row.change.was if row.change else row.total for row in view.rows) == difference.old.traced_params


def times(row: Row) -> int:
    return row.counted or row.times


def diff(old: nn.Module, new: nn.Module, *size: int, **wanted: int) -> Figure:
    graphs = [fxviz.trace(model, TensorInfo((1, *size), "float32")) for model in (old, new)]
    return fxviz.diff(*graphs, options=RenderOptions(**wanted))  # type: ignore[arg-type]


# -------------------------------------------------------------------- the title and the rows


@pytest.mark.parametrize("pair", [*PAIRS, *(pytest.param(pair, marks=pytest.mark.slow) for pair in SLOW)])
def test_the_title_counts_what_the_rows_count(pair: str) -> None:
    graphs = [traced(name) for name in pair.split()]
    difference = match(*graphs)
    for budget in (89, 40):
        check_counts(fold(difference.new, budget=budget, difference=difference))


_LAYERS = {
    "conv": lambda: nn.Conv2d(4, 4, 3, padding=1),
    "wide": lambda: nn.Conv2d(4, 4, 5, padding=2),
    "free": lambda: nn.Conv2d(4, 4, 3, padding=1, bias=False),
    "norm": lambda: nn.BatchNorm2d(4),
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "drop": nn.Dropout,
    "pool": lambda: nn.AvgPool2d(3, 1, 1),
    "unit": lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)),
}
_CHAIN = st.lists(st.sampled_from(sorted(_LAYERS)), min_size=1, max_size=9)


@pytest.mark.slow
@settings(max_examples=examples(40))
@given(_CHAIN, _CHAIN, st.integers(1, 4))
def test_any_two_chains_are_counted(old: list[str], new: list[str], repeated: int) -> None:
    chains = (nn.Sequential(*(_LAYERS[name]() for name in names * repeated)) for names in (old, new))
    graphs = [fxviz.trace(chain, TensorInfo((1, 4, 6, 6), "float32")) for chain in chains]
    try:
        difference = match(*graphs)
    except UsageError:
        assume(False)
    for budget in (89, 12):
        check_counts(fold(difference.new, budget=budget, difference=difference))


def test_what_each_repetition_lost_is_counted_in_each() -> None:
    def chain(*names: str) -> nn.Module:
        return nn.Sequential(*(_LAYERS[name]() for name in names * 5))

    view = diff(chain("conv", "relu"), chain("conv"), 4, 6, 6).view
    check_counts(view)
    assert view.difference is not None and view.difference.tally == ({"removed": 5}, "step")


@pytest.mark.parametrize("passing", [nn.Dropout, nn.Identity])
def test_what_is_not_drawn_is_not_marked(passing: type[nn.Module]) -> None:
    for old, new in (((), (passing(),)), ((passing(),), ())):
        figure = diff(nn.Sequential(*old, nn.Linear(4, 4)), nn.Sequential(*new, nn.Linear(4, 4)), 4)
        assert [(row.heads[0].op, row.change) for row in figure.view.rows] == [("Linear", None)]


@pytest.mark.slow
def test_operations_are_counted_once() -> None:
    view = fxviz.diff(traced("fasterrcnn_resnet50_fpn"), traced("retinanet_resnet50_fpn")).view
    (row,) = (row for row in view.rows if row.kind == "code" and row.change)
    assert differences.change_text(row).endswith(f" of {len(row.heads)} added")


# -------------------------------------------------------------------- what is marked as what


def _chain(conv: nn.Module, *after: nn.Module) -> nn.Module:
    return nn.Sequential(conv, *after, nn.Conv2d(8, 4, 1))


@pytest.mark.parametrize(
    ("old", "new", "said", "counted"),
    [
        ((nn.Conv2d(4, 8, 3),), (nn.Conv2d(4, 8, 3, stride=2),), "stride 1 → 2", {"altered": 1}),
        ((nn.Conv2d(4, 8, 3),), (nn.Conv2d(4, 8, 3, bias=False),), "bias yes → no", {"altered": 1}),
        ((nn.Conv2d(4, 8, 3),), (nn.Conv2d(4, 8, 5),), "kernel 3 → 5", {"resized": 1}),
        ((nn.Conv2d(4, 8, 3),), (nn.Conv2d(4, 8, 3, groups=4),), "groups 1 → 4", {"resized": 1}),
        (
            (nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8)),
            (nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8, eps=0.01)),
            "BN eps 1e-05 → 0.01",
            {"altered": 1},
        ),
        (
            (nn.Conv2d(4, 8, 3), nn.LeakyReLU(0.1)),
            (nn.Conv2d(4, 8, 3), nn.LeakyReLU(0.2)),
            "LeakyReLU negative slope 0.1 → 0.2",
            {"altered": 1},
        ),
        (
            (nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8)),
            (nn.Conv2d(4, 8, 3), nn.GroupNorm(2, 8)),
            "+ GN · − BN",
            {"added": 1, "removed": 1},
        ),
        ((nn.Conv2d(4, 8, 3),), (nn.Conv2d(4, 8, 3, stride=2), nn.ReLU()), "stride 1 → 2 · + ReLU", {"altered": 1}),
        (
            (nn.Conv2d(4, 8, 3, groups=2),),
            (nn.Conv2d(4, 8, 5, 2, groups=4, bias=False), nn.ReLU()),
            "groups 2 → 4 · + ReLU · kernel 3 → 5 · stride 1 → 2 · bias yes → no",
            {"resized": 1},
        ),
        ((nn.Conv2d(4, 8, 3, padding=1),), (nn.Conv2d(4, 8, 5, padding=2),), "kernel 3 → 5", {"resized": 1}),
        (
            (nn.Conv2d(4, 8, 3, padding=1),),
            (nn.Conv2d(4, 8, 5, padding=3),),
            "kernel 3 → 5 · padding 1 → 3",
            {"resized": 1},
        ),
        ((nn.Conv2d(4, 8, (1, 3)),), (nn.Conv2d(4, 8, (3, 3)),), "kernel 1×3 → 3×3", {"resized": 1}),
        (
            (nn.Conv2d(4, 8, 3), nn.LeakyReLU(0.1)),
            (nn.Conv2d(4, 8, 3), nn.LeakyReLU(0.2, inplace=True)),
            "LeakyReLU negative slope 0.1 → 0.2",
            {"altered": 1},
        ),
        ((nn.Conv2d(4, 8, 3),), (nn.Conv2d(4, 8, 3), nn.ZeroPad2d(1)), "+ ZeroPad2d", {"added": 1}),
        (
            (nn.Conv2d(4, 8, 3), nn.ZeroPad2d(1)),
            (nn.Conv2d(4, 8, 3), nn.ZeroPad2d(2)),
            "ZeroPad2d padding 1 → 2",
            {"altered": 1},
        ),
        (
            (nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8)),
            (nn.Conv2d(4, 8, 3, stride=2), nn.BatchNorm2d(8, eps=0.01)),
            "stride 1 → 2 · BN eps 1e-05 → 0.01",
            {"altered": 2},
        ),
    ],
)
def test_a_setting_is_named(
    old: tuple[nn.Module, ...], new: tuple[nn.Module, ...], said: str, counted: dict[str, int]
) -> None:
    view = diff(_chain(*old), _chain(*new), 4, 9, 9).view
    assert [differences.change_text(row) for row in view.rows if row.change] == [said]
    assert view.difference is not None and view.difference.tally.counts == counted


def test_more_channels_without_parameters_are_a_resize() -> None:
    def net(width: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(4, width, 3), nn.BatchNorm2d(width, affine=False), nn.ReLU())

    difference = diff(net(8), net(16), 4, 9, 9).view.difference
    assert difference is not None and set(difference.changed.values()) == {"resized"}


class _Scaled(nn.Module):
    def __init__(self, *more: str) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        for name in more:
            setattr(self, name, nn.Parameter(nn.init.ones_(nn.Linear(4, 4).bias)))
        self.more = more

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x)
        for name in self.more:
            x = x * getattr(self, name)
        return x


def test_parameters_of_the_model_itself_count() -> None:
    for old, new, counted in ((("a",), ("a", "b"), {"added": 1}), (("a", "b"), ("a",), {"removed": 1})):
        view = diff(_Scaled(*old), _Scaled(*new), 4).view
        check_counts(view)
        assert view.difference is not None and view.difference.tally.counts == counted


class _Bare(nn.Module):
    def __init__(self, has_bare: bool) -> None:
        super().__init__()
        self.layer, self.weight = nn.Linear(4, 4), None
        if has_bare:
            self.a, self.b = (nn.Parameter(nn.Linear(4, 4).bias.detach()) for _ in range(2))
            self.weight, self.bias = nn.Linear(4, 4).weight, nn.Linear(4, 4).bias

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x)
        return x if self.weight is None else nn.functional.linear(self.b * (x + self.a), self.weight, self.bias)


def test_what_a_step_reads_of_the_model_itself_is_one_layer() -> None:
    view = diff(_Bare(has_bare=False), _Bare(has_bare=True), 4).view
    check_counts(view)
    assert view.difference is not None and view.difference.tally == ({"added": 3}, "layer")


class _Attention(nn.Module):
    def __init__(self, *heads: int) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.layers = nn.ModuleList(nn.MultiheadAttention(8, count, batch_first=True) for count in heads)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for layer in self.layers:
            x, _ = layer(x, x, x, need_weights=False)
        return x


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [((2,), (2, 2), ("added", "added")), ((2,), (4,), ("altered", "heads 2 → 4 · head dim 4 → 2"))],
)
def test_attention_is_one_layer(old: tuple[int, ...], new: tuple[int, ...], said: tuple[str, str]) -> None:
    view = diff(_Attention(*old), _Attention(*new), 3, 8).view
    check_counts(view)
    assert [(row.change.mark, differences.change_text(row)) for row in view.rows if row.change] == [said]
    assert view.difference is not None and view.difference.tally == ({said[0]: 1}, "layer")


class _Tied(nn.Module):
    def __init__(self, is_tied: bool) -> None:
        super().__init__()
        self.into, self.within, self.out = nn.Linear(4, 4, bias=False), nn.Linear(4, 4), nn.Linear(4, 4, bias=False)
        if is_tied:
            self.out.weight = self.into.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.within(self.into(x)))


@pytest.mark.parametrize(("is_tied", "said"), [(True, "weights shared"), (False, "own weights")])
def test_weights_that_are_shared_now_are_told(is_tied: bool, said: str) -> None:
    view = diff(_Tied(not is_tied), _Tied(is_tied), 4).view
    check_counts(view)
    assert [(row.path, differences.change_text(row)) for row in view.rows if row.change] == [("out", said)]
    assert view.difference is not None and view.difference.tally == ({"altered": 1}, "layer")


class _Power(nn.Module):
    def __init__(self, power: int, index: int | None) -> None:
        super().__init__()
        self.power, self.table = power, nn.Embedding(4, 4, padding_idx=index)

    def forward(self, x: Tensor) -> Tensor:
        return self.table(x.long()) ** self.power


def test_a_setting_without_a_name_and_one_without_a_value() -> None:
    view = diff(_Power(2, None), _Power(3, 0), 4).view
    assert [differences.change_text(row) for row in view.rows if row.change] == ["padding idx none → 0", "2 → 3"]


class _Several(nn.Module):
    def __init__(self, conv: bool) -> None:
        super().__init__()
        self.pools = nn.ModuleList([nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(3, 1, 1)])
        self.conv = nn.Conv2d(4, 4, 1) if conv else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.pools[0](x)
        return self.pools[1](x if self.conv is None else self.conv(x))


@pytest.mark.parametrize(("was", "now", "said"), [(True, False, "1 removed"), (False, True, "1 added")])
def test_a_block_that_was_there_and_runs_is_neither_added_nor_removed(was: bool, now: bool, said: str) -> None:
    def net(conv: bool) -> nn.Module:
        return nn.Sequential(nn.Conv2d(4, 4, 1), _Several(conv), _Several(conv=True), nn.Conv2d(4, 4, 1))

    view = diff(net(was), net(now), 4, 6, 6, depth=1).view
    check_counts(view)
    found = [(row.path, row.change.mark, differences.change_text(row)) for row in view.rows if row.change]
    assert found == [("1", "mixed", said)]


@pytest.mark.parametrize("widths", [(4, 5, 6, 7), (4, 4, 4, 4)])
def test_blocks_between_which_something_was_removed_stay_apart(widths: tuple[int, ...]) -> None:
    first, *others = widths
    old = nn.Sequential(_Block(first), nn.AvgPool2d(3, 1, 1), *map(_Block, others))
    view = diff(old, nn.Sequential(*map(_Block, widths)), 4, 6, 6, depth=1).view
    check_counts(view)
    assert [(row.kind, row.alike or row.times) for row in view.rows] == [("block", 1), ("removed", 1), ("block", 3)]


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(4, width, 1), nn.Conv2d(width, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b(self.a(x))


def test_blocks_of_which_the_same_became_are_one_row() -> None:
    old, new = (nn.Sequential(*(_Block(width) for width in widths)) for widths in ((4, 5, 6), (8, 9, 10)))
    view = diff(old, new, 4, 6, 6, depth=1).view
    check_counts(view)
    assert [(row.path, row.alike, differences.change_text(row)) for row in view.rows] == [("0", 3, "resized")]


def test_equal_blocks_are_opened_all_or_none() -> None:
    graph = traced("vit_b_16")
    heads = tuple(
        replace(node, settings={**node.settings, "eps": 0.1}) if "ln_1" in node.path else node for node in graph.nodes
    )
    view = fxviz.diff(graph, replace(graph, nodes=heads)).view
    check_counts(view)
    assert {row.times for row in view.rows if row.change} == {12}


def test_a_row_that_was_added_had_nothing_before() -> None:
    """A kept norm behind a layer of another class is no trace of that layer."""

    class Other(nn.Conv2d):
        pass

    old, new = (
        nn.Sequential(first, nn.BatchNorm2d(64), nn.Conv2d(64, 1, 1))
        for first in (nn.Conv2d(3, 64, 1), Other(3, 64, 1))
    )
    figure = diff(old, new, 3, 6, 6)
    check_counts(figure.view)
    assert ("added", "Other") in [(row.change.mark, row.heads[0].op) for row in figure.view.rows if row.change]
    assert ">in Sequential" not in figure.dot


def graph_named(name: str, graph: ArchGraph) -> ArchGraph:
    return replace(graph, model=replace(graph.model, name=name))
