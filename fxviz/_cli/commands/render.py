"""Run ``fxviz render`` (a figure of one model or of several, or many figures) and ``fxviz trace`` (the graph)."""

from __future__ import annotations

from typing import Annotated

import typer

from fxviz._cli.batch import is_batch, render_batch
from fxviz._cli.batch.names import expanded, parse_all
from fxviz._cli.messages import report_written, reported, write_stdout
from fxviz._cli.options import Draw, Many, Run, Talk, output, spread
from fxviz._cli.steps import (
    MODEL,
    figure_target,
    graph_of,
    graphs_of,
    report_failure,
    report_failures,
    target_for,
    write_figure,
)
from fxviz._graph.errors import UsageError, choice, shown
from fxviz._render.figure import DRAWN, SUFFIXES, figure_of, side_by_side
from fxviz._report import headline
from fxviz._sources.reference import Reference, parse


@spread
def render(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            help=f"{MODEL}, or a graph saved by 'fxviz trace'. Several are drawn into one folder, also by a pattern "
            "of names ('timm:resnet*').",
        ),
    ],
    target: Annotated[
        str | None,
        output(f"Write here: {choice(SUFFIXES)}; '-': SVG on stdout; FOLDER/: MODEL.svg in it. Default: MODEL.svg."),
    ] = None,
    *,
    many: Many,
    draw: Draw,
    run: Run,
    talk: Talk,
) -> None:
    """Draw a model, or a graph saved by 'fxviz trace'; or many into a folder."""
    with reported(talk.debug):
        references = [parse(models[0])] if len(models) == 1 else parse_all(models)
        if many.side_by_side:
            _render_side_by_side(references, target, many, draw, run, talk)
        elif is_batch(references, target, many):
            render_batch(references, target, many, draw, run, talk)
        else:
            _render_one(references[0], target, many, draw, run, talk)


def _render_one(model: Reference, target: str | None, many: Many, draw: Draw, run: Run, talk: Talk) -> None:
    many.check(draw)
    if many.form is not None:
        raise UsageError(
            f"--format {shown(many.form)} is for a folder: name one (-o figures/), or the file with its suffix"
        )
    path = figure_target(target, model, draw)
    graph = graph_of(model, run, talk)
    write_figure(figure_of(graph, draw.render), path, draw, talk, headline(graph, draw.render.color_by))
    report_failure(graph, model)


def _render_side_by_side(
    models: list[Reference], target: str | None, many: Many, draw: Draw, run: Run, talk: Talk
) -> None:
    many.check(draw)
    models = expanded(models, run.no_cache)
    if len(models) < 2:
        raise UsageError(f"nothing to draw beside '{shown(str(models[0]))}': name two models or more")
    if target is None:
        raise UsageError("name the file of the figure with -o FILE")
    path = figure_target(target, models[0], draw, DRAWN)
    graphs = graphs_of(models, run, talk)
    write_figure(side_by_side(graphs, draw.render), path, draw, talk, ", ".join(map(str, models)))
    report_failures(zip(graphs, models, strict=True))


@spread
def trace(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{MODEL}.")],
    target: Annotated[str | None, output("Write here: .json; '-' for standard output. Default: MODEL.json.")] = None,
    *,
    run: Run,
    talk: Talk,
) -> None:
    """Save the graph of a model (networkx node-link JSON)."""
    with reported(talk.debug):
        reference = parse(model)
        if reference.is_graph:
            name = shown(model)
            raise UsageError(f"'{name}' is a saved graph, traced already: draw it with 'fxviz render {name}'")
        path = target_for(target, reference, ".json", (".json",))
        graph = graph_of(reference, run, talk)
        if path is None:
            write_stdout(graph.to_json())
        else:
            graph.save(path)
            report_written([path], headline(graph), graph.trace.notes, talk.quiet)
        report_failure(graph, reference)
