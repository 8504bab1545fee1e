"""Build torchvision's models by name, find their published weights, and choose the inputs of their families."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fxviz._graph import TensorInfo
from fxviz._graph.errors import UsageError, require_torch, shown
from fxviz._graph.values import Published, Score
from fxviz._sources import releases
from fxviz._sources.releases import Release, megabytes
from fxviz._sources.source import IMAGE, Built, Source, build

if TYPE_CHECKING:
    from torch import nn

NAME = "torchvision"

_CLIP_FRAMES = 16
"""Frames of a video clip, as in torchvision's published operation counts, unless a model needs more."""


def names() -> list[str]:
    """Return all model names in alphabetical order.

    >>> "resnet18" in names(), "raft_small" in names()
    (True, True)
    """
    require_torch("models of this name need", "torchvision")
    from torchvision import models

    return sorted(models.list_models())


def knows(name: str) -> bool:
    """Return whether there is a model called ``name``.

    >>> knows("resnet18"), knows("resnet81")
    (True, False)
    """
    return name in names()


def source(name: str) -> Source:
    """Return the source of the model called ``name``.

    >>> source("raft_small").build(False).inputs[1].shape, source("inception_v3").build(False).inputs[0].shape
    ((1, 3, 224, 224), (1, 3, 299, 299))
    """
    from torchvision import models

    maker = models.get_model_builder(name)
    return Source(name, NAME, lambda allocate: Built(_build(name, allocate), _inputs(name)), maker=maker)


def _build(name: str, allocate: bool) -> nn.Module:
    """Build the model without weights; nothing is downloaded."""
    from torchvision import models

    return build(lambda: models.get_model(name, **_options(models.get_model_builder(name))), allocate)


def _options(builder: Callable[..., Any]) -> dict[str, Any]:
    """Choose no weights, no weights of a backbone, and floating point for a quantized model."""
    without = {"weights": None, "weights_backbone": None, "quantize": False}
    taken = inspect.signature(builder).parameters
    return {option: value for option, value in without.items() if option in taken}


def _inputs(name: str) -> tuple[Any, ...]:
    """Return the positional arguments of forward, by the module of torchvision that lists the model."""
    from torchvision import models

    for family, inputs in _FAMILIES.items():
        if name in models.list_models(module=getattr(models, family)):
            weights = models.get_model_weights(name).DEFAULT
            return inputs(weights.meta, vars(weights.transforms()))
    return (_classification(models.get_model_weights(name)),)


def _classification(weights: Any) -> TensorInfo:
    """Return an image of the usual size if any weights were trained on it, else of the size of the default weights."""
    sizes = [vars(entry.transforms())["crop_size"] for entry in weights]
    image = _image(vars(weights.DEFAULT.transforms())["crop_size"])
    return IMAGE if any(_image(size) == IMAGE for size in sizes) else image


def _detection(meta: dict[str, Any], transforms: dict[str, Any]) -> tuple[Any, ...]:
    """Return a list of images without a batch axis, which the model resizes itself."""
    return ([TensorInfo(IMAGE.shape[1:], IMAGE.dtype)],)


def _segmentation(meta: dict[str, Any], transforms: dict[str, Any]) -> tuple[Any, ...]:
    return (_image(transforms["resize_size"]),)


def _video(meta: dict[str, Any], transforms: dict[str, Any]) -> tuple[Any, ...]:
    frames = max(_CLIP_FRAMES, meta.get("min_temporal_size", 1))
    image = _image(transforms["crop_size"])
    return (TensorInfo((1, 3, frames, *image.shape[2:]), image.dtype),)


def _optical_flow(meta: dict[str, Any], transforms: dict[str, Any]) -> tuple[Any, ...]:
    """Return two consecutive frames."""
    return (IMAGE, IMAGE)


def _image(size: list[int]) -> TensorInfo:
    """Return a batch of one image; a single size is both its height and width, as in torchvision's transforms."""
    return TensorInfo((1, 3, size[0], size[-1]), IMAGE.dtype)


_FAMILIES = {"detection": _detection, "segmentation": _segmentation, "video": _video, "optical_flow": _optical_flow}


def published(name: str) -> tuple[Published, ...]:
    """Return the published weights of the model called ``name``.

    >>> [(weights.name, weights.is_default, weights.params) for weights in published("resnet18")]
    [('IMAGENET1K_V1', True, 11689512)]
    """
    weights = _weights(name)
    return tuple(_published(entry, entry is weights.DEFAULT) for entry in weights)


def release(name: str, wanted: str) -> Release:
    """Return the weights called ``wanted`` of the model called ``name``; "DEFAULT" means the default weights.

    Raises:
        UsageError: there are no such weights.

    >>> release("resnet18", "IMAGENET1K_V9")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: resnet18 has no weights 'IMAGENET1K_V9': choose DEFAULT (IMAGENET1K_V1), or name a file
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
        lambda: releases.cached(entry.url),
        lambda progress: releases.fetch(label, entry.url, progress),
        lambda: source(name),
        megabytes(entry.meta.get("_file_size")),
    )


def _weights(name: str) -> Any:
    from torchvision import models

    return models.get_model_weights(name)


def _published(entry: Any, is_default: bool) -> Published:
    meta = entry.meta
    metrics = tuple(
        Score(dataset, name, value)
        for dataset, values in meta.get("_metrics", {}).items()
        for name, value in values.items()
        if value == value  # torchvision declares NaN for weights that are no classifier
    )
    labels = {"backend": "backend", "recipe": "recipe", "_docs": "note"}
    facts = [(label, " ".join(str(meta[key]).split())) for key, label in labels.items() if meta.get(key)]
    return Published(
        entry.name,
        is_default,
        releases.cached(entry.url) is not None,
        meta.get("num_params"),
        meta.get("_ops"),
        meta.get("_file_size"),
        metrics,
        (*facts, ("file", entry.url)),
    )
