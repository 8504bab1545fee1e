"""Declare the options of fxviz, each once: default, check, keyword in Python, flag on the command line.

A new option is one field here (with its entry in :mod:`fxviz._graph.keywords`, for type checkers) and one use. The
command line makes its flags from the fields (:mod:`fxviz._cli.options`), :func:`fxviz.trace` and :func:`fxviz.render`
their keywords.
"""

from __future__ import annotations

import inspect
import re
import shutil
from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from fxviz._graph.errors import UsageError, choice, shown, spelled
from fxviz._graph.metrics import METRICS

Theme = Literal["auto", "light", "dark"]
Style = Literal["auto", "ledger", "graph", "paper"]
RowStyle = Literal["auto", "ledger", "graph"]
"""The styles that show layers or blocks as rows or cards."""
Palette = Literal["color", "gray"]
Arrangement = Literal["auto", "stages", "column", "table", "U", "ladder", "lanes", "encoder-decoder", "grid"]
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


class Options:
    """Base class of options: each field is checked by its type when the value is made."""

    def __post_init__(self) -> None:
        hints = inspect.get_annotations(type(self), eval_str=True)
        for item in fields(self):  # type: ignore[arg-type]
            value = _checked(name_in_messages(item), getattr(self, item.name), hints[item.name])
            object.__setattr__(self, item.name, value)

    def __repr__(self) -> str:
        """Show the options that differ from their defaults.

        >>> RenderOptions(theme="dark"), RenderOptions()
        (RenderOptions(theme='dark'), RenderOptions())
        """
        changed = (item for item in fields(self) if getattr(self, item.name) != item.default)  # type: ignore[arg-type]
        said = (f"{item.name}={getattr(self, item.name)!r}" for item in changed)
        return f"{type(self).__name__}({', '.join(said)})"


def flag_of(item: Field[Any]) -> str:
    """Return the flag of an option on the command line."""
    return str(item.metadata.get("flag") or f"--{item.name.replace('_', '-')}")


def name_in_messages(item: Field[Any]) -> str:
    """Return the name of an option in messages: its keyword in Python, its flag on the command line."""
    return spelled(item.name, flag_of(item))


def choices_of(hint: Any) -> tuple[Any, ...]:
    """Return the values of a Literal type, also of one that may be None; () for another type.

    >>> choices_of(Literal["a", "b"] | None), choices_of(str | None)
    (('a', 'b'), ())
    """
    literal = next((each for each in (hint, *get_args(hint)) if get_origin(each) is Literal), None)
    return get_args(literal)


def _checked(name: str, value: Any, hint: Any) -> Any:
    """Return the value of an option, or refuse it if it is not of the declared type."""
    if value is None and NoneType in get_args(hint):
        return None
    if choices := choices_of(hint):
        check_choice(name, value, choices)
    elif hint is bool:
        if not isinstance(value, bool):
            raise UsageError(f"invalid {name} {_short(value)}: choose True or False")
    elif int in get_args(hint):
        check_count(name, value)
    elif get_origin(hint) is Sequence:
        texts = (value,) if isinstance(value, str) else value
        if not isinstance(texts, (tuple, list)) or not all(isinstance(each, str) for each in texts):
            raise UsageError(f"invalid {name} {_short(value)}: must be a string or a list of strings")
        return tuple(texts)
    elif not isinstance(value, hint):
        raise UsageError(f"invalid {name} {_short(value)}: must be a string")
    return value


def _short(value: object) -> str:
    return shown(repr(value))


@dataclass(frozen=True, repr=False)
class TraceOptions(Options):
    """Options of building and running a model.

    Attributes:
        batch: the first size of each input that is not given as a tensor.
        train: run in training mode, so that what only runs there appears (googlenet's auxiliary classifiers).
        leaf: modules that are one node each, by dotted path ("layer1.0") or class ("BasicBlock", "models.BasicBlock").
        root: dotted path of the submodule to record instead of the whole model, as the model calls it.
        method: the method of the model to run in place of forward ("encode", "log_prob"), with the inputs.
        device: "meta" (fake tensors: nothing is allocated or computed), "cpu", "cuda" or "cuda:N".
        time: measure the time of each node on ``device``, which must not be "meta": the median of several runs, in
            seconds.
        partial: where the model's code raises, keep what ran until then; ``graph.trace.failure`` says what happened.
        isolated: run in a process of its own, of which only the graph comes home: nothing that the model's code does
            can stay in this process. It takes a model by its name or file, or a module that can be pickled.
        weights: weights to load into the model, so that sizes and dtypes are those of the file: a checkpoint
            (``.safetensors``, or ``.pt`` of which only tensors are unpickled), or the name of weights that the model's
            library publishes and that are on this machine ("DEFAULT", "IMAGENET1K_V2", a tag of timm, a hub
            repository).
        download: fetch published weights and files that a configuration names, if they are not on this machine.

    Raises:
        UsageError: an option has an invalid value.

    >>> TraceOptions(device="gpu")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: invalid device 'gpu': choose meta, cpu, cuda or cuda:N
    """

    batch: int | None = option(None, "The first size of each input.", metavar="N")
    train: bool = option(False, "Run in training mode.")
    leaf: Sequence[str] = option((), "Record the module of this path or class as one step. Repeatable.", metavar="NAME")
    root: str = option("", "Record only this submodule, with the inputs that the model gives it.", metavar="PATH")
    method: str = option("", "Run this method of the model in place of forward.", metavar="NAME")
    device: str = option("meta", "meta (no memory, no computing), cpu, cuda or cuda:N.", metavar="DEVICE")
    time: bool = option(False, "Measure the time of each operation; needs --device cpu or cuda.")
    partial: bool = option(False, "If the model's code raises, write what ran until then; exit status 1.")
    isolated: bool = option(False, "Run in a process of its own, so that nothing of it stays in this one.")
    weights: str | Path | None = option(
        None,
        "Load these weights: a .safetensors or .pt file, or the name of weights that the model's library publishes "
        "(DEFAULT, ...) and that are on this machine.",
        metavar="FILE|NAME",
    )
    download: bool = option(False, "Download what is not on this machine: weights, and what a configuration names.")

    def __post_init__(self) -> None:
        if type(self.device).__module__ == "torch":  # a torch.device
            object.__setattr__(self, "device", str(self.device))
        super().__post_init__()
        object.__setattr__(self, "method", "" if self.method == "forward" else self.method)
        object.__setattr__(self, "weights", None if self.weights is None else str(self.weights))
        if not re.fullmatch(r"meta|cpu|cuda(:[0-9]{1,9})?", self.device):
            name = spelled("device", "--device")
            raise UsageError(f"invalid {name} '{shown(self.device)}': choose meta, cpu, cuda or cuda:N")

    def check_together(self) -> None:
        """Refuse options that conflict; a saved graph, which is not run, refuses them all before.

        Raises:
            UsageError: two options conflict.

        >>> TraceOptions(time=True).check_together()
        Traceback (most recent call last):
        ...
        fxviz.UsageError: cannot time on meta, which computes nothing: choose device='cpu' or 'cuda'
        """
        if self.time and self.device == "meta":
            device = spelled("device='cpu' or 'cuda'", "--device cpu or cuda")
            raise UsageError(f"cannot time on meta, which computes nothing: choose {device}")
        if self.time and self.partial:
            options = spelled("time=True or partial=True", "--time or --partial")
            raise UsageError(f"cannot time a partial run: choose either {options}")


@dataclass(frozen=True, repr=False)
class RenderOptions(Options):
    """Options of drawing a figure.

    Attributes:
        theme: "light", "dark", or "auto", which follows the reader's setting.
        style: "ledger" (a table with arcs), "graph" (a card for each layer, branches side by side), "paper" (stages,
            one inset for each kind of block, a table), or "auto": with a width the style "paper", else the graph where
            parallel branches are the point of the model, and the ledger for all others.
        width: the figure's width (style "paper"): "column" (238 pt), "page" (505 pt), "slide" (16:9), or a length such
            as "3.25in", "8.5cm", "238pt"; None: that of a page.
        height: the greatest height as a length, for which details are left out; None: 340 pt in a column, 260 pt else.
        layout: how a figure for print is arranged, one of those of ``fxviz.structure``; "auto": what suits the model.
        palette: "color", or "gray" for printers without colour.
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
        "auto", "ledger (a row for each layer), graph (a card for each), paper (stages and blocks), auto.",
        metavar="STYLE",
    )  # fmt: skip
    width: str | None = option(
        None, "Width in print (style paper): column, page, slide, or such as 3.25in, 8.5cm, 238pt.", metavar="WIDTH"
    )
    height: str | None = option(None, "Greatest height in print, such as 4in (style paper).", metavar="LENGTH")
    layout: Arrangement = option(
        "auto", "Arrangement in print: stages, column, table, U, ladder, lanes, encoder-decoder.", metavar="LAYOUT"
    )
    palette: Palette = option("color", "color, or gray for printers without colour.", metavar="PALETTE")
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
        super().__post_init__()
        check_choice(spelled("color_by", "--color-by"), self.color_by, tuple(METRICS))
        if self.direction == "LR" and self.style == "ledger":
            options = spelled("style='graph' for direction='LR'", "--style graph for --direction LR")
            raise UsageError(f"a ledger runs from top to bottom: choose {options}")
        self._check_size()
        if self.engine is not None and shutil.which(self.engine) is None:
            engine = spelled("engine", "--engine")
            raise UsageError(
                f"unknown layout engine '{shown(self.engine)}': "
                f"must be the path of a 'dot' program, or leave out {engine}"
            )

    def _check_size(self) -> None:
        """Refuse a size that is no length, or that no style keeps."""
        names = (spelled("width", "--width"), spelled("height", "--height"))
        if self.layout != "auto" and self.style in ("ledger", "graph"):
            options = spelled("style and layout", "--style and --layout")
            raise UsageError(f"a {self.style} has one layout: leave out one of {options}")
        for name, size in zip(names, (self.width, self.height), strict=True):
            if size is None:
                continue
            if self.style in ("ledger", "graph"):
                paper = spelled("style='paper'", "--style paper")
                raise UsageError(
                    f"{name} holds for {paper}: a {self.style} is as wide as its rows; leave out one of them"
                )
            check_length(name, size, named=name == names[0])
        if self.height is not None and self.width == "slide":
            raise UsageError(f"a slide is 16:9: leave out {names[1]}")

    @property
    def is_for_print(self) -> bool:
        """Return whether the figure is drawn for a width: stages and blocks instead of layers."""
        asked = self.width is not None or self.height is not None or self.layout != "auto"
        return self.style == "paper" or (self.style == "auto" and asked)

    @property
    def row_style(self) -> RowStyle:
        """Return the style of what shows rows: of a figure for print its Mermaid form."""
        return "ledger" if self.style == "paper" or self.is_for_print else self.style

    @property
    def may_be_large(self) -> bool:
        """Return whether the caller chose what is opened, so that the figure need not fit a page."""
        return self.depth is not None or bool(self.expand) or not self.repeats

    def check_difference(self) -> None:
        """Refuse a style that cannot show a difference.

        Raises:
            UsageError: the style is neither the ledger nor that for print, or a layout is given.
        """
        if self.style == "graph" or self.direction == "LR" or self.layout != "auto":
            options = spelled("style='graph', direction and layout", "--style graph, --direction and --layout")
            raise UsageError(f"a difference is drawn as a ledger, or in columns for print: leave out {options}")

    def check_side_by_side(self) -> None:
        """Refuse what does not hold for several models in one figure.

        Raises:
            UsageError: the style is not that for print, or a layout is given.
        """
        if self.style in ("ledger", "graph") or self.layout != "auto":
            options = spelled("style and layout", "--style and --layout")
            raise UsageError(f"models stand side by side in columns of stages, for print: leave out {options}")


PLACES = {"column": 238.0, "page": 505.0, "slide": 720.0}
"""Widths by name, in points: of a column and of a page of text on letter paper or A4, and of a slide of 10 x 5.6 in."""

_UNITS = {"pt": 1.0, "in": 72.0, "cm": 72 / 2.54, "mm": 72 / 25.4}
_LEAST, _MOST = 120.0, 2_000.0


def points(size: str) -> float:
    """Return a length in points.

    >>> points("column"), points("3.25in"), round(points("8.5cm"), 2)
    (238.0, 234.0, 240.94)
    """
    return PLACES.get(size) or float(size[:-2]) * _UNITS[size[-2:]]


def check_length(name: str, size: str, named: bool) -> None:
    """Refuse what is neither a length nor, if ``named``, the name of a place.

    Raises:
        UsageError: it is neither, or too small or large for a figure.

    >>> check_length("width", "wide", named=True)
    Traceback (most recent call last):
    ...
    fxviz.UsageError: invalid width 'wide': choose column, page or slide, or give a length such as 3.25in or 8.5cm
    """
    if named and size in PLACES:
        return
    places = f"choose {choice(list(PLACES))}, or give" if named else "give"
    if re.fullmatch(r"\d{1,6}(\.\d{1,6})?(pt|in|cm|mm)", size) is None:
        raise UsageError(f"invalid {name} '{shown(size)}': {places} a length such as 3.25in or 8.5cm")
    if not _LEAST <= points(size) <= _MOST:
        raise UsageError(f"invalid {name} '{shown(size)}': must be {_LEAST:g}pt to {_MOST:g}pt")


def given(options: TraceOptions | RenderOptions) -> list[str]:
    """Return the names, as messages spell them, of the options that differ from their defaults.

    >>> print(UsageError(", ".join(given(TraceOptions(device="cpu", leaf=["Attention"])))))
    leaf, device
    """
    return [name_in_messages(each) for each in fields(options) if getattr(options, each.name) != each.default]


def check_choice(what: str, given: object, allowed: Sequence[str]) -> None:
    """Refuse a value that is not among those allowed.

    >>> check_choice("format", "pdf", ("text", "markdown"))
    Traceback (most recent call last):
    ...
    fxviz.UsageError: invalid format 'pdf': choose text or markdown
    """
    if given not in allowed:
        raise UsageError(f"invalid {what} {_short(given)}: choose {choice(list(allowed))}")


_SCALES = (0.01, 100)
"""The least and the largest scale."""


def check_scale(scale: float) -> None:
    """Refuse a scale that is no number or out of range, whatever the form of the file.

    Raises:
        UsageError: it is not.

    >>> check_scale(0)
    Traceback (most recent call last):
    ...
    fxviz.UsageError: invalid scale 0: must be a number from 0.01 to 100, such as 2
    """
    least, most = _SCALES
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not least <= scale <= most:
        name, given = spelled("scale", "--scale"), shown(repr(scale))
        raise UsageError(f"invalid {name} {given}: must be a number from {least:g} to {most:g}, such as 2")


def check_count(what: str, given: object) -> None:
    """Refuse anything but a whole number, 1 or greater, or None.

    >>> check_count("depth", 0)
    Traceback (most recent call last):
    ...
    fxviz.UsageError: invalid depth 0: must be a whole number, 1 or greater
    """
    if given is not None and (not isinstance(given, int) or isinstance(given, bool) or given < 1):
        raise UsageError(f"invalid {what} {_short(given)}: must be a whole number, 1 or greater")
