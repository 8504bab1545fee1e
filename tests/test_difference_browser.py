"""Figures of a difference as a browser paints them: texts in their places and readable, in light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import GROUND, Browser, browser, check_painted, contrast
from fxviz.styling import palette
from test_difference_figures import PAIRS, figure_of


@pytest.fixture(scope="module")
def page() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.mark.parametrize("theme", GROUND)
@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_a_figure_as_it_is_painted(page: Browser, tmp_path: Path, old: str, new: str, theme: str) -> None:
    check_painted(page, figure_of(old, new, theme).svg, theme, tmp_path)


@pytest.mark.parametrize("kind", ["added", "removed", "resized"])
def test_marks_are_read_on_their_ground(kind: str) -> None:
    mark, ground = palette.MARKS[kind], palette.MARKED[kind]
    for light, dark in ((mark, ground), (palette.INK, ground), (palette.MUTED, ground)):
        assert contrast(light.light, dark.light) >= 4.5 and contrast(light.dark, dark.dark) >= 4.5
