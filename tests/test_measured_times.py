"""Check how ``summary``, ``explain`` and ``compare`` report the times in a graph."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import fxviz
from conftest import Result
from fxviz._graph import ArchGraph
from fxviz._report.summary.values import Row
from models import traced

Call = Callable[..., Result]


def timed(graph: ArchGraph) -> ArchGraph:
    """Return the graph with a time for each step that runs: 1 ms, 2 ms, 3 ms, ..."""
    runs = [node.id for node in graph.nodes if node.kind in ("module", "function", "method")]
    nodes = tuple(replace(n, time=(runs.index(n.id) + 1) / 1000 if n.id in runs else None) for n in graph.nodes)
    return replace(graph, nodes=nodes, trace=replace(graph.trace, device="cpu"))


@pytest.fixture(scope="module")
def resnet() -> ArchGraph:
    return timed(traced("resnet18"))


def inside(graph: ArchGraph, path: str) -> float:
    return sum(node.time or 0 for node in graph.nodes if f"{node.path}.".startswith(f"{path}." if path else ""))


def by_label(graph: ArchGraph, **options: int | bool) -> dict[str, Row]:
    return {row.label: row for row in fxviz.summary(graph, **options).rows}  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{}, {"all": True}, {"depth": 1}, {"depth": 2, "all": True}])
def test_sums_are_of_all_steps_in_a_module_those_without_a_row_too(
    resnet: ArchGraph, options: dict[str, int | bool]
) -> None:
    rows = by_label(resnet, **options)
    assert rows["TOTAL"].time == pytest.approx(inside(resnet, "")) == pytest.approx(resnet.total_time)
    for path in ("layer1", "layer2.0", "layer4"):
        row = rows.get(f"{path}_total") or rows.get(path)
        assert row is None or row.time == pytest.approx(inside(resnet, path))
    assert rows["conv1"].time == 0.001


@pytest.mark.parametrize("options", [{}, {"all": True}, {"depth": 1}, {"depth": 2, "all": True}])
def test_the_note_says_what_no_row_says(resnet: ArchGraph, options: dict[str, int | bool]) -> None:
    summary = fxviz.summary(resnet, **options)  # type: ignore[arg-type]
    rows = sum(row.time or 0 for row in summary.rows if row.kind in ("layer", "module", "function"))
    assert summary.totals.time_without_row == pytest.approx((summary.totals.time or 0) - rows)
    assert f"{fxviz._graph.units.seconds(summary.totals.time or 0)}, " in str(summary) and "measured on cpu." in str(
        summary
    )


def test_the_column_is_there_where_there_are_times(tiny: ArchGraph) -> None:
    with_times, without = fxviz.summary(timed(tiny)), fxviz.summary(tiny)
    assert "time (ms)" in str(with_times) and "time" not in str(without)
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(with_times.written("csv")))}
    assert float(rows["conv"]["time"]) == 0.001
    assert "time" not in without.written("csv") and "time" not in without.written("json")
    assert json.loads(with_times.written("json"))["totals"]["time"] == pytest.approx(timed(tiny).total_time)


def test_the_time_stays_where_the_terminal_is_narrow(resnet: ArchGraph) -> None:
    lines = fxviz.summary(resnet).written(width=40).splitlines()
    assert max(map(len, lines)) <= 40 and any("time (ms)" in line for line in lines)


def test_explain_says_where_most_of_the_time_goes(resnet: ArchGraph) -> None:
    share = fxviz._graph.units.percent(inside(resnet, "layer4") / inside(resnet, ""))
    english, chinese = (fxviz.explain(resnet, lang=lang).written() for lang in ("en", "zh"))
    whole = fxviz._graph.units.seconds(inside(resnet, ""))
    assert f"Timed step by step on cpu, the run takes {whole}: layer4 {share}, layer3 " in english
    assert f"在 cpu 上逐个运算计时，共耗时 {whole}：layer4 {share}、layer3 " in chinese
    assert "on cpu" not in fxviz.explain(traced("resnet18")).written()


def test_times_are_compared_where_all_were_measured(tiny: ArchGraph, resnet: ArchGraph) -> None:
    both, one = fxviz.compare(timed(tiny), resnet), fxviz.compare(tiny, resnet)
    assert "\ntime " in both.written() and "\ntime " not in one.written()
    assert [row["time"] for row in json.loads(both.written("json"))["rows"]] == [
        timed(tiny).total_time,
        resnet.total_time,
    ]
    assert "time" not in json.loads(one.written("json"))["rows"][1]


def test_a_saved_graph_keeps_them(tmp_path: Path, tiny: ArchGraph, fxviz: Call) -> None:
    done = fxviz("summary", timed(tiny).save(tmp_path / "timed.json"))
    assert done.status == 0 and "time (ms)" in done.out
