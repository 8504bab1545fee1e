"""End a process that was started for another one together with it."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

_POLL = 0.5
"""Seconds between two looks at the other process."""


def end_with(process: int) -> None:
    """End this process within a second after the one that started it has ended, however that was.

    On Windows nothing is done: there a number does not tell whether that process is still running.

    Args:
        process: the number of the process that started this one.
    """
    if sys.platform != "win32":
        threading.Thread(target=_watch, args=(process, os._exit), daemon=True).start()


def _watch(process: int, leave: Callable[[int], object]) -> None:
    while os.getppid() == process:
        time.sleep(_POLL)
    leave(1)
