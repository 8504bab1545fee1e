"""Options that several commands take, each described once: a dataclass holds them, :func:`spread` gives them to a command."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from fxviz._errors import UsageError, choice, shown
from fxviz._graph.options import TraceOptions
from fxviz._render.drawing import THEMES
from fxviz._render.figure import PAIRED, SUFFIXES, RenderOptions
from fxviz._sources import inputs

PAIR = "pair"
"""The theme that stands for a light and a dark file."""


def spread(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command in which each parameter that is a dataclass of options is taken apart into these options.

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
    def taken_apart(*args: Any, **kwargs: Any) -> Any:
        for name, group in groups.items():
            given = {item.name: kwargs.pop(item.name) for item in dataclasses.fields(group) if item.name in kwargs}
            kwargs[name] = group(**given)
        return command(*args, **kwargs)

    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        group = groups.get(name)
        parameters += _options(group) if group else [parameter.replace(annotation=hints[name])]
    taken_apart.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    taken_apart.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return taken_apart


def _options(group: Any) -> list[inspect.Parameter]:
    hints = inspect.get_annotations(group, eval_str=True)
    return [
        inspect.Parameter(
            item.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=item.default if item.default_factory is dataclasses.MISSING else item.default_factory(),
            annotation=hints[item.name],
        )
        for item in dataclasses.fields(group)
    ]


def output(text: str) -> Any:
    """The option that names the file to write."""
    return typer.Option("-o", "--output", metavar="FILE", help=text, show_default=False)


def option(name: str, metavar: str, text: str) -> Any:
    """An option that is left out as a rule."""
    return typer.Option(name, metavar=metavar, help=text, show_default=False)


_INPUT = (
    "What forward is called with: 3x64x64 (one image: a batch of 1 is added), 8x3x64x64, ids=1x128:int64[0,1000] "
    "by name, with dtype and range. Once for each argument."
)


NoCache = Annotated[bool, typer.Option("--no-cache", help="Neither use nor keep what is cached of library models.")]
"""The option that leaves the cache aside."""

_NOT_OF_THE_RUN = ("input", "batch", "weights", "download")
"""What is told to a model before it runs."""


@dataclass
class Run:
    """How a model is run."""

    input: Annotated[list[str], option("--input", "SPEC", _INPUT)] = field(default_factory=list)
    batch: Annotated[int | None, option("--batch", "N", "The first size of each input.")] = None
    train: Annotated[bool, typer.Option("--train", help="Run in training mode.")] = False
    leaf: Annotated[
        list[str], option("--leaf", "NAME", "Record the module of this path or class as one step. As often as needed.")
    ] = field(default_factory=list)
    root: Annotated[
        str | None, option("--root", "PATH", "Record only this submodule, with the inputs that it really receives.")
    ] = None
    device: Annotated[
        str | None, option("--device", "DEVICE", "meta (the default: no memory, no computing), cpu, cuda or cuda:N.")
    ] = None
    time: Annotated[
        bool, typer.Option("--time", help="Measure the time of each operation; needs --device cpu or cuda.")
    ] = False
    partial: Annotated[
        bool, typer.Option("--partial", help="If the model's code raises, write what ran until then; exit status 1.")
    ] = False
    weights: Annotated[
        str | None,
        option(
            "--weights",
            "FILE|NAME",
            "Load these weights: a .safetensors or .pt file, or those that the model's library publishes under this name "
            "(DEFAULT, ...), if they are on this machine.",
        ),
    ] = None
    download: Annotated[
        bool, typer.Option("--download", help="Fetch published weights that are not on this machine.")
    ] = False
    no_cache: NoCache = False

    def keywords(self) -> dict[str, Any]:
        """The same as arguments of :func:`fxviz.trace`, those that were given.

        Raises:
            UsageError: they do not fit; found before torch is imported.
        """
        given = {name: value for name, value in vars(self).items() if value not in (None, False, [])}
        given.pop("no_cache", None)
        TraceOptions(**{name: value for name, value in given.items() if name not in _NOT_OF_THE_RUN})
        if texts := given.pop("input", None):
            given["inputs"] = inputs.arguments(texts)
        if self.batch is not None:
            inputs.batched(given.get("inputs", inputs.Arguments()), self.batch)
        return given

    def remarks(self) -> list[str]:
        """What is done with an input beyond what is written, and how to write it so that it is not done."""
        images = [text for text in dict.fromkeys(self.input) if inputs.InputSpec.parse(text).is_image]
        return [
            f"input {text} is taken for one image and gets a batch axis; to keep it as written, add its dtype: {text}:float32"
            for text in images
        ]


@dataclass
class Draw:
    """How a figure is drawn."""

    theme: Annotated[
        str,
        typer.Option(
            "--theme",
            metavar="THEME",
            help="auto (follows the reader's setting), light, dark, or pair: both, in two files, with the HTML that shows one.",
        ),
    ] = "auto"
    style: Annotated[
        str,
        typer.Option(
            "--style",
            metavar="STYLE",
            help="ledger (a row for each layer), graph (a card for each), auto (by the model).",
        ),
    ] = "auto"
    color_by: Annotated[
        str,
        typer.Option(
            "--color-by", metavar="METRIC", help="What bars and shares measure: params, macs, activations, time."
        ),
    ] = "params"
    depth: Annotated[int | None, option("--depth", "N", "Draw modules nested N levels deep as one row.")] = None
    expand: Annotated[list[str], option("--expand", "PATH", "Open this module. As often as needed.")] = field(
        default_factory=list
    )
    collapse: Annotated[
        list[str], option("--collapse", "NAME", "Draw the module of this path or class as one row. As often as needed.")
    ] = field(default_factory=list)
    no_fold: Annotated[
        bool, typer.Option("--no-fold", help="Draw what repeats as often as it does, not once with its number.")
    ] = False
    direction: Annotated[
        str, typer.Option("--direction", metavar="TB|LR", help="Downwards, or to the right (style graph).")
    ] = "TB"
    title: Annotated[str | None, option("--title", "TEXT", "Stands in place of the model's name.")] = None
    no_header: Annotated[bool, typer.Option("--no-header", help="Leave out name, totals and overview.")] = False
    no_legend: Annotated[bool, typer.Option("--no-legend", help="Leave out what colours and lines mean.")] = False
    scale: Annotated[float, typer.Option("--scale", metavar="X", help="Pixels of a .png for each CSS pixel.")] = 2.0
    engine: Annotated[str | None, option("--engine", "PATH", "Another layout engine, for example dot.")] = None

    def options(self) -> RenderOptions:
        """The same as options of :func:`fxviz.render`.

        Raises:
            UsageError: they do not fit.
        """
        if self.theme not in (*THEMES, PAIR):
            raise UsageError(f"no theme '{self.theme}': choose {choice((*THEMES, PAIR))}")
        if not self.scale > 0:
            raise UsageError(f"no scale {self.scale:g}: give a number above 0, such as 2")
        return RenderOptions(
            theme="light" if self.theme == PAIR else self.theme,
            style=self.style,
            color_by=self.color_by,
            depth=self.depth,
            expand=tuple(self.expand),
            collapse=tuple(self.collapse),
            repeats=not self.no_fold,
            direction=self.direction,
            title=self.title,
            header=not self.no_header,
            legend=not self.no_legend,
            engine=self.engine,
        )


@dataclass
class Talk:
    """How much is said."""

    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing about what was written.")] = False
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False


def _formats(suffixes: Sequence[str]) -> list[str]:
    """
    >>> _formats((".svg", ".png"))
    ['svg', 'png']
    """
    return [suffix.removeprefix(".") for suffix in suffixes]


_FORMS = _formats(SUFFIXES)


@dataclass
class Many:
    """How many figures are drawn."""

    form: Annotated[
        str | None, option("--format", "FORMAT", f"The form of figures in a folder: {choice(_FORMS)}. Default: svg.")
    ] = None
    jobs: Annotated[
        int | None,
        option(
            "--jobs", "N", "Draw several models in so many processes. Default: by their number and the machine's cores."
        ),
    ] = None
    dask: Annotated[
        str | None, option("--dask", "ADDRESS", "Draw on the Dask cluster whose scheduler is at this address.")
    ] = None

    def check(self, draw: Draw) -> None:
        """Find out before the work starts whether the options fit.

        Raises:
            UsageError: there is no such form or number, or two options do not go together.
        """
        if self.jobs is not None and self.jobs < 1:
            raise UsageError(f"no --jobs {self.jobs}: give a whole number from 1 on")
        if self.jobs is not None and self.dask is not None:
            raise UsageError(
                "--jobs counts processes of this machine, and --dask takes those of a cluster: leave one out"
            )
        what, forms = ("format of a pair", _formats(PAIRED)) if draw.theme == PAIR else ("format", _FORMS)
        if self.form is not None and self.form not in forms:
            raise UsageError(f"no {what} '{shown(self.form)}': choose {choice(forms)}")

    @property
    def suffix(self) -> str:
        """Of each file."""
        return f".{self.form or 'svg'}"
