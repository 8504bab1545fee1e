"""``fxviz info``: what is known of a model beside its figure."""

from __future__ import annotations

from typing import Annotated

import typer

from fxviz import _api as api
from fxviz._cli import streams
from fxviz._cli.messages import patience, reported
from fxviz._cli.options import spread
from fxviz._cli.steps import MODEL, terminal_width
from fxviz._sources.reference import is_graph_file, stem


@spread
def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{MODEL}, or a graph saved by 'fxviz trace'.")],
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Show a model's documentation, where it comes from, and its published weights.

    The model is built, not run; nothing is downloaded.
    """
    with reported(debug):
        from fxviz._report.info import words

        with patience(f"loading {model}", is_graph_file(model)):
            known = api.inform(model)
        streams.give(words(known, f"{stem(model)}.svg", terminal_width()) + "\n")
