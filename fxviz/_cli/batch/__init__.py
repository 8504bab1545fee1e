"""Many figures by one command: which models, in which files, drawn by whom, and what is told of it."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, redirect_stderr
from dataclasses import dataclass, field, replace
from functools import partial
from io import StringIO
from pathlib import Path

import typer

from fxviz import _api
from fxviz._cli import streams
from fxviz._cli.batch import workers
from fxviz._cli.batch.names import (
    check_inputs,
    expanded,
    file_names,
    folder_for,
    is_pattern,
    made,
    names_folder,
    renamed,
    runs_own_code,
)
from fxviz._cli.messages import Tally, complain, one_line, progress, said_of, say
from fxviz._cli.options import Draw, Many, Run, Talk
from fxviz._cli.signals import Interruption, uninterrupted
from fxviz._cli.steps import contents, failure_of, one_graph_of, size_remarks, tell_remarks
from fxviz._errors import BadOutput, FxvizError
from fxviz._graph.files import check_target, write_whole
from fxviz._render.figure import SUFFIXES, snippet
from fxviz._report.summary import headline

__all__ = ["Many", "is_batch", "render_batch"]

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
    figure = _api.render(graph, options)
    files = contents(figure, job.name, job.draw)
    failure = failure_of(graph, job.model)
    shows = headline(graph, options.color_by)
    return Drawn(
        files,
        shows,
        figure.drawing.name,
        tuple(size_remarks(figure)),
        failure=failure,
        status=0 if failure is None else 1,
    )


def _forget_the_last() -> None:
    """A model's file may set torch's defaults; the next model, drawn in the same process, has those of a process of its own."""
    if "torch" in sys.modules:
        from fxviz._trace.isolation import reset

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


Results = Generator[tuple[Job, Drawn | FxvizError], None, None]
Workers = Callable[[list[Job]], Results]

_WORTH_A_PROCESS = 4
"""Figures. A process takes as long to import torch as for some of them, so one more is started for so many only."""

_APART = 2
"""Processes, the least that are started beside this one."""


def is_batch(models: Sequence[str], output: str | None, many: Many) -> bool:
    """Whether figures go into a folder: for several models, or where a pattern, ``-o`` or the options ask for it."""
    return len(models) != 1 or is_pattern(models[0]) or names_folder(output) or many.dask is not None


def render_batch(texts: Sequence[str], output: str | None, many: Many, draw: Draw, run: Run, talk: Talk) -> None:
    """Draw all models into one folder. One that fails stops no other.

    Raises:
        UsageError: options do not fit, or a folder or a cluster is not there.
        typer.Exit: not all was drawn, which was said.
    """
    many.check(draw)
    draw.options()
    run.keywords()
    folder = folder_for(output)
    with _workers(many, run) as workers:
        models = expanded(texts, run.no_cache)
        names = file_names(models, many.suffix)
        check_inputs(names, folder)
        made(folder)
        for name in names.values():
            check_target(folder / name, SUFFIXES)
        _draw([Job(model, name, str(Path.cwd()), draw, run, talk) for model, name in names.items()], workers, folder)


@contextmanager
def _workers(many: Many, run: Run) -> Iterator[Workers]:
    """Who draws: the cluster, which is asked for first, or as many processes as are worth it."""
    if many.dask is None:
        yield partial(_on_this_machine, many, run)
        return
    with workers.connect(many.dask) as client:
        yield partial(workers.on_cluster, drawn, client=client)


def _on_this_machine(many: Many, run: Run, jobs: list[Job]) -> Results:
    processes = min(many.jobs or _sensible([job.model for job in jobs], run), len(jobs))
    return workers.in_this_process(drawn, jobs) if processes == 1 else workers.in_processes(drawn, jobs, processes)


def _sensible(models: Sequence[str], run: Run) -> int:
    """How many processes are worth it. What is timed is run with nothing beside it; the user's own code may end its process."""
    if run.time:
        return 1
    least = _APART if any(runs_own_code(model) for model in models) else 1
    wanted = -(-len(models) // _WORTH_A_PROCESS)
    return least if wanted <= least else max(least, min(wanted, workers.processors()))


def _draw(jobs: list[Job], workers: Workers, folder: Path) -> None:
    """Draw, tell, and end with the status that stands for all."""
    tally, teller, stopped = Tally([job.model for job in jobs], folder), _Teller(folder, jobs[0].talk), 0
    try:
        with Interruption(lambda: one_line(tally.interrupted)) as ctrl_c:
            _take_all(jobs, workers, tally, teller, ctrl_c)
    except KeyboardInterrupt:
        stopped = 130
    except FxvizError as error:
        stopped = complain(str(error), error.exit_status)
    streams.give("".join(teller.snippets[job.model] for job in jobs if job.model in teller.snippets))
    status = stopped or tally.status
    if len(jobs) > 1 and (status or not jobs[0].talk.quiet):
        say(tally.interrupted if stopped == 130 else tally.summary)
    if status:
        raise typer.Exit(status)


def _take_all(jobs: list[Job], workers: Workers, tally: Tally, teller: _Teller, ctrl_c: Interruption) -> None:
    teller.begin(jobs)
    with progress(len(jobs), jobs[0].talk.quiet) as advance, closing(workers(jobs)) as results:
        for job, result in results:
            ctrl_c.check()
            with uninterrupted():
                tally.add(job.model, teller.take(job, result))
                advance()


class _Teller:
    """Writes each figure as it comes, and tells of it."""

    def __init__(self, folder: Path, talk: Talk) -> None:
        self._folder = folder
        self._talk = talk
        self._said: set[str] = set()
        self.snippets: dict[str, str] = {}

    def begin(self, jobs: Sequence[Job]) -> None:
        """Tell what is to be known of all of them."""
        tell_remarks(jobs[0].run, self._talk)
        for remark in renamed({job.model: job.name for job in jobs}) if not self._talk.quiet else ():
            say(remark)

    def take(self, job: Job, result: Drawn | FxvizError) -> int:
        """Write and tell what was drawn, or why it was not; the exit status that stands for it."""
        if isinstance(result, FxvizError):
            return complain(f"{job.model}: {result}", result.exit_status)
        self._tell_once(result.said)
        try:
            self._write(job, result)
        except BadOutput as error:
            return complain(f"{job.model}: {error}", error.exit_status)
        return complain(f"{job.model}: {result.failure}", result.status) if result.failure else 0

    def _tell_once(self, said: str) -> None:
        """What was said on the way, but for what was said word for word for another model."""
        if said not in self._said:
            self._said.add(said)
            streams.tell(said)

    def _write(self, job: Job, result: Drawn) -> None:
        files = [write_whole(self._folder / name, content) for name, content in result.files.items()]
        if len(files) == 2:
            light, dark = files
            self.snippets[job.model] = snippet(light, dark, f"{result.title}: {result.shows}") + "\n"
        if not self._talk.quiet:
            for file in files:
                say(f"wrote {file}: {result.shows}")
            for remark in result.remarks:
                say(remark)
