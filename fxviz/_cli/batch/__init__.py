"""Draw many figures with one command: in processes of this machine or on a Dask cluster, into one folder."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, redirect_stderr
from dataclasses import dataclass, field, replace
from functools import partial
from io import StringIO
from pathlib import Path

import typer

from fxviz._cli.batch import workers
from fxviz._cli.batch.names import (
    check_inputs,
    expanded,
    file_names,
    folder_for,
    is_pattern,
    make_folder,
    names_folder,
    renamed,
)
from fxviz._cli.messages import (
    Tally,
    complain,
    complain_of,
    message_and_status,
    one_line,
    progress,
    report_written,
    say,
    say_all,
    size_remarks,
    write_stderr,
    write_stdout,
)
from fxviz._cli.options import Draw, Many, Run, Talk
from fxviz._cli.signals import Interruption, uninterrupted
from fxviz._cli.steps import contents, failure_of, graph_of
from fxviz._graph.errors import BadOutput, FxvizError
from fxviz._graph.files import check_target, write_whole
from fxviz._render.figure import SUFFIXES, figure_of, snippet
from fxviz._report import headline
from fxviz._sources.own_thread import one_at_a_time
from fxviz._sources.reference import Reference


@dataclass(frozen=True)
class Job:
    """A figure to draw.

    Attributes:
        model: the model.
        name: the name of the file, whose suffix chooses the form.
        start: the folder that relative paths start from.
        draw, run, talk: the options.
    """

    model: Reference
    name: str
    start: str
    draw: Draw
    run: Run
    talk: Talk


@dataclass(frozen=True)
class Drawn:
    """The result of a job.

    Attributes:
        files: the files to write, by name: one, two for a pair, none if it failed.
        shows: the totals that the figure shows.
        title: the name above it.
        remarks: remarks on the figure.
        stderr: the text that was written to standard error meanwhile.
        failure: the reason why there is no figure, or only a part of one.
        status: its exit status.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    shows: str = ""
    title: str = ""
    remarks: tuple[str, ...] = ()
    stderr: str = ""
    failure: str | None = None
    status: int = 0


def drawn(job: Job) -> Drawn:
    """Draw a figure as ``fxviz render`` of one model would; errors are returned."""
    with one_at_a_time(), _started_in(job.start), redirect_stderr(StringIO()) as stderr:
        try:
            _reset_torch()
            result = _drawn(job)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if job.talk.debug:
                write_stderr(traceback.format_exc())
            failure, status = message_and_status(error)
            result = Drawn(failure=failure, status=status)
    return replace(result, stderr=stderr.getvalue())


def _drawn(job: Job) -> Drawn:
    graph = graph_of(job.model, job.run, job.talk)
    figure = figure_of(graph, job.draw.render)
    files = contents(figure, job.name, job.draw)
    failure = failure_of(graph, job.model)
    shows = headline(graph, job.draw.render.color_by)
    return Drawn(
        files,
        shows,
        figure.drawing.name,
        tuple(size_remarks(figure)),
        failure=failure,
        status=0 if failure is None else 1,
    )


def _reset_torch() -> None:
    """Reset torch's defaults, which the file of an earlier model in this process may have changed."""
    if "torch" in sys.modules:
        from fxviz._trace.isolation import reset

        reset()


@contextmanager
def _started_in(folder: str) -> Iterator[None]:
    """Resolve relative paths from the folder of the caller, if it exists."""
    before = Path.cwd()
    if Path(folder).is_dir():
        os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


Results = Generator[tuple[Job, Drawn | FxvizError], None, None]
Workers = Callable[[list[Job]], Results]

_FIGURES_PER_PROCESS = 4
"""Fewer are not worth a process, which takes as long to import torch as to draw some of them."""

_MIN_APART = 2
"""Minimum number of processes where models must not run in this one."""


def is_batch(models: Sequence[Reference], output: str | None, many: Many) -> bool:
    """Return whether figures go into a folder: for several models, a pattern, a folder as ``-o``, or a cluster."""
    return len(models) != 1 or is_pattern(models[0]) or names_folder(output) or many.dask is not None


def render_batch(models: Sequence[Reference], output: str | None, many: Many, draw: Draw, run: Run, talk: Talk) -> None:
    """Draw all models into one folder; a failure does not stop the others.

    Raises:
        UsageError: options do not fit, or a folder or a cluster does not exist.
        typer.Exit: not everything was drawn, which was reported.
    """
    many.check(draw)
    run.check(models)
    folder = folder_for(output)
    with _workers(many, run) as draw_all:
        models = expanded(models, run.no_cache)
        names = file_names(models, many.suffix)
        check_inputs(models, names, folder)
        make_folder(folder)
        for name in names:
            check_target(folder / name, SUFFIXES)
        jobs = [Job(*each, str(Path.cwd()), draw, run, talk) for each in zip(models, names, strict=True)]
        _draw(jobs, draw_all, folder)


@contextmanager
def _workers(many: Many, run: Run) -> Iterator[Workers]:
    """Choose where to draw: on the cluster, which must answer first, or in processes of this machine."""
    if many.dask is None:
        yield partial(_on_this_machine, many, run)
        return
    with workers.connect(many.dask) as client:
        yield partial(workers.on_cluster, drawn, client=client)


def _on_this_machine(many: Many, run: Run, jobs: list[Job]) -> Results:
    processes = min(many.jobs or _worthwhile([job.model for job in jobs], run), len(jobs))
    return workers.in_this_process(drawn, jobs) if processes == 1 else workers.in_processes(drawn, jobs, processes)


def _worthwhile(models: Sequence[Reference], run: Run) -> int:
    """Return the number of processes: only this one for timing, separate ones for user code, which may end them."""
    if run.trace.time:
        return 1
    least = _MIN_APART if any(model.runs_own_code for model in models) else 1
    wanted = -(-len(models) // _FIGURES_PER_PROCESS)
    return least if wanted <= least else max(least, min(wanted, workers.processors()))


def _draw(jobs: list[Job], draw_all: Workers, folder: Path) -> None:
    """Draw and report all figures, and exit with their status if it is not 0."""
    tally, reporter, stopped = Tally([str(job.model) for job in jobs], folder), _Reporter(folder, jobs[0].talk), 0
    try:
        with Interruption(lambda: one_line(tally.interrupted)) as ctrl_c:
            _take_all(jobs, draw_all, tally, reporter, ctrl_c)
    except KeyboardInterrupt:
        stopped = 130
    except FxvizError as error:
        stopped = complain_of(error)
    write_stdout("".join(reporter.snippets[job.name] for job in jobs if job.name in reporter.snippets))
    status = stopped or tally.status
    if len(jobs) > 1 and (status or not jobs[0].talk.quiet):
        say(tally.interrupted if stopped == 130 else tally.summary)
    if status:
        raise typer.Exit(status)


def _take_all(jobs: list[Job], draw_all: Workers, tally: Tally, reporter: _Reporter, ctrl_c: Interruption) -> None:
    reporter.begin(jobs)
    with progress(len(jobs), jobs[0].talk.quiet) as advance, closing(draw_all(jobs)) as results:
        for job, result in results:
            ctrl_c.check()
            with uninterrupted():
                tally.add(str(job.model), reporter.take(job, result))
                advance()


class _Reporter:
    """Write each figure as it comes, and report it."""

    def __init__(self, folder: Path, talk: Talk) -> None:
        self._folder = folder
        self._talk = talk
        self._reported: set[str] = set()
        self.snippets: dict[str, str] = {}

    def begin(self, jobs: Sequence[Job]) -> None:
        """Report remarks that concern all figures."""
        models, names = [job.model for job in jobs], [job.name for job in jobs]
        say_all(renamed(models, names), self._talk.quiet)

    def take(self, job: Job, result: Drawn | FxvizError) -> int:
        """Write and report a figure, or why there is none; return its exit status."""
        if isinstance(result, FxvizError):
            return complain_of(result, job.model)
        self._pass_on(result.stderr)
        try:
            self._write(job, result)
        except BadOutput as error:
            return complain_of(error, job.model)
        return complain(f"{job.model}: {result.failure}", result.status) if result.failure else 0

    def _pass_on(self, stderr: str) -> None:
        """Print what a job wrote to standard error, unless another one wrote the same."""
        if stderr not in self._reported:
            self._reported.add(stderr)
            write_stderr(stderr)

    def _write(self, job: Job, result: Drawn) -> None:
        files = [write_whole(self._folder / name, content) for name, content in result.files.items()]
        if len(files) == 2:
            light, dark = files
            self.snippets[job.name] = snippet(light, dark, f"{result.title}: {result.shows}") + "\n"
        report_written(files, result.shows, result.remarks, self._talk.quiet)
