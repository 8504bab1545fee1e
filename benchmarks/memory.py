"""Trace models with more and more parameters, and report the peak memory and the time of each process.

Parameters have a shape but no memory, so that the peak follows the number of layers, not the number of parameters. To
tell these apart, the decoder of 70B is measured twice, once as published and once with narrow layers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from output import Markdown, show
from processes import Cost, Process, Ratio, fxviz, imports, in_turn

from fxviz._graph import ArchGraph, units
from fxviz._report.tables import Column, Line, Table


def decoder(width: int, inside: int, blocks: int, heads: int) -> dict[str, Any]:
    """Return the configuration of a decoder of the llama type."""
    return {
        "model_type": "llama",
        "hidden_size": width,
        "intermediate_size": inside,
        "num_hidden_layers": blocks,
        "num_attention_heads": heads,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    }


DECODERS = {
    "1B": decoder(2048, 8192, 16, 32),
    "8B": decoder(4096, 14336, 32, 32),
    "70B": decoder(8192, 28672, 80, 64),
    "narrow-70B": decoder(512, 1792, 80, 64),
    "200-blocks": decoder(2048, 8192, 200, 32),
    "one-block": decoder(512, 1792, 1, 8),
}
"""As published; then one that separates depth from width, and one that shows the cost of importing the library."""


def tracing(name: str, model: str) -> Process:
    """Return the process that saves a model's graph as ``NAME.json``."""
    return fxviz(name, "trace", model, "-q", "--no-cache", "-o", f"{name}.json")


def decoders(folder: Path) -> list[Process]:
    """Write the decoders' configurations into the folder, and return the processes that trace them."""
    for name, values in DECODERS.items():
        (folder / f"{name}-config.json").write_text(json.dumps(values), encoding="utf-8")
    return [tracing(name, f"transformers:{name}-config.json") for name in DECODERS]


def largest(number: int) -> list[Process]:
    """Return the processes that trace timm's largest models, this many, and one small model."""
    if not number:
        return []
    command = (sys.executable, str(Path(__file__).with_name("largest.py")), str(number))
    names = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return [tracing(name.partition(":")[2], name) for name in (*names, "timm:resnet18")]


def table(
    processes: list[Process], costs: dict[str, list[Cost]], folder: Path, rounds: int, remarks: list[str]
) -> Table:
    """Tabulate each model beside the bare imports."""
    columns = (
        Column("model", "model"),
        Column("params", "parameters", units.count, right=True),
        Column("nodes", "nodes", "{:,}".format, right=True),
        Column("peak", "peak", _megabytes, right=True),
        Column("above", "above the imports", _megabytes, right=True),
        Column("wall", "wall, × imports", "{:.2f}".format, right=True),
        Column("cpu", "CPU, × imports", "{:.2f}".format, right=True),
    )
    base = costs[processes[0].name]
    lines = [_line(process.name, folder, costs[process.name], base) for process in processes if process.name in costs]
    return Table(
        f"Peak memory and time of 'fxviz trace', medians of {rounds} rounds", columns, tuple(lines), tuple(remarks)
    )


def _line(name: str, folder: Path, costs: list[Cost], base: list[Cost]) -> Line:
    wall = Ratio.of([cost.wall for cost in costs], [cost.wall for cost in base])
    cpu = Ratio.of([cost.cpu for cost in costs], [cost.cpu for cost in base])
    peak = median(cost.peak for cost in costs)
    above = peak - median(cost.peak for cost in base)
    return Line((name, *_sizes(folder / f"{name}.json"), peak, above, wall.middle, cpu.middle))


def _sizes(file: Path) -> tuple[int | None, int | None]:
    """Count the parameters and nodes of a saved graph; the bare imports save none."""
    if not file.exists():
        return None, None
    graph = ArchGraph.load(file)
    return graph.total_params, len(graph.nodes)


def _megabytes(value: float) -> str:
    return f"{value / 1e6:,.0f} MB"


def main(
    rounds: Annotated[int, typer.Option("--rounds", metavar="N", min=1, help="How often each process runs.")] = 3,
    timm: Annotated[int, typer.Option("--timm", metavar="N", min=0, help="Trace timm's N largest models, too.")] = 0,
    markdown: Markdown = False,
) -> None:
    """Trace decoders of 1B, 8B and 70B parameters; print peak memory, and time as ratios to bare imports."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        processes = [imports(), *decoders(folder), *largest(timm)]
        costs, failures = in_turn(processes, folder, rounds)
        show(table(processes, costs, folder, rounds, failures), markdown)


if __name__ == "__main__":
    typer.run(main)
