"""Build and trace models in one thread at a time, and patch shared objects for the calling thread alone."""

from __future__ import annotations

import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from fxviz._graph.errors import UsageError

if TYPE_CHECKING:
    import logging

_LOCK = threading.RLock()
_forward_runs = False
"""True while a model runs to be traced. Read and written by the thread that holds the lock."""


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold the lock under which models are built and traced; the thread that holds it may enter again.

    Random numbers and the libraries' settings belong to the process: they are changed and restored under this lock.

    Raises:
        UsageError: the calling thread runs a model to trace it, and its forward builds or traces another one.

    >>> with one_at_a_time(), one_at_a_time(), running_forward():
    ...     with one_at_a_time():
    ...         pass
    Traceback (most recent call last):
    ...
    fxviz.UsageError: cannot build or trace a model inside the forward of a model that is being traced: do it before
    """
    with _LOCK:
        if _forward_runs:
            raise UsageError(
                "cannot build or trace a model inside the forward of a model that is being traced: do it before"
            )
        yield


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


@contextmanager
def patched(holder: Any, name: str, replacement: Callable[..., Any]) -> Iterator[None]:
    """Replace a function of a class or module for the calling thread; other threads call the original.

    >>> import math
    >>> with patched(math, "sqrt", lambda x: "patched"):
    ...     math.sqrt(4)
    'patched'
    >>> math.sqrt(4)
    2.0
    """
    original, owner = getattr(holder, name), _Owner()

    def replaced(*args: Any, **kwargs: Any) -> Any:
        return replacement(*args, **kwargs) if owner.calls() else original(*args, **kwargs)

    setattr(holder, name, replaced)
    try:
        yield
    finally:
        owner.release()
        if getattr(holder, name) is replaced:  # else another thread patched it since, and will put this one back
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
    sys.stdout = _Output(owner, sys.stderr, before)
    try:
        yield
    finally:
        owner.release()
        sys.stdout = before
