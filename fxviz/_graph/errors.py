"""Define the errors that fxviz raises, and format the texts that their messages repeat.

The tree::

    FxvizError              every error that fxviz raises on purpose
    |-- UsageError          the caller asked for something that does not exist or does not fit: exit status 2
    |   |-- UnknownModel    there is no model of that name
    |   |-- BadGraphFile    a saved graph that cannot be read
    |   `-- BadOutput       a file that cannot be written
    |-- TraceError          the model's own code failed while it was traced: exit status 1
    |   `-- TimingError     the model's operations cannot be timed one by one
    |-- EngineError         the layout engine is missing or failed: exit status 1
    |   `-- EngineTimeout   the layout engine took too long
    `-- WorkerDied          a worker process died: exit status 1

A message is one line: what is wrong, where, what was given, what is allowed, and what to do next.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import linecache
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_SPELLINGS = re.compile("\x1f(.*?)\x1e(.*?)\x1f", re.DOTALL)


def spelled(python: str, shell: str) -> str:
    """Return a part of a message that reads one way in Python and another way on the command line.

    >>> error = UsageError(f"leave out {spelled('time=True', '--time')}")
    >>> print(error, "|", error.for_command_line)
    leave out time=True | leave out --time
    """
    return f"\x1f{python}\x1e{shell}\x1f"


_MAX_SENTENCE = 2000
"""Maximum length of a message, whatever it repeats."""


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SENTENCE else f"{text[: _MAX_SENTENCE - 3]}..."


class FxvizError(Exception):
    """Base class of the errors that fxviz raises on purpose."""

    __module__ = "fxviz"
    exit_status = 1

    def __str__(self) -> str:
        return _cut(_SPELLINGS.sub(r"\1", super().__str__()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    @property
    def for_command_line(self) -> str:
        """Return the message with options spelled as flags."""
        return _cut(_SPELLINGS.sub(r"\2", super().__str__()))


class UsageError(FxvizError):
    """The caller's mistake: a name, an option or a file that does not exist or does not fit."""

    __module__ = "fxviz"
    exit_status = 2


class UnknownModel(UsageError):
    """A model name that no library knows."""


class BadGraphFile(UsageError):
    """A saved graph that is missing, truncated, or not a graph of fxviz."""


class BadOutput(UsageError):
    """An output file that cannot be written, or a suffix that fxviz does not support."""


class TraceError(FxvizError):
    """A failure of the model's own code while it was traced.

    Attributes:
        failure: where it failed, a :class:`~fxviz._graph.Failure`; None if that is not known.
    """

    __module__ = "fxviz"
    failure: object | None = None


class TimingError(TraceError):
    """A model whose operations cannot be timed one by one."""


class EngineError(FxvizError):
    """A layout engine that is missing, failed, or took too long."""

    __module__ = "fxviz"


class EngineTimeout(EngineError):
    """A layout engine that took too long."""


class WorkerDied(FxvizError):
    """A worker process that was killed or exited."""


def choice(words: Sequence[str]) -> str:
    """Join the words of a choice with commas and "or".

    >>> choice((".svg", ".png", ".dot")), choice((".json",))
    ('.svg, .png or .dot', '.json')
    """
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


_MAX_TEXT = 80
"""Maximum length of a text in a message."""

_MAX_PATH = 60
"""Maximum length of a path in a sentence."""

_MAX_PARAMETERS = 300
"""Maximum length of a function's parameters in a message."""


def printable(text: str) -> str:
    r"""Escape characters that are not printable, such as those that move the cursor.

    >>> printable("a\n\x1b[2Jé")
    'a\\n\\x1b[2Jé'
    """
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def shown(text: str, longest: int = _MAX_TEXT) -> str:
    r"""Shorten a user's text to one line of a message.

    >>> shown("a\nb"), len(shown("a" * 1000))
    ('a\\nb', 80)
    """
    return printable(text if len(text) <= longest else f"{text[: longest - 3]}...")


def short_path(path: str, longest: int = _MAX_PATH) -> str:
    """Shorten a dotted path for a sentence; of a long one, keep the end, which is more specific.

    >>> short_path("layer4"), len(short_path("x" * 1000)), short_path("encoder.layers.0.attention.out_proj", 16)
    ('layer4', 60, '…ention.out_proj')
    """
    return printable(path if len(path) <= longest else f"…{path[1 - longest :]}")


def parameters(signature: inspect.Signature) -> str:
    """Format the parameters of a signature in parentheses, without types; classes as a model's name writes them.

    >>> def make(depth: int = 2, *, act: str = "relu", kind: type = inspect.Signature) -> None: ...
    >>> parameters(inspect.signature(make))
    "(depth=2, *, act='relu', kind=inspect.Signature)"
    """
    bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    text = str(signature.replace(parameters=bare, return_annotation=signature.empty))
    text = re.sub(r"<class '([\w.]+)'>", r"\1", " ".join(text.split()))
    return shown(text, _MAX_PARAMETERS)


def optional_library(name: str, need: str, extra: str) -> Any:
    """Import an optional library.

    Args:
        name: the name under which the library is imported.
        need: the beginning of the message if it is missing: "cannot write .png: it needs".
        extra: the extra of fxviz that installs the library.

    Raises:
        UsageError: the library is not installed, or cannot be imported; the message says how to install it.

    >>> optional_library("tipst", "cannot write .png: it needs", "export")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: cannot write .png: it needs tipst, which is not installed: pip install "fxviz[export]"
    """
    try:
        return importlib.import_module(name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            raise UsageError(f'{need} {name}, which is not installed: pip install "fxviz[{extra}]"') from None
        raise UsageError(f"{need} {name}, whose import fails: {first_line(error)}; install it again") from error


def require_torch(need: str, name: str = "torch") -> None:
    """Raise an error if torch is not installed, without importing it: saved graphs are drawn without it.

    Args:
        need: the beginning of the message: "cannot trace 'vgg11': it needs".
        name: "torch" or "torchvision".

    Raises:
        UsageError: it is not installed; the message says what to install.

    >>> require_torch("cannot trace 'vgg11': it needs", "torchvisiom")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: cannot trace 'vgg11': it needs torchvisiom, which is not installed: pip install torch torchvision
    """
    if importlib.util.find_spec(name) is None:
        raise UsageError(f"{need} {name}, which is not installed: pip install torch torchvision")


_MAX_MESSAGE = 300
"""Maximum length of another error's message in a message."""

_INSTALLED = ("site-packages", "dist-packages")
_FXVIZ = str(Path(__file__).parent.parent)
_STANDARD = (str(Path(linecache.__file__).parent),)
"""The folders of the standard library (``sysconfig`` takes long to import)."""

_SCRIPT_ERROR = "The following operation failed in the TorchScript interpreter"
"""Start of a message of scripted code, whose last line names the error."""


class Line(NamedTuple):
    """A line of code: its file as Python names it, its number (the first is 1), and its text."""

    file: str = ""
    number: int = 0
    code: str = ""

    def __str__(self) -> str:
        """Format the place briefly: relative to the current directory, or to the installed packages.

        >>> str(Line("/usr/lib/python3/site-packages/torch/__init__.py", 7, "x = 1"))
        "torch/__init__.py:7, 'x = 1'"
        """
        number = f":{self.number}" if self.number else ""
        code = f", '{shown(self.code)}'" if self.code else ""
        return f"{_short_file(self.file)}{number}{code}"


def blamed_line(error: BaseException) -> Line:
    """Return the innermost line of the user's own code that led to ``error``, else that of a library other than torch.

    The standard library, installed packages, torch and fxviz are not the user's own code.

    >>> blamed_line(ValueError("never raised"))
    Line(file='', number=0, code='')
    """
    if isinstance(error, SyntaxError) and error.filename:
        return Line(error.filename, error.lineno or 0, (error.text or "").strip())
    passed = [
        line for line in _lines(error) if not _is_within(line.file, (_FXVIZ, *_torch())) and not _is_standard(line.file)
    ]
    own = [line for line in passed if not _is_installed(line.file)]
    return (own or passed or [Line()])[-1]


def text_of(error: BaseException) -> str:
    """Return the message of an error, or "" if it cannot be formatted."""
    try:
        return (error.msg if isinstance(error, SyntaxError) else str(error)).strip()
    except Exception:
        return ""


def first_line(error: BaseException) -> str:
    """Return the class of an error with the first line of its message; of scripted code the last line alone.

    >>> first_line(ValueError("no\\nmore")), first_line(SystemExit())
    ('ValueError: no', 'SystemExit')
    """
    text = text_of(error).splitlines()
    if not text:
        return type(error).__name__
    line = text[-1] if text[0].startswith(_SCRIPT_ERROR) else f"{type(error).__name__}: {text[0]}"
    return printable(line if len(line) <= _MAX_MESSAGE else f"{line[:_MAX_MESSAGE]}…")


def _lines(error: BaseException) -> Iterator[Line]:
    """Yield the lines of a traceback whose code is known, outermost first."""
    for frame, number in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        code = linecache.getline(file, number, frame.f_globals).strip()
        if code:
            yield Line(file, number, code)


def _torch() -> tuple[str, ...]:
    """Return the directory of torch if it is imported."""
    file = getattr(sys.modules.get("torch"), "__file__", None)
    return (str(Path(file).parent),) if file else ()


def _is_within(file: str, folders: tuple[str, ...]) -> bool:
    return any(Path(file).is_relative_to(folder) for folder in folders)


def _is_installed(file: str) -> bool:
    return any(part in _INSTALLED for part in Path(file).parts)


def _is_standard(file: str) -> bool:
    return file.startswith("<frozen") or (_is_within(file, _STANDARD) and not _is_installed(file))


def library_that_failed(error: BaseException) -> str:
    """Return the name of the installed library whose import raised an error; "" if it did not arise in an import.

    >>> try:
    ...     import no_such_library
    ... except ImportError as error:
    ...     library_that_failed(error)
    'no_such_library'
    """
    codes = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    for parts in (Path(code.co_filename).parts for code in codes if code.co_name == "<module>"):
        place = next((place for place, part in enumerate(parts) if part in _INSTALLED), None)
        if place is not None:
            return parts[place + 1].removesuffix(".py")
    return str(error.name or "") if isinstance(error, ImportError) else ""


def _short_file(file: str) -> str:
    path = Path(file)
    start = next((place + 1 for place, part in enumerate(path.parts) if part in _INSTALLED), 0)
    if start:
        return str(Path(*path.parts[start:]))
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file
