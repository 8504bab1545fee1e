"""Where a run stopped and why, as plain values and as one line."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from fxviz.graph import Failure, TensorInfo
from fxviz.tracing.locating import Line, blamed_line
from fxviz.tracing.tracer import ModelTracer, class_name
from fxviz.tracing.values import describe, said, tensors_in

_LONGEST = 300
"""Characters of an error's message that are shown."""

_MOST = 4
"""Tensors that are shown of those that met."""


@dataclass(frozen=True)
class Stop:
    """What ended a run.

    Attributes:
        error: what was raised.
        failure: where that was; its node is "" if the run did not come to what was to be recorded.
        unrecordable: path of the module inside which the tracer itself failed, None if the model's code did.
    """

    error: BaseException
    failure: Failure
    unrecordable: str | None = None


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
    return Stop(error, failure, tracer.scopes[blame.scope].path if blame.own else None)


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


def text_of(error: BaseException) -> str:
    """The message of an error; "" if it cannot tell."""
    try:
        return str(error).strip()
    except Exception:
        return ""


def first_line(error: BaseException) -> str:
    """The class of an error and the first line of its message.

    >>> first_line(ValueError("no\\nmore")), first_line(SystemExit())
    ('ValueError: no', 'SystemExit')
    """
    text = text_of(error).splitlines()
    line = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
