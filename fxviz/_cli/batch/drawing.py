"""One figure of many: what a worker is told, what it does, and what it hands back. It writes no file."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path

from fxviz import _api as api
from fxviz._cli import streams
from fxviz._cli.figures import contents, size_remarks
from fxviz._cli.messages import said_of
from fxviz._cli.options import Draw, Run, Talk
from fxviz._cli.steps import failure_of, one_graph_of
from fxviz._report.summary import headline

_ONE_AT_A_TIME = threading.Lock()
"""A worker of a cluster may have several threads; torch is traced by one of them at a time."""


@dataclass(frozen=True)
class Job:
    """A figure to draw.

    Attributes:
        model: what is drawn.
        name: of the file, whose suffix says in which form.
        start: the folder from which relative paths lead.
        draw, run, talk: how.
    """

    model: str
    name: str
    start: str
    draw: Draw
    run: Run
    talk: Talk


@dataclass(frozen=True)
class Drawn:
    """What became of it.

    Attributes:
        files: what is to be written, by name: one file, two for a pair, none if it failed.
        shows: what the figure shows.
        title: the name that stands above it.
        remarks: what is to be said of it.
        said: what was said on standard error on the way.
        failure: why there is no figure, or only a part of one.
        status: the exit status that stands for it.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    shows: str = ""
    title: str = ""
    remarks: tuple[str, ...] = ()
    said: str = ""
    failure: str | None = None
    status: int = 0


def drawn(job: Job) -> Drawn:
    """Draw a figure as the command for it alone would; errors are handed back."""
    with _ONE_AT_A_TIME, _started_in(job.start), redirect_stderr(StringIO()) as said:
        try:
            _forget_the_last()
            result = _drawn(job)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if job.talk.debug:
                streams.tell(traceback.format_exc())
            failure, status = said_of(error)
            result = Drawn(failure=failure, status=status)
    return replace(result, said=said.getvalue())


def _drawn(job: Job) -> Drawn:
    options = job.draw.options()
    graph = one_graph_of(job.model, job.run, job.talk)
    figure = api.render(graph, options)
    files = contents(figure, job.name, job.draw)
    failure = failure_of(graph, job.model)
    shows = headline(graph, options.color_by)
    return Drawn(
        files, shows, figure.drawing.name, tuple(size_remarks(figure)), failure=failure, status=0 if failure is None else 1
    )


def _forget_the_last() -> None:
    """A model's file may set torch's defaults; the next model, drawn in the same process, has those of a process of its own."""
    if "torch" in sys.modules:
        from fxviz._trace.resetting import reset

        reset()


@contextmanager
def _started_in(folder: str) -> Iterator[None]:
    """Relative paths lead from the folder of whoever asked, as far as it is there."""
    before = Path.cwd()
    if Path(folder).is_dir():
        os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
