"""Handle Ctrl-C, SIGTERM and SIGHUP: when they take effect, and what is reported."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from os import _exit  # own code that runs finds another one
from typing import Any

Handler = Callable[[int, Any], Any]


@contextmanager
def _handled_by(handler: Handler, *, only_for: tuple[object, ...] = ()) -> Iterator[object]:
    """Handle Ctrl-C with ``handler``, in the main thread, and if one of ``only_for`` handled it before."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or (only_for and before not in only_for):
        yield before
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield before
    finally:
        signal.signal(signal.SIGINT, before)


_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a process: the second is sent when its terminal is closed."""


@contextmanager
def _terminated_by(handler: Handler) -> Iterator[None]:
    """Handle signals that end the process with ``handler``, in the main thread, unless they are handled or ignored."""
    is_main = threading.current_thread() is threading.main_thread()
    open_to_us = [number for number in _ENDING if is_main and signal.getsignal(number) is signal.SIG_DFL]
    for number in open_to_us:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in open_to_us:
            signal.signal(number, signal.SIG_DFL)


_PATIENCE = 6.0
"""Seconds that what was interrupted may take to stop, before the process ends at once."""


class Interruption:
    """Work that Ctrl-C, SIGTERM or SIGHUP interrupts, even if the code that is running swallows the exception.

    Args:
        words: returns the line to print if the process ends at once.

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
        self._handling = ExitStack()

    def __enter__(self) -> Interruption:
        self._handling.enter_context(_handled_by(self.interrupt, only_for=(signal.default_int_handler,)))
        self._handling.enter_context(_terminated_by(self._terminate))
        _active.append(self)
        return self

    def __exit__(self, *error: Any) -> None:
        _active.remove(self)
        self._handling.close()

    def interrupt(self, *_: object) -> None:
        """Handle Ctrl-C as Python does; if that ends nothing for long, end the process.

        The exception may come in the middle of a library's code, which then waits for ever for what it has not done.
        """
        if not self._came:
            threading.Thread(target=self._end_in_any_case, daemon=True).start()
        self._came = True
        raise KeyboardInterrupt

    def _end_in_any_case(self) -> None:
        time.sleep(_PATIENCE)
        if self in _active:
            _leave()

    def _terminate(self, *_: object) -> None:
        """Handle SIGTERM and SIGHUP like Ctrl-C at this moment, even where that is ignored."""
        answer = signal.getsignal(signal.SIGINT)
        (answer if callable(answer) else self.interrupt)(signal.SIGINT, None)

    def check(self) -> None:
        """Raise the KeyboardInterrupt that was swallowed."""
        if self._came:
            raise KeyboardInterrupt


_active: list[Interruption] = []


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Defer Ctrl-C until the block ends."""
    came: list[int] = []
    with _handled_by(lambda number, frame: came.append(number)) as before:
        yield
    if came and callable(before):
        before(signal.SIGINT, None)


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Let Ctrl-C end the process at once.

    An exception within torch's own code may end in an abort with a page of C++ frames. No file is open in the block.
    """
    with _handled_by(_leave, only_for=(signal.default_int_handler, *(each.interrupt for each in _active))):
        yield


def _leave(*_: object) -> None:
    if os.isatty(2):
        os.write(2, b"\r\x1b[2K\x1b[?25h")  # clear the spinner's line, and show the cursor again
    for each in _active:
        os.write(2, f"{each.words()}\n".encode())
    _exit(130)
