"""The commands, a file for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fxviz.cli.commands.listing import list_names
from fxviz.cli.commands.render import render
from fxviz.cli.commands.trace import trace

COMMANDS: dict[str, Callable[..., Any]] = {
    "render": render,
    "trace": trace,
    "list": list_names,
}
"""In the order in which the help shows them."""
