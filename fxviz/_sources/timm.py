"""timm's models by name, without weights, on images of the size that timm declares for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fxviz._graph import TensorInfo
from fxviz._sources.building import build, optional_library
from fxviz._sources.source import IMAGE, Source

if TYPE_CHECKING:
    from torch import nn


def names() -> list[str]:
    """All model names, in alphabetical order.

    >>> _ = __import__("pytest").importorskip("timm")
    >>> "resnet18" in names(), "vit_base_patch16_224" in names()
    (True, True)
    """
    return sorted(optional_library("timm").list_models())


def source(name: str) -> Source:
    """The model called ``name``; the tag of pretrained weights ("resnet18.a1_in1k") chooses their settings.

    >>> _ = __import__("pytest").importorskip("timm")
    >>> source("tf_efficientnet_b7").inputs[0].shape
    (1, 3, 600, 600)
    """
    maker = optional_library("timm").model_entrypoint(name.partition(".")[0])
    return Source(name, "timm", lambda allocate: build(lambda: _create(name), allocate), lambda: (_image(name),), maker=maker)


def knows(name: str) -> bool:
    """Whether ``name`` is one of :func:`names`, or one with the tag of weights.

    >>> _ = __import__("pytest").importorskip("timm")
    >>> knows("resnet18"), knows("resnet18.a1_in1k"), knows("resnet18.mine")
    (True, True, False)
    """
    timm = optional_library("timm")
    return name in timm.list_models() or name in timm.list_pretrained()


def _create(name: str) -> nn.Module:
    module: nn.Module = optional_library("timm").create_model(name, pretrained=False)
    return module


def _image(name: str) -> TensorInfo:
    """A batch of one image of the declared size."""
    declared: Any = optional_library("timm").get_pretrained_cfg(name, allow_unregistered=True)
    size = getattr(declared, "input_size", None) or IMAGE.shape[1:]
    return TensorInfo((1, *size), IMAGE.dtype)
