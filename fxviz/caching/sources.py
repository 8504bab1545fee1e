"""The source files behind what was made: each in the state, size and time of change, by which Python tells stale byte code."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterable

STARTED = time.time_ns() - 2 * 10**9
"""When this module was imported, less what the clocks of file systems are coarse by. The libraries are imported later, so what
was not changed since then is what was loaded."""


def loaded() -> list[str]:
    """The files of all modules that this process has imported, without those of the standard library.

    >>> __file__ in loaded(), hashlib.__file__ in loaded()
    (True, False)
    """
    specs = [getattr(module, "__spec__", None) for name, module in list(sys.modules.items()) if not _is_standard(name)]
    return sorted({str(spec.origin) for spec in specs if spec is not None and getattr(spec, "has_location", False)})


def state(files: Iterable[str]) -> str:
    """A digest of the states of files, another one as soon as one of them was changed.

    Raises:
        OSError: a file is missing.

    >>> state([os.__file__]) == state([os.__file__])
    True
    """
    digest = hashlib.sha256()
    for path in files:
        seen = os.stat(path)  # noqa: PTH116, thousands of them: a Path for each costs more than the question
        digest.update(b"%d %d\n" % (seen.st_size, seen.st_mtime_ns))
    return digest.hexdigest()


def check_unchanged(files: Iterable[str]) -> None:
    """Refuse files that were changed since this process began: it may have loaded what they held before.

    Raises:
        OSError: a file is missing.
        ValueError: one was changed.

    >>> check_unchanged([os.__file__])
    """
    for path in files:
        if os.stat(path).st_mtime_ns > STARTED:  # noqa: PTH116
            raise ValueError(f"{path} was changed in the meantime")


def _is_standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names
