"""Build a model whose parameters hold no memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

_LARGE = 2**26
"""Elements from which on a new tensor gets no memory: no position table or attention mask is that large."""


@contextmanager
def empty_parameters() -> Iterator[None]:
    """While this is active, a parameter that a module registers keeps its shape and dtype and gives up its memory.

    Only parameters go to the meta device, as they are registered: arithmetic on other tensors in a model's ``__init__``
    (``torch.linspace(...).tolist()`` in stochastic depth) stays real. A parameter registered twice stays one. A tensor that
    would fill a large part of memory before it becomes a parameter goes there as it is made.

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

    nn.Module.register_parameter = register_empty  # type: ignore[method-assign, assignment]
    try:
        with _meta_wins():
            yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]


def _emptied(param: nn.Parameter) -> nn.Parameter:
    """The one parameter without memory that stands for ``param``."""
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


def _meta_wins() -> Any:
    """A mode in which an operation on a parameter without memory takes its other tensors as such, too.

    Filling one does nothing.
    Some models run a layer in their ``__init__`` (to learn its output's channels), where parameters meet real buffers.
    """
    import torch
    from torch import Tensor
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves, tree_map_only

    aten = torch.ops.aten
    fillers = (aten.zero_.default, aten.fill_.Scalar, aten.uniform_.default, aten.normal_.default)
    makers = (aten.empty.memory_format, aten.zeros.default, aten.ones.default, aten.randn.default, aten.rand.default)

    class MetaWins(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in fillers and args[0].is_meta:
                return args[0]
            kwargs = kwargs or {}
            if func in makers:
                kwargs = kwargs | ({"device": "meta"} if prod(args[0]) >= _LARGE else {})
            elif len({leaf.is_meta for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}) > 1:
                args, kwargs = tree_map_only(Tensor, lambda tensor: tensor.to("meta"), (args, kwargs))
            return func(*args, **kwargs)

    return MetaWins()  # type: ignore[no-untyped-call]
