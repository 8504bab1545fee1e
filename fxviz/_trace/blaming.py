"""What an exception passed on its way out of the model: which module, which step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

FAILURES = (Exception, SystemExit)
"""What the model's code can fail with. Anything else (Ctrl-C) is none of its own doing."""


@dataclass(frozen=True)
class Step:
    """A call as fx writes it, with the facts that its node would have."""

    kind: str
    target: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    facts: Mapping[str, Any]


@dataclass
class Blame:
    """Who an exception comes from.

    Attributes:
        error: the exception.
        scope: id of the scope in which it was raised.
        own: whether the tracer raised it, while it wrote down what the model had done.
        module: the innermost module whose call raised.
        step: the operation that raised; None if the code around the operations did.
    """

    error: BaseException
    scope: int
    own: bool = False
    module: nn.Module | None = None
    step: Step | None = None
