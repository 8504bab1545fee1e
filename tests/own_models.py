"""A user's file with everything that can go wrong in one: read as ``net.py`` by the tests of wrong calls."""

from __future__ import annotations

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, depth: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(image).mean((2, 3)))


class Needs(nn.Module):
    def __init__(self, width: int, height: int) -> None:
        super().__init__()


class Plain:
    pass


class Breaks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.size = 1 // 0


class Two(nn.Module):
    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return left + right


class Raises(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.fc(x)
        raise ValueError("not today\nnor tomorrow")


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(100, 8)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.table(ids)


def weights() -> dict[str, torch.Tensor]:
    return Net().state_dict()


def nothing() -> None:
    return None


def leaves() -> None:
    raise SystemExit(3)


small = Net()
