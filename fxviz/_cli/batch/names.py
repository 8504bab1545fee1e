"""The models that names and patterns stand for, and what is wrong with them, found before the work starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from fxviz._cli.messages import complain
from fxviz._cli.steps import names_of
from fxviz._errors import UnknownModel, UsageError
from fxviz._graph import ArchGraph
from fxviz._sources.reference import Reference, parse
from fxviz.quoting import shown

Listed = Callable[[str], Sequence[str]]


def is_pattern(text: str) -> bool:
    """Whether ``text`` stands for models of a library by wildcards. In a file's name, and in arguments, these are none.

    >>> is_pattern("timm:resnet*"), is_pattern("resnet18"), is_pattern("net.py:Net(sizes=[1])")
    (True, False, False)
    """
    return any(mark in text for mark in "*?[") and parse(text).kind == "library"


def runs_own_code(text: str) -> bool:
    """Whether a model is the user's own, in a Python file or module.

    >>> runs_own_code("net.py:Net"), runs_own_code("net.json"), runs_own_code("timm:resnet18")
    (True, False, False)
    """
    return parse(text).kind in ("file", "module")


def expanded(texts: Sequence[str], no_cache: bool) -> list[str]:
    """The models, each once, in the order in which they are named.

    Raises:
        typer.Exit: some are not there, each of which was said, with exit status 2.
    """
    models: list[str] = []
    status = 0
    for text in texts:
        try:
            models += _models(text, no_cache)
        except UsageError as error:
            status = complain(str(error), error.exit_status)
    if status:
        raise typer.Exit(status)
    return list(dict.fromkeys(models))


def _models(text: str, no_cache: bool) -> list[str]:
    if not is_pattern(text):
        _check(text, parse(text), no_cache)
        return [text]
    found = names_of(text, no_cache)
    if not found:
        raise UnknownModel(f"no model matches '{shown(text)}'; 'fxviz list' shows all names")
    return found


def _check(text: str, reference: Reference, no_cache: bool) -> None:
    """Find out whether there is such a model, without running the user's code: whether a module has it shows later."""
    if reference.kind == "module" or (reference.kind != "weights" and Path(reference.place).is_file()):
        return
    if reference.kind == "library" and text in names_of(_prefix(reference), no_cache):
        return
    if reference.kind == "graph":
        ArchGraph.load(text)
    from fxviz._sources import resolve

    resolve(text)  # knows also names that are not listed, and says what is wrong


def _prefix(reference: Reference) -> str:
    """The pattern for all models of a library."""
    return "" if reference.place == "torchvision" else f"{reference.place}:"
