"""Drawing -> DOT -> SVG: no name is obeyed, every theme shows the same picture, the same input gives the same bytes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conftest import examples
from fxviz._graph.errors import EngineError
from fxviz._graph.options import Theme
from fxviz._render.drawing import Box, Cell, Color, Drawing, Frame, Line, Shape, Table, Text
from fxviz._render.engine import Picture, finish, lay_out, to_dot
from fxviz._render.text_width import width
from sample_drawing import CARD, INK, MUTED, card, flow, frame_label, pill, sample, skip

SVG = "{http://www.w3.org/2000/svg}"
ROW = ("Conv 3×3", "BN", ".conv", "64×56×56", 20, "37.0k", "0.32%")

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that set the direction of text: they could reverse the text around them."""

hostile = st.one_of(
    st.text(max_size=30),
    st.text(alphabet="\\NGLTEHl<>&\"';:#|{}[]/-! \n\t\0\x1b\x85\ud800\ufffe\u2028\u202ex", max_size=30),
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            "\\N",
            "\\\\N",
            "&lt;",
            "&amp;#60;",
            "<!--",
            "]]>",
            "<<b>x</b>>",
            "cluster_",
            "node",
        ]
    ),
)


def one_box(text: str, name: str = "box", port: str = "p") -> Drawing:
    content = Table(((Cell((Text(text, INK, 10), Text("end", MUTED, 9)), 500, 15, port=port),),), border=INK, fill=CARD)
    return Drawing(text, text, (Box(name, content, text),), (Line(name, name, "skip", text, port, "w", port, "w"),))


def parsed(svg: str) -> Element:
    return ElementTree.fromstring(svg)


def shown(root: Element) -> list[str]:
    return [(text.text or "").replace("\u00a0", " ") for text in root.iter(f"{SVG}text")]


def visible(text: str) -> str:
    """Return the part of a text that one line of XML can show."""
    spaced = re.sub(r"[\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+", " ", text)
    return "".join(
        sign
        for sign in spaced
        if sign not in BIDI
        and re.match("[ -~\u00a0-\ud7ff\ue000-\ufdcf\ufdf0-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]", sign)
    )


@settings(max_examples=examples(150))
@given(hostile)
@example("\\N \\G \\L &#92;N &amp;lt; <b>")
def test_any_text_is_shown_as_it_is(text: str) -> None:
    root = parsed(Picture(one_box(text), "light").svg)
    shown_text = visible(text).replace("\u00a0", " ")
    assert shown(root) == ([shown_text] if shown_text.strip() else []) + ["end"]
    titles = [element.text for element in root.iter() if element.tag in (f"{SVG}title", f"{SVG}desc")]
    assert {title or "" for title in titles} <= {visible(text)}


@settings(max_examples=examples(100))
@given(hostile, hostile)
@example("a:b", "r:w")
@example("", "")
@example("\\", "\\")
def test_any_name_of_a_box_or_port_holds(name: str, port: str) -> None:
    drawing = one_box("text", name, port)
    twin = replace(drawing.items[0], id=name + "+")
    joined = replace(
        drawing, items=(*drawing.items, twin), lines=(Line(name, twin.id, "flow", tail_port=port, head_port=port),)
    )
    root = parsed(Picture(joined, "light").svg)
    assert len(groups(root, "fxviz-box")) == 2
    assert len(groups(root, "fxviz-flow")) == 1


def groups(root: Element, role: str) -> list[Element]:
    return [group for group in root.iter(f"{SVG}g") if role in group.get("class", "").split()]


def test_nothing_but_shapes_comes_out_of_the_engine() -> None:
    raw = """<svg width="9pt" height="9pt" viewBox="0 0 9 9" xmlns="http://www.w3.org/2000/svg">
      <g id="graph0" class="graph">
      <g id="b1" class="node box"><title>a</title><a href="http://x"><script>alert(1)</script><image href="y"/>
      <text onclick="z()" x="1" y="2" fill="black">box</text></a></g><g id="other"><text>stray</text></g></g></svg>"""
    svg = finish(raw, one_box("text"), "light")
    assert not re.search("href|script|image|onclick|stray", svg)
    assert '<text x="1" y="2" fill="#000000">box</text>' in svg


@pytest.mark.parametrize("raw", ["<svg></svg>", '<svg viewBox="0 0 9 9"><g id="b2"/></svg>'])
def test_boxes_that_do_not_come_back_are_missed(raw: str) -> None:
    with pytest.raises(EngineError, match="lacks 1 of 1 boxes"):
        finish(raw, one_box("text"), "light")


@pytest.mark.parametrize("theme", get_args(Theme))
def test_the_file_is_self_contained(theme: str) -> None:
    svg = Picture(sample(), theme).svg
    assert svg.startswith("<svg ") and svg.endswith("</svg>\n")
    assert not re.search(r"<!|<\?|<script|href|url\(|@import|xlink|graphviz|DejaVu Sans\"", svg)
    assert set(re.findall(r"https?://[^\"]*", svg)) == {"http://www.w3.org/2000/svg"}


def test_the_figure_says_what_it_is() -> None:
    root = parsed(Picture(sample()).svg)
    title, description = root[0], root[1]
    assert (title.tag, title.text) == (f"{SVG}title", "resnet18")
    assert (description.tag, description.text) == (f"{SVG}desc", "resnet18: 11.69M parameters, 2 skip connections.")
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"


def test_items_and_lines_have_readable_titles() -> None:
    root = parsed(Picture(sample()).svg)
    titles = {
        role: [group.findtext(f"{SVG}title") for group in groups(root, f"fxviz-{role}")]
        for role in ("pill", "frame", "skip")
    }
    assert titles["pill"] == ["input: 1×3×224×224", "output: 1×1000"]
    assert titles["frame"] == ["layer1: 148.0k parameters"]
    assert titles["skip"] == ["skip from stem to block0", "skip from block0 to block1"]
    assert len(groups(root, "fxviz-dashed")) == 1
    assert not groups(root, "fxviz-order")


def test_two_figures_share_no_id() -> None:
    first, second, third = (ids(Picture(drawing, theme).svg) for drawing, theme in figures())
    assert not first & second and not first & third and not second & third


def figures() -> list[tuple[Drawing, str]]:
    return [(sample(), "light"), (sample(), "dark"), (replace(sample(), description="other"), "light")]


def ids(svg: str) -> set[str]:
    found = [str(element.get("id")) for element in parsed(svg).iter() if element.get("id")]
    assert len(found) == len(set(found))
    return set(found)


def test_auto_is_light_with_one_dark_rule_for_each_colour() -> None:
    light, dark, auto = (parsed(Picture(sample(), theme).svg) for theme in ("light", "dark", "auto"))
    assert light.find(f"{SVG}style") is None
    assert paints(auto) == paints(light)
    rules = dict(re.findall(r'\[((?:fill|stroke)="#\w{6}")\]{\w+:(#\w{6})}', auto.findtext(f"{SVG}style") or ""))
    assert [rules.get(f'{key}="{value}"', value) for key, value in paints(light)] == [
        value for _, value in paints(dark)
    ]


def paints(root: Element) -> list[tuple[str, str]]:
    return [(key, value) for element in root.iter() for key, value in element.items() if key in ("fill", "stroke")]


def test_the_style_touches_its_own_figure_only() -> None:
    root = parsed(Picture(sample(), "auto").svg)
    style = re.sub(r"@media[^{]*{(.*)}$", r"\1", root.findtext(f"{SVG}style") or "")
    selectors = re.findall(r"([^{}]+){[^{}]*}", style)
    assert len(selectors) > 5
    assert all(re.fullmatch(rf"#{root.get('id')}( .*)?", selector) for selector in selectors)


def test_auto_refuses_two_dark_values_for_one_light_one() -> None:
    drawing = Drawing(
        "net", "", (pill("a", "1"), replace(pill("b", "1"), shape=Shape("pill", Color(CARD.light, "#123456"), INK))), ()
    )
    two_whites = replace(drawing, items=(*drawing.items, card("c", ROW)))
    assert Picture(two_whites, "light").svg
    with pytest.raises(ValueError, match="ambiguous colour #ffffff: its dark value is both #123456 and #151b23"):
        _ = Picture(two_whites, "auto").svg


def test_every_colour_is_a_hex() -> None:
    white, black = Color("#ffffff", "#000000"), Color("#000000", "#ffffff")
    drawing = Drawing("net", "", (replace(pill("a", "1"), shape=Shape("pill", white, black)),), ())
    for theme in get_args(Theme):
        assert all(
            value == "none" or re.fullmatch("#[0-9a-f]{6}", value)
            for _, value in paints(parsed(Picture(drawing, theme).svg))
        )


@pytest.mark.slow
def test_the_same_drawing_gives_the_same_bytes_in_every_process() -> None:
    code = (
        "from sample_drawing import sample; from fxviz._render.engine import Picture; "
        "print(Picture(sample()).svg, end='')"
    )
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
        output = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True).stdout
        assert output.decode("utf-8").replace("\r\n", "\n") == Picture(sample()).svg


def test_an_svg_that_cannot_be_read_is_the_engines_fault() -> None:
    with pytest.raises(EngineError, match="cannot read the layout engine's SVG"):
        finish("<svg", sample(), "light")


def test_dot_is_one_statement_or_row_a_line() -> None:
    lines = to_dot(sample()).splitlines()
    assert lines[0] == "digraph resnet18 {"
    assert sum(line.startswith("<tr>") for line in lines) == 2 + 1 + 2 + 2 * 3 + 1 + 1
    assert sum(" -> " in line for line in lines) == len(sample().lines)
    assert (
        '\tinput -> stem [arrowsize=0.5 class=flow color="#656d76" headport=n id=l2 penwidth=1.2 tailport=s weight=20]'
        in lines
    )


def test_a_drawing_that_does_not_hold_together_is_refused() -> None:
    box = card("a", ROW)
    with pytest.raises(ValueError, match="duplicate id 'a': each Box"):
        to_dot(Drawing("net", "", (box, box), ()))
    with pytest.raises(ValueError, match="unknown box 'b'"):
        to_dot(Drawing("net", "", (box,), (flow("a", "b"),)))


def test_empty_tables_and_texts_are_drawn() -> None:
    empty = Frame("f", Table(()), "", (Box("b", Table(((), (Cell(),), (Cell((Text("", INK, 10),)),))), ""),), INK)
    assert parsed(Picture(Drawing("", "", (empty,), ())).svg) is not None


def test_cards_stand_straight_below_one_another() -> None:
    assert len({rect_of(group)[0] for group in groups(parsed(Picture(sample()).svg), "fxviz-box")[1:]}) == 1


def test_long_skips_stay_left_of_the_cards_each_in_its_own_lane() -> None:
    root = parsed(
        Picture(
            stack(
                skip("c0", "r0", "c4", "r0"), skip("c1", "r0", "c3", "r0"), skip("c2", "r0", "c5", "r0", dash="dashed")
            )
        ).svg
    )
    card_left = min(rect_of(group)[0] for group in groups(root, "fxviz-box"))
    lanes = [min(xs(group)) for group in groups(root, "fxviz-skip")]
    assert all(max(xs(group)) <= card_left for group in groups(root, "fxviz-skip"))
    assert len({round(lane) for lane in lanes}) == 3
    assert min(lanes) > -shift(root)[0]


def test_a_chain_of_skips_that_overlap_takes_two_lanes() -> None:
    chain = [skip(f"c{at}", "r0", f"c{at + 2}", "r0") for at in range(4)]
    found = [min(xs(group)) for group in groups(parsed(Picture(stack(*chain)).svg), "fxviz-skip")]
    lanes = [round(lane) for lane in found]
    assert lanes[0] == lanes[2] != lanes[1] == lanes[3]


def test_texts_on_a_line_stand_apart() -> None:
    """The engine takes a × for half as wide as it is."""
    texts = Text("MaxPool 1×3×3 /1×2×2", INK, 10), Text("  64×8×56×56", MUTED, 9)
    content = Table(((Cell(texts, sum(width(text.text, text.size) for text in texts), 12),),))
    first, second = parsed(Picture(Drawing("net", "", (Box("a", content, "pool"),), ())).svg).iter(f"{SVG}text")
    end = float(first.get("x", 0)) + width(first.text or "", 10)
    assert float(second.get("x", 0)) + width("  ", 9) > end + 2


def test_a_frames_label_hides_the_lines_behind_it() -> None:
    root = parsed(Picture(stack(Line("c0", "c2", "skip", "skip", color=INK))).svg)
    order = [group.get("class", "").split()[-1] for group in root.iter(f"{SVG}g") if group.get("class")]
    assert order.index("fxviz-skip") < order.index("fxviz-label") < order.index("fxviz-box")


def test_where_one_skip_ends_and_the_next_starts_the_two_stay_apart() -> None:
    root = parsed(Picture(stack(skip("c0", "r0", "c1", "r0"), skip("c1", "r0", "c2", "r0"))).svg)
    first, second = groups(root, "fxviz-skip")
    assert max(ys(second)) > min(ys(second)) > max(ys(first)) or min(ys(first)) > max(ys(second))


def test_a_small_loop_stands_at_its_own_row() -> None:
    table = Table(
        (
            (Cell((), 5, 8, port="out"), Cell((Text("Block", INK, 10),), 90, 16)),
            (Cell((), 5, 8, port="in"), Cell((), 90, 8)),
        )
    )
    drawing = Drawing("net", "", (Box("a", table, "block"),), (skip("a", "out", "a", "in"),))
    (loop,) = groups(parsed(Picture(drawing).svg), "fxviz-skip")
    assert max(xs(loop)) - min(xs(loop)) < 12


def stack(*skips: Line) -> Drawing:
    """Return six cards, three of them in a frame."""
    cards = [card(f"c{at}", ROW, ROW) for at in range(6)]
    frame = Frame("f", frame_label("layer1", "1", "1%"), "layer1", tuple(cards[1:4]), INK, CARD)
    trunk = [flow(f"c{at}", f"c{at + 1}") for at in range(5)]
    return Drawing("net", "", (cards[0], frame, *cards[4:]), (*trunk, *skips))


def rect_of(group: Element) -> tuple[float, float]:
    rect = group.find(f"{SVG}rect")
    assert rect is not None
    return float(rect.get("x", "")), float(rect.get("width", ""))


def xs(group: Element) -> list[float]:
    return [float(pair.split(",")[0]) for pair in pairs(group)]


def ys(group: Element) -> list[float]:
    return [float(pair.split(",")[1]) for pair in pairs(group)]


def pairs(group: Element) -> list[str]:
    """Return the points of a group's paths and polygons, without the radii of arcs."""
    drawn = " ".join(shape.get("d", "") + " " + shape.get("points", "") for shape in group)
    return re.findall(r"-?[\d.]+,-?[\d.]+", re.sub(r"A\S+ 0 0 \d", "", drawn))


def shift(root: Element) -> tuple[float, float]:
    body = root.find(f"{SVG}g")
    assert body is not None
    x, y = re.findall(r"-?[\d.]+", body.get("transform", ""))
    return float(x), float(y)


def test_layout_of_the_sample_needs_no_warning() -> None:
    assert "<svg" in lay_out(to_dot(sample(), dark=True))
