"""What figures for print must not leave out: skips around blocks, second inputs of blocks, experts, and small Us."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import fxviz
from fxviz import ArchGraph, Structure
from structure_models import MODELS

WIDTH, HEADS = 16, 2
TOKENS, IMAGE = (torch.zeros(1, 6, WIDTH),), (torch.zeros(1, 8, 16, 16),)


def graph_of(model: nn.Module, inputs: tuple[Tensor, ...] = TOKENS) -> ArchGraph:
    return fxviz.trace(model.eval(), inputs=inputs)


def structure_of(model: nn.Module, inputs: tuple[Tensor, ...] = TOKENS) -> Structure:
    return fxviz.structure(graph_of(model, inputs))


def rows(found: Structure, letter: str = "A") -> list[str]:
    """Return the rows of a kind, each with what it reads."""
    return [f"{row.text} <- {', '.join(map(str, row.reads))}" for row in found.kind(letter).rows]


class Attention(nn.Module):
    """Attention with a norm ahead; ``adds``: the shortcut and a norm behind are in the same module."""

    def __init__(self, adds: bool = False) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.adds = adds

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.adds else self.norm(x)
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in self.qkv(y).chunk(3, -1))
        y = self.out(self.core(q, k, v).transpose(1, 2).flatten(2))
        return self.norm(x + y) if self.adds else y

    def core(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v)


class WithSink(Attention):
    """Beside the scores stands one that is learned (arXiv:2309.17453), as in gpt-oss."""

    def __init__(self) -> None:
        super().__init__()
        self.sink = nn.Parameter(torch.zeros(HEADS))

    def core(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = q @ k.mT / 4
        scores = torch.cat((scores, self.sink.view(1, -1, 1, 1).expand(1, -1, 6, 1)), -1)
        return (scores - scores.amax(-1, keepdim=True)).softmax(-1)[..., :-1] @ v


class ByHand(Attention):
    def core(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        weights = (q @ k.mT / 4).exp()
        return weights / weights.sum(-1, keepdim=True) @ v


def feed_forward(norm: bool = True) -> nn.Module:
    layers = [nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)]
    return nn.Sequential(*([nn.LayerNorm(WIDTH)] if norm else []), *layers)


class Pairs(nn.Module):
    """The sums stand in the code of the list's owner: ``x = f(x) + x``."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.ModuleList([Attention(), feed_forward()]) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for attend, feed in self.layers:
            x = attend(x) + x
            x = feed(x) + x
        return x


class Sandwich(nn.Module):
    """Half a feed-forward, attention with its sum and norm inside, and half a feed-forward: a macaron."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.attend = feed_forward(), feed_forward(), Attention(adds=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.attend(x + self.first(x) / 2)
        return x + self.second(x) / 2


class Separator(nn.Module):
    """Each block has two results: one is added to what it read, the other to a sum of all (arXiv:1809.07454)."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(self.Block() for _ in range(3))

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv1d(8, 16, 1), nn.PReLU(), nn.Conv1d(16, 16, 3, 1, 1, groups=16))
            self.kept, self.given = nn.Conv1d(16, 8, 1), nn.Conv1d(16, 8, 1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = self.body(x)
            return self.kept(y), self.given(y)

    def forward(self, x: Tensor) -> Tensor:
        total = torch.zeros_like(x)
        for block in self.blocks:
            kept, given = block(x)
            x, total = x + kept, total + given
        return x * total


SKIPS: dict[str, tuple[Any, tuple[Tensor, ...], list[str]]] = {
    "pairs": (Pairs, TOKENS, ["LN <- -1", "Attention 2×8 <- 0", "+ <- -1, 1"]),
    "by hand": (lambda: nn.Sequential(*(Residual(ByHand()) for _ in range(2))), TOKENS,
                ["LN <- -1", "Attention 2×8 <- 0", "+ <- -1, 1"]),
    "sink": (lambda: nn.Sequential(*(Residual(WithSink()) for _ in range(2))), TOKENS,
             ["LN <- -1", "Attention 2×8 <- 0", "+ <- -1, 1"]),
    "macaron": (lambda: nn.Sequential(Sandwich(), Sandwich()), TOKENS,
                ["LN <- -1", "MLP 16→64→16 GELU <- 0", "+ <- -1, 1", "Attention 2×8 <- 2", "+ <- 2, 3", "LN <- 4",
                 "LN <- 5", "MLP 16→64→16 GELU <- 6", "+ <- 5, 7"]),
    "separator": (Separator, (torch.zeros(1, 8, 32),),
                  ["Conv 1 8→16 PReLU <- -1", "DW 3 16→16 <- 0", "Conv 1 16→8 <- 1", "Conv 1 16→8 <- 1", "+ <- -1, 2"]),
}  # fmt: skip


class Residual(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


@pytest.mark.parametrize("name", SKIPS)
def test_each_skip_ends_in_a_row(name: str) -> None:
    make, inputs, expected = SKIPS[name]
    graph = graph_of(make(), inputs)
    found = fxviz.structure(graph)
    assert graph.skips
    assert found.untold == ()
    assert rows(found) == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_small_models_leave_no_skip_out(name: str) -> None:
    model, inputs = MODELS[name]()
    assert fxviz.structure(graph_of(model, inputs)).untold == ()


class Unfolded(nn.Module):
    """A sum in the code of a model past two blocks, which is drawn nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Residual(feed_forward()) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        for one, other in zip(self.blocks[::2], self.blocks[1::2], strict=True):
            x = x + other(one(x)).tanh()
        return x


def test_what_no_row_and_no_link_tells_is_said() -> None:
    graph = graph_of(Unfolded())
    found = fxviz.structure(graph)
    assert len(graph.skips) == 6
    assert [skip.kind for skip in found.untold] == ["identity"] * 2
    assert "2 skip connections are not drawn" in fxviz.render(graph, width="column").svg
    assert "not drawn" not in fxviz.render(graph_of(Pairs()), width="column").svg


# ---------------------------------------------------------------- what enters a block beside its first input


class Up(nn.Module):
    """A decoder's block with the skip as a second input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(2 * width, width, 2, 2)
        self.body = nn.Sequential(nn.Conv2d(2 * width, width, 3, 1, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.body(torch.cat((skip, self.up(x)), 1))


class Small(nn.Module):
    """A U of two levels, whose time step is added to every block; ``deep``: with a skip at its bottom."""

    def __init__(self, deep: bool) -> None:
        super().__init__()
        self.deep = deep
        self.time = nn.Sequential(nn.Linear(4, 32), nn.SiLU(), nn.Linear(32, 32))
        self.down = nn.ModuleList(self.Block(8 * 2**level, 8 * 2**level) for level in range(2))
        self.lower = nn.ModuleList(nn.Conv2d(8 * 2**level, 16 * 2**level, 3, 2, 1) for level in range(2))
        self.middle = nn.ModuleList([self.Block(32, 32), self.Block(64 if deep else 32, 32)])
        self.up = nn.ModuleList(Up(8 * 2**level) for level in (1, 0))

    class Block(nn.Module):
        def __init__(self, before: int, width: int) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(before, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)
            self.shift = nn.Linear(32, width)

        def forward(self, x: Tensor, time: Tensor) -> Tensor:
            return self.second(F.relu(self.first(x) + self.shift(time)[..., None, None]))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        time, kept = self.time(time), []
        for block, lower in zip(self.down, self.lower, strict=True):
            x = block(x, time)
            kept.append(x)
            x = lower(x)
        y = self.middle[0](x, time)
        x = self.middle[1](torch.cat((x, y), 1) if self.deep else y, time)
        for block in self.up:
            x = block(x, kept.pop())
        return x


def test_a_block_tells_the_skip_that_enters_it_from_its_first_input() -> None:
    found = structure_of(Small(deep=False), (*IMAGE, torch.zeros(1, 4)))
    decoder = next(kind for kind in found.kinds if "UpConv" in kind.word)
    assert [(row.word, row.reads) for row in decoder.rows][:2] == [("UpConv 2×2", (-1,)), ("concat", (-2, 0))]
    assert decoder.shortcut == "concat"


@pytest.mark.parametrize("deep", [False, True])
def test_a_small_u_with_a_time_step_is_a_u(deep: bool) -> None:
    found = structure_of(Small(deep), (*IMAGE, torch.zeros(1, 4)))
    assert found.layout == "U"
    assert [stage.channels for stage in found.main][-3:] == [32, 16, 8]
    across = [link for link in found.links if link.kind == "concat"]
    assert [link.size for link in across] == [(4, 4)] * deep + [(8, 8), (16, 16)]


def test_cross_attention_reads_a_second_input() -> None:
    model, inputs = MODELS["translator"]()
    found = structure_of(model, inputs)
    (cross,) = (row for kind in found.kinds for row in kind.rows if row.value("cross"))
    assert min(cross.reads) == -2


# ---------------------------------------------------------------- experts


class Experts(nn.Module):
    """A router sends each token to two of four experts, whose matrices are stacked in parameters."""

    def __init__(self, written: str) -> None:
        super().__init__()
        self.written = written
        self.norm, self.router = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4)
        self.up, self.down = nn.Parameter(torch.zeros(4, WIDTH, 64)), nn.Parameter(torch.zeros(4, 32, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x).flatten(0, 1)
        scores, chosen = self.router(y).topk(2, -1)
        weights = torch.zeros(y.shape[0], 4).scatter(1, chosen, scores.softmax(-1))
        if self.written == "bmm":
            gate, up = (y.expand(4, -1, -1) @ self.up).chunk(2, -1)
            made = torch.bmm(F.silu(gate) * up, self.down)
        else:
            gate, up = torch.einsum("nd,edh->enh", y, self.up).chunk(2, -1)
            made = torch.einsum("enh,ehd->end", F.silu(gate) * up, self.down)
        return x + (made * weights.T[..., None]).sum(0).view_as(x)


@pytest.mark.parametrize("written", ["bmm", "einsum"])
def test_experts_are_one_row(written: str) -> None:
    found = structure_of(nn.Sequential(Experts(written), Experts(written)))
    assert rows(found) == ["LN <- -1", "MoE GLU 16→32→16 4 experts, top 2 SiLU <- 0", "+ <- -1, 1"]
    (row,) = found.kind("A").of("MoE")
    assert (row.value("experts"), row.value("top")) == (4, 2)


class Recurrent(nn.Module):
    """A linear recurrence by hand: ``h = a * h + b``, one step for each token."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.gates, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        keep, new = self.gates(self.norm(x)).chunk(2, -1)
        keep, state, found = keep.sigmoid(), torch.zeros(1, WIDTH), []
        for place in range(x.shape[1]):
            state = keep[:, place] * state + new[:, place]
            found.append(state)
        return x + self.out(torch.stack(found, 1))


def test_a_recurrence_is_one_row() -> None:
    found = structure_of(nn.Sequential(Recurrent(), Recurrent()))
    assert [row.word for row in found.kind("A").rows] == ["LN", "Linear", "scan", "Linear", "+"]


# ---------------------------------------------------------------- words


def test_pooling_has_as_many_sizes_as_its_input() -> None:
    model = nn.Sequential(nn.Conv3d(1, 4, 3), nn.MaxPool3d(2), nn.Conv3d(4, 8, 3), nn.MaxPool3d(2), nn.Conv3d(8, 8, 3))
    found = structure_of(model, (torch.zeros(1, 1, 24, 24, 24),))
    words = [run.text for stage in found.stages for run in stage.runs]
    assert "MaxPool 2×2×2 /2" in words


class Patches(nn.Module):
    """One token of each patch of 4 x 4 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8 * 4 * 4, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(F.unfold(x, 4, stride=4).transpose(1, 2))


class Vision(nn.Module):
    """Patches, a learned token, positions, and a norm at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = Patches()
        self.token, self.place = nn.Parameter(torch.zeros(1, 1, WIDTH)), nn.Parameter(torch.zeros(1, 17, WIDTH))
        self.blocks = nn.Sequential(*(Residual(feed_forward()) for _ in range(3)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat((self.token, self.embed(x)), 1) + self.place
        return self.head(self.norm(self.blocks(x))[:, 0])


def test_tokens_positions_and_the_last_norm_are_told() -> None:
    found = structure_of(Vision(), IMAGE)
    assert [stage.text for stage in found.stages] == [
        "Patches 4×4, Linear 128→16 +token +position", "A×3, LN", "Linear 16→5"
    ]  # fmt: skip


class Pyramid(nn.Module):
    """Dilated convolutions side by side, as in DeepLab (arXiv:1706.05587)."""

    def __init__(self) -> None:
        super().__init__()
        self.rates = nn.ModuleList(nn.Conv2d(8, 8, 3, 1, rate, rate) for rate in (1, 2, 4))
        self.project = nn.Conv2d(24, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(torch.cat([rate(x) for rate in self.rates], 1))


class Segmenter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(8, 8, 3, 2, 1)
        self.blocks = nn.Sequential(*(Two(8) for _ in range(3)))
        self.head = Pyramid()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)))


class Two(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def test_a_head_with_branches_is_drawn() -> None:
    graph = graph_of(Segmenter(), IMAGE)
    (head,) = fxviz.structure(graph).lone
    assert head.letter == "head"
    words = ["Conv 3×3 8→8", "Conv 3×3 8→8 dilation 2", "Conv 3×3 8→8 dilation 4", "concat", "Conv 1×1 24→4"]
    assert [row.text for row in head.rows] == words
    assert "dilation 4" in fxviz.render(graph, width="page").svg


class Tied(nn.Module):
    """A decoder whose last layer has the weights of its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, WIDTH)
        self.blocks = nn.Sequential(*(Residual(feed_forward()) for _ in range(3)))
        self.out = nn.Linear(WIDTH, 20, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.out(self.blocks(self.embed(ids)))


def test_tied_weights_are_told() -> None:
    found = structure_of(Tied(), (torch.zeros(1, 6, dtype=torch.long),))
    assert found.stages[-1].text == "Linear 16→20 (tied)"


class Spectral(nn.Module):
    """A convolution in the frequencies, beside one of a single position (arXiv:2010.08895)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(8, 8, 16, 9, dtype=torch.complex64))
        self.point = nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        modes = torch.einsum("bixy,ioxy->boxy", torch.fft.rfft2(x), self.weight)
        return F.gelu(torch.fft.irfft2(modes, s=x.shape[-2:]) + self.point(x))


def test_a_convolution_of_frequencies_is_a_layer() -> None:
    found = structure_of(nn.Sequential(Spectral(), Spectral()), IMAGE)
    assert "Spectral conv" in [row.word for row in found.kind("A").rows]


class Stacks(nn.Module):
    """Two stacks of pairs of parts, which stand in the same order in both; the first stack is a single pair."""

    class Stack(nn.Module):
        def __init__(self, depth: int) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.ModuleList([Attention(), feed_forward()]) for _ in range(depth))

        def forward(self, x: Tensor) -> Tensor:
            for attend, feed in self.layers:
                x = attend(x) + x
                x = feed(x) + x
            return x

    def __init__(self) -> None:
        super().__init__()
        self.stacks = nn.ModuleList([self.Stack(1), self.Stack(3)])

    def forward(self, x: Tensor) -> Tensor:
        for stack in self.stacks:
            x = stack(x)
        return x


def test_stacks_of_two_parts_are_opened_together() -> None:
    found = structure_of(Stacks())
    assert {kind.letter: len(kind.occurrences) for kind in found.kinds} == {"A": 4, "B": 4}
