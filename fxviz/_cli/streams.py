"""Write to standard output and standard error, even where they are closed or full."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

from fxviz._errors import FxvizError


def open_closed() -> None:
    """Open standard streams that were closed before the start on the null device.

    Otherwise the next file that is opened would get their number, and messages would land in it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) < 3:
        pass
    os.close(descriptor)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115


def give(text: str) -> None:
    """Write to standard output as UTF-8, at once; a reader that has gone away is not an error.

    Raises:
        FxvizError: standard output cannot be written.

    >>> give("11.69M")
    11.69M
    """
    try:
        sys.stdout.flush()
        if hasattr(sys.stdout, "buffer"):
            sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
        else:
            sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        _drop(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            raise FxvizError(f"cannot write to standard output: {error.strerror or error}") from error


def tell(text: str) -> None:
    """Write to standard error, at once; if it cannot be written, the work goes on."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _drop(sys.stderr)


def _drop(stream: TextIO) -> None:
    """Discard what the stream still holds: Python would write it at exit, and fail again."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
