"""The commands, a file for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fxviz.cli.commands.cache import cache
from fxviz.cli.commands.compare import compare
from fxviz.cli.commands.explain import explain
from fxviz.cli.commands.info import info
from fxviz.cli.commands.listing import list_names
from fxviz.cli.commands.render import render
from fxviz.cli.commands.summary import summary
from fxviz.cli.commands.trace import trace

COMMANDS: dict[str, Callable[..., Any]] = {
    "render": render,
    "trace": trace,
    "summary": summary,
    "explain": explain,
    "compare": compare,
    "info": info,
    "list": list_names,
    "cache": cache,
}
"""In the order in which the help shows them."""
