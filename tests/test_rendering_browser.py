"""A figure in a browser: everything is readable, in its place, and dark if the reader prefers dark."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from browser import Browser, contrast, outside, outside_their_card, overlapping
from conftest import optional, slow
from fxviz._render.engine import Picture
from sample_drawing import sample

Image = optional("PIL.Image")


@pytest.fixture(autouse=True)
def light(page: Browser) -> None:
    page.prefer("light")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_text_is_covered_or_cut(page: Browser, tmp_path: Path, theme: str) -> None:
    page.open_svg(Picture(sample(), theme).svg, tmp_path)
    texts = page.texts()
    assert len(texts) > 30
    assert overlapping(texts) == []
    assert outside(texts, page.figure()) == []
    assert outside_their_card(texts, page.shapes()) == []


def test_every_shape_is_inside_the_figure(page: Browser, tmp_path: Path) -> None:
    page.open_svg(Picture(sample()).svg, tmp_path)
    assert [shape.group for shape in page.shapes() if not page.figure().holds(shape.area)] == []


@pytest.mark.parametrize(("theme", "ground"), [("light", "#ffffff"), ("dark", "#151b23")])
def test_text_stands_out_from_its_card(page: Browser, tmp_path: Path, theme: str, ground: str) -> None:
    page.open_svg(Picture(sample(), theme).svg, tmp_path)
    on_cards = [text for text in page.texts() if text.role == "fxviz-box" and text.text != "layer4 71.8%"]
    assert min(contrast(text.fill, ground) for text in on_cards) >= 4.5


def test_the_real_fonts_are_asked_for(page: Browser, tmp_path: Path) -> None:
    page.open_svg(Picture(sample()).svg, tmp_path)
    (font,) = {text.font for text in page.texts()}
    assert font.startswith("-apple-system") and font.endswith("sans-serif")


def test_in_an_image_it_scales_and_follows_the_readers_preference(page: Browser, tmp_path: Path) -> None:
    shots = {theme: shot_as_image(page, tmp_path, theme) for theme in ("light", "dark", "auto")}
    page.prefer("dark")
    assert shot_as_image(page, tmp_path, "auto") == shots["dark"]
    assert shots["auto"] == shots["light"] != shots["dark"]
    assert page.run("return document.images[0].clientWidth") == 800
    assert page.run("const i = document.images[0]; return i.clientWidth / i.clientHeight > 1.5")


def shot_as_image(page: Browser, folder: Path, theme: str) -> bytes:
    (folder / f"{theme}.svg").write_text(Picture(sample(), theme).svg, encoding="utf-8")
    page.open_html(f'<img src="{theme}.svg" width="800" style="display:block">', folder)
    return page.screenshot()


@pytest.mark.parametrize(
    ("theme", "prefers", "is_dark"),
    [("auto", "dark", True), *slow(("light", "dark", False), ("auto", "light", False), ("dark", "light", True))],
)
def test_opened_by_itself_it_brings_its_ground(
    page: Browser, tmp_path: Path, theme: str, prefers: str, is_dark: bool
) -> None:
    page.prefer(prefers)
    page.open_svg(Picture(sample(), theme).svg, tmp_path)
    assert (sum(corner(page)) < 3 * 40) is is_dark


def test_within_a_page_the_pages_ground_shows_through(page: Browser, tmp_path: Path) -> None:
    for theme in ("light", "dark", "auto"):
        (tmp_path / f"{theme}.svg").write_text(Picture(sample(), theme).svg, encoding="utf-8")
        page.open_html(f'<style>html {{background: #123456}}</style><img src="{theme}.svg" width="800">', tmp_path)
        assert corner(page) == (0x12, 0x34, 0x56)


def corner(page: Browser) -> tuple[int, int, int]:
    image = Image.open(BytesIO(page.screenshot(800, 420))).convert("RGB")
    red, green, blue = image.getpixel((1, 1))
    return red, green, blue


def test_two_figures_in_one_page_do_not_disturb_each_other(page: Browser, tmp_path: Path) -> None:
    page.prefer("dark")
    light, auto = Picture(sample(), "light").svg, Picture(sample(), "auto").svg
    page.open_html(f"{light}{auto}", tmp_path)
    texts = page.texts()
    half = len(texts) // 2
    assert {"rgb(31, 35, 40)"} <= {text.fill for text in texts[:half]}
    assert {"rgb(230, 237, 243)"} <= {text.fill for text in texts[half:]}
    assert not {text.fill for text in texts[:half]} & {text.fill for text in texts[half:]} - {"rgb(0, 0, 0)"}
    ids = page.run("return [...document.querySelectorAll('[id]')].map(element => element.id)")
    assert len(ids) == len(set(ids))
