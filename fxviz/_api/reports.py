"""Report on models: as tables, in sentences, beside other models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxviz._api.graphs import check_several, graph_of
from fxviz._graph import ArchGraph
from fxviz._graph.errors import UsageError, shown
from fxviz._graph.keywords import options_from, takes
from fxviz._graph.options import TraceOptions
from fxviz._graph.values import Information
from fxviz._sources.own_thread import one_at_a_time
from fxviz._sources.reference import Reference, parse

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fxviz._analysis.structure import Structure
    from fxviz._api.graphs import Model
    from fxviz._graph.keywords import TraceKeywords
    from fxviz._report.comparison import Comparison
    from fxviz._report.explain import Explanation
    from fxviz._report.skips import Skips
    from fxviz._report.summary import Summary
    from fxviz._report.summary.values import By, Sort


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
def skips(
    model_or_graph: Model,
    inputs: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    kind: str | None = None,
    **options: Unpack[TraceKeywords],
) -> Skips:
    """List a model's skip connections: where each starts and ends, what it jumps over, and what stands on it.

    Args:
        model_or_graph: a graph, the path of a saved one (``.json``), or what :func:`trace` takes.
        inputs, kwargs: the arguments of forward, as for :func:`trace`; for a model only.
        kind: "identity", "projection", "resample", "concat" or "gate"; None: all.
        options: for a model the options of :func:`trace`.

    Raises:
        UsageError: there is no such model or kind.
        TraceError: the model's own code failed.

    >>> found = skips("resnet18", kind="projection")
    >>> [(row.block, row.through, row.through_params) for row in found.rows][0]
    ('layer2.0', ('Conv 1×1 64→128 /2', 'BN'), 8448)
    """
    from fxviz._report.skips import skips_of

    return skips_of(graph_of(model_or_graph, inputs, kwargs, options_from(TraceOptions, options)), kind)


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

    check_several("compare", models_or_graphs)
    how = options_from(TraceOptions, options)
    return compared([graph_of(each, None, None, how) for each in models_or_graphs])


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
