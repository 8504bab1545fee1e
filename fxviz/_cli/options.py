"""Declare the options that commands share, and make flags from dataclasses of options."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from fxviz._graph.errors import UsageError, choice
from fxviz._graph.options import (
    RenderOptions,
    Theme,
    TraceOptions,
    check_choice,
    check_count,
    check_scale,
    choices_of,
    flag_of,
)
from fxviz._render.figure import PAIRED, SUFFIXES
from fxviz._sources import inputs
from fxviz._sources.reference import Reference

PAIR = "pair"
"""The theme for a light and a dark file."""


def spread(command: Callable[..., Any]) -> Callable[..., Any]:
    """Replace each parameter of a command that is a dataclass of options by one parameter for each option.

    >>> @dataclass
    ... class Size:
    ...     width: Annotated[int, typer.Option("--width")] = 1
    >>> @spread
    ... def draw(name: str, size: Size): return name, size
    >>> draw("a", width=2)
    ('a', Size(width=2))
    """
    hints = inspect.get_annotations(command, eval_str=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}

    @functools.wraps(command)
    def with_groups(*args: Any, **kwargs: Any) -> Any:
        return command(*args, **{name: _gathered(group, kwargs) for name, group in groups.items()}, **kwargs)

    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        group = groups.get(name)
        parameters += _parameters(group) if group else [parameter.replace(annotation=hints[name])]
    with_groups.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_groups.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_groups


def _gathered(group: Any, kwargs: dict[str, Any]) -> Any:
    """Make the dataclass of options from the arguments that belong to it, which are removed from ``kwargs``."""
    hints = inspect.get_annotations(group, eval_str=True)
    each: dict[str, Any] = {}
    inner = []
    for item in dataclasses.fields(group):
        if dataclasses.is_dataclass(hints[item.name]):
            inner.append(item.name)
        elif (name := _parameter_name(item)) in kwargs:
            value = kwargs.pop(name)
            each[item.name] = not value if _is_turned_off(item) else value
    return group(**each, **{name: _gathered(hints[name], kwargs) for name in inner})


def _parameters(group: Any) -> list[inspect.Parameter]:
    """Return a parameter for each option; one of the group itself replaces one of that name in a nested group."""
    hints = inspect.get_annotations(group, eval_str=True)
    found: list[inspect.Parameter] = []
    own = {item.name for item in dataclasses.fields(group)}
    for item in dataclasses.fields(group):
        if dataclasses.is_dataclass(hints[item.name]):
            found += [each for each in _parameters(hints[item.name]) if each.name not in own]
        else:
            default = item.default if item.default_factory is dataclasses.MISSING else item.default_factory()
            annotation = _flag(item, hints[item.name]) if item.metadata else hints[item.name]
            default = list(default) if isinstance(default, tuple) else False if _is_turned_off(item) else default
            name, kind = _parameter_name(item), inspect.Parameter.KEYWORD_ONLY
            found.append(inspect.Parameter(name, kind, default=default, annotation=annotation))
    return found


def _flag(item: dataclasses.Field[Any], hint: Any) -> Any:
    """Make the flag of an option that :func:`fxviz._graph.options.option` declares."""
    name = flag_of(item)
    kind = hint
    if isinstance(item.default, tuple):
        kind = list[str]
    elif choices_of(hint) or Path in get_args(hint):
        kind = str if item.default is not None else str | None
    if not item.metadata["metavar"]:
        return Annotated[bool, typer.Option(name, help=item.metadata["help"])]
    has_default = item.default not in (None, "", ())
    return Annotated[
        kind, typer.Option(name, metavar=item.metadata["metavar"], help=item.metadata["help"], show_default=has_default)
    ]


def _is_turned_off(item: dataclasses.Field[Any]) -> bool:
    """Return whether the flag turns an option off that is on."""
    return item.default is True


def _parameter_name(item: dataclasses.Field[Any]) -> str:
    return item.metadata["flag"].removeprefix("--").replace("-", "_") if item.metadata.get("flag") else item.name


def output(text: str) -> Any:
    """Declare the option that names the file to write."""
    return typer.Option("-o", "--output", metavar="FILE", help=text, show_default=False)


def option(name: str, metavar: str, text: str) -> Any:
    """Declare an option without a default."""
    return typer.Option(name, metavar=metavar, help=text, show_default=False)


_INPUT = (
    "An input of forward: 3x64x64 (one image: a batch of 1 is added), 8x3x64x64, ids=1x128:int64[0,1000] "
    "by name, with dtype and range; data.image=1x1x64x64 and x[0]=1x8 inside a dict and a list. Repeatable."
)
_ARG = "A plain value for forward: flag=True, mode='\"fast\"', batch.sizes=[8, 16]. Repeatable."

NoCache = Annotated[bool, typer.Option("--no-cache", help="Ignore the trace cache.")]
"""The option that ignores the trace cache."""


@dataclass(frozen=True)
class Run:
    """Flags of building and running a model.

    Attributes:
        input: the inputs of forward, as written.
        arg: the arguments of forward that are no tensors, as written.
        trace: the options of :func:`fxviz.trace`.
        no_cache: ignore the cache.
    """

    input: Annotated[list[str], option("--input", "SPEC", _INPUT)] = field(default_factory=list)
    arg: Annotated[list[str], option("--arg", "NAME=VALUE", _ARG)] = field(default_factory=list)
    trace: TraceOptions = field(default_factory=TraceOptions)
    no_cache: NoCache = False

    def check(self, models: Sequence[Reference]) -> None:
        """Refuse inputs and options of models that are to be traced, before torch is imported and anything is written.

        Raises:
            UsageError: an input cannot be read, or two options conflict.
        """
        self.readings()
        if not all(model.is_graph for model in models):
            self.trace.check_together()
        elif self.no_cache and models:
            message = "is traced already: leave out --no-cache, or trace the model again with it"
            raise UsageError(f"'{models[0]}' {message}")

    def readings(self) -> list[inputs.Reading]:
        """Return the ways to understand the inputs of forward, the most likely one first.

        Raises:
            UsageError: one cannot be read, or does not fit the batch; found before torch is imported.
        """
        found = inputs.readings(self.input, self.arg)
        if self.trace.batch is not None:
            inputs.batched(found[0].arguments or inputs.Arguments(), self.trace.batch)
            return found[:1]  # a batch size belongs to a batch axis
        return found


@dataclass(frozen=True)
class Draw:
    """Flags of drawing a figure.

    Attributes:
        theme: one of those of :class:`fxviz.RenderOptions`, or "pair".
        render: the options of :func:`fxviz.render`, with the theme light for a pair.
        scale: pixels of a .png for each CSS pixel.
    """

    theme: Annotated[
        str,
        typer.Option(
            "--theme",
            metavar="THEME",
            help="auto (follows the reader's setting), light, dark, or pair: two files and the HTML that shows one.",
        ),
    ] = "auto"
    render: RenderOptions = field(default_factory=RenderOptions)
    scale: Annotated[float, typer.Option("--scale", metavar="X", help="Pixels of a .png for each CSS pixel.")] = 2.0

    def __post_init__(self) -> None:
        check_choice("--theme", self.theme, (*get_args(Theme), PAIR))
        check_scale(self.scale)
        theme: Any = "light" if self.is_pair else self.theme
        object.__setattr__(self, "render", dataclasses.replace(self.render, theme=theme))

    @property
    def is_pair(self) -> bool:
        """Return whether the figure is written to two files, a light and a dark one."""
        return self.theme == PAIR


@dataclass(frozen=True)
class Talk:
    """Flags of reporting."""

    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Do not report what was written.")] = False
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False


def _formats(suffixes: Sequence[str]) -> list[str]:
    return [suffix.removeprefix(".") for suffix in suffixes]


_FORMS = _formats(SUFFIXES)


@dataclass(frozen=True)
class Many:
    """Flags of drawing several models."""

    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="Draw several models in one figure at one scale, for print.")
    ] = False
    form: Annotated[
        str | None, option("--format", "FORMAT", f"The form of figures in a folder: {choice(_FORMS)}. Default: svg.")
    ] = None
    jobs: Annotated[
        int | None,
        option("--jobs", "N", "Draw several models in N processes. Default: by their number and the machine's cores."),
    ] = None
    dask: Annotated[
        str | None, option("--dask", "ADDRESS", "Draw on the Dask cluster whose scheduler is at this address.")
    ] = None

    def check(self, draw: Draw) -> None:
        """Refuse invalid options before the work starts.

        Raises:
            UsageError: the form or the number is invalid, or two options conflict.
        """
        if self.side_by_side:
            draw.render.check_side_by_side()
        check_count("--jobs", self.jobs)
        if self.jobs is not None and self.dask is not None:
            raise UsageError("choose either --jobs, processes of this machine, or --dask, those of a cluster")
        what, forms = ("--format of a pair", _formats(PAIRED)) if draw.is_pair else ("--format", _FORMS)
        if self.side_by_side and (self.jobs is not None or self.dask is not None or self.form is not None):
            raise UsageError("--side-by-side draws one figure: leave out --jobs, --dask and --format")
        if self.form is not None:
            check_choice(what, self.form, forms)

    @property
    def suffix(self) -> str:
        """Return the suffix of each file."""
        return f".{self.form or 'svg'}"
