"""Cache the graphs of library models between commands, so that later commands need not import torch.

An entry is used only if nothing that it depends on has changed: its key holds the question and the state of the
installation, and it lists the source files that were loaded, with a digest of their states
(:mod:`~fxviz._cli.cache.installation`). A model of the user's own is not cached. Once its code has run, the cache is
off for the rest of the process, as that code may have changed a library; so it is in a process that imported torch
before this command line. If the cache fails, or another user can write it, the model is traced.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TypeVar

from fxviz._cli.cache.entry import Entry, Question, clear, directory, files, of_names, of_trace
from fxviz._cli.cache.installation import reasons
from fxviz._cli.cache.trust import Distrusted, check_folder
from fxviz._graph import ArchGraph
from fxviz._graph.options import TraceOptions
from fxviz._sources.inputs import Arguments
from fxviz._sources.reference import Reference

__all__ = ["Distrusted", "check_folder", "clear", "directory", "files", "graph", "names", "reasons"]

_Made = TypeVar("_Made")
Tell = Callable[[str], object]

_foreign = ["torch"] if "torch" in sys.modules else []
"""Code that may have changed a library in this process: an earlier import of torch, then models of the user's own."""


def graph(
    model: Reference, inputs: Arguments | None, options: TraceOptions, make: Callable[[], ArchGraph], tell: Tell
) -> ArchGraph:
    """Return the cached graph of a model, or the one that ``make`` makes, which is cached if it may be.

    Args:
        model: a model or a saved graph.
        inputs: the arguments of forward; None if none are given.
        options: how it is built and run.
        make: traces the model; its errors are raised.
        tell: reports why the cache, or an entry of it, is not believed.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> empty = ArchGraph(ModelInfo("Net", "net.py", "Net"), trace, (), (), (Scope(0, "", "Net", 0, None),), ())
    >>> graph(Reference("file", "net.py", "Net"), None, TraceOptions(), lambda: empty, print) is empty
    True
    """
    question = of_trace(model, inputs, options)
    if question is None and model.kind not in ("library", "graph"):
        _foreign.append(str(model))
    return _cached(question, make, ArchGraph.to_json, ArchGraph.from_json, tell)


def names(library: str, make: Callable[[], list[str]], tell: Tell) -> list[str]:
    """Return the cached names of a library's models, or those that ``make`` lists, which are cached if they may be.

    >>> names("a library that is not installed", lambda: ["net"], print)
    ['net']
    """
    return _cached(of_names(library), make, json.dumps, json.loads, tell)


def _cached(
    question: Question | None,
    make: Callable[[], _Made],
    write: Callable[[_Made], str],
    read: Callable[[str], _Made],
    tell: Tell,
) -> _Made:
    entry = None if question is None or _foreign else _tried(lambda: Entry.to(question), tell)
    if entry is None:
        return make()
    found = _tried(lambda: read(entry.read()), tell)
    if found is not None:
        return found
    made = make()
    _tried(lambda: entry.write(write(made)), tell)
    return made


def _tried(step: Callable[[], _Made], tell: Tell) -> _Made | None:
    """Return the result of a step of the cache; None if it fails, for whatever reason."""
    try:
        return step()
    except Distrusted as reason:
        tell(str(reason))
    except Exception:
        pass
    return None
