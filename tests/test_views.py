"""A dozen views of known models, each as a whole text: what is asked for is drawn, and stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import fxviz
from fxviz._render.figure import RenderOptions
from models import traced

VIEWS: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet18-graph": ("resnet18", {"style": "graph"}),
    "googlenet-auto": ("googlenet", {}),
    "vit_b_16-graph-lr": ("vit_b_16", {"direction": "LR"}),
    "efficientnet_b7-graph": ("efficientnet_b7", {"style": "graph"}),
    "resnet152-depth1": ("resnet152", {"depth": 1}),
    "resnet152-depth2": ("resnet152", {"depth": 2}),
    "resnet152-depth1-expand": ("resnet152", {"depth": 1, "expand": ("layer4.0",)}),
    "resnet152-collapse": ("resnet152", {"collapse": ("Bottleneck",)}),
    "vit_b_16-no-fold": ("vit_b_16", {"repeats": False}),
    "regnet_y_400mf-depth9": ("regnet_y_400mf", {"depth": 9}),
    "swin_t-collapse-path": ("swin_t", {"collapse": ("features.5",), "style": "graph"}),
    "vgg16-slide": ("vgg16", {"title": "VGG16", "header": False, "legend": False, "color_by": "macs"}),
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_view(view: str, golden: Callable[[str, str], None]) -> None:
    name, options = VIEWS[view]
    golden(f"views/{view}.dot", fxviz.render(traced(name), options=RenderOptions(**options)).dot)


@pytest.mark.parametrize("view", VIEWS)
def test_the_shares_of_a_view_add_up(view: str) -> None:
    name, options = VIEWS[view]
    shown = fxviz.render(traced(name), options=RenderOptions(**options)).view
    metric = {"params": lambda node: node.params, "macs": lambda node: node.macs or 0}[shown.metric]
    assert sum(row.total for row in shown.rows) == sum(metric(node) for node in traced(name).nodes)


def test_a_dozen() -> None:
    assert len(VIEWS) >= 12
