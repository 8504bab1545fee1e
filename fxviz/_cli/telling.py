"""What is told while many figures are drawn, and in the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class Tally:
    """What became of each model.

    >>> tally = Tally(["a", "b", "c"], Path("figures"))
    >>> tally.add("a", 0); tally.add("c", 2)
    >>> tally.summary, tally.status
    ('1 of 3 figures written to figures/, 1 failed: c; 1 not drawn: b', 2)
    """

    def __init__(self, models: Sequence[str], folder: Path) -> None:
        self._folder = folder
        self._models = models
        self._statuses: dict[str, int] = {}

    def add(self, model: str, status: int) -> None:
        """Note the exit status that stands for a model."""
        self._statuses[model] = status

    @property
    def status(self) -> int:
        """0 if all is done, else the lowest of the failures: 2 only if none could have been drawn."""
        return min(filter(None, self._statuses.values()), default=0)

    @property
    def summary(self) -> str:
        """How many figures were written, and which were not."""
        failed = [model for model in self._models if self._statuses.get(model)]
        missing = [model for model in self._models if model not in self._statuses]
        written = len(self._models) - len(failed) - len(missing)
        text = f"{written} of {len(self._models)} figures written to {self._folder}/"
        if failed:
            text += f", {len(failed)} failed: {', '.join(failed)}"
        if missing:
            text += f"; {len(missing)} not drawn: {', '.join(missing)}"
        return text

    @property
    def interrupted(self) -> str:
        """The same where Ctrl-C came in between."""
        return f"interrupted: {self.summary}"


@contextmanager
def progress(total: int, quiet: bool) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, nothing anywhere else; what it gives is called after each figure."""
    if quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("drawing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(file=sys.stderr, soft_wrap=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)
