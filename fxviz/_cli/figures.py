"""Writing a figure: in which file or files, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fxviz._cli import streams
from fxviz._cli.messages import say
from fxviz._cli.options import PAIR, Draw, Talk
from fxviz._cli.steps import STDOUT, target_for
from fxviz._errors import UsageError
from fxviz._render.figure import PAIRED, SUFFIXES, Figure, snippet


def figure_target(output: str | None, model: str, draw: Draw, allowed: tuple[str, ...] = SUFFIXES) -> Path | None:
    """The file to write, None for standard output; found before the work starts."""
    if draw.theme == PAIR and output == STDOUT:
        raise UsageError("a pair is two files, and standard output is one: name a file, or choose the theme light or dark")
    return target_for(output, model, ".svg", PAIRED if draw.theme == PAIR else allowed)


def write_figure(figure: Figure, path: Path | None, draw: Draw, talk: Talk, told: str) -> None:
    """Write the figure, and say of each file what it is ``told`` to show; a pair also gives the HTML that shows one of them."""
    written: tuple[Path, ...] = ()
    if path is None:
        streams.give(figure.svg)
    elif draw.theme == PAIR:
        written = figure.save_pair(path, draw.scale)
    else:
        written = (figure.save(path, draw.scale),)
    for file in written if not talk.quiet else ():
        say(f"wrote {file}: {told}")
    if len(written) == 2:
        streams.give(snippet(*written, told if figure.view.difference else f"{figure.view.graph.model.name}: {told}") + "\n")
    for remark in size_remarks(figure) if not talk.quiet else ():
        say(remark)


def contents(figure: Figure, name: str, draw: Draw) -> dict[str, bytes]:
    """What the file called ``name`` is to hold, or the two files of a pair."""
    path = Path(name)
    if draw.theme == PAIR:
        return {file.name: content for file, content in figure.paired(path, draw.scale).items()}
    return {name: figure.content(path.suffix, draw.scale)}


def size_remarks(figure: Figure) -> Iterator[str]:
    """A figure that was asked for may be larger than a page: that, and what would fit."""
    if advice := page_advice(figure):
        yield advice
    if figure.simplified:
        yield "the layout took too long, so its lines are drawn straight"


def page_advice(figure: Figure) -> str:
    """What to ask for instead, where a view that was asked for is larger than a page; "" where it is not.

    >>> import fxviz
    >>> page_advice(fxviz.render("densenet121", fxviz.RenderOptions(depth=9)))
    'the figure has 186 rows, more than a page holds; --depth 2 fits'
    >>> page_advice(fxviz.render("densenet121"))
    ''
    """
    from fxviz._view import BUDGET, deepest_fitting, fitting

    options, view = figure.options, figure.view
    if not options.may_be_large or fitting(view.style, BUDGET)(view):
        return ""
    depth = deepest_fitting(view.graph)
    fits = "" if depth is None else f"; --depth {depth} fits"
    return f"the figure has {len(view.rows)} rows, more than a page holds{fits}"
