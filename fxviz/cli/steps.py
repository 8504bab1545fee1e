"""Steps that several commands take: the graph behind a name, the file to write, what is told of it."""

from __future__ import annotations

from pathlib import Path

import typer

from fxviz import api
from fxviz.cli.flags import Run, Talk
from fxviz.cli.reporting import complain, patience, say
from fxviz.graph import ArchGraph
from fxviz.loading.grammar import stem
from fxviz.summarizing import headline
from fxviz.writing import check_target

STDOUT = "-"
"""The file that stands for standard output."""

MODEL = (
    "A name from 'fxviz list', FILE.py:CLASS or package.module:FUNCTION with arguments if needed ('net.py:Net(depth=18)'; "
    "the code in it is run), or an exported FILE.pt2"
)
"""What a command takes for a model, in its help."""


def graph_of(model: str, run: Run, talk: Talk) -> ArchGraph:
    """The graph that a command works on, traced with patience where it has yet to be."""
    keywords = run.keywords()
    if not talk.quiet:
        for remark in run.remarks():
            say(remark)
    with patience(f"tracing {model}", talk.quiet or api.is_graph_file(model)):
        return api.as_graph(model, **keywords)


def tell_written(target: Path, graph: ArchGraph, talk: Talk, metric: str = "params") -> None:
    """Say what was written, unless nothing is to be said."""
    if not talk.quiet:
        say(f"wrote {target}: {headline(graph, metric)}")


def tell_failure(graph: ArchGraph, model: str) -> None:
    """Half a run was asked for and written: say where it stopped, and end with the status of a failure."""
    if graph.trace.failure is not None and not api.is_graph_file(model):
        from fxviz.tracing.failing import sentence

        raise typer.Exit(complain(sentence(graph.scopes[0].class_name, graph.trace.failure), 1))


def target_for(output: str | None, model: str, suffix: str, allowed: tuple[str, ...]) -> Path | None:
    """The file to write, None for standard output. All that can be wrong with it is found here, before the work starts."""
    if output == STDOUT:
        return None
    return check_target(stem(model) + suffix if output is None else output, allowed)
