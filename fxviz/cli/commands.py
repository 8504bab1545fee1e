"""The commands, in the order in which the help shows them."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fxviz import api, streams
from fxviz.cli.flags import PAIR, Draw, Run, Talk, output, spread
from fxviz.cli.reporting import complain, patience, reported, say
from fxviz.errors import UnknownModel, UsageError, choice
from fxviz.figure import PAIRED, SUFFIXES, Figure, snippet
from fxviz.graph import ArchGraph
from fxviz.loading.grammar import stem
from fxviz.summarizing import headline
from fxviz.writing import check_target

STDOUT = "-"

_MODEL = (
    "A name from 'fxviz list', FILE.py:CLASS or package.module:FUNCTION with arguments if needed ('net.py:Net(depth=18)'; "
    "the code in it is run), or an exported FILE.pt2"
)


class Commands(TyperGroup):
    """The commands, in the order they are written here; a wrong one gets near names."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None:
            near = get_close_matches(args[0], self.commands, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose {choice(list(self.commands))}"
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
@spread
def render(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{_MODEL}, or a graph saved by 'fxviz trace'.")],
    target: Annotated[
        str | None, output(f"Write here: {choice(SUFFIXES)}; '-': SVG to standard output. Default: MODEL.svg.")
    ] = None,
    *,
    draw: Draw,
    run: Run,
    talk: Talk,
) -> None:
    """Draw a model, or a graph saved by 'fxviz trace'."""
    with reported(talk.debug):
        options = draw.options()
        paired = draw.theme == PAIR
        if paired and target == STDOUT:
            raise UsageError("a pair is two files, and standard output is one: name a file, or choose the theme light or dark")
        path = _target(target, model, ".svg", PAIRED if paired else SUFFIXES)
        graph = _graph(model, run, talk)
        figure = api.render(graph, options)
        if path is None:
            streams.give(figure.svg)
        elif paired:
            _write_pair(path, figure, draw.scale, talk)
        else:
            figure.save(path, draw.scale)
            _tell_written(path, graph, talk, options.color_by)
        _tell_size(figure, talk)
        _tell_failure(graph, model)


@app.command()
@spread
def trace(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{_MODEL}.")],
    target: Annotated[str | None, output("Write here: .json; '-' for standard output. Default: MODEL.json.")] = None,
    *,
    run: Run,
    talk: Talk,
) -> None:
    """Save what a model does as a graph (networkx node-link JSON)."""
    with reported(talk.debug):
        if api.is_graph_file(model):
            raise UsageError(f"'{model}' is a saved graph, traced already; draw it with 'fxviz render {model}'")
        path = _target(target, model, ".json", (".json",))
        graph = _graph(model, run, talk)
        if path is None:
            streams.give(graph.to_json())
        else:
            graph.save(path)
            _tell_written(path, graph, talk)
        _tell_failure(graph, model)


@app.command(name="list")
@spread
def list_names(
    pattern: Annotated[
        str | None,
        typer.Argument(
            metavar="PATTERN",
            help="Part of a name, or a shell pattern; after 'timm:' or 'transformers:' one of theirs.",
            show_default=False,
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """List the names of models that can be drawn."""
    with reported(debug):
        from fxviz.loading import names

        with patience("loading names"):
            found = names(pattern)
        if not found:
            raise UnknownModel(f"no model matches '{pattern}'; 'fxviz list' shows all names")
        streams.give("\n".join(found) + "\n")


def _graph(model: str, run: Run, talk: Talk) -> ArchGraph:
    keywords = run.keywords()
    if not talk.quiet:
        for remark in run.remarks():
            say(remark)
    with patience(f"tracing {model}", talk.quiet or api.is_graph_file(model)):
        return api.as_graph(model, **keywords)


def _tell_written(target: Path, graph: ArchGraph, talk: Talk, metric: str = "params") -> None:
    if not talk.quiet:
        say(f"wrote {target}: {headline(graph, metric)}")


def _write_pair(target: Path, figure: Figure, scale: float, talk: Talk) -> None:
    """Both files, and on standard output the HTML that shows one of them."""
    light, dark = figure.save_pair(target, scale)
    graph, metric = figure.view.graph, figure.options.color_by
    _tell_written(light, graph, talk, metric)
    _tell_written(dark, graph, talk, metric)
    streams.give(snippet(light, dark, f"{graph.model.name}: {headline(graph, metric)}") + "\n")


def _tell_size(figure: Figure, talk: Talk) -> None:
    """A figure that was asked for may be larger than a page: say so, and what would fit."""
    if talk.quiet:
        return
    if advice := api.page_advice(figure):
        say(advice)
    if figure.simplified:
        say("the layout took too long, so its lines are drawn straight")


def _tell_failure(graph: ArchGraph, model: str) -> None:
    """Half a run was asked for and written: say where it stopped, and end with the status of a failure."""
    if graph.trace.failure is not None and not api.is_graph_file(model):
        from fxviz.tracing.failing import sentence

        raise typer.Exit(complain(sentence(graph.scopes[0].class_name, graph.trace.failure), 1))


def _target(output: str | None, model: str, suffix: str, allowed: tuple[str, ...]) -> Path | None:
    """The file to write, None for standard output. All that can be wrong with it is found here, before the work starts."""
    if output == STDOUT:
        return None
    return check_target(stem(model) + suffix if output is None else output, allowed)
