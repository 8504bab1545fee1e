"""Work grows with the number of steps, not with its square. Calls are counted, as times depend on other processes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest

import fxviz
from fxviz._analysis import annotate, match
from fxviz._graph import ArchGraph
from random_graphs import Net

STEPS = 400
"""The steps of the smaller of two models; the larger one has twice as many."""

MOST = 2.3
"""The most times as many calls for twice as many steps."""


def chain(steps: int, other: int = 0) -> ArchGraph:
    """Chain layers of many widths; every fortieth is wider in another model."""
    net = Net()
    stream = net.input((1, 8))
    for place in range(steps):
        stream = net.layer("Linear", stream, shape=(1, width(place, 37) + other * (place % 40 == 7)))
    net.output(stream)
    return annotate(net.graph())


def blocks(steps: int, other: int = 0) -> ArchGraph:
    """Stack equal residual blocks of four steps; every fortieth is wider in another model."""
    net = Net()
    stream = net.input((1, 8))
    for place in range(steps // 4):
        with net.scope(f"blocks{place}"):
            hidden = net.layer("Linear", stream, shape=(1, 8 + other * (place % 40 == 7)))
            hidden = net.call("relu", hidden, shape=net.shape(hidden))
            stream = net.call("add", stream, net.layer("Linear", hidden, shape=(1, 8)), shape=(1, 8))
    net.output(stream)
    return annotate(net.graph())


def width(place: int, step: int) -> int:
    return 1 + place * step % 97


STRUCTURES: dict[str, Callable[..., ArchGraph]] = {
    "chain": chain,
    "equal blocks": blocks,
}

COMMANDS: dict[str, Callable[[ArchGraph, ArchGraph], Any]] = {
    "annotate": lambda graph, _: annotate(graph),
    "ledger": lambda graph, _: fxviz.render(graph, style="ledger").svg,
    "graph": lambda graph, _: fxviz.render(graph, style="graph").svg,
    "paper": lambda graph, _: fxviz.render(graph, style="paper").svg,
    "explain": lambda graph, _: str(fxviz.explain(graph)),
    "summary": lambda graph, _: str(fxviz.summary(graph)),
    "stages": lambda graph, _: str(fxviz.summary(graph, by="stage")),
    "difference": lambda graph, other: fxviz.diff(graph, other).svg,
    "compare": lambda graph, other: str(fxviz.compare(graph, other)),
}


def calls(work: Callable[[], Any]) -> int:
    """Count the calls of functions."""
    count = 0

    def seen(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.slow
@pytest.mark.parametrize("structure", STRUCTURES)
def test_work_grows_with_the_number_of_steps(structure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match, "_MOST_CELLS", 1_000)  # shorter lists are weighed pair by pair
    make = STRUCTURES[structure]
    models = [(make(steps), make(steps, 1)) for steps in (STEPS, 2 * STEPS)]
    for work in COMMANDS.values():
        work(*models[0])  # imports are no work
    grown = {}
    for name, work in COMMANDS.items():
        few, many = (calls(partial(work, *map(fresh, pair))) for pair in models)
        grown[name] = round(many / few, 2)
    assert max(grown.values()) <= MOST, grown


def fresh(graph: ArchGraph) -> ArchGraph:
    """Return a graph without what it knows about itself from an earlier call."""
    return ArchGraph(**{name: getattr(graph, name) for name in ArchGraph.__dataclass_fields__})
