"""Draw a network of your own with two inputs: ``python examples/custom_model.py`` writes ``scorer.svg``.

The same from the command line:

    fxviz render examples/custom_model.py:Scorer --input text=1x300 --input picture=1x512 -o scorer.svg

In the figure, look at the two inputs with their names; at the towers side by side, each with a dashed line (the
projection shortcut where the width changes) and a solid one (the identity shortcut); at the ``concat`` in which both
end; and at the parameters, most of which are in the first layers of the picture's tower because its vectors are
longest.
"""

from __future__ import annotations

import torch
from torch import nn

import fxviz


class Residual(nn.Module):
    """x + f(x), with a projection shortcut where the width changes."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(width_in, width), nn.ReLU(), nn.Linear(width, width))
        self.shortcut = nn.Identity() if width_in == width else nn.Linear(width_in, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class Scorer(nn.Module):
    """Score how well a text and a picture match, both given as feature vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.text = nn.Sequential(Residual(300, 128), Residual(128, 128))
        self.picture = nn.Sequential(Residual(512, 128), Residual(128, 128))
        self.head = nn.Linear(256, 1)

    def forward(self, text: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.head(torch.cat([self.text(text), self.picture(picture)], dim=1)))


def main() -> None:
    """Trace with inputs of the right shapes, then draw."""
    graph = fxviz.trace(Scorer(), (torch.zeros(1, 300), torch.zeros(1, 512)))
    path = fxviz.render(graph).save("scorer.svg")
    print(f"{path}: {graph.total_params:,} parameters, skips {graph.skip_counts}")


if __name__ == "__main__":
    main()
