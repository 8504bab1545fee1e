"""The folder of the entries: where it is, what lies in it, and its bound."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".json.gz"
BOUND = 256_000_000
"""Bytes of all entries together, at most; a traced model takes about 20 kB."""

VARIABLE = "FXVIZ_CACHE"
"""The environment variable that names another folder than the user's cache."""

_TAG = "CACHEDIR.TAG"
_TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of fxviz, which 'fxviz cache clear' empties.\n"
"""Programs that make backups leave a folder with this file out (https://bford.info/cachedir/)."""

_OURS = re.compile(rf"[0-9a-f]{{64}}{re.escape(SUFFIX)}|\.fxviz\.\w+\.part")
"""An entry, or the beginning of one that a process was killed over."""


@dataclass(frozen=True)
class File:
    """A file of the cache: its path, its bytes, and when it was of use last, in nanoseconds."""

    path: Path
    size: int
    used: int


def place() -> Path:
    """The folder of the entries, be it there or not.

    >>> place().name
    'traces'
    """
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given) / "traces"
    from platformdirs import user_cache_path

    return user_cache_path("fxviz", appauthor=False) / "traces"


def prepare(folder: Path) -> None:
    """Make the folder, marked as a cache.

    Raises:
        OSError: it cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), (folder / _TAG).open("x", encoding="utf-8") as tag:
        tag.write(_TAG_TEXT)


def files(folder: Path) -> list[File]:
    """What of fxviz lies in the folder, the first the one that was not of use for the longest time.

    Raises:
        OSError: the folder cannot be read; one that is not there is empty.

    >>> files(Path("no such folder"))
    []
    """
    try:
        return sorted(_files(folder), key=lambda file: file.used)
    except FileNotFoundError:
        return []


def trim(folder: Path, bound: int) -> None:
    """Remove the files that were not of use for the longest time, until those that stay have ``bound`` bytes at most.

    Raises:
        OSError: the folder cannot be read.
    """
    found = files(folder)
    excess = sum(file.size for file in found) - bound
    for file in found:
        if excess <= 0:
            return
        with suppress(OSError):  # another process holds it open
            file.path.unlink(missing_ok=True)
            excess -= file.size


def clear(folder: Path) -> list[File]:
    """Remove all entries, and the folder if nothing else is in it.

    Returns:
        What was removed.

    Raises:
        OSError: one cannot be removed.
    """
    found = files(folder)
    for file in found:
        file.path.unlink(missing_ok=True)
    if folder.is_dir() and [path.name for path in folder.iterdir()] in ([_TAG], []):
        (folder / _TAG).unlink(missing_ok=True)
        with suppress(OSError):  # another process has just written an entry
            folder.rmdir()
    return found


def _files(folder: Path) -> Iterator[File]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if _OURS.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):  # another process has just removed it
                    seen = entry.stat()
                    yield File(Path(entry.path), seen.st_size, seen.st_mtime_ns)
