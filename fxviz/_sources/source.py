"""Build a model, with the arguments that its forward takes and the weights that were loaded into it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from fxviz._graph import ModelInfo, TensorInfo, WeightsInfo
from fxviz._graph.errors import optional_library, shown
from fxviz._sources.inputs import Arguments
from fxviz._sources.own_thread import ignored_warnings, one_at_a_time, patched
from fxviz._sources.user_code import own_code

if TYPE_CHECKING:
    from torch import nn

IMAGE = TensorInfo((1, 3, 224, 224), "float32")
"""The dummy input of a model that declares none: a batch of one RGB image, 224x224."""

Inputs = tuple[Any, ...] | Mapping[str, Any] | Arguments


@dataclass(frozen=True)
class Built:
    """A module that was built.

    Attributes:
        module: the module.
        inputs: the arguments of its forward that its source declares: positional arguments, keyword arguments by name,
            or both, in which a :class:`~fxviz.TensorInfo` may replace a tensor. None if it declares none.
        weights: the weights that were loaded into it; None if none were.
    """

    module: nn.Module
    inputs: Inputs | None = None
    weights: WeightsInfo | None = None

    @property
    def arguments(self) -> Arguments:
        """Return the arguments of forward: the declared ones, else one image.

        >>> from torch import nn
        >>> Built(nn.Identity()).arguments.args[0].shape
        (1, 3, 224, 224)
        """
        return Arguments.of((IMAGE,) if self.inputs is None else self.inputs)


@dataclass(frozen=True)
class Source:
    """A model that can be built.

    Attributes:
        name: the name that the user gave it.
        origin: the library, file or module it comes from, "python" for a module handed over.
        build: builds the module; its parameters hold no memory if the argument is False.
        running: makes the context in which the model runs: its own imports are found, its library stays quiet.
        is_shared: whether ``build`` may return a module that others hold and that must stay as it is.
        maker: the class or function that makes the module; None if the module was there before.
    """

    name: str
    origin: str
    build: Callable[[bool], Built]
    running: Callable[[], AbstractContextManager[None]] = nullcontext
    is_shared: bool = False
    maker: Callable[..., Any] | None = None

    def built_on(self, device: str) -> Built:
        """Build the module on a device; one that others hold stays where it is, and a copy of it is moved.

        >>> from torch import nn
        >>> Source("Net", "net.py", lambda allocate: Built(nn.Linear(2, 3))).built_on("cpu").module.weight.device
        device(type='cpu')
        """
        built = self.build(device != "meta")
        if device == "meta" or _is_on(built.module, device):
            return built
        return replace(built, module=(self.copied(built.module) if self.is_shared else built.module).to(device))

    def copied(self, module: nn.Module) -> nn.Module:
        """Copy a module with its tensors; tensors that it computes again in each run are copied as plain values.

        Raises:
            UsageError: it holds an object that cannot be copied.

        >>> from torch import nn
        >>> module = nn.Linear(2, 3)
        >>> Source("Net", "net.py", lambda allocate: Built(module)).copied(module).weight is module.weight
        False
        """
        held = [value for part in module.modules() for value in vars(part).values()]
        computed = {id(value): value.detach().clone() for value in held if _is_computed(value)}
        with own_code(
            f"cannot copy '{shown(self.name)}', which others may hold (a class makes one for this call alone)"
        ):
            return copy.deepcopy(module, computed)

    def info(self, built: Built) -> ModelInfo:
        """Return the identity of a built model, for its graph."""
        from fxviz._sources.torch_private import class_name

        return ModelInfo(self.name, self.origin, class_name(built.module), built.weights)


def _is_on(module: nn.Module, device: str) -> bool:
    import torch

    there = torch.empty(0, device=device).device
    return all(tensor.device == there for tensor in (*module.parameters(), *module.buffers()))


def _is_computed(value: object) -> bool:
    """Return whether it is a tensor that was computed from others, which torch does not copy."""
    from torch import Tensor

    return isinstance(value, Tensor) and not value.is_leaf


Result = TypeVar("Result")


def build(make: Callable[[], nn.Module], allocate: bool) -> nn.Module:
    """Call ``make`` and return its module in eval mode; torch's random state is kept.

    Args:
        make: calls the library.
        allocate: whether parameters hold memory; if so they are the same each time.

    >>> from torch import nn
    >>> build(lambda: nn.Linear(2, 3), allocate=False).weight.device
    device(type='meta')
    """
    return made(make, allocate).eval()


def made(make: Callable[[], Result], allocate: bool) -> Result:
    """Call ``make`` with or without memory for parameters, and return its result; torch's random state is kept.

    >>> from torch import nn
    >>> made(lambda: [nn.Linear(2, 3)], allocate=False)[0].weight.device
    device(type='meta')
    """
    import torch

    with (
        one_at_a_time(),
        ignored_warnings(),
        torch.random.fork_rng(devices=[]),
        nullcontext() if allocate else empty_parameters(),
    ):
        torch.default_generator.manual_seed(0)
        return make()


def model_library(name: str) -> Any:
    """Import an optional library of models.

    Raises:
        UsageError: it is not installed; the message says how to get it.

    >>> model_library("timn")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: models called 'timn:...' need timn, which is not installed: pip install "fxviz[timn]"
    """
    return optional_library(name, f"models called '{name}:...' need", name)


_LARGE = 2**26
"""A new tensor with this many elements gets no memory: no position table or attention mask is that large."""


@contextmanager
def empty_parameters() -> Iterator[None]:
    """While this is active, a parameter that a module registers keeps its shape and dtype and gives up its memory.

    Only parameters go to the meta device, as they are registered: arithmetic on other tensors in a model's ``__init__``
    (``torch.linspace(...).tolist()`` in stochastic depth) stays real. A parameter registered twice stays one. A tensor
    that would fill a large part of memory before it becomes a parameter goes there as it is made.

    >>> from torch import nn
    >>> with empty_parameters():
    ...     layer = nn.Linear(1000, 1000)
    >>> layer.weight.device, tuple(layer.weight.shape)
    (device(type='meta'), (1000, 1000))
    """
    from torch import nn

    register = nn.Module.register_parameter

    def register_empty(module: nn.Module, name: str, param: nn.Parameter | None) -> None:
        register(module, name, param if param is None else _emptied(param))

    with patched(nn.Module, "register_parameter", register_empty), _meta_wins():
        yield


def _emptied(param: nn.Parameter) -> nn.Parameter:
    """Return the one parameter without memory that replaces ``param``."""
    import torch
    from torch import nn
    from torch.nn.parameter import is_lazy

    if param.is_meta or is_lazy(param):
        return param
    known: nn.Parameter | None = getattr(param, "_fxviz_empty", None)
    if known is None:
        known = nn.Parameter(torch.empty_like(param, device="meta"), param.requires_grad)
        param._fxviz_empty = known  # type: ignore[attr-defined]
    return known


def _is_large(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether an operation makes a large tensor from nothing; its size is found out without memory."""
    from torch import Tensor

    from fxviz._sources.torch_private import argument_names

    if "device" not in argument_names(func):
        return False
    with suppress(RuntimeError, NotImplementedError, TypeError):
        made = func(*args, **kwargs | {"device": "meta"})
        return isinstance(made, Tensor) and made.numel() >= _LARGE
    return False


def _meta_wins() -> Any:
    """Return a mode in which an operation on a parameter without memory treats its other tensors as having none.

    Filling a parameter without memory does nothing. Some models run a layer in their ``__init__``, to learn its
    output's channels, where parameters meet real buffers.
    """
    import torch
    from torch import Tensor

    from fxviz._sources.torch_private import TorchDispatchMode, tree_leaves, tree_map_only

    aten = torch.ops.aten
    fillers = (aten.zero_.default, aten.fill_.Scalar, aten.uniform_.default, aten.normal_.default)

    class MetaWins(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in fillers and args[0].is_meta:
                return args[0]
            kwargs = kwargs or {}
            tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
            if not tensors and _is_large(func, args, kwargs):
                kwargs = kwargs | {"device": "meta"}
            elif len({tensor.is_meta for tensor in tensors}) > 1:
                args, kwargs = tree_map_only(Tensor, lambda tensor: tensor.to("meta"), (args, kwargs))
            return func(*args, **kwargs)

    return MetaWins()  # type: ignore[no-untyped-call]
