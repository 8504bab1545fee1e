"""Describe where and why a run stopped."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, fx, nn

from fxviz._graph import Failure, TensorInfo
from fxviz._graph.errors import Line, blamed_line, first_line, text_of
from fxviz._sources.inputs import describe
from fxviz._sources.torch_private import class_label, class_name, without_function_modes, without_modes, written_path
from fxviz._trace.calls import getitem, stopped
from fxviz._trace.tensors import listed, tensors_in
from fxviz._trace.tracer import Blame, ModelTracer

_MOST_TENSORS = 4
"""Maximum number of inputs of the failed step that a message lists."""


_TOUCHES_MEMORY = (
    "data pointer",
    "not allocated yet",
    "tensor subclasses",
    "FakeTensor",
    "no storage",
    "Couldn't swap",  # a module that is made in the forward is moved there
    "QuantizedMeta",  # torch cannot unpack weights that it has quantised beside fake tensors
    "fake tensor modes must be the same",  # a jagged tensor that torch keeps from before stands beside fake ones
    "shape_env must not be None",  # a jagged tensor has sizes that fake tensors without symbols cannot tell
    "TorchScript interpreter",  # scripted code takes the model's own tensors, which may have no memory
)
"""Parts of the errors where the model's code asks a tensor for memory that it does not have."""


@dataclass(frozen=True)
class Stop:
    """The end of a run that failed.

    Attributes:
        error: the exception.
        failure: the place; its node is "" if the run did not reach what was to be recorded.
        unrecordable: path of the module inside which the tracer itself failed, None if the model's code did.
        ran: whether an operation was begun, so that there is something to draw.
        restructured: whether the code used a tensor as a dict or as an object with attributes.
    """

    error: BaseException
    failure: Failure
    unrecordable: str | None = None
    ran: bool = False
    restructured: bool = False


def stop_of(error: BaseException, tracer: ModelTracer, model: nn.Module) -> Stop:
    """Describe where ``error`` ended a run of ``model``; record the place in the tracer's graph, if there is one."""
    with without_function_modes(), without_modes():  # what is read of tensors is no step of the run
        return _stop_of(error, tracer, model)


def _stop_of(error: BaseException, tracer: ModelTracer, model: nn.Module) -> Stop:
    blame = tracer.blame(error)
    node = tracer.stop(blame) if tracer.begun else ""
    module = blame.module or model
    step = (blame.step.args, blame.step.kwargs) if node and blame.step else ()
    line = blamed_line(error)
    failure = Failure(
        node=node,
        message=first_line(error),
        path=_path(module, tracer.root, model),
        cls=class_name(module),
        file=line.file,
        line=line.number,
        code=line.code,
        inputs=tuple(describe(tensor) for tensor in tensors_in(step)),
    )
    unrecordable = tracer.scopes[blame.scope].path if blame.own else None
    return Stop(error, failure, unrecordable, tracer.begun and _has_operation(tracer.graph), _used_as_structure(blame))


def _has_operation(graph: fx.Graph) -> bool:
    """Return whether it holds more than inputs and the place where code raised."""
    return any(node.op.startswith("call_") and node.target is not stopped for node in graph.nodes)


def _used_as_structure(blame: Blame) -> bool:
    """Return whether the code wrote ``x["image"]`` or ``x.image``, where x is a tensor."""
    if isinstance(blame.error, AttributeError):
        return isinstance(getattr(blame.error, "obj", None), Tensor)
    step = blame.step
    return step is not None and step.target is getitem and isinstance(step.args[1], str)


def _path(module: nn.Module, root: nn.Module, model: nn.Module) -> str:
    """Return the path in the recorded module, else in the model; a module in neither is named after its class."""
    paths = {held: path for holder in (model, root) for path, held in holder.named_modules()}
    return written_path(paths.get(module, f"<{class_label(module)}>"))


def sentence(model: str, failure: Failure) -> str:
    """Describe a failure in one line; ``model`` is the name of the model's class.

    >>> inputs = (TensorInfo((2,), "int64"),)
    >>> sentence('Tanh', Failure("fc", "ValueError: no", "fc", "nn.Linear", "net.py", 3, "y = fc(x)", inputs))
    "cannot trace Tanh: fc (Linear) at net.py:3, 'y = fc(x)': ValueError: no; it was given 2 int64"
    """
    module = f"{failure.path} ({failure.class_name})" if failure.path else ""
    line = f"at {Line(failure.file, failure.line, failure.code)}" if failure.file else ""
    where = f"{module} {line}".strip()
    parts = [f"cannot trace {model}", *([where] if where else []), failure.message.rstrip(".")]
    return f"{': '.join(parts)}{_inputs(failure.inputs)}"


def _inputs(inputs: tuple[TensorInfo, ...]) -> str:
    if not inputs:
        return ""
    more = f" and {len(inputs) - _MOST_TENSORS} more" if len(inputs) > _MOST_TENSORS else ""
    return f"; it was given {listed(inputs[:_MOST_TENSORS])}{more}"


def asks_for_memory(error: BaseException) -> bool:
    """Return whether a run failed because fake tensors have no memory.

    >>> asks_for_memory(RuntimeError("Cannot access data pointer of Tensor")), asks_for_memory(ValueError())
    (True, False)
    """
    return any(words in text_of(error) for words in _TOUCHES_MEMORY)
