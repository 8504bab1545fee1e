"""Skips in sums of many terms, in all orders and spellings, and in tensors that are filled by assignments."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

import fxviz
from fxviz._graph import ArchGraph

VECTORS = torch.zeros(2, 8)


def found(graph: ArchGraph) -> Counter[tuple[str, str]]:
    """Count the skips by kind and by the path, or else the name, of the fork."""
    return Counter((skip.kind, graph.by_id[skip.fork].path or skip.fork) for skip in graph.skips)


def added(terms: Sequence[Tensor], order: random.Random) -> Tensor:
    """Add tensors in a random order, with brackets in random places."""
    left = list(terms)
    while len(left) > 1:
        order.shuffle(left)
        left.append(left.pop() + left.pop())
    return left[0]


def layer() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 8), nn.ReLU())


class Summing(nn.Module):
    """Several layers, and terms made by them of the input and of one another."""

    def __init__(self, terms: Callable[[Summing, Tensor], list[Tensor]], seed: int) -> None:
        super().__init__()
        self.a, self.b, self.c, self.out = layer(), layer(), layer(), nn.Linear(8, 2)
        self.p, self.q, self.r = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.bias = nn.Parameter(torch.ones(8))
        self.terms, self.seed = terms, seed

    def forward(self, x: Tensor) -> Tensor:
        return self.out(added(self.terms(self, x), random.Random(self.seed)))


def stages(net: Summing, x: Tensor) -> list[Tensor]:
    return [x, a := net.a(x), b := net.b(a), net.c(b)]


def projected(net: Summing, x: Tensor) -> list[Tensor]:
    return [x, net.p(x), net.b(net.a(x))]


def running(net: Summing, x: Tensor) -> list[Tensor]:
    a = net.a(x)
    b = net.b(a)
    return [net.p(a), net.q(b), net.r(net.c(b))]


def branches(net: Summing, x: Tensor) -> list[Tensor]:
    h = net.a(x)
    return [net.b(h), net.c(h), net.p(h)]


def biased(net: Summing, x: Tensor) -> list[Tensor]:
    h = net.a(x)
    return [h, net.bias, net.c(net.b(h))]


def straight_through(net: Summing, x: Tensor) -> list[Tensor]:
    return [z := net.a(x), net.b(z), -z.detach()]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("terms", "right"),
    [
        (stages, {("identity", "x"): 1, ("identity", "a.1"): 1, ("identity", "b.1"): 1}),
        (projected, {("identity", "x"): 1, ("projection", "x"): 1}),
        (running, {}),
        (branches, {}),
        (biased, {("identity", "a.1"): 1}),
        (straight_through, {}),
    ],
)
def test_the_order_and_the_brackets_of_a_sum_play_no_part(
    terms: Callable[[Summing, Tensor], list[Tensor]], right: dict[tuple[str, str], int], seed: int
) -> None:
    graph = fxviz.trace(Summing(terms, seed), VECTORS)
    assert found(graph) == right
    assert len({skip.join for skip in graph.skips}) == len(graph.skips)


def test_a_skip_is_drawn_to_where_its_tensor_is_added() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.out = layer(), layer(), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            a = self.a(x)
            return self.out(x + a + self.b(a))

    view = fxviz.render(fxviz.trace(Net(), VECTORS)).view
    assert {(arc.tail, arc.head) for arc in view.arcs} <= set(view.edges)


def test_the_parameters_of_a_bias_stand_on_its_shortcut() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.out, self.bias = layer(), nn.Linear(8, 2), nn.Parameter(torch.ones(8))

        def forward(self, x: Tensor) -> Tensor:
            return self.out((x + self.bias) + self.a(x))

    text = fxviz.explain(fxviz.trace(Net(), VECTORS)).written("text")
    assert "1 identity shortcut with 8 parameters" in text


# Sums along an axis


class Stacking(nn.Module):
    def __init__(self, sum_of: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.body, self.out, self.sum_of = nn.Sequential(layer(), nn.Linear(8, 8)), nn.Linear(8, 2), sum_of

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.sum_of(x, self.body(x)))


SUMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "stack": lambda x, y: torch.stack([x, y]).sum(0),
    "last": lambda x, y: torch.stack((x, y), dim=-1).mean(dim=-1),
    "permute": lambda x, y: torch.stack([x, y]).permute(1, 2, 0).sum(-1),
    "transpose": lambda x, y: torch.stack([x, y], 1).transpose(1, 2).contiguous().sum(dim=2),
    "movedim": lambda x, y: torch.stack([x, y]).movedim(0, -1).mean(-1),
    "einsum": lambda x, y: torch.einsum("kbd->bd", torch.stack([x, y])),
    "einsum_dots": lambda x, y: torch.einsum("k...->...", torch.stack([x, y])),
    "new_axis": lambda x, y: torch.cat([x[None], y.unsqueeze(0)]).sum(0),
    "einops": lambda x, y: pytest.importorskip("einops").reduce([x, y], "k b d -> b d", "sum"),
}


@pytest.mark.parametrize("how", SUMS)
def test_a_sum_along_the_axis_of_a_stack_adds_its_parts(how: str) -> None:
    assert found(fxviz.trace(Stacking(SUMS[how]), VECTORS)) == {("identity", "x"): 1}


OTHER_AXES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "batch": lambda x, y: torch.stack([x, y]).sum(1),
    "permute": lambda x, y: torch.stack([x, y]).permute(1, 0, 2).sum(0),
    "einsum": lambda x, y: torch.einsum("kbd->kd", torch.stack([x, y])),
    "not_alone": lambda x, y: (both := torch.stack([x, y])).sum(0) + both[0],
}


@pytest.mark.parametrize("how", OTHER_AXES)
def test_a_sum_along_another_axis_adds_no_parts(how: str) -> None:
    assert ("identity", "x") not in found(fxviz.trace(Stacking(OTHER_AXES[how]), VECTORS))


# Concatenation by assignment


class Filling(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.body, self.out, self.how = nn.Sequential(layer(), nn.Linear(8, 8)), nn.Linear(16, 2), how

    def forward(self, x: Tensor) -> Tensor:
        new = x.new_empty(2, 16)
        if self.how == "items":
            new[:, :8] = x
            new[:, 8:] = self.body(x)
        elif self.how == "copies":
            new[:, 8:].copy_(self.body(x))
            new[:, :8].copy_(x)
        elif self.how == "scatter":
            new = new.slice_scatter(x, 1, 0, 8).slice_scatter(self.body(x), 1, 8, 16)
        else:  # one value is written over another
            new[:, :8] = x
            new[:, 4:] = self.body(x).repeat(1, 2)[:, :12]
        return self.out(new)


@pytest.mark.parametrize("how", ["items", "copies", "scatter"])
def test_assignments_that_fill_a_new_tensor_concatenate(how: str) -> None:
    graph = fxviz.trace(Filling(how), VECTORS)
    assert found(graph) == {("concat", "x"): 1}
    view = fxviz.render(graph).view
    assert {(arc.tail, arc.head) for arc in view.arcs} <= set(view.edges)


def test_assignments_to_parts_that_overlap_do_not() -> None:
    assert found(fxviz.trace(Filling("overlap"), VECTORS)) == {}


# Steps of a sequence, operators of the user's own


@pytest.mark.parametrize("cut", ["select_copy", "index_select", "narrow_copy"])
def test_steps_of_a_sequence_are_no_skips_however_they_are_cut(cut: str) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.r, self.i, self.out = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            state = torch.zeros(2, 8)
            for time in range(3):
                if cut == "index_select":
                    step = x.index_select(1, torch.tensor([time])).squeeze(1)
                elif cut == "narrow_copy":
                    step = torch.narrow_copy(x, 1, time, 1).squeeze(1)
                else:
                    step = torch.select_copy(x, 1, time)
                state = torch.tanh(self.r(state) + self.i(step))
            return self.out(state)

    assert found(fxviz.trace(Recurrent(), torch.zeros(2, 3, 8))) == {}


@torch.library.custom_op("fxviz_tests::own_product", mutates_args=())
def own_product(x: Tensor, weight: Tensor) -> Tensor:
    return (x @ weight).relu()


@own_product.register_fake
def _(x: Tensor, weight: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[1])


def test_a_skip_past_an_operator_of_the_users_own() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.out = nn.Parameter(torch.zeros(8, 8)), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(x + own_product(x, self.weight))

    assert found(fxviz.trace(Net(), VECTORS)) == {("identity", "x"): 1}
