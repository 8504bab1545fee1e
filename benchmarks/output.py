"""Print a table on standard output."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from fxviz._report.tables import Table, written

Markdown = Annotated[bool, typer.Option("--markdown", help="Print Markdown.")]


def show(table: Table, markdown: bool) -> None:
    """Print a table: fitted to the terminal, unabridged where there is none, or as Markdown."""
    console = Console()
    width = console.width if console.is_terminal else None
    print(
        written(table, "markdown") if markdown else written(table, "table", width, styled=console.is_terminal), end=""
    )
