"""``fxviz compare``: models side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from fxviz import _api
from fxviz._cli.messages import reported
from fxviz._cli.options import Draw, Run, Talk, output, spread
from fxviz._cli.steps import MODEL, figure_target, give, one_graph_of, tell_failures, tell_remarks, write_figure
from fxviz._errors import FxvizError, TraceError, UsageError, choice, shown
from fxviz._graph import ArchGraph
from fxviz._render.differences import told
from fxviz._render.figure import PICTURES, RenderOptions
from fxviz._report.tables import FORMS, check_form
from fxviz._sources.reference import is_graph_file


@spread
def compare(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help=f"Two or more. {MODEL}, or a saved graph.")],
    *,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help=f"{', '.join(FORMS)}.")] = "table",
    target: Annotated[
        str | None,
        output(
            f"Draw the second of two models, and what differs from the first, in place of the table: {choice(PICTURES)}."
        ),
    ] = None,
    draw: Draw,
    run: Run,
    talk: Talk,
) -> None:
    """Show models side by side: parameters, MACs, layers, skips, memory, and where the parameters are."""
    with reported(talk.debug):
        check_form(form)
        if len(models) < 2:
            raise UsageError(f"nothing to compare '{models[0]}' with: name two models or more")
        options = _figure_options(models, form, target, draw)
        path = None if options is None else figure_target(target, models[-1], draw, PICTURES)
        run.keywords()
        _check_weights(models, run)
        tell_remarks(run, talk)
        graphs = _graphs(models, run, talk)
        if options is None:
            give(_api.compare(*graphs), form)
        else:
            old, new = graphs
            figure = _api.diff(old, new, options)
            write_figure(figure, path, draw, talk, told(figure.view))
        tell_failures(zip(graphs, models, strict=True))


def _figure_options(models: list[str], form: str, target: str | None, draw: Draw) -> RenderOptions | None:
    """How the figure is drawn, None if none is wanted; what does not go together is found before the work starts."""
    if target is None:
        if draw != Draw():
            raise UsageError("options of a figure need one: name its file with -o FILE, or leave them out")
        return None
    if len(models) != 2:
        raise UsageError(
            f"a figure shows what differs between two models, and {len(models)} are named: leave -o out, or name two"
        )
    if form != "table":
        raise UsageError(f"-o writes a figure in place of the table: leave --format {shown(form)} or -o out")
    options = draw.options()
    options.check_difference()
    return options


def _traced(models: list[str]) -> list[str]:
    """The models that are yet to be traced, each once."""
    return [model for model in dict.fromkeys(models) if not is_graph_file(model)]


def _check_weights(models: list[str], run: Run) -> None:
    """One file of weights is that of one model; of published ones each model has its own under a name."""
    from fxviz._sources.checkpoints import is_checkpoint

    if run.weights is not None and is_checkpoint(run.weights) and len(_traced(models)) > 1:
        raise UsageError(f"--weights {shown(run.weights)} is a file, which fits one model: {_each('--weights FILE')}")


def _each(how: str) -> str:
    return f"trace each to .json (fxviz trace MODEL {how} -o NAME.json) and compare these"


def _graphs(models: list[str], run: Run, talk: Talk) -> list[ArchGraph]:
    """The graphs of the models, saved ones read before anything is traced, each once.

    How a model is run says nothing to a saved graph, and is refused where there are no others.
    """
    traced = _traced(models)
    found: dict[str, ArchGraph] = {}
    for model in dict.fromkeys(sorted(models, key=lambda model: not is_graph_file(model))):
        saved = bool(traced) and model not in traced
        found[model] = _graph(model, Run() if saved else run, talk, len(traced) > 1)
    return [found[model] for model in models]


def _graph(model: str, run: Run, talk: Talk, several: bool) -> ArchGraph:
    """The graph of one of several models; an error says of which, and how each gets inputs of its own."""
    try:
        return one_graph_of(model, run, talk)
    except FxvizError as error:
        said = str(error) if model in str(error) else f"{model}: {error}"
        if several and isinstance(error, TraceError) and (run.input or "--input" in said):
            said += f"; where one --input does not fit all models, {_each('--input SPEC')}"
        error.args = (said,)
        raise
