"""Trace in a process of its own, of which only the graph comes home."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

from torch import nn

from fxviz._graph import ArchGraph
from fxviz._graph.errors import TraceError, UsageError, first_line, spelled
from fxviz._graph.processes import end_with
from fxviz._sources.torch_private import class_label

_CHILD = "from fxviz._api.graphs import traced; from fxviz._trace.isolated import serve; serve(traced, {parent})"
_OPTION = spelled("isolated=True", "--isolated")


def asked_elsewhere(question: tuple[Any, ...]) -> ArchGraph:
    """Return the graph that another process answers with; what it prints goes to standard error.

    Args:
        question: the model, its inputs and the options. A module is sent as pickle writes it.

    Raises:
        UsageError: the model or its inputs cannot be sent.
        TraceError: the process ended without an answer.
        FxvizError: what tracing raised there.
    """
    _check_classes(question[0])
    try:
        sent = pickle.dumps((list(sys.path), pickle.dumps(question)))  # the second needs what the first names
    except Exception as error:
        raise UsageError(f"{_refusal(question[0])}: it cannot be pickled ({first_line(error)}); {_remedy()}") from error
    run = subprocess.run(
        [sys.executable, "-c", _CHILD.format(parent=os.getpid())], input=sent, stdout=subprocess.PIPE, check=False
    )
    try:
        kind, answer = pickle.loads(run.stdout)
    except Exception as error:
        raise TraceError(
            f"{_refusal(question[0])}: that process ended with status {run.returncode} and without a graph"
        ) from error
    if kind == "error":
        raise answer
    graph: ArchGraph = answer
    return graph


def _refusal(model: Any) -> str:
    name = class_label(model) if isinstance(model, nn.Module) else str(model)
    return f"cannot trace {name} in a process of its own"


def _remedy() -> str:
    return f"name the file that builds it (net.py:Net), or leave out {_OPTION}"


def _check_classes(model: Any) -> None:
    """Refuse a module whose classes another process cannot import."""
    for module in model.modules() if isinstance(model, nn.Module) else ():
        cls = type(module)
        if cls.__module__ == "__main__" or "<locals>" in cls.__qualname__:
            where = "in the program that runs" if cls.__module__ == "__main__" else "inside a function"
            raise UsageError(f"{_refusal(model)}: its class {cls.__name__} is defined {where}; {_remedy()}")


def serve(trace: Callable[..., ArchGraph], parent: int) -> None:
    """Trace in the other process what standard input asks for, and answer on standard output.

    What code prints there goes to standard error. The process ends with the one that asks, its parent.
    """
    end_with(parent)
    with os.fdopen(os.dup(1), "wb") as home:
        os.dup2(2, 1)
        try:
            answer: tuple[str, Any] = ("graph", trace(*_question(sys.stdin.buffer)))
        except Exception as error:
            answer = ("error", error)
        try:
            sent = pickle.dumps(answer)
        except Exception:
            sent = pickle.dumps(("error", TraceError(first_line(answer[1]))))
        home.write(sent)


def _question(stream: BinaryIO) -> tuple[Any, ...]:
    path, rest = pickle.load(stream)
    sys.path[:] = path
    question: tuple[Any, ...] = pickle.loads(rest)
    return question
