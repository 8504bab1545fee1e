"""``fxviz render``: a figure in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fxviz import api, streams
from fxviz.cli.flags import PAIR, Draw, Run, Talk, output, spread
from fxviz.cli.reporting import reported, say
from fxviz.cli.steps import MODEL, STDOUT, graph_of, target_for, tell_failure, tell_written
from fxviz.errors import UsageError, choice
from fxviz.figure import PAIRED, SUFFIXES, Figure, snippet
from fxviz.summarizing import headline


@spread
def render(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{MODEL}, or a graph saved by 'fxviz trace'.")],
    target: Annotated[
        str | None, output(f"Write here: {choice(SUFFIXES)}; '-': SVG to standard output. Default: MODEL.svg.")
    ] = None,
    *,
    draw: Draw,
    run: Run,
    talk: Talk,
) -> None:
    """Draw a model, or a graph saved by 'fxviz trace'."""
    with reported(talk.debug):
        options = draw.options()
        paired = draw.theme == PAIR
        if paired and target == STDOUT:
            raise UsageError("a pair is two files, and standard output is one: name a file, or choose the theme light or dark")
        path = target_for(target, model, ".svg", PAIRED if paired else SUFFIXES)
        graph = graph_of(model, run, talk)
        figure = api.render(graph, options)
        if path is None:
            streams.give(figure.svg)
        elif paired:
            _write_pair(path, figure, draw.scale, talk)
        else:
            figure.save(path, draw.scale)
            tell_written(path, graph, talk, options.color_by)
        _tell_size(figure, talk)
        tell_failure(graph, model)


def _write_pair(target: Path, figure: Figure, scale: float, talk: Talk) -> None:
    """Both files, and on standard output the HTML that shows one of them."""
    light, dark = figure.save_pair(target, scale)
    graph, metric = figure.view.graph, figure.options.color_by
    tell_written(light, graph, talk, metric)
    tell_written(dark, graph, talk, metric)
    streams.give(snippet(light, dark, f"{graph.model.name}: {headline(graph, metric)}") + "\n")


def _tell_size(figure: Figure, talk: Talk) -> None:
    """A figure that was asked for may be larger than a page: say so, and what would fit."""
    if talk.quiet:
        return
    if advice := api.page_advice(figure):
        say(advice)
    if figure.simplified:
        say("the layout took too long, so its lines are drawn straight")
