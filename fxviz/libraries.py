"""Libraries that not every installation has."""

from __future__ import annotations

import importlib
from typing import Any

from fxviz._errors import UsageError


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
    fxviz._errors.UsageError: cannot write .png: it needs tipst, which is not installed: pip install "fxviz[export]"
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise UsageError(f'{need} {name}, which is not installed: pip install "fxviz[{extra}]"') from None
