"""Draw a list of models into a folder, in light and dark, and print a table of their parameters, MACs and skips.

python examples/figures.py figures resnet18 vgg16 vit_b_16
"""

from __future__ import annotations

import sys
from pathlib import Path

import fxviz


def main(folder: str = "figures", *names: str) -> None:
    """Trace each model once and draw it twice."""
    Path(folder).mkdir(exist_ok=True)
    for name in names or ("resnet18", "vgg16", "vit_b_16", "googlenet"):
        graph = fxviz.trace(name)
        for theme in ("light", "dark"):
            fxviz.render(graph, theme=theme).save(f"{folder}/{name}-{theme}.svg")
        skips = sum(graph.skip_counts.values())
        print(f"{name:24} {graph.total_params:>12,} parameters {graph.total_macs / 1e9:>7.2f} GMACs {skips:>4} skips")


if __name__ == "__main__":
    main(*sys.argv[1:])
