"""Running a user's own code: what it prints goes to standard error, and where it fails is said in one line."""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from fxviz.errors import FxvizError, UsageError
from fxviz.loading.literals import shown

_MACHINERY = tuple(f"{folder}{os.sep}" for folder in (Path(__file__).parents[1], Path(importlib.__file__).parent))
"""Folders of code that only leads to the user's."""

_LONGEST = 300
"""Characters of a message of the user's code that are repeated."""


@contextmanager
def own_code(doing: str) -> Iterator[None]:
    """Run a user's code in here.

    Args:
        doing: what cannot be done if it fails, "cannot import 'net.py'".

    Raises:
        UsageError: the code failed, or ended the program; the message says where.

    >>> with own_code("cannot build 'net.py:Net'"):
    ...     1 / 0
    Traceback (most recent call last):
    ...
    fxviz.errors.UsageError: cannot build 'net.py:Net': ZeroDivisionError: division by zero
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except FxvizError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"{doing}{_place(error)}: {_said(error)}{_advice(error)}") from error


def _said(error: BaseException) -> str:
    """Type and message, cut to the first line."""
    if isinstance(error, SystemExit):
        return "it ended the program"
    lines = (error.msg if isinstance(error, SyntaxError) else str(error)).strip().splitlines()
    return " ".join([f"{type(error).__name__}:", lines[0][:_LONGEST]]) if lines else type(error).__name__


def _place(error: BaseException) -> str:
    """File and line that raised, the user's own if any of it is, with the text of that line."""
    if isinstance(error, SyntaxError) and error.filename:
        return _at(error.filename, error.lineno, error.text)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(("<", *_MACHINERY))]
    own = [frame for frame in frames if not _is_installed(Path(frame.filename))]
    return "".join(_at(frame.filename, frame.lineno, frame.line) for frame in (own or frames)[-1:])


def _at(filename: str, line: int | None, text: str | None) -> str:
    text = shown((text or "").strip())
    return f" at {_near(filename)}{f':{line}' if line else ''}" + (f", '{text}'" if text else "")


def _is_installed(path: Path) -> bool:
    """Whether it is of the standard library or of a package that was installed, not the user's."""
    return path.is_relative_to(sysconfig.get_path("stdlib")) or bool({"site-packages", "dist-packages"} & set(path.parts))


def _near(filename: str) -> str:
    """The path as seen from the current folder, if it is below."""
    path = Path(filename)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else filename


def _advice(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "; put what is a script's own under 'if __name__ == \"__main__\":'"
    if isinstance(error, ImportError) and "relative import" in str(error):
        return "; a file of a package is named from the folder above it, 'package.module:Net'"
    if isinstance(error, ModuleNotFoundError):
        return f"; install it for {sys.executable}, or start in the folder where it is"
    return ""
