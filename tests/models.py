"""The models of torchvision that tests look at, each traced once for all workers of a run."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from filelock import FileLock  # a dependency of torch

import fxviz
from conftest import slow
from fxviz._graph import ArchGraph
from fxviz._render.figure import Figure, RenderOptions
from fxviz._view import fold
from fxviz._view.view import View

QUICK = ("resnet18", "vgg16", "vit_b_16", "densenet121", "googlenet", "mobilenet_v3_large")
SLOW = ("resnet152", "efficientnet_b7", "swin_t", "convnext_tiny", "regnet_y_400mf")
MODELS = (*QUICK, *SLOW)
EACH_MODEL = (*QUICK, *slow(*SLOW))
"""For ``parametrize``: the quick suite takes those of one structure each that are traced at once."""


@cache
def traced(name: str) -> ArchGraph:
    """Return the trace of a model: saved by the worker that needs it first, read by the others."""
    folder = os.environ.get("FXVIZ_TEST_GRAPHS")
    if folder is None:  # while tests are collected
        return fxviz.trace(name)
    path = Path(folder, f"{name}.json")
    with FileLock(f"{path}.lock"):
        if not path.exists():
            fxviz.trace(name).save(path)
    return ArchGraph.load(path)


@cache
def folded(name: str, style: str = "ledger") -> View:
    return fold(traced(name), style=style)


@cache
def figure(name: str, theme: str = "light", style: str = "ledger") -> Figure:
    return Figure(folded(name, style), RenderOptions(theme=theme))
