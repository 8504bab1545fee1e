"""The Python door: what it says when something does not fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import fxviz
from fxviz._graph import TensorInfo
from fxviz._graph.errors import TraceError, UsageError


class Scaled(nn.Module):
    def forward(self, x: Tensor, /, scale: float = 2.0, *, shift: Tensor | None = None) -> Tensor:
        return (x * scale).view(-1, 7, 11)


def test_without_inputs_the_message_says_what_was_assumed_and_what_forward_takes() -> None:
    with pytest.raises(TraceError) as caught:
        fxviz.render(Scaled())
    assert str(caught.value).startswith("cannot trace Scaled: at ")
    assert "'return (x * scale).view(-1, 7, 11)': RuntimeError: " in str(caught.value)
    assert str(caught.value).endswith(
        "; no inputs were given, so a 1×3×224×224 image was assumed: "
        "use inputs=... to pass what forward(x, /, scale=2.0, *, shift=None) takes"
    )
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize("inputs", [(2, 8), [2, 8], ((2, 8),), torch.Size((2, 8))])
def test_sizes_in_place_of_tensors(inputs: Any) -> None:
    with pytest.raises(TraceError, match=r"pass inputs=torch\.zeros\(2, 8\), or fxviz\.TensorInfo\(\(2, 8\)"):
        fxviz.trace(nn.Linear(8, 8), inputs)
    assert fxviz.trace(nn.Linear(8, 8), TensorInfo((2, 8), "float32")).nodes[-1].outputs[0].shape == (2, 8)


def test_inputs_that_were_given_are_not_said_to_be_assumed() -> None:
    with pytest.raises(TraceError) as caught:
        fxviz.trace(nn.Linear(8, 8), (torch.rand(2, 3),))
    assert "inputs" not in str(caught.value)


@pytest.mark.parametrize("device", ["gpu", "mps", "cuda:", "cpu:0", "", None])
def test_an_unknown_device_is_refused(device: Any) -> None:
    with pytest.raises(UsageError) as caught:
        fxviz.trace("resnet18", device=device)
    allowed = "choose meta, cpu, cuda or cuda:N" if isinstance(device, str) else "must be a string"
    assert str(caught.value) == f"invalid device {device!r}: {allowed}"
