"""The application: what ``fxviz`` is without a command, and which commands there are."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fxviz._cli import streams
from fxviz._cli.commands import COMMANDS
from fxviz._errors import UsageError, choice


class Commands(TyperGroup):
    """The commands, in the order they are written here; a wrong one gets near names."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None:
            near = get_close_matches(args[0], self.commands, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose {choice(list(self.commands))}"
            raise UsageError(f"no command '{args[0]}': {hint}")
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

        streams.give(f"fxviz {__version__}\n")
        raise typer.Exit()
    if context.invoked_subcommand is None:
        streams.give(f"{context.get_help()}\n")


for name, command in COMMANDS.items():
    app.command(name=name)(command)
