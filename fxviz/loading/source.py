"""A model that can be built, with the arguments its forward takes by default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fxviz.graph import ModelInfo, TensorInfo

if TYPE_CHECKING:
    from torch import nn

IMAGE = TensorInfo((1, 3, 224, 224), "float32")
"""The dummy input of every model that declares no other: a batch of one RGB image, 224x224."""


@dataclass(frozen=True)
class Source:
    """A model that can be built, and the arguments its forward takes by default.

    Attributes:
        name: what the user calls it.
        origin: the library it comes from, "python" for a module handed over.
        build: makes the module; its parameters hold no memory if the argument is False.
        inputs: positional arguments of forward, or keyword arguments by name; tensors are given as
            :class:`~fxviz.graph.TensorInfo`.
    """

    name: str
    origin: str
    build: Callable[[bool], nn.Module]
    inputs: tuple[Any, ...] | Mapping[str, Any] = (IMAGE,)

    def info(self, module: nn.Module) -> ModelInfo:
        """What the graph says about where the model comes from."""
        cls = type(module)
        return ModelInfo(self.name, self.origin, f"{cls.__module__}.{cls.__qualname__}")
