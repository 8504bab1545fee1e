"""Write files atomically, and check beforehand that they can be written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fxviz._graph.errors import BadOutput, choice, shown

_MAX_PATH = 300
"""Maximum length of a path in a message."""


def check_target(target: str | os.PathLike[str], suffixes: Sequence[str]) -> Path:
    """Check that a file can be written, before any work is done.

    Args:
        target: the file to write.
        suffixes: the allowed suffixes, with their dot.

    Returns:
        The path of the file.

    Raises:
        BadOutput: the name is empty or has another suffix, the folder is missing or not writable, or the path is a
            folder or a read-only file.

    >>> check_target(Path("net.gif"), (".svg", ".dot"))
    Traceback (most recent call last):
    ...
    fxviz._graph.errors.BadOutput: cannot write 'net.gif': the suffix must be .svg or .dot
    """
    if not isinstance(target, (str, os.PathLike)) or not str(target):
        raise BadOutput(f"cannot write to {target!r}: must be the name of a file that ends in {choice(suffixes)}")
    path = Path(target)
    _check_name(path)
    if path.is_dir() or str(target).endswith(("/", os.sep)):
        raise BadOutput(f"cannot write {_named(target)}: it is a folder; choose a file in it")
    if path.suffix.lower() not in suffixes:
        raise BadOutput(f"cannot write {_named(path)}: the suffix must be {choice(suffixes)}")
    if not path.parent.is_dir():
        raise BadOutput(f"cannot write {_named(path)}: the folder {_named(path.parent)} does not exist")
    if path.exists() and not os.access(path, os.W_OK):
        raise BadOutput(f"cannot write {_named(path)}: the file is read-only")
    if not path.exists() or path.is_file():
        _check_folder(path)
    return path


def _named(path: str | os.PathLike[str]) -> str:
    """Quote a path for a message."""
    return f"'{shown(str(path), _MAX_PATH)}'"


def _check_name(path: Path) -> None:
    """Refuse a name that the file system does not accept: too long, with a null byte, a cycle of links."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        raise BadOutput(f"cannot write {_named(path)}: {getattr(error, 'strerror', None) or error}") from error


def _check_folder(path: Path) -> None:
    """Create a temporary file beside the target: permissions do not tell if a disk is full or read-only."""
    try:
        with tempfile.TemporaryFile(dir=path.resolve().parent):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise BadOutput(f"cannot write {_named(path)}: cannot create a file in its folder ({reason})") from error


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write ``content`` to ``path`` in one step: readers see the old file or the new one, never half of either.

    The new file is written beside the old one and then replaces it, so that an interrupted or failed run leaves the old
    one. A device or pipe (``/dev/stdout``) is written directly. A symbolic link is kept, and its target is replaced.

    Args:
        path: the file to write; its folder must exist.
        content: text (written as UTF-8) or bytes.

    Returns:
        ``path``.

    Raises:
        BadOutput: the folder is missing, the path is a folder, or the file cannot be written.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "a.txt", "whole").read_text()
    'whole'
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    _check_name(path)
    if path.is_dir():
        raise BadOutput(f"cannot write {_named(path)}: it is a folder; choose a file in it")
    if not path.parent.is_dir():
        raise BadOutput(f"cannot write {_named(path)}: the folder {_named(path.parent)} does not exist")
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            _replace(path.resolve(), data)
    except OSError as error:
        raise BadOutput(f"cannot write {_named(path)}: {error.strerror or error}") from error
    return path


def _replace(path: Path, data: bytes) -> None:
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(13, "the file is read-only")
    handle, name = tempfile.mkstemp(prefix=".fxviz.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(name).chmod(path.stat().st_mode if path.exists() else 0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
