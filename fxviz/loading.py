"""From what a user names to a model that can be traced: ``"resnet18"`` or an ``nn.Module``.

torch is imported when a model is looked up or built, not before.
"""

from __future__ import annotations

import difflib
import fnmatch
import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fxviz.errors import UnknownModel, UsageError
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
        inputs: positional arguments of forward, tensors given as :class:`~fxviz.graph.TensorInfo`.
    """

    name: str
    origin: str
    build: Callable[[bool], nn.Module]
    inputs: tuple[Any, ...] = (IMAGE,)

    def info(self, module: nn.Module) -> ModelInfo:
        """What the graph says about where the model comes from."""
        cls = type(module)
        return ModelInfo(self.name, self.origin, f"{cls.__module__}.{cls.__qualname__}")


def resolve(model: object) -> Source:
    """The source behind a name or a module.

    Args:
        model: one of :func:`names`, or an ``nn.Module``.

    Raises:
        UnknownModel: no library has a model of that name; the message offers near ones.
        UsageError: neither a name nor a module.

    >>> resolve("resnet18").origin
    'torchvision'
    >>> resolve("resnet81")
    Traceback (most recent call last):
    ...
    fxviz.errors.UnknownModel: no model 'resnet81'; did you mean resnet18, ...? 'fxviz list' shows all names
    """
    if isinstance(model, str):
        return _from_torchvision(model)
    from torch import nn

    if isinstance(model, nn.Module):
        return Source(type(model).__name__, "python", lambda allocate: model)
    raise UsageError(f"cannot trace a {type(model).__name__}: give a model name or a torch.nn.Module")


def names(pattern: str | None = None) -> list[str]:
    """Names that :func:`resolve` takes, in alphabetical order.

    Args:
        pattern: a shell pattern ("resnet*"); a text without wildcards matches anywhere in the name.

    >>> names("resnet?8"), "vit_b_16" in names("vit")
    (['resnet18'], True)
    """
    from torchvision import models

    every = sorted(models.list_models())
    if pattern is None:
        return every
    if not any(mark in pattern for mark in "*?["):
        pattern = f"*{pattern}*"
    return [name for name in every if fnmatch.fnmatchcase(name, pattern)]


def _from_torchvision(name: str) -> Source:
    every = names()
    if name not in every:
        near = difflib.get_close_matches(name, every, n=3)
        hint = f"did you mean {' or '.join(near)}?" if len(near) < 3 else f"did you mean {near[0]}, {near[1]} or {near[2]}?"
        raise UnknownModel(f"no model '{name}'; {hint + ' ' if near else ''}'fxviz list' shows all names")
    return Source(name, "torchvision", lambda allocate: _build_torchvision(name, allocate))


def _build_torchvision(name: str, allocate: bool) -> nn.Module:
    """The model without weights, in eval mode; neither a download nor torch's random state is touched."""
    import torch
    from torchvision import models

    builder = models.get_model_builder(name)
    options = {option: None for option in ("weights", "weights_backbone") if option in inspect.signature(builder).parameters}
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        if allocate:
            return builder(**options).eval()
        with _empty_parameters():
            return builder(**options).eval()


@contextmanager
def _empty_parameters() -> Iterator[None]:
    """While this is active, a parameter that a module registers keeps its shape and dtype and gives up its memory.

    Only parameters go to the meta device, as they are registered: arithmetic on other tensors in a model's ``__init__``
    (``torch.linspace(...).tolist()`` in stochastic depth) stays real. A parameter registered twice stays one.
    """
    from torch import nn

    register = nn.Module.register_parameter

    def register_empty(module: nn.Module, name: str, param: nn.Parameter | None) -> None:
        if param is not None and not param.is_meta:
            known = getattr(param, "_fxviz_empty", None)
            empty = nn.Parameter(param.detach().to("meta"), param.requires_grad) if known is None else known
            param._fxviz_empty = empty  # type: ignore[attr-defined]
            param = empty
        register(module, name, param)

    nn.Module.register_parameter = register_empty  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]
