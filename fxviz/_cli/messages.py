"""Write to the user: errors, remarks, progress and results on standard error, what was asked for on standard output."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TextIO

import typer

from fxviz._cli.signals import leaving_at_once
from fxviz._graph import ArchGraph, WeightsInfo
from fxviz._graph.errors import FxvizError, first_line, library_that_failed, printable, shown
from fxviz._graph.options import points
from fxviz._render.figure import Figure
from fxviz._sources.expression import path_to
from fxviz._sources.inputs import InputSpec

_MAX_SAID = 600
"""Maximum length of an unexpected error's words in a message."""


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
            write_stderr(traceback.format_exc())
        raise typer.Exit(complain(*message_and_status(error))) from None


def message_and_status(error: BaseException) -> tuple[str, int]:
    """Return the message of an error, and its exit status.

    >>> message_and_status(FxvizError("no such thing")), message_and_status(ValueError("odd"))[0]
    (('no such thing', 1), 'internal error: ValueError: odd; run again with --debug for the traceback')
    """
    if isinstance(error, FxvizError):
        return error.for_command_line, error.exit_status
    if library := library_that_failed(error):
        said = f"cannot import {library}: {first_line(error)}"
        return f"{said}; it is not installed completely, or does not fit the others: install it again", 2
    said = (
        f"{type(error).__name__}: {shown(' '.join(str(error).split()), _MAX_SAID)}"
        if str(error)
        else type(error).__name__
    )
    return f"internal error: {said}; run again with --debug for the traceback", 1


def complain(message: str, status: int) -> int:
    """Print an error on standard error, and return the exit status."""
    say(f"fxviz: {message}")
    return status


def complain_of(error: FxvizError, about: object = "") -> int:
    """Print an error and the model that it is about, if any; return its exit status."""
    return complain(f"{about}: {error.for_command_line}" if about else error.for_command_line, error.exit_status)


def say(message: str) -> None:
    """Print one line on standard error."""
    write_stderr(one_line(message) + "\n")


def say_all(messages: Iterable[str], quiet: bool) -> None:
    """Print lines on standard error, unless the command is to be quiet."""
    for message in () if quiet else messages:
        say(message)


def report_written(files: Iterable[Path], shows: str, remarks: Iterable[str], quiet: bool) -> None:
    """Report the files that were written, with the totals that they show and remarks on them."""
    say_all((*(f"wrote {file}: {shows}" for file in files), *remarks), quiet)


def one_line(message: str) -> str:
    r"""Return a message as one line that cannot move the cursor.

    >>> one_line("a\n  b\x1b[2J")
    'a b\\x1b[2J'
    """
    return printable(" ".join(message.split()))


@contextmanager
def spinner(text: str, quiet: bool = False) -> Iterator[None]:
    """Show a spinner on a terminal while torch works, and let Ctrl-C end the process at once."""
    with leaving_at_once(), _status(text, quiet):
        yield


def _status(text: str, quiet: bool) -> AbstractContextManager[object]:
    if quiet or not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console
    from rich.markup import escape

    return Console(stderr=True).status(escape(f"{one_line(text)} ..."))


_MANY = 3
"""Maximum number of names in a message; the saved graph has all of them."""


def weights_remarks(graph: ArchGraph, inputs: Sequence[str]) -> Iterator[str]:
    """Yield remarks on how the weights went into the model.

    Args:
        graph: the graph of the model with its weights.
        inputs: the texts of ``--input``.
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
        specs = _specs(graph, [InputSpec.parse(text) for text in inputs])
        yield f"inputs are {weights.dtype} like the weights ({specs}); a dtype given in --input is kept"


def _specs(graph: ArchGraph, given: Sequence[InputSpec]) -> str:
    """Return the inputs in the grammar of ``--input``, with the names that they were given with."""
    tensors = graph.trace.inputs
    names = [name if len(tensors) > 1 else "" for name in tensors]
    if len(given) == len(tensors) and any(path_to(spec.name)[1] for spec in given if spec.name):
        names = [spec.name or name for spec, name in zip(_in_order(given, list(tensors)), tensors, strict=True)]
    specs = [InputSpec(tensor.shape, name, tensor.dtype) for name, tensor in zip(names, tensors.values(), strict=True)]
    return " ".join(f"--input {spec}" for spec in specs)


def _in_order(specs: Sequence[InputSpec], names: Sequence[str]) -> list[InputSpec]:
    """Sort inputs as the model gets them: places by their numbers, keys as they were given, arguments like ``names``.

    >>> specs = [InputSpec((1,), name) for name in ("x[1]", "y", "x[0]")]
    >>> [spec.name for spec in _in_order(specs, ["y", "x_0", "x_1"])]
    ['y', 'x[0]', 'x[1]']
    """
    places: dict[tuple[str | int, ...], int] = {}

    def order(spec: InputSpec) -> list[int]:
        first, keys = path_to(spec.name) if spec.name else ("", ())
        argument = next((at for at, name in enumerate(names) if re.fullmatch(rf"{first}(_\d+)?", name)), -1)
        inside = [places.setdefault((first, *keys[: at + 1]), len(places)) for at in range(len(keys))]
        return [argument, *(key if isinstance(key, int) else at for key, at in zip(keys, inside, strict=True))]

    return sorted(specs, key=order)


def _unwrapped(weights: WeightsInfo) -> Iterator[str]:
    if weights.part:
        yield f"from its part '{shown(weights.part)}'"
    if weights.prefix:
        yield f"without the prefix '{shown(weights.prefix)}' of its names"


def _listed(names: Sequence[str]) -> str:
    """List the first names and the number of others.

    >>> _listed(["fc.weight", "fc.bias"]), _listed(list("abcde"))
    ('fc.weight, fc.bias', 'a, b, c and 2 more')
    """
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return ", ".join(map(shown, names[:_MANY])) + more


def _followed(graph: ArchGraph, weights: WeightsInfo, inputs: Sequence[str]) -> bool:
    """Return whether an input got the weights' dtype because it has none of its own."""
    is_open = not inputs or any(not InputSpec.parse(text).dtype for text in inputs)
    dtypes = {tensor.dtype for tensor in graph.trace.inputs.values()}
    return is_open and weights.dtype != "float32" and weights.dtype in dtypes


def size_remarks(figure: Figure) -> Iterator[str]:
    """Yield remarks on how the model ran, and on a figure that is larger than a page or drawn with straight lines."""
    for view in (figure.view, *figure.beside):
        yield from view.graph.trace.notes
    most = figure.options.height
    if most is not None and figure.height > points(most) + 0.5:
        yield f"the figure is {figure.height:.0f}pt high, more than --height {most}: it can be no lower"
    if figure.left_out:
        yield f"{', '.join(figure.left_out)} left out to fit; a larger --width or --height shows more"
    elif advice := page_advice(figure):
        yield advice
    if figure.simplified:
        yield "the layout took too long, so its lines are drawn straight"


def page_advice(figure: Figure) -> str:
    """Return advice on a figure that is larger than a page; "" if it fits.

    >>> import fxviz
    >>> page_advice(fxviz.render("densenet121", depth=9, repeats=False))
    'the figure has 185 rows, more than a page holds; --depth 2 without --no-fold fits'
    """
    from fxviz._view import BUDGET, deepest_fitting, fitting

    options, view = figure.options, figure.view
    if options.is_for_print or not options.may_be_large or fitting(view.style, BUDGET)(view):
        return ""
    depth = deepest_fitting(view.graph)
    others = [flag for flag, used in (("--expand", options.expand), ("--no-fold", not options.repeats)) if used]
    without = f" without {' and '.join(others)}" if others else ""
    fits = "" if depth is None else f"; --depth {depth}{without} fits"
    return f"the figure has {len(view.rows)} rows, more than a page holds{fits}"


class Tally:
    """Count the results of a batch.

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
        """Note the exit status of a model."""
        self._statuses[model] = status

    @property
    def status(self) -> int:
        """Return 0 if everything was drawn, else the lowest status of the failures."""
        return min(filter(None, self._statuses.values()), default=0)

    @property
    def summary(self) -> str:
        """Return how many figures were written, and which were not."""
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
        """Return the summary of an interrupted batch."""
        return f"interrupted: {self.summary}"


@contextmanager
def progress(total: int, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show a progress bar on a terminal; call what it yields after each figure."""
    if quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("drawing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(file=sys.stderr, soft_wrap=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)


def open_closed_streams() -> None:
    """Open standard streams that were closed before the start on the null device.

    Otherwise the next file that is opened would get their descriptor, and messages would be written to it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) < 3:
        pass
    os.close(descriptor)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115


@contextmanager
def stdout_kept() -> Iterator[None]:
    """Send to standard error what code of a model writes to descriptor 1, where the result will be written."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def write_stdout(text: str) -> None:
    """Write UTF-8 to standard output at once; a closed pipe is not an error.

    Raises:
        FxvizError: standard output cannot be written.

    >>> write_stdout("11.69M")
    11.69M
    """
    try:
        sys.stdout.flush()
        if hasattr(sys.stdout, "buffer"):
            sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
        else:
            sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        give_up_stdout(error)


def give_up_stdout(error: OSError) -> None:
    """Write no more to standard output, which failed; a closed pipe is not an error.

    Raises:
        FxvizError: standard output cannot be written for another reason.
    """
    _drop(sys.stdout)
    if not isinstance(error, BrokenPipeError):
        raise FxvizError(f"cannot write to standard output: {error.strerror or error}") from error


def write_stderr(text: str) -> None:
    """Write to standard error at once; a stream that cannot be written is ignored."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _drop(sys.stderr)


def _drop(stream: TextIO) -> None:
    """Discard what the stream still holds: Python would write it at exit, and fail again."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
