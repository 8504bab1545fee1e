"""A figure in every format in which it can be written."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

import fxviz
from fxviz._graph import ArchGraph
from fxviz._graph.errors import BadOutput, EngineError, EngineTimeout, UsageError
from fxviz._render.figure import SUFFIXES, Figure, RenderOptions, snippet


@pytest.fixture
def figure(tiny: ArchGraph) -> Figure:
    return fxviz.render(tiny, theme="light")


def test_saving_writes_what_the_suffix_says(figure: Figure, tmp_path: Path) -> None:
    forms: dict[str, bytes] = {
        ".svg": figure.svg.encode(),
        ".png": figure.png(),
        ".pdf": figure.pdf,
        ".dot": figure.dot.encode(),
        ".json": figure.json.encode(),
        ".graphml": figure.graphml.encode(),
        ".mmd": figure.mermaid.encode(),
    }
    assert tuple(forms) == SUFFIXES
    for suffix, content in forms.items():
        assert figure.save(tmp_path / f"net{suffix}").read_bytes() == content
        assert figure.save(str(tmp_path / f"net{suffix.upper()}")).read_bytes() == content


def test_each_form_is_what_it_claims_to_be(figure: Figure, tiny: ArchGraph, tmp_path: Path) -> None:
    assert ET.fromstring(figure.svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert figure.png().startswith(b"\x89PNG") and figure.pdf.startswith(b"%PDF-")
    assert figure.dot.startswith("digraph") and "flowchart TB" in figure.mermaid
    assert ArchGraph.load(figure.save(tmp_path / "net.json")) == tiny
    assert set(nx.parse_graphml(figure.graphml)) == {node.id for node in tiny.nodes}
    assert json.loads(figure.json)["graph"]["schema"] == "fxviz.graph/1"


def test_the_scale_is_that_of_the_pixels(figure: Figure, tmp_path: Path) -> None:
    wide = [int.from_bytes(figure.save(tmp_path / "net.png", scale).read_bytes()[16:20], "big") for scale in (1, 2)]
    assert abs(wide[1] - 2 * wide[0]) <= 1
    with pytest.raises(UsageError, match=r"invalid scale 0: must be a number from 0\.01 to 100"):
        figure.save(tmp_path / "net.png", 0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.gif", "the suffix must be .svg, .png, .pdf, .dot, .json, .graphml or .mmd"),
        ("a", "the suffix must be"),
        ("no/a.svg", "does not exist"),
        ("folder.svg", "is a folder"),
    ],
)
def test_a_bad_target_is_told_before_the_layout(
    figure: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    (tmp_path / "folder.svg").mkdir()
    monkeypatch.setattr("fxviz._render.engine.lay_out", fail)
    with pytest.raises(BadOutput, match=message):
        figure.save(tmp_path / name)


def fail(*_: object, **__: object) -> str:
    raise EngineError("no")


def test_a_failed_layout_leaves_the_old_file(figure: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.svg"
    target.write_text("old")
    monkeypatch.setattr("fxviz._render.engine.lay_out", fail)
    with pytest.raises(EngineError):
        figure.save(target)
    assert target.read_text() == "old"


def test_a_layout_that_takes_too_long_is_tried_more_simply(figure: Figure, monkeypatch: pytest.MonkeyPatch) -> None:
    from fxviz._render.engine import lay_out

    def impatient(dot: str, engine: str | None, timeout: float, simplified: bool = False) -> str:
        if not simplified:
            raise EngineTimeout("too long")
        return lay_out(dot, engine, timeout, simplified)

    assert figure.svg and not figure.simplified
    monkeypatch.setattr("fxviz._render.engine.lay_out", impatient)
    again = Figure(figure.view, figure.options)
    assert placed_texts(again) == placed_texts(figure)
    assert again.simplified and not figure.simplified


def placed_texts(figure: Figure) -> list[tuple[str | None, ...]]:
    texts = ET.fromstring(figure.svg).iter("{http://www.w3.org/2000/svg}text")
    return [(text.text, text.get("x"), text.get("y")) for text in texts]


def test_forms_without_a_layout_ask_for_none(tiny: ArchGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fxviz._render.engine.lay_out", fail)
    figure = fxviz.render(tiny)
    for suffix in (".dot", ".json", ".graphml", ".mmd"):
        assert figure.save(tmp_path / f"net{suffix}").exists()
    assert not figure.simplified


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"theme": "sepia"}, "invalid theme 'sepia': choose auto, light or dark"),
        ({"style": "table"}, "invalid style 'table': choose auto, ledger, graph or paper"),
        ({"color_by": "flops"}, "invalid color_by 'flops': choose params, macs, activations or time"),
        ({"direction": "up"}, "invalid direction 'up': choose TB or LR"),
        (
            {"direction": "LR", "style": "ledger"},
            "a ledger runs from top to bottom: choose style='graph' for direction='LR'",
        ),
        ({"depth": 0}, "invalid depth 0: must be a whole number, 1 or greater"),
        ({"engine": "/no/dot"}, "unknown layout engine '/no/dot'"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RenderOptions(**options)


@pytest.mark.slow
def test_a_pair_is_a_light_and_a_dark_file(tiny: ArchGraph, tmp_path: Path) -> None:
    light, dark = fxviz.render(tiny).save_pair(tmp_path / "net.svg")
    assert (light.name, dark.name) == ("net-light.svg", "net-dark.svg")
    for theme, path in (("light", light), ("dark", dark)):
        assert path.read_text(encoding="utf-8") == fxviz.render(tiny, theme=theme).svg
    with pytest.raises(BadOutput, match=r"the suffix must be \.svg or \.png"):
        fxviz.render(tiny).save_pair(tmp_path / "net.pdf")


def test_the_snippet_is_harmless_html(tmp_path: Path) -> None:
    said = snippet(Path('a"b/net-light.svg'), Path("net-dark.svg"), 'a <b> "c"\n& d')
    picture = ET.fromstring(said.replace(".svg>", '.svg"/>').replace('">\n', '"/>\n'))
    source, image = picture
    assert source.attrib == {"media": "(prefers-color-scheme: dark)", "srcset": "net-dark.svg"}
    assert image.attrib == {"alt": 'a <b> "c" & d', "src": 'a"b/net-light.svg'}


def test_a_title_stands_in_place_of_the_name(tiny: ArchGraph) -> None:
    texts = [text.text for text in ET.fromstring(fxviz.render(tiny, title="My net").svg).iter() if text.text]
    assert "My net" in texts and "tiny" not in texts


@pytest.mark.parametrize("name", ["net", "a/long.name" * 99, "\n\x1b\u202e\U0001f600\ud800" * 99, ""])
def test_the_repr_is_one_short_line(tiny: ArchGraph, name: str) -> None:
    named = replace(tiny, model=replace(tiny.model, name=name))
    figures = (
        fxviz.render(named, theme="dark", style="graph", title=name),
        fxviz.diff(named, tiny),
    )
    for figure in figures:
        assert repr(figure).startswith("<Figure of ") and len(repr(figure)) <= 200 and repr(figure).isprintable()
    assert repr(figures[0]).endswith(": graph, 4 rows, theme dark>")


@pytest.mark.parametrize("style", ["ledger", "graph"])
def test_header_and_legend_can_be_left_out(tiny: ArchGraph, style: str) -> None:
    def said(**options: bool) -> str:
        svg = fxviz.render(tiny, style=style, **options).svg
        return " ".join(text.text or "" for text in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"))

    both, neither = said(), said(header=False, legend=False)
    assert "2.7k parameters" in both and "identity skip" in both
    assert "2.7k parameters" in said(legend=False) and "identity skip" not in said(legend=False)
    assert "2.7k parameters" not in said(header=False) and "identity skip" in said(header=False)
    assert "2.7k parameters" not in neither and "identity skip" not in neither and "Linear" in neither


def test_from_left_to_right(tiny: ArchGraph) -> None:
    sizes = {}
    for direction in ("TB", "LR"):
        root = ET.fromstring(fxviz.render(tiny, style="graph", direction=direction, header=False, legend=False).svg)
        _, _, width, height = map(float, root.get("viewBox", "").split())
        sizes[direction] = width / height
    assert sizes["LR"] > 2 > 1 > sizes["TB"]
