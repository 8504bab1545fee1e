"""Figures for print: as wide as asked, no text on another or outside its box, and what they say of known models."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from hypothesis import given, settings
from pypdf import PdfReader
from torch import Tensor, nn
from torch.nn import functional as F

import fxviz as package
from browser import Browser, outside, overlapping
from conftest import Result, examples, slow
from fxviz._analysis import annotate
from fxviz._analysis.structure import structure_of
from fxviz._graph import ArchGraph
from fxviz._graph.errors import UsageError
from fxviz._graph.options import RenderOptions
from fxviz._render import palette
from fxviz._render.figure import Figure
from fxviz._render.paper.page import Words, paper
from fxviz._render.paper.scene import Area, Label, Scene, Stroke
from fxviz._sources.resolve import names
from models import QUICK, traced
from random_graphs import graphs, staged_nets

WIDTHS = {"column": 238, "page": 505}
ALL = [*QUICK, *slow(*(name for name in names() if name not in QUICK))]
Call = Callable[..., Result]


def figure(name: str, width: str = "page", **options: object) -> Figure:
    return package.render(traced(name), width=width, **options)  # type: ignore[arg-type]


def labels(scene: Scene) -> list[Label]:
    return [item for item in scene.items if isinstance(item, Label) and item.text.strip()]


def texts(name: str, width: str = "page", **options: object) -> list[str]:
    return [label.text for label in labels(figure(name, width, **options)._scene)]


def place(label: Label) -> tuple[float, float, float, float]:
    return label.left, label.y - 0.72 * label.size, label.left + label.width, label.y + 0.2 * label.size


def on_each_other(scene: Scene) -> Iterator[tuple[str, str]]:
    found = labels(scene)
    for number, one in enumerate(found):
        a = place(one)
        for other in found[:number]:
            b = place(other)
            if min(a[2], b[2]) - max(a[0], b[0]) > 0.3 and min(a[3], b[3]) - max(a[1], b[1]) > 0.8:
                yield one.text, other.text


def beyond_their_box(scene: Scene) -> Iterator[str]:
    """Yield texts that leave the smallest area around their middle, or the figure."""
    areas = [item for item in scene.items if isinstance(item, Area)]
    for label in labels(scene):
        left, top, right, bottom = place(label)
        x, y = (left + right) / 2, (top + bottom) / 2
        around = [box for box in areas if box.x <= x <= box.x + box.width and box.y <= y <= box.y + box.height]
        box = min(around, key=lambda box: box.width * box.height, default=Area(0, 0, scene.width, scene.height))
        if left < box.x - 0.5 or right > box.x + box.width + 0.5:
            yield label.text


def check(scene: Scene, width: float) -> None:
    assert scene.width == width
    assert min(label.size for label in labels(scene)) >= 6
    assert list(on_each_other(scene)) == []
    assert list(beyond_their_box(scene)) == []
    assert all(area.x >= 0 and area.x + area.width <= width + 0.1 for area in scene.items if isinstance(area, Area))
    points = [point for item in scene.items if isinstance(item, Stroke) for point in item.points]
    assert all(-0.1 <= x <= width + 0.1 and -0.1 <= y <= scene.height + 0.1 for x, y in points)


# -------------------------------------------------------------------- the width is a promise


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ALL)
def test_every_text_has_its_place(name: str, width: str) -> None:
    scene = figure(name, width)._scene
    check(scene, WIDTHS[width])
    assert scene.height <= 680


@pytest.mark.slow
def test_most_figures_are_no_higher_than_a_figure_in_print() -> None:
    for width, most in (("column", 340), ("page", 260)):
        high = [name for name in names() if figure(name, width)._scene.height > most]
        assert len(high) <= 0.15 * len(names()), high


@given(graphs(30) | staged_nets())
@settings(max_examples=examples(40))
def test_any_graph_can_be_drawn(graph: ArchGraph) -> None:
    structure = structure_of(annotate(graph))
    for width in (238.0, 505.0):
        scene = paper(structure, Words("net", "facts", (), ""), width)
        check(scene, width)


@pytest.mark.parametrize(
    ("width", "size"),
    [("column", "238pt"), ("page", "505pt"), ("slide", "720pt"), ("3.25in", "234pt"), ("127mm", "360pt")],
)
def test_the_svg_has_the_width_that_was_asked_for(width: str, size: str) -> None:
    root = ElementTree.fromstring(figure("resnet18", width).svg)
    assert root.get("width") == size
    if width == "slide":
        assert root.get("height") == "405pt" and root.get("viewBox") == "0 0 480 270"


def test_a_pdf_is_of_that_very_size() -> None:
    pytest.importorskip("typst")
    drawn = figure("resnet18", "column")
    assert drawn.pdf.startswith(b"%PDF-1.5")
    [page] = PdfReader(io.BytesIO(drawn.pdf)).pages
    assert float(page.mediabox.width) == pytest.approx(238, abs=0.1)
    assert float(page.mediabox.height) == pytest.approx(drawn._scene.height, abs=0.1)
    sizes: set[float] = set()

    def measure(words: str, _ctm: object, matrix: list[float], _font: object, size: float) -> None:
        sizes.update([size * matrix[0]] if words.strip() else [])

    said = page.extract_text(visitor_text=measure)
    assert "projection shortcut" in said
    assert min(sizes) == pytest.approx(7) and max(sizes) == pytest.approx(10.5)


def test_a_height_leaves_out_what_has_no_room() -> None:
    low = figure("densenet121", "column", height="130pt")
    assert low._scene.height <= 130 < figure("densenet121", "column")._scene.height
    assert low.left_out == ("the inside of blocks A, A'",)
    assert figure("densenet121").left_out == ()


def test_the_command_says_what_it_left_out(fxviz: Call, tmp_path: Path) -> None:
    graph = traced("googlenet").save(tmp_path / "net.json")
    result = fxviz("render", graph, "--width", "column", "--height", "150pt", "-o", tmp_path / "net.svg")
    assert result.status == 0
    assert "the inside of block A left out to fit; a larger --width or --height shows more" in result.err


def test_a_height_that_cannot_be_kept_is_said(fxviz: Call, tmp_path: Path) -> None:
    graph = traced("densenet121").save(tmp_path / "net.json")
    result = fxviz(
        "render", graph, "--layout", "lanes", "--width", "column", "--height", "120pt", "-o", tmp_path / "a.svg"
    )
    assert result.status == 0
    assert re.search(r"the figure is \d+pt high, more than --height 120pt: it can be no lower", result.err)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": "wide"}, "invalid width 'wide': choose column, page or slide, or give a length such as 3.25in"),
        ({"width": "1cm"}, "invalid width '1cm': must be 120pt to 2000pt"),
        ({"height": "column"}, "invalid height 'column': give a length such as"),
        ({"width": "column", "style": "ledger"}, "width holds for style='paper': a ledger is as wide as its rows"),
        ({"width": "slide", "height": "3in"}, "a slide is 16:9: leave out height"),
    ],
)
def test_sizes_that_cannot_be(options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RenderOptions(**options)  # type: ignore[arg-type]


# -------------------------------------------------------------------- what is said


def test_a_network_of_stages() -> None:
    said = texts("resnet18")
    for words in ("stem", "stage 4", "512×7²", "71.8%", "A", "A'", "projection shortcut", "Conv 1×1 /2", "8.39M"):
        assert words in said


def test_one_repeated_block() -> None:
    said = texts("vit_b_16", "column")
    for words in ("Attention", "12×64 · 32.7%", "MLP 768→3072→768", "GELU · 65.5%", "×12", "98.3%", "197×768"):
        assert words in said


def test_a_table_of_runs() -> None:
    said = texts("mobilenet_v3_large", "column")
    assert {"operator", "in → out", "size", "MBConv E E'", "112→160", "7²"} <= set(said)


def test_branches_stand_side_by_side() -> None:
    scene = figure("googlenet")._scene
    pools = [label for label in labels(scene) if label.text.startswith("MaxPool 3×3") and label.bold]
    convs = [label for label in labels(scene) if label.text.startswith("Conv 1×1") and label.bold]
    assert any(abs(pool.y - conv.y) < 0.1 and pool.x != conv.x for pool in pools for conv in convs)


def test_what_did_not_run_is_noted() -> None:
    assert "+ 6.38M parameters not used in this run: aux1, aux2" in texts("googlenet")


def strokes(scene: Scene) -> list[Stroke]:
    return [item for item in scene.items if isinstance(item, Stroke)]


class UNet(nn.Module):
    """A U of two levels, or one whose result is led down again as by a path aggregation network."""

    def __init__(self, again: bool) -> None:
        super().__init__()
        self.stem, self.down, self.deep = (conv(ins, outs) for ins, outs in ((3, 8), (8, 16), (16, 32)))
        self.up, self.top = conv(48, 16), conv(24, 8)
        self.back = nn.Conv2d(8, 16, 3, 2, 1) if again else None
        self.low = conv(32, 16)

    def forward(self, x: Tensor) -> Tensor:
        one = self.stem(x)
        two = self.down(F.max_pool2d(one, 2))
        deep = self.deep(F.max_pool2d(two, 2))
        up = self.up(torch.cat([F.interpolate(deep, scale_factor=2), two], 1))
        top = self.top(torch.cat([F.interpolate(up, scale_factor=2), one], 1))
        return top if self.back is None else self.low(torch.cat([self.back(top), up], 1))


def conv(ins: int, outs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(ins, outs, 3, padding=1), nn.ReLU(), nn.Conv2d(outs, outs, 3, padding=1), nn.ReLU())


@pytest.mark.parametrize("width", ["column", "page", "slide"])
@pytest.mark.parametrize("again", [False, True])
def test_ways_down_and_up_are_columns(again: bool, width: str) -> None:
    graph = package.trace(UNet(again), torch.zeros(1, 3, 32, 32))
    scene = package.render(graph, width=width)._scene  # type: ignore[arg-type]
    check(scene, scene.width)
    assert "input 3×32²" in [label.text for label in labels(scene)]
    joins = [label for label in labels(scene) if label.text == "C" and label.size == 7.5]
    assert len(joins) == 2 + again
    skips = [stroke for stroke in strokes(scene) if stroke.color == palette.SKIP and stroke.arrow]
    assert all(abs(stroke.points[0][0] - stroke.points[-1][0]) >= 8 for stroke in skips if not stroke.dashed)
    names = [label for label in labels(scene) if label.bold and label.text.startswith(("stage", "stem", "head"))]
    assert not [name.text for name in names if "…" in name.text]


def test_what_is_read_further_on_is_an_arc() -> None:
    """The decoder of DeepLabV3+ reads a stage near the start, too."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stages = nn.ModuleList([conv(8 if number else 3, 8) for number in range(4)])
            self.low, self.last = nn.Conv2d(8, 4, 1), conv(12, 8)

        def forward(self, x: Tensor) -> Tensor:
            seen = []
            for stage in self.stages:
                x = F.max_pool2d(stage(x), 2)
                seen.append(x)
            wide = F.interpolate(x, scale_factor=8)
            return self.last(torch.cat([wide, self.low(seen[0])], 1))

    graph = package.trace(Net(), torch.zeros(1, 3, 64, 64))
    for width in ("column", "page"):
        scene = package.render(graph, width=width, layout="stages")._scene
        check(scene, scene.width)
        arcs = [stroke for stroke in strokes(scene) if len(stroke.points) == 4 and stroke.arrow]
        assert len(arcs) >= 1


# -------------------------------------------------------------------- every form


def test_themes_differ_in_colours_alone() -> None:
    light, dark, auto = (figure("resnet18", theme=theme).svg for theme in ("light", "dark", "auto"))
    shapes = [re.sub(r"#[0-9a-f]{6}|fx[0-9a-f]{8}|<style>.*</style>\n", "", svg) for svg in (light, dark, auto)]
    assert shapes[0] == shapes[1] == shapes[2] and light != dark
    assert "prefers-color-scheme:dark" in auto and "prefers-color-scheme" not in light + dark


def test_gray_figures_have_no_colour() -> None:
    for options in ({"width": "page"}, {"style": "ledger"}, {"style": "graph"}):
        svg = package.render(traced("resnet18"), palette="gray", **options).svg  # type: ignore[arg-type]
        colors = set(re.findall(r"#([0-9a-f]{6})\b", svg))
        assert len(colors) > 5 and all(len({color[at : at + 2] for at in (0, 2, 4)}) == 1 for color in colors)


@pytest.mark.parametrize(
    ("layout", "told"), [("stages", "input"), ("table", "operator"), ("column", "MaxPool 3×3 /2"), ("lanes", "A×2")]
)
def test_a_layout_can_be_asked_for(layout: str, told: str) -> None:
    drawn = package.render(traced("resnet18"), layout=layout, width="page")  # type: ignore[arg-type]
    check(drawn._scene, 505)
    assert told in [label.text for label in labels(drawn._scene)]


def test_a_layout_of_what_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="resnet18 cannot be drawn as U: it has no skips between stages; choose"):
        _ = package.render(traced("resnet18"), layout="U").svg


def test_the_same_bytes_twice() -> None:
    assert figure("densenet121").svg == figure("densenet121").svg


def test_mermaid_shows_the_rows() -> None:
    assert "flowchart" in figure("resnet18").mermaid


@pytest.mark.skipif(shutil.which("neato") is None, reason="needs Graphviz")
def test_neato_draws_the_dot_file_alike(tmp_path: Path) -> None:
    drawn = figure("resnet18")
    laid_out = subprocess.run(
        ["neato", "-n2", "-Tplain"], input=drawn.dot, capture_output=True, text=True, check=True, timeout=60
    )
    assert laid_out.stderr == ""
    placed = {line.split()[1]: line.split()[2:4] for line in laid_out.stdout.splitlines() if line.startswith("node a")}
    areas = {f"a{number}": item for number, item in enumerate(drawn._scene.items) if isinstance(item, Area)}
    assert placed.keys() == areas.keys()
    left = min(float(x) for x, _ in placed.values()) - min(area.x + area.width / 2 for area in areas.values()) / 72
    for name, area in areas.items():
        assert float(placed[name][0]) - left == pytest.approx((area.x + area.width / 2) / 72, abs=0.02)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "name", ["resnet18", *slow(*QUICK[1:], "swin_t", "efficientnet_b0", "fasterrcnn_resnet50_fpn")]
)
def test_in_a_browser_no_text_covers_another(page: Browser, tmp_path: Path, name: str, width: str) -> None:
    page.open_svg(figure(name, width, theme="light").svg, tmp_path)
    found = [text for text in page.texts() if text.text.strip()]
    assert len(found) > 15
    assert overlapping(found) == []
    assert outside(found, page.figure()) == []
