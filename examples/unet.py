"""Draw a U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597) as unet.svg: ``python examples/unet.py``.

The same from the command line:

    fxviz render examples/unet.py:UNet --input 1x256x256 -o unet.svg

In the figure, look at the four thin arcs. They are concat skips: each joins a level of the contracting path with the
level of the expanding path at the same resolution, and the innermost is the shortest. Most parameters are at the
bottom of the U, where the image is smallest and the number of channels largest.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

import fxviz


def double_conv(channels_in: int, channels: int) -> nn.Sequential:
    """Return two 3×3 convolutions that keep the resolution, each with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, 3, padding=1),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


class Up(nn.Module):
    """Double the resolution, then concatenate the features of the contracting path."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(channels_in, channels, 2, stride=2)
        self.conv = double_conv(2 * channels, channels)

    def forward(self, below: torch.Tensor, across: torch.Tensor) -> torch.Tensor:
        return self.conv(torch.cat([across, self.up(below)], dim=1))


class UNet(nn.Module):
    """One channel in (a grey image), one score for each class and pixel out."""

    def __init__(self, classes: int = 2, width: int = 64) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(5)]
        self.stem = double_conv(1, width)
        self.down = nn.ModuleList(double_conv(above, below) for above, below in pairwise(channels))
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(
            Up(below, above) for above, below in zip(channels[-2::-1], channels[:0:-1], strict=True)
        )
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        levels = [self.stem(image)]
        for down in self.down:
            levels.append(down(self.pool(levels[-1])))
        features = levels.pop()
        for up in self.up:
            features = up(features, levels.pop())
        return self.head(features)


def main() -> None:
    """Trace with a grey image, then draw."""
    graph = fxviz.trace(UNet(), fxviz.TensorInfo((1, 1, 256, 256), "float32"))
    path = fxviz.render(graph).save("unet.svg")
    print(f"{path}: {graph.total_params:,} parameters, {graph.skip_counts['concat']} concat skips")


if __name__ == "__main__":
    main()
