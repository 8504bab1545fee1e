"""Explain a model in sentences, every number computed from its graph."""

from __future__ import annotations

from fxviz._graph import ArchGraph
from fxviz._graph.errors import spelled
from fxviz._graph.options import check_choice
from fxviz._report.explain.document import FORMS, Explanation, Section, check_form

__all__ = ["FORMS", "LANGUAGES", "Explanation", "Section", "check_form", "check_language", "explained"]

LANGUAGES = {"en": "english", "zh": "chinese"}
"""The modules of the languages by their ISO 639 codes, each imported when it is used."""


def explained(graph: ArchGraph, lang: str = "en") -> Explanation:
    """Explain a graph in a language.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("empty", "python", "Empty"), trace, (), (), (Scope(0, "", "Empty", 0, None),), ())
    >>> print(explained(graph).text(), end="")
    empty: Empty
    <BLANKLINE>
    Structure
      - It has no weighted layers.
      - It has no parameters.
    """
    from importlib import import_module

    from fxviz._analysis import facts_of

    explanation: Explanation = import_module(f"fxviz._report.explain.{LANGUAGES[lang]}").explain(graph, facts_of(graph))
    return explanation


def check_language(lang: str) -> None:
    """Raise an error for an unknown language.

    >>> check_language("fr")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: invalid language 'fr': choose en or zh
    """
    check_choice(spelled("language", "--lang"), lang, tuple(LANGUAGES))
