"""Declare the options of fxviz, each once: default, check, keyword in Python, flag on the command line.

A new option is one field here (with its entry in the keywords below it, for type checkers) and one use. The command
line makes its flags from the fields (:mod:`fxviz._cli.options`), :func:`fxviz.trace` and :func:`fxviz.render` their
keywords.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

from fxviz._graph.errors import UsageError, choice, shown
from fxviz._graph.metrics import METRICS

Theme = Literal["auto", "light", "dark"]
Style = Literal["auto", "ledger", "graph"]
Direction = Literal["TB", "LR"]


def option(default: Any, help: str, *, flag: str = "", metavar: str = "") -> Any:
    """Declare an option as a field of a dataclass.

    Args:
        default: its value where it is not given; a list of texts where it may be given several times.
        help: one sentence for ``--help``.
        flag: its name on the command line, if that is not its own name; of an option that is on, the one that turns it
            off.
        metavar: the placeholder of its value in ``--help``; "" for a switch.
    """
    return field(default=default, metadata={"help": help, "flag": flag, "metavar": metavar})


@dataclass(frozen=True)
class TraceOptions:
    """Options of building and running a model.

    Attributes:
        batch: the first size of each input that is not given as a tensor.
        train: run in training mode, so that what only runs there appears (googlenet's auxiliary classifiers).
        leaf: modules that are one node each, by dotted path ("layer1.0") or class ("BasicBlock", "models.BasicBlock").
        root: dotted path of the submodule to record instead of the whole model, as the model calls it.
        device: "meta" (fake tensors: nothing is allocated or computed), "cpu", "cuda" or "cuda:N".
        time: measure the time of each node on ``device``, which must not be "meta": the median of several runs, in
            seconds.
        partial: where the model's code raises, keep what ran until then; ``graph.trace.failure`` says what happened.
        weights: weights to load into the model, so that sizes and dtypes are those of the file: a checkpoint
            (``.safetensors``, or ``.pt`` of which only tensors are unpickled), or the name of weights that the model's
            library publishes and that are on this machine ("DEFAULT", "IMAGENET1K_V2", a tag of timm, a hub
            repository).
        download: fetch published weights that are not on this machine.

    Raises:
        UsageError: an option has an invalid value, or two options conflict.

    >>> TraceOptions(device="gpu")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: invalid device 'gpu': choose meta, cpu, cuda or cuda:N
    """

    batch: int | None = option(None, "The first size of each input.", metavar="N")
    train: bool = option(False, "Run in training mode.")
    leaf: Sequence[str] = option((), "Record the module of this path or class as one step. Repeatable.", metavar="NAME")
    root: str = option("", "Record only this submodule, with the inputs that the model gives it.", metavar="PATH")
    device: str = option("meta", "meta (no memory, no computing), cpu, cuda or cuda:N.", metavar="DEVICE")
    time: bool = option(False, "Measure the time of each operation; needs --device cpu or cuda.")
    partial: bool = option(False, "If the model's code raises, write what ran until then; exit status 1.")
    weights: str | Path | None = option(
        None,
        "Load these weights: a .safetensors or .pt file, or the name of weights that the model's library publishes "
        "(DEFAULT, ...) and that are on this machine.",
        metavar="FILE|NAME",
    )
    download: bool = option(False, "Download published weights that are not on this machine.")

    def __post_init__(self) -> None:
        object.__setattr__(self, "leaf", _texts(self.leaf))
        object.__setattr__(self, "root", self.root or "")
        object.__setattr__(self, "weights", None if self.weights is None else str(self.weights))
        _check_device(self.device)
        check_count("batch", self.batch)
        if self.time and self.device == "meta":
            raise UsageError("cannot time on the device meta, which computes nothing: choose the device cpu or cuda")
        if self.time and self.partial:
            raise UsageError("cannot time a partial run: choose either time or partial")


class TraceKeywords(TypedDict, total=False):
    """The fields of :class:`TraceOptions` as keywords of functions, for type checkers."""

    batch: int | None
    train: bool
    leaf: str | Sequence[str]
    root: str
    device: str
    time: bool
    partial: bool
    weights: str | Path | None
    download: bool


@dataclass(frozen=True)
class RenderOptions:
    """Options of drawing a figure.

    Attributes:
        theme: "light", "dark", or "auto", which follows the reader's setting.
        style: "ledger" (a table with arcs), "graph" (a card for each layer, branches side by side), or "auto": the
            graph where parallel branches are the point of the model.
        color_by: the metric of bars, colours and shares: "params", "macs", "activations" or "time".
        depth: modules nested this many levels deep are one row each; None: as deep as fits a page.
        expand: paths of modules to open, whatever the depth.
        collapse: paths or classes of modules that are one row each.
        repeats: draw repeated blocks once, with their number.
        direction: "TB" from top to bottom, "LR" from left to right (style "graph").
        title: a text in place of the model's name.
        header: show name, totals and overview.
        legend: explain colours and lines.
        engine: the layout engine, a program's name or path; None: the one that comes with fxviz, else ``dot``.

    Raises:
        UsageError: an option has an invalid value, or two options conflict.

    >>> RenderOptions(theme="sepia")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: invalid theme 'sepia': choose auto, light or dark
    """

    theme: Theme = option("auto", "auto (follows the reader's setting), light, dark.", metavar="THEME")
    style: Style = option(
        "auto", "ledger (a row for each layer), graph (a card for each), auto (by the model).", metavar="STYLE"
    )
    color_by: str = option("params", f"The metric of bars and shares: {', '.join(METRICS)}.", metavar="METRIC")
    depth: int | None = option(None, "Draw modules nested N levels deep as one row.", metavar="N")
    expand: Sequence[str] = option((), "Open this module. Repeatable.", metavar="PATH")
    collapse: Sequence[str] = option(
        (), "Draw the module of this path or class as one row. Repeatable.", metavar="NAME"
    )
    repeats: bool = option(True, "Draw every repetition of a block, not one with its number.", flag="--no-fold")
    direction: Direction = option("TB", "Downwards, or to the right (style graph).", metavar="TB|LR")
    title: str | None = option(None, "A text in place of the model's name.", metavar="TEXT")
    header: bool = option(True, "Leave out name, totals and overview.", flag="--no-header")
    legend: bool = option(True, "Leave out the legend.", flag="--no-legend")
    engine: str | None = option(None, "Another layout engine, for example dot.", metavar="PATH")

    def __post_init__(self) -> None:
        object.__setattr__(self, "expand", _texts(self.expand))
        object.__setattr__(self, "collapse", _texts(self.collapse))
        check_choice("theme", self.theme, get_args(Theme))
        check_choice("style", self.style, get_args(Style))
        check_choice("metric", self.color_by, tuple(METRICS))
        check_choice("direction", self.direction, get_args(Direction))
        check_count("depth", self.depth)
        if self.direction == "LR" and self.style == "ledger":
            raise UsageError("a ledger runs from top to bottom: choose the style graph for the direction LR")
        if self.engine is not None and shutil.which(self.engine) is None:
            raise UsageError(
                f"unknown layout engine '{self.engine}': give the path of a 'dot' program, or leave the option out"
            )

    @property
    def may_be_large(self) -> bool:
        """Return whether the caller chose what is opened, so that the figure need not fit a page."""
        return self.depth is not None or bool(self.expand) or not self.repeats

    def check_difference(self) -> None:
        """Refuse a style that cannot show a difference.

        Raises:
            UsageError: the style is not the ledger.
        """
        if self.style == "graph" or self.direction == "LR":
            raise UsageError("a difference is drawn as a ledger, from top to bottom: leave out style and direction")


class RenderKeywords(TypedDict, total=False):
    """The fields of :class:`RenderOptions` as keywords of functions, for type checkers."""

    theme: Theme
    style: Style
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


def given(options: TraceOptions | RenderOptions) -> dict[str, Any]:
    """Return the options that differ from their defaults, by name.

    >>> given(TraceOptions(device="cpu", leaf=["Attention"]))
    {'leaf': ('Attention',), 'device': 'cpu'}
    """
    return {
        each.name: getattr(options, each.name)
        for each in fields(options)
        if each.default is MISSING or getattr(options, each.name) != each.default
    }


def unknown_keyword(function: str, name: str, known: Sequence[str]) -> TypeError:
    """Return the error for a keyword that a function does not take.

    >>> print(unknown_keyword("render", "themes", ["theme", "style"]))
    render() got an unexpected keyword argument 'themes'; did you mean theme?
    """
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else f": choose {choice(list(known))}"
    return TypeError(f"{function}() got an unexpected keyword argument '{name}'{hint}")


def _check_device(device: object) -> None:
    if not isinstance(device, str) or not re.fullmatch(r"meta|cpu|cuda(:[0-9]{1,9})?", device):
        raise UsageError(f"invalid device '{device}': choose meta, cpu, cuda or cuda:N")


def check_choice(what: str, given: object, allowed: Sequence[str]) -> None:
    """Refuse a value that is not among those allowed.

    >>> check_choice("format", "pdf", ("text", "markdown"))
    Traceback (most recent call last):
    ...
    fxviz.UsageError: invalid format 'pdf': choose text or markdown
    """
    if given not in allowed:
        raise UsageError(f"invalid {what} '{shown(str(given))}': choose {choice(list(allowed))}")


def check_count(what: str, given: object) -> None:
    """Refuse anything but a whole number, 1 or greater, or None.

    >>> check_count("depth", 0)
    Traceback (most recent call last):
    ...
    fxviz.UsageError: invalid depth 0: must be a whole number, 1 or greater
    """
    if given is not None and (not isinstance(given, int) or isinstance(given, bool) or given < 1):
        raise UsageError(f"invalid {what} {given!r}: must be a whole number, 1 or greater")


def _texts(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return one text or several as a tuple."""
    return (given,) if isinstance(given, str) else tuple(given)
