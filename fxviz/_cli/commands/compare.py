"""Run ``fxviz compare``: models side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from fxviz._api import figures, reports
from fxviz._cli.messages import reported
from fxviz._cli.options import Draw, Run, Talk, output, spread
from fxviz._cli.steps import (
    MODEL,
    figure_target,
    graphs_of,
    report_failures,
    write_document,
    write_figure,
)
from fxviz._graph.errors import UsageError, choice, shown
from fxviz._render.differences import summary_line
from fxviz._render.figure import PICTURES
from fxviz._report.tables import FORMS, check_form
from fxviz._sources.reference import Reference, parse


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
        graphs = graphs_of(references, run, talk)
        if is_figure:
            old, new = graphs
            figure = figures.difference_of(old, new, draw.render)
            write_figure(figure, path, draw, talk, summary_line(figure.view))
        else:
            write_document(reports.compare(*graphs), form)
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
