"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fxviz._errors import BadOutput, choice


def check_target(target: str | os.PathLike[str], suffixes: Sequence[str]) -> Path:
    """Find out before any work is done whether a file can be written.

    Args:
        target: the file to be.
        suffixes: the ones allowed, with their dot.

    Returns:
        Its path.

    Raises:
        BadOutput: no name, another suffix, a missing folder, a folder in its place, a read-only file, a folder that takes no
            new file.

    >>> check_target(Path("net.gif"), (".svg", ".dot"))
    Traceback (most recent call last):
    ...
    fxviz._errors.BadOutput: cannot write 'net.gif': the suffix must be .svg or .dot
    """
    if not isinstance(target, (str, os.PathLike)) or not str(target):
        raise BadOutput(f"cannot write to {target!r}: give the name of a file that ends in {choice(suffixes)}")
    path = Path(target)
    _check_name(path)
    if path.is_dir():
        raise BadOutput(f"cannot write '{path}': it is a folder; name a file in it")
    if path.suffix.lower() not in suffixes:
        raise BadOutput(f"cannot write '{path}': the suffix must be {choice(suffixes)}")
    if not path.parent.is_dir():
        raise BadOutput(f"cannot write '{path}': the folder '{path.parent}' does not exist")
    if path.exists() and not os.access(path, os.W_OK):
        raise BadOutput(f"cannot write '{path}': the file is read-only")
    if not path.exists() or path.is_file():
        _check_folder(path)
    return path


def _check_name(path: Path) -> None:
    """Refuse what the file system takes for no name at all: too long, with a zero byte, a circle of links."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        raise BadOutput(f"cannot write '{path}': {getattr(error, 'strerror', None) or error}") from error


def _check_folder(path: Path) -> None:
    """Try what writing will do: make a file beside the target. Permissions alone do not tell (a full or read-only disk)."""
    try:
        with tempfile.TemporaryFile(dir=path.resolve().parent):
            pass
    except OSError as error:
        raise BadOutput(f"cannot write '{path}': its folder takes no new file ({error.strerror or error})") from error


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write ``content`` to ``path`` in one step: a reader sees the old file or the new one, never half of either.

    The new file is written beside the old one and then takes its place, so an interrupted or failed run leaves what was there.
    A device or pipe (``/dev/stdout``) is written straight through, a symbolic link keeps pointing where it points.

    Args:
        path: the file; its folder must exist.
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
        raise BadOutput(f"cannot write '{path}': it is a folder; name a file in it")
    if not path.parent.is_dir():
        raise BadOutput(f"cannot write '{path}': the folder '{path.parent}' does not exist")
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            _replace(path.resolve(), data)
    except OSError as error:
        raise BadOutput(f"cannot write '{path}': {error.strerror or error}") from error
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
