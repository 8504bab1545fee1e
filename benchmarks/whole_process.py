"""Run fxviz and its peers in turn, and print their times relative to a bare import of torch and torchvision.

The speed of a busy machine varies, but all processes of a round meet about the same load, so that ratios hold where
seconds do not. The first round does not count: it fills the caches of the disk, of Python and of fxviz.
"""

from __future__ import annotations

import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path
from sys import executable
from typing import Annotated

import typer
from output import Markdown, show
from peers import peers
from processes import Cost, Process, Ratio, fxviz, imports, in_turn

from fxviz._cli import cache
from fxviz._report.tables import Column, Line, Table

MODELS = ("resnet18", "vit_h_14", "efficientnet_b7")


def own(folder: Path) -> tuple[list[Process], list[str]]:
    """Return the processes of fxviz, and a remark for what is left out; the graph to draw again is saved first."""
    save = fxviz("save", "trace", "resnet18", "-q", "-o", "saved.json")
    subprocess.run(save.command, cwd=folder, check=True)
    processes = [
        fxviz("fxviz --help", "--help"),
        fxviz("fxviz render saved.json", "render", "saved.json", "-q", "-o", "saved.svg"),
        *(fxviz(f"fxviz render {model} --no-cache", *_drawing(model), "--no-cache") for model in MODELS),
    ]
    if reason := cache.reasons()["torchvision"]:
        return processes, [f"No cached runs: nothing is cached, because {reason}."]
    kept = folder / "cache"
    kept.mkdir()  # "python -m" searches this folder first, so that a new folder in it is another installation
    cached = (fxviz(f"fxviz render {model}, cached", *_drawing(model), FXVIZ_CACHE=str(kept)) for model in MODELS)
    return [*processes, *cached], []


def _drawing(model: str) -> tuple[str, ...]:
    return "render", model, "-q", "-o", f"{model}.svg"


def table(processes: list[Process], costs: dict[str, list[Cost]], rounds: int, remarks: list[str]) -> Table:
    """Tabulate each process: ratios to the bare imports by the same Python in the same round."""
    keys = {"wall": "wall", "least": "least", "most": "most", "cpu": "CPU"}
    numbers = [Column(key, title, "{:.2f}".format, right=True) for key, title in keys.items()]
    lines = [
        Line((process.name, *_ratios(costs[process.name], costs[process.base])))
        for process in processes
        if process.name in costs and process.base in costs
    ]
    libraries = ", ".join(f"{name} {version(name)}" for name in ("fxviz", "torch", "torchvision"))
    title = f"Times as long as the bare imports, medians of {rounds} rounds ({libraries})"
    return Table(title, (Column("process", "process"), *numbers), tuple(lines), tuple(remarks))


def _ratios(costs: list[Cost], base: list[Cost]) -> tuple[float, float, float, float]:
    wall = Ratio.of([cost.wall for cost in costs], [cost.wall for cost in base])
    cpu = Ratio.of([cost.cpu for cost in costs], [cost.cpu for cost in base])
    return wall.middle, wall.least, wall.most, cpu.middle


def main(
    rounds: Annotated[int, typer.Option("--rounds", metavar="N", min=1, help="How often each process runs.")] = 5,
    python: Annotated[
        str, typer.Option("--peers", metavar="PYTHON", help="The Python that has the peers.")
    ] = executable,
    markdown: Markdown = False,
) -> None:
    """Run fxviz and its peers in turn; print ratios to the bare import of torch and torchvision."""
    with tempfile.TemporaryDirectory() as name:
        calls, remarks = own(Path(name))
        others, further = peers(python)
        processes = [imports(), *calls, *others]
        costs, failures = in_turn(processes, Path(name), rounds)
    show(table(processes, costs, rounds, [*remarks, *further, *failures]), markdown)


if __name__ == "__main__":
    typer.run(main)
