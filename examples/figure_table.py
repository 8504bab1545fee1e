"""Draw many models and print how large each figure is: ``python examples/figure_table.py 'resnet*'``.

One line for each model: style, rows, width and height in points, kilobytes, and the seconds for tracing and drawing.
The last line names those that are larger than a page. With a folder as second argument, the figures are kept there.
"""

from __future__ import annotations

import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import fxviz

TALLEST, MOST_ROWS = 1420, 80
"""The size of a page in points and in rows."""

HEADER = f"{'model':36} {'style':6} {'rows':>4} {'wide':>6} {'high':>6} {'kB':>5} {'trace':>6} {'draw':>6}"


def draw(name: str, folder: Path | None) -> tuple[bool, str]:
    """Draw one model; return whether its figure fits a page, and its line of the table."""
    start = time.perf_counter()
    graph = fxviz.trace(name)
    traced = time.perf_counter()
    figure = fxviz.render(graph)
    svg = figure.svg
    done = time.perf_counter()
    if folder is not None:
        figure.save(folder / f"{name.replace(':', '_')}.svg")
    wide, high = _size(svg)
    rows = len(figure.view.rows)
    line = f"{name:36} {figure.view.style:6} {rows:4} {wide:6.0f} {high:6.0f} {len(svg.encode()) / 1000:5.0f}"
    return high <= TALLEST and rows <= MOST_ROWS, f"{line} {traced - start:6.2f} {done - traced:6.2f}"


def _size(svg: str) -> tuple[float, float]:
    _, _, wide, high = map(float, ET.fromstring(svg).get("viewBox", "").split())
    return wide, high


def main() -> None:
    """Draw every torchvision model, or those that match a pattern."""
    pattern, *folder = sys.argv[1:] or ["*"]
    kept = Path(folder[0]) if folder else None
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
    print(HEADER)
    too_large = []
    for name in fxviz.list_models(pattern):
        fits, line = draw(name, kept)
        print(line, flush=True)
        too_large += [] if fits else [name]
    print(f"larger than {TALLEST} pt or {MOST_ROWS} rows: {', '.join(too_large) or 'none'}")


if __name__ == "__main__":
    main()
