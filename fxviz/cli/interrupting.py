"""Ctrl-C: when it counts, and what is left to say."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Handler = Callable[[int, Any], Any]


@contextmanager
def _handled_by(handler: Handler, *, only_for: tuple[object, ...] = ()) -> Iterator[object]:
    """While this is active, ``handler`` answers Ctrl-C: in the main thread, and if one of ``only_for`` did so before."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or (only_for and before not in only_for):
        yield before
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield before
    finally:
        signal.signal(signal.SIGINT, before)


class Interruption:
    """Work that Ctrl-C interrupts, though whose code it meets may lose the exception.

    Args:
        words: the line to say where the process is ended at once.

    >>> with Interruption(lambda: "interrupted") as ctrl_c:
    ...     for lost in (ctrl_c.interrupt, ctrl_c.check):
    ...         try:
    ...             lost()
    ...         except KeyboardInterrupt:
    ...             print("came")
    came
    came
    """

    def __init__(self, words: Callable[[], str]) -> None:
        self.words = words
        self._came = False
        self._handling = _handled_by(self.interrupt, only_for=(signal.default_int_handler,))

    def __enter__(self) -> Interruption:
        self._handling.__enter__()
        _active.append(self)
        return self

    def __exit__(self, *error: Any) -> None:
        _active.remove(self)
        self._handling.__exit__(*error)

    def interrupt(self, *_: object) -> None:
        """Answer Ctrl-C, as Python does."""
        self._came = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise what was lost."""
        if self._came:
            raise KeyboardInterrupt


_active: list[Interruption] = []


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C that comes in here counts when this is done."""
    came: list[int] = []
    with _handled_by(lambda number, frame: came.append(number)) as before:
        yield
    if came and callable(before):
        before(signal.SIGINT, None)


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Ctrl-C in here ends the process at once.

    Raised as an exception within torch's own code, it may end in an abort with a page of C++ frames. No file is open here.
    """
    with _handled_by(_leave, only_for=(signal.default_int_handler, *(each.interrupt for each in _active))):
        yield


def _leave(*_: object) -> None:
    if os.isatty(2):
        os.write(2, b"\r\x1b[2K\x1b[?25h")  # the spinner's line goes, the cursor comes back
    for each in _active:
        os.write(2, f"{each.words()}\n".encode())
    os._exit(130)
