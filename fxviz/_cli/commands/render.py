"""``fxviz render``: a figure in a file, or many in a folder."""

from __future__ import annotations

from typing import Annotated

import typer

from fxviz import _api as api
from fxviz._cli.batch import Many, is_batch, render_batch
from fxviz._cli.figures import figure_target, write_figure
from fxviz._cli.messages import reported
from fxviz._cli.options import Draw, Run, Talk, output, spread
from fxviz._cli.steps import MODEL, graph_of, tell_failure
from fxviz._errors import UsageError, choice
from fxviz._render.figure import SUFFIXES
from fxviz._report.summary import headline
from fxviz.quoting import shown


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
        raise UsageError(f"--format {shown(many.form)} is for a folder: name one (-o figures/), or the file with its suffix")
    options = draw.options()
    path = figure_target(target, model, draw)
    graph = graph_of(model, run, talk)
    write_figure(api.render(graph, options), path, draw, talk, headline(graph, options.color_by))
    tell_failure(graph, model)
