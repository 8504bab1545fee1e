"""The model: it takes a config object, and its two pictures inside one argument.

docs/own_models.md shows the commands that draw it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .layers import Block


@dataclass
class Config:
    """Sizes of a matcher."""

    width: int = 64
    blocks: int = 3
    act: type[nn.Module] = nn.ReLU


class Matcher(nn.Module):
    """Score every place of one picture against every place of another."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, config.width, 8, 8), *(Block(config.width, config.act) for _ in range(config.blocks))
        )
        self.project = nn.Linear(config.width, config.width)

    def forward(self, data: Any, normalize: bool = False) -> torch.Tensor:
        scores = self.describe(data.image0) @ self.describe(data.image1).mT
        return scores.softmax(-1) if normalize else scores

    def describe(self, image: torch.Tensor) -> torch.Tensor:
        """Return a vector for each place of a picture."""
        vectors: torch.Tensor = self.project(self.encoder(image).flatten(2).mT)
        return vectors

    def describe_all(self, images: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return the vectors of pictures of several sizes."""
        return [self.describe(image) for image in images]


@dataclass
class Pipeline:
    """A matcher with what it needs besides; it is no module itself."""

    matcher: Matcher
    threshold: float = 0.2


def build(width: int = 64) -> Pipeline:
    """Return a pipeline with a new matcher."""
    return Pipeline(Matcher(Config(width)))
