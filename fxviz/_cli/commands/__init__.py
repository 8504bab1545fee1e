"""The commands, a file for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fxviz._cli.commands.cache import cache
from fxviz._cli.commands.compare import compare
from fxviz._cli.commands.explain import explain
from fxviz._cli.commands.info import info
from fxviz._cli.commands.listing import list_names
from fxviz._cli.commands.render import render
from fxviz._cli.commands.report import summary
from fxviz._cli.commands.trace import trace

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
