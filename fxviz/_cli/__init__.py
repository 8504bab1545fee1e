"""The commands: arguments, progress, and what goes to which stream with which exit status.

Exit status 0: done. 1: it could not be done. 2: what was asked for does not exist or does not fit. 130: Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from fxviz._cli import streams
from fxviz._cli.application import app
from fxviz._cli.messages import complain
from fxviz._errors import FxvizError, UsageError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    >>> main(["--version"])  # doctest: +ELLIPSIS
    fxviz ...
    0
    """
    streams.open_closed()
    try:
        status = _run(sys.argv[1:] if argv is None else list(argv))
        streams.give("")
    except FxvizError as error:
        status = complain(str(error), error.exit_status)
    streams.tell("")
    return status


def _run(arguments: list[str]) -> int:
    command = typer.main.get_command(app)
    try:
        status = command.main(args=list(arguments), prog_name="fxviz", standalone_mode=False)
    except typer.Abort:
        return 130
    except OSError:
        streams.give("")  # the rest of the help: says that it cannot get out
        raise
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        raise UsageError(_usage(error, arguments)) from error
    return status if isinstance(status, int) else 0


def _usage(error: object, arguments: Sequence[str]) -> str:
    """What the parser has to say about wrong arguments, and where to read on."""
    message = error.format_message()  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    where = context.command_path if context else " ".join(("fxviz", *arguments[:1]))
    return f"{message[:1].lower()}{message[1:].rstrip('.')}; see '{where} --help'"
