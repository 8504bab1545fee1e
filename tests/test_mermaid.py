"""The Mermaid flowchart: its grammar, what it shows of a view, and that names are only ever text."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import slow
from fxviz._graph import ArchGraph, Failure
from fxviz._render import palette
from fxviz._render.mermaid import mermaid
from fxviz._view import fold
from fxviz._view.view import INPUT, OUTPUT, View
from models import EACH_MODEL, folded

_LABEL = r'"(?P<label>(?:[^\W_]|[ .,/()×·…→−✗]|<br>|#[0-9]+;)*)"'
_SHAPED = re.compile(
    rf"(?P<id>r[0-9]+|input|output)(?P<open>\[|\(\[){_LABEL}(?P<close>\]|\]\))(?::::(?P<style>[a-z]+[0-9]?))?"
)
_SUBGRAPH = re.compile(rf"subgraph (?P<id>s[0-9]+)\[{_LABEL}\]")
_LINK = re.compile(r"(?P<tail>\w+) (?P<look>-->|==>|-\.->) (?P<head>\w+)")
_LOOK = r"(?:,?(?:fill|stroke|color|stroke-dasharray|stroke-width):[#a-z0-9 ]+)+"
_STYLE = re.compile(
    rf"(?:classDef (?P<name>\w+) {_LOOK}|class (?P<ids>[s0-9,]+) \w+|linkStyle (?P<links>[0-9,]+) {_LOOK})"
)


@dataclass
class Chart:
    """A flowchart, parsed by a grammar of exactly what fxviz may write."""

    title: str
    nodes: dict[str, str] = field(default_factory=dict)
    styles: dict[str, str | None] = field(default_factory=dict)
    frames: dict[str, list[str]] = field(default_factory=dict)
    links: list[tuple[str, str, str]] = field(default_factory=list)
    blue: list[int] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)


def said(label: str) -> str:
    """Return a label as a reader sees it."""
    return html.unescape(label.replace("<br>", "\n").replace("#", "&#"))


def read(text: str) -> Chart:
    head, body = text.split("\n---\nflowchart TB\n")
    assert head.startswith('---\ntitle: "')
    chart = Chart(json.loads(head.removeprefix("---\ntitle: ")))
    assert body.endswith("\n")
    open_frames: list[str] = []
    for line in body.splitlines():
        stripped = line.strip(" ")
        assert line == "    " * (1 + len(open_frames) - (stripped == "end")) + stripped
        if node := _SHAPED.fullmatch(stripped):
            assert (node["open"], node["close"]) in (("[", "]"), ("([", "])"))
            assert node["id"] not in chart.nodes
            chart.nodes[node["id"]], chart.styles[node["id"]] = said(node["label"]), node["style"]
            for name in open_frames:
                chart.frames[name].append(node["id"])
        elif frame := _SUBGRAPH.fullmatch(stripped):
            assert frame["id"] not in chart.frames
            chart.frames[frame["id"]] = []
            chart.nodes[frame["id"]] = said(frame["label"])
            open_frames.append(frame["id"])
        elif link := _LINK.fullmatch(stripped):
            chart.links.append((link["tail"], link["look"], link["head"]))
        elif style := _STYLE.fullmatch(stripped):
            chart.classes |= {style["name"]} - {None}
            chart.blue += map(int, (style["links"] or "").split(",") if style["links"] else ())
        else:
            assert stripped == "end", line
            open_frames.pop()
    assert not open_frames
    assert {end for tail, _, head in chart.links for end in (tail, head)} <= set(chart.nodes)
    assert {style for style in chart.styles.values() if style} <= chart.classes
    return chart


def name_of(row: int) -> str:
    return {INPUT: "input", OUTPUT: "output"}.get(row, f"r{row}")


def drawn_of(view: View) -> set[tuple[str, str]]:
    """Return all pairs that data or a skip joins."""
    return {
        (name_of(tail), name_of(head)) for tail, head in {*view.edges, *((arc.tail, arc.head) for arc in view.arcs)}
    }


def reached(links: list[tuple[str, str, str]], start: str) -> set[str]:
    found, waiting = {start}, [start]
    while waiting:
        tail = waiting.pop()
        new = {head for source, _, head in links if source == tail} - found
        found |= new
        waiting += new
    return found


# -------------------------------------------------------------------- what it shows


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "googlenet"])
def test_the_whole_text(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"{name}.mmd", mermaid(folded(name)))


@pytest.mark.parametrize("name", EACH_MODEL)
def test_a_node_for_each_row_and_all_data_flow(name: str) -> None:
    view = folded(name)
    chart = read(mermaid(view))
    assert chart.title == name
    assert {node for node in chart.nodes if node[0] == "r"} == {f"r{row.id}" for row in view.rows}
    drawn = {(tail, head) for tail, _, head in chart.links}
    assert drawn <= drawn_of(view)
    for tail, head in view.edges:
        assert name_of(head) in reached(chart.links, name_of(tail))


@pytest.mark.parametrize("name", EACH_MODEL)
def test_what_mermaid_draws_without_being_told_otherwise(name: str) -> None:
    text = mermaid(folded(name))
    assert len(text) < 50_000
    assert len(read(text).links) < 500


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "googlenet", *slow("resnet152")])
def test_no_link_is_left_out_where_no_block_is_dense(name: str) -> None:
    view = folded(name)
    drawn = {(tail, head) for tail, _, head in read(mermaid(view)).links}
    assert drawn == drawn_of(view)


@pytest.mark.parametrize("name", EACH_MODEL)
def test_exactly_the_skips_are_blue(name: str) -> None:
    view = folded(name)
    chart = read(mermaid(view))
    looks = {"identity": "==>", "projection": "-.->", "resample": "-.->", "concat": "-->"}
    skips = {(name_of(arc.tail), looks[arc.kind], name_of(arc.head)) for arc in view.arcs}
    assert {chart.links[number] for number in chart.blue} == skips
    assert len(chart.blue) == len(skips)
    assert {look for _, look, _ in set(chart.links) - skips} == {"-->"}


@pytest.mark.slow
def test_words_are_those_of_the_figure() -> None:
    chart = read(mermaid(folded("resnet152")))
    repeat = next(name for name, text in chart.nodes.items() if text.startswith("×35"))
    assert chart.nodes[repeat] == "×35 · layer3.1 … 35"
    texts = [chart.nodes[node] for node in chart.frames[repeat]]
    assert "Conv 3×3 256→256 · BN · ReLU\nlayer3.1.conv2\n256×14×14 · 590.3k ×35 · 34.3%" in texts
    assert "layer3 · 40.61M · 67.5%" in chart.nodes.values()


def test_a_lone_module_is_a_subgraph_too() -> None:
    chart = read(mermaid(folded("googlenet")))
    name = next(name for name, text in chart.nodes.items() if text.startswith("inception3a · Inception · 155.9k"))
    assert "MaxPool 3×3 → Conv 1×1\ninception3a.branch4\n32×28×28 · 6.2k · 0.09%" in map(
        chart.nodes.get, chart.frames[name]
    )


def test_the_darker_the_larger_the_share() -> None:
    view = folded("vgg16")
    chart = read(mermaid(view))
    for row in view.rows:
        expected = f"step{palette.step(row.total / view.total)}" if row.total else None
        assert chart.styles[f"r{row.id}"] == expected


def test_another_metric(resnet18: ArchGraph) -> None:
    text = mermaid(fold(resnet18, "macs"))
    assert "118.0M · 6.5%" in read(text).nodes["r0"]


def test_a_run_that_stopped_ends_where_it_stopped(tiny: ArchGraph) -> None:
    failure = Failure("fc", "RuntimeError: mat1 and mat2", "fc", "torch.nn.Linear", "/home/a/net.py", 12)
    nodes = (*tiny.nodes[:5], replace(tiny.nodes[5], outputs=()))
    stopped = replace(tiny, nodes=nodes, edges=tiny.edges[:-1], trace=replace(tiny.trace, failure=failure))
    view = fold(stopped)
    chart = read(mermaid(view))
    assert "stopped at fc (Linear), net.py:12\nRuntimeError: mat1 and mat2" in chart.nodes["output"]
    assert chart.styles["output"] == "stop"
    last = f"r{view.rows[-1].id}"
    assert (last, "-->", "output") in chart.links
    assert chart.styles[last] == "stop"


# -------------------------------------------------------------------- names


HOSTILE = [
    "<script>alert(1)</script>",
    '"];click r0 href "javascript:alert(1)"',
    "%%{init: {'theme': 'dark'}}%%",
    "%% no",
    "end",
    "#quot;",
    "1. list",
    "- list",
    "`code` *a* __b__",
    "a\nb",
    "style x:#f00;",
    "👩\u200d👩",
    "层",
    "---",
    "\u202eright",
    "x" * 50_000,
]


def renamed(view: View, name: str) -> View:
    """Return the view with this name for everything."""
    nodes = tuple(replace(node, path=name, op=name) for node in view.graph.nodes)
    graph = replace(view.graph, nodes=nodes, model=replace(view.graph.model, name=name))
    return fold(graph)


def shown(name: str) -> str:
    """Return the visible part of a name: one line, without characters of no width."""
    return "".join(c for c in " ".join(name.split()) if c not in "\u202e\u200d")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text(tiny: ArchGraph, name: str) -> None:
    chart = read(mermaid(renamed(fold(tiny), name)))
    assert chart.title == shown(name)
    assert any(line == shown(name) for text in chart.nodes.values() for line in text.split("\n"))


@given(st.text())
def test_no_name_leaves_the_grammar(tiny: ArchGraph, name: str) -> None:
    view = renamed(fold(tiny), name)
    chart = read(mermaid(view))
    assert list(chart.nodes) == ["input", *(f"r{row.id}" for row in view.rows), "output"]
    assert {(tail, head) for tail, _, head in chart.links} == drawn_of(view)


def test_the_same_view_gives_the_same_text() -> None:
    assert mermaid(folded("swin_t")) == mermaid(fold(folded("swin_t").graph))
