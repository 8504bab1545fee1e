"""Weights that libraries publish for their models: what is declared of them, and where they are on this machine."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from fxviz._graph.information import Published
from fxviz._sources import published_timm as timm
from fxviz._sources import published_torchvision as torchvision
from fxviz._sources import published_transformers as transformers
from fxviz._sources.reference import Reference
from fxviz._sources.releases import Release

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Release", "declared", "published", "release", "why_none"]

_LIBRARIES: dict[str, ModuleType] = {"torchvision": torchvision, "timm": timm, transformers.NAME: transformers}


def published(reference: Reference) -> tuple[Published, ...]:
    """What the library of a model declares of its weights; nothing for a model of the user's own."""
    if reference.kind != "library":
        return ()
    found: tuple[Published, ...] = _LIBRARIES[reference.place].published(reference.name)
    return found


def why_none(reference: Reference) -> str:
    """What to say where nothing is declared.

    >>> why_none(Reference("module", "library", "Net"))
    'None for a model of your own; --weights FILE loads a file of yours.'
    """
    if reference.kind != "library":
        return "None for a model of your own; --weights FILE loads a file of yours."
    if reference.place == transformers.NAME:
        return "transformers declares none: --weights REPOSITORY names one of the Hugging Face hub, or a file of yours."
    return "None are declared; 'fxviz render MODEL --weights FILE' loads a file of yours."


def declared(reference: Reference, module: nn.Module) -> tuple[tuple[str, str], ...]:
    """What the configuration of a model says of it, where its library has one."""
    is_of_it = reference.kind == "library" and reference.place == transformers.NAME
    return transformers.declared(module) if is_of_it else ()


def release(reference: Reference, wanted: str) -> Release:
    """The weights called ``wanted`` of a library's model.

    Raises:
        UsageError: the library has none of that name for it.
    """
    found: Release = _LIBRARIES[reference.place].release(reference.name, wanted)
    return found
