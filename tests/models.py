"""The models of torchvision that tests look at, each traced, folded and drawn once for all of them."""

from __future__ import annotations

from functools import cache

import fxviz
from fxviz.folding import fold
from fxviz.graph import ArchGraph
from fxviz.rendering import Figure
from fxviz.styling.ledger import draw
from fxviz.view import View

MODELS = (
    "resnet18 resnet152 vgg16 vit_b_16 efficientnet_b7 densenet121 googlenet swin_t convnext_tiny mobilenet_v3_large "
    "regnet_y_400mf"
).split()


@cache
def traced(name: str) -> ArchGraph:
    return fxviz.trace(name)


@cache
def folded(name: str) -> View:
    return fold(traced(name))


@cache
def figure(name: str, theme: str = "light") -> Figure:
    return Figure(draw(folded(name)), theme)
