"""Notice what a model computes in other threads, which the tracer's hooks, each for one thread, do not see."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor, fx, nn
from torch.nn.parameter import is_lazy

from fxviz._sources.inputs import describe
from fxviz._sources.own_thread import patched
from fxviz._sources.torch_private import FakeTensor, FakeTensorMode, storage_of
from fxviz._trace.tensors import tensors_in

if TYPE_CHECKING:
    from fxviz._trace.tracer import ModelTracer

_LISTED = 3
"""Maximum number of modules that a note names."""


class OtherThreads:
    """What other threads did with the model and its tensors during a run.

    Operations on fake tensors are seen there, too. Real tensors tell nothing of their use: calls of the model's modules
    are seen, and that a thread was started.

    Args:
        root: the model, or the part of it that is recorded.
        step_of: returns the recorded step that a tensor is the result of, None if there is none.

    Attributes:
        real: whether it runs on real tensors.
    """

    def __init__(self, root: nn.Module, step_of: Callable[[Tensor], fx.Node | None]) -> None:
        self._paths = {module: path for path, module in root.named_modules()}
        self._held = {id(tensor) for module in root.modules() for tensor in tensors_in(vars(module))}
        sized = [(name, tensor) for name, tensor in root.named_parameters() if not is_lazy(tensor)]
        self._names = {storage: name for name, tensor in sized if (storage := storage_of(tensor)) is not None}
        self._step_of = step_of
        self.real = True
        self._modules: dict[str, None] = {}
        self._threads: set[int] = set()
        self._started = False
        self._given: dict[int, Tensor] = {}
        self._parameters: dict[str, None] = {}
        self._step: fx.Node | None = None

    def note(self) -> str:
        """Return a sentence on what was computed there, "" if nothing was."""
        if self._threads:
            names = [f"'{name}'" for name in self._modules]
            more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
            which = f" ({', '.join(names[:_LISTED])}{more})" if names else ""
            return f"the model computes in other threads{which}: steps and MACs there are not seen"
        if self._started and self.real:
            return "the model starts another thread: what that computes is not seen"
        return ""

    def called(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return what replaces ``nn.Module.__call__`` there: it notes modules of this model that run on its tensors."""

        def noted(module: nn.Module, /, *args: Any, **kwargs: Any) -> Any:
            path, tensors = self._paths.get(module), list(tensors_in((args, kwargs)))
            ours = threading.get_ident() in self._threads or any(map(self._step_of, tensors))
            if path is not None and ours:
                self._modules[path] = None
                self.operated([*tensors, *module.parameters(recurse=False)])
            return call(module, *args, **kwargs)

        return noted

    def operated(self, tensors: Iterable[Tensor]) -> None:
        """Note what read these tensors there."""
        self._threads.add(threading.get_ident())
        for tensor in tensors:
            if (name := self._names.get(storage_of(tensor) or 0)) is not None:
                self._parameters[name] = None
            elif self._step_of(tensor) is not None:
                self._given[id(tensor)] = tensor

    def maker(self, tensor: Tensor, tracer: ModelTracer) -> fx.Node | None:
        """Return the step that made a tensor which no recorded step did; None if it was there before the run."""
        if not self._threads or id(tensor) in self._held or not (self.real or isinstance(tensor, FakeTensor)):
            return None
        if self._given or self._parameters or self._step is None:
            self._record(tracer)
        step = self._step
        if step is not None:
            step.meta["outputs"] = (*step.meta["outputs"], describe(tensor))
        return step

    def finish(self, tracer: ModelTracer) -> None:
        """Record what was computed there, or may have been, and led to nothing that was recorded."""
        read = {name for node in tracer.graph.nodes for name in node.meta["uses"]}
        may_compute = self._started and self.real and not set(self._names.values()) <= read
        if self._parameters or (may_compute and self._step is None):
            self._record(tracer)

    def _record(self, tracer: ModelTracer) -> None:
        """Record one step with unknown MACs for all that was computed there since the last one."""
        given, parameters = tuple(self._given.values()), tuple(self._parameters)
        self._given, self._parameters = {}, {}
        self._step = tracer.record_unseen(given, parameters)

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Note a thread that is started in here: of what real tensors meet there only modules are seen."""
        start = threading.Thread.start

        def noted(thread: threading.Thread) -> None:
            self._started = True
            start(thread)

        with patched(threading.Thread, "start", noted):
            yield


def unseen() -> None:
    """Mark in the graph what other threads computed."""


class WatchedFakeMode(FakeTensorMode):  # type: ignore[no-untyped-call]
    """The mode of the fake tensors of one run, which tells of operations on them in other threads.

    Attributes:
        watch: is called there with the arguments of each operation, and returns those to use.
        made: is called there with the result.
    """

    def __init__(self) -> None:
        self._kernels = threading.local()
        super().__init__(allow_non_fake_inputs=True)
        self._owner = threading.get_ident()
        self._lock = threading.RLock()  # torch's mode is for one thread at a time
        self.watch: Callable[[Any, Any], tuple[Any, Any]] = _unwatched
        self.made: Callable[[Any], None] = _ignored

    @property
    def in_kernel_invocation(self) -> bool:
        """Return whether this thread is in a kernel. Torch asks so before it enters the mode, where no lock helps."""
        return getattr(self._kernels, "inside", False)

    @in_kernel_invocation.setter
    def in_kernel_invocation(self, inside: bool) -> None:
        self._kernels.inside = inside

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        elsewhere = threading.get_ident() != self._owner
        if elsewhere:
            args, kwargs = self.watch(args, kwargs or {})
        with self._lock:
            result = super().__torch_dispatch__(func, types, args, kwargs)
        if elsewhere:
            self.made(result)
        return result


def _ignored(result: Any) -> None:
    pass


def _unwatched(args: Any, kwargs: Any) -> tuple[Any, Any]:
    return args, kwargs
