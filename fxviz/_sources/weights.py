"""Build a model with weights in it: from a file, or those that its library publishes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fxviz._graph.errors import UsageError, choice, shown, spelled
from fxviz._sources.checkpoints import SUFFIXES, check_file, is_checkpoint, read
from fxviz._sources.checkpoints.fill import fill
from fxviz._sources.offline import kept_offline
from fxviz._sources.reference import LIBRARIES, Reference, is_configuration
from fxviz._sources.resolve import release, resolve
from fxviz._sources.source import Built, Source
from fxviz._sources.user_code import is_installed

if TYPE_CHECKING:
    from torch import nn

__all__ = ["check_weights", "fetch", "source_of"]

_FILE = f"name a file: {choice(SUFFIXES)}"


def check_weights(model: Reference | nn.Module, weights: str | None, download: bool = False) -> None:
    """Refuse weights that cannot be loaded, with the checks that need no torch.

    Args:
        model: a parsed name, or a module.
        weights: a file, or the name of published weights; None for none.
        download: whether published weights may be downloaded.

    Raises:
        UsageError: there is no such file, no library publishes weights for the model, the model is already built, or
            there is nothing to download.

    >>> check_weights(Reference("file", "net.py", "Net"), "best")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    fxviz.UsageError: unknown weights 'best' for 'net.py:Net': only models of torchvision, timm or transformers have ...
    """
    if weights is None:
        if download and not (isinstance(model, Reference) and _may_refer(model)):
            raise UsageError(
                f"nothing to download: also name published weights ({spelled('weights=NAME', '--weights NAME')})"
            )
        return
    if not isinstance(model, Reference):
        raise UsageError(
            "cannot load weights into a module that is built already: call its load_state_dict before you pass it"
        )
    if is_checkpoint(weights):
        check_file(weights)
    elif Path(weights).exists():
        what = "a folder" if Path(weights).is_dir() else "not a file of weights"
        raise UsageError(f"cannot load '{shown(weights)}': it is {what}; {_FILE}")
    elif model.kind in ("file", "module", "program"):
        libraries = choice(("torchvision", *LIBRARIES))
        raise UsageError(
            f"unknown weights '{shown(weights)}' for '{shown(str(model))}': "
            f"only models of {libraries} have published ones; {_FILE}"
        )


def _may_refer(model: Reference) -> bool:
    """Return whether a library may need files that the name of a model refers to."""
    if model.kind == "library":
        return is_configuration(model.name)
    return model.kind == "module" and is_installed(model)


def fetch(model: Reference, weights: str, progress: bool = False) -> None:
    """Download published weights, unless they are on this machine or in a file.

    Args:
        model: a library's model.
        weights: the name of its weights, or a file that :func:`check_weights` accepts.
        progress: whether to show progress on standard error.

    Raises:
        UsageError: there are no such weights.
        FxvizError: the download fails.
    """
    if is_checkpoint(weights):
        return
    resolve(model)
    found = release(model, weights)
    if found.cached() is None:
        found.fetch(progress)


def source_of(model: Reference | nn.Module, weights: str | None = None, download: bool = False) -> Source:
    """Return the source of a model, which loads weights into it if some are named.

    Args:
        model: a parsed name, or a module.
        weights: a file or the name of published weights that :func:`check_weights` accepts; None for none.
        download: whether to download published weights that are not on this machine.

    Raises:
        UsageError: there is no such model, or there are no such weights. Whether they fit is checked when the model is
            built.
        FxvizError: the download fails.
    """
    if weights is None or not isinstance(model, Reference):
        return resolve(model, download)
    if download:
        fetch(model, weights)
    source = resolve(model, download)
    if is_checkpoint(weights):
        return _filled(source, lambda values: read(weights, values), weights)
    found = release(model, weights)
    file = str(found.file())
    published = found.source() if download else kept_offline(found.source, str(model))
    return _filled(replace(published, name=source.name), lambda values: read(file, values), weights)


def _filled(source: Source, state: Callable[[bool], dict[str, object]], weights: str) -> Source:
    """Return a source whose modules hold the weights; a module that others hold is copied first."""

    def build(allocate: bool) -> Built:
        built = source.build(allocate)
        module = source.copied(built.module) if source.is_shared else built.module
        return replace(built, module=module, weights=fill(module, state(allocate), weights))

    return replace(source, build=build, is_shared=False)
