"""What a model does, seen without the tracer: by a log of its parameters, by hooks, by torch's own symbolic tracing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from fxviz._graph import TensorInfo
from fxviz._trace.tensors import tensors_in
from fxviz._trace.tracer import ModelTracer


class ParameterLog(TorchDispatchMode):
    """Notes every parameter that an aten operation is called with."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.names = {id(parameter): name for name, parameter in model.named_parameters()}
        self.touched: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        leaves = tree_leaves((args, kwargs))
        self.touched |= {self.names[id(leaf)] for leaf in leaves if id(leaf) in self.names}
        return func(*args, **(kwargs or {}))


@contextmanager
def reference_run() -> Iterator[None]:
    """Run forward plainly: attention takes its ordinary path, as in a trace."""
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def call(model: nn.Module, inputs: Any) -> Any:
    inputs = tree_map_only(Tensor, torch.clone, inputs)
    return model(**inputs) if isinstance(inputs, Mapping) else model(*inputs)


def touched_parameters(model: nn.Module, inputs: Any) -> set[str]:
    """Return the parameters that a real run reads."""
    log = ParameterLog(model)
    with reference_run(), log:
        call(model, inputs)
    return log.touched


def layer_shapes(model: nn.Module, leaves: set[str], inputs: Any) -> list[tuple[str, tuple[TensorInfo, ...]]]:
    """Return the outputs of each call of the layers at these paths, in the order of the calls."""
    seen: list[tuple[str, tuple[TensorInfo, ...]]] = []

    def note(path: str) -> Any:
        return lambda module, args, result: seen.append(
            (path, tuple(TensorInfo(tuple(t.shape), str(t.dtype).removeprefix("torch.")) for t in tensors_in(result)))
        )

    hooks = [module.register_forward_hook(note(path)) for path, module in model.named_modules() if path in leaves]
    call(model, inputs)
    for hook in hooks:
        hook.remove()
    return seen


class SymbolicTracer(fx.Tracer):
    """torch's own tracer, told the same leaves."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        is_childless = not isinstance(m, (nn.Sequential, nn.ModuleList, nn.ModuleDict)) and not any(
            True for _ in m.children()
        )
        return is_childless or ModelTracer.is_leaf_module(self, m, module_qualified_name)  # type: ignore[arg-type]
