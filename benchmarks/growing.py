"""Build models with a given number of layers, and tabulate how the time for them grows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from fxviz._graph import TensorInfo
from fxviz._report.tables import Column, Line, Table
from fxviz._sources import Source
from fxviz._sources.source import Built, build

SIZES = (1_000, 2_000, 4_000, 8_000)
"""Layers; each size is twice the one before."""

WIDTH = 8

Growth = dict[str, dict[str, dict[int, float]]]
"""Seconds by structure, step and number of layers."""


class Block(nn.Module):
    """Two layers with an identity shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, width), nn.Linear(width, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.down(torch.relu(self.up(x)))
        return x + hidden


def chain(layers: int) -> nn.Module:
    """Return equal layers, one after the other."""
    return nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(layers)))


def residual(layers: int) -> nn.Module:
    """Return equal residual blocks of two layers."""
    return nn.Sequential(*(Block(WIDTH) for _ in range(layers // 2)))


def uneven(layers: int) -> nn.Module:
    """Return residual blocks of many widths, so that no block equals the one before."""
    return nn.Sequential(*(Block(1 + place % 97) for place in range(layers // 2)))


STRUCTURES: dict[str, Callable[[int], nn.Module]] = {"chain": chain, "residual": residual, "uneven": uneven}


def source(structure: str, layers: int) -> Source:
    """Return the source of a model with this structure, which is built anew each time."""
    make = STRUCTURES[structure]
    return Source(
        f"{structure} {layers}",
        "python",
        lambda allocate: Built(build(lambda: make(layers), allocate), (TensorInfo((1, WIDTH), "float32"),)),
    )


def growth_table(growth: Growth) -> Table:
    """Tabulate the ratio of times when the number of layers doubles, for each structure and step that was measured."""
    doublings = [Column(f"to_{size}", f"{half:,} to {size:,}", _times, right=True) for half, size in pairwise(SIZES)]
    columns = (
        Column("structure", "layers"),
        Column("step", "step"),
        *doublings,
        Column("share", f"share at {SIZES[-1]:,}", "{:.1%}".format, right=True),
    )
    lines = [line for structure, steps in growth.items() for line in _lines(structure, steps)]
    return Table("Times as long for twice as many layers", columns, tuple(lines))


def _lines(structure: str, steps: dict[str, dict[int, float]]) -> list[Line]:
    measured = [size for size in SIZES if all(size in medians for medians in steps.values())]
    whole = {size: sum(medians[size] for medians in steps.values()) for size in measured}
    steps = {**steps, "all steps": whole}
    return [
        Line(
            (structure, step, *(_ratio(medians, half, size) for half, size in pairwise(SIZES)), _share(medians, whole)),
            sum=medians is whole,
        )
        for step, medians in steps.items()
    ]


def _ratio(medians: dict[int, float], half: int, size: int) -> float | None:
    return medians[size] / medians[half] if half in medians and size in medians else None


def _share(medians: dict[int, float], whole: dict[int, float]) -> float | None:
    return medians[SIZES[-1]] / whole[SIZES[-1]] if SIZES[-1] in whole else None


def _times(ratio: float) -> str:
    return f"×{ratio:.2f}"
