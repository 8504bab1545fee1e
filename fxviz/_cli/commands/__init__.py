"""List the commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fxviz._cli.commands.cache import manage_cache
from fxviz._cli.commands.compare import compare
from fxviz._cli.commands.render import render, trace
from fxviz._cli.commands.report import explain, info, list_names, skips, summary

COMMANDS: dict[str, Callable[..., Any]] = {
    "render": render,
    "trace": trace,
    "summary": summary,
    "skips": skips,
    "explain": explain,
    "compare": compare,
    "info": info,
    "list": list_names,
    "cache": manage_cache,
}
"""The commands by name, in the order in which the help lists them."""
