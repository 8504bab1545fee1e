"""How a command tells: errors in one line with an exit status, patience while torch works."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import typer

from fxviz._cli import streams
from fxviz._cli.signals import leaving_at_once
from fxviz._errors import FxvizError, printable, shown
from fxviz._graph import ArchGraph, WeightsInfo
from fxviz._sources.inputs import InputSpec


@contextmanager
def reported(debug: bool) -> Iterator[None]:
    """Turn an error into one line and an exit status."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except typer.Exit:
        raise
    except BaseException as error:
        if debug:
            streams.tell(traceback.format_exc())
        raise typer.Exit(complain(*said_of(error))) from None


def said_of(error: BaseException) -> tuple[str, int]:
    """What is said of an error, and the exit status.

    >>> said_of(FxvizError("no such thing")), said_of(ValueError("odd"))[0]
    (('no such thing', 1), 'internal error: ValueError: odd; run again with --debug for the traceback')
    """
    if isinstance(error, FxvizError):
        return str(error), error.exit_status
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"internal error: {said}; run again with --debug for the traceback", 1


def complain(message: str, status: int) -> int:
    """Say on standard error what went wrong, and hand back the exit status."""
    say(f"fxviz: {message}")
    return status


def say(message: str) -> None:
    """One line on standard error."""
    streams.tell(one_line(message) + "\n")


def one_line(message: str) -> str:
    r"""A message as one line that cannot move the cursor.

    >>> one_line("a\n  b\x1b[2J")
    'a b\\x1b[2J'
    """
    return printable(" ".join(message.split()))


@contextmanager
def patience(text: str, quiet: bool = False) -> Iterator[None]:
    """While torch works: a spinner on a terminal, nothing anywhere else, and Ctrl-C ends the process at once."""
    with leaving_at_once(), _spinner(text, quiet):
        yield


def _spinner(text: str, quiet: bool) -> AbstractContextManager[object]:
    if quiet or not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console
    from rich.markup import escape

    return Console(stderr=True).status(escape(f"{one_line(text)} ..."))


_MANY = 3
"""So many names are told at most; the saved graph has all."""


def loaded(graph: ArchGraph, inputs: Sequence[str]) -> Iterator[str]:
    """How the weights went into the model, a line for each thing to know.

    Args:
        graph: of the model with weights in it.
        inputs: what ``--input`` says.
    """
    weights = graph.model.weights
    if weights is None:
        return
    if weights.part or weights.prefix:
        yield f"weights {shown(weights.name)}: loaded {', '.join(_unwrapped(weights))}"
    if weights.missing:
        yield f"weights {shown(weights.name)}: missing {_listed(weights.missing)}"
    if weights.unexpected:
        yield f"weights {shown(weights.name)}: unexpected {_listed(weights.unexpected)}"
    if _followed(graph, weights, inputs):
        yield f"inputs are {weights.dtype}, as the weights are ({_written(graph)}); a dtype that is given in --input is kept"


def _written(graph: ArchGraph) -> str:
    """The inputs as a command line gives them."""
    inputs = graph.trace.inputs
    specs = [InputSpec(tensor.shape, name if len(inputs) > 1 else "", tensor.dtype) for name, tensor in inputs.items()]
    return " ".join(f"--input {spec}" for spec in specs)


def _unwrapped(weights: WeightsInfo) -> Iterator[str]:
    if weights.part:
        yield f"from its part '{shown(weights.part)}'"
    if weights.prefix:
        yield f"without the prefix '{shown(weights.prefix)}' of its names"


def _listed(names: Sequence[str]) -> str:
    """The first names and how many more there are.

    >>> _listed(["fc.weight", "fc.bias"]), _listed(list("abcde"))
    ('fc.weight, fc.bias', 'a, b, c and 2 more')
    """
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return ", ".join(map(shown, names[:_MANY])) + more


def _followed(graph: ArchGraph, weights: WeightsInfo, inputs: Sequence[str]) -> bool:
    """Whether an input has the weights' dtype, though nobody gave it one."""
    is_open = not inputs or any(not InputSpec.parse(text).dtype for text in inputs)
    dtypes = {tensor.dtype for tensor in graph.trace.inputs.values()}
    return is_open and weights.dtype != "float32" and weights.dtype in dtypes


class Tally:
    """What became of each model.

    >>> tally = Tally(["a", "b", "c"], Path("figures"))
    >>> tally.add("a", 0); tally.add("c", 2)
    >>> tally.summary, tally.status
    ('1 of 3 figures written to figures/, 1 failed: c; 1 not drawn: b', 2)
    """

    def __init__(self, models: Sequence[str], folder: Path) -> None:
        self._folder = folder
        self._models = models
        self._statuses: dict[str, int] = {}

    def add(self, model: str, status: int) -> None:
        """Note the exit status that stands for a model."""
        self._statuses[model] = status

    @property
    def status(self) -> int:
        """0 if all is done, else the lowest of the failures: 2 only if none could have been drawn."""
        return min(filter(None, self._statuses.values()), default=0)

    @property
    def summary(self) -> str:
        """How many figures were written, and which were not."""
        failed = [model for model in self._models if self._statuses.get(model)]
        missing = [model for model in self._models if model not in self._statuses]
        written = len(self._models) - len(failed) - len(missing)
        text = f"{written} of {len(self._models)} figures written to {self._folder}/"
        if failed:
            text += f", {len(failed)} failed: {', '.join(failed)}"
        if missing:
            text += f"; {len(missing)} not drawn: {', '.join(missing)}"
        return text

    @property
    def interrupted(self) -> str:
        """The same where Ctrl-C came in between."""
        return f"interrupted: {self.summary}"


@contextmanager
def progress(total: int, quiet: bool) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, nothing anywhere else; what it gives is called after each figure."""
    if quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("drawing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(file=sys.stderr, soft_wrap=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)
