"""Running a user's own code: what it prints goes to standard error, and where it fails is said in one line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from fxviz._errors import FxvizError, UsageError
from fxviz.locating import blamed_line, first_line


@contextmanager
def own_code(doing: str) -> Iterator[None]:
    """Run a user's code in here.

    Args:
        doing: what cannot be done if it fails, "cannot import 'net.py'".

    Raises:
        UsageError: the code failed, or ended the program; the message says where.

    >>> with own_code("cannot build 'net.py:Net'"):  # doctest: +ELLIPSIS
    ...     1 / 0
    Traceback (most recent call last):
    ...
    fxviz._errors.UsageError: cannot build 'net.py:Net' at ...: ZeroDivisionError: division by zero
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except FxvizError:
        raise
    except (Exception, SystemExit) as error:
        line = blamed_line(error)
        place = f" at {line}" if line.file else ""
        said = "it ended the program" if isinstance(error, SystemExit) else first_line(error)
        raise UsageError(f"{doing}{place}: {said}{_advice(error)}") from error


def _advice(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "; put what is a script's own under 'if __name__ == \"__main__\":'"
    if isinstance(error, ImportError) and "relative import" in str(error):
        return "; a file of a package is named from the folder above it, 'package.module:Net'"
    if isinstance(error, ModuleNotFoundError):
        return f"; install it for {sys.executable}, or start in the folder where it is"
    return ""
