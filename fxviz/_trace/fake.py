"""Fake tensors in the place of real ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

_PLAIN = (Tensor, nn.Parameter, getattr(nn, "Buffer", nn.Parameter))
"""Classes of tensors that sizes, strides and dtype describe."""


def fake_of(tensor: Tensor, mode: FakeTensorMode) -> Tensor:
    """A fake tensor like ``tensor``; one without memory (meta) gets one on the CPU, where the dummy inputs are.

    >>> fake_of(torch.empty(2, 3, device="meta"), FakeTensorMode())
    FakeTensor(..., size=(2, 3))
    """
    with torch._C.DisableTorchFunction():  # torch makes it from a meta tensor, which is none of the model's
        if type(tensor) not in _PLAIN or tensor.layout is not torch.strided or tensor.is_quantized:
            return mode.from_tensor(tensor.detach())
        with torch._C._DisableTorchDispatch():  # ten times as fast as from_tensor, and there may be thousands
            bare = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
        return FakeTensor(mode, bare, torch.device("cpu") if tensor.is_meta else tensor.device)
