"""What fxviz says when something cannot be done.

The tree::

    FxvizError              every error that fxviz raises on purpose
    |-- UsageError          the caller asked for something that does not exist or does not fit: exit status 2
    |   |-- UnknownModel    no model of that name
    |   |-- BadGraphFile    a saved graph that cannot be read
    |   `-- BadOutput       a file that cannot be written
    |-- TraceError          the model's own code failed while it was traced: exit status 1
    |   `-- TimingError     the model's steps cannot be timed one by one
    |-- EngineError         the layout engine is missing or failed: exit status 1
    |   `-- EngineTimeout   it took too long
    `-- WorkerDied          the process that worked on a task died: exit status 1

A message is one line that says what is wrong, where, what was given, what is allowed and what to do next.
"""

from __future__ import annotations

import importlib
import inspect
import linecache
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class FxvizError(Exception):
    """Base class of the errors that fxviz raises on purpose."""

    __module__ = "fxviz"
    exit_status = 1


class UsageError(FxvizError):
    """The caller's mistake: a name, an option or a file that does not exist or does not fit."""

    __module__ = "fxviz"
    exit_status = 2


class UnknownModel(UsageError):
    """No model of that name is known."""


class BadGraphFile(UsageError):
    """A saved graph that is missing, cut short, or not one of ours."""


class BadOutput(UsageError):
    """A file that cannot be written, or a suffix that fxviz does not write."""


class TraceError(FxvizError):
    """The model's own code failed while it was traced; ``failure`` says where, as a :class:`~fxviz._graph.Failure`, if known."""

    __module__ = "fxviz"
    failure: object | None = None


class TimingError(TraceError):
    """The model's steps cannot be timed one by one."""


class EngineError(FxvizError):
    """The layout engine is missing, failed, or took too long."""

    __module__ = "fxviz"


class EngineTimeout(EngineError):
    """The layout engine took too long."""


class WorkerDied(FxvizError):
    """The process that worked on a task was killed, or ended itself."""


def choice(words: Sequence[str]) -> str:
    """Words of which one is to be chosen, as a message names them.

    >>> choice((".svg", ".png", ".dot")), choice((".json",))
    ('.svg, .png or .dot', '.json')
    """
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


_SHOWN = 80
"""Characters of a text that a message repeats."""

_PATH = 60
"""Characters of a path that a sentence repeats."""

_PARAMETERS = 300
"""Characters of a function's parameters that a message repeats."""


def printable(text: str) -> str:
    r"""The same text where each sign that is none, or would move the cursor, is written as an escape.

    >>> printable("a\n\x1b[2Jé")
    'a\\n\\x1b[2Jé'
    """
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def shown(text: str, longest: int = _SHOWN) -> str:
    r"""A user's text as a message repeats it: short, on one line.

    >>> shown("a\nb"), len(shown("a" * 1000))
    ('a\\nb', 80)
    """
    return printable(text if len(text) <= longest else f"{text[: longest - 3]}...")


def short_path(path: str, longest: int = _PATH) -> str:
    """A dotted path as a sentence repeats it: of one that would fill the line the end, which tells more.

    >>> short_path("layer4"), len(short_path("x" * 1000)), short_path("encoder.layers.0.attention.out_proj", 16)
    ('layer4', 60, '…ention.out_proj')
    """
    return printable(path if len(path) <= longest else f"…{path[1 - longest :]}")


def parameters(signature: inspect.Signature) -> str:
    """The parameters in parentheses, without types.

    >>> def make(depth: int = 2, *, act: str = "relu") -> None: ...
    >>> parameters(inspect.signature(make))
    "(depth=2, *, act='relu')"
    """
    bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    text = str(signature.replace(parameters=bare, return_annotation=signature.empty))
    return shown(" ".join(text.split()), _PARAMETERS)


def optional_library(name: str, need: str, extra: str) -> Any:
    """The library called ``name``.

    Args:
        name: of the library, as it is imported.
        need: what cannot be had without it, up to the name: "cannot write .png: it needs".
        extra: of fxviz, which brings the library.

    Raises:
        UsageError: it is not installed; the message says how to get it.

    >>> optional_library("tipst", "cannot write .png: it needs", "export")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: cannot write .png: it needs tipst, which is not installed: pip install "fxviz[export]"
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise UsageError(f'{need} {name}, which is not installed: pip install "fxviz[{extra}]"') from None


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
