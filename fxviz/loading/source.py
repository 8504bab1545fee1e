"""A model that can be built, with the arguments its forward takes by default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fxviz.graph import ModelInfo, TensorInfo
from fxviz.inputs import Arguments

if TYPE_CHECKING:
    from torch import Tensor, nn

IMAGE = TensorInfo((1, 3, 224, 224), "float32")
"""The dummy input of every model that declares no other: a batch of one RGB image, 224x224."""

Inputs = tuple[Any, ...] | Mapping[str, Any] | Arguments


def described(tensor: Tensor) -> TensorInfo:
    """What is known of a tensor without its values.

    >>> described(__import__("torch").ones(2, 3))
    TensorInfo(shape=(2, 3), dtype='float32')
    """
    return TensorInfo(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))


def _undeclared() -> None:
    """Nobody says what the model is called with."""


@dataclass(frozen=True)
class Source:
    """A model that can be built, and the arguments its forward takes by default.

    Attributes:
        name: what the user calls it.
        origin: the library, file or module it comes from, "python" for a module handed over.
        build: makes the module; its parameters hold no memory if the argument is False.
        declared: tells what the model is called with, as far as its source says so: positional arguments of forward, keyword
            arguments by name, or both; tensors may be given as :class:`~fxviz.graph.TensorInfo`. None if it does not say.
        importing: while the context that it makes is active, what the model's code imports is found; for the time of its run.
    """

    name: str
    origin: str
    build: Callable[[bool], nn.Module]
    declared: Callable[[], Inputs | None] = _undeclared
    importing: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def inputs(self) -> Inputs:
        """What the model is called with: what its source declares, else one image.

        >>> Source("Net", "net.py", lambda allocate: None).inputs[0].shape
        (1, 3, 224, 224)
        """
        declared = self.declared()
        return (IMAGE,) if declared is None else declared

    def info(self, module: nn.Module) -> ModelInfo:
        """What the graph says about where the model comes from."""
        cls = type(module)
        return ModelInfo(self.name, self.origin, f"{cls.__module__}.{cls.__qualname__}")
