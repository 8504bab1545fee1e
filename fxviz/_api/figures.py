"""Draw figures: of one model, of several side by side, of a difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fxviz._api.graphs import check_several, graph_of
from fxviz._graph import ArchGraph
from fxviz._graph.keywords import options_from, takes
from fxviz._graph.options import RenderOptions, TraceOptions
from fxviz._render.figure import Figure, figure_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fxviz._api.graphs import Model
    from fxviz._graph.keywords import FigureKeywords


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

    check_several("draw side by side", models_or_graphs)
    drawn, how = options_from(RenderOptions, keywords, options), options_from(TraceOptions, keywords)
    drawn.check_side_by_side()
    return drawn_side_by_side([graph_of(each, None, None, how) for each in models_or_graphs], drawn)


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
