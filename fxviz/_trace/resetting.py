"""Torch's own defaults, which a model's file may have changed for all models after it."""

from __future__ import annotations

import torch


def reset() -> None:
    """Take back what code that was imported may have set for the whole process.

    >>> torch.set_default_dtype(torch.float64)
    >>> reset()
    >>> torch.get_default_dtype()
    torch.float32
    """
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)
    torch.use_deterministic_algorithms(False)
