"""PNG, PDF and GraphML: what is in the files, that they do not depend on the machine, and what is refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pypdf import PdfReader

from conftest import ROOT
from fxviz._graph import ArchGraph, Edge
from fxviz._graph.errors import UsageError
from fxviz._render.graphml import graphml
from fxviz._render.text_width import width
from fxviz._render.typeset import pdf, png
from models import figure

PAINTED = '<svg xmlns="http://www.w3.org/2000/svg" width="{0}pt" height="{1}pt" viewBox="0 0 {0} {1}">{2}</svg>'
SVG = "{http://www.w3.org/2000/svg}"


def opened(picture: bytes) -> Image.Image:
    return Image.open(io.BytesIO(picture))


def page(document: bytes) -> Any:
    (only,) = PdfReader(io.BytesIO(document)).pages
    return only


def size_of(svg: str) -> tuple[float, float]:
    root = ElementTree.fromstring(svg)
    return float(root.get("width", "").removesuffix("pt")), float(root.get("height", "").removesuffix("pt"))


# -------------------------------------------------------------------- PNG


@pytest.mark.parametrize("scale", [0.5, 1, 2, 3])
def test_a_picture_has_the_figures_size_in_css_pixels_times_the_scale(scale: float) -> None:
    svg = figure("resnet18").svg
    expected = [points * 96 / 72 * scale for points in size_of(svg)]
    assert opened(png(svg, scale)).size == pytest.approx(expected, abs=1)


def test_twice_as_large_unless_told_otherwise() -> None:
    assert png(figure("vit_b_16").svg) == png(figure("vit_b_16").svg, scale=2)


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["resnet18", "googlenet"])
def test_colours_are_where_the_svg_has_them(name: str, theme: str) -> None:
    """Every large filled rectangle without outline has its colour near its left edge, where there is no text."""
    svg = figure(name, theme).svg
    picture = opened(png(svg, 3))
    root = ElementTree.fromstring(svg)
    moved = re.match(r"translate\((\S+) (\S+)\)", root.find(f"{SVG}g").get("transform"))  # type: ignore[union-attr, arg-type]
    assert moved is not None
    seen = 0
    for rect in root.iter(f"{SVG}rect"):
        place = {key: float(rect.get(key, "0")) for key in ("x", "y", "width", "height")}
        if rect.get("shape-rendering") != "crispEdges" or place["width"] < 4 or place["height"] < 4:
            continue
        at = ((place["x"] + float(moved[1]) + 1.5) * 4, (place["y"] + float(moved[2]) + place["height"] - 1.5) * 4)
        pixel = picture.getpixel((round(at[0]), round(at[1])))
        seen += pixel == (*bytes.fromhex(rect.get("fill", "")[1:]), 255)
    assert seen > 10


def test_the_ground_is_transparent() -> None:
    picture = opened(png(PAINTED.format(20, 10, '<rect width="10" height="10" fill="#ff0000"/>'), scale=1))
    assert picture.getpixel((2, 5)) == (255, 0, 0, 255)
    assert picture.getpixel((20, 5))[3] == 0


@pytest.mark.parametrize("bold", [False, True])
def test_text_is_as_wide_as_the_layout_measured_it(bold: bool) -> None:
    def line(families: str) -> bytes:
        weight = ' font-weight="bold"' * bold
        text = f'<text x="2" y="14" font-size="10" font-family="{families}"{weight}>{said}</text>'
        return png(PAINTED.format(300, 20, text))

    said = "Conv 3×3 → 7×7 features.denseblock4"
    picture = opened(line("Arial, sans-serif"))
    drawn = picture.getchannel("A").point(lambda alpha: 255 * (alpha > 127)).getbbox()
    assert drawn is not None
    expected = width(said, 10, bold)
    assert (drawn[2] - drawn[0]) * 72 / 192 == pytest.approx(expected, abs=2)
    assert line("Arial, sans-serif") == line("'DejaVu Sans'")


def test_a_style_for_dark_readers_leaves_a_picture_light() -> None:
    auto, light = (opened(png(figure("vit_b_16", theme).svg)) for theme in ("auto", "light"))
    assert auto.tobytes() == light.tobytes()


@pytest.mark.parametrize("scale", [0, -1, 0.001, 1e9, float("nan"), float("inf"), True, "2"])
def test_a_scale_is_a_number_in_a_range(scale: Any) -> None:
    with pytest.raises(UsageError, match=r"^invalid scale .*: must be a number from 0\.01 to 100, such as 2$"):
        png(PAINTED.format(8, 8, ""), scale)


def test_a_picture_that_no_memory_holds_is_refused_with_the_scale_that_works() -> None:
    svg = PAINTED.format(600, 9000, "")
    with pytest.raises(
        UsageError, match=r"^invalid scale 9: .* million pixels; must be at most 3\.73, or write \.pdf or \.svg$"
    ):
        png(svg, 9)


# -------------------------------------------------------------------- PDF


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16"])
def test_a_page_has_the_figures_size(name: str) -> None:
    svg = figure(name).svg
    box = page(pdf(svg)).mediabox
    assert (box.left, box.bottom, box.width, box.height) == (0, 0, *size_of(svg))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet18", ["layer4", "71.8%", "Conv 7×7 3→64 /2", "11.69M parameters", "Linear 512→1000"]),
        pytest.param("efficientnet_b7", ["efficientnet_b7", "flatten", "classifier", "MBConv"], marks=pytest.mark.slow),
    ],
)
def test_text_can_be_selected(name: str, words: list[str]) -> None:
    said = page(pdf(figure(name).svg)).extract_text().replace("\xa0", " ")
    assert [word for word in words if word not in said] == []


@pytest.mark.slow
def test_a_page_holds_no_picture_and_its_own_fonts() -> None:
    only = page(pdf(figure("resnet18").svg))
    assert list(only.images) == []
    fonts = [font.get_object() for font in only["/Resources"]["/Font"].values()]
    assert {font["/BaseFont"].partition("+")[2] for font in fonts} == {"DejaVuSans", "DejaVuSans-Bold"}
    for font in fonts:
        assert "/FontFile2" in font["/DescendantFonts"][0].get_object()["/FontDescriptor"]
        assert "/ToUnicode" in font


def test_a_document_has_the_figures_title_and_no_date() -> None:
    about = PdfReader(io.BytesIO(pdf(figure("resnet18").svg))).metadata
    assert about is not None
    assert about.title == "resnet18"
    assert not [key for key in about if "Date" in key]


def test_a_title_is_text_and_never_obeyed() -> None:
    title = '#import "x.typ" $ \\ ] " #panic()'
    svg = PAINTED.format(8, 8, f"<title>{title}</title><desc>#read(&quot;/etc/passwd&quot;)</desc>")
    about = PdfReader(io.BytesIO(pdf(svg))).metadata
    assert about is not None
    assert about.title == title


# -------------------------------------------------------------------- both


@pytest.mark.slow
def test_the_bytes_depend_neither_on_the_fonts_of_the_machine_nor_on_the_time(tmp_path: Path) -> None:
    svg = figure("googlenet", "dark").svg
    (tmp_path / "figure.svg").write_text(svg, encoding="utf-8")
    (tmp_path / "fonts.conf").write_text("<fontconfig/>")
    code = (
        "import hashlib, pathlib; from fxviz._render.typeset import pdf; from fxviz._render.typeset import png\n"
        "svg = pathlib.Path('figure.svg').read_text(encoding='utf-8')\n"
        "print(*(hashlib.sha256(form(svg)).hexdigest() for form in (png, pdf)))"
    )
    bare = {
        "FONTCONFIG_FILE": str(tmp_path / "fonts.conf"),
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path),
        "TZ": "XXX-9",
    }
    environment = {**os.environ, **bare, "SOURCE_DATE_EPOCH": "1234567890", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == [hashlib.sha256(form(svg)).hexdigest() for form in (png, pdf)]


@pytest.mark.parametrize(("form", "suffix"), [(png, ".png"), (pdf, ".pdf")])
def test_without_the_library_the_error_says_how_to_get_it(
    form: Any, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(UsageError) as caught:
        form(PAINTED.format(8, 8, ""))
    said = f'cannot write {suffix}: it needs typst, which is not installed: pip install "fxviz[export]"'
    assert str(caught.value) == said


# -------------------------------------------------------------------- GraphML


def unflattened(attributes: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """Decode attributes read from GraphML to what they were in ``like``: JSON text, and None where it was left out."""
    nested = {key for key, value in like.items() if isinstance(value, (dict, list))}
    found = {key: json.loads(value) if key in nested else value for key, value in attributes.items()}
    return {key: found.get(key) for key in like}


def test_graphml_holds_the_whole_graph(resnet18: ArchGraph) -> None:
    rich, read = resnet18.to_networkx(), nx.parse_graphml(graphml(resnet18))
    assert list(read.nodes) == list(rich.nodes)
    assert list(read.edges(data="slot")) == list(rich.edges(data="slot"))
    for name, attributes in rich.nodes(data=True):
        assert unflattened(read.nodes[name], attributes) == json.loads(json.dumps(attributes))
    assert unflattened(read.graph, rich.graph) == json.loads(json.dumps(rich.graph))


def test_nodes_have_labels_for_gephi_and_yed(resnet18: ArchGraph) -> None:
    text = graphml(resnet18)
    assert nx.parse_graphml(text).nodes["layer1_0_conv1"]["label"] == "Conv2d layer1.0.conv1"
    said = [label.text for label in ElementTree.fromstring(text).iter("{http://www.yworks.com/xml/graphml}NodeLabel")]
    assert said[:3] == ["x", "Conv2d conv1", "BatchNorm2d bn1"]
    assert len(said) == len(resnet18.nodes)


def test_parallel_edges_stay_apart(tiny: ArchGraph) -> None:
    doubled = replace(tiny, edges=(*tiny.edges, Edge("relu", "add", "other")))
    text = graphml(doubled)
    slots = [slot for tail, head, slot in nx.parse_graphml(text).edges(data="slot") if (tail, head) == ("relu", "add")]
    assert slots == ["0", "other"]
    ids = [edge.get("id") for edge in ElementTree.fromstring(text).iter("{http://graphml.graphdrawing.org/xmlns}edge")]
    assert len(set(ids)) == len(doubled.edges)


@given(st.lists(st.text(max_size=12), min_size=2, max_size=2, unique=True), st.text())
def test_any_names_can_be_written_and_read_and_stay_apart(tiny: ArchGraph, names: list[str], path: str) -> None:
    first, second = (f"n{name}" for name in names)
    nodes = tuple(
        replace(node, id={"conv": first, "relu": second}.get(node.id, node.id), path=path, settings={path: path})
        for node in tiny.nodes[1:3]
    )
    graph = replace(tiny, nodes=nodes, edges=(Edge(first, second, path),), skips=())
    text = graphml(graph)
    text.encode("utf-8")
    read = nx.parse_graphml(text)
    assert len(read.nodes) == 2
    assert len(read.edges) == 1
    assert json.loads(next(iter(read.nodes.values()))["settings"]) == {path: path}


def test_names_without_control_characters_are_written_as_they_are(tiny: ArchGraph) -> None:
    hostile = "<a href='javascript:x'>&amp;]]> 层 👩‍👩‍👧 --> \"%"
    graph = replace(tiny, nodes=tuple(replace(node, path=hostile) for node in tiny.nodes))
    assert {path for _, path in nx.parse_graphml(graphml(graph)).nodes(data="path")} == {hostile}


def test_graphml_is_the_same_each_time(resnet18: ArchGraph) -> None:
    assert graphml(resnet18) == graphml(resnet18)
