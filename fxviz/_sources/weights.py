"""A model with weights from a file, or with those that its library publishes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fxviz._errors import UsageError, choice, shown
from fxviz._graph import WeightsInfo
from fxviz._sources.checkpoints import SUFFIXES, check_file, is_checkpoint, read
from fxviz._sources.checkpoints.fill import fill
from fxviz._sources.reference import LIBRARIES, parse
from fxviz._sources.resolve import release, resolve
from fxviz._sources.source import Source

if TYPE_CHECKING:
    from torch import nn

__all__ = ["check_weights", "fetch", "source_of"]

_FILE = f"name a file: {choice(SUFFIXES)}"


def check_weights(model: object, weights: str | None, download: bool = False) -> None:
    """Refuse weights that cannot be loaded, as far as that can be told before torch is imported.

    Args:
        model: what :func:`~fxviz._sources.resolve` takes.
        weights: a file, or the name of published weights; None for none.
        download: whether published weights may be fetched.

    Raises:
        UsageError: there is no such file, nobody publishes weights for the model, it is a module of the caller's, or there is
            nothing to fetch.

    >>> check_weights("net.py:Net", "best")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    fxviz.UsageError: no weights 'best' of 'net.py:Net': only models of torchvision, timm or transformers have ...
    """
    if weights is None:
        if download:
            raise UsageError(
                "nothing to download: name published weights, too (--weights NAME, in Python weights=NAME)"
            )
        return
    if not isinstance(model, str):
        raise UsageError(
            "weights are loaded into a model that fxviz builds; load them into yours with load_state_dict, first"
        )
    reference = parse(model)
    if is_checkpoint(weights):
        check_file(weights)
    elif Path(weights).exists():
        raise UsageError(f"cannot load '{shown(weights)}': it is {_kind(Path(weights))}; {_FILE}")
    elif reference.kind in ("file", "module", "program"):
        libraries = choice(("torchvision", *LIBRARIES))
        raise UsageError(
            f"no weights '{shown(weights)}' of '{shown(model)}': only models of {libraries} have published ones; {_FILE}"
        )


def _kind(path: Path) -> str:
    return "a folder" if path.is_dir() else "a file of another kind"


def fetch(model: str, weights: str, progress: bool = False) -> None:
    """Download published weights, unless they are on this machine; a file is there already.

    Args:
        model: a library's model.
        weights: the name of its weights, or a file that :func:`check_weights` lets through.
        progress: whether it is shown on standard error.

    Raises:
        UsageError: there are no such weights.
        FxvizError: the download fails.
    """
    if is_checkpoint(weights):
        return
    resolve(model)
    found = release(parse(model), weights)
    if found.cached() is None:
        found.fetch(progress)


def source_of(model: object, weights: str | None = None, download: bool = False) -> Source:
    """The model behind a name or a module, with weights in it if some are named.

    Args:
        model: what :func:`~fxviz._sources.resolve` takes.
        weights: a file or the name of published weights that :func:`check_weights` lets through; None for none.
        download: whether published weights that are not on this machine are fetched.

    Raises:
        UsageError: there is no such model, or there are no such weights. That they do not fit is found when it is built.
        FxvizError: the download fails.
    """
    if weights is None:
        return resolve(model)
    if download:
        fetch(str(model), weights)
    return _weighted(str(model), weights)


def _weighted(model: str, weights: str) -> Source:
    source = resolve(model)
    if is_checkpoint(weights):
        return _filled(source, lambda values: read(weights, values), weights)
    found = release(parse(model), weights)
    file = str(found.file())
    return _filled(replace(found.source(), name=source.name), lambda values: read(file, values), weights)


def _filled(source: Source, state: Callable[[bool], dict[str, object]], weights: str) -> Source:
    filler = _Filler(source, state, weights)
    return replace(source, build=filler.build, weights=filler.info, is_shared=False)


class _Filler:
    """Builds the module and fills it, and keeps what there is to tell of that."""

    def __init__(self, source: Source, state: Callable[[bool], dict[str, object]], weights: str) -> None:
        self._source = source
        self._state = state
        self._weights = weights
        self._info: WeightsInfo | None = None

    def build(self, allocate: bool) -> nn.Module:
        """The module with the weights; a module that others hold is left alone."""
        module = self._source.build(allocate)
        if self._source.is_shared:
            module = self._source.copied(module)
        self._info = fill(module, self._state(allocate), self._weights)
        return module

    def info(self) -> WeightsInfo | None:
        """What was loaded the last time."""
        return self._info
