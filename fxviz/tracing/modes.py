"""The hooks through which torch tells the tracer what happens. All of them are undone when their ``with`` block ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from fxviz.tracing.macs import macs_of
from fxviz.tracing.tracer import ModelTracer


class FunctionMode(TorchFunctionMode):
    """Shows the tracer each call of Python code into torch, composite functions (interpolate, einsum) as one."""

    def __init__(self, tracer: ModelTracer, stand_ins: StandIns) -> None:
        super().__init__()
        self._tracer = tracer
        self._stand_ins = stand_ins

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", None) == "__get__" and not isinstance(args[0], FakeTensor):
            return self._stand_ins.read(func, args)
        if self._tracer.recording and torch._C._functorch.peek_interpreter_stack() is None:
            return self._tracer.call_function(func, args, kwargs or {})
        return func(*args, **(kwargs or {}))


@dataclass
class StandIns:
    """A fake tensor for each real one that the model owns, so that nothing real is read, written or moved.

    ``fake_mode`` None means that the model runs for real and every tensor stands for itself. Parameters without memory (meta)
    get stand-ins on the CPU, where the dummy inputs are.
    """

    fake_mode: FakeTensorMode | None
    names: dict[int, str]
    seen: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    touched: dict[str, None] = field(default_factory=dict)

    def of(self, tensor: Tensor) -> Tensor:
        """The tensor that takes ``tensor``'s place; a parameter is noted as read."""
        name = self.names.get(id(tensor))
        if name is not None:
            self.touched[name] = None
        if self.fake_mode is None or isinstance(tensor, FakeTensor):
            return tensor
        known = self.seen.get(id(tensor))
        if known is None:
            known = self.seen[id(tensor)] = (tensor, self._fake(tensor, self.fake_mode))
        return known[1]

    def _fake(self, tensor: Tensor, mode: FakeTensorMode) -> Tensor:
        if not tensor.is_meta:
            return mode.from_tensor(tensor.detach())
        with mode:
            return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu")

    def read(self, func: Any, args: tuple[Any, ...]) -> Any:
        """An attribute of a real tensor: what it does not share with its stand-in (identity, gradients) is the tensor's own."""
        attribute = func.__self__.__name__
        if attribute in ("device", "data", "is_meta", "is_cpu", "is_cuda", "T", "mT", "H", "mH", "real", "imag"):
            return func(self.of(args[0]))
        return func(*args)


@dataclass
class Measured:
    """What one step cost and which parameters it read."""

    macs: int | None = 0
    parameters: tuple[str, ...] = ()


class OperationMeter(TorchDispatchMode):
    """Under everything else: swaps stand-ins in, counts MACs, and hands over operations that nothing else announced."""

    def __init__(self, tracer: ModelTracer, stand_ins: StandIns) -> None:
        super().__init__()
        self._tracer = tracer
        self._stand_ins = stand_ins
        self._macs: int | None = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        shown = (args, kwargs or {})
        args, kwargs = tree_map_only(Tensor, self._stand_ins.of, shown)
        if torch.is_inference_mode_enabled():
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        macs = macs_of(func, args, kwargs, result)
        self._macs = None if macs is None or self._macs is None else self._macs + macs
        if self._tracer.recording:
            self._tracer.operation(func, *shown, result)
        return result

    @contextmanager
    def measure(self) -> Iterator[Measured]:
        """MACs of what runs in here (None if one operation's are unknown), and the parameters that it reads."""
        measured = Measured()
        outer, self._macs = self._macs, 0
        touched, self._stand_ins.touched = self._stand_ins.touched, {}
        try:
            yield measured
        finally:
            measured.macs, measured.parameters = self._macs, tuple(self._stand_ins.touched)
            self._macs, self._stand_ins.touched = outer, touched


@contextmanager
def module_calls(tracer: ModelTracer) -> Iterator[None]:
    """While this is active each ``nn.Module.__call__`` goes through the tracer, as ``torch.fx`` does it."""
    call = nn.Module.__call__

    def traced_call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if not tracer.recording:
            return call(module, *args, **kwargs)
        return tracer.call_module(module, lambda *a, **k: call(module, *a, **k), args, kwargs)

    nn.Module.__call__ = traced_call  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.__call__ = call  # type: ignore[method-assign]
