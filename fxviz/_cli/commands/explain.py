"""``fxviz explain``: a model in sentences."""

from __future__ import annotations

from typing import Annotated

import typer

from fxviz._cli.messages import reported
from fxviz._cli.options import Run, Talk, spread
from fxviz._cli.steps import MODEL, give, graph_of, tell_failure
from fxviz._report.explain import FORMS, LANGUAGES, check_form, check_language, explained


@spread
def explain(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{MODEL}, or a graph saved by 'fxviz trace'.")],
    *,
    lang: Annotated[str, typer.Option("--lang", metavar="LANG", help=f"{', '.join(LANGUAGES)}: English or Chinese.")] = "en",
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help=f"{', '.join(FORMS)}.")] = "text",
    run: Run,
    talk: Talk,
) -> None:
    """Explain a model in sentences, every number computed, on standard output."""
    with reported(talk.debug):
        check_language(lang)
        check_form(form)
        graph = graph_of(model, run, talk)
        give(explained(graph, lang), form)
        tell_failure(graph, model)
