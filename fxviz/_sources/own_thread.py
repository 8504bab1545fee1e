"""Build and trace models in one thread at a time, and patch shared objects for the calling thread alone."""

from __future__ import annotations

import gc
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

from fxviz._graph.errors import UsageError

if TYPE_CHECKING:
    import logging

_LOCK = threading.RLock()
_PATIENCE = 20.0
"""Seconds that the thread with the lock may stand still at one instruction while another thread waits for the lock."""

_POLL = 0.1
"""Seconds between two looks at the thread with the lock."""

_holder: int | None = None
"""The thread that holds the lock."""

_forward_runs = False
"""True while a model runs to be traced. Read and written by the thread that holds the lock."""


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold the lock under which models are built and traced; the thread that holds it may enter again.

    Random numbers and the libraries' settings belong to the process: they are changed and restored under this lock.

    A thread that waits here cannot know whether the thread with the lock waits for it in turn (a forward that waits
    for a thread that traces, a module that traces while it is imported). So it gives up once that thread stands still.

    Raises:
        UsageError: the calling thread runs a model to trace it, and its forward builds or traces another one; or the
            thread with the lock stands still.

    >>> with one_at_a_time(), one_at_a_time(), running_forward():
    ...     with one_at_a_time():
    ...         pass
    Traceback (most recent call last):
    ...
    fxviz.UsageError: cannot build or trace a model inside the forward of a model that is being traced: do it before
    """
    global _holder
    _acquire()
    before, _holder = _holder, threading.get_ident()
    try:
        if _forward_runs:
            raise UsageError(
                "cannot build or trace a model inside the forward of a model that is being traced: do it before"
            )
        yield
    finally:
        _holder = before
        _LOCK.release()


def _acquire() -> None:
    """Wait for the lock as long as the thread that holds it goes on."""
    seen, since = _position(), time.monotonic()
    while not _LOCK.acquire(timeout=_POLL):
        now = _position()
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > _PATIENCE:
            raise UsageError(
                "cannot build or trace a model now: the thread that is building or tracing one stands still, "
                "perhaps waiting for this thread; do it before or after"
            )


def _position() -> tuple[int | None, int, int, int]:
    """Return the thread with the lock, its frame, the instruction in it, and its CPU time in hundredths of a second."""
    frame = _frame_of(_holder) if _holder is not None else None
    if _holder is None or frame is None:
        return (_holder, 0, 0, 0)
    cpu = 0.0
    if sys.platform != "win32" and hasattr(time, "pthread_getcpuclockid"):
        with suppress(OSError):  # the thread has just ended
            cpu = time.clock_gettime(time.pthread_getcpuclockid(_holder))
    return (_holder, id(frame), frame.f_lasti, round(100 * cpu))


def _frame_of(thread: int) -> FrameType | None:
    """Return the frame that a thread is in.

    Python must not collect garbage meanwhile: its list of threads is locked, and a finalizer that lets another thread
    go on, which starts a third one, would wait for ever (https://github.com/python/cpython/issues/106883).
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames().get(thread)
    finally:
        if collects:
            gc.enable()


@contextmanager
def running_forward() -> Iterator[None]:
    """Refuse to build or trace another model in the block; the caller holds the lock."""
    global _forward_runs
    _forward_runs = True
    try:
        yield
    finally:
        _forward_runs = False


class _Owner:
    """The thread that made this, until ``release``; a patch that another thread restores after that does nothing."""

    def __init__(self) -> None:
        self._thread: int | None = threading.get_ident()

    def calls(self) -> bool:
        return self._thread == threading.get_ident()

    def release(self) -> None:
        self._thread = None

    @property
    def is_over(self) -> bool:
        return self._thread is None


@contextmanager
def patched(
    holder: Any, name: str, replacement: Callable[..., Any], others: Callable[..., Any] | None = None
) -> Iterator[None]:
    """Replace a function of a class or module for the calling thread; other threads call the original, or ``others``.

    >>> import math
    >>> with patched(math, "sqrt", lambda x: "patched"):
    ...     math.sqrt(4)
    'patched'
    >>> math.sqrt(4)
    2.0
    """
    original, owner, is_inherited = getattr(holder, name), _Owner(), name not in vars(holder)

    def replaced(*args: Any, **kwargs: Any) -> Any:
        if owner.calls():
            return replacement(*args, **kwargs)
        return original(*args, **kwargs) if others is None or owner.is_over else others(*args, **kwargs)

    setattr(holder, name, replaced)
    try:
        yield
    finally:
        owner.release()
        if getattr(holder, name) is not replaced:
            pass  # another thread patched it since, and will put this one back
        elif is_inherited:
            delattr(holder, name)
        else:
            setattr(holder, name, original)


class _ModuleNames:
    """Pattern of module names in a warnings filter, which calls its ``match``."""

    def __init__(self, pattern: str) -> None:
        self.owner = _Owner()
        self._pattern = re.compile(pattern)

    def match(self, name: str) -> re.Match[str] | None:
        return self._pattern.match(name) if self.owner.calls() else None


@contextmanager
def ignored_warnings(category: type[Warning] = Warning, module: str = "") -> Iterator[None]:
    """Ignore warnings of the calling thread that arise in modules whose name matches the pattern ``module``.

    ``warnings.catch_warnings`` would do so in all threads, and two threads that leave it in the wrong order change the
    filters for good.

    >>> with ignored_warnings():
    ...     warnings.warn("never shown")
    """
    names = _ModuleNames(module)
    entry: Any = ("ignore", None, category, names, 0)
    filters: Any = warnings.filters
    filters.insert(0, entry)
    try:
        yield
    finally:
        names.owner.release()
        filters = warnings.filters
        with suppress(ValueError):  # the traced code has replaced the filters
            filters.remove(entry)


@contextmanager
def silenced(logger: str) -> Iterator[None]:
    """Drop what the calling thread writes to a logger.

    >>> import logging
    >>> with silenced("a.library"):
    ...     logging.getLogger("a.library").error("never shown")
    """
    import logging

    log, owner = logging.getLogger(logger), _Owner()

    def accepts(record: logging.LogRecord) -> bool:
        return not owner.calls()

    log.addFilter(accepts)
    try:
        yield
    finally:
        owner.release()
        log.removeFilter(accepts)


class _Output:
    """Standard output, which is standard error for one thread."""

    def __init__(self, owner: _Owner, own: Any, others: Any) -> None:
        self._owner, self._own, self._others = owner, own, others

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own if self._owner.calls() else self._others, name)


@contextmanager
def printing_to_stderr() -> Iterator[None]:
    """Send what the calling thread prints to standard error: standard output may be where the figure goes.

    >>> with printing_to_stderr():
    ...     print("not in this example's output")
    """
    before, owner = sys.stdout, _Owner()
    sys.stdout = ours = _Output(owner, sys.stderr, before)
    try:
        yield
    finally:
        owner.release()
        if sys.stdout is ours:  # else another thread redirects it, and will restore what it found
            sys.stdout = before
