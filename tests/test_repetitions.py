"""What runs many times is drawn once: parallel branches, steps of a loop in code, calls of one module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fxviz
from conftest import CASES
from fxviz._graph import ArchGraph
from fxviz._render.captions import Captions
from fxviz._render.wording import what
from fxviz._view import fold
from fxviz._view.view import Repeat, Stage, View


def traced(model: nn.Module, *inputs: Tensor) -> ArchGraph:
    return fxviz.trace(model, inputs=inputs)


def case(name: str) -> ArchGraph:
    return fxviz.trace(f"{CASES / name}.py:make")


def repeats(view: View) -> list[tuple[int, str]]:
    """Return how often and how the frames of repetitions and the rows are repeated, from the outside in."""
    found = []
    waiting: list[Any] = list(view.items)
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, Repeat):
            found.append((item.times, item.kind))
        if isinstance(item, (Repeat, Stage)):
            waiting[:0] = item.items
        else:
            found += [(row.own_times, row.repeats) for row in item.rows if row.own_times > 1]
    return found


def rows(view: View) -> list[tuple[str, int]]:
    return [(what(row), row.times) for row in view.rows]


STYLES = ("ledger", "graph")


class Heads(nn.Module):
    """Equal heads in a list, whose results are concatenated."""

    def __init__(self, heads: int, width: int = 8) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(16, width) for _ in range(heads))
        self.out = nn.Linear(heads * width, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.cat([head(x) for head in self.heads], -1))


class Gated(nn.Module):
    """Experts weighted by a router and added up."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(16, 12)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16)) for _ in range(12))

    def forward(self, x: Tensor) -> Tensor:
        weights = self.router(x).softmax(-1)
        return torch.as_tensor(sum(weights[:, k, None] * expert(x) for k, expert in enumerate(self.experts)))


class Inception(nn.Module):
    """Four branches of which no three are equal."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Conv2d(3, width, size, padding=size // 2), nn.ReLU(), nn.Conv2d(width, 4, 1))
            for width, size in ((4, 1), (4, 3), (6, 3), (4, 3))
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class Attention(nn.Module):
    """Query, key and value are equal layers that read the same; what they are for differs."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.query(x) @ self.key(x).transpose(-2, -1)
        return scores.softmax(-1) @ self.value(x)


class Gates(nn.Module):
    """The gates of a recurrent cell are equal and read the same; what they are for differs."""

    def __init__(self) -> None:
        super().__init__()
        self.forget, self.enter, self.leave, self.new = (nn.Linear(16, 16) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        forget, enter, leave = self.forget(x).sigmoid(), self.enter(x).sigmoid(), self.leave(x).sigmoid()
        cell = forget * x + enter * self.new(x).tanh()
        return leave * cell.tanh()


@pytest.mark.parametrize("style", STYLES)
def test_equal_branches_are_drawn_once(style: Any) -> None:
    view = fold(case("63_experts64"), style=style)
    assert repeats(view) == [(64, "parallel")]
    assert rows(view) == [("Linear 16→8", 64), ("Linear 8→16", 64), ("stack", 1), ("mean", 1)]
    assert view.total == 64 * 280
    assert [Captions(view).amount(row) for row in view.rows[:2]] == ["136 ×64", "144 ×64"]


def test_equal_heads_are_one_row() -> None:
    view = fold(traced(Heads(48), torch.zeros(1, 16)))
    assert [(what(row), Captions(view).tags(row)) for row in view.rows] == [
        ("Linear 16→8", "×48 parallel"), ("concat", ""), ("Linear 384→4", ""),
    ]  # fmt: skip
    assert view.edges == {(-1, 0), (0, 1), (1, 2), (2, -2)}


def test_a_sum_of_weighted_experts_is_a_loop() -> None:
    view = fold(traced(Gated(), torch.zeros(2, 16)))
    assert view.total == 204 + 12 * 1072
    assert {(what(row), row.times) for row in view.rows if row.total} >= {("Linear 16→32", 12), ("Linear 32→16", 12)}


@pytest.mark.parametrize("model", [Inception(), Attention(), Gates(), Heads(2)])
def test_branches_that_differ_are_drawn_apart(model: nn.Module) -> None:
    graph = traced(model, torch.zeros(1, 3, 8, 8) if isinstance(model, Inception) else torch.zeros(1, 16, 16))
    for style in STYLES:
        assert repeats(fold(graph, style=style)) == []  # type: ignore[arg-type]


class Recurrent(nn.Module):
    """A recurrent cell written with functions, stepped over time."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(8, 32), nn.Linear(32, 4)
        self.weight = nn.Parameter(torch.rand(32, 32))

    def forward(self, x: Tensor) -> Tensor:
        x, state = self.embed(x), torch.zeros(x.shape[0], 32)
        for step in range(x.shape[1]):
            state = torch.tanh(x[:, step] + state @ self.weight)
        return self.head(state)


class Denoise(nn.Module):
    """Forty steps of a sampler, with other constants in each."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(17, 32), nn.SiLU(), nn.Linear(32, 16))
        self.register_buffer("alphas", torch.linspace(0.1, 0.9, 40))

    def forward(self, x: Tensor) -> Tensor:
        for step in reversed(range(40)):
            time = torch.full((x.shape[0], 1), step / 40)
            noise = self.net(torch.cat([x, time], -1))
            x = (x - (1 - self.alphas[step]) * noise) / self.alphas[step].sqrt() + 0.01 * step * torch.randn_like(x)
        return x


class RungeKutta(nn.Module):
    """A neural differential equation: ten steps, each with four calls of the same function."""

    def __init__(self) -> None:
        super().__init__()
        self.field = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 16))

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(10):
            one = self.field(x)
            two = self.field(x + 0.05 * one)
            three = self.field(x + 0.05 * two)
            four = self.field(x + 0.1 * three)
            x = x + 0.1 / 6 * (one + 2 * two + 2 * three + four)
        return x


class Quantizer(nn.Module):
    """A residual quantiser: each codebook quantises what the ones before left."""

    def __init__(self) -> None:
        super().__init__()
        self.books = nn.ParameterList(nn.Parameter(torch.rand(64, 16)) for _ in range(8))

    def forward(self, x: Tensor) -> Tensor:
        rest, found = x, torch.zeros_like(x)
        for book in self.books:
            nearest = torch.cdist(rest, book).argmin(-1)
            code = nn.functional.embedding(nearest, book)
            rest, found = rest - code, found + code
        return found


class Equilibrium(nn.Module):
    """The fixed point of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        state = torch.zeros_like(x)
        for _ in range(40):
            state = torch.tanh(self.inner(state) + x)
        return self.outer(state)


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_a_scan_over_time_is_drawn_once(style: Any) -> None:
    view = fold(case("48_mamba_loop"), style=style)
    assert repeats(view) == [(64, "chain")]
    assert len(view.rows) < 15 and view.total == 16 * 32 + 32 * 4 * 2 + 32 * 4 + 32 * 16
    assert {row.path: row.total for row in view.rows if row.total} == {"i": 512, "bc": 256, "a": 128, "o": 512}


@pytest.mark.parametrize(
    ("model", "shape", "found"),
    [
        (Recurrent(), (2, 50, 8), [(50, "chain")]),
        (Denoise(), (2, 16), [(40, "calls")]),
        (Quantizer(), (2, 5, 16), [(8, "chain")]),
        (Equilibrium(), (2, 16), [(40, "calls")]),
    ],
)
def test_loops_in_code_are_drawn_once(model: nn.Module, shape: tuple[int, ...], found: list[tuple[int, str]]) -> None:
    graph = traced(model, torch.zeros(shape))
    for style in STYLES:
        view = fold(graph, style=style)  # type: ignore[arg-type]
        assert repeats(view) == found
        assert len(view.rows) < 12
        assert view.total == graph.traced_params == graph.total_params


class Observed(nn.Module):
    """Five steps of another solver, whose states are stacked. The stages read sums of all earlier ones."""

    class Field(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))

        def forward(self, t: float, y: Tensor) -> Tensor:
            return self.net(y**3)  # type: ignore[no-any-return]

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.field, self.drive, self.decode = (
            nn.Linear(4, 2), self.Field(), nn.Linear(4, 2), nn.Linear(2, 3)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        y, drive, h = self.encode(x), self.drive(x), 0.1
        states = [y]
        for step in range(5):
            one = self.field(step * h, y) + drive
            two = self.field(step * h + h / 3, y + h * one / 3)
            three = self.field(step * h + h / 3 * 2, y + h * (two - one / 3))
            four = self.field(step * h + h, y + h * (one - two + three))
            y = y + (one + 3 * (two + three) + four) * h / 8
            states.append(y)
        return self.decode(torch.stack(states))  # type: ignore[no-any-return]


class Midpoint(RungeKutta):
    """Two calls for each of three steps. The second sum adds to what the first call read."""

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = x + 0.1 * self.field(x + 0.05 * self.field(x))
        return x


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("model", "width", "calls"), [(RungeKutta(), 16, 40), (Midpoint(), 16, 6)])
def test_steps_of_a_solver_are_calls_of_its_module(model: nn.Module, width: int, calls: int, style: Any) -> None:
    graph = traced(model, torch.zeros(2, width))
    view = fold(graph, style=style)
    assert repeats(view) == [(calls, "calls")]
    assert rows(view) == [("Linear 16→32", calls), ("Linear 32→16", calls)]
    assert view.edges == {(-1, 0), (0, 1), (1, -2)}
    assert not view.arcs and view.total == 17 * 32 + 33 * 16
    closed = fold(graph, style=style, depth=1)
    assert [(row.path, row.own_times, row.repeats) for row in closed.rows] == [("field", calls, "calls")]


def test_what_a_solver_reads_enters_its_module() -> None:
    view = fold(traced(Observed(), torch.zeros(2, 4)), depth=1)
    places = {row.path or what(row): row.id for row in view.rows}
    assert list(places) == ["encode", "drive", "field", "stack", "decode"]
    encode, drive, field, stack, decode = places.values()
    assert view.rows[field].times == 20
    assert view.edges == {
        (-1, encode), (-1, drive), (encode, field), (drive, field), (encode, stack), (field, stack), (stack, decode),
        (decode, -2),
    }  # fmt: skip


def test_the_skips_of_a_tied_block_stay() -> None:
    view = fold(case("44_tied_loop"))
    assert repeats(view) == [(6, "calls")]
    assert [(arc.kind, view.rows[arc.head].times) for arc in view.arcs] == [("identity", 6)]


@pytest.mark.parametrize("style", STYLES)
def test_calls_on_several_inputs_are_one_row(style: Any) -> None:
    view = fold(case("43_siamese"), style=style)
    assert repeats(view) == [(2, "calls"), (2, "calls")]
    assert [said for said, _ in rows(view)] == [
        "Conv 3×3 3→8", "AvgPool", "Flatten", "concat", "Linear 16→2", "− sub", "pow", "sum", "Linear 8→4",
    ]  # fmt: skip
    assert Captions(view).tags(view.rows[-1]) == "×2 calls"


def test_recursive_calls_are_one_frame() -> None:
    view = fold(case("30_recursive"))
    assert repeats(view) == [(31, "calls")]
    assert rows(view) == [("concat", 31), ("Linear 16→8", 31)]


@pytest.mark.slow
def test_the_command_line_says_it_too(fxviz: Callable[..., Any], in_tmp: Any) -> None:
    assert fxviz("render", f"{CASES / '63_experts64.py'}:make", "-o", "a.svg").status == 0
    assert "×64 parallel" in (in_tmp / "a.svg").read_text(encoding="utf-8")


# -------------------------------------------------------------------- summaries


class Mixed(nn.Module):
    """Ten blocks in a chain, each with twelve heads side by side, of which the last one is larger."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.heads = nn.ModuleList(nn.Linear(8, 8 if head < 11 else 16) for head in range(12))
            self.out = nn.Linear(8 * 13, 8)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.out(torch.cat([head(x) for head in self.heads], -1))

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(self.Block() for _ in range(10))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def test_a_summary_has_one_row_for_many_equal_parts_side_by_side() -> None:
    summary = fxviz.summary(traced(Mixed(), torch.zeros(1, 8)))
    shown = [(row.name, row.times, row.params) for row in summary.shown if row.name.startswith("blocks.3")]
    assert shown == [
        ("blocks.3.heads.0 … 10", 11, 11 * 72),
        ("blocks.3.heads.11", 1, 144),
        ("blocks.3.heads", 1, 11 * 72 + 144),
        ("blocks.3.out", 1, 840),
        ("blocks.3", 1, 11 * 72 + 144 + 840),
    ]
    assert "×11 parallel" in str(summary)
    assert len([row for row in summary.rows if row.name.startswith("blocks.3")]) == 15
    assert sum(row.params for row in summary.shown if not row.is_sum) == summary.totals.params


def test_a_summary_lists_equal_blocks_in_a_chain() -> None:
    summary = fxviz.summary(traced(nn.Sequential(*(nn.Linear(8, 8) for _ in range(12))), torch.zeros(1, 8)))
    assert summary.shown == ()


@pytest.mark.slow
def test_programs_get_all_rows(fxviz: Callable[..., Any]) -> None:
    lines = fxviz("summary", f"{CASES / '63_experts64.py'}:make", "--format", "csv").out.splitlines()
    assert len(lines) == 1 + 64 * 3 + 2
    table = fxviz("summary", f"{CASES / '63_experts64.py'}:make").out
    assert "experts.0 … 63.0" in table
    assert table.count("×64 parallel") == 2
