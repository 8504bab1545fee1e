"""Both styles, for many models, as a browser paints them: texts in their places and readable, skips at their layers."""

from __future__ import annotations

from pathlib import Path

import pytest

from browser import GROUND, Area, Browser, check_painted
from conftest import slow
from fxviz._render.dot import figure_ids
from fxviz._render.drawing import Box, Line
from models import figure

MANY = (
    "alexnet vgg16 resnet18 resnet152 wide_resnet50_2 resnext50_32x4d densenet121 densenet201 googlenet inception_v3 "
    "mobilenet_v2 mobilenet_v3_large efficientnet_b7 efficientnet_v2_s mnasnet1_0 squeezenet1_0 shufflenet_v2_x1_0 "
    "regnet_y_400mf convnext_tiny vit_b_16 swin_t swin_v2_b maxvit_t mvit_v2_s s3d r3d_18 deeplabv3_resnet50 "
    "lraspp_mobilenet_v3_large fasterrcnn_resnet50_fpn_v2 ssd300_vgg16 raft_small"
).split()
CASES = [
    pytest.param("googlenet", "graph", "dark", id="googlenet-graph-dark"),
    *[
        pytest.param(name, style, theme, id=f"{name}-{style}-{theme}", marks=pytest.mark.slow)
        for name in MANY
        for style in ("ledger", "graph")
        for theme in GROUND
        if (name, style, theme) != ("googlenet", "graph", "dark")
    ],
]

_ENDS = """
return Object.fromEntries([...document.querySelectorAll("g[class~=fxviz-skip], g[class~=fxviz-flow]")].map(group => {
  const path = group.querySelector("path"), matrix = path.getScreenCTM();
  const ends = [0, path.getTotalLength()].map(at => path.getPointAtLength(at).matrixTransform(matrix));
  return [group.id.split("-")[1], ends.flatMap(end => [end.x, end.y])];
}));
"""

_AREAS = """
return Object.fromEntries([...document.querySelectorAll("svg g[id]")].map(group => {
  const shape = group.querySelector("path, ellipse, polygon, rect"), box = (shape ?? group).getBoundingClientRect();
  return [group.id.split("-")[1], [box.left, box.top, box.right, box.bottom]];
}));
"""

ARROW = 14
"""Between a line's end and the box there is its arrowhead, in CSS pixels."""


def test_thirty_models_are_looked_at() -> None:
    assert len(MANY) >= 30


@pytest.mark.parametrize(("name", "style", "theme"), CASES)
def test_a_figure_as_it_is_painted(page: Browser, tmp_path: Path, name: str, style: str, theme: str) -> None:
    check_painted(page, figure(name, theme, style).svg, theme, tmp_path)
    assert astray(page, name, style, theme) == []


def astray(page: Browser, name: str, style: str, theme: str) -> list[tuple[str, str]]:
    """Return the lines that do not lead from their first box to their second."""
    things = figure_ids(figure(name, theme, style).drawing)
    areas = {thing_id: Area(*area) for thing_id, area in page.run(_AREAS).items()}
    box = {thing.id: areas[thing_id] for thing_id, thing in things.items() if isinstance(thing, Box)}
    ends = page.run(_ENDS)
    lines = {thing_id: thing for thing_id, thing in things.items() if isinstance(thing, Line) and thing.role != "order"}
    loops = [line for line in lines.values() if line.tail == line.head]
    assert set(ends) <= set(lines) and len(ends) >= len(lines) - len(loops)
    return [
        (lines[thing_id].tail, lines[thing_id].head)
        for thing_id, (left, top, right, bottom) in ends.items()
        if not near(box[lines[thing_id].tail], left, top, 3)
        or not near(box[lines[thing_id].head], right, bottom, ARROW)
    ]


def near(area: Area, x: float, y: float, slack: float) -> bool:
    return area.holds(Area(x, y, x, y), slack)


@pytest.mark.parametrize("style", ["ledger", "graph"])
def test_two_figures_in_one_page_do_not_disturb_each_other(page: Browser, tmp_path: Path, style: str) -> None:
    pair = [figure("resnet18", "dark", style).svg, figure("resnet18", "light", style).svg]
    alone = []
    for svg in pair:
        page.open_html(svg, tmp_path)
        alone.append([(text.text, text.fill, text.font) for text in page.texts()])
    page.open_html("".join(pair), tmp_path)
    assert [(text.text, text.fill, text.font) for text in page.texts()] == alone[0] + alone[1]
    ids = page.run("return [...document.querySelectorAll('[id]')].map(element => element.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ["resnet18", *slow("googlenet", "vit_b_16", "efficientnet_b7")])
def test_a_graph_works_as_an_image(page: Browser, tmp_path: Path, name: str) -> None:
    figure(name, "auto", "graph").save(tmp_path / "figure.svg")
    page.open_html('<img src="figure.svg" width="800">', tmp_path)
    assert page.run("const i = document.images[0]; return i.complete && i.naturalWidth > 0 && i.clientWidth === 800")
