"""The pipelines, each as one readable paragraph: :func:`trace` and :func:`render`.

The rooms are imported where they are used, so that a saved graph is drawn without importing torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxviz.errors import UsageError
from fxviz.figure import Figure, RenderOptions
from fxviz.graph import ArchGraph
from fxviz.inputs import Arguments, batched
from fxviz.options import TraceOptions

if TYPE_CHECKING:
    from torch import nn


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
    with source.importing():
        traced = trace_module(module, given, source.info(module), options, rebuild=lambda: source.build(True), assumed=assumed)
    return annotate(traced)


_DEFAULTS = RenderOptions()


def render(model_or_graph: str | Path | nn.Module | ArchGraph, options: RenderOptions = _DEFAULTS) -> Figure:
    """Draw a model, or a graph that :func:`trace` made, as a figure in several forms (``svg``, ``save(path)``).

    Args:
        model_or_graph: a graph, the path of a saved one (``.json``), or what :func:`trace` takes.
        options: style, theme, metric, how much is opened, and the rest.

    Raises:
        UsageError: there is no such model, or the file holds no graph.
        TraceError: the model's own code failed.
        EngineError: the layout engine is missing or failed.

    >>> render("resnet18", RenderOptions(theme="light")).svg.startswith("<svg")
    True
    """
    graph = as_graph(model_or_graph)
    if options.style != "auto" or options.direction == "LR":
        return _figure(graph, options, "ledger" if options.style == "ledger" else "graph")
    figure = _figure(graph, options, "auto")
    if options.may_be_large or figure.view.style == "ledger" or figure.height <= _TALLEST:
        return figure
    return _figure(graph, options, "ledger")


_TALLEST = 1420
"""Points. How high a graph becomes is known once it is laid out; one that is higher than a page gives way to the ledger."""


def _figure(graph: ArchGraph, options: RenderOptions, style: str) -> Figure:
    from fxviz.folding import fold

    view = fold(
        graph,
        options.color_by,
        depth=options.depth,
        expand=options.expand,
        collapse=options.collapse,
        repeats=options.repeats,
        style=style,
    )
    return Figure(view, options)


def page_advice(figure: Figure) -> str:
    """What to ask for instead, where a view that was asked for is larger than a page; "" where it is not.

    >>> page_advice(render("densenet121", RenderOptions(depth=9)))
    'the figure has 186 rows, more than a page holds; --depth 2 fits'
    >>> page_advice(render("densenet121"))
    ''
    """
    from fxviz.folding import BUDGET, deepest_fitting, fitting

    options, view = figure.options, figure.view
    if not options.may_be_large or fitting(view.style, BUDGET)(view):
        return ""
    depth = deepest_fitting(view.graph)
    fits = "" if depth is None else f"; --depth {depth} fits"
    return f"the figure has {len(view.rows)} rows, more than a page holds{fits}"


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
    from fxviz.loading.grammar import is_graph

    return isinstance(value, (str, Path)) and is_graph(str(value))
