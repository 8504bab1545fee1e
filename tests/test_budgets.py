"""Known models stay within the page: height, lines past rows, number of rows, and the time it takes to fold them."""

from __future__ import annotations

import pytest
from torchvision import models

import fxviz
from fxviz._graph import ArchGraph
from fxviz._view import BUDGET, MOST_FLOWS, deepest_fitting, fitting, fold
from models import EACH_MODEL, traced
from test_scale import blocks

MOST_ROWS = 80


def check(graph: ArchGraph) -> None:
    """Check that the ledger and the automatic style fit, and that both count everything."""
    view = fold(graph)
    assert view.lines <= BUDGET
    assert len(view.flows) <= MOST_FLOWS
    assert len(view.rows) <= MOST_ROWS
    chosen = fold(graph, style="auto")
    assert fitting(chosen.style, BUDGET)(chosen)
    assert view.total == chosen.total == graph.traced_params


@pytest.mark.parametrize("name", EACH_MODEL)
def test_a_known_model_fits(name: str) -> None:
    check(traced(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", models.list_models())
def test_every_model_of_torchvision_fits(name: str) -> None:
    check(fxviz.trace(name))


@pytest.mark.parametrize("name", ["resnet152", "vit_b_16", "swin_t"])
def test_the_depth_that_fits_fits_and_the_next_does_not(name: str) -> None:
    graph = traced(name)
    depth = deepest_fitting(graph)
    assert depth is not None
    assert fold(graph, depth=depth).lines <= BUDGET
    assert fold(graph, depth=depth + 1).lines > BUDGET or fold(graph, depth=depth + 1) == fold(graph, depth=depth)


def test_a_depth_of_too_many_rows_does_not_fit() -> None:
    graph = blocks(200, widths=89, structures=4)
    assert len(fold(graph, depth=1).rows) == 1
    assert len(fold(graph, depth=2).rows) == 200
    assert deepest_fitting(graph) == 1
