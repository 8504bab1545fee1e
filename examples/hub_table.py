"""Trace all models of timm or transformers, and print a table of their totals and whether these are exact.

python examples/hub_table.py timm                  # all, half an hour
python examples/hub_table.py timm 'vit_*'          # those whose name matches
python examples/hub_table.py transformers          # every model type, from its default configuration

``exact`` means that the parameters attributed to nodes and those that the run never used add up to the module's own
count. Nothing is downloaded, and parameters take no memory. A model that fails is reported with the reason and does
not stop the others.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

from fxviz._analysis import annotate
from fxviz._graph import ArchGraph
from fxviz._sources.reference import parse
from fxviz._sources.resolve import names, resolve
from fxviz._trace import trace_module

LIMIT = 300
"""Time limit for one model, in seconds."""

LARGEST_RUN = 10**9
"""The most parameters of a model that may run for real if fake tensors do not suffice."""


class TooLong(BaseException):
    """A model took longer than ``LIMIT``. Not an Exception, which a model's own code might catch."""


@dataclass(frozen=True)
class Row:
    """One model: the size of its graph, its parameters counted on the module, those never used, seconds."""

    name: str
    method: str
    nodes: int
    parameters: int
    untraced: int
    exact: bool
    skips: dict[str, int]
    seconds: float

    def __str__(self) -> str:
        exact = "exact" if self.exact else "WRONG"
        skips = " ".join(f"{kind}:{count}" for kind, count in self.skips.items() if count) or "-"
        return (
            f"{self.name:60} {self.method:8} {self.nodes:6} {self.parameters:15,} {self.untraced:15,} "
            f"{exact} {self.seconds:6.1f}  {skips}"
        )


HEADER = f"{'model':60} {'method':8} {'nodes':>6} {'parameters':>15} {'untraced':>15} total {'s':>6}  skips"


def row(name: str) -> Row:
    """Build and trace one model."""
    start = time.perf_counter()
    source = resolve(parse(name))
    built = source.build(False)
    module = built.module
    parameters = sum(parameter.numel() for parameter in module.parameters())
    rebuild: Callable[[], Any] | None = (lambda: source.build(True).module) if parameters <= LARGEST_RUN else None
    graph = annotate(trace_module(module, built.arguments, source.info(built), rebuild=rebuild))
    return Row(
        name,
        graph.trace.method,
        len(graph.nodes),
        parameters,
        _untraced(graph),
        graph.traced_params + _untraced(graph) == graph.total_params == parameters,
        graph.skip_counts,
        time.perf_counter() - start,
    )


def _untraced(graph: ArchGraph) -> int:
    return sum(parameter.size for parameter in graph.untraced)


def main(library: str = "timm", pattern: str = "*") -> None:
    """Print a row for each model as soon as it is traced, and the sums."""
    start = time.perf_counter()
    rows: list[Row] = []
    failures: dict[str, str] = {}
    print(HEADER, flush=True)
    signal.signal(signal.SIGALRM, _give_up)
    for name in names(f"{library}:{pattern}"):
        signal.alarm(LIMIT)
        try:
            rows.append(row(name))
            print(rows[-1], flush=True)
        except (Exception, TooLong) as error:
            failures[name] = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"{name:60} FAILED   {failures[name]}", flush=True)
        signal.alarm(0)
        gc.collect()
    _print_sums(rows, failures, time.perf_counter() - start)


def _give_up(*_: object) -> None:
    raise TooLong(f"more than {LIMIT} seconds")


def _print_sums(rows: list[Row], failures: dict[str, str], seconds: float) -> None:
    count = len(rows) + len(failures)
    methods = dict(Counter(row.method for row in rows))
    inexact = [row.name for row in rows if not row.exact]
    print(f"\n{len(rows)} of {count} models traced ({len(rows) / max(count, 1):.1%}) in {seconds:.0f} s: {methods}")
    print(f"totals exact for {len(rows) - len(inexact)}{': not ' + ', '.join(inexact) if inexact else ''}")
    for name, reason in failures.items():
        print(f"failed: {name}: {reason}")


if __name__ == "__main__":
    main(*sys.argv[1:])
