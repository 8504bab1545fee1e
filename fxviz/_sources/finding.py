"""What a user's file or module offers: the class, function or module behind a dotted name, or the names to choose from."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from fxviz._errors import UsageError
from fxviz._sources.reference import Reference
from fxviz.quoting import shown

_MANY = 8
"""So many names are listed at most."""


def find(reference: Reference, module: ModuleType) -> Any:
    """What ``reference`` names in ``module``.

    Raises:
        UsageError: there is nothing of that name, or no name is given; the message lists what there is.

    >>> find(Reference("module", "collections", "OrderedDict.fromkeys"), __import__("collections")).__name__
    'fromkeys'
    """
    if not reference.name:
        raise UsageError(f"no class or function is named in '{shown(reference.place)}'; {choice(reference, module)}")
    value: Any = module
    for part in reference.name.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            hint = _near(part, value) or choice(reference, module)
            raise UsageError(f"no '{shown(part)}' in '{shown(reference.place)}'; {hint}") from None
    return value


def _near(name: str, holder: Any) -> str:
    near = difflib.get_close_matches(name, [known for known in dir(holder) if not known.startswith("_")], n=1)
    return f"did you mean {near[0]}?" if near else ""


def choice(reference: Reference, module: ModuleType) -> str:
    """The names that could stand in ``reference``, as the end of a message."""
    names = list(candidates(module))
    if not names:
        return "it defines no torch.nn.Module and no function: write one that returns the model"
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return f"write '{shown(reference.place)}:NAME' with one of {', '.join(names[:_MANY])}{more}"


def candidates(module: ModuleType) -> Iterator[str]:
    """Names of the nn.Module classes, then of the modules that are made, then of the functions that ``module`` itself defines.

    >>> list(candidates(__import__("fxviz._sources.finding", fromlist=["find"])))
    ['find', 'choice', 'candidates']
    """
    from torch import nn

    public = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    own = {name: value for name, value in public.items() if getattr(value, "__module__", None) == module.__name__}
    yield from (name for name, value in own.items() if isinstance(value, type) and issubclass(value, nn.Module))
    yield from (name for name, value in public.items() if isinstance(value, nn.Module))
    yield from (name for name, value in own.items() if inspect.isfunction(value))
