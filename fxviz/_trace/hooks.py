"""Hook the tracer into torch. A hook affects the calling thread alone, and is removed when its block ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fxviz._graph.values import MacsBound
from fxviz._sources.own_thread import patched
from fxviz._sources.torch_private import (
    DEPENDS_ON_DATA,
    UNSUPPORTED_BY_FAKE,
    FakeTensor,
    HigherOrderOperator,
    TorchDispatchMode,
    gathers,
    in_function_transform,
    tree_map_only,
    wrapped_in,
)
from fxviz._trace.fake import UPPER_BOUNDS, dtype_named, fake_of, guess_of, on_zeros, quick
from fxviz._trace.higher_order import BRANCH_ASSUMED, CAPTURED, captured_by, is_branch, is_loop, is_whole, run_plainly
from fxviz._trace.macs import macs_of, macs_of_call
from fxviz._trace.other_threads import WatchedFakeMode
from fxviz._trace.routing import Routing
from fxviz._trace.survivors import RunTensors
from fxviz._trace.tensors import swapped, tensors_in
from fxviz._trace.tracer import FAILURES, ModelTracer, Step
from fxviz._trace.unregistered import Strays

_BEYOND_FAKE: tuple[type[Exception], ...] = (*DEPENDS_ON_DATA, *UNSUPPORTED_BY_FAKE, NotImplementedError)

_READS_A_VALUE = ("aten._local_scalar_dense", "aten.equal")
"""Operations that read a number or a truth value from a tensor."""

_MOST_VALUES = 1000
"""Maximum number of values that are guessed in one run: a loop that waits for another value would not end."""


class EndlessGuess(RuntimeError):
    """Too many values were guessed, as if a loop waits for a value that is never guessed."""

    def __init__(self) -> None:
        super().__init__(
            f"{_MOST_VALUES} values of tensors were guessed here: a loop that depends on a tensor's value does not end"
        )


_MOST_OPERATIONS = {True: 20_000, False: 100_000}
"""Maximum number of operations of the code of one module in one call, if values were guessed in the run (True)."""


class TooManySteps(RuntimeError):
    """The code of one module loops so often that no figure can show it."""

    def __init__(self, operations: int) -> None:
        super().__init__(f"{operations:,} operations ran in this call: a loop does not end, or is too long to record")


class FunctionMode(TorchFunctionMode):
    """Shows the tracer each call of Python code into torch, composite functions (interpolate, einsum) as one."""

    def __init__(self, tracer: ModelTracer, stand_ins: StandIns) -> None:
        super().__init__()
        self._tracer = tracer
        self._stand_ins = stand_ins

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        is_seen = self._tracer.recording and not in_function_transform()
        run = self._call
        if isinstance(func, HigherOrderOperator):
            if not (is_seen and is_whole(func)):
                with self, self._tracer.meter.deciding(func):
                    return run_plainly(func, *args, **(kwargs or {}))
            run, kwargs = run_plainly, {**(kwargs or {}), CAPTURED: captured_by((args, kwargs))}
        if is_seen:
            return self._tracer.call_function(func, run, args, kwargs or {})
        return run(func, *args, **(kwargs or {}))

    def _call(self, func: Any, /, *args: Any, **kwargs: Any) -> Any:
        result = self._stand_ins.call(func, *args, **kwargs)
        self._tracer.meter.add(macs_of_call(getattr(func, "__name__", ""), args, kwargs, result))
        return result


@dataclass
class StandIns:
    """A fake tensor for each real one that the model owns, so that nothing real is read, written or moved.

    ``fake_mode`` None means that the model runs for real and every tensor stands for itself. All fake tensors are on
    one device, ``home``: moving one to another device changes no shape, and that device may not exist here.
    """

    fake_mode: WatchedFakeMode | None
    home: torch.device
    names: dict[int, str]
    strays: Strays
    seen: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    touched: dict[str, None] = field(default_factory=dict)

    def of(self, tensor: Tensor) -> Tensor:
        """Return the tensor that takes ``tensor``'s place, and note a parameter as read."""
        name = self.names.get(id(tensor)) or self.strays.late_name(tensor)
        if name:
            self.touched[name] = None
            self.names[id(tensor)] = name
        else:
            self.strays.note(tensor)
        return self._of(tensor)

    def _of(self, tensor: Tensor) -> Tensor:
        if self.fake_mode is None or (isinstance(tensor, FakeTensor) and tensor.fake_mode is self.fake_mode):
            return tensor
        known = self.seen.get(id(tensor))
        if known is None:
            known = self.seen[id(tensor)] = (tensor, fake_of(tensor, self.fake_mode, self.home))
            self.seen[id(known[1])] = known
            if id(tensor) in self.names:
                self.names[id(known[1])] = self.names[id(tensor)]
            self.strays.stands_for(known[1], tensor)
        return known[1]

    def release(self, made: RunTensors) -> None:
        """Let go of all stand-ins, which are tensors that the run has made."""
        made.note([stand_in for _, stand_in in self.seen.values()])
        self.seen.clear()
        self.strays.release()

    def call(self, func: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call into torch. Where torch inspects a tensor before it dispatches, replace real ones by their stand-ins.

        It does so in an accessor (``x.data``, ``x.device``), and with a tensor without memory among the arguments:
        ``y.to(x)`` would take over its device.
        """
        name = getattr(func, "__name__", None)
        if in_function_transform():  # what it wraps is replaced where torch unwraps it
            return func(*args, **kwargs)
        if name in ("__get__", "__set__"):
            if func.__self__.__name__ in _UNSEEN_BY_DISPATCH:
                args = tree_map_only(Tensor, self.of, args)
        elif name == "type" and self.fake_mode is not None:
            args, kwargs = tree_map_only((str, type), dtype_named, (args, kwargs))
        elif name not in _ABOUT_THE_TENSOR and any(self._lacks_memory(tensor) for tensor in tensors_in((args, kwargs))):
            args, kwargs = tree_map_only(Tensor, self._of, (args, kwargs))
            return self._original(func(*args, **kwargs))
        return func(*args, **kwargs)

    def at_home(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Replace the device among the arguments of an operation: fake tensors are made on one and stay there."""
        if self.fake_mode is None:
            return args, kwargs
        args = tuple(self.home if isinstance(part, torch.device) else part for part in args)
        return args, kwargs | {"device": self.home} if kwargs.get("device") is not None else kwargs

    def given_elsewhere(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Return the arguments of an operation in another thread, with stand-ins, which no step here reads."""
        args, kwargs = swapped((args, kwargs), self._of)
        return self.at_home(args, kwargs)

    def _lacks_memory(self, tensor: Tensor) -> bool:
        return self.fake_mode is not None and not isinstance(tensor, FakeTensor) and tensor.is_meta

    def _original(self, result: Any) -> Any:
        """Return the real tensor again if a call only passed its stand-in through."""
        known = self.seen.get(id(result))
        return result if known is None else known[0]


_MAKES_LITERAL = (torch.ops.aten.lift_fresh.default, torch.ops.aten.lift.default)
"""What ``torch.tensor(3)`` calls on its values: fake tensors keep those of a single number."""

_ABOUT_THE_TENSOR = ("__hash__", "__repr__", "__deepcopy__", "__reduce_ex__", "requires_grad_", "register_hook")
"""Methods that concern the object itself, not its values."""

_UNSEEN_BY_DISPATCH = ("data", "device", "is_meta", "is_cpu", "is_cuda")


@dataclass
class Measured:
    """The MACs of one step (None: unknown), those of them that are known, and the parameters that it read."""

    macs: int | None = 0
    known_macs: int = 0
    parameters: tuple[str, ...] = ()


class OperationMeter(TorchDispatchMode):
    """The innermost mode: swaps stand-ins in, counts MACs, and reports operations that no other hook saw.

    Attributes:
        beyond: operations that fake tensors could not run, in the order met.
        guesses: operations whose result was guessed, and how often; empty unless ``guessing``.
        routing: what a router of experts chooses, and which parameters that concerns.
        notes: sentences on what was done beyond running the model, or assumed.
    """

    def __init__(self, tracer: ModelTracer, stand_ins: StandIns, made: RunTensors, guessing: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._made = made
        self.beyond: list[str] = []
        self.guesses: Counter[str] = Counter()
        self.notes: dict[str, None] = {}
        self._guessing = guessing
        self._tracer = tracer
        self._stand_ins = stand_ins
        self._macs, self._lacks_macs = 0, False
        self._unforeseen: set[str] = set()
        self._operations: Counter[int] = Counter()
        self.routing = Routing(stand_ins.names)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        shown = args, kwargs = (args, kwargs or {})
        if func is torch.ops.prim.device.default:  # the device of a fake tensor: no value is read
            return func(*args, **kwargs)
        if func not in _MAKES_LITERAL:
            args, kwargs = self._stand_ins.at_home(*swapped(shown, self._stand_ins.of))
        if torch.is_inference_mode_enabled():
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        try:
            with self._tracer.quiet(own=False):
                result = self._run(func, args, kwargs)
        except FAILURES as error:
            if self._tracer.recording:
                self._tracer.blame(
                    error, step=Step("call_function", func, *shown, {"op": func.overloadpacket.__name__})
                )
            raise
        self._count()
        self._made.note(result, (args, kwargs))
        macs = macs_of(func, args, kwargs, result)
        self.add(macs)
        self.routing.follow(func, args, result)
        if self._tracer.recording:
            self._tracer.operation(func, *shown, result, macs)
        return result

    @property
    def went_beyond(self) -> bool:
        """Return whether the run asked for what fake tensors cannot give, or got a guess in its place."""
        return bool(self.beyond or self.guesses)

    def late_name(self, tensor: Tensor) -> str:
        """Return the name of a parameter that took the place of another one meanwhile; "" for any other tensor."""
        return self._stand_ins.strays.late_name(tensor)

    def add(self, macs: int | None) -> None:
        """Add MACs to what is being measured; None: they are unknown."""
        self._macs += macs or 0
        self._lacks_macs |= macs is None

    def _count(self) -> None:
        """Count an operation of the module whose code runs."""
        self._operations[self._tracer.current] += 1
        most = _MOST_OPERATIONS[bool(self.guesses)]
        if self._operations[self._tracer.current] > most:
            raise TooManySteps(most)

    def _run(self, func: Any, args: Any, kwargs: Any) -> Any:
        try:
            if self._stand_ins.fake_mode is not None and (known := quick(func, args)) is not None:
                return known
            return func(*args, **kwargs)
        except _BEYOND_FAKE as error:
            name = str(func.overloadpacket)
            guess = guess_of(func, self.routing.rows) if self._guessing and isinstance(error, DEPENDS_ON_DATA) else None
            if guess is None or self._stand_ins.fake_mode is None:
                self.beyond.append(name)
                raise
            self.guesses[name] += 1
            if not self.routing.foresees(args):
                self._unforeseen.add(name)
            if sum(self.guesses[reading] for reading in _READS_A_VALUE) > _MOST_VALUES:
                raise EndlessGuess from None
            with self._stand_ins.fake_mode:
                return guess(*args, **kwargs)
        except Exception:
            mode = self._stand_ins.fake_mode
            result = None if mode is None else on_zeros(func, args, kwargs, mode)
            if result is None:
                raise
            name = str(func.overloadpacket).removeprefix("aten.")
            self.notes[f"torch refuses {name} without data, so it was run on zeros"] = None
            return result

    @contextmanager
    def deciding(self, func: Any) -> Iterator[None]:
        """Run an operator that takes functions in here: note an assumed branch, and guess no end of a loop."""
        guessing, before = self._guessing, self.guesses.total()
        self._guessing = guessing and not is_loop(func)
        try:
            yield
        finally:
            self._guessing = guessing
            if is_branch(func) and self.guesses.total() > before:
                self.notes[BRANCH_ASSUMED] = None

    @property
    def bound(self) -> MacsBound:
        """Return how far to trust MACs that rest on guessed results."""
        if not self._unforeseen <= UPPER_BOUNDS:
            return "about"
        bound = self.routing.bound
        return "most" if bound == "exact" and self._unforeseen else bound

    @contextmanager
    def measure(self) -> Iterator[Measured]:
        """Measure what runs in here: its MACs (None if some are unknown) and the parameters it reads."""
        measured = Measured()
        outer = self._macs, self._lacks_macs
        self._macs, self._lacks_macs = 0, False
        touched, self._stand_ins.touched = self._stand_ins.touched, {}
        try:
            yield measured
        finally:
            measured.macs, measured.known_macs = None if self._lacks_macs else self._macs, self._macs
            measured.parameters = tuple(self._stand_ins.touched)
            (self._macs, self._lacks_macs), self._stand_ins.touched = outer, touched


@contextmanager
def module_calls(tracer: ModelTracer, strays: Strays, enter: Callable[..., Any]) -> Iterator[None]:
    """Send each ``nn.Module.__call__`` of this thread through the tracer, as ``torch.fx`` does.

    Args:
        tracer: the tracer that records the calls.
        strays: what the model holds without registering it.
        enter: is called instead of the tracer's root the first time, unless the root was begun already.
    """
    call = nn.Module.__call__

    def traced_call(module: nn.Module, /, *args: Any, **kwargs: Any) -> Any:
        def forward(*args: Any, **kwargs: Any) -> Any:
            written = wrapped_in(module)
            return call(module, *args, **kwargs) if written is None else written(*args, **kwargs)

        if module is tracer.root and not tracer.begun:
            return enter(forward, args, kwargs)
        if tracer.recording:
            if tracer.path_of_module(module).startswith("<"):
                strays.meet(module)
            return tracer.call_module(module, forward, args, kwargs)
        try:
            return forward(*args, **kwargs)
        except FAILURES as error:
            tracer.blame(error, module)
            raise

    with patched(nn.Module, "__call__", traced_call, tracer.elsewhere.called(call)), ExitStack() as stack:
        for owner, name in gathers():
            stack.enter_context(patched(owner, name, _quietly(tracer, getattr(owner, name))))
        yield


def _quietly(tracer: ModelTracer, run: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that does the same, and is no part of the model."""

    def quiet(*args: Any, **kwargs: Any) -> Any:
        with tracer.quiet():
            return run(*args, **kwargs)

    return quiet
