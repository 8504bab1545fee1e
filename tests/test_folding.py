"""Folding loses and invents nothing at any level of detail, and known models look as their authors draw them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import examples
from fxviz._analysis import annotate
from fxviz._graph import ArchGraph, Skip
from fxviz._graph.index import immediate_dominators
from fxviz._view import BUDGET, GRAPH_LEVELS, LEVELS, MERGED, Outline, fold, lay_out
from fxviz._view.collapse import overrides_for
from fxviz._view.detail import Detail
from fxviz._view.levels import Layout
from fxviz._view.rows import Draft, Drafts
from fxviz._view.view import INPUT, OUTPUT, Arc, Item, Repeat, Row, Stage, View
from models import EACH_MODEL, figure, folded, traced
from random_graphs import Net, graphs, iterated_nets, planted_nets, staged_nets, stopped

whole = st.one_of(
    graphs(24), planted_nets().map(lambda planted: planted[0]), staged_nets(), staged_nets(), iterated_nets()
)
anything = st.one_of(whole, whole, stopped(whole)).map(annotate)
levels = st.sampled_from(
    [
        *LEVELS,
        *GRAPH_LEVELS,
        *MERGED[-4:],
        *(Detail(depth=depth, fold_layers=True, compact=True) for depth in (1, 2, 3)),
    ]
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[ArchGraph, Detail]:
    """Any graph, and any level of detail with any modules opened and closed."""
    graph, level = draw(anything), draw(levels)
    names = sorted({scope.path for scope in graph.scopes if scope.path})
    if not names or draw(st.booleans()):
        return graph, replace(level, repeats=draw(st.booleans()))
    expand = draw(st.lists(st.sampled_from(names), max_size=2, unique=True))
    inside = tuple(f"{name}." for name in names)
    free = [name for name in names if not any(path == name or path.startswith(f"{name}.") for path in expand)]
    closing = st.sampled_from(
        [*free, *sorted({scope.class_name for scope in graph.scopes if scope.path.startswith(inside)})]
    )
    collapse = draw(st.lists(closing, max_size=2)) if free else []
    overrides = overrides_for(Outline(graph), expand, collapse, draw(st.booleans()), None)
    return graph, level.with_overrides(overrides)


# -------------------------------------------------------------------- nothing is lost, nothing invented


@dataclass(frozen=True)
class Folded:
    """A graph at one level of detail, and what a reader sees between its rows."""

    graph: ArchGraph
    layout: Layout

    @classmethod
    def at(cls, graph: ArchGraph, detail: Detail) -> Folded:
        return cls(graph, lay_out(Outline(graph), detail))

    @property
    def view(self) -> View:
        return self.layout.view

    @property
    def drafts(self) -> Drafts:
        return self.layout.drafts

    def row(self, node: str) -> int:
        row = self.drafts.row(node)
        return row.id if isinstance(row, Draft) else row

    @cached_property
    def main(self) -> list[int]:
        """Return the rows that are read one after the other, from the input to the output: all but those on a skip."""
        return [INPUT, *(row.id for row in self.view.rows if row.kind != "projection"), OUTPUT]

    @cached_property
    def seen(self) -> set[tuple[int, int]]:
        """Return the steps from row to row that a reader sees."""
        if self.view.style == "graph":
            return set(self.view.edges)
        lines = {(line.tail, line.head) for line in (*self.view.arcs, *self.view.flows)}
        return (
            lines
            | self._down_the_page()
            | set(self._along_branches())
            | set(self._along_rails())
            | set(self._on_skips())
        )

    def _down_the_page(self) -> set[tuple[int, int]]:
        """Return the steps to the next row, within a card or by the arrow between cards, outside of branches."""
        starts = {branch[0] for region in self.layout.regions for branch in region.branches}
        ends = {branch[-1] for region in self.layout.regions for branch in region.branches}
        boundaries = {card.rows[0].id for card in self.view.cards}
        steps = {(above, below) for above, below in pairwise(self.main) if above not in ends and below not in starts}
        return {step for step in steps if step[1] not in boundaries or step in self.view.edges}

    def _along_branches(self) -> Iterator[tuple[int, int]]:
        for region in self.layout.regions:
            for branch in region.branches:
                yield from [(region.fork, branch[0]), (branch[-1], region.join), *(region.edges() & self.view.edges)]

    def _along_rails(self) -> Iterator[tuple[int, int]]:
        """Yield the steps past rows that keep their input beside their output."""
        for above, row, below in zip(self.main, self.main[1:], self.main[2:], strict=False):
            if self.view.rows[row].concat:
                yield above, below

    def _on_skips(self) -> Iterator[tuple[int, int]]:
        """Yield the steps from layers on a skip to the join below them."""
        for row in self.view.rows:
            if row.kind == "projection":
                yield row.id, next(below for below in self.main[1:] if below > row.id)
                yield from self.view.edges & {(row.id, row.id + 1)}


def reaches(edges: set[tuple[int, int]], start: int) -> set[int]:
    found, waiting = {start}, [start]
    while waiting:
        row = waiting.pop()
        following = {head for tail, head in edges if tail == row} - found
        found |= following
        waiting += following
    return found


@given(cases())
@settings(max_examples=examples(60))
def test_every_node_is_in_one_row(case: tuple[ArchGraph, Detail]) -> None:
    graph, detail = case
    drafts = Folded.at(graph, detail).drafts
    drawn = [name for row in drafts.rows for name in row.nodes]
    beside = [name for name, row in drafts.row_of.items() if not isinstance(row, Draft)]
    assert sorted([*drawn, *beside, *drafts.stands_for]) == sorted(graph.by_id)
    assert all(drafts.row_of[name] is row for row in drafts.rows for name in row.nodes)


@given(cases())
@settings(max_examples=examples(60))
def test_the_rows_parameters_add_up(case: tuple[ArchGraph, Detail]) -> None:
    graph, detail = case
    view = lay_out(Outline(graph), detail).view
    assert sum(row.total for row in view.rows) == graph.traced_params
    assert sum(part.total for part in view.parts) == graph.traced_params


@given(cases())
@settings(max_examples=examples(60))
def test_rows_are_numbered_down_the_page(case: tuple[ArchGraph, Detail]) -> None:
    graph, detail = case
    view = lay_out(Outline(graph), detail).view
    assert [row.id for row in view.rows] == list(range(len(view.rows)))
    assert all(card.rows for card in view.cards)


@given(cases())
@settings(max_examples=examples(60))
def test_no_edge_is_lost(case: tuple[ArchGraph, Detail]) -> None:
    graph, detail = case
    folded = Folded.at(graph, detail)
    for edge in graph.edges:
        tail, head = folded.row(edge.source), folded.row(edge.target)
        if tail == head or head == INPUT or edge.target in graph.index.unread:
            continue
        if tail > head != OUTPUT or tail == OUTPUT:
            assert edge.target in folded.drafts.stands_for, edge
        else:
            assert (tail, head) in folded.view.edges
            assert head in reaches(folded.seen, tail), edge


@given(cases())
@settings(max_examples=examples(60))
def test_no_edge_is_invented(case: tuple[ArchGraph, Detail]) -> None:
    graph, detail = case
    folded = Folded.at(graph, detail)
    real = set(folded.view.edges)
    for tail, head in sorted(folded.seen):
        assert head in reaches(real, tail) or not any(source == tail for source, _ in real), (tail, head)


@given(cases())
@settings(max_examples=examples(60))
def test_every_skip_is_seen(case: tuple[ArchGraph, Detail]) -> None:
    graph, detail = case
    folded = Folded.at(graph, detail)
    arcs = {(arc.tail, arc.head) for arc in folded.view.arcs}
    for skip in graph.skips:
        assert skip.kind == "gate" or is_seen(folded, skip, arcs), skip


def is_seen(folded: Folded, skip: Skip, arcs: set[tuple[int, int]]) -> bool:
    fork, join = folded.row(skip.fork), folded.row(skip.join)
    rows = folded.view.rows
    if fork == join:
        return True
    if fork >= join or rows[join].concat:
        return fork < join or skip.join in folded.drafts.stands_for
    if skip.kind == "concat" and fork + 1 < join and all(row.concat for row in rows[fork + 1 : join]):
        return True  # each row between keeps what it reads beside what it makes
    ends = [join, *map(folded.row, skip.through)]
    inside = rows[join].kind in ("block", "blocks", "layers") and (
        rows[join].skips.get(skip.kind, 0) > 0 or skip.join in folded.drafts.stands_for
    )
    return inside or any((fork, end) in arcs for end in ends)


@pytest.mark.parametrize("most_rows", range(1, 7))
def test_concatenations_in_rows_of_several_blocks_are_seen(most_rows: int) -> None:
    net = Net()
    features = [net.layer("Conv2d", net.input())]
    for place in range(4):
        with net.scope(f"layer{place}"):
            stream = net.call("cat", *features) if place else features[0]
            features.append(net.chain(stream, *["Conv2d", "Linear"][: 1 + place % 2], "Conv2d"))
    net.output(net.layer("Conv2d", net.call("cat", *features)))
    graph = annotate(net.graph())
    folded = Folded.at(graph, replace(MERGED[0], most_rows=most_rows))
    arcs = {(arc.tail, arc.head) for arc in folded.view.arcs}
    assert len(graph.skips) > 2
    assert all(is_seen(folded, skip, arcs) for skip in graph.skips)


@given(anything, st.randoms(use_true_random=False))
@settings(max_examples=examples(50))
def test_the_order_of_edges_changes_nothing(graph: ArchGraph, chance: random.Random) -> None:
    edges = list(graph.edges)
    chance.shuffle(edges)
    assert fold(replace(graph, edges=tuple(edges))) == fold(graph)


def test_a_parameter_that_only_a_view_reads_is_counted() -> None:
    net = Net()
    x = net.input()
    net.output(net.layer("Conv2d", net.call("expand_as", x, net.parameter())))
    graph = annotate(net.graph())
    assert sum(row.total for row in fold(graph).rows) == graph.traced_params > 64


def test_skips_inside_a_module_are_counted_once_however_its_branches_are_laid() -> None:
    net = Net()
    stream = net.layer("Conv2d", net.input())
    for stage in range(2):
        with net.scope(f"stage{stage}"):
            for block in range(30):
                with net.scope(f"{block}"):
                    shape = (1, 8 + block, 4, 4)
                    narrow = net.layer("Conv2d", stream, shape=shape)
                    stream = net.call("add", narrow, net.chain(narrow, "Conv2d", "ReLU", "Conv2d"))
        stream = net.call("cat", net.chain(stream, "Conv2d", "ReLU"), net.chain(stream, "Conv2d"))
    net.output(stream)
    view = lay_out(Outline(annotate(net.graph())), LEVELS[-1]).view
    assert [dict(row.skips) for row in view.rows if row.kind == "block"] == [{"identity": 30}] * 2


# -------------------------------------------------------------------- dominators


@given(st.sets(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40))
@settings(max_examples=examples(200))
def test_dominators_are_those_of_networkx(edges: set[tuple[int, int]]) -> None:
    """The graphs may have cycles, and nodes that the root does not reach."""
    graph = nx.DiGraph(sorted(edges))
    graph.add_node(0)
    expected = {node: above for node, above in nx.immediate_dominators(graph, 0).items() if node != 0}
    assert immediate_dominators({node: list(graph.successors(node)) for node in graph}, 0) == expected


@pytest.mark.slow
@pytest.mark.parametrize("skip", [1, 2, 39_999])
def test_dominators_of_a_long_chain_take_no_time(skip: int) -> None:
    """A chain alone, one with an edge past every node, and one with an edge to the end from every node."""
    length = 40_000
    chain = {node: {node + 1, min(node + skip, length)} for node in range(length)}
    dominators = immediate_dominators(chain, 0)
    assert len(dominators) == length
    assert dominators[length // 2] == {1: length // 2 - 1, 2: 0, 39_999: length // 2 - 1}[skip]


# -------------------------------------------------------------------- known models


def repeats(items: tuple[Item, ...]) -> list[Repeat]:
    found = []
    for item in items:
        if isinstance(item, Repeat):
            found.append(item)
        if isinstance(item, (Repeat, Stage)):
            found += repeats(item.items)
    return found


def named(rows: tuple[Row, ...], row: int) -> str:
    """Return the path of a row; of a residual add that of the layer above it."""
    if rows[row].kind != "join":
        return rows[row].path
    above = next(above for above in reversed(rows[:row]) if above.kind not in ("join", "projection"))
    return f"add after {above.path}"


def arcs(view: View) -> list[tuple[str, str, str]]:
    return [(arc.kind, named(view.rows, arc.tail), named(view.rows, arc.head)) for arc in view.arcs]


def test_resnet18_has_its_eight_skips() -> None:
    assert arcs(folded("resnet18")) == [
        ("identity", "maxpool", "add after layer1.0.conv2"),
        ("identity", "add after layer1.0.conv2", "add after layer1.1.conv2"),
        ("projection", "add after layer1.1.conv2", "layer2.0.downsample"),
        ("identity", "add after layer2.0.conv2", "add after layer2.1.conv2"),
        ("projection", "add after layer2.1.conv2", "layer3.0.downsample"),
        ("identity", "add after layer3.0.conv2", "add after layer3.1.conv2"),
        ("projection", "add after layer3.1.conv2", "layer4.0.downsample"),
        ("identity", "add after layer4.0.conv2", "add after layer4.1.conv2"),
    ]


def test_resnet152_repeats_its_middle_stages() -> None:
    found = repeats(folded("resnet152").items)
    assert [(repeat.times, repeat.span) for repeat in found] == [
        (7, ("layer2.1", "layer2.7")),
        (35, ("layer3.1", "layer3.35")),
    ]


def test_vit_repeats_its_layers_and_names_its_tokens() -> None:
    from fxviz._render.wording import what

    view = folded("vit_b_16")
    assert [repeat.times for repeat in repeats(view.items)] == [12]
    assert [what(row) for row in view.rows if row.kind == "token"] == ["class token", "position embedding"]


def test_vgg16_is_one_dark_bar_without_skips() -> None:
    view = folded("vgg16")
    assert view.arcs == ()
    largest = max(view.rows, key=lambda row: row.total)
    assert largest.path == "classifier.0"
    assert round(100 * largest.total / view.graph.traced_params, 1) == 74.3


def test_googlenet_has_nine_places_with_four_branches() -> None:
    view = folded("googlenet")
    starts = [row.id for row in view.rows if row.rail == "branch"]
    assert len(starts) == 9 * 4
    assert all(row.rail for row in view.rows if row.path.startswith("inception") and row.kind != "plain")
    assert view.arcs == () and view.flows == ()


def test_densenet121_keeps_its_features_along_rails() -> None:
    view = folded("densenet121")
    assert sum(row.concat for row in view.rows) == 6 + 12 + 24 + 16
    assert view.arcs == () and view.flows == ()


@pytest.mark.parametrize("name", EACH_MODEL)
def test_a_known_model_fits_and_adds_up(name: str) -> None:
    graph, view = traced(name), folded(name)
    assert view.lines <= BUDGET
    assert sum(row.total for row in view.rows) == graph.traced_params
    assert sum(part.total for part in view.parts) == graph.traced_params
    assert view.flows == ()


@pytest.mark.parametrize("name", EACH_MODEL)
def test_the_skips_of_a_known_model_are_all_there(name: str) -> None:
    graph, view = traced(name), folded(name)
    drawn = sum(arc_times(view, arc) for arc in view.arcs)
    inside = sum(row.times * count for row in view.rows for kind, count in row.skips.items() if kind != "gate")
    along = sum(row.concat for row in view.rows)
    assert drawn + inside + along == sum(count for kind, count in graph.skip_counts.items() if kind != "gate")


def arc_times(view: View, arc: Arc) -> int:
    """Return how often an arc is repeated, with the repetition that it is in or leads into."""
    return view.rows[arc.head].times


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "googlenet", "densenet121"])
def test_the_same_graph_gives_the_same_bytes_in_every_process(name: str, tmp_path: Path) -> None:
    saved = traced(name).save(tmp_path / f"{name}.json")
    program = f"import fxviz; print(fxviz.render({str(saved)!r}, theme='light', style='ledger').svg)"
    for seed in ("0", "42"):
        run = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout == figure(name).svg + "\n"
