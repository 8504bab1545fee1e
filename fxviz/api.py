"""The pipelines, each as one readable paragraph: :func:`trace` and :func:`render`.

The rooms are imported where they are used, so that a saved graph is drawn without importing torch.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxviz.drawing import THEMES
from fxviz.errors import UsageError
from fxviz.graph import ArchGraph
from fxviz.inputs import Arguments, batched
from fxviz.metrics import METRICS
from fxviz.options import TraceOptions

if TYPE_CHECKING:
    from torch import nn

    from fxviz.rendering import Figure

_CONFIGURATION = "transformers:"
"""What follows is a model type or the file of a configuration, which ends like a saved graph."""


@dataclass(frozen=True)
class RenderOptions:
    """How a figure is drawn.

    Attributes:
        theme: "light", "dark", or "auto", which follows the reader's setting.
        engine: the layout engine's program, a name or a path; None takes the one that fxviz brings, else ``dot``.
        color_by: what bars, colours and shares measure: "params", "macs", "activations" or "time".
        depth: modules nested so many levels deep are one row each; None takes the closest look that fits a page.

    Raises:
        UsageError: there is no such theme, program, metric or depth.

    >>> RenderOptions(theme="sepia")
    Traceback (most recent call last):
    ...
    fxviz.errors.UsageError: no theme 'sepia': choose auto, light or dark
    """

    theme: str = "auto"
    engine: str | None = None
    color_by: str = "params"
    depth: int | None = None

    def __post_init__(self) -> None:
        if self.theme not in THEMES:
            raise UsageError(f"no theme '{self.theme}': choose auto, light or dark")
        if self.color_by not in METRICS:
            raise UsageError(f"no metric '{self.color_by}': choose {', '.join(METRICS)}")
        if self.depth is not None and self.depth < 1:
            raise UsageError(f"no depth {self.depth}: give a whole number from 1 on")
        if self.engine is not None and shutil.which(self.engine) is None:
            raise UsageError(f"no layout engine '{self.engine}': give the path of a 'dot' program, or leave the option out")


def trace(
    model: str | nn.Module,
    inputs: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    batch: int | None = None,
    device: str = "meta",
    time: bool = False,
    train: bool = False,
    leaf: Sequence[str] = (),
    root: str = "",
    partial: bool = False,
) -> ArchGraph:
    """Run a model once and return what it did as a graph, with its parameters, shapes, MACs and skip connections.

    A source that names a file or a module ("net.py:Net", "package.module:factory") runs the code in it.

    Args:
        model: a name from ``fxviz list`` ("resnet18", "timm:resnet50", "transformers:bert"), the file of a configuration
            ("transformers:path/to/config.json"), a class or function of your own ("net.py:Net(depth=18)",
            "package.module:factory"), an exported program ("net.pt2"), or a module, which is left as it was.
        inputs: what the model is called with: a tuple or list of positional arguments, a dict of keyword arguments, or the one
            argument. A tensor, or a :class:`~fxviz.graph.TensorInfo` for one, may be anywhere inside. None stands for what
            its library declares, for a model of your own one 1×3×224×224 image.
        kwargs: keyword arguments beside ``inputs``.
        batch: the first size of each input that is not given as a tensor.
        device: "meta" (no memory, no computing), "cpu", "cuda" or "cuda:N".
        time: measure the time of each node on ``device``: the median of several runs, in seconds.
        train: run in training mode, so that what only runs there appears (googlenet's auxiliary classifiers).
        leaf: modules that are one node each, by path ("layer1.0") or class ("BasicBlock").
        root: path of the submodule to record instead of the whole model, with the inputs that it really receives.
        partial: where the model's code raises, return what ran until then; ``graph.trace.failure`` says what happened.

    Raises:
        UsageError: there is no such model, device, submodule or input, or nothing to time.
        TraceError: the model's own code failed, or its steps cannot be timed one by one.

    >>> graph = trace("resnet18")
    >>> graph.total_params, graph.skip_counts["identity"], graph.skip_counts["projection"]
    (11689512, 5, 3)
    >>> trace("resnet18", root="layer4").total_params
    8393728
    """
    from fxviz.annotating import annotate
    from fxviz.loading import resolve
    from fxviz.tracing import check_available, trace_module

    options = TraceOptions(device, time, train, tuple([leaf] if isinstance(leaf, str) else leaf), root, partial)
    check_available(device)
    source = resolve(model)
    module = source.build(device != "meta")
    if isinstance(model, str) and device != "meta":
        module = module.to(device)
    given = Arguments.of(source.inputs if inputs is None and kwargs is None else () if inputs is None else inputs, kwargs)
    if batch is not None:
        given = batched(given, batch)
    assumed = inputs is None and kwargs is None and source.declared() is None
    traced = trace_module(module, given, source.info(module), options, rebuild=lambda: source.build(True), assumed=assumed)
    return annotate(traced)


_DEFAULTS = RenderOptions()


def render(model_or_graph: str | Path | nn.Module | ArchGraph, options: RenderOptions = _DEFAULTS) -> Figure:
    """Draw a model, or a graph that :func:`trace` made, as a figure with ``svg``, ``dot`` and ``save(path)``.

    Args:
        model_or_graph: a graph, the path of a saved one (``.json``), or what :func:`trace` takes.
        options: theme, metric, depth and layout engine.

    Raises:
        UsageError: there is no such model, or the file holds no graph.
        TraceError: the model's own code failed.
        EngineError: the layout engine is missing or failed.

    >>> render("resnet18", RenderOptions(theme="light")).svg.startswith("<svg")
    True
    """
    from fxviz.folding import fold
    from fxviz.rendering import Figure
    from fxviz.styling.ledger import draw

    view = fold(as_graph(model_or_graph), options.color_by, depth=options.depth)
    return Figure(draw(view), theme=options.theme, engine=options.engine)


def as_graph(model_or_graph: str | Path | nn.Module | ArchGraph, **how: Any) -> ArchGraph:
    """The graph that is given, saved, or yet to be traced; ``how`` are further arguments of :func:`trace`, for a model only.

    >>> as_graph("resnet18.json", device="cpu", batch=2)
    Traceback (most recent call last):
    ...
    fxviz.errors.UsageError: 'resnet18.json' is traced already: leave device, batch out, or trace the model again with it
    """
    saved = is_graph_file(model_or_graph)
    if how and (saved or isinstance(model_or_graph, ArchGraph)):
        which = f"{str(model_or_graph)!r}" if saved else "the graph"
        raise UsageError(f"{which} is traced already: leave {', '.join(how)} out, or trace the model again with it")
    if isinstance(model_or_graph, ArchGraph):
        return model_or_graph
    if isinstance(model_or_graph, (str, Path)) and saved:
        return ArchGraph.load(model_or_graph)
    return trace(str(model_or_graph) if isinstance(model_or_graph, Path) else model_or_graph, **how)


def is_graph_file(value: object) -> bool:
    """Whether ``value`` names a saved graph rather than a model.

    >>> is_graph_file("resnet18"), is_graph_file("out/resnet18.json"), is_graph_file(Path("a.JSON"))
    (False, True, True)
    >>> is_graph_file("transformers:bert/config.json")
    False
    """
    if isinstance(value, str) and value.startswith(_CONFIGURATION):
        return False
    return isinstance(value, (str, Path)) and str(value).lower().endswith(".json")
