"""How a command tells: errors in one line with an exit status, patience while torch works."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import typer

from fxviz import streams
from fxviz.errors import FxvizError
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
    except Exception as error:
        if debug:
            streams.tell(traceback.format_exc())
        raise typer.Exit(_report(error)) from None


def _report(error: Exception) -> int:
    if isinstance(error, FxvizError):
        return complain(str(error), error.exit_status)
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return complain(f"internal error: {said}; run again with --debug for the traceback", 1)


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
    """While torch works: a spinner on a terminal, nothing anywhere else, and Ctrl-C ends the process at once.

    Raised as an exception within torch's own code, Ctrl-C may end in an abort with a page of C++ frames. No file is open here.
    """
    before = signal.getsignal(signal.SIGINT)
    ours = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGINT, _leave)
    try:
        with _spinner(text, quiet):
            yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)


def _leave(*_: object) -> None:
    if sys.stderr.isatty():
        os.write(2, b"\r\x1b[2K\x1b[?25h")  # the spinner's line goes, the cursor comes back
    os._exit(130)


def _spinner(text: str, quiet: bool) -> AbstractContextManager[object]:
    if quiet or not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console
    from rich.markup import escape

    return Console(stderr=True).status(escape(f"{one_line(text)} ..."))
