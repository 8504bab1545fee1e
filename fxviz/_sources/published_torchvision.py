"""The weights that torchvision declares for its models."""

from __future__ import annotations

from typing import Any

from fxviz._errors import UsageError
from fxviz._graph.information import Metric, Published
from fxviz._sources import torchvision, web
from fxviz._sources.releases import Release, megabytes
from fxviz.quoting import shown


def published(name: str) -> tuple[Published, ...]:
    """The weights of the model called ``name``.

    >>> [(weights.name, weights.is_default, weights.params) for weights in published("resnet18")]
    [('IMAGENET1K_V1', True, 11689512)]
    """
    weights = _weights(name)
    return tuple(_published(entry, entry is weights.DEFAULT) for entry in weights)


def release(name: str, wanted: str) -> Release:
    """The weights called ``wanted`` of the model called ``name``; "DEFAULT" stands for the default ones.

    Raises:
        UsageError: there are none of that name.

    >>> release("resnet18", "IMAGENET1K_V9")
    Traceback (most recent call last):
    ...
    fxviz._errors.UsageError: resnet18 has no weights 'IMAGENET1K_V9': choose DEFAULT (IMAGENET1K_V1), or name a file
    """
    weights = _weights(name)
    key = wanted.removeprefix(f"{weights.__name__}.")
    if key not in weights.__members__:
        names = ", ".join(entry.name for entry in weights if entry is not weights.DEFAULT)
        others = f" or {names}" if names else ""
        raise UsageError(
            f"{name} has no weights '{shown(wanted)}': choose DEFAULT ({weights.DEFAULT.name}){others}, or name a file"
        )
    entry = weights[key]
    label = f"{name}'s weights {entry.name}"
    return Release(
        label,
        lambda: web.cached(entry.url),
        lambda progress: web.fetch(label, entry.url, progress),
        lambda: torchvision.source(name),
        megabytes(entry.meta.get("_file_size")),
    )


def _weights(name: str) -> Any:
    from torchvision import models

    return models.get_model_weights(name)


def _published(entry: Any, is_default: bool) -> Published:
    meta = entry.meta
    metrics = tuple(
        Metric(dataset, name, value) for dataset, values in meta.get("_metrics", {}).items() for name, value in values.items()
    )
    labels = {"backend": "backend", "recipe": "recipe", "_docs": "note"}
    facts = [(label, " ".join(str(meta[key]).split())) for key, label in labels.items() if meta.get(key)]
    return Published(
        entry.name,
        is_default,
        web.cached(entry.url) is not None,
        meta.get("num_params"),
        meta.get("_ops"),
        meta.get("_file_size"),
        metrics,
        (*facts, ("file", entry.url)),
    )
