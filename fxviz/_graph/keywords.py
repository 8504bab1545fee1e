"""Give functions the options as keywords, and check these.

The fields of the options, with their defaults, are in :mod:`fxviz._graph.options`; here they are named once more for
type checkers.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from fxviz._graph.errors import UsageError, choice, shown
from fxviz._graph.options import Arrangement, Direction, Palette, RenderOptions, Style, Theme, TraceOptions

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Options = TypeVar("_Options", TraceOptions, RenderOptions)


class TraceKeywords(TypedDict, total=False):
    """The fields of :class:`TraceOptions` as keywords of functions, for type checkers."""

    batch: int | None
    train: bool
    leaf: str | Sequence[str]
    root: str
    method: str
    device: str
    time: bool
    partial: bool
    isolated: bool
    weights: str | Path | None
    download: bool


class RenderKeywords(TypedDict, total=False):
    """The fields of :class:`RenderOptions` as keywords of functions, for type checkers."""

    theme: Theme
    style: Style
    width: str | None
    height: str | None
    layout: Arrangement
    palette: Palette
    color_by: str
    depth: int | None
    expand: str | Sequence[str]
    collapse: str | Sequence[str]
    repeats: bool
    direction: Direction
    title: str | None
    header: bool
    legend: bool
    engine: str | None


class FigureKeywords(RenderKeywords, TraceKeywords, total=False):
    """The keywords of :func:`fxviz.render`: how a model is run, and how its figure is drawn."""


def takes(*options: type[TraceOptions] | type[RenderOptions]) -> Callable[[_Function], _Function]:
    """Add the fields of options to a function's signature as keywords, and refuse unknown keywords in calls."""
    keywords = {each.name: each for kind in options for each in fields(kind)}

    def decorate(function: _Function) -> _Function:
        signature = inspect.signature(function)
        parameters = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        own = {each.name for each in parameters}
        parameters += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type)
            for name, each in keywords.items()
        ]

        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            for name in kwargs:
                if name not in own and name not in keywords:
                    raise unknown_keyword(function.__name__, name, sorted(own | keywords.keys()))
            return function(*args, **kwargs)

        checked.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return checked  # type: ignore[return-value]

    return decorate


def options_from(kind: type[_Options], keywords: Mapping[str, Any], options: _Options | None = None) -> _Options:
    """Return the options that keywords set, on top of those given as a value."""
    if options is not None and not isinstance(options, kind):
        raise UsageError(f"invalid options {shown(repr(options))}: must be a {kind.__name__}")
    names = {each.name for each in fields(kind)}
    known = {name: value for name, value in keywords.items() if name in names}
    return kind(**known) if options is None else replace(options, **known)


def unknown_keyword(function: str, name: str, known: Sequence[str]) -> TypeError:
    """Return the error for a keyword that a function does not take.

    >>> print(unknown_keyword("render", "themes", ["theme", "style"]))
    render() got an unexpected keyword argument 'themes'; did you mean theme?
    """
    near = get_close_matches(name, known, n=1, cutoff=0.75)
    hint = f"; did you mean {near[0]}?" if near else f": choose {choice(list(known))}"
    return TypeError(f"{function}() got an unexpected keyword argument '{name}'{hint}")
