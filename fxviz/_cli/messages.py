"""How a command tells: errors in one line with an exit status, patience while torch works."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import typer

from fxviz._cli import streams
from fxviz._cli.signals import leaving_at_once
from fxviz._errors import FxvizError
from fxviz.quoting import printable


@contextmanager
def reported(debug: bool) -> Iterator[None]:
    """Turn an error into one line and an exit status."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except typer.Exit:
        raise
    except BaseException as error:
        if debug:
            streams.tell(traceback.format_exc())
        raise typer.Exit(complain(*said_of(error))) from None


def said_of(error: BaseException) -> tuple[str, int]:
    """What is said of an error, and the exit status.

    >>> said_of(FxvizError("no such thing")), said_of(ValueError("odd"))[0]
    (('no such thing', 1), 'internal error: ValueError: odd; run again with --debug for the traceback')
    """
    if isinstance(error, FxvizError):
        return str(error), error.exit_status
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"internal error: {said}; run again with --debug for the traceback", 1


def complain(message: str, status: int) -> int:
    """Say on standard error what went wrong, and hand back the exit status."""
    say(f"fxviz: {message}")
    return status


def say(message: str) -> None:
    """One line on standard error."""
    streams.tell(one_line(message) + "\n")


def one_line(message: str) -> str:
    r"""A message as one line that cannot move the cursor.

    >>> one_line("a\n  b\x1b[2J")
    'a b\\x1b[2J'
    """
    return printable(" ".join(message.split()))


@contextmanager
def patience(text: str, quiet: bool = False) -> Iterator[None]:
    """While torch works: a spinner on a terminal, nothing anywhere else, and Ctrl-C ends the process at once."""
    with leaving_at_once(), _spinner(text, quiet):
        yield


def _spinner(text: str, quiet: bool) -> AbstractContextManager[object]:
    if quiet or not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console
    from rich.markup import escape

    return Console(stderr=True).status(escape(f"{one_line(text)} ..."))
