"""The commands: arguments, progress, and what goes to which stream with which exit status.

Exit status 0: done. 1: it could not be done. 2: what was asked for does not exist or does not fit. 130: Ctrl-C.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fxviz import api, streams
from fxviz.devices import check_device
from fxviz.errors import FxvizError, UnknownModel, UsageError
from fxviz.graph import ArchGraph
from fxviz.summarizing import headline
from fxviz.writing import check_target

STDOUT = "-"


class Commands(TyperGroup):
    """The commands, in the order they are written here; a wrong one gets near names."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None:
            near = get_close_matches(args[0], self.commands, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose {_choice(list(self.commands))}"
            raise UsageError(f"no command '{args[0]}': {hint}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="fxviz",
    cls=Commands,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _output(text: str) -> Any:
    return typer.Option("-o", "--output", metavar="FILE", help=text, show_default=False)


Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="DEVICE",
        help="meta (the default: no memory, no computing), cpu, cuda or cuda:N.",
        show_default=False,
    ),
]
Time = Annotated[bool, typer.Option("--time", help="Measure the time of each operation; needs --device cpu or cuda.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing about what was written.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    >>> main(["--version"])  # doctest: +ELLIPSIS
    fxviz ...
    0
    """
    streams.open_closed()
    try:
        status = _run(sys.argv[1:] if argv is None else list(argv))
        streams.give("")
    except FxvizError as error:
        status = _complain(str(error), error.exit_status)
    streams.tell("")
    return status


def _run(arguments: list[str]) -> int:
    command = typer.main.get_command(app)
    try:
        status = command.main(args=list(arguments), prog_name="fxviz", standalone_mode=False)
    except typer.Abort:
        return 130
    except OSError:
        streams.give("")  # the rest of the help: says that it cannot get out
        raise
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        raise UsageError(_usage(error, arguments)) from error
    return status if isinstance(status, int) else 0


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Draw a PyTorch model as one figure: where its parameters are, and its skip connections."""
    if version:
        from fxviz import __version__

        streams.give(f"fxviz {__version__}\n")
        raise typer.Exit()
    if context.invoked_subcommand is None:
        streams.give(f"{context.get_help()}\n")


@app.command()
def render(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A name from 'fxviz list', or a graph saved by 'fxviz trace'.")],
    output: Annotated[str | None, _output("Write here: .svg or .dot; '-' for standard output. Default: MODEL.svg.")] = None,
    theme: Annotated[
        str, typer.Option("--theme", metavar="THEME", help="auto (follows the reader's setting), light or dark.")
    ] = "auto",
    color_by: Annotated[
        str, typer.Option("--color-by", metavar="METRIC", help="What bars and shares measure: params, macs, activations, time.")
    ] = "params",
    device: Device = None,
    time: Time = False,
    engine: Annotated[
        str | None, typer.Option("--engine", metavar="PATH", help="Another layout engine, for example dot.", show_default=False)
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Draw a model, or a graph saved by 'fxviz trace', as SVG."""
    with _reported(debug):
        options = api.RenderOptions(theme=theme, engine=engine, color_by=color_by)
        target = _target(output, model, ".svg", (".svg", ".dot"))
        graph = _graph(model, device, time, quiet)
        figure = api.render(graph, options)
        if target is None:
            streams.give(figure.svg)
        else:
            _write(target, figure.save, graph, quiet, color_by)


@app.command()
def trace(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A name from 'fxviz list'.")],
    output: Annotated[str | None, _output("Write here: .json; '-' for standard output. Default: MODEL.json.")] = None,
    device: Device = None,
    time: Time = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Save what a model does as a graph (networkx node-link JSON)."""
    with _reported(debug):
        if api.is_graph_file(model):
            raise UsageError(f"'{model}' is a saved graph, traced already; draw it with 'fxviz render {model}'")
        target = _target(output, model, ".json", (".json",))
        graph = _graph(model, device, time, quiet)
        if target is None:
            streams.give(graph.to_json())
        else:
            _write(target, graph.save, graph, quiet)


@app.command(name="list")
def list_names(
    pattern: Annotated[
        str | None,
        typer.Argument(
            metavar="PATTERN",
            help="Part of a name, or a shell pattern; after 'timm:' or 'transformers:' one of theirs.",
            show_default=False,
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """List the names of models that can be drawn."""
    with _reported(debug):
        from fxviz.loading import names

        with _patience("loading names"):
            found = names(pattern)
        if not found:
            raise UnknownModel(f"no model matches '{pattern}'; 'fxviz list' shows all names")
        streams.give("\n".join(found) + "\n")


def _graph(model: str, device: str | None, time: bool, quiet: bool) -> ArchGraph:
    if not api.is_graph_file(model):
        check_device(device or "meta", time)
    with _patience(f"tracing {model}", quiet or api.is_graph_file(model)):
        return api.as_graph(model, device=device, time=time)


def _write(target: Path, save: Callable[[Path], object], graph: ArchGraph, quiet: bool, metric: str = "params") -> None:
    save(target)
    if not quiet:
        streams.tell(_one_line(f"wrote {target}: {headline(graph, metric)}") + "\n")


def _target(output: str | None, model: str, suffix: str, allowed: tuple[str, ...]) -> Path | None:
    """The file to write, None for standard output. All that can be wrong with it is found here, before the work starts."""
    if output == STDOUT:
        return None
    return check_target(_default_name(model) + suffix if output is None else output, allowed)


def _default_name(model: str) -> str:
    """The stem of the output when none is given.

    >>> _default_name("resnet18"), _default_name("graphs/resnet18.json"), _default_name("a/b c")
    ('resnet18', 'resnet18', 'a_b_c')
    """
    return Path(model).stem if api.is_graph_file(model) else re.sub(r"[^\w.-]+", "_", model) or "model"


@contextmanager
def _reported(debug: bool) -> Iterator[None]:
    """Turn an error into one line and an exit status."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except Exception as error:
        if debug:
            streams.tell(traceback.format_exc())
        raise typer.Exit(_report(error)) from None


def _report(error: Exception) -> int:
    if isinstance(error, FxvizError):
        return _complain(str(error), error.exit_status)
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return _complain(f"internal error: {said}; run again with --debug for the traceback", 1)


def _complain(message: str, status: int) -> int:
    streams.tell(_one_line(f"fxviz: {message}") + "\n")
    return status


def _one_line(message: str) -> str:
    r"""A message as one line that cannot move the cursor.

    >>> _one_line("a\n  b\x1b[2J")
    'a b\\x1b[2J'
    """
    line = " ".join(message.split())
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in line)


def _usage(error: Any, arguments: Sequence[str]) -> str:
    """What the parser has to say about wrong arguments, and where to read on."""
    message = error.format_message()
    context = getattr(error, "ctx", None)
    where = context.command_path if context else " ".join(("fxviz", *arguments[:1]))
    return f"{message[:1].lower()}{message[1:].rstrip('.')}; see '{where} --help'"


def _choice(words: Sequence[str]) -> str:
    """
    >>> _choice((".svg", ".dot")), _choice((".json",))
    ('.svg or .dot', '.json')
    """
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


@contextmanager
def _patience(text: str, quiet: bool = False) -> Iterator[None]:
    """While torch works: a spinner on a terminal, nothing anywhere else, and Ctrl-C ends the process at once.

    Raised as an exception within torch's own code, Ctrl-C may end in an abort with a page of C++ frames. No file is open here.
    """
    before = signal.getsignal(signal.SIGINT)
    ours = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGINT, _leave)
    try:
        with _spinner(text, quiet):
            yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)


def _leave(*_: object) -> None:
    if sys.stderr.isatty():
        os.write(2, b"\r\x1b[2K\x1b[?25h")  # the spinner's line goes, the cursor comes back
    os._exit(130)


def _spinner(text: str, quiet: bool) -> AbstractContextManager[object]:
    if quiet or not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console
    from rich.markup import escape

    return Console(stderr=True).status(escape(f"{text} ..."))
