"""Run ``fxviz compare``: models side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from fxviz import _api
from fxviz._cli.messages import reported, say_all
from fxviz._cli.options import Draw, Run, Talk, output, spread
from fxviz._cli.steps import (
    MODEL,
    figure_target,
    graph_and_remarks,
    report_failures,
    write_document,
    write_figure,
)
from fxviz._graph import ArchGraph
from fxviz._graph.errors import FxvizError, TraceError, UsageError, choice, shown
from fxviz._render.differences import summary_line
from fxviz._render.figure import PICTURES
from fxviz._report.tables import FORMS, check_form
from fxviz._sources.reference import Reference, each_once, parse


@spread
def compare(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help=f"Two or more. {MODEL}, or a saved graph.")],
    *,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help=f"{', '.join(FORMS)}.")] = "table",
    target: Annotated[
        str | None,
        output(
            f"Draw the second of two models with its differences from the first, not the table: {choice(PICTURES)}."
        ),
    ] = None,
    draw: Draw,
    run: Run,
    talk: Talk,
) -> None:
    """Show models side by side: parameters, MACs, layers, skips, memory, and where the parameters are."""
    with reported(talk.debug):
        check_form(form)
        references = [parse(model) for model in models]
        if len(references) < 2:
            raise UsageError(f"nothing to compare '{shown(models[0])}' with: name two models or more")
        is_figure = _is_figure(references, form, target, draw)
        path = figure_target(target, references[-1], draw, PICTURES) if is_figure else None
        run.check(references)
        _check_weights(references, run)
        graphs = _graphs(references, run, talk)
        if is_figure:
            old, new = graphs
            figure = _api.difference_of(old, new, draw.render)
            write_figure(figure, path, draw, talk, summary_line(figure.view))
        else:
            write_document(_api.compare(*graphs), form)
        report_failures(zip(graphs, references, strict=True))


def _is_figure(models: list[Reference], form: str, target: str | None, draw: Draw) -> bool:
    """Return whether a figure is wanted; refuse options that do not go together before the work starts."""
    if target is None:
        if draw != Draw():
            raise UsageError("options of a figure need a file: name it with -o FILE, or leave them out")
        return False
    if len(models) != 2:
        raise UsageError(
            f"a figure shows the differences of two models, not of {len(models)}: leave out -o, or name two"
        )
    if form != "table":
        raise UsageError(f"-o writes a figure in place of the table: leave out --format {shown(form)} or -o")
    draw.render.check_difference()
    return True


def _to_trace(models: list[Reference]) -> list[Reference]:
    """Return the models that are yet to be traced, each once."""
    return [model for model in each_once(models) if not model.is_graph]


def _check_weights(models: list[Reference], run: Run) -> None:
    """Refuse one file of weights for several models; published weights may have the same name for each."""
    from fxviz._sources.checkpoints import is_checkpoint

    weights = run.trace.weights
    if weights is not None and is_checkpoint(str(weights)) and len(_to_trace(models)) > 1:
        raise UsageError(f"--weights {shown(str(weights))} is a file, which fits one model: {_each('--weights FILE')}")


def _each(how: str) -> str:
    return f"trace each to .json (fxviz trace MODEL {how} -o NAME.json) and compare these"


def _graphs(models: list[Reference], run: Run, talk: Talk) -> list[ArchGraph]:
    """Return the graphs of the models, each traced once; saved ones are read before anything is traced.

    Options of a run do not apply to a saved graph, and are refused where there are no models to trace.
    """
    to_trace = _to_trace(models)
    found: dict[str, ArchGraph] = {}
    remarks: list[str] = []
    for model in sorted(each_once(models), key=lambda model: not model.is_graph):
        saved = bool(to_trace) and model.is_graph
        found[str(model)], said = _graph(model, Run() if saved else run, talk, len(to_trace) > 1)
        remarks += said
    say_all(dict.fromkeys(remarks), talk.quiet)
    return [found[str(model)] for model in models]


def _graph(model: Reference, run: Run, talk: Talk, several: bool) -> tuple[ArchGraph, tuple[str, ...]]:
    """Return the graph of one of several models with remarks; an error names it, and how to give each its inputs."""
    try:
        return graph_and_remarks(model, run, talk)
    except FxvizError as error:
        message = error.for_command_line
        message = message if str(model) in message else f"{model}: {message}"
        if several and isinstance(error, TraceError) and (run.input or "--input" in message):
            message += f"; where one --input does not fit all models, {_each('--input SPEC')}"
        error.args = (message,)
        raise
