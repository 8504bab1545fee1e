"""``fxviz list``: the names of models."""

from __future__ import annotations

from typing import Annotated

import typer

from fxviz._cli import streams
from fxviz._cli.messages import reported
from fxviz._cli.options import NoCache, spread
from fxviz._cli.steps import names_of
from fxviz._errors import UnknownModel


@spread
def list_names(
    pattern: Annotated[
        str | None,
        typer.Argument(
            metavar="PATTERN",
            help="Part of a name, or a shell pattern; after 'timm:' or 'transformers:' one of theirs.",
            show_default=False,
        ),
    ] = None,
    no_cache: NoCache = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """List the names of models that can be drawn."""
    with reported(debug):
        found = names_of(pattern, no_cache)
        if not found:
            raise UnknownModel(f"no model matches '{pattern}'; 'fxviz list' shows all names")
        streams.give("\n".join(found) + "\n")
