"""``fxviz info``: what is known of a model beside its figure."""

from __future__ import annotations

from typing import Annotated

import typer

from fxviz import api, streams
from fxviz.cli.flags import spread
from fxviz.cli.reporting import patience, reported
from fxviz.cli.steps import MODEL, terminal_width
from fxviz.loading.grammar import is_graph_file, stem


@spread
def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{MODEL}, or a graph saved by 'fxviz trace'.")],
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Show a model's documentation, where it comes from, and its published weights.

    The model is built, not run; nothing is downloaded.
    """
    with reported(debug):
        from fxviz.informing import words

        with patience(f"loading {model}", is_graph_file(model)):
            known = api.inform(model)
        streams.give(words(known, f"{stem(model)}.svg", terminal_width()) + "\n")
