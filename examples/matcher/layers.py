"""The building block of the encoder."""

from __future__ import annotations

import torch
from torch import nn


class Block(nn.Module):
    """Two convolutions past which a skip connection leads."""

    def __init__(self, width: int, act: type[nn.Module]) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), act(), nn.Conv2d(width, width, 3, padding=1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)
