"""Whether a class or function takes the arguments that a model's name gives it, told before it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fxviz._errors import UsageError
from fxviz._sources.literals import written
from fxviz._sources.reference import Reference
from fxviz.quoting import parameters, shown


def check_call(target: Callable[..., Any], reference: Reference) -> None:
    """Refuse arguments that do not fit.

    Raises:
        UsageError: arguments are missing, or not taken.

    >>> def make(depth, *, act): ...
    >>> check_call(make, Reference("file", "net.py", "make", (), {"act": "gelu"}))
    Traceback (most recent call last):
    ...
    fxviz._errors.UsageError: 'net.py:make' needs depth: write 'net.py:make(act='gelu', depth=...)'
    """
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return  # written in C: it says so itself
    try:
        bound = signature.bind_partial(*reference.args, **reference.kwargs)
    except TypeError as error:
        raise UsageError(f"cannot call '{shown(str(reference))}': {error}; it takes {parameters(signature)}") from None
    required = {name: parameter for name, parameter in signature.parameters.items() if _is_required(parameter)}
    if missing := [parameter for name, parameter in required.items() if name not in bound.arguments]:
        names = ", ".join(parameter.name for parameter in missing)
        raise UsageError(f"'{reference.place}:{reference.name}' needs {names}: write '{_completed(reference, missing)}'")


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)


def _completed(reference: Reference, missing: list[inspect.Parameter]) -> str:
    """The name with a place for each missing argument."""
    given = written(reference.args, reference.kwargs)[1:-1]
    places = ["..." if parameter.kind is parameter.POSITIONAL_ONLY else f"{parameter.name}=..." for parameter in missing]
    return f"{reference.place}:{reference.name}({', '.join([given, *places] if given else places)})"
