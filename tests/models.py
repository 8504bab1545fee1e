"""The models of torchvision that tests look at, each traced, folded and drawn once for all of them."""

from __future__ import annotations

from functools import cache

import fxviz
from fxviz._graph import ArchGraph
from fxviz._render.figure import Figure, RenderOptions
from fxviz._view import fold
from fxviz._view.view import View

MODELS = (
    "resnet18 resnet152 vgg16 vit_b_16 efficientnet_b7 densenet121 googlenet swin_t convnext_tiny mobilenet_v3_large "
    "regnet_y_400mf"
).split()


@cache
def traced(name: str) -> ArchGraph:
    return fxviz.trace(name)


@cache
def folded(name: str, style: str = "ledger") -> View:
    return fold(traced(name), style=style)


@cache
def figure(name: str, theme: str = "light", style: str = "ledger") -> Figure:
    return Figure(folded(name, style), RenderOptions(theme=theme))
