"""Which line of whose code raised, and what it said."""

from __future__ import annotations

import linecache
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fxviz.quoting import printable, shown

_LONGEST = 300
"""Characters of an error's message that are repeated."""

_INSTALLED = ("site-packages", "dist-packages")
_OURS = str(Path(__file__).parent)
_STANDARD = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})

_SCRIPTED = "The following operation failed in the TorchScript interpreter"
"""So begins the message of scripted code; what failed stands in its last line."""


class Line(NamedTuple):
    """A line of code: its file as Python names it, its number from 1, its text."""

    file: str = ""
    number: int = 0
    code: str = ""

    def __str__(self) -> str:
        """Where to look, as short as it can be said: relative to the current folder, or to the installed packages.

        >>> str(Line("/usr/lib/python3/site-packages/torch/__init__.py", 7, "x = 1"))
        "torch/__init__.py:7, 'x = 1'"
        """
        number = f":{self.number}" if self.number else ""
        code = f", '{shown(self.code)}'" if self.code else ""
        return f"{_shortened(self.file)}{number}{code}"


def blamed_line(error: BaseException) -> Line:
    """The innermost line of the user's own code that led to ``error``; without one, of a library's that is not torch.

    The standard library, what is installed as a package, torch and fxviz are not the user's own.

    >>> blamed_line(ValueError("never raised"))
    Line(file='', number=0, code='')
    """
    if isinstance(error, SyntaxError) and error.filename:
        return Line(error.filename, error.lineno or 0, (error.text or "").strip())
    passed = [line for line in _lines(error) if not _within(line.file, (_OURS, *_torch())) and not _standard(line.file)]
    own = [line for line in passed if not _installed(line.file)]
    return (own or passed or [Line()])[-1]


def text_of(error: BaseException) -> str:
    """The message of an error; "" if it cannot tell."""
    try:
        return (error.msg if isinstance(error, SyntaxError) else str(error)).strip()
    except Exception:
        return ""


def first_line(error: BaseException) -> str:
    """The class of an error and the line of its message that says most: the first, of scripted code the last.

    >>> first_line(ValueError("no\\nmore")), first_line(SystemExit())
    ('ValueError: no', 'SystemExit')
    """
    text = text_of(error).splitlines()
    if not text:
        return type(error).__name__
    line = text[-1] if text[0].startswith(_SCRIPTED) else f"{type(error).__name__}: {text[0]}"
    return printable(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…")


def _lines(error: BaseException) -> Iterator[Line]:
    """From the outermost; only those whose text can be shown."""
    for frame, number in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        code = linecache.getline(file, number, frame.f_globals).strip()
        if code:
            yield Line(file, number, code)


def _torch() -> tuple[str, ...]:
    """The folder of torch, if that is imported."""
    file = getattr(sys.modules.get("torch"), "__file__", None)
    return (str(Path(file).parent),) if file else ()


def _within(file: str, folders: tuple[str, ...]) -> bool:
    return any(Path(file).is_relative_to(folder) for folder in folders)


def _installed(file: str) -> bool:
    return any(part in _INSTALLED for part in Path(file).parts)


def _standard(file: str) -> bool:
    return file.startswith("<frozen") or (_within(file, _STANDARD) and not _installed(file))


def _shortened(file: str) -> str:
    path = Path(file)
    start = next((place + 1 for place, part in enumerate(path.parts) if part in _INSTALLED), 0)
    if start:
        return str(Path(*path.parts[start:]))
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file
