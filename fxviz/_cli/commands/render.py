"""``fxviz render``: a figure in a file, or many in a folder."""

from __future__ import annotations

from typing import Annotated

import typer

from fxviz import _api
from fxviz._cli import streams
from fxviz._cli.batch import Many, is_batch, render_batch
from fxviz._cli.messages import reported
from fxviz._cli.options import Draw, Run, Talk, output, spread
from fxviz._cli.steps import MODEL, figure_target, graph_of, target_for, tell_failure, tell_written, write_figure
from fxviz._errors import UsageError, choice, shown
from fxviz._render.figure import SUFFIXES
from fxviz._report.summary import headline
from fxviz._sources.reference import is_graph_file


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
        output(
            f"Write here: {choice(SUFFIXES)}; '-': SVG to standard output; FOLDER/: MODEL.svg in there. Default: MODEL.svg."
        ),
    ] = None,
    *,
    many: Many,
    draw: Draw,
    run: Run,
    talk: Talk,
) -> None:
    """Draw a model, or a graph saved by 'fxviz trace'; or many into a folder."""
    with reported(talk.debug):
        if is_batch(models, target, many):
            render_batch(models, target, many, draw, run, talk)
        else:
            _render_one(models[0], target, many, draw, run, talk)


def _render_one(model: str, target: str | None, many: Many, draw: Draw, run: Run, talk: Talk) -> None:
    many.check(draw)
    if many.form is not None:
        raise UsageError(
            f"--format {shown(many.form)} is for a folder: name one (-o figures/), or the file with its suffix"
        )
    options = draw.options()
    path = figure_target(target, model, draw)
    graph = graph_of(model, run, talk)
    write_figure(_api.render(graph, options), path, draw, talk, headline(graph, options.color_by))
    tell_failure(graph, model)


@spread
def trace(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{MODEL}.")],
    target: Annotated[str | None, output("Write here: .json; '-' for standard output. Default: MODEL.json.")] = None,
    *,
    run: Run,
    talk: Talk,
) -> None:
    """Save what a model does as a graph (networkx node-link JSON)."""
    with reported(talk.debug):
        if is_graph_file(model):
            raise UsageError(f"'{model}' is a saved graph, traced already; draw it with 'fxviz render {model}'")
        path = target_for(target, model, ".json", (".json",))
        graph = graph_of(model, run, talk)
        if path is None:
            streams.give(graph.to_json())
        else:
            graph.save(path)
            tell_written(path, graph, talk)
        tell_failure(graph, model)
