"""Measure the time and the peak memory of whole processes from outside.

The measuring process stays small, because the peak memory of a child includes what its parent held when it started.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.progress import track

_UNIT = 1 if sys.platform == "darwin" else 1024
"""The unit of ``ru_maxrss`` in bytes: https://man7.org/linux/man-pages/man2/getrusage.2.html."""


IMPORTS = "import torch, torchvision"
"""The imports that every peer needs; all times are relative to theirs."""


@dataclass(frozen=True)
class Process:
    """A command.

    Attributes:
        name: its name in tables.
        command: the program and its arguments.
        base: the name of the process to which its time is relative.
        environment: variables in addition to those of this process.
    """

    name: str
    command: tuple[str, ...]
    base: str = IMPORTS
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """The cost of one run: seconds of wall clock and of CPU, including its children, and the peak memory in bytes."""

    wall: float
    cpu: float
    peak: int


class Failed(Exception):
    """A process whose exit status was not 0; the message is its last line."""


def run(process: Process, folder: Path) -> Cost:
    """Run a process in a folder.

    Raises:
        Failed: its exit status is not 0.
    """
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        child = subprocess.Popen(
            process.command,
            cwd=folder,
            env={**os.environ, **process.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            said.seek(0)
            last = said.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise Failed(last or f"exit status {child.returncode}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _UNIT)


def in_turn(processes: Sequence[Process], folder: Path, rounds: int) -> tuple[dict[str, list[Cost]], list[str]]:
    """Run processes one after the other, in several rounds, after a first round that does not count.

    Returns:
        The costs of each process by name, and a remark for each that was left out because it failed.
    """
    costs: dict[str, list[Cost]] = {process.name: [] for process in processes}
    failures: dict[str, str] = {}
    for at in track(range(rounds + 1), "rounds", console=Console(stderr=True), transient=True):
        for process in processes:
            if process.name in failures:
                continue
            try:
                cost = run(process, folder)
            except Failed as error:
                failures[process.name] = f"{process.name}: left out, it failed: {error}"
                continue
            if at > 0:
                costs[process.name].append(cost)
    return {name: each for name, each in costs.items() if name not in failures}, list(failures.values())


@dataclass(frozen=True)
class Ratio:
    """The ratio of times to another process in the same round: the median of all rounds, the least and the greatest."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, times: Sequence[float], base: Sequence[float]) -> Ratio:
        ratios = [time / one for time, one in zip(times, base, strict=True)]
        return cls(median(ratios), min(ratios), max(ratios))


def fxviz(name: str, *arguments: str, **environment: str) -> Process:
    """Return the process of a command of the fxviz that this Python has installed."""
    return Process(name, (sys.executable, "-m", "fxviz", *arguments), environment=environment)


def imports() -> Process:
    """Return the process of the bare imports, to which all others are relative."""
    return Process(IMPORTS, (sys.executable, "-c", IMPORTS))
