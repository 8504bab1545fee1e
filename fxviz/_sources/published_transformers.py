"""Weights of transformers' models: repositories of the Hugging Face hub, each with its configuration."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fxviz._errors import UsageError
from fxviz._graph.information import Published
from fxviz._sources import hub, transformers
from fxviz._sources.releases import Release
from fxviz._sources.source import Source
from fxviz.quoting import shown

if TYPE_CHECKING:
    from torch import nn

NAME = "transformers"

_REPOSITORY = re.compile(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?", re.ASCII)
_SETTINGS = {
    "type": "model_type",
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "vocabulary": "vocab_size",
    "positions": "max_position_embeddings",
    "image": "image_size",
    "patch": "patch_size",
}
"""What a configuration declares, by what it is called here."""

_CONFIGURATION = "config.json"
_FILES = (*hub.SINGLE[:1], *hub.INDEXES[:1], *hub.SINGLE[1:], *hub.INDEXES[1:])


def published(name: str) -> tuple[Published, ...]:
    """transformers declares no weights of a type: they are on the hub, by repository."""
    return ()


def declared(module: nn.Module) -> tuple[tuple[str, str], ...]:
    """What the model's configuration says of its sizes, by the names that are used most."""
    config = getattr(module, "config", None)
    values = [(label, getattr(config, setting, None)) for label, setting in _SETTINGS.items()]
    return tuple((label, str(value)) for label, value in values if value not in (None, ""))


def release(name: str, wanted: str) -> Release:
    """The weights of the repository ``wanted``, whose configuration says how large the model of type ``name`` is.

    Raises:
        UsageError: that is no name of a repository.

    >>> release("bert", "../x")
    Traceback (most recent call last):
    ...
    fxviz._errors.UsageError: no weights '../x' of transformers:bert: name a file, or a repository: google-bert/bert-base-uncased
    """
    if not _REPOSITORY.fullmatch(wanted) or ".." in wanted:
        hint = "name a file, or a repository: google-bert/bert-base-uncased"
        raise UsageError(f"no weights '{shown(wanted)}' of transformers:{name}: {hint}")
    return Release(
        f"the weights '{wanted}' of transformers:{name}",
        lambda: _cached(wanted),
        lambda progress: _fetch(wanted, progress),
        lambda: _source(name, wanted),
    )


def _cached(repository: str) -> Path | None:
    return hub.cached(repository, _FILES) if hub.cached(repository, (_CONFIGURATION,)) else None


def _fetch(repository: str, progress: bool) -> None:
    hub.fetch(repository, (_CONFIGURATION,), progress)
    hub.fetch(repository, _FILES, progress)


def _source(name: str, repository: str) -> Source:
    """The model that the repository's configuration describes, which is of the type ``name``."""
    path = hub.cached(repository, (_CONFIGURATION,))
    if path is None or name.lower().endswith(".json"):
        return transformers.source(name)
    kind = _kind(path)
    if kind != name:
        other = f"write 'transformers:{shown(kind)}'" if kind else "name a file of weights instead"
        raise UsageError(f"'{repository}' is of the type '{shown(kind)}', not '{name}': {other}")
    return replace(transformers.source(str(path)), name=name)


def _kind(path: Path) -> str:
    """The type of model that a configuration describes, "" if it does not say."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(values.get("model_type") or "") if isinstance(values, dict) else ""
