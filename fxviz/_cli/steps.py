"""Steps that several commands take: the graph behind a name, the file to write, what is told of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import typer

from fxviz import _api as api
from fxviz._cli import cache as caching
from fxviz._cli import streams
from fxviz._cli.messages import complain, patience, say
from fxviz._cli.options import Run, Talk
from fxviz._cli.remarking import loaded
from fxviz._graph import ArchGraph
from fxviz._graph.files import check_target
from fxviz._report.summary import headline
from fxviz._sources.reference import is_graph_file, stem

STDOUT = "-"
"""The file that stands for standard output."""

MODEL = (
    "A name from 'fxviz list', FILE.py:CLASS or package.module:FUNCTION with arguments if needed ('net.py:Net(depth=18)'; "
    "the code in it is run), or an exported FILE.pt2"
)
"""What a command takes for a model, in its help."""


def graph_of(model: str, run: Run, talk: Talk) -> ArchGraph:
    """The graph that a command works on, traced with patience where it has yet to be."""
    run.keywords()
    tell_remarks(run, talk)
    return one_graph_of(model, run, talk)


def tell_remarks(run: Run, talk: Talk) -> None:
    """Say what is done with inputs beyond what is written."""
    if not talk.quiet:
        for remark in run.remarks():
            say(remark)


def one_graph_of(model: str, run: Run, talk: Talk) -> ArchGraph:
    """The graph of one of several models; the remarks were made for all of them."""
    keywords = run.keywords()
    if run.weights and run.download and not is_graph_file(model):
        _fetch(model, run.weights, run.device or "meta", talk)
        del keywords["download"]
    graph = _traced(model, keywords, run.no_cache, talk)
    if keywords.get("weights") and not talk.quiet:
        for remark in loaded(graph, run.input):
            say(remark)
    return graph


def _fetch(model: str, weights: str, device: str, talk: Talk) -> None:
    """Download published weights, once all is refused that can be before."""
    from fxviz._sources import check_weights, fetch

    check_weights(model, weights)
    from fxviz._trace import check_available

    check_available(device)
    fetch(model, weights, progress=not talk.quiet)


def _traced(model: str, keywords: dict[str, Any], no_cache: bool, talk: Talk) -> ArchGraph:
    """The graph that is kept in the cache, saved, or yet to be traced."""

    def made() -> ArchGraph:
        with patience(f"tracing {model}", talk.quiet or is_graph_file(model)):
            return api.as_graph(model, **keywords)

    return made() if no_cache else caching.graph(model, keywords, made)


def names_of(pattern: str | None, no_cache: bool) -> list[str]:
    """The names of models that a pattern stands for.

    Raises:
        UsageError: the library is not installed.
    """
    from fxviz._sources import all_names, names

    def listed(library: str) -> list[str]:
        with patience("loading names"):
            return all_names(library)

    return names(pattern, listed if no_cache else lambda library: caching.names(library, lambda: listed(library)))


def tell_written(target: Path, graph: ArchGraph, talk: Talk, metric: str = "params") -> None:
    """Say what was written, unless nothing is to be said."""
    if not talk.quiet:
        say(f"wrote {target}: {headline(graph, metric)}")


def tell_failure(graph: ArchGraph, model: str) -> None:
    """Half a run was asked for and written: say where it stopped, and end with the status of a failure."""
    tell_failures(((graph, model),))


def tell_failures(runs: Iterable[tuple[ArchGraph, str]]) -> None:
    """The same of several models, of each that stopped."""
    failures = [failure for graph, model in runs if (failure := failure_of(graph, model))]
    statuses = [complain(failure, 1) for failure in failures]
    if statuses:
        raise typer.Exit(statuses[0])


def failure_of(graph: ArchGraph, model: str) -> str | None:
    """Where a run stopped of which half was asked for; None if it is whole, or was made before."""
    if graph.trace.failure is None or is_graph_file(model):
        return None
    from fxviz._trace.failures import sentence

    return sentence(graph.scopes[0].class_name, graph.trace.failure)


class Document(Protocol):
    """What is written in several forms: a summary, a comparison, an explanation."""

    def written(self, form: str, width: int | None, styled: bool) -> str: ...


def give(document: Document, form: str) -> None:
    """Write a document to standard output: on a terminal as wide as that, anywhere else plain and whole."""
    width = terminal_width()
    streams.give(document.written(form, width, width is not None))


def terminal_width() -> int | None:
    """Columns of the terminal that standard output is; None where it is a file or a pipe."""
    from rich.console import Console

    return Console(file=sys.stdout).width if sys.stdout.isatty() else None


def target_for(output: str | None, model: str, suffix: str, allowed: tuple[str, ...]) -> Path | None:
    """The file to write, None for standard output. All that can be wrong with it is found here, before the work starts."""
    if output == STDOUT:
        return None
    return check_target(stem(model) + suffix if output is None else output, allowed)
