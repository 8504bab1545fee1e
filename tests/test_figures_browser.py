"""The figures of known models as a browser paints them: every text in its place and readable, every arc at its rows."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from browser import GROUND, Area, Browser, Shape, faint, outside, outside_their_card, overlapping
from conftest import slow
from fxviz._view.view import View
from models import MODELS, figure, folded

_ARCS = """
return [...document.querySelectorAll("g[class~=fxviz-skip]")].map(group => {
  const path = group.querySelector("path"), matrix = path.getScreenCTM();
  const ends = [0, path.getTotalLength()].map(at => path.getPointAtLength(at).matrixTransform(matrix));
  return [group.querySelector("title").textContent, ...ends.flatMap(end => [end.x, end.y])];
});
"""


QUICK = ["resnet18", "googlenet"]


def case(name: str, theme: str) -> Any:
    quick = (name in QUICK and theme == "light") or (name, theme) == ("resnet18", "dark")
    return pytest.param((name, theme), id=f"{name}-{theme}", marks=[] if quick else [pytest.mark.slow])


@pytest.fixture(scope="module", params=[case(name, theme) for name in MODELS for theme in GROUND])
def shown(
    request: pytest.FixtureRequest, page: Browser, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str, Browser]:
    """Open a figure on a page with its theme's background: its name, its theme, the page."""
    name, theme = request.param
    html = (
        f'<meta charset="utf-8"><body style="margin: 0; background: {GROUND[theme]}">{figure(name, theme).svg}</body>'
    )
    page.open_html(html, tmp_path_factory.mktemp("figure"))
    return name, theme, page


Shown = tuple[str, str, Browser]


def test_texts_are_in_their_places(shown: Shown) -> None:
    _, _, page = shown
    texts = [text for text in page.texts() if text.text.strip()]
    assert len(texts) > 30
    assert overlapping(texts) == []
    assert outside(texts, page.figure()) == []
    assert outside_their_card(texts, page.shapes()) == []


def test_texts_stand_out_from_what_is_behind_them(shown: Shown) -> None:
    _, theme, page = shown
    assert faint(page, GROUND[theme]) == {}


def test_arcs_start_and_end_at_the_margin_of_their_rows(shown: Shown) -> None:
    name, _, page = shown
    view = folded(name)
    bands = rows(page, view)
    lines = sorted(page.run(_ARCS), key=lambda line: (line[4], line[2]))
    long = [line for line in lines if not line[0].startswith("skip inside")]
    assert len(long) == len(view.arcs)
    expected = sorted(view.arcs, key=lambda arc: (arc.head, arc.tail))
    for arc, (_, left, top, right, bottom) in zip(expected, long, strict=True):
        assert bands[arc.tail].top - 1 <= top <= bands[arc.tail].bottom + 1
        assert bands[arc.head].top - 1 <= bottom <= bands[arc.head].bottom + 1
        assert abs(left - bands[arc.tail].left) < 2
        assert -12 < right - bands[arc.head].left < 2  # the arrowhead is between


def rows(page: Browser, view: View) -> list[Area]:
    """Return the bands of the rows down the page, as wide as their cards, without headings."""
    outlined = sorted(
        (shape for shape in page.shapes() if shape.role == "fxviz-box" and shape.stroke != "none"), key=top
    )
    texts = [text for text in page.texts() if text.text.strip()]
    found: list[Area] = []
    for card, shape in zip(view.cards, outlined, strict=True):
        own = [text for text in texts if text.group == shape.group and text.area.left - shape.area.left < 30]
        middles = sorted((text.area.top + text.area.bottom) / 2 for text in own)[card.heading is not None :]
        assert len(middles) == len(card.rows)
        found += [Area(shape.area.left, middle - 10, shape.area.right, middle + 10) for middle in middles]
    return found


def top(shape: Shape) -> float:
    return shape.area.top


def test_nothing_is_wider_than_a_column_of_text(shown: Shown) -> None:
    name, theme, _ = shown
    size: Any = re.search(r'width="(\d+)pt"', figure(name, theme).svg)
    assert int(size[1]) <= 620


@pytest.mark.parametrize("name", [MODELS[0], *slow(*MODELS[1:])])
def test_it_works_as_an_image(page: Browser, tmp_path: Path, name: str) -> None:
    figure(name).save(tmp_path / "figure.svg")
    page.open_html('<img src="figure.svg" width="800">', tmp_path)
    assert page.run("const i = document.images[0]; return i.complete && i.naturalWidth > 0 && i.clientWidth === 800")


def test_rows_stand_in_order(page: Browser, tmp_path: Path) -> None:
    page.open_svg(figure("resnet18").svg, tmp_path)
    assert all(above.top < below.top for above, below in pairwise(rows(page, folded("resnet18"))))
