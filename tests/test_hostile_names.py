"""Names and messages are untrusted: whatever they hold, they are shown, and never run, loaded, obeyed or believed."""

from __future__ import annotations

import http.server
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import pytest

import fxviz
from browser import Browser
from conftest import slow
from fxviz._analysis import annotate
from fxviz._graph import ArchGraph
from fxviz._graph.options import Theme
from fxviz._render.engine import Picture
from fxviz._render.style_ledger import draw
from fxviz._render.text_width import fit, fit_path, width, wrap
from fxviz._report import headline
from fxviz._view import fold
from random_graphs import Net, stopped_at

SVG = "{http://www.w3.org/2000/svg}"
PORT = "PORT"
"""A placeholder in a name for the port of a server that must receive no request."""

NAMES = (
    "<script>window.hit = 1; alert(1)</script>",
    f"<img src=http://127.0.0.1:{PORT}/img onerror='window.hit=1'>",
    f"</text></title></svg><iframe src='http://127.0.0.1:{PORT}/frame'></iframe>",
    f"<foreignObject><link rel=stylesheet href='http://127.0.0.1:{PORT}/css'></foreignObject>",
    f"</style><style>@import url(http://127.0.0.1:{PORT}/import);",
    "]]>",
    "<![CDATA[",
    "-->",
    "<!--",
    '<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]>&y;',
    "&lt;&#60;&amp;&nbsp;",
    "\"'`",
    '" onload="window.hit=1" x="',
    "javascript:window.hit=1",
    f"url(http://127.0.0.1:{PORT}/url)",
    "\\N\\G\\E\\L\\T\\l\\r",
    "%s %n %(x)s %00",
    "{} {0} {x.__class__}",
    "a|b|{c|d}",
    "a:b:c;d,e[f]=g",
    "<lambda>",
    "node",
    "graph",
    "subgraph",
    "strict digraph",
    "层归一化",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "é" + "\u0301" * 40,
    "gpj.\u202egnp.\u2066x\u200f\u061c",
    "tab\tline\nreturn\rnull\0escape\x1b[2J\x9bbell\a\u2028next",
    "lone \ud800 surrogate \udfff",
    "\ufffe\uffff\ufdd0\ufeff",
    " ",
    "..",
    "x" * 50_000,
    "deep." * 2_000,
    "1" * 50_000 + "x",
)
ELEMENTS = {"svg", "title", "desc", "style", "g", "rect", "path", "polygon", "polyline", "ellipse", "text"}
ATTRIBUTES = {
    *(
        "id",
        "class",
        "role",
        "aria-labelledby",
        "width",
        "height",
        "viewBox",
        "transform",
        "font-family",
        "x",
        "y",
        "d",
        "points",
    ),
    *(
        "cx",
        "cy",
        "rx",
        "ry",
        "fill",
        "stroke",
        "stroke-width",
        "stroke-dasharray",
        "text-anchor",
        "font-weight",
        "font-size",
    ),
    *("shape-rendering", "{http://www.w3.org/XML/1998/namespace}space"),
}
BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


TOGETHER = tuple(name[:2_000] for name in NAMES)
"""The names for figures that hold all of them: long ones grow with each other there."""


def hostile_net(names: tuple[str, ...]) -> Net:
    """Return a residual unit in a module for each name, which its layers have too."""
    net = Net()
    stream = net.layer("Conv2d", net.input())
    for place, name in enumerate(names):
        with net.scope(f"{name}{place}"):
            stream = net.call("add", stream, net.chain(stream, "Conv2d", "ReLU", "Conv2d", name))
    net.output(net.layer("Linear", stream))
    return net


def hostile_graph(names: tuple[str, ...] = TOGETHER) -> ArchGraph:
    """Put the names wherever a name can stand, with a failure that mentions them all."""
    graph = hostile_net(names).graph()
    said = " ".join(name[:100] for name in names)
    nodes = tuple(replace(node, op=said, path=said) if node.kind == "input" else node for node in graph.nodes)
    scopes = tuple(replace(scope, cls=f"models.{names[scope.id % len(names)]}") for scope in graph.scopes)
    model = replace(graph.model, name=said, source=said, cls=said)
    inputs = {name: tensor for name in names for tensor in graph.trace.inputs.values()}
    return annotate(replace(graph, nodes=nodes, scopes=scopes, model=model, trace=replace(graph.trace, inputs=inputs)))


def failed_graph(name: str) -> ArchGraph:
    graph = hostile_graph((name,))
    return annotate(
        stopped_at(graph, "linear", message=f"Error: {name}", path=name, cls=name, file=f"/{name}.py", code=name)
    )


def figures(graph: ArchGraph, theme: str = "auto") -> Iterator[str]:
    """Yield the SVG of a graph from each installed engine, at several depths."""
    for depth in (None, 1, 9):
        drawing = draw(fold(graph, depth=depth))
        for engine in (None, *filter(None, [shutil.which("dot")])):
            yield Picture(drawing, theme, engine).svg


def check_harmless(svg: str) -> None:
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        assert element.tag.removeprefix(SVG) in ELEMENTS
        assert set(element.attrib) <= ATTRIBUTES
        assert not any("url(" in value or ":" in value for value in element.attrib.values())
        assert not BIDI.search(element.text or "")
        if element.tag == f"{SVG}style":
            assert re.fullmatch(r"[-#\[\]=\"{}();:@ a-z0-9]*", element.text or "") and "import" not in (
                element.text or ""
            )
            assert "url" not in (element.text or "")


# -------------------------------------------------------------------- the text of a figure


@pytest.mark.parametrize("theme", ["auto", *slow(*(theme for theme in get_args(Theme) if theme != "auto"))])
def test_all_names_at_once_are_nothing_but_text(theme: str) -> None:
    for svg in figures(hostile_graph(), theme):
        check_harmless(svg)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[1:30])
def test_each_name_alone_is_nothing_but_text(name: str) -> None:
    for graph in (hostile_graph((name,)), failed_graph(name)):
        drawing = draw(fold(graph))
        check_harmless(Picture(drawing, "light").svg)
        assert len(headline(graph)) < 500


@pytest.mark.parametrize("name", ["<lambda>", "node", "层归一化", "]]>", "a|b|{c|d}", "%s", "\\N\\G"])
def test_a_short_name_is_shown_as_it_is(name: str) -> None:
    root = ElementTree.fromstring(Picture(draw(fold(hostile_graph((name,)))), "light").svg)
    assert any(name in (text.text or "") for text in root.iter(f"{SVG}text"))


def test_the_dot_text_holds_no_name_that_could_be_a_statement() -> None:
    dot = Picture(draw(fold(hostile_graph())), "light").dot
    outside = re.sub(r'<[^<>]*>|&[#\w]+;|"[^"]*"', "", dot)
    assert not re.search(r"URL|href|image|shapefile|fontpath", outside)
    assert all(ord(sign) >= 32 or sign in "\n\t" for sign in dot) and not BIDI.search(dot)


# -------------------------------------------------------------------- the graph


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[1:30])
def test_names_come_back_from_json_as_they_were(name: str, tmp_path: Path) -> None:
    graph = hostile_graph((name,))
    assert ArchGraph.load(graph.save(tmp_path / "graph.json")) == graph
    failed = failed_graph(name)
    assert ArchGraph.load(failed.save(tmp_path / "failed.json")) == failed


# -------------------------------------------------------------------- a real model


def hostile_module() -> object:
    """Return a module whose children have the names, even those that torch refuses."""
    from torch import Tensor, nn

    class Hostile(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for place, name in enumerate(TOGETHER):
                inner = nn.Sequential(nn.Linear(4, 5 + place), nn.ReLU(), nn.Linear(5 + place, 4))
                inner._modules = {name if key == "0" else key: child for key, child in inner._modules.items()}
                self._modules[name] = inner

        def forward(self, x: Tensor) -> Tensor:
            for child in self._modules.values():
                x = x + child(x)
            return x

    Hostile.__name__ = Hostile.__qualname__ = "<script>window.hit=1</script>"
    return Hostile()


@pytest.fixture(scope="module")
def traced_module() -> ArchGraph:
    from torch import nn

    module = hostile_module()
    assert isinstance(module, nn.Module)
    return fxviz.trace(module, fxviz._graph.TensorInfo((1, 4), "float32"))


@pytest.mark.slow
def test_a_real_model_is_nothing_but_text(traced_module: ArchGraph) -> None:
    assert traced_module.total_params == sum(parameter.size for parameter in traced_module.parameters)
    for svg in figures(traced_module):
        check_harmless(svg)


def test_a_real_models_names_are_kept(traced_module: ArchGraph, tmp_path: Path) -> None:
    paths = {scope.path for scope in traced_module.scopes}
    assert paths >= set(TOGETHER)
    assert ArchGraph.load(traced_module.save(tmp_path / "graph.json")) == traced_module


# -------------------------------------------------------------------- a browser


@contextmanager
def listening() -> Iterator[tuple[int, list[str]]]:
    """Run a server on this machine: its port, and the paths requested from it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        server.server_close()


def seen(page: Browser) -> tuple[object, int, int]:
    """Return whether a script ran, how many elements could load or run something, and the requests of the page."""
    time.sleep(0.1)
    return (
        page.run("return window.hit ?? null"),
        page.run(
            "return document.querySelectorAll("
            "'script, iframe, img, link, foreignObject, object, embed, image, a').length"
        ),
        page.run("return performance.getEntriesByType('resource').length"),
    )


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["auto", *slow("dark")])
def test_nothing_runs_and_nothing_is_loaded(page: Browser, tmp_path: Path, theme: str) -> None:
    with listening() as (port, asked):
        for svg in figures(hostile_graph(tuple(name.replace(PORT, str(port)) for name in TOGETHER)), theme):
            page.open_svg(svg, tmp_path)
            assert seen(page) == (None, 0, 0)
            page.open_html(svg, tmp_path)
            assert seen(page) == (None, 0, 0)
            assert page.run("return document.querySelectorAll('body > *').length") == 1
        assert asked == []


@pytest.mark.slow
def test_the_server_would_have_heard(page: Browser, tmp_path: Path) -> None:
    """The test above can fail: the same names, written into a page as they are, do run and load."""
    with listening() as (port, asked):
        page.open_html(NAMES[1].replace(PORT, str(port)), tmp_path)
        assert seen(page)[:2] == (1, 1)
        assert asked == ["/img"]


# -------------------------------------------------------------------- time


def test_the_time_grows_with_a_name_no_faster_than_its_length() -> None:
    def seconds(length: int) -> float:
        text = ("x" * (length // 2)) + "1" * (length // 2)
        start = time.process_time()
        for _ in range(5):
            assert len(fit(text, 60, 9)) < 60 and len(fit_path(text, 60, 9)) < 60
            assert fit_path("a." * (length // 2), 60, 9).startswith("…")
            assert len(wrap(text, 100, 9, 6)) == 6
            assert width(text, 9) > 0
        return time.process_time() - start

    seconds(1_000)
    assert seconds(200_000) < 100 * max(seconds(10_000), 0.001)


def test_a_failure_is_said_in_one_line() -> None:
    graph = annotate(stopped_at(hostile_graph(("a",)), "linear", path="a\nb\u202e", file="f\n.py"))
    description = ElementTree.fromstring(Picture(draw(fold(graph)), "light").svg).findtext(f"{SVG}desc") or ""
    assert "stopped at a b (" in description and "\n" not in description and "\u202e" not in description
