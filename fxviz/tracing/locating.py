"""Which line of whose code raised."""

from __future__ import annotations

import linecache
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch


class Line(NamedTuple):
    """A line of code: its file as Python names it, its number from 1, its text."""

    file: str = ""
    number: int = 0
    code: str = ""

    def __str__(self) -> str:
        """Where to look, as short as it can be said: relative to the current folder, or to the installed packages.

        >>> str(Line(torch.__file__, 7, "x = 1"))
        "torch/__init__.py:7, 'x = 1'"
        """
        code = self.code if len(self.code) <= _LONGEST else f"{self.code[:_LONGEST]}…"
        return f"{_shortened(self.file)}:{self.number}, '{code}'"


_LONGEST = 100
_INSTALLED = ("site-packages", "dist-packages")
_OURS = str(Path(__file__).parent.parent)
_TORCH = str(Path(torch.__file__).parent)
_STANDARD = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})


def blamed_line(error: BaseException) -> Line:
    """The innermost line of the user's own code that led to ``error``; without one, of a library's that is not torch.

    The standard library, what is installed as a package, torch and fxviz are not the user's own.

    >>> blamed_line(ValueError("never raised"))
    Line(file='', number=0, code='')
    """
    passed = [line for line in _lines(error) if not _within(line.file, (_OURS, _TORCH)) and not _standard(line.file)]
    own = [line for line in passed if not _installed(line.file)]
    return (own or passed or [Line()])[-1]


def _lines(error: BaseException) -> Iterator[Line]:
    """From the outermost; only those whose text can be shown."""
    for frame, number in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        code = linecache.getline(file, number, frame.f_globals).strip()
        if code:
            yield Line(file, number, code)


def _within(file: str, folders: tuple[str, ...]) -> bool:
    return any(Path(file).is_relative_to(folder) for folder in folders)


def _installed(file: str) -> bool:
    return any(part in _INSTALLED for part in Path(file).parts)


def _standard(file: str) -> bool:
    return file.startswith("<frozen") or (_within(file, _STANDARD) and not _installed(file))


def _shortened(file: str) -> str:
    path = Path(file)
    if path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    start = next((place + 1 for place, part in enumerate(path.parts) if part in _INSTALLED), 0)
    return str(Path(*path.parts[start:])) if path.parts else file
