"""Run ``fxviz cache``: show the trace cache, or empty it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from fxviz._cli import cache
from fxviz._cli.cache.entry import BOUND, VARIABLE, File
from fxviz._cli.messages import reported, say, write_stdout
from fxviz._cli.options import spread
from fxviz._graph.errors import FxvizError, UsageError, choice, shown
from fxviz._graph.units import memory

_ACTIONS = {"info": "read", "clear": "empty"}
"""The actions, with the verb for each in a message."""


@spread
def manage_cache(
    action: Annotated[str, typer.Argument(metavar="|".join(_ACTIONS), help="Show what is in the cache, or empty it.")],
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Show or empty the cache of library models, which spares later commands the import of torch."""
    with reported(debug):
        if action not in _ACTIONS:
            raise UsageError(f"invalid action '{shown(action)}': choose {choice(list(_ACTIONS))}")
        folder = cache.directory()
        try:
            if action == "clear":
                cache.check_folder(folder)
                say(f"removed {_counted(cache.clear(folder))} from {folder}")
            else:
                write_stdout("\n".join(_lines(folder)) + "\n")
        except cache.Distrusted as error:
            raise FxvizError(f"{error}; remove it yourself, or set {VARIABLE} to use another folder") from None
        except OSError as error:
            said = f"cannot {_ACTIONS[action]} the cache '{folder}': {error.strerror or error}"
            raise FxvizError(f"{said}; set {VARIABLE} to use another folder") from error


def _lines(folder: Path) -> Iterator[str]:
    yield f"folder: {folder}"
    if reason := _why_unused(folder):
        yield reason
    yield f"content: {_counted(cache.files(folder))}, at most {memory(BOUND)}"
    for library, reason in cache.reasons().items():
        yield f"{library}: {f'not cached, as {reason}' if reason else 'cached'}"


def _why_unused(folder: Path) -> str:
    try:
        cache.check_folder(folder)
    except cache.Distrusted as error:
        return str(error)
    except OSError:  # which is said of its content
        pass
    return ""


def _counted(files: list[File]) -> str:
    noun = "entry" if len(files) == 1 else "entries"
    return f"{len(files)} {noun} ({memory(sum(file.size for file in files))})"
