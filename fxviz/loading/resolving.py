"""The model behind a name."""

from __future__ import annotations

import difflib
import fnmatch
from types import ModuleType

from fxviz.errors import UnknownModel, UsageError
from fxviz.loading import timm, torchvision, transformers
from fxviz.loading.source import Source

_LIBRARIES = {"timm": timm, "transformers": transformers}
"""By the prefix of their models' names: ``timm:resnet50``. A name without prefix is one of torchvision's."""


def resolve(model: object) -> Source:
    """The source behind a name or a module.

    Args:
        model: one of :func:`names`, "timm:NAME", "transformers:TYPE" or "transformers:path/to/config.json", or an
            ``nn.Module``.

    Raises:
        UnknownModel: no library has a model of that name; the message offers near ones.
        UsageError: neither a name nor a module, a library that is not installed, or a file that holds no configuration.

    >>> resolve("resnet18").origin
    'torchvision'
    >>> resolve("resnet81")
    Traceback (most recent call last):
    ...
    fxviz.errors.UnknownModel: no model 'resnet81'; did you mean resnet18, ...? 'fxviz list' shows all names
    """
    if isinstance(model, str):
        prefix, library, name = _parted(model)
        if not library.knows(name):
            raise UnknownModel(_unknown(prefix, library, name))
        source: Source = library.source(name)
        return source
    from torch import nn

    if isinstance(model, nn.Module):
        return Source(type(model).__name__, "python", lambda allocate: model)
    raise UsageError(f"cannot trace a {type(model).__name__}: give a model name or a torch.nn.Module")


def names(pattern: str | None = None) -> list[str]:
    """Names that :func:`resolve` takes, in alphabetical order.

    Args:
        pattern: a shell pattern ("resnet*", in any case); a text without wildcards matches anywhere in the name. The names are
            torchvision's, unless the pattern begins with "timm:" or "transformers:".

    Raises:
        UsageError: the library is not installed.

    >>> names("resnet?8"), "vit_b_16" in names("vit")
    (['resnet18'], True)
    """
    prefix, library, pattern = _parted(pattern or "")
    if not any(mark in pattern for mark in "*?["):
        pattern = f"*{pattern}*"
    return [prefix + name for name in library.names() if fnmatch.fnmatchcase(name.lower(), pattern.lower())]


def _parted(name: str) -> tuple[str, ModuleType, str]:
    """The prefix with its colon ("" for torchvision), the library, and the name within it."""
    prefix, colon, rest = name.partition(":")
    if colon and prefix in _LIBRARIES:
        return prefix + colon, _LIBRARIES[prefix], rest
    return "", torchvision, name


def _unknown(prefix: str, library: ModuleType, name: str) -> str:
    near = [prefix + match for match in difflib.get_close_matches(name, library.names(), n=3)]
    *first, last = near or [""]
    hint = f"did you mean {', '.join(first)}{' or ' if first else ''}{last}? " if near else ""
    return f"no model '{prefix}{name}'; {hint}'{f'fxviz list {prefix}'.strip()}' shows all names"
