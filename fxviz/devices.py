"""Names of devices, known without torch."""

from __future__ import annotations

import re

from fxviz.errors import UsageError


def check_device(device: str, time: bool = False) -> None:
    """Refuse what cannot be a device, and to time what does not compute, before torch is imported.

    >>> check_device("gpu")
    Traceback (most recent call last):
    ...
    fxviz.errors.UsageError: no device 'gpu': choose meta, cpu, cuda or cuda:N
    """
    if not isinstance(device, str) or not re.fullmatch(r"meta|cpu|cuda(:[0-9]{1,9})?", device):
        raise UsageError(f"no device '{device}': choose meta, cpu, cuda or cuda:N")
    if time and device == "meta":
        raise UsageError("times need a device that computes: choose the device cpu or cuda")
