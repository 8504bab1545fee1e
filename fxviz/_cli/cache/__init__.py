"""What the command line keeps of library models from one call to the next, so that the second time torch is not imported.

Nothing is found again that could have become another: the key says what was asked for and what the installation looks like
(:mod:`~fxviz._cli.cache.installation`), the entry names the source files that were loaded, with a digest of their states
(:mod:`~fxviz._cli.cache.installation`). A model of the user's own has no entry. Once its code ran nothing more is read or kept in this
process, as that code may have changed a library; nor is it in a process that had imported torch before this command line.
A cache that cannot be used is no error: the work is done.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from fxviz._cli.cache.entry import Entry, Question, clear, files, of_names, of_trace, place
from fxviz._cli.cache.installation import reasons
from fxviz._graph import ArchGraph
from fxviz._sources.reference import parse

__all__ = ["clear", "files", "graph", "names", "place", "reasons"]

_Made = TypeVar("_Made")

_foreign = [name for name in ("torch",) if name in sys.modules]
"""What may have changed a library in this process: whoever imported torch before, and then models of the user's own."""


def graph(model: str, how: Mapping[str, Any], make: Callable[[], ArchGraph]) -> ArchGraph:
    """The graph of a model: the kept one, or else the one that ``make`` makes, which is kept if it may be.

    Args:
        model: what :func:`fxviz.trace` takes by name, or a saved graph.
        how: its other arguments, those that were given.
        make: traces the model; what it raises is raised.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> empty = ArchGraph(ModelInfo("Net", "net.py", "Net"), trace, (), (), (Scope(0, "", "Net", 0, None),), ())
    >>> graph("net.py:Net", {}, lambda: empty) is empty
    True
    """
    question = _tried(lambda: of_trace(model, how))
    if question is None and _is_foreign(model):
        _foreign.append(model)
    return _kept(question, make, ArchGraph.to_json, ArchGraph.from_json)


def names(library: str, make: Callable[[], list[str]]) -> list[str]:
    """The names of a library's models: the kept ones, or else those that ``make`` lists, which are kept if they may be.

    >>> names("a library that is not installed", lambda: ["net"])
    ['net']
    """
    return _kept(of_names(library), make, json.dumps, json.loads)


def _kept(
    question: Question | None, make: Callable[[], _Made], write: Callable[[_Made], str], read: Callable[[str], _Made]
) -> _Made:
    entry = None if question is None or _foreign else _tried(lambda: Entry.to(question))
    if entry is None:
        return make()
    found = _tried(lambda: read(entry.read()))
    if found is not None:
        return found
    made = make()
    _tried(lambda: entry.write(write(made)))
    return made


def _tried(step: Callable[[], _Made]) -> _Made | None:
    """What a step of the cache gives; None where it fails, for whatever reason."""
    try:
        return step()
    except Exception:
        return None


def _is_foreign(model: str) -> bool:
    """Whether tracing this model runs code that is no library's."""
    reference = _tried(lambda: parse(model))
    return reference is None or reference.kind not in ("library", "graph")
