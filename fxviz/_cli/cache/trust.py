"""Decide whether the cache can be believed: only what no other user can write, and no links."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from fxviz._graph.errors import shown

_MAX_PATH = 300
"""Maximum length of a path in a message."""

_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_CAREFULLY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Flags that follow no link and wait for no pipe."""


class Distrusted(Exception):
    """A folder or a file of the cache that another user can write; the message says which."""


def check_folder(folder: Path) -> None:
    """Refuse a cache directory that is a link, or that another user owns, can write or can replace.

    One that does not exist will be this user's own. Folders of Windows have other permissions, and are not checked.

    Raises:
        Distrusted: it is refused.

    >>> check_folder(Path("no such folder/traces"))
    """
    if sys.platform == "win32":
        return
    with suppress(FileNotFoundError, NotADirectoryError):
        if reason := _shared(folder.parent) or _foreign(folder.lstat()):
            place = f"it is in '{shown(str(folder.parent), _MAX_PATH)}', which" if _shared(folder.parent) else "it"
            raise Distrusted(f"the cache '{shown(str(folder), _MAX_PATH)}' is not used: {place} {reason}")


def _shared(parent: Path) -> str:
    """Return the reason why another user can put something else in place of a folder; "" if none can."""
    link, seen = parent.lstat(), parent.stat()
    if stat.S_ISLNK(link.st_mode) and not _is_own(link):
        return "is a link of another user"
    return "other users can write" if seen.st_mode & _OTHERS and not seen.st_mode & stat.S_ISVTX else ""


def _foreign(seen: os.stat_result) -> str:
    """Return the reason why a folder or file may hold what another user wrote; "" if it cannot."""
    if stat.S_ISLNK(seen.st_mode):
        return "is a link"
    if not _is_own(seen):
        return "belongs to another user"
    return "can be written by other users" if seen.st_mode & _OTHERS else ""


def _is_own(seen: os.stat_result) -> bool:
    return sys.platform == "win32" or seen.st_uid == os.geteuid()


def opened(path: Path) -> BinaryIO:
    """Open a file of the cache for reading.

    Raises:
        OSError: it cannot be opened.
        Distrusted: it is a link, or another user can write it.
    """
    where = f"an entry of the cache is not used: '{shown(str(path), _MAX_PATH)}'"
    if path.is_symlink():
        raise Distrusted(f"{where} is a link")
    file = os.fdopen(os.open(path, os.O_RDONLY | _CAREFULLY), "rb")
    reason = "" if sys.platform == "win32" else _foreign(os.fstat(file.fileno()))
    if reason:
        file.close()
        raise Distrusted(f"{where} {reason}")
    return file
