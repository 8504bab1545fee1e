"""A headless Chromium for tests, which shows what a reader sees of a figure.

Needs selenium, ``chromium`` and ``chromedriver``; without them, tests that ask for a browser are skipped, or fail with
``CI=true``. Tests get a page from the fixture ``page``.
"""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

_SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
)

GROUND = {"light": "#ffffff", "dark": "#0d1117"}
"""The page behind a figure, by theme."""

_COLLECT = """
return [...document.querySelectorAll(arguments[0])].map(shape => {
  const box = shape.getBoundingClientRect(), style = getComputedStyle(shape), group = shape.closest("g[id]");
  return {
    area: [box.left, box.top, box.right, box.bottom], text: shape.tagName === "text" ? shape.textContent : "",
    fill: style.fill, stroke: style.stroke, font: style.fontFamily,
    group: group?.id ?? "", role: group?.getAttribute("class") ?? "",
  };
});
"""


@dataclass(frozen=True)
class Area:
    """A rectangle on the page, in CSS pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Area, slack: float = 0.5) -> bool:
        """Return whether both share more than a margin of ``slack`` pixels."""
        return (
            min(self.right, other.right) - max(self.left, other.left) > slack
            and min(self.bottom, other.bottom) - max(self.top, other.top) > slack
        )

    def holds(self, other: Area, slack: float = 0.5) -> bool:
        """Return whether ``other`` lies within, give or take ``slack`` pixels."""
        return (
            self.left - slack <= other.left
            and self.top - slack <= other.top
            and other.right <= self.right + slack
            and other.bottom <= self.bottom + slack
        )


@dataclass(frozen=True)
class Shape:
    """One text or shape as it is painted: where, in which colours and font, and in which group of the figure."""

    area: Area
    text: str
    fill: str
    stroke: str
    font: str
    group: str
    role: str


class Browser:
    """One page of a headless Chromium."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def open_svg(self, svg: str, folder: Path) -> None:
        """Open a figure by itself, as a file."""
        self._open(svg, folder / "figure.svg")

    def open_html(self, html: str, folder: Path) -> None:
        """Open a page; relative addresses start in ``folder``."""
        self._open(f"<!DOCTYPE html><html><body style='margin:0'>{html}</body></html>", folder / "page.html")

    def prefer(self, scheme: str) -> None:
        """Let the reader prefer "light" or "dark"."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def reset(self) -> None:
        """Forget a preferred scheme and a size of the page."""
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        self._driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def texts(self) -> list[Shape]:
        """Return every text of the figures on the page."""
        return self._collect("svg text")

    def shapes(self, selector: str = "svg :is(rect, polygon, path)") -> list[Shape]:
        """Return every shape that is not text, or those that match a CSS selector."""
        return self._collect(selector)

    def figure(self) -> Area:
        """Return the area of the first figure on the page."""
        return self._collect("svg")[0].area

    def run(self, script: str) -> Any:
        """Return the value of a script."""
        return self._driver.execute_script(script)

    def screenshot(self, width: int = 800, height: int | None = None) -> bytes:
        """Return the page as PNG, ``width`` pixels wide and as high as necessary."""
        self._resize(width, height or 100)
        self._resize(
            width, height or self.run("return Math.ceil(document.documentElement.getBoundingClientRect().height)")
        )
        options = {"format": "png", "captureBeyondViewport": True}
        return base64.b64decode(self._driver.execute_cdp_cmd("Page.captureScreenshot", options)["data"])

    def _open(self, text: str, path: Path) -> None:
        path.write_text(text, encoding="utf-8")
        self._driver.get(path.resolve().as_uri())

    def _resize(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def _collect(self, selector: str) -> list[Shape]:
        found = self._driver.execute_script(_COLLECT, selector)
        return [Shape(**{**shape, "area": Area(*shape["area"])}) for shape in found]


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a Chromium with a temporary profile; skip the test if none is installed."""
    missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if find_spec("selenium") is None or not (chromium and chromedriver):
        missing("selenium is not installed, or chromium or chromedriver is not on PATH")
    from selenium import webdriver

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        driver = _start(webdriver, chromium, chromedriver, profile)
        try:
            yield Browser(driver)
        finally:
            driver.quit()


def _start(webdriver: Any, chromium: str, chromedriver: str, profile: str) -> Any:
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for switch in (*_SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))


def overlapping(texts: list[Shape]) -> list[tuple[str, str]]:
    """Return the pairs of texts that overlap."""
    return [(one.text, other.text) for one, other in combinations(texts, 2) if one.area.overlaps(other.area)]


def outside(texts: list[Shape], area: Area) -> list[str]:
    """Return the texts that reach outside an area."""
    return [text.text for text in texts if not area.holds(text.area)]


def outside_their_card(texts: list[Shape], shapes: list[Shape]) -> list[str]:
    """Return the texts that reach outside the outline of their own box, if it has one."""
    outlined = (shape for shape in shapes if shape.stroke != "none")
    cards = {shape.group: shape.area for shape in sorted(outlined, key=lambda shape: _size(shape.area))}
    return [text.text for text in texts if text.group in cards and not cards[text.group].holds(text.area)]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG defines it, from 1 (none) to 21 (black on white).

    >>> contrast("rgb(0, 0, 0)", "#ffffff")
    21.0
    """
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def faint(page: Browser, ground: str) -> dict[str, tuple[str, str, float]]:
    """Return the texts below a contrast of 4.5:1 with their background: colour, background, contrast."""
    painted = [shape for shape in page.shapes("svg :is(polygon, rect, path, ellipse)") if shape.fill.startswith("rgb(")]
    found = {}
    for text in (text for text in page.texts() if text.text.strip()):
        behind = [shape.fill for shape in painted if shape.area.holds(_middle(text.area), 0)]
        ratio = contrast(text.fill, behind[-1] if behind else ground)
        if ratio < 4.5:
            found[text.text] = (text.fill, behind[-1] if behind else ground, round(ratio, 2))
    return found


def _middle(area: Area) -> Area:
    x, y = (area.left + area.right) / 2, (area.top + area.bottom) / 2
    return Area(x, y, x, y)


def _size(area: Area) -> float:
    return (area.right - area.left) * (area.bottom - area.top)


def _luminance(color: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in _channels(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _channels(color: str) -> list[int]:
    if color.startswith("#"):
        return [int(color[at : at + 2], 16) for at in (1, 3, 5)]
    return [int(part) for part in color.removeprefix("rgb(").removesuffix(")").split(",")]


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def check_painted(page: Browser, svg: str, theme: str, folder: Path) -> None:
    """Check that every text of a figure is readable, in its place and in its card, on a theme's background."""
    ground = f'<meta charset="utf-8"><body style="margin: 0; background: {GROUND[theme]}">'
    page.open_html(ground + svg, folder)
    texts = [text for text in page.texts() if text.text.strip()]
    assert len(texts) > 15
    assert overlapping(texts) == []
    assert outside(texts, page.figure()) == []
    assert outside_their_card(texts, page.shapes()) == []
    assert faint(page, GROUND[theme]) == {}
