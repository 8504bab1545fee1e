"""Run many tasks in this process or in several; a worker that dies takes no other task with it.

Each function yields every item with its result as soon as it is there, in any order; a task whose worker died has the
error instead. A task raises nothing itself. Close the iterator to stop early: nothing is left running on this machine.
If this process is killed, its workers end within a second, and then joblib's own process removes what they shared.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from fxviz._cli.batch.dask import connect, on_cluster
from fxviz._graph.errors import WorkerDied
from fxviz._graph.processes import end_with

__all__ = ["connect", "in_processes", "in_this_process", "on_cluster", "processors"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_LEAST = 2
"""Processes: joblib starts none for a single job, which would run in this one."""


def processors() -> int:
    """Return the number of processors that this process may use."""
    import joblib

    return int(joblib.cpu_count())


def in_processes(
    task: Callable[[Item], Result], items: Sequence[Item], jobs: int
) -> Generator[tuple[Item, Result | WorkerDied], None, None]:
    """Yield each item with its result as soon as it is there.

    If a process dies, all of them are restarted for the rest. Any task that had begun may be to blame: each is tried
    once more at the end, alone.

    Args:
        task: a function that can be imported and that raises nothing.
        items: its arguments, one at a time.
        jobs: the number of processes, two or more.

    >>> sorted(in_processes(abs, [1, -2, 3], 2))
    [(-2, 2), (1, 1), (3, 3)]
    """
    waiting = dict(enumerate(items))
    suspects: dict[int, Item] = {}
    with _ending_processes():
        while waiting:
            begun: dict[int, Item] = {}
            try:
                for number, result in _in_pool(task, dict(waiting), jobs, begun):
                    del begun[number]
                    yield waiting.pop(number), result
            except BrokenExecutor:
                suspects |= begun
                waiting = {number: item for number, item in waiting.items() if number not in begun}
        for item in suspects.values():
            yield item, _alone(task, item)


def _alone(task: Callable[[Item], Result], item: Item) -> Result | WorkerDied:
    try:
        [(_, result)] = _in_pool(task, {0: item}, _LEAST, {})
    except BrokenExecutor:
        return WorkerDied("its process was killed or ended itself, also when it ran alone; perhaps memory ran out")
    return result


def _in_pool(
    task: Callable[[Item], Result], items: Mapping[int, Item], jobs: int, begun: dict[int, Item]
) -> Iterator[tuple[int, Result]]:
    """Yield numbers with results; add to ``begun`` what is handed to the processes.

    Raises:
        BrokenExecutor: a process died, and the others with it.
    """
    import joblib

    def calls() -> Iterator[Any]:
        for number, item in items.items():
            begun[number] = item
            yield joblib.delayed(_numbered)(task, number, item)

    pool = joblib.Parallel(
        jobs,
        backend="loky",
        return_as="generator_unordered",
        batch_size=1,
        pre_dispatch="n_jobs",
        initializer=_begin,
        initargs=(os.getpid(),),
    )
    with _blocked():
        results: Iterator[tuple[int, Result]] = pool(calls())
    return results


def _numbered(task: Callable[[Item], Result], number: int, item: Item) -> tuple[int, Result]:
    return number, task(item)


_ANSWERED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name))
"""What a terminal sends to all processes: Ctrl-C, and that it was closed. The main process answers for all."""


def _begin(main: int) -> None:
    """Let a worker ignore what the main process answers, and end with it."""
    for number in _ANSWERED:
        signal.signal(number, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_ANSWERED, signal.SIGTERM))
    end_with(main)


@contextmanager
def _blocked() -> Iterator[None]:
    """Let signals reach the main process after this block, and processes that are started in it when they are ready."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (*_ANSWERED, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _ending_processes() -> Iterator[None]:
    """End all processes when the block ends, without joblib's warnings about stopped tasks."""
    from joblib.externals.loky import get_reusable_executor

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"joblib\b")
        try:
            yield
        finally:
            get_reusable_executor().shutdown(kill_workers=True)


def in_this_process(
    task: Callable[[Item], Result], items: Sequence[Item]
) -> Generator[tuple[Item, Result], None, None]:
    """Yield each item with its result.

    >>> list(in_this_process(abs, [1, -2]))
    [(1, 1), (-2, 2)]
    """
    for item in items:
        yield item, task(item)
