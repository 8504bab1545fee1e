"""Where a run stopped and why, as plain values and as one line."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, fx, nn

from fxviz._errors import Line, blamed_line, first_line
from fxviz._graph import Failure, TensorInfo
from fxviz._trace.tensors import describe, said, tensors_in
from fxviz._trace.tracer import Blame, ModelTracer, class_name, getitem, stopped

_MOST = 4
"""Tensors that are shown of those that met."""


@dataclass(frozen=True)
class Stop:
    """What ended a run.

    Attributes:
        error: what was raised.
        failure: where that was; its node is "" if the run did not come to what was to be recorded.
        unrecordable: path of the module inside which the tracer itself failed, None if the model's code did.
        ran: whether an operation was begun, so that there is something to draw.
        restructured: whether the code took a tensor for something of another structure: a dict, an object with attributes.
    """

    error: BaseException
    failure: Failure
    unrecordable: str | None = None
    ran: bool = False
    restructured: bool = False


def stop_of(error: BaseException, tracer: ModelTracer, model: nn.Module) -> Stop:
    """Note in ``tracer``'s graph, if that was begun, and in plain values where ``error`` ended a run of ``model``."""
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
    return Stop(error, failure, unrecordable, tracer.begun and _has_operation(tracer.graph), _took_for_another(blame))


def _has_operation(graph: fx.Graph) -> bool:
    """Whether it holds more than what goes in, and the place where code raised."""
    return any(node.op.startswith("call_") and node.target is not stopped for node in graph.nodes)


def _took_for_another(blame: Blame) -> bool:
    """``x["image"]`` or ``x.image``, where x is a tensor."""
    if isinstance(blame.error, AttributeError):
        return isinstance(getattr(blame.error, "obj", None), Tensor)
    step = blame.step
    return step is not None and step.target is getitem and isinstance(step.args[1], str)


def _path(module: nn.Module, root: nn.Module, model: nn.Module) -> str:
    """As the graph names it; outside of that as the model does; a module that neither lists is named after its class."""
    paths = {held: path for holder in (model, root) for path, held in holder.named_modules()}
    return str(paths.get(module, f"<{type(module).__name__}>"))


def sentence(model: str, failure: Failure) -> str:
    """What is known of a failure in one line; ``model`` is the name of the model's class.

    >>> failure = Failure("fc", "ValueError: no", "fc", "nn.Linear", "net.py", 3, "y = fc(x)", (TensorInfo((2,), "int64"),))
    >>> sentence('Tanh', failure)
    "cannot trace Tanh: fc (Linear) at net.py:3, 'y = fc(x)': ValueError: no; it was given 2 int64"
    """
    module = f"{failure.path} ({failure.class_name})" if failure.path else ""
    line = f"at {Line(failure.file, failure.line, failure.code)}" if failure.file else ""
    where = f"{module} {line}".strip()
    parts = [f"cannot trace {model}", *([where] if where else []), failure.message.rstrip(".")]
    return f"{': '.join(parts)}{_given(failure.inputs)}"


def _given(inputs: tuple[TensorInfo, ...]) -> str:
    if not inputs:
        return ""
    more = f" and {len(inputs) - _MOST} more" if len(inputs) > _MOST else ""
    return f"; it was given {said(inputs[:_MOST])}{more}"
