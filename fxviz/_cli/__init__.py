"""Run the command line: find the command, and turn errors into messages and exit statuses.

Exit status 0: success. 1: failure. 2: the request names something that does not exist or does not fit. 130: Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fxviz._cli.commands import COMMANDS
from fxviz._cli.messages import complain_of, give_up_stdout, open_closed_streams, write_stderr, write_stdout
from fxviz._graph.errors import FxvizError, UsageError, choice, shown


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    >>> main(["--version"])  # doctest: +ELLIPSIS
    fxviz ...
    0
    """
    open_closed_streams()
    try:
        status = _run(sys.argv[1:] if argv is None else list(argv))
        write_stdout("")
    except FxvizError as error:
        status = complain_of(error)
    write_stderr("")
    return status


def _run(arguments: list[str]) -> int:
    command = typer.main.get_command(app)
    try:
        status = command.main(args=list(arguments), prog_name="fxviz", standalone_mode=False)
    except typer.Abort:
        return 130
    except OSError as error:  # of a help text: commands report their own errors
        give_up_stdout(error)
        return 0
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        raise UsageError(_usage(error, arguments)) from error
    return status if isinstance(status, int) else 0


def _usage(error: object, arguments: Sequence[str]) -> str:
    """Return the message for wrong arguments, with the command whose help explains them."""
    message = error.format_message()  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    where = context.command_path if context else " ".join(("fxviz", *arguments[:1]))
    flags = getattr(getattr(error, "param", None), "opts", [])
    kind = next((words for words in _NUMBERS if words in message), None)
    if flags and kind:
        return f"invalid {flags[-1]} '{shown(_value_of(flags, arguments))}': must be {_NUMBERS[kind]}"
    return f"{message[:1].lower()}{message[1:].rstrip('.')}; see '{where} --help'"


_NUMBERS = {"valid integer": "a whole number", "valid number": "a number"}
"""The parser's words for a wrong number, and ours."""


def _value_of(flags: Sequence[str], arguments: Sequence[str]) -> str:
    """Return the last value that was given for a flag."""
    values = [value for flag, value in pairwise(arguments) if flag in flags]
    parted = [argument.partition("=") for argument in arguments]
    values += [value for flag, sign, value in parted if sign and flag in flags]
    return values[-1] if values else ""


class Commands(TyperGroup):
    """The group of commands: lists them in the order of their declaration, and suggests one for an unknown name."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None:
            near = get_close_matches(args[0], self.commands, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose {choice(list(self.commands))}"
            raise UsageError(f"unknown command '{shown(args[0])}': {hint}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="fxviz",
    cls=Commands,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Draw a PyTorch model as one figure: where its parameters are, and its skip connections."""
    if version:
        from fxviz import __version__

        write_stdout(f"fxviz {__version__}\n")
        raise typer.Exit()
    if context.invoked_subcommand is None:
        write_stdout(f"{context.get_help()}\n")


for name, command in COMMANDS.items():
    app.command(name=name)(command)
