"""Figures of a difference as a browser paints them: texts in their places and readable, in light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest

from browser import Browser, check_painted, contrast
from conftest import slow
from fxviz._analysis.difference import KINDS
from fxviz._render import palette
from test_difference_figures import PAIRS, figure_of


@pytest.mark.parametrize("theme", ["light", *slow("dark")])
@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_a_figure_as_it_is_painted(page: Browser, tmp_path: Path, old: str, new: str, theme: str) -> None:
    check_painted(page, figure_of(old, new, theme).svg, theme, tmp_path)


@pytest.mark.parametrize(("kind", "ground"), [(kind, kind) for kind in KINDS] + [(kind, "mixed") for kind in KINDS])
def test_marks_are_read_on_their_ground(kind: str, ground: str) -> None:
    """Added and removed parts have their own colours, on the background of a row whose parts differ."""
    below = palette.MARKED[ground]
    for above in (palette.MARKS[kind], palette.INK, palette.MUTED):
        assert contrast(above.light, below.light) >= 4.5 and contrast(above.dark, below.dark) >= 4.5
