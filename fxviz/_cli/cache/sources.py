"""The source files behind what was made: each in the state, size and time of change, by which Python tells stale byte code."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterable

STARTED = time.time_ns()
"""When this module was imported. The libraries are imported later, so what was not changed since then is what was loaded."""

_ROUNDED = 2 * 10**9
"""Nanoseconds by which a file system may round the time of a change."""

_TICK = 2 * 10**7
"""Nanoseconds by which the clock that stamps files may be late."""


def loaded() -> list[str]:
    """The files of all modules that this process has imported, without those of the standard library.

    >>> __file__ in loaded(), hashlib.__file__ in loaded()
    (True, False)
    """
    specs = [getattr(module, "__spec__", None) for name, module in list(sys.modules.items()) if not _is_standard(name)]
    return sorted({str(spec.origin) for spec in specs if spec is not None and getattr(spec, "has_location", False)})


def state(files: Iterable[str]) -> str:
    """A digest of the states of files, another one as soon as one of them was changed, or a file came or went beside them.

    A new file may be imported in the place of one that is still there (``resnet/__init__.py`` before ``resnet.py``).

    Raises:
        OSError: a file is missing.

    >>> state([os.__file__]) == state([os.__file__])
    True
    """
    digest, files = hashlib.sha256(), list(files)
    for path in (*files, *dict.fromkeys(map(os.path.dirname, files))):
        seen = os.stat(path)  # noqa: PTH116, thousands of them: a Path for each costs more than the question
        digest.update(b"%d %d\n" % (seen.st_size, seen.st_mtime_ns))
    return digest.hexdigest()


def check_unchanged(files: Iterable[str]) -> None:
    """Refuse files that were changed since this process began: it may have loaded what they held before.

    A file that takes the place of another one may bring an old time of change with it, but not an old change of status.

    Raises:
        OSError: a file is missing.
        ValueError: one was changed.

    >>> check_unchanged([os.__file__])
    """
    for path in files:
        seen = os.stat(path)  # noqa: PTH116
        if seen.st_mtime_ns > STARTED - _ROUNDED or seen.st_ctime_ns > STARTED - _TICK:
            raise ValueError(f"{path} was changed in the meantime")


def _is_standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names
