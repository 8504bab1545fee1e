"""The pipelines, each as one readable paragraph: :func:`trace` and :func:`render`.

The rooms are imported where they are used, so that a saved graph is drawn without importing torch.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxviz.devices import check_device
from fxviz.drawing import THEMES
from fxviz.errors import TimingError, TraceError, UsageError
from fxviz.graph import ArchGraph
from fxviz.metrics import METRICS

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

    Raises:
        UsageError: there is no such theme, program or metric.

    >>> RenderOptions(theme="sepia")
    Traceback (most recent call last):
    ...
    fxviz.errors.UsageError: no theme 'sepia': choose auto, light or dark
    """

    theme: str = "auto"
    engine: str | None = None
    color_by: str = "params"

    def __post_init__(self) -> None:
        if self.theme not in THEMES:
            raise UsageError(f"no theme '{self.theme}': choose auto, light or dark")
        if self.color_by not in METRICS:
            raise UsageError(f"no metric '{self.color_by}': choose {', '.join(METRICS)}")
        if self.engine is not None and shutil.which(self.engine) is None:
            raise UsageError(f"no layout engine '{self.engine}': give the path of a 'dot' program, or leave the option out")


def trace(model: str | nn.Module, inputs: Any = None, *, device: str = "meta", time: bool = False) -> ArchGraph:
    """Run a model once and return what it did as a graph, with its parameters, shapes, MACs and skip connections.

    Args:
        model: a name from ``fxviz list`` ("resnet18", "timm:resnet50", "transformers:bert"), the file of a configuration
            ("transformers:path/to/config.json"), or a module, which is left as it was.
        inputs: what the model is called with; None stands for what its library declares, for a module one 1×3×224×224 image.
        device: "meta" (no memory, no computing), "cpu", "cuda" or "cuda:N".
        time: measure the time of each node on ``device``: the median of several runs, in seconds.

    Raises:
        UsageError: there is no such model or device, or nothing to time on it.
        TraceError: the model's own code failed, or its steps cannot be timed one by one.

    >>> graph = trace("resnet18")
    >>> graph.total_params, graph.skip_counts["identity"], graph.skip_counts["projection"]
    (11689512, 5, 3)
    """
    from fxviz.annotating import annotate
    from fxviz.loading import resolve
    from fxviz.tracing import advice, check_available, trace_module

    check_device(device, time)
    check_available(device)
    if is_graph_file(model):
        raise UsageError(f"'{model}' is a saved graph, traced already: render it as it is")
    source = resolve(model)
    module = source.build(device != "meta")
    if isinstance(model, str) and device != "meta":
        module = module.to(device)
    given = source.inputs if inputs is None else inputs
    try:
        traced = trace_module(module, given, device, source.info(module), rebuild=lambda: source.build(True), time=time)
    except TimingError:
        raise
    except TraceError as error:
        declared = isinstance(model, str) and inputs is None
        raise TraceError(f"{error}{'' if declared else advice(module, inputs)}") from error.__cause__
    return annotate(traced)


_DEFAULTS = RenderOptions()


def render(model_or_graph: str | Path | nn.Module | ArchGraph, options: RenderOptions = _DEFAULTS) -> Figure:
    """Draw a model, or a graph that :func:`trace` made, as a figure with ``svg``, ``dot`` and ``save(path)``.

    Args:
        model_or_graph: a graph, the path of a saved one (``.json``), or what :func:`trace` takes.
        options: theme and layout engine.

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

    view = fold(as_graph(model_or_graph), options.color_by)
    return Figure(draw(view), theme=options.theme, engine=options.engine)


def as_graph(model_or_graph: str | Path | nn.Module | ArchGraph, *, device: str | None = None, time: bool = False) -> ArchGraph:
    """The graph that is given, saved, or yet to be traced. ``device`` and ``time`` fit only a model; None stands for "meta".

    >>> as_graph("resnet18.json", device="cpu")
    Traceback (most recent call last):
    ...
    fxviz.errors.UsageError: 'resnet18.json' is traced already: a device cannot be chosen for it
    """
    saved = is_graph_file(model_or_graph)
    if (device is not None or time) and (saved or isinstance(model_or_graph, ArchGraph)):
        which = f"{str(model_or_graph)!r}" if saved else "the graph"
        raise UsageError(f"{which} is traced already: {'it cannot be timed' if time else 'a device cannot be chosen for it'}")
    if isinstance(model_or_graph, ArchGraph):
        return model_or_graph
    if isinstance(model_or_graph, (str, Path)) and saved:
        return ArchGraph.load(model_or_graph)
    if isinstance(model_or_graph, Path):
        raise UsageError(f"cannot read '{model_or_graph}': a saved graph ends in .json")
    return trace(model_or_graph, device=device or "meta", time=time)


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
