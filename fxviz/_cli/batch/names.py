"""The models that names and patterns stand for, and what is wrong with them, found before the work starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import typer

from fxviz._cli.messages import complain
from fxviz._cli.steps import STDOUT, names_of
from fxviz._errors import BadOutput, UnknownModel, UsageError, shown
from fxviz._graph import ArchGraph
from fxviz._render.figure import SUFFIXES
from fxviz._sources.reference import Reference, is_graph_file, parse, stem

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


def names_folder(output: str | None) -> bool:
    """Whether ``-o`` names a folder without doubt: one that is there, or by a slash at its end."""
    if not output:
        return False
    with suppress(OSError, ValueError):  # a name that no file can have
        return output.endswith(("/", os.sep)) or Path(output).is_dir()
    return False


def folder_for(output: str | None) -> Path:
    """The folder for many figures, which need not be there yet; the current one, if ``-o`` is left out.

    Raises:
        UsageError: ``-o`` names one file, or standard output.
    """
    if output is None:
        return Path()
    if output == STDOUT:
        raise UsageError("several figures do not fit on standard output: name a folder, as in -o figures/")
    if not names_folder(output) and (Path(output).suffix.lower() in SUFFIXES or _is_there(output)):
        raise UsageError(
            f"'{shown(output)}' is one file, and several figures need a folder: name one, as in -o figures/"
        )
    return Path(output)


def _is_there(output: str) -> bool:
    with suppress(OSError, ValueError):
        return Path(output).exists()
    return False


def made(folder: Path) -> None:
    """Make the folder, with those above it, where it is missing.

    Raises:
        BadOutput: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise BadOutput(f"cannot make the folder '{folder}': {getattr(error, 'strerror', None) or error}") from error


def file_names(models: Sequence[str], suffix: str) -> dict[str, str]:
    """A file for each model, called like it; where a name is taken, also by another case of letters, it gets a number.

    >>> file_names(["net.py:Net(18)", "net.py:Net(34)", "timm:resnet18", "old/resnet18.json"], ".svg")
    {'net.py:Net(18)': 'Net.svg', 'net.py:Net(34)': 'Net-2.svg', 'timm:resnet18': 'timm_resnet18.svg', \
'old/resnet18.json': 'resnet18.svg'}
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for model in models:
        name, number = stem(model), 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem(model)}-{number}"
        taken.add(name.casefold())
        names[model] = name + suffix
    return names


def check_inputs(names: Mapping[str, str], folder: Path) -> None:
    """Refuse to write a figure where a saved graph is that is to be drawn, too.

    Raises:
        BadOutput: one would be.
    """
    graphs = {Path(model).resolve() for model in names if is_graph_file(model)}
    for name in names.values():
        if (folder / name).resolve() in graphs:
            raise BadOutput(
                f"cannot write '{folder / name}': it is to be drawn, too; name another folder, as in -o figures/"
            )


def renamed(names: Mapping[str, str]) -> Iterator[str]:
    """Which models are drawn in files with a number, so that one knows which is which.

    >>> list(renamed({"a/net.json": "net.svg", "b/net.json": "net-2.svg"}))
    ['b/net.json is drawn in net-2.svg']
    """
    for model, name in names.items():
        if Path(name).stem != stem(model):
            yield f"{model} is drawn in {name}"
