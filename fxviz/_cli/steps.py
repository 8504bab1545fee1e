"""Steps that several commands take: the graph behind a name, the file to write, what is told of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import typer

from fxviz import _api
from fxviz._cli import cache, streams
from fxviz._cli.messages import complain, loaded, patience, say
from fxviz._cli.options import PAIR, Draw, Run, Talk
from fxviz._errors import UsageError
from fxviz._graph import ArchGraph
from fxviz._graph.files import check_target
from fxviz._render.figure import PAIRED, SUFFIXES, Figure, snippet
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
            return _api.as_graph(model, **keywords)

    return made() if no_cache else cache.graph(model, keywords, made)


def names_of(pattern: str | None, no_cache: bool) -> list[str]:
    """The names of models that a pattern stands for.

    Raises:
        UsageError: the library is not installed.
    """
    from fxviz._sources import all_names, names

    def listed(library: str) -> list[str]:
        with patience("loading names"):
            return all_names(library)

    return names(pattern, listed if no_cache else lambda library: cache.names(library, lambda: listed(library)))


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


def figure_target(output: str | None, model: str, draw: Draw, allowed: tuple[str, ...] = SUFFIXES) -> Path | None:
    """The file to write, None for standard output; found before the work starts."""
    if draw.theme == PAIR and output == STDOUT:
        raise UsageError(
            "a pair is two files, and standard output is one: name a file, or choose the theme light or dark"
        )
    return target_for(output, model, ".svg", PAIRED if draw.theme == PAIR else allowed)


def write_figure(figure: Figure, path: Path | None, draw: Draw, talk: Talk, told: str) -> None:
    """Write the figure, and say of each file what it is ``told`` to show; a pair also gives the HTML that shows one of them."""
    written: tuple[Path, ...] = ()
    if path is None:
        streams.give(figure.svg)
    elif draw.theme == PAIR:
        written = figure.save_pair(path, draw.scale)
    else:
        written = (figure.save(path, draw.scale),)
    for file in written if not talk.quiet else ():
        say(f"wrote {file}: {told}")
    if len(written) == 2:
        streams.give(
            snippet(*written, told if figure.view.difference else f"{figure.view.graph.model.name}: {told}") + "\n"
        )
    for remark in size_remarks(figure) if not talk.quiet else ():
        say(remark)


def contents(figure: Figure, name: str, draw: Draw) -> dict[str, bytes]:
    """What the file called ``name`` is to hold, or the two files of a pair."""
    path = Path(name)
    if draw.theme == PAIR:
        return {file.name: content for file, content in figure.paired(path, draw.scale).items()}
    return {name: figure.content(path.suffix, draw.scale)}


def size_remarks(figure: Figure) -> Iterator[str]:
    """A figure that was asked for may be larger than a page: that, and what would fit."""
    if advice := page_advice(figure):
        yield advice
    if figure.simplified:
        yield "the layout took too long, so its lines are drawn straight"


def page_advice(figure: Figure) -> str:
    """What to ask for instead, where a view that was asked for is larger than a page; "" where it is not.

    >>> import fxviz
    >>> page_advice(fxviz.render("densenet121", fxviz.RenderOptions(depth=9)))
    'the figure has 186 rows, more than a page holds; --depth 2 fits'
    >>> page_advice(fxviz.render("densenet121"))
    ''
    """
    from fxviz._view import BUDGET, deepest_fitting, fitting

    options, view = figure.options, figure.view
    if not options.may_be_large or fitting(view.style, BUDGET)(view):
        return ""
    depth = deepest_fitting(view.graph)
    fits = "" if depth is None else f"; --depth {depth} fits"
    return f"the figure has {len(view.rows)} rows, more than a page holds{fits}"
