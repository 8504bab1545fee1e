"""The model behind a name."""

from __future__ import annotations

import difflib
import fnmatch

from fxviz.errors import UnknownModel, UsageError
from fxviz.loading import torchvision
from fxviz.loading.source import Source


def resolve(model: object) -> Source:
    """The source behind a name or a module.

    Args:
        model: one of :func:`names`, or an ``nn.Module``.

    Raises:
        UnknownModel: no library has a model of that name; the message offers near ones.
        UsageError: neither a name nor a module.

    >>> resolve("resnet18").origin
    'torchvision'
    >>> resolve("resnet81")
    Traceback (most recent call last):
    ...
    fxviz.errors.UnknownModel: no model 'resnet81'; did you mean resnet18, ...? 'fxviz list' shows all names
    """
    if isinstance(model, str):
        if model not in names():
            raise UnknownModel(_unknown(model))
        return torchvision.source(model)
    from torch import nn

    if isinstance(model, nn.Module):
        return Source(type(model).__name__, "python", lambda allocate: model)
    raise UsageError(f"cannot trace a {type(model).__name__}: give a model name or a torch.nn.Module")


def names(pattern: str | None = None) -> list[str]:
    """Names that :func:`resolve` takes, in alphabetical order.

    Args:
        pattern: a shell pattern ("resnet*"); a text without wildcards matches anywhere in the name.

    >>> names("resnet?8"), "vit_b_16" in names("vit")
    (['resnet18'], True)
    """
    every = torchvision.names()
    if pattern is None:
        return every
    if not any(mark in pattern for mark in "*?["):
        pattern = f"*{pattern}*"
    return [name for name in every if fnmatch.fnmatchcase(name, pattern)]


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, names(), n=3)
    *first, last = near or [""]
    hint = f"did you mean {', '.join(first)}{' or ' if first else ''}{last}? " if near else ""
    return f"no model '{name}'; {hint}'fxviz list' shows all names"
