"""Every metric adds up over the rows of a figure, which names the metric."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import pytest

import fxviz
from fxviz._graph.errors import UsageError
from fxviz._graph.metrics import METRICS
from fxviz._view import fold
from models import traced


@pytest.mark.parametrize("metric", ["params", "macs", "activations"])
@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "densenet121"])
def test_rows_and_parts_add_up(name: str, metric: str) -> None:
    graph = traced(name)
    view = fold(graph, metric)
    assert view.total == sum(METRICS[metric].of(node) for node in graph.nodes)
    assert sum(part.total for part in view.parts) == view.total


def test_resnet18_spends_its_macs_evenly() -> None:
    view = fold(traced("resnet18"), "macs")
    assert view.total == 1_814_073_344
    shares = {part.path: part.total / view.total for part in view.parts}
    assert [round(100 * shares[f"layer{stage}"], 1) for stage in (1, 2, 3, 4)] == [25.5, 22.7, 22.7, 22.7]


def test_activations_are_the_outputs_of_layers() -> None:
    graph = traced("resnet18")
    layers = [node for node in graph.nodes if node.op in ("Conv2d", "Linear")]
    assert fold(graph, "activations").total == sum(prod(node.outputs[0].shape) for node in layers)


def test_repeated_blocks_may_take_different_times() -> None:
    graph = traced("vit_b_16")
    timed = graph.with_nodes(tuple(replace(node, time=0.001 * place) for place, node in enumerate(graph.nodes)))
    assert fold(timed, "time").total == pytest.approx(
        sum(node.time or 0 for node in timed.nodes if node.kind not in ("input", "output"))
    )


def test_the_figure_says_what_it_measures() -> None:
    svg = fxviz.render(traced("resnet18"), options=fxviz.RenderOptions(color_by="macs")).svg
    assert "77% of MACs" in svg
    assert "115.6M" in svg


def test_times_must_have_been_measured() -> None:
    with pytest.raises(UsageError, match="the graph holds no times"):
        fxviz.render(traced("resnet18"), options=fxviz.RenderOptions(color_by="time"))


def test_an_unknown_metric_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="invalid color_by 'flops': choose params, macs, activations or time"):
        fxviz.RenderOptions(color_by="flops")
