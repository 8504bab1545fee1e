"""The ledger: its words, that everything fits into its place, and the whole text of four figures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from conftest import slow
from fxviz._analysis import annotate
from fxviz._graph import ArchGraph
from fxviz._render.bars import SHEET
from fxviz._render.dot import to_dot
from fxviz._render.drawing import Box, Cell, Color, Frame, Item, Table, Text
from fxviz._render.engine import Picture
from fxviz._render.style_ledger import draw
from fxviz._render.text_width import width
from fxviz._view import fold
from models import EACH_MODEL, figure, folded
from random_graphs import Net

HOSTILE = ["<lambda>", "]]>", "层归一化" * 30, "a" * 300, "x\\N\\G&amp;\"'", "dotted.name." * 40 + "end"]


def boxes(items: tuple[Item, ...]) -> Iterator[Box]:
    for item in items:
        if isinstance(item, Box):
            yield item
        else:
            yield from boxes(item.items)


def frames(items: tuple[Item, ...]) -> Iterator[Frame]:
    for item in items:
        if isinstance(item, Frame):
            yield item
            yield from frames(item.items)


def cells(table: Table) -> Iterator[Cell]:
    """Yield the innermost cells."""
    for row in table.rows:
        for cell in row:
            if isinstance(cell.content, Table):
                yield from cells(cell.content)
            else:
                yield cell


def texts(table: Table) -> list[str]:
    return [run.text for cell in cells(table) if isinstance(cell.content, tuple) for run in cell.content]


def tables(figure: Picture) -> list[Table]:
    items = figure.drawing.items
    return [*(box.content for box in boxes(items)), *(frame.label for frame in frames(items))]


def too_wide(figure: Picture) -> list[str]:
    """Return the texts that are wider than their cell."""
    found = []
    for cell in (cell for table in tables(figure) for cell in cells(table)):
        runs: tuple[Text, ...] = cell.content if isinstance(cell.content, tuple) else ()
        needed = sum(width(run.text, run.size, run.bold) for run in runs)
        if cell.width is not None and needed > cell.width:
            found.append(" ".join(run.text for run in runs))
    return found


# -------------------------------------------------------------------- the whole text


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "googlenet", "densenet121"])
def test_the_whole_figure(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"{name}.dot", figure(name).dot)


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "googlenet", "densenet121"])
def test_a_theme_changes_nothing_but_colours(name: str) -> None:
    light, dark = (to_dot(figure(name).drawing, dark=dark) for dark in (False, True))
    assert light != dark
    colorless = [re.sub(r"#[0-9a-f]{6}", "#", text) for text in (light, dark)]
    assert colorless[0] == colorless[1]


# -------------------------------------------------------------------- words


def words(name: str) -> list[str]:
    return [text for table in tables(figure(name)) for text in texts(table)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "resnet18",
            [
                "Conv 7×7 3→64 /2",
                "BN · ReLU",
                "→ Conv 1×1 64→128 /2",
                "+ add",
                "MaxPool 3×3 /2",
                "Linear 512→1000",
                "layer4",
                "71.8%",
            ],
        ),
        ("vit_b_16", ["class token", "position embedding", "Attention 12×64", "pre-LN · GELU", "×12", "2.36M ×12"]),
        ("googlenet", ["inception3a", "MaxPool 3×3 → Conv 1×1", "concat"]),
        ("densenet121", ["DenseLayer", "+ concat"]),
        ("vgg16", ["Linear 25088→4096", "102.8M", "74.3%"]),
        *slow(
            ("convnext_tiny", ["DW 7×7", "scale", "×9"]),
            ("regnet_y_400mf", ["SE ¼", "gate", "Conv 3×3 440→440 /2 g55"]),
            ("efficientnet_b7", ["MBConv 5×5 t6 SE¼", "+ skip · gate", "6.20M ×3"]),
            ("resnet152", ["×35", "590.3k ×35", "34.3%"]),
        ),
    ],
)
def test_words(name: str, expected: list[str]) -> None:
    assert [word for word in expected if word not in words(name)] == []


def test_the_header_says_what_this_run_never_used() -> None:
    said = " ".join(texts(next(boxes(figure("googlenet").drawing.items)).content))
    assert "6.62M parameters" in said
    assert "+ 6.38M parameters not used in this run: aux1, aux2" in said


def test_the_header_counts_skips() -> None:
    assert "8 skip connections" in " ".join(words("resnet18"))
    assert "58 concat skips" in " ".join(words("densenet121"))
    assert "16 skip connections · 16 gates" in " ".join(words("regnet_y_400mf"))


# -------------------------------------------------------------------- measures


@pytest.mark.parametrize("name", EACH_MODEL)
def test_the_strip_is_as_wide_as_the_cards(name: str) -> None:
    header = next(boxes(figure(name).drawing.items)).content
    strip = next(
        cell.content for row in header.rows for cell in row if isinstance(cell.content, Table) and cell.height == 20
    )
    assert sum(cell.width or 0 for cell in strip.rows[0]) == SHEET == strip.width


@pytest.mark.parametrize("name", EACH_MODEL)
def test_every_text_fits_its_cell(name: str) -> None:
    assert too_wide(figure(name)) == []


@pytest.mark.parametrize("name", EACH_MODEL)
def test_the_percentages_add_up(name: str) -> None:
    view = folded(name)
    assert sum(row.total / view.graph.traced_params for row in view.rows) == pytest.approx(1)


@pytest.mark.parametrize("name", EACH_MODEL)
def test_a_figure_fits_beside_text(name: str) -> None:
    size = re.search(r'width="(\d+)pt" height="(\d+)pt"', figure(name).svg)
    assert size is not None
    assert int(size[1]) <= 620 and int(size[2]) <= 1330


# -------------------------------------------------------------------- names from elsewhere


def named(name: str) -> ArchGraph:
    """Return a residual unit in a module of this name, with layers of this name."""
    net = Net()
    stream = net.chain(net.input(), "Conv2d", "BatchNorm2d")
    for place in range(2):
        with net.scope(f"{name}{place}"):
            stream = net.call(
                "add", stream, net.chain(stream, "Conv2d", "ReLU", name if name[0].isupper() else "Conv2d")
            )
    net.output(net.layer("Linear", stream))
    graph = net.graph()
    nodes = tuple(replace(node, op=name) if node.id == "conv2d_2" else node for node in graph.nodes)
    return annotate(replace(graph, nodes=nodes, model=replace(graph.model, name=name)))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_and_long_names_stay_in_their_cells(name: str) -> None:
    drawn = Picture(draw(fold(named(name))), "light")
    assert too_wide(drawn) == []
    said = [text for table in tables(drawn) for text in texts(table)]
    if len(name) > 60:
        assert any("…" in text for text in said)
        assert not any(name in text for text in said)
    else:
        assert any(name in text for text in said)
    assert drawn.svg.startswith("<svg")


def test_two_colours_never_share_a_light_value() -> None:
    """Dark mode replaces light values, so each stands for one role."""
    from fxviz._render import palette

    colors = [value for value in vars(palette).values() if isinstance(value, Color)]
    colors += [*palette.BARS, *palette._TINTS, *palette._ON_BARS]
    assert len({color.light for color in colors}) == len({(color.light, color.dark) for color in colors})
