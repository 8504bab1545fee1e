"""Models of as many layers as are asked for, and how the time for them grows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from fxviz._graph import TensorInfo
from fxviz._report.tables import Column, Line, Table
from fxviz._sources import Source
from fxviz._sources.source import build

SIZES = (1_000, 2_000, 4_000, 8_000)
"""Layers; each size is twice the one before."""

WIDTH = 8

Growth = dict[str, dict[str, dict[int, float]]]
"""Structure, room, layers: seconds."""


class Block(nn.Module):
    """Two layers with a way past them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, width), nn.Linear(width, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.down(torch.relu(self.up(x)))
        return x + hidden


def chain(layers: int) -> nn.Module:
    """Equal layers, one after the other."""
    return nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(layers)))


def residual(layers: int) -> nn.Module:
    """Equal residual blocks of two layers."""
    return nn.Sequential(*(Block(WIDTH) for _ in range(layers // 2)))


def uneven(layers: int) -> nn.Module:
    """Residual blocks of many widths, so that none repeats the one before."""
    return nn.Sequential(*(Block(1 + place % 97) for place in range(layers // 2)))


STRUCTURES: dict[str, Callable[[int], nn.Module]] = {"chain": chain, "residual": residual, "uneven": uneven}


def source(structure: str, layers: int) -> Source:
    """The source of a model of that structure, which is built anew each time."""
    make = STRUCTURES[structure]
    return Source(
        f"{structure} {layers}",
        "python",
        lambda allocate: build(lambda: make(layers), allocate),
        lambda: (TensorInfo((1, WIDTH), "float32"),),
    )


def growth_table(growth: Growth) -> Table:
    """How many times as long twice as many layers take, for each structure and room that was measured."""
    doublings = [Column(f"to_{size}", f"{half:,} to {size:,}", _times, right=True) for half, size in pairwise(SIZES)]
    columns = (
        Column("structure", "layers"),
        Column("room", "room"),
        *doublings,
        Column("share", f"share at {SIZES[-1]:,}", "{:.1%}".format, right=True),
    )
    lines = [line for structure, rooms in growth.items() for line in _lines(structure, rooms)]
    return Table("Times as long for twice as many layers", columns, tuple(lines))


def _lines(structure: str, rooms: dict[str, dict[int, float]]) -> list[Line]:
    measured = [size for size in SIZES if all(size in medians for medians in rooms.values())]
    whole = {size: sum(medians[size] for medians in rooms.values()) for size in measured}
    rooms = {**rooms, "all rooms": whole}
    return [
        Line(
            (structure, room, *(_ratio(medians, half, size) for half, size in pairwise(SIZES)), _share(medians, whole)),
            sum=medians is whole,
        )
        for room, medians in rooms.items()
    ]


def _ratio(medians: dict[int, float], half: int, size: int) -> float | None:
    return medians[size] / medians[half] if half in medians and size in medians else None


def _share(medians: dict[int, float], whole: dict[int, float]) -> float | None:
    return medians[SIZES[-1]] / whole[SIZES[-1]] if SIZES[-1] in whole else None


def _times(ratio: float) -> str:
    return f"×{ratio:.2f}"
