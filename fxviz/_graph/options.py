"""How a model is run: what a caller can choose, checked before torch is imported."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fxviz._errors import UsageError


@dataclass(frozen=True)
class TraceOptions:
    """How a model is run.

    Attributes:
        device: "meta" (fake tensors: nothing is allocated or computed), "cpu", "cuda" or "cuda:N".
        time: measure the time of each node on ``device``, which is not "meta".
        train: run in training mode, not in eval mode.
        leaf: modules that are one node each, by dotted path ("layer1.0") or class ("BasicBlock", "models.BasicBlock").
        root: dotted path of the submodule to record instead of the whole model; it receives what the model gives it.
        partial: where the model's code raises, keep what ran until then.

    Raises:
        UsageError: there is no such device, nothing to time on it, or nothing to time in half a run.

    >>> TraceOptions(device="gpu")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: no device 'gpu': choose meta, cpu, cuda or cuda:N
    """

    device: str = "meta"
    time: bool = False
    train: bool = False
    leaf: tuple[str, ...] = ()
    root: str = ""
    partial: bool = False

    def __post_init__(self) -> None:
        check_device(self.device)
        if self.time and self.device == "meta":
            raise UsageError("times need a device that computes: choose the device cpu or cuda")
        if self.time and self.partial:
            raise UsageError("half a run cannot be timed: choose either time or partial")


def check_device(device: str) -> None:
    """Refuse what cannot be a device.

    >>> check_device("cuda:0")
    """
    if not isinstance(device, str) or not re.fullmatch(r"meta|cpu|cuda(:[0-9]{1,9})?", device):
        raise UsageError(f"no device '{device}': choose meta, cpu, cuda or cuda:N")
