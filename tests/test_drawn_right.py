"""What a figure draws is there: joins, repetitions, shortcuts and parallel ways of models that other people write."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

import fxviz
from conftest import CASES
from fxviz._graph import ArchGraph
from fxviz._render import wording
from fxviz._view.view import Card, Item, Repeat, Row, View

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
        "Conv 3×3 0",
        "Conv 1×1 1.enter",
        "Block 1.blocks.0",
        "concat 1",
        "Conv 1×1 1.leave",
        "Conv 3×3 2",
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
    assert (inside[0], inside[-1]) == ("Attention encoder.layers.0.0", "+ add encoder")
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
