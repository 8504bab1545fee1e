"""A table in every form, with names that mean harm."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len

from fxviz._graph import units
from fxviz._graph.errors import UsageError
from fxviz._report.tables import FORMS, PEOPLE, PROGRAMS, Column, Line, Table, written

HOSTILE = (
    "a|b", "|", "\\", "a\\|b", "\\\\|", "`code`", "``a`", "<script>alert(1)</script>", "<b>x</b>", "&lt;&amp;",
    "*a* **b**", "_x_", "__init__", "layer1_total", "~~a~~", "    x", "[x](http://a.b)", "![x](y)", "https://a.com/x",
    "www.a.com", "me@a.com", "# x", "- x", "1. x", "---", "===", ":--", "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)",
    "\x1b[2J\x1b]0;t\x07", "a\nb", "a\tb",
    "\x9b31m", "gpj.\u202egnp", "层归一化", r"\input{/etc/passwd}", "50% & $x$ #1 {a} ~ ^", "'\"", ",;", "\ud800", "$$",
)  # fmt: skip

NAMES = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=12))

COLUMNS = (
    Column("kind", "kind", forms=PROGRAMS),
    Column("name", "layer", elastic=True, path=True),
    Column("type", "type", elastic=True, rank=1),
    Column("params", "parameters", "{:,}".format, right=True),
    Column("share", "share", units.percent, right=True, bar=True),
    Column("shape", "weight", units.shape, right=True, rank=2),
    Column("note", "remarks", forms=PEOPLE),
)


def line(name: str, params: int = 9408, share: float | None = 0.5, **facts: bool) -> Line:
    return Line(("layer", name, "BatchNorm2d", params, share, [64, 3], None), **facts)


def table(*names: str, title: str = "net") -> Table:
    return Table(
        title, COLUMNS, (*map(line, names), line("TOTAL", 11689512, 1.0, sum=True, ruled=True)), ("All trainable.",)
    )


def printed(text: str) -> str:
    """Return the text on one line, without control characters."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


# ---------------------------------------------------------------- text


def test_plain_is_whole_and_has_no_bars() -> None:
    text = written(table("a." * 200 + "conv"))
    assert "a." * 200 + "conv" in text and "█" not in text and "\x1b" not in text
    assert all(row == row.rstrip() for row in text.splitlines())


@pytest.mark.parametrize("width", range(1, 140))
def test_no_line_is_wider_than_the_terminal_unless_numbers_would_be_cut(width: int) -> None:
    text = written(table("features.transition.downsample.conv", "层归一化层归一化层归一化层归一化"), width=width)
    body = text.split("\n\n")[1].splitlines()
    least = cell_len("…le.conv  parameters   share")
    assert max(map(cell_len, body)) <= max(width, least)
    assert "11,689,512" in text and "100.0%" in text


def test_what_goes_first_is_the_bar_then_the_columns_by_rank() -> None:
    gone = {}
    for width in range(140, 20, -1):
        text = written(table("features.transition.downsample.conv"), width=width)
        for what in ("█", "64×3", "BatchNo"):
            if what not in text:
                gone.setdefault(what, width)
        assert "le.conv" in text
    assert gone["█"] > gone["64×3"] > gone["BatchNo"]


def test_paths_are_cut_at_their_left_and_other_texts_at_their_right() -> None:
    text = written(table("features.transition.downsample.conv"), width=48)
    assert "\n…downsample.conv  BatchNorm…       9,408   50.0%\n" in text


def test_a_line_of_paths_is_cut_at_its_left_behind_its_name() -> None:
    columns = Column("quantity", "", elastic=True), Column("net", "a_network_with_a_name", right=True, elastic=True)
    lines = (
        Line(("the largest layer of all", "body.0.conv_of_the_network"), path=True),
        Line(("its kind", "Conv2d 3×3, 512 → 512")),
    )
    text = written(Table("net", columns, lines), width=24)
    assert text.splitlines()[2:] == [
        "             …ith_a_name",
        "─" * 24,
        "the larges…  …he_network",
        "its kind     Conv2d 3×3…",
    ]


def test_bars_are_as_long_as_their_shares() -> None:
    shares = (1.0, 0.5, 0.25, 0.0, 0.000001, None)
    lines = tuple(line(str(place), share=share) for place, share in enumerate(shares))
    text = written(Table("net", COLUMNS, lines), width=200)
    bars = [len(re.sub("[^█▏▎▍▌▋▊▉]", "", row)) for row in text.splitlines()[4:]]
    assert bars == [24, 12, 6, 0, 1, 0]


def test_sums_are_bold_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = written(table("conv1"), width=100, styled=True)
    assert re.search(r"\x1b\[1mTOTAL", text) and re.search(r"\x1b\[38;5;\d+m█", text)
    assert not re.search(r"\x1b\[1mconv1", text)


def test_no_color_keeps_what_is_bold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    text = written(table("conv1"), width=100, styled=True)
    assert re.search(r"\x1b\[1mTOTAL", text) and not re.search(r"\x1b\[[0-9;]*3[0-9]", text)


def test_a_dumb_terminal_gets_no_escape_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in written(table("conv1"), width=100, styled=True)


@given(st.lists(NAMES, max_size=4), st.none() | st.integers(1, 120))
def test_no_name_moves_the_cursor_or_breaks_a_line(names: list[str], width: int | None) -> None:
    text = written(table(*names, title="".join(names)), width=width)
    body = text.split("\n\n", 1)[1] if width is None else text
    assert all(sign.isprintable() or sign == "\n" for sign in text)
    assert len(body.split("\n\n")[0].splitlines()) == len(names) + 4 or width is not None


# ---------------------------------------------------------------- markdown


def cells(markdown: str) -> list[list[str]]:
    """Return the cells of the one table in a text, as GitHub reads it; any markup in them fails."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).enable(["table", "strikethrough"]).parse(markdown)
    rows: list[list[str]] = []
    for place, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline" and tokens[place - 1].type in ("td_open", "th_open"):
            children = token.children or []
            assert {child.type for child in children} <= {"text", "text_special", "strong_open", "strong_close"}, (
                token.content
            )
            rows[-1].append("".join(child.content for child in children))
    return rows


def test_markdown_is_a_table_with_numbers_at_the_right() -> None:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(written(table("conv1"), "markdown"))
    assert [token.type for token in tokens if token.level == 0 and token.type.endswith("_open")] == [
        "paragraph_open",
        "table_open",
        "paragraph_open",
    ]
    heads = [token.attrs.get("style") for token in tokens if token.type == "th_open"]
    assert heads == ["text-align:left"] * 2 + ["text-align:right"] * 3
    assert cells(written(table("conv1"), "markdown")) == [
        ["layer", "type", "parameters", "share", "weight"],
        ["conv1", "BatchNorm2d", "9,408", "50.0%", "64×3"],
        ["TOTAL", "BatchNorm2d", "11,689,512", "100.0%", "64×3"],
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_shows_hostile_names_as_they_are(name: str) -> None:
    text = written(table(name, title=name), "markdown")
    assert cells(text)[1][0] == printed(name).strip()
    assert "<" not in text and not re.search(r"https?:/|(?i:www)\.|@", text)
    title = MarkdownIt("gfm-like", {"linkify": False}).parse(text)[:2]
    assert title[0].type == "paragraph_open"
    assert "".join(child.content for child in title[1].children or []) == printed(name).strip()


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_markdown_has_the_cells_that_were_given(names: list[str]) -> None:
    shown = [row[0] for row in cells(written(table(*names), "markdown"))[1:-1]]
    assert [text.strip() for text in shown] == [printed(name).strip() for name in names]


# ---------------------------------------------------------------- CSV, JSON, LaTeX


@given(st.lists(NAMES, max_size=4))
def test_csv_has_bare_numbers_and_no_formulas(names: list[str]) -> None:
    header, *records = csv.reader(io.StringIO(written(table(*names), "csv")))
    assert header == ["kind", "name", "type", "params", "share", "shape"]
    assert [record[3:] for record in records] == [["9408", "0.5", "64x3"]] * len(names) + [["11689512", "1.0", "64x3"]]
    for name, record in zip(names, records, strict=False):
        assert record[1].lstrip()[:1] not in ("=", "+", "-", "@")
        assert record[1].removeprefix("'") == printed(name).removeprefix("'")
        assert record[1].isprintable()


@given(st.lists(NAMES, max_size=4))
def test_json_gives_the_names_back(names: list[str]) -> None:
    text = written(table(*names), "json")
    assert all(sign.isprintable() or sign == "\n" for sign in text)
    rows = json.loads(text)["rows"]
    assert [row["name"] for row in rows] == [*names, "TOTAL"]
    assert rows[-1] == {
        "kind": "layer", "name": "TOTAL", "type": "BatchNorm2d", "params": 11689512, "share": 1.0, "shape": [64, 3],
    }  # fmt: skip


def test_json_has_the_facts_of_the_whole() -> None:
    assert json.loads(written(Table("net", (), (), facts={"macs": 5}), "json")) == {"macs": 5, "rows": []}


@pytest.mark.parametrize("name", HOSTILE)
def test_latex_has_no_command_of_a_name(name: str) -> None:
    row = written(table(name), "latex").splitlines()[6]
    body = row.removesuffix(r" \\")
    known = r"\\(?:text(?:backslash|asciitilde|asciicircum|less|greater|bar|asciigrave|quotesingle)|ldots)\{\}"
    plain = re.sub(known + r"|\{\\char34\}|\$\\times\$|\\[{}$&#_%]|\{[\[\]*-]\}", "?", body)
    assert not set(plain.replace(" & ", "")) & set("\\{}$#_^~%<>|`'\""), plain
    assert len(re.split(r"(?<!\\)&", body)) == 5


def test_latex_is_a_booktabs_tabular() -> None:
    lines = written(table("conv1"), "latex").splitlines()
    rules = [row for row in lines if row.endswith("rule")]
    assert rules == [r"\toprule", r"\midrule", r"\midrule", r"\bottomrule"]
    assert r"\begin{tabular}{llrrr}" in lines and r"conv1 & BatchNorm2d & 9,408 & 50.0\% & 64$\times$3 \\" in lines


# ---------------------------------------------------------------- all


@pytest.mark.parametrize("form", FORMS)
def test_columns_appear_in_their_forms(form: str) -> None:
    text = written(table("conv1"), form)
    assert ("kind" in text) == (form in PROGRAMS)
    assert ("All trainable." in text) == (form in PEOPLE)
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert "remarks" not in text  # nobody remarks anything


def test_an_empty_table_keeps_its_header() -> None:
    assert "layer  type" in written(Table("net", COLUMNS, ()))


def test_there_is_no_other_form() -> None:
    with pytest.raises(UsageError, match="invalid format 'xls': choose table, markdown, csv, json or latex"):
        written(table(), "xls")


def test_a_line_has_a_value_for_each_column() -> None:
    with pytest.raises(ValueError, match="1 values for 7 columns"):
        Table("net", COLUMNS, (Line(("a",)),))
