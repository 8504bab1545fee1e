"""A module has the same number of parameters in the rows, frames and strip of a figure and in the summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

import fxviz
from conftest import examples, slow
from fxviz._analysis import annotate
from fxviz._graph import ArchGraph
from fxviz._sources.resolve import names
from fxviz._view import fold
from fxviz._view.view import Heading, Item, Repeat, Row, Stage, cards_in
from models import QUICK, traced
from random_graphs import iterated_nets, staged_nets

STYLES = ("ledger", "graph")


class Numbers:
    """The parameters that a trace reads, each with the step where it counts."""

    def __init__(self, graph: ArchGraph) -> None:
        self.graph = graph
        self.sizes = {parameter.name: parameter.size for parameter in graph.parameters}
        self.counted = {name: node for node in graph.nodes for name in node.uses if name not in node.shared}

    def of_module(self, path: str) -> int:
        """Return how many parameters are called like the module."""
        return sum(self.sizes[name] for name in self.counted if is_in(name, path))

    def of_row(self, row: Row) -> int:
        """Return how many parameters belong to a row: its module's, and those of the layers that its tag names."""
        beside = (node for node in (*row.before, *row.after) if not is_in(node.path, row.path))
        return self.of_module(row.path) + sum(node.params for node in beside)

    def are_elsewhere(self, path: str) -> bool:
        """Return whether a step outside a module counts its parameters, or it counts those of others."""
        return any(is_in(name, path) != is_in(node.path, path) for name, node in self.counted.items())


def is_in(name: str, path: str) -> bool:
    return not path or name == path or name.startswith(f"{path}.")


def headings(items: Sequence[Item]) -> Iterator[Heading]:
    for item in items:
        if isinstance(item, Stage) or (not isinstance(item, Repeat) and item.heading is not None):
            yield item.heading
        if isinstance(item, (Stage, Repeat)):
            yield from headings(item.items)


def check(graph: ArchGraph) -> int:
    """Check every module of a figure in both styles; return how many there were."""
    numbers, checked = Numbers(graph), 0
    summary = fxviz.summary(graph)
    subtotals = {row.name: row.params for row in summary.rows if row.kind == "subtotal" and row.used}
    assert summary.totals.params == graph.total_params == numbers.of_module("") + sum(p.size for p in graph.untraced)
    for style in STYLES:
        view = fold(graph, style=style)
        rows = [row for card in cards_in(view.items) for row in card.rows]
        for row in rows:
            is_module = row.kind == "block" and row.times == 1 and not row.span and not row.shared
            if is_module and not numbers.are_elsewhere(row.path):
                assert row.total == numbers.of_row(row), row
                checked += 1
        for heading in headings(view.items):
            if heading.total and not heading.missing and not numbers.are_elsewhere(heading.path):
                assert heading.total / heading.times == numbers.of_module(heading.path), heading
                assert heading.total / heading.times == subtotals.get(heading.path, heading.total / heading.times)
                checked += 1
        totals = {(thing.path, thing.total) for thing in (*rows, *headings(view.items))}
        for part in view.parts:
            assert part.last or (part.path, part.total) in totals, part
        assert sum(part.total for part in view.parts) == view.total == graph.traced_params
    return checked


@given(staged_nets())
@settings(max_examples=examples(40))
def test_random_nets(graph: ArchGraph) -> None:
    check(annotate(graph))


@given(iterated_nets())
@settings(max_examples=examples(20))
def test_random_nets_that_call_modules_again(graph: ArchGraph) -> None:
    check(annotate(graph))


@pytest.mark.parametrize("name", [*QUICK, *slow(*(name for name in names() if name not in QUICK))])
def test_every_model_of_torchvision(name: str) -> None:
    assert check(traced(name)) > 0


class Steps(nn.Module):
    """One module that runs another of its layers at each call."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8)) for _ in range(count))

    def forward(self, x: Tensor, at: int) -> Tensor:
        return x + self.layers[at](x)


class Operator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.steps, self.last = nn.Linear(4, 8), Steps(3), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        for at in range(3):
            x = torch.tanh(self.steps(x, at))
        return self.last(x)


class Decoder(nn.Module):
    """A language model whose caller embeds the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(99, 8), nn.Embedding(5, 8)
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8), nn.Linear(8, 8))
        self.norm = nn.LayerNorm(8)

    def forward(self, embedded: Tensor) -> Tensor:
        return self.norm(self.layers(embedded))


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.text, self.head = Decoder(), nn.Linear(8, 99)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.text(self.text.embed(tokens)))


def missing(graph: ArchGraph) -> list[str]:
    return [heading.missing for heading in headings(fold(graph, depth=3).items) if heading.missing]


def test_a_frame_says_which_call_of_its_module_it_is() -> None:
    graph = fxviz.trace(Operator(), torch.zeros(1, 4))
    assert missing(graph) == ["call 1 of 3", "call 2 of 3", "call 3 of 3"]
    assert "call 2 of 3" in fxviz.render(graph, depth=3).svg
    check(graph)


def test_a_frame_says_what_of_its_module_is_called_outside() -> None:
    graph = fxviz.trace(Reader(), torch.zeros(1, 5, dtype=torch.long))
    assert missing(graph) == ["without embed"]
    assert "without embed" in fxviz.render(graph, depth=3).svg
    check(graph)
