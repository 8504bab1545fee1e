"""Define the public functions of fxviz, which are named after the commands.

Most modules are imported where they are used, so that a saved graph is drawn without importing torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxviz._graph import ArchGraph
from fxviz._graph.errors import UsageError, require_torch, shown, spelled
from fxviz._graph.keywords import options_from, takes
from fxviz._graph.options import RenderOptions, TraceOptions
from fxviz._graph.values import Information
from fxviz._render.figure import Figure, figure_of
from fxviz._sources.inputs import Arguments, batched, in_dtype
from fxviz._sources.own_thread import one_at_a_time
from fxviz._sources.reference import Reference, parse

if TYPE_CHECKING:
    from torch import nn
    from typing_extensions import Unpack

    from fxviz._analysis.structure import Structure
    from fxviz._graph.keywords import FigureKeywords, TraceKeywords
    from fxviz._report.comparison import Comparison
    from fxviz._report.explain import Explanation
    from fxviz._report.summary import Summary
    from fxviz._report.summary.values import By, Sort

    Model = str | Path | nn.Module | ArchGraph
    """A graph, the path of a saved one (``.json``), the name of a model, or a module."""


@takes(TraceOptions)
def trace(
    model: str | Path | nn.Module,
    inputs: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    **options: Unpack[TraceKeywords],
) -> ArchGraph:
    """Run a model once and return its graph, with parameters, shapes, MACs and skip connections.

    The name of a file or a module ("net.py:Net", "package.module:factory") runs the code in it.

    Args:
        model: a name from ``fxviz list`` ("resnet18", "timm:resnet50", "transformers:bert"), the file of a
            configuration ("transformers:path/to/config.json"), a class or function of your own ("net.py:Net(depth=18)",
            "package.module:factory"), an exported program ("net.pt2"), or a module, which is left as it was.
        inputs: the arguments of forward: a tuple or list of positional arguments, a dict of keyword arguments, or the
            one argument. A tensor, or a :class:`~fxviz.TensorInfo` for one, may be anywhere inside. None: the inputs
            that the library declares; for a model of your own, one 1×3×224×224 image.
        kwargs: keyword arguments beside ``inputs``.
        options: how the model is built and run: batch, train, leaf, root, method, device, time, partial,
            isolated, weights and download.

    Raises:
        UsageError: there is no such model, device, submodule, input or weights, the weights do not fit, or two options
            conflict.
        FxvizError: a download failed.
        TraceError: the model's own code failed, or its steps cannot be timed one by one.

    >>> graph = trace("resnet18")
    >>> graph.total_params, graph.skip_counts["identity"], graph.skip_counts["projection"]
    (11689512, 5, 3)
    >>> trace("resnet18", root="layer4").total_params
    8393728
    """
    named = parse(model) if isinstance(model, (str, Path)) else model
    return traced(named, inputs, kwargs, options_from(TraceOptions, options))


@one_at_a_time()
def traced(
    model: Reference | nn.Module, inputs: Any, kwargs: Mapping[str, Any] | None, options: TraceOptions
) -> ArchGraph:
    """Build and run a model, and annotate its graph; arguments as for :func:`trace`, the name parsed."""
    _check_inputs(inputs, kwargs)
    options.check_together()
    from fxviz._analysis import annotate
    from fxviz._sources import check, check_weights, source_of

    check(model)
    weights = None if options.weights is None else str(options.weights)
    check_weights(model, weights, options.download)
    if isinstance(model, Reference):
        require_torch(f"cannot trace '{shown(str(model))}': it needs")
    from fxviz._trace import apart_from_torch, asked_elsewhere, check_available, trace_module

    if options.isolated:
        return asked_elsewhere((model, inputs, kwargs, replace(options, isolated=False)))
    check_available(options.device)
    with apart_from_torch(all_modes=isinstance(model, Reference)):
        source = source_of(model, weights, options.download)
        built = source.built_on(options.device) if isinstance(model, Reference) else source.build(True)
        info = source.info(built)
        added = inputs.kwargs if isinstance(inputs, Arguments) and inputs.without_tensors else {}
        unsaid = bool(added) or (inputs is None and kwargs is None)
        passed = built.arguments if unsaid else () if inputs is None else inputs
        given = Arguments.of(passed, {**added, **(kwargs or {})})
        given = given if options.batch is None else batched(given, options.batch)
        given = given if info.weights is None else in_dtype(given, info.weights.dtype, every=unsaid)
        assumed, rebuild = unsaid and built.inputs is None, lambda: source.build(True).module
        with source.running():
            graph = trace_module(built.module, given, info, options, rebuild=rebuild, assumed=assumed)
    return annotate(graph)


@takes(RenderOptions, TraceOptions)
def render(
    model_or_graph: Model,
    inputs: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    options: RenderOptions | None = None,
    **keywords: Unpack[FigureKeywords],
) -> Figure:
    """Draw a model, or a graph that :func:`trace` made, as a figure in several forms (``svg``, ``save(path)``).

    Args:
        model_or_graph: a graph, the path of a saved one (``.json``), or what :func:`trace` takes.
        inputs, kwargs: the arguments of forward, as for :func:`trace`; for a model only.
        options: how the figure is drawn, as one value; keywords come on top.
        keywords: the fields of :class:`RenderOptions` (theme, style, width, height, layout, palette, color_by, depth,
            expand, collapse, repeats, direction, title, header, legend, engine), and for a model also those of
            :func:`trace` (device, batch, weights, ...).

    Raises:
        UsageError: there is no such model, the file holds no graph, or an option has an invalid value.
        TraceError: the model's own code failed.
        EngineError: the layout engine is missing or failed.

    >>> render("resnet18", theme="light").svg.startswith("<svg")
    True
    """
    drawn = options_from(RenderOptions, keywords, options)
    return figure_of(graph_of(model_or_graph, inputs, kwargs, options_from(TraceOptions, keywords)), drawn)


@takes(RenderOptions, TraceOptions)
def side_by_side(
    *models_or_graphs: Model, options: RenderOptions | None = None, **keywords: Unpack[FigureKeywords]
) -> Figure:
    """Draw several models side by side at one scale, as papers compare a family: a column for each, a line for a size.

    The same letter means the same kind of block in all models, and bars of the same length the same number of
    parameters.

    Args:
        models_or_graphs: two or more, each a graph, the path of a saved one (``.json``), or what :func:`trace` takes.
        options, keywords: as for :func:`render`; the style is that for print.

    Raises:
        UsageError: there are fewer than two, there is no such model, or the style or a layout does not fit.
        TraceError: a model's own code failed.

    >>> side_by_side("resnet18", "resnet34", width="column")
    <Figure of resnet18, resnet34: paper, column, theme auto>
    """
    from fxviz._render.figure import side_by_side as drawn_side_by_side

    _check_several("draw side by side", models_or_graphs)
    drawn, how = options_from(RenderOptions, keywords, options), options_from(TraceOptions, keywords)
    drawn.check_side_by_side()
    return drawn_side_by_side([graph_of(each, None, None, how) for each in models_or_graphs], drawn)


@takes(TraceOptions)
def summary(
    model_or_graph: Model,
    inputs: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    depth: int | None = None,
    sort: Sort | None = None,
    top: int | None = None,
    all: bool = False,
    by: By = "layer",
    **options: Unpack[TraceKeywords],
) -> Summary:
    """Return a model's layers as a table: parameters, shapes, MACs, subtotals of modules, and unused parameters.

    Args:
        model_or_graph: a graph, the path of a saved one (``.json``), or what :func:`trace` takes.
        inputs, kwargs: the arguments of forward, as for :func:`trace`; for a model only.
        depth: modules nested this many levels deep are one row each; None: every layer.
        sort: "params", "macs" or "name"; None: the order of the run, with subtotals.
        top: only this many rows, the largest by ``sort`` (by parameters if that is None), and one for the rest; None:
            all.
        all: include layers without parameters and MACs: activations, pooling, dropout.
        by: "layer", or "stage": one row for each stage, which is what runs at one resolution, with its blocks in
            letters, and a note for each kind of block.
        options: for a model the options of :func:`trace`.

    Raises:
        UsageError: there is no such model, or an option has an invalid value.
        TraceError: the model's own code failed.

    >>> print(summary("resnet18", top=2).written("csv").partition(",share")[0])
    kind,name,type,params
    >>> [(row.label, row.params) for row in summary("resnet18", depth=1).rows][-2:]
    [('fc', 513000), ('TOTAL', 11689512)]
    >>> [(row.name, row.type, row.output) for row in summary("resnet18", by="stage").rows][1]
    ('stage 1', 'MaxPool 3×3 /2, A×2', (1, 64, 56, 56))
    """
    from fxviz._report.summary import SummaryOptions, summarize

    chosen = SummaryOptions(depth, sort, top, all, by)
    return summarize(graph_of(model_or_graph, inputs, kwargs, options_from(TraceOptions, options)), chosen)


@takes(TraceOptions)
def structure(
    model_or_graph: Model,
    inputs: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    **options: Unpack[TraceKeywords],
) -> Structure:
    """Return what a model consists of, as papers tell it: stages, kinds of blocks with their facts, and a layout.

    Everything is derived from the graph: shapes of weights, settings of layers and how steps are wired; no name of a
    model or class counts.

    Args:
        model_or_graph: a graph, the path of a saved one (``.json``), or what :func:`trace` takes.
        inputs, kwargs: the arguments of forward, as for :func:`trace`; for a model only.
        options: for a model the options of :func:`trace`.

    Raises:
        UsageError: there is no such model.
        TraceError: the model's own code failed.

    >>> found = structure("resnet18")
    >>> found.layout, [stage.text for stage in found.stages][1:4]
    ('stages', ['MaxPool 3×3 /2, A×2', "A', A", "A', A"])
    >>> [row.text for row in found.kind("A").rows]
    ['Conv 3×3 C→C BN ReLU', 'Conv 3×3 C→C BN', '+ ReLU']
    """
    from fxviz._analysis.structure import structure_of

    return structure_of(graph_of(model_or_graph, inputs, kwargs, options_from(TraceOptions, options)))


@takes(TraceOptions)
def explain(
    model_or_graph: Model,
    inputs: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    lang: str = "en",
    **options: Unpack[TraceKeywords],
) -> Explanation:
    """Explain a model in sentences: layers, where the parameters are, shapes, blocks, computation, memory.

    Every number is computed.

    Args:
        model_or_graph: a graph, the path of a saved one (``.json``), or what :func:`trace` takes.
        inputs, kwargs: the arguments of forward, as for :func:`trace`; for a model only.
        lang: "en" (English) or "zh" (Chinese).
        options: for a model the options of :func:`trace`.

    Raises:
        UsageError: there is no such model or language.
        TraceError: the model's own code failed.

    >>> explanation = explain("resnet18")
    >>> print(explanation.sections[1].title, explanation.sections[1].sentences[0], sep="\\n")
    Where the parameters are
    layer4 alone holds 71.8% of the parameters; together with layer3, 89.8%.
    >>> print(explanation.written("markdown").partition("\\n")[0])
    # resnet18: ResNet from torchvision, run on x 1×3×224×224
    """
    from fxviz._report.explain import check_language, explained

    check_language(lang)
    return explained(graph_of(model_or_graph, inputs, kwargs, options_from(TraceOptions, options)), lang)


@takes(TraceOptions)
def compare(*models_or_graphs: Model, **options: Unpack[TraceKeywords]) -> Comparison:
    """Compare models side by side: parameters and their ratios, MACs, layers, skips, memory, and the largest parts.

    Args:
        models_or_graphs: two or more, each a graph, the path of a saved one (``.json``), or what :func:`trace` takes.
        options: for models the options of :func:`trace`.

    Raises:
        UsageError: there are fewer than two, or there is no such model.
        TraceError: a model's own code failed.

    >>> print(compare("resnet34", "resnet18").sentences[0])
    resnet34 has 1.9x the parameters of resnet18 (21.80M vs. 11.69M): layer3 holds 6.82M of them, compared with 2.10M.
    """
    from fxviz._report.comparison import compare as compared

    _check_several("compare", models_or_graphs)
    how = options_from(TraceOptions, options)
    return compared([graph_of(each, None, None, how) for each in models_or_graphs])


def _check_several(action: str, models: Sequence[Any]) -> None:
    """Refuse fewer than two models."""
    if len(models) < 2:
        is_list = len(models) == 1 and isinstance(models[0], (list, tuple))
        hint = f", one by one: {action.replace(' ', '_').removeprefix('draw_')}(a, b)" if is_list else ""
        raise UsageError(f"nothing to {action}: pass two models or more{hint}")


@takes(RenderOptions, TraceOptions)
def diff(old: Model, new: Model, *, options: RenderOptions | None = None, **keywords: Unpack[FigureKeywords]) -> Figure:
    """Draw a model with its differences from another one of its family: layers added, removed, resized or altered.

    Args:
        old: the model to compare with, as for :func:`render`.
        new: the model that is drawn.
        options, keywords: as for :func:`render`; the style is the ledger, or with a width that for print.

    Raises:
        UsageError: the models have almost nothing in common, a run was partial, or the style cannot show it.
        TraceError: a model's own code failed.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("empty", "python", "Empty"), trace, (), (), (Scope(0, "", "Empty", 0, None),), ())
    >>> diff(graph, graph).drawing.description
    'empty (2) against empty: 0 parameters (as before); no difference.'
    """
    drawn, how = options_from(RenderOptions, keywords, options), options_from(TraceOptions, keywords)
    drawn.check_difference()
    return difference_of(graph_of(old, None, None, how), graph_of(new, None, None, how), drawn)


def difference_of(old: ArchGraph, new: ArchGraph, options: RenderOptions) -> Figure:
    """Draw a graph with its differences from another one."""
    from fxviz._analysis.match import match

    difference = match(old, new)
    return figure_of(difference.new, options, difference)


def info(model: str | Path) -> Information:
    """Return facts about a model that its graph does not hold: its documentation, origin and published weights.

    The model is built, not run.

    Args:
        model: a name that :func:`trace` takes, or the path of a saved graph, which alone is then read.

    Raises:
        UsageError: there is no such model.

    >>> info("resnet18").params
    11689512
    """
    if not isinstance(model, (str, Path)):
        raise UsageError(f"no information on {shown(repr(model))}: pass a model's name or the path of a saved graph")
    return information_of(parse(model))


@one_at_a_time()
def information_of(reference: Reference) -> Information:
    """Return the facts about the model that a parsed name refers to."""
    if reference.is_graph:
        from fxviz._report.info import of_graph

        return of_graph(reference.place, ArchGraph.load(reference.place))
    from fxviz._sources import check, information

    check(reference)
    return information(reference)


def list_models(pattern: str | None = None) -> list[str]:
    """Return the names of models that can be drawn, in alphabetical order.

    Args:
        pattern: a shell pattern ("resnet*", in any case); a text without wildcards matches anywhere in the name. The
            names are torchvision's, unless the pattern begins with "timm:" or "transformers:".

    Raises:
        UsageError: the library is not installed.

    >>> list_models("resnet?8"), "vit_b_16" in list_models("vit")
    (['resnet18'], True)
    """
    from fxviz._sources import names

    if pattern is not None and not isinstance(pattern, str):
        raise UsageError(f"invalid pattern {shown(repr(pattern))}: must be a string")
    return names(pattern)


def graph_of(
    model: Model | Reference, inputs: Any, kwargs: Mapping[str, Any] | None, options: TraceOptions
) -> ArchGraph:
    """Return a graph that is given, loaded from a file, or traced; ``options`` apply to a model only.

    >>> graph_of("resnet18.json", None, None, TraceOptions(device="cpu", batch=2))
    Traceback (most recent call last):
    ...
    fxviz.UsageError: 'resnet18.json' is traced already: leave out batch and device, or trace the model again with them
    """
    from fxviz._graph.options import given

    named = parse(model) if isinstance(model, (str, Path)) else model
    is_saved = isinstance(named, Reference) and named.is_graph
    if is_saved or isinstance(named, ArchGraph):
        flags = inputs.flags if isinstance(inputs, Arguments) else ("--input",)
        beside = {spelled("inputs", " and ".join(flags)): inputs, "kwargs": kwargs}
        how = [*(name for name, value in beside.items() if value is not None), *given(options)]
        if how:
            _check_inputs(inputs, kwargs)
            which = f"'{shown(str(named))}'" if is_saved else "the graph"
            listed = " and ".join(filter(None, (", ".join(how[:-1]), how[-1])))
            them = "it" if len(how) == 1 else "them"
            raise UsageError(f"{which} is traced already: leave out {listed}, or trace the model again with {them}")
    if isinstance(named, ArchGraph):
        return named
    if isinstance(named, Reference) and named.is_graph:
        return ArchGraph.load(named.place)
    return traced(named, inputs, kwargs, options)


def _check_inputs(inputs: Any, kwargs: Any) -> None:
    """Refuse a value that was meant for another parameter."""
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise UsageError(
            f"the third argument is a dict of forward's keyword arguments, not {shown(repr(kwargs))}: "
            "pass several inputs as one tuple, options by name"
        )
    if isinstance(inputs, (RenderOptions, TraceOptions)):
        raise UsageError(
            f"the second argument is the model's inputs: pass options={type(inputs).__name__}(...) by name"
        )
    if isinstance(inputs, (str, Path)):
        raise UsageError(
            f"the second argument is the model's inputs, not {str(inputs)!r}: pass tensors, options by name "
            f"(theme='dark'), and a text that forward takes in a tuple"
        )
