"""A model that can be built, with the arguments its forward takes by default."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fxviz._graph import ModelInfo, TensorInfo, WeightsInfo
from fxviz._sources.inputs import Arguments
from fxviz._sources.owncode import own_code
from fxviz.quoting import shown

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


def _unsaid() -> None:
    """Nobody says what the model is called with, or which weights it has."""


@dataclass(frozen=True)
class Source:
    """A model that can be built, and the arguments its forward takes by default.

    Attributes:
        name: what the user calls it.
        origin: the library, file or module it comes from, "python" for a module handed over.
        build: makes the module; its parameters hold no memory if the argument is False.
        declared: tells what the model is called with, as far as its source says so: positional arguments of forward, keyword
            arguments by name, or both; tensors may be given as :class:`~fxviz._graph.TensorInfo`. None if it does not say.
        running: makes the context in which the model runs: what its code imports is found, its library makes no remarks.
        weights: tells which were loaded into the module that was built last, None if none were.
        is_shared: whether what ``build`` returns may be someone else's module, left as it is; else it was made for this call.
        maker: the class or function that makes the module; None if the module was there before.
    """

    name: str
    origin: str
    build: Callable[[bool], nn.Module]
    declared: Callable[[], Inputs | None] = _unsaid
    running: Callable[[], AbstractContextManager[None]] = nullcontext
    weights: Callable[[], WeightsInfo | None] = _unsaid
    is_shared: bool = False
    maker: Callable[..., Any] | None = None

    @property
    def inputs(self) -> Inputs:
        """What the model is called with: what its source declares, else one image.

        >>> Source("Net", "net.py", lambda allocate: None).inputs[0].shape
        (1, 3, 224, 224)
        """
        declared = self.declared()
        return (IMAGE,) if declared is None else declared

    def built_on(self, device: str) -> nn.Module:
        """The module on a device; one that others hold stays where it is, and a copy of it is moved.

        >>> from torch import nn
        >>> Source("Net", "net.py", lambda allocate: nn.Linear(2, 3)).built_on("cpu").weight.device
        device(type='cpu')
        """
        module = self.build(device != "meta")
        if device == "meta" or _is_on(module, device):
            return module
        return (self.copied(module) if self.is_shared else module).to(device)

    def copied(self, module: nn.Module) -> nn.Module:
        """A copy, tensors and all; tensors that were computed, which are computed again in each run, as plain values.

        Raises:
            UsageError: it holds what cannot be copied.

        >>> from torch import nn
        >>> module = nn.Linear(2, 3)
        >>> Source("Net", "net.py", lambda allocate: module).copied(module).weight is module.weight
        False
        """
        held = [value for part in module.modules() for value in vars(part).values()]
        computed = {id(value): value.detach().clone() for value in held if _is_computed(value)}
        with own_code(f"cannot copy '{shown(self.name)}', which others may hold (a class makes one for this call alone)"):
            return copy.deepcopy(module, computed)

    def info(self, module: nn.Module) -> ModelInfo:
        """What the graph says about where the model comes from."""
        cls = type(module)
        return ModelInfo(self.name, self.origin, f"{cls.__module__}.{cls.__qualname__}", self.weights())


def _is_on(module: nn.Module, device: str) -> bool:
    import torch

    there = torch.empty(0, device=device).device
    return all(tensor.device == there for tensor in (*module.parameters(), *module.buffers()))


def _is_computed(value: object) -> bool:
    """Whether it is a tensor that was computed from others: torch copies none of those."""
    from torch import Tensor

    return isinstance(value, Tensor) and not value.is_leaf
