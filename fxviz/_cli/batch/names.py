"""Expand names and patterns to models, and choose the files of their figures, before the work starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TypeVar

import typer

from fxviz._cli.messages import complain_of
from fxviz._cli.steps import STDOUT, names_of
from fxviz._graph import ArchGraph
from fxviz._graph.errors import BadOutput, UnknownModel, UsageError, shown
from fxviz._render.figure import SUFFIXES
from fxviz._sources.reference import Reference, each_once, parse

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


def is_pattern(model: Reference) -> bool:
    """Return whether a name contains wildcards; only names of a library's models do.

    >>> is_pattern(parse("timm:resnet*")), is_pattern(parse("resnet18")), is_pattern(parse("net.py:Net(sizes=[1])"))
    (True, False, False)
    """
    return model.kind == "library" and any(mark in str(model) for mark in "*?[")


def parse_all(texts: Sequence[str]) -> list[Reference]:
    """Parse the names of several models.

    Raises:
        typer.Exit: some cannot be parsed, each of which was reported, with exit status 2.
    """
    return _all_of(parse, texts)


def expanded(models: Sequence[Reference], no_cache: bool) -> list[Reference]:
    """Return the models that names and patterns match, each once, in the order in which they are named.

    Raises:
        typer.Exit: some do not exist, each of which was reported, with exit status 2.
    """
    return each_once(chain.from_iterable(_all_of(lambda model: _expanded(model, no_cache), models)))


def _all_of(find: Callable[[_Item], _Found], items: Iterable[_Item]) -> list[_Found]:
    """Call ``find`` for each item; report all errors, and exit if there are any."""
    found: list[_Found] = []
    status = 0
    for item in items:
        try:
            found.append(find(item))
        except UsageError as error:
            status = complain_of(error)
    if status:
        raise typer.Exit(status)
    return found


def _expanded(model: Reference, no_cache: bool) -> list[Reference]:
    if not is_pattern(model):
        _check(model, no_cache)
        return [model]
    found = names_of(model.place, model.name, no_cache)
    if not found:
        raise UnknownModel(f"no model matches '{shown(str(model))}'; 'fxviz list' shows all names")
    return [parse(name) for name in found]


def _check(model: Reference, no_cache: bool) -> None:
    """Refuse a model that does not exist, without running the user's code: modules are imported later."""
    if model.kind == "module" or (model.kind != "weights" and Path(model.place).is_file()):
        return
    if model.kind == "library" and str(model) in names_of(model.place, "", no_cache):
        return
    if model.is_graph:
        ArchGraph.load(model.place)
    from fxviz._sources.resolve import resolve

    resolve(model)  # accepts names that are not listed, too, or raises the error


def names_folder(output: str | None) -> bool:
    """Return whether ``-o`` certainly names a folder: it exists, or ends with a slash."""
    if not output:
        return False
    with suppress(OSError, ValueError):  # a name that no file can have
        return output.endswith(("/", os.sep)) or Path(output).is_dir()
    return False


def folder_for(output: str | None) -> Path:
    """Return the folder for many figures (it may not exist yet); without ``-o`` the current one.

    Raises:
        UsageError: ``-o`` names one file, or standard output.
    """
    if output is None:
        return Path()
    if output == STDOUT:
        raise UsageError("several figures cannot go to standard output: name a folder, as in -o figures/")
    if not names_folder(output) and (Path(output).suffix.lower() in SUFFIXES or _exists(output)):
        raise UsageError(
            f"'{shown(output)}' is one file, but several figures need a folder: name one, as in -o figures/"
        )
    return Path(output)


def _exists(output: str) -> bool:
    with suppress(OSError, ValueError):
        return Path(output).exists()
    return False


def make_folder(folder: Path) -> None:
    """Create the folder and its parents where they are missing.

    Raises:
        BadOutput: it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise BadOutput(f"cannot create the folder '{folder}': {getattr(error, 'strerror', None) or error}") from error


def file_names(models: Sequence[Reference], suffix: str) -> list[str]:
    """Return a file name for each model, with a number if the name is taken, in whatever case.

    >>> names = ["net.py:Net(18)", "net.py:Net(34)", "timm:resnet18", "old/resnet18.json"]
    >>> file_names([parse(name) for name in names], ".svg")
    ['Net.svg', 'Net-2.svg', 'timm_resnet18.svg', 'resnet18.svg']
    """
    names: list[str] = []
    taken: set[str] = set()
    for model in models:
        name, number = model.stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{model.stem}-{number}"
        taken.add(name.casefold())
        names.append(name + suffix)
    return names


def check_inputs(models: Sequence[Reference], names: Sequence[str], folder: Path) -> None:
    """Refuse to overwrite a saved graph that is to be drawn.

    Raises:
        BadOutput: a figure would be written there.
    """
    graphs = {Path(model.place).resolve() for model in models if model.is_graph}
    for name in names:
        if (folder / name).resolve() in graphs:
            raise BadOutput(
                f"cannot write '{folder / name}': it is a model to be drawn; name another folder, as in -o figures/"
            )


def renamed(models: Sequence[Reference], names: Sequence[str]) -> Iterator[str]:
    """Yield a remark for each model whose file name has a number.

    >>> list(renamed([parse("a/net.json"), parse("b/net.json")], ["net.svg", "net-2.svg"]))
    ['b/net.json is drawn in net-2.svg']
    """
    for model, name in zip(models, names, strict=True):
        if Path(name).stem != model.stem:
            yield f"{model} is drawn in {name}"
