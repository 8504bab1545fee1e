"""What a figure draws is there: joins, repetitions, shortcuts and parallel ways of models that other people write."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import fxviz
from conftest import CASES, examples
from fxviz._analysis import annotate
from fxviz._graph import ArchGraph
from fxviz._render import wording
from fxviz._view import fold
from fxviz._view.view import Card, Item, Repeat, Row, View
from random_graphs import graphs, staged_nets

STYLES = "ledger", "graph"


def case(name: str) -> ModuleType:
    spec = spec_from_file_location(f"case_{name}", CASES / f"{name}.py")
    assert spec and spec.loader
    module = module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module


def traced(model: nn.Module, *shapes: tuple[int, ...]) -> ArchGraph:
    return fxviz.trace(model.eval(), tuple(torch.zeros(shape) for shape in shapes))


def view(graph: ArchGraph, **options: Any) -> View:
    return fxviz.render(graph, **options).view


def named(rows: Iterable[Row]) -> list[str]:
    return [f"{wording.what(row)} {row.path}" for row in rows]


def one(shown: View, path: str) -> Row:
    """Return the only row of a path."""
    (row,) = [row for row in shown.rows if row.path == path]
    return row


def repeats(items: Iterable[Item]) -> Iterator[Repeat]:
    for item in items:
        if not isinstance(item, Card):
            yield from [item] if isinstance(item, Repeat) else []
            yield from repeats(item.items)


def rows_in(items: Iterable[Item]) -> Iterator[Row]:
    for item in items:
        yield from item.rows if isinstance(item, Card) else rows_in(item.items)


def read_by(shown: View, row: Row) -> set[int]:
    return {tail for tail, head in shown.edges if head == row.id}


def conv(wide: int, narrow: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    return nn.Conv2d(wide, narrow, kernel, stride, kernel // 2)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.one, self.two = conv(width, width), conv(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.two(self.one(x).relu())


# -------------------------------------------------------------------- joins are rows of their own


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("aside", [True, False])
@pytest.mark.parametrize("options", [{}, {"depth": 3}, {"collapse": ("Block",)}])
def test_a_concatenation_behind_a_block_is_a_row_of_its_own(style: str, aside: bool, options: dict[str, Any]) -> None:
    graph = traced(case("figure_swallowed_concat").Net(2, aside), (1, 3, 32, 32))
    shown = view(graph, style=style, **options)
    joins = [row for row in shown.rows if wording.what(row) == "concat"]
    assert [row.path for row in joins] == (["body.0"] if len(joins) == 1 else ["body.0", "body.1"])
    assert all(row.output and row.output.shape[1] == (48 if aside else 32) for row in joins)
    blocks = [row for row in shown.rows if row.kind == "block" and wording.what(row) == "Block"]
    assert all(row.output and row.output.shape[1] == 16 for row in blocks)
    if blocks:
        assert {row.path for row in blocks} >= ({"body.0.aside", "body.0.left"} if aside else {"body.0.left"})


class Split(nn.Module):
    """Half of the features, and what each of several blocks makes of the other half, are concatenated."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.enter, self.leave = conv(width, width, 1), conv(width // 2 * (2 + blocks), width, 1)
        self.blocks = nn.ModuleList(Block(width // 2) for _ in range(blocks))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = list(self.enter(x).chunk(2, 1))
        for block in self.blocks:
            kept.append(block(kept[-1]))
        return self.leave(torch.cat(kept, 1))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_a_concatenation_of_all_that_blocks_return_is_a_row(style: str, blocks: int) -> None:
    graph = traced(nn.Sequential(conv(3, 16), Split(16, blocks), conv(16, 4)), (1, 3, 8, 8))
    shown = view(graph, style=style, collapse=("Block",))
    assert named(shown.rows) == [
        "Conv 3×3 3→16 0",
        "Conv 1×1 16→16 1.enter",
        "Block 1.blocks.0",
        "concat 1",
        f"Conv 1×1 {8 * (2 + blocks)}→16 1.leave",
        "Conv 3×3 16→4 2",
    ]
    enter, block, join = shown.rows[1:4]
    assert read_by(shown, join) == {enter.id, block.id}
    assert block.output and block.output.shape[1] == 8
    assert join.output and join.output.shape[1] == 8 * (2 + blocks)


@pytest.mark.slow
def test_a_dense_block_ends_in_its_last_layer() -> None:
    """Each of its layers concatenates what it reads, and so does the end."""
    shown = view(fxviz.trace("densenet121"), style="ledger")
    last = one(shown, "features.denseblock1.denselayer6")
    assert last.concat
    assert last.output and last.output.shape[1] == 256


# -------------------------------------------------------------------- repetitions


@pytest.mark.parametrize("style", STYLES)
def test_a_repetition_begins_behind_what_only_looks_like_its_end(style: str) -> None:
    shown = view(traced(case("figure_shifted_fold").Net(), (1, 196, 12)), style=style)
    (repeat,) = repeats(shown.items)
    inside = named(rows_in([repeat]))
    assert repeat.times == 8
    assert repeat.span == ("encoder.layers.0.0", "encoder.layers.7.1")
    assert (inside[0], inside[-1]) == ("Attention 1×64 encoder.layers.0.0", "+ add encoder")
    assert one(shown, "encoder.position").times == 1
    assert {(arc.tail, arc.head) for arc in shown.arcs} == {(1, 3), (3, 6)}


class Zipped(nn.Module):
    """Blocks of two lists in turn, between layers like them: one in front, or an addition behind."""

    def __init__(self, first: int, entry: bool) -> None:
        super().__init__()
        self.entry = nn.Sequential(conv(8, 8), nn.ReLU()) if entry else None
        self.down = nn.ModuleList(conv(first if place == 0 else 8, 8) for place in range(5))
        self.mix = nn.ModuleList(nn.Sequential(conv(8, 8), nn.ReLU()) for _ in range(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x if self.entry is None else self.entry(x)
        for down, mix in zip(self.down, self.mix, strict=True):
            x = mix(down(x))
        return x + x.mean((2, 3), keepdim=True)


@pytest.mark.parametrize("first", [8, 3])
def test_a_repetition_is_made_of_modules_of_one_number(first: int) -> None:
    shown = view(traced(Zipped(first, entry=first == 8), (1, first, 8, 8)), style="ledger", depth=2)
    (repeat,) = repeats(shown.items)
    assert repeat.span == (("down.0", "mix.4") if first == 8 else ("down.1", "mix.4"))
    assert repeat.times == (5 if first == 8 else 4)


class Stem(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.middle = Block(8), Block(8)
        self.stages = nn.ModuleList(Block(8) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.middle(x)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("options", [{}, {"collapse": ("Block",)}, {"depth": 1}])
def test_blocks_beside_a_list_are_no_part_of_its_repetition(style: str, options: dict[str, Any]) -> None:
    shown = view(traced(Stem(), (1, 8, 8, 8)), style=style, **options)
    assert {row.times for row in shown.rows if row.path.startswith("stages")} == {4}
    assert {row.times for row in shown.rows if not row.path.startswith("stages")} == {1}


# -------------------------------------------------------------------- shortcuts


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("options", [{"collapse": ("TwoStream",)}, {"depth": 1}])
def test_a_skip_inside_a_closed_module_is_no_edge_into_it(style: str, options: dict[str, Any]) -> None:
    shown = view(traced(case("figure_streams").Net(), (1, 3, 64, 64)), style=style, **options)
    assert not shown.arcs
    stage = one(shown, "stage1")
    assert stage.skips["identity"] > 0
    assert read_by(shown, stage) == {one(shown, "t0").id, one(shown, "t1").id}


class Memory(nn.Module):
    """A block that also reads what was made of its own input before."""

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.side = conv(8, 8), conv(8, 8), conv(8, 8)

        def forward(self, x: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
            return x + self.two(self.one(x).relu()), self.side(beside)

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.beside, self.mixed = conv(3, 8), conv(8, 8), self.Mixed()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        kept, made = self.mixed(x, self.beside(x).relu())
        return kept.mean((2, 3)), made.mean((2, 3))


@pytest.mark.parametrize("style", STYLES)
def test_what_else_a_closed_module_reads_makes_no_skip_into_it(style: str) -> None:
    shown = view(traced(Memory(), (1, 3, 8, 8)), style=style, collapse=("Mixed",))
    assert not shown.arcs
    assert one(shown, "mixed").skips == {"identity": 1}


class ReadTwice(nn.Module):
    """The layer on the shortcut feeds the addition and a head of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.short, self.head = conv(3, 8), conv(8, 16, 1), conv(16, 4)
        self.one, self.two = conv(8, 16), conv(16, 16)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.stem(x)
        body = self.two(self.one(x).relu())
        short = self.short(x)
        return body + short, self.head(short)


@pytest.mark.parametrize("style", STYLES)
def test_a_shortcut_ends_at_its_projection_also_if_two_read_it(style: str) -> None:
    shown = view(traced(ReadTwice(), (1, 3, 8, 8)), style=style)
    short = one(shown, "short")
    assert [(arc.kind, arc.tail, arc.head) for arc in shown.arcs] == [("projection", one(shown, "stem").id, short.id)]
    (join,) = [row for row in shown.rows if row.kind == "join"]
    assert {(short.id, join.id), (short.id, one(shown, "head").id)} <= shown.edges


# -------------------------------------------------------------------- independent ways


def is_one_way(graph: ArchGraph, row: Row) -> bool:
    """Return whether all layers that a row names follow from its first one."""
    behind = {row.heads[0].id}
    for node in graph.nodes:
        if any(source in behind for source in graph.index.sources[node.id]):
            behind.add(node.id)
    return all(head.id in behind for head in row.heads)


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("budget", [60, 30, 15])
def test_the_ways_of_two_inputs_are_never_one_row(style: Any, budget: float) -> None:
    shown = fold(traced(case("figure_parallel_merged").Net(), (1, 3, 64, 64), (1, 16)), budget=budget, style=style)
    image, time = shown.rows[:2]
    assert (image.path, time.path.split(".")[0]) == ("stem", "time")
    assert image.output and image.output.shape[1] == 16
    assert read_by(shown, image) == read_by(shown, time) == {-1}
    assert all(row.path.startswith("time") is (row.output is not None and len(row.output.shape) == 2)
               for row in shown.rows)  # fmt: skip


class Tables(nn.Module):
    """Many inputs, each with a table and layers of its own, are concatenated."""

    def __init__(self, ways: int) -> None:
        super().__init__()
        self.ways = nn.ModuleList(
            nn.Sequential(nn.Linear(4, 8 + way), nn.ReLU(), nn.Linear(8 + way, 8)) for way in range(ways)
        )
        self.head = nn.Linear(8 * ways, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([way(part) for way, part in zip(self.ways, x.split(4, 1), strict=True)], 1))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("budget", [30, 15])
def test_many_ways_side_by_side_are_never_one_row(style: Any, budget: float) -> None:
    shown = fold(traced(Tables(6), (1, 24)), budget=budget, style=style)
    paths = [".".join(row.path.split(".")[:2]) for row in shown.rows if row.total]
    assert list(dict.fromkeys(paths)) == [*(f"ways.{way}" for way in range(6)), "head"]
    assert all(is_one_way(shown.graph, row) for row in shown.rows if row.heads)


@given(st.one_of(graphs(30), staged_nets()).map(annotate), st.sampled_from(STYLES), st.integers(1, 30))
@settings(max_examples=examples(40))
def test_layers_that_are_one_row_follow_from_the_first(graph: ArchGraph, style: Any, budget: int) -> None:
    shown = fold(graph, budget=budget, style=style)
    assert all(is_one_way(graph, row) for row in shown.rows if row.kind in ("layers", "blocks") and row.heads)


class Laterals(nn.Module):
    """A list of layers that read different stages."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(conv(3 if stage == 0 else 8, 8, stride=2) for stage in range(3))
        self.laterals = nn.ModuleList(conv(8, 4, 1) for _ in range(3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return tuple(lateral(x) for lateral, x in zip(self.laterals, found, strict=True))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("options", [{"depth": 1}, {"collapse": ("laterals", "stages")}])
def test_a_list_of_independent_layers_that_is_asked_for_as_one_row_has_no_shape(
    style: str, options: dict[str, Any]
) -> None:
    shown = view(traced(Laterals(), (1, 3, 16, 16)), style=style, **options)
    assert named(shown.rows) == ["3 × Conv 3×3 3…8→8 /2 stages", "3 × Conv 1×1 8→4 laterals"]
    stages, laterals = shown.rows
    assert stages.output and stages.output.shape[1] == 8
    assert laterals.output is None


def test_layers_in_blocks_are_counted() -> None:
    shown = view(traced(case("figure_parallel_merged").Net(), (1, 3, 64, 64), (1, 16)), depth=1)
    assert wording.what(one(shown, "down")) == f"{4 * (2 * 3 + 1)} layers"


class Post(nn.Module):
    """Functions of two ways in the same code: each way is read by another layer."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = x.cumsum(1), y.cumsum(1)
        return self.one(x.sort(1)[0]), self.two(y.sort(1)[0])


def test_functions_of_independent_ways_are_never_one_row() -> None:
    shown = fold(traced(Post(), (1, 4), (1, 4)), budget=1)
    assert not [row for row in shown.rows if not is_one_way(shown.graph, row)]


# -------------------------------------------------------------------- calls of one module


@pytest.mark.parametrize("style", STYLES)
def test_calls_of_one_module_are_one_row_with_a_line_for_each(style: str) -> None:
    figure = fxviz.render(traced(case("figure_repeated_call").Net(), (1, 3, 32, 32)), style=style)
    enter, pool, join = figure.view.rows[1:4]
    assert (pool.own_times, pool.repeats) == (3, "calls")
    assert "×3 calls" in figure.dot
    assert read_by(figure.view, join) == {enter.id, pool.id}
    assert figure.view.ways == {(pool.id, join.id): 3}
    box, from_pool = ("row3", "row2") if style == "graph" else ("card3", "card2")
    assert len(re.findall(rf"{from_pool}\S* -> {box}", figure.dot)) == 3


class Collected(nn.Module):
    """A block is called three times; what it reads first and all its results are concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.out = conv(3, 8), conv(32, 4)
        self.block = nn.Sequential(conv(8, 8), nn.ReLU(), conv(8, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = [self.stem(x)]
        for _ in range(3):
            found.append(self.block(found[-1]))
        return self.out(torch.cat(found, 1))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("options", [{}, {"collapse": ("block",)}])
def test_each_result_of_a_loop_has_one_line_to_what_reads_all(style: str, options: dict[str, Any]) -> None:
    figure = fxviz.render(traced(Collected(), (1, 3, 8, 8)), style=style, **options)
    join = next(row for row in figure.view.rows if wording.what(row) == "concat")
    assert figure.view.ways == {(join.id - 1, join.id): 3}
    box, last = (f"row{join.id}", f"row{join.id - 1}") if style == "graph" else (f"card{join.id}", r"card\d+")
    drawn = [line for line in figure.dot.splitlines() if re.search(rf"\b{last}\S* -> {box}\b", line)]
    from_stem = 0 if style == "graph" else 1
    assert len([line for line in drawn if "style=invis" not in line]) == 3 + from_stem


class Again(nn.Module):
    """One block is run three times, one pooling twice, one layer twice; the first result is added at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block, self.pool, self.head = conv(3, 8), Block(8), nn.AvgPool2d(3, 1, 1), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for _ in range(3):
            x = self.block(x)
        x = self.pool(self.pool(x))
        return self.head(self.head(x.mean((2, 3))))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("options", [{}, {"collapse": ("Block",)}])
def test_calls_are_said_whatever_is_opened(style: str, options: dict[str, Any]) -> None:
    figure = fxviz.render(traced(Again(), (1, 3, 8, 8)), style=style, **options)
    assert [row.repeats for row in figure.view.rows if row.path == "pool"] == ["calls"]
    assert figure.dot.count("×2 calls") == 2
    assert figure.dot.count("×3 calls") == 1


class PoolBoth(nn.Module):
    """The same pooling is called on two ways, which stay two."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.pool = conv(3, 8), conv(3, 4, 5), nn.MaxPool2d(2)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = self.one(x), self.two(y)
        return self.pool(x), self.pool(y)


@pytest.mark.parametrize("style", STYLES)
def test_calls_on_independent_ways_are_rows_of_their_own(style: str) -> None:
    shown = view(traced(PoolBoth(), (1, 3, 8, 8), (1, 3, 8, 8)), style=style)
    assert sorted(row.path for row in shown.rows) == ["one", "pool", "pool", "two"]


# -------------------------------------------------------------------- branches of a closed module


class SameChannels(nn.Module):
    """Two poolings side by side, and another behind one of them."""

    def __init__(self, chained: bool) -> None:
        super().__init__()
        self.enter, self.pool, self.chained = conv(8, 8, 1), nn.MaxPool2d(3, 1, 1), chained
        self.leave = conv(24, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.enter(x)
        one = self.pool(x)
        other = self.pool(one) if self.chained else nn.functional.max_pool2d(x, 5, 1, 2)
        return self.leave(torch.cat([x, one, other], 1))


class Rotated(nn.Module):
    """A concatenation of sums and differences of the halves of one layer's result has no branches."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.leave = conv(8, 8, 1), conv(8, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one, two = self.enter(x).chunk(2, 1)
        return self.leave(torch.cat([one * 0.5 - two, two * 0.5 + one], 1))


@pytest.mark.parametrize(
    ("model", "branches"), [(SameChannels(False), 2), (SameChannels(True), 0), (Rotated(), 0), (Split(8, 2), 0)]
)
def test_branches_are_counted_where_they_are(model: nn.Module, branches: int) -> None:
    shown = view(traced(nn.Sequential(conv(3, 8), model), (1, 3, 8, 8)), style="ledger", depth=1)
    assert one(shown, "1").branches == branches
