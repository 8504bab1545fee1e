"""``fxviz summary``: the layers of a model as a table."""

from __future__ import annotations

from typing import Annotated

import typer

from fxviz._cli.messages import reported
from fxviz._cli.options import Run, Talk, option, spread
from fxviz._cli.steps import MODEL, give, graph_of, tell_failure
from fxviz._report.summary import SORTS, SummaryOptions, summarize
from fxviz._report.tables import FORMS, check_form


@spread
def summary(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{MODEL}, or a graph saved by 'fxviz trace'.")],
    *,
    depth: Annotated[int | None, option("--depth", "N", "Show modules nested N levels deep as one row.")] = None,
    sort: Annotated[
        str | None, option("--sort", "KEY", f"{', '.join(SORTS)}. Default: the order of the run, with subtotals.")
    ] = None,
    top: Annotated[int | None, option("--top", "N", "Only the N largest, by parameters or by --sort.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Also layers without parameters: activations, pooling, dropout.")] = False,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help=f"{', '.join(FORMS)}.")] = "table",
    run: Run,
    talk: Talk,
) -> None:
    """Show a model's layers with their parameters, shapes and MACs, on standard output."""
    with reported(talk.debug):
        options = SummaryOptions(depth, sort, top, all)
        check_form(form)
        graph = graph_of(model, run, talk)
        give(summarize(graph, options), form)
        tell_failure(graph, model)
