"""The pipelines, each as one readable paragraph: :func:`trace`, and what is made of a graph.

The rooms are imported where they are used, so that a saved graph is drawn without importing torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxviz._errors import UsageError
from fxviz._graph import ArchGraph
from fxviz._graph.options import TraceOptions
from fxviz._graph.values import Information
from fxviz._render.figure import Figure, RenderOptions, paged
from fxviz._sources.inputs import Arguments, batched, in_dtype
from fxviz._sources.reference import is_graph_file

if TYPE_CHECKING:
    from torch import nn

    from fxviz._analysis.difference import Difference
    from fxviz._report.comparison import Comparison
    from fxviz._report.explain import Explanation
    from fxviz._report.summary import Summary
    from fxviz._view.view import View


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
    weights: str | Path | None = None,
    download: bool = False,
) -> ArchGraph:
    """Run a model once and return what it did as a graph, with its parameters, shapes, MACs and skip connections.

    A source that names a file or a module ("net.py:Net", "package.module:factory") runs the code in it.

    Args:
        model: a name from ``fxviz list`` ("resnet18", "timm:resnet50", "transformers:bert"), the file of a configuration
            ("transformers:path/to/config.json"), a class or function of your own ("net.py:Net(depth=18)",
            "package.module:factory"), an exported program ("net.pt2"), or a module, which is left as it was.
        inputs: what the model is called with: a tuple or list of positional arguments, a dict of keyword arguments, or the one
            argument. A tensor, or a :class:`~fxviz.TensorInfo` for one, may be anywhere inside. None stands for what
            its library declares, for a model of your own one 1×3×224×224 image.
        kwargs: keyword arguments beside ``inputs``.
        batch: the first size of each input that is not given as a tensor.
        device: "meta" (no memory, no computing), "cpu", "cuda" or "cuda:N".
        time: measure the time of each node on ``device``: the median of several runs, in seconds.
        train: run in training mode, so that what only runs there appears (googlenet's auxiliary classifiers).
        leaf: modules that are one node each, by path ("layer1.0") or class ("BasicBlock").
        root: path of the submodule to record instead of the whole model, with the inputs that it really receives.
        partial: where the model's code raises, return what ran until then; ``graph.trace.failure`` says what happened.
        weights: what is loaded into the model, so that sizes and dtypes are those of the file: a checkpoint
            (``.safetensors``, or ``.pt`` of which only tensors are unpickled), or the name of weights that the model's library
            publishes and that are on this machine ("DEFAULT", "IMAGENET1K_V2", a tag of timm's, a repository of the hub's).
            ``graph.model.weights`` says what was missing. Floating inputs whose dtype nobody gave get that of the weights.
        download: fetch published weights that are not on this machine.

    Raises:
        UsageError: there is no such model, device, submodule, input or weights, weights do not fit, or nothing is to be timed.
        FxvizError: a download fails.
        TraceError: the model's own code failed, or its steps cannot be timed one by one.

    >>> graph = trace("resnet18")
    >>> graph.total_params, graph.skip_counts["identity"], graph.skip_counts["projection"]
    (11689512, 5, 3)
    >>> trace("resnet18", root="layer4").total_params
    8393728
    """
    from fxviz._analysis import annotate
    from fxviz._sources import check_weights, source_of

    options = TraceOptions(device, time, train, tuple([leaf] if isinstance(leaf, str) else leaf), root, partial)
    named = None if weights is None else str(weights)
    check_weights(model, named, download)
    from fxviz._trace import check_available, trace_module

    check_available(device)
    source = source_of(model, named, download)
    module = source.built_on(device) if isinstance(model, str) else model
    info = source.info(module)
    unsaid = inputs is None and kwargs is None
    given = Arguments.of(source.inputs if unsaid else () if inputs is None else inputs, kwargs)
    given = given if batch is None else batched(given, batch)
    given = given if info.weights is None else in_dtype(given, info.weights.dtype, every=unsaid)
    assumed = unsaid and source.declared() is None
    with source.running():
        traced = trace_module(module, given, info, options, rebuild=lambda: source.build(True), assumed=assumed)
    return annotate(traced)


def inform(model: str | Path) -> Information:
    """What is known of a model beside what it does: documentation, origin, published weights. It is built, and not run.

    Args:
        model: what :func:`trace` takes by name, or a saved graph, which is all that is asked then.

    Raises:
        UsageError: there is no such model.

    >>> inform("resnet18").params
    11689512
    """
    if is_graph_file(model):
        from fxviz._report.info import of_graph

        return of_graph(str(model), ArchGraph.load(model))
    from fxviz._sources import information

    return information(str(model))


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
    return paged(options, lambda style: _view(graph, options, style))


def _view(graph: ArchGraph, options: RenderOptions, style: str, difference: Difference | None = None) -> View:
    from fxviz._view import fold

    return fold(
        graph,
        options.color_by,
        depth=options.depth,
        expand=options.expand,
        collapse=options.collapse,
        repeats=options.repeats,
        style=style,
        difference=difference,
    )


def summarize(
    model_or_graph: str | Path | nn.Module | ArchGraph,
    *,
    depth: int | None = None,
    sort: str | None = None,
    top: int | None = None,
    all: bool = False,
) -> Summary:
    """A model's layers as a table: parameters, shapes, MACs, subtotals of each module, and what the run never uses.

    Args:
        model_or_graph: a graph, the path of a saved one (``.json``), or what :func:`trace` takes.
        depth: modules nested so many levels deep are one row each; None: every layer.
        sort: "params", "macs" or "name"; None: the order of the run, with subtotals.
        top: only so many rows, the largest by ``sort`` (by parameters if that is None), and one for the rest; None: all.
        all: also layers without parameters and MACs: activations, pooling, dropout.

    Raises:
        UsageError: there is no such model or order, or a number is below 1.
        TraceError: the model's own code failed.

    >>> print(summarize("resnet18", top=2).written("csv").partition(",share")[0])
    kind,name,type,params
    >>> [(row.label, row.params) for row in summarize("resnet18", depth=1).rows][-2:]
    [('fc', 513000), ('TOTAL', 11689512)]
    """
    from fxviz._report.summary import SummaryOptions
    from fxviz._report.summary import summarize as summarized

    options = SummaryOptions(depth, sort, top, all)
    return summarized(as_graph(model_or_graph), options)


def explain(model_or_graph: str | Path | nn.Module | ArchGraph, lang: str = "en") -> Explanation:
    """A model in sentences: layers, where the parameters are, shapes, blocks, computation, memory. Every number is computed.

    Args:
        model_or_graph: a graph, the path of a saved one (``.json``), or what :func:`trace` takes.
        lang: "en" (English) or "zh" (Chinese).

    Raises:
        UsageError: there is no such model or language.
        TraceError: the model's own code failed.

    >>> explanation = explain("resnet18")
    >>> print(explanation.sections[1].title, explanation.sections[1].sentences[0], sep="\\n")
    Where the parameters are
    layer4 alone holds 71.8% of the parameters; with layer3 it is 89.8%.
    >>> print(explanation.written("markdown").partition("\\n")[0])
    # resnet18: ResNet from torchvision, run on x 1×3×224×224
    """
    from fxviz._report.explain import check_language, explained

    check_language(lang)
    return explained(as_graph(model_or_graph), lang)


def compare(*models_or_graphs: str | Path | nn.Module | ArchGraph) -> Comparison:
    """Models side by side: parameters and how many times as many, MACs, layers, skips, memory, and where the parameters are.

    Args:
        models_or_graphs: two or more, each a graph, the path of a saved one (``.json``), or what :func:`trace` takes.

    Raises:
        UsageError: there are less than two, or there is no such model.
        TraceError: a model's own code failed.

    >>> print(compare("resnet34", "resnet18").sentences[0])
    resnet34 has 1.9x the parameters of resnet18 (21.80M against 11.69M): layer3 holds 6.82M of them against 2.10M.
    """
    from fxviz._report.comparison import compare as compared

    if len(models_or_graphs) < 2:
        raise UsageError("nothing to compare: give two models or more")
    return compared([as_graph(each) for each in models_or_graphs])


def diff(
    old: str | Path | nn.Module | ArchGraph, new: str | Path | nn.Module | ArchGraph, options: RenderOptions = _DEFAULTS
) -> Figure:
    """Draw a model with what differs from another one of its family: layers that were added, removed, resized or altered.

    Args:
        old: the model that is compared with, as for :func:`render`.
        new: the model that is drawn.
        options: as for :func:`render`; the style is the ledger.

    Raises:
        UsageError: the models have next to nothing in common, a run was not whole, or the style is another one.
        TraceError: a model's own code failed.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("empty", "python", "Empty"), trace, (), (), (Scope(0, "", "Empty", 0, None),), ())
    >>> diff(graph, graph).drawing.description
    'empty (2) against empty: 0 parameters (as before); no difference.'
    """
    from fxviz._analysis.match import match

    options.check_difference()
    difference = match(as_graph(old), as_graph(new))
    return Figure(_view(difference.new, options, "ledger", difference), options)


def as_graph(model_or_graph: str | Path | nn.Module | ArchGraph, **how: Any) -> ArchGraph:
    """The graph that is given, saved, or yet to be traced; ``how`` are further arguments of :func:`trace`, for a model only.

    >>> as_graph("resnet18.json", device="cpu", batch=2)
    Traceback (most recent call last):
    ...
    fxviz.UsageError: 'resnet18.json' is traced already: leave device, batch out, or trace the model again with it
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
