"""``fxviz trace``: the graph in a file."""

from __future__ import annotations

from typing import Annotated

import typer

from fxviz._cli import streams
from fxviz._cli.messages import reported
from fxviz._cli.options import Run, Talk, output, spread
from fxviz._cli.steps import MODEL, graph_of, target_for, tell_failure, tell_written
from fxviz._errors import UsageError
from fxviz._sources.reference import is_graph_file


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
