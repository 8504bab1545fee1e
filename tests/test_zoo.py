"""Trace every torchvision model, and compare it with independent runs. Run with ``-s`` for the table."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import fx, nn
from torchvision import models

from fxviz._analysis import count_params
from fxviz._graph import ArchGraph, Node, TensorInfo
from fxviz._sources.reference import parse
from fxviz._sources.resolve import names, resolve
from fxviz._trace import trace_module
from reference_runs import SymbolicTracer, layer_shapes, reference_run, touched_parameters

pytestmark = pytest.mark.slow

SIDE = 64
"""Of the square images that small models get."""


@dataclass(frozen=True)
class Row:
    """One model of the table: its graph, its parameters counted from the module, seconds to build and trace it."""

    graph: ArchGraph
    parameters: int
    seconds: float
    symbolic: bool

    def __str__(self) -> str:
        graph, untraced = self.graph, self.parameters - self.graph.traced_params
        unknown = sum(node.macs is None for node in graph.nodes)
        return (
            f"{graph.model.name:40} {graph.trace.method:8} {len(graph.nodes):6} {self.parameters:11,} {untraced:11,} "
            f"{graph.total_macs / 1e9:9.3f} {unknown:4} {self.seconds:6.2f}"
        )


HEADER = f"{'model':40} {'method':8} {'nodes':>6} {'params':>11} {'untraced':>11} {'GMACs':>9} {'?':>4} {'s':>6}"


@pytest.fixture(scope="module")
def table() -> Iterator[dict[str, Row]]:
    """Rows by name, filled by the tests and printed when all are done."""
    rows: dict[str, Row] = {}
    yield rows
    print("", HEADER, *rows.values(), sep="\n")
    methods = Counter(row.graph.trace.method for row in rows.values())
    symbolic = sum(row.symbolic for row in rows.values())
    print(
        f"{len(rows)} models in {sum(row.seconds for row in rows.values()):.0f} s: {dict(methods)}; "
        f"torch.fx traces {symbolic}"
    )


def layers(graph: ArchGraph) -> list[Node]:
    return [node for node in graph.nodes if node.kind == "module"]


@pytest.mark.parametrize("name", names())
def test_a_model_is_traced_whole(name: str, table: dict[str, Row]) -> None:
    """Every parameter is attributed or untraced; the layers are those that torch's symbolic tracing finds."""
    start = time.perf_counter()
    source = resolve(parse(name))
    built = source.build(False)
    module = built.module
    graph = count_params(
        trace_module(module, built.arguments.args, source.info(built), rebuild=lambda: source.build(True).module)
    )
    seconds, symbolic = time.perf_counter() - start, symbolic_calls(module)
    table[name] = Row(graph, sum(parameter.numel() for parameter in module.parameters()), seconds, symbolic is not None)

    untraced = sum(parameter.size for parameter in graph.untraced)
    assert graph.traced_params + untraced == graph.total_params == table[name].parameters
    assert symbolic is None or symbolic == [node.path for node in layers(graph)]
    if graph.trace.method == "fake":
        read = {parameter for node in graph.nodes for parameter in node.uses}
        inputs = tuple(torch.zeros(tensor.shape, device="meta") for tensor in built.arguments.args)
        assert read == touched_parameters(module.to("meta"), inputs)


def symbolic_calls(module: nn.Module) -> list[str] | None:
    """Paths of the layers in the order that torch's symbolic tracing calls them; None where it fails."""
    try:
        graph = SymbolicTracer().trace(module)
    except (fx.proxy.TraceError, TypeError, ValueError, RuntimeError, AssertionError, AttributeError):
        return None
    return [str(node.target) for node in graph.nodes if node.op == "call_module"]


def test_the_library_has_no_other_models(table: dict[str, Row]) -> None:
    assert sorted(table) == sorted(models.list_models())


def test_only_detection_needs_values_that_fake_tensors_lack(table: dict[str, Row]) -> None:
    beyond = {name for name, row in table.items() if row.graph.trace.method != "fake"}
    assert beyond <= set(models.list_models(module=models.detection))


def test_nearly_all_were_compared_with_symbolic_tracing(table: dict[str, Row]) -> None:
    assert sum(row.symbolic for row in table.values()) > 0.8 * len(table)


def small_models() -> list[str]:
    """Return the 42 image classifiers with the fewest parameters among those that take images of ``SIDE``."""
    taken = {name: models.get_model_weights(name).DEFAULT.meta for name in models.list_models(module=models)}
    fitting = [name for name, meta in taken.items() if max(meta["min_size"]) <= SIDE]
    return sorted(fitting, key=lambda name: (taken[name]["num_params"], name))[:42]


@pytest.mark.parametrize("name", small_models())
def test_shapes_and_parameters_are_those_of_a_real_run(name: str) -> None:
    source = resolve(parse(name))
    built = source.build(True)
    module = built.module
    inputs = (torch.rand(1, 3, SIDE, SIDE),)
    graph = trace_module(module, (TensorInfo((1, 3, SIDE, SIDE), "float32"),), source.info(built))
    assert {parameter for node in graph.nodes for parameter in node.uses} == touched_parameters(module, inputs)
    with reference_run():
        shapes = layer_shapes(module, {node.path for node in layers(graph)}, inputs)
    assert shapes == [(node.path, node.outputs) for node in layers(graph)]
