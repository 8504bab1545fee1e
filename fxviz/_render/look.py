"""What of a figure is drawn besides the model, and which way it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """How a figure is framed.

    Attributes:
        direction: "TB" from top to bottom, "LR" from left to right (the graph style only).
        title: stands in place of the model's name; None for that.
        header: whether name, totals and the overview strip stand above.
        legend: whether colours and lines are explained.
    """

    direction: str = "TB"
    title: str | None = None
    header: bool = True
    legend: bool = True
