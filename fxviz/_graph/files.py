"""Write files atomically, and check beforehand that they can be written."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fxviz._graph.errors import BadOutput, choice, shown

_PREFIX, _SUFFIX = ".fxviz.", ".part"
"""Parts of the name of a file that is being written, beside that which it replaces."""

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


def read_whole(path: str | os.PathLike[str], most: int) -> bytes:
    """Return the content of a file, which must be one: a pipe or a device might never end.

    Args:
        path: the file.
        most: maximum number of bytes.

    Raises:
        OSError: it cannot be read, is no regular file, or has more bytes.

    >>> read_whole(os.devnull, 10)
    Traceback (most recent call last):
    ...
    OSError: [Errno 22] it is a pipe or a device, not a file; save its content to a file
    """
    check_regular(path)
    with Path(path).open("rb") as file:
        is_larger = os.fstat(file.fileno()).st_size > most
        content = b"" if is_larger else file.read(most + 1)
    if is_larger or len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most / 1e6:g} MB")
    return content


def check_regular(path: str | os.PathLike[str]) -> None:
    """Refuse what is no regular file, without opening it.

    Raises:
        OSError: there is no such file, or it is a folder, a pipe or a device.
    """
    try:
        mode = Path(path).stat().st_mode
    except ValueError as error:  # a null byte in the name
        raise OSError(errno.EINVAL, str(error)) from None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file; save its content to a file")


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
    mode = path.stat().st_mode if path.exists() else 0o666 & ~_umask()
    if _linked(path, data, mode):
        return
    handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _linked(path: Path, data: bytes, mode: int) -> bool:
    """Write a file without a name, which gets its name once it is whole: a killed process leaves nothing (Linux).

    Returns:
        False if the file system or the system cannot do that.
    """
    if sys.platform != "linux":
        return False
    try:
        handle = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o600)
    except OSError:
        return False
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fchmod(handle, mode)
        with suppress(OSError):
            _give_name(handle, path)
            return True
    return False


def _give_name(handle: int, path: Path) -> None:
    """Give an open file a name, which another one may have until then."""
    source, between = f"/proc/self/fd/{handle}", path.with_name(f"{_PREFIX}{secrets.token_hex(4)}{_SUFFIX}")
    try:
        os.link(source, path, src_dir_fd=handle)  # with a folder, which an absolute source ignores, it follows links
    except FileExistsError:
        os.link(source, between, src_dir_fd=handle)
        try:
            between.replace(path)
        except BaseException:
            between.unlink()
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
