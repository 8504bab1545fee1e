"""Run ``fxviz summary``, ``skips``, ``explain``, ``info`` and ``list``, which write to standard output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from fxviz._api import reports
from fxviz._cli.messages import reported, spinner, stdout_kept, write_stdout
from fxviz._cli.options import NoCache, Run, Talk, spread
from fxviz._cli.steps import MODEL, Document, graph_of, names_of, report_failure, terminal_width, write_document
from fxviz._graph import SKIP_KINDS, ArchGraph
from fxviz._graph.errors import UnknownModel, choice, shown
from fxviz._report import explain as sentences
from fxviz._report import tables
from fxviz._report.skips import check_kind, skips_of
from fxviz._report.summary import SummaryOptions, summarize
from fxviz._sources.reference import parse, split_pattern

Model = Annotated[str, typer.Argument(metavar="MODEL", help=f"{MODEL}, or a graph saved by 'fxviz trace'.")]
"""The model that a command reports on."""

Form = Annotated[str, typer.Option("--format", metavar="FORMAT", help=f"{', '.join(tables.FORMS)}.")]
"""The form of a table."""


def _write(model: str, report: Callable[[ArchGraph], Document], form: str, run: Run, talk: Talk) -> None:
    """Write the report on a model to standard output."""
    reference = parse(model)
    graph = graph_of(reference, run, talk)
    write_document(report(graph), form)
    report_failure(graph, reference)


@spread
def summary(
    model: Model,
    *,
    options: SummaryOptions,
    form: Form = "table",
    run: Run,
    talk: Talk,
) -> None:
    """Show a model's layers with their parameters, shapes and MACs, on standard output."""
    with reported(talk.debug):
        tables.check_form(form)
        _write(model, lambda graph: summarize(graph, options), form, run, talk)


@spread
def skips(
    model: Model,
    *,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help=f"Only these: {choice(list(SKIP_KINDS))}.")
    ] = None,
    form: Form = "table",
    run: Run,
    talk: Talk,
) -> None:
    """List a model's skip connections: where each starts and ends, what it jumps over, what stands on it."""
    with reported(talk.debug):
        tables.check_form(form)
        check_kind(kind)
        _write(model, lambda graph: skips_of(graph, kind), form, run, talk)


@spread
def explain(
    model: Model,
    *,
    lang: Annotated[str, typer.Option("--lang", metavar="LANG", help=f"{choice(list(sentences.LANGUAGES))}.")] = "en",
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help=f"{', '.join(sentences.FORMS)}.")] = "text",
    run: Run,
    talk: Talk,
) -> None:
    """Explain a model in sentences, every number computed, on standard output."""
    with reported(talk.debug):
        sentences.check_language(lang)
        sentences.check_form(form)
        _write(model, lambda graph: sentences.explained(graph, lang), form, run, talk)


@spread
def info(
    model: Model,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Show a model's documentation, where it comes from, and its published weights.

    The model is built, not run; nothing is downloaded.
    """
    with reported(debug):
        from fxviz._report.info import to_text

        reference = parse(model)
        with spinner(f"loading {model}", reference.is_graph), stdout_kept():
            known = reports.information_of(reference)
        write_stdout(to_text(known, f"{reference.stem}.svg", terminal_width()) + "\n")


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
        found = names_of(*split_pattern(pattern or ""), no_cache)
        if not found:
            raise UnknownModel(f"no model matches '{shown(pattern or '')}'; 'fxviz list' shows all names")
        write_stdout("\n".join(found) + "\n")
