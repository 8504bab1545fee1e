"""Share the steps of several commands: get the graph of a model, choose the file to write, write and report."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import typer

from fxviz._api import graphs
from fxviz._cli import cache
from fxviz._cli.messages import (
    complain,
    report_written,
    say,
    say_all,
    size_remarks,
    spinner,
    stdout_kept,
    weights_remarks,
    write_stdout,
)
from fxviz._cli.options import Draw, Run, Talk
from fxviz._graph import ArchGraph
from fxviz._graph.errors import FxvizError, TraceError, UsageError, shown
from fxviz._graph.files import check_target
from fxviz._render.figure import PAIRED, SUFFIXES, Figure, snippet
from fxviz._sources.inputs import Reading
from fxviz._sources.reference import Reference, each_once

STDOUT = "-"
"""The name of a file that means standard output."""

MODEL = (
    "A name from 'fxviz list', FILE.py:CLASS or package.module:FUNCTION with arguments if needed "
    "('net.py:Net(depth=18)'; the code in it is run), or an exported FILE.pt2"
)
"""The models that a command takes, in its help."""


def graph_of(model: Reference, run: Run, talk: Talk) -> ArchGraph:
    """Return the graph of a command's model; report how its inputs were understood, and how weights went into it."""
    graph, remarks = graph_and_remarks(model, run, talk)
    say_all(remarks, talk.quiet)
    return graph


def graph_and_remarks(model: Reference, run: Run, talk: Talk) -> tuple[ArchGraph, tuple[str, ...]]:
    """Return the graph of a model with remarks on its inputs and weights."""
    run.check([model])
    first, *others = run.readings()
    if model.is_graph:
        return _traced(model, run, first, talk), ()
    if run.trace.weights and run.trace.download:
        _download(model, str(run.trace.weights), run.trace.device, talk)
    graph, reading = _first_accepted(model, run, first, others, talk)
    said = weights_remarks(graph, run.input) if run.trace.weights else ()
    return graph, (*reading.remarks, *said, *(weights.sentence for weights in graph.trace.unregistered))


def _first_accepted(
    model: Reference, run: Run, first: Reading, others: Sequence[Reading], talk: Talk
) -> tuple[ArchGraph, Reading]:
    """Return the graph for the first reading of the inputs that the model accepts, with that reading.

    Raises:
        TraceError: it accepts none.
    """
    graph: ArchGraph | None = None
    try:
        graph = _traced(model, run, first, talk)
        failed = graph.trace.failure is not None
    except TraceError as error:
        failure, failed = error, True
    for reading in others if failed else ():
        with suppress(TraceError):
            other = _traced(model, run, reading, talk)
            if other.trace.failure is None:
                return other, reading
    if graph is not None:
        return graph, first
    if others:
        failure.args = (f"{failure.for_command_line}; {' and '.join(each.failed for each in others)}",)
    raise failure


def _download(model: Reference, weights: str, device: str, talk: Talk) -> None:
    """Download published weights, after all checks that need no download."""
    from fxviz._sources import check_weights, fetch

    check_weights(model, weights)
    from fxviz._trace import check_available

    check_available(device)
    fetch(model, weights, progress=not talk.quiet)


def _traced(model: Reference, run: Run, reading: Reading, talk: Talk) -> ArchGraph:
    """Return the graph from the cache, from a file, or from a trace."""
    inputs = reading.arguments

    def make() -> ArchGraph:
        with spinner(f"tracing {model}", talk.quiet or model.is_graph), stdout_kept():
            return graphs.graph_of(model, inputs, None, run.trace)

    if run.no_cache:
        return make()
    return cache.graph(model, inputs, run.trace, make, lambda remark: say_all([remark], talk.quiet))


def names_of(library: str, pattern: str, no_cache: bool) -> list[str]:
    """Return the names of a library's models that match a pattern.

    Raises:
        UsageError: the library is not installed.
    """
    from fxviz._sources import all_names, matching

    def listed(library: str) -> list[str]:
        with spinner("loading names"), stdout_kept():
            return all_names(library)

    cached = listed if no_cache else lambda library: cache.names(library, lambda: listed(library), say)
    return matching(library, pattern, cached)


def _to_trace(models: list[Reference]) -> list[Reference]:
    """Return the models that are yet to be traced, each once."""
    return [model for model in each_once(models) if not model.is_graph]


def _check_weights(models: list[Reference], run: Run) -> None:
    """Refuse one file of weights for several models; published weights may have the same name for each."""
    from fxviz._sources.checkpoints import is_checkpoint

    weights = run.trace.weights
    if weights is not None and is_checkpoint(str(weights)) and len(_to_trace(models)) > 1:
        raise UsageError(f"--weights {shown(str(weights))} is a file, which fits one model: {_each('--weights FILE')}")


def _each(how: str) -> str:
    return f"trace each to .json (fxviz trace MODEL {how} -o NAME.json) and compare these"


def graphs_of(models: list[Reference], run: Run, talk: Talk) -> list[ArchGraph]:
    """Return the graphs of several models, each traced once; saved ones are read before anything is traced.

    Options of a run do not apply to a saved graph, and are refused where there are no models to trace.

    Raises:
        UsageError: an option does not fit, or one file of weights is given for several models.
    """
    run.check(models)
    _check_weights(models, run)
    to_trace = _to_trace(models)
    found: dict[str, ArchGraph] = {}
    remarks: list[str] = []
    for model in sorted(each_once(models), key=lambda model: not model.is_graph):
        saved = bool(to_trace) and model.is_graph
        found[str(model)], said = _graph(model, Run() if saved else run, talk, len(to_trace) > 1)
        remarks += said
    say_all(dict.fromkeys(remarks), talk.quiet)
    return [found[str(model)] for model in models]


def _graph(model: Reference, run: Run, talk: Talk, several: bool) -> tuple[ArchGraph, tuple[str, ...]]:
    """Return the graph of one of several models with remarks; an error names it, and how to give each its inputs."""
    try:
        return graph_and_remarks(model, run, talk)
    except FxvizError as error:
        message = error.for_command_line
        message = message if str(model) in message else f"{model}: {message}"
        if several and isinstance(error, TraceError) and (run.input or "--input" in message):
            message += f"; where one --input does not fit all models, {_each('--input SPEC')}"
        error.args = (message,)
        raise


def report_failure(graph: ArchGraph, model: Reference) -> None:
    """Report where a partial run stopped, and end with the status of a failure."""
    report_failures(((graph, model),))


def report_failures(runs: Iterable[tuple[ArchGraph, Reference]]) -> None:
    """Report where each of several partial runs stopped, and end with the status of a failure."""
    failures = [failure for graph, model in runs if (failure := failure_of(graph, model))]
    statuses = [complain(failure, 1) for failure in failures]
    if statuses:
        raise typer.Exit(statuses[0])


def failure_of(graph: ArchGraph, model: Reference) -> str | None:
    """Return where a partial run stopped; None if the run was whole, or the graph was saved before."""
    if graph.trace.failure is None or model.is_graph:
        return None
    from fxviz._trace.failures import sentence

    return sentence(graph.scopes[0].class_name, graph.trace.failure)


class Document(Protocol):
    """A text in several forms: a summary, a comparison, an explanation."""

    def written(self, form: str, width: int | None, styled: bool) -> str: ...


def write_document(document: Document, form: str) -> None:
    """Write a document to standard output: fitted to a terminal, plain and whole anywhere else."""
    width = terminal_width()
    write_stdout(document.written(form, width, width is not None))


def terminal_width() -> int | None:
    """Return the columns of the terminal; None where standard output is a file or a pipe."""
    from rich.console import Console

    return Console(file=sys.stdout).width if sys.stdout.isatty() else None


def target_for(output: str | None, model: Reference, suffix: str, allowed: tuple[str, ...]) -> Path | None:
    """Return the file to write, None for standard output; refuse it before the work starts if it cannot be written."""
    if output == STDOUT:
        return None
    return check_target(model.stem + suffix if output is None else output, allowed)


def figure_target(output: str | None, model: Reference, draw: Draw, allowed: tuple[str, ...] = SUFFIXES) -> Path | None:
    """Return the file for a figure, None for standard output; refuse one that cannot be written."""
    if draw.is_pair and output == STDOUT:
        raise UsageError(
            "cannot write two files, a pair, to standard output: name a file, or choose the theme light or dark"
        )
    return target_for(output, model, ".svg", PAIRED if draw.is_pair else allowed)


def write_figure(figure: Figure, path: Path | None, draw: Draw, talk: Talk, shows: str) -> None:
    """Write the figure and report each file with what it shows; print the HTML for a pair."""
    written: tuple[Path, ...] = ()
    if path is None:
        write_stdout(figure.svg)
    elif draw.is_pair:
        written = figure.save_pair(path, draw.scale)
    else:
        written = (figure.save(path, draw.scale),)
    report_written(written, shows, size_remarks(figure), talk.quiet)
    if len(written) == 2:
        write_stdout(
            snippet(*written, shows if figure.view.difference else f"{figure.view.graph.model.name}: {shows}") + "\n"
        )


def contents(figure: Figure, name: str, draw: Draw) -> dict[str, bytes]:
    """Return the content of the file called ``name``, or of the two files of a pair."""
    path = Path(name)
    if draw.is_pair:
        return {file.name: content for file, content in figure.paired(path, draw.scale).items()}
    return {name: figure.content(path.suffix, draw.scale)}
