"""``fxviz summary`` and :func:`fxviz.summarize`: rows, sums, and how they are written."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import fxviz as package
import seed_tables
from conftest import Result, slow
from fxviz._analysis import annotate
from fxviz._graph import ArchGraph, Parameter
from fxviz._graph.errors import UsageError
from fxviz._report.summary import Summary, SummaryOptions
from fxviz._report.summary import summarize as summarized
from fxviz._report.summary.values import Row
from fxviz._report.tables import written
from hard_cases import CASES
from models import traced
from random_graphs import Net, graphs, iterated_nets, staged_nets, stopped

Command = Callable[..., Result]
Golden = Callable[[str, str], None]

SUMS = ("subtotal", "used", "unused", "total")


def rows_of(text: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(text)["rows"]
    return rows


def label(row: dict[str, Any]) -> str:
    return f"{row['name']}_total" if row["kind"] == "subtotal" else str(row["name"])


def by_label(model: str | nn.Module | ArchGraph, **options: Any) -> dict[str, Row]:
    return {row.label: row for row in package.summary(model, **options).rows}


def case(name: str) -> ArchGraph:
    found = next(case for case in CASES if case.id == name)
    return package.trace(found.build(), found.inputs())


# ---------------------------------------------------------------- the two pages


@pytest.fixture
def saved(in_tmp: Path) -> Callable[[str], Path]:
    return lambda name: traced(name).save(f"{name}.json")


def test_every_number_of_the_page_on_vgg16(fxviz: Command, saved: Callable[[str], Path]) -> None:
    rows = {label(row): row for row in rows_of(fxviz("summary", saved("vgg16"), "--all", "--format", "json").out)}
    for name, cls, params, weight in seed_tables.VGG16:
        assert rows[name]["params"] == params, name
        assert rows[name]["type"] == cls, name
        assert rows[name]["weight_shape"] == (None if weight is None else list(weight)), name
    order = [name for name in rows if name in {row[0] for row in seed_tables.VGG16}]
    assert order == [row[0] for row in seed_tables.VGG16]


def test_every_number_of_the_page_on_resnet18(fxviz: Command, saved: Callable[[str], Path]) -> None:
    rows = {label(row): row for row in rows_of(fxviz("summary", saved("resnet18"), "--format", "json").out)}
    for name, params, weight in seed_tables.RESNET18:
        assert rows[name]["params"] == params, name
        assert rows[name]["weight_shape"] == (None if weight is None else list(weight)), name
    order = [name for name in rows if name in {row[0] for row in seed_tables.RESNET18}]
    assert order == [row[0] for row in seed_tables.RESNET18]


def test_blocks_are_rows_at_depth_two() -> None:
    rows = by_label(traced("resnet18"), depth=2)
    assert (rows["layer2.0"].type, rows["layer2.0"].params, rows["layer2.0"].output) == (
        "BasicBlock",
        230144,
        (1, 128, 28, 28),
    )
    assert rows["layer2_total"].params == 525568
    assert by_label(traced("resnet18"), depth=1)["layer2"].type == "Sequential"


# ---------------------------------------------------------------- golden text


@pytest.mark.parametrize("width", [80, 120, None], ids=["80", "120", "piped"])
@pytest.mark.parametrize("name", ["resnet18", "vgg16", "googlenet"])
def test_text(golden: Golden, name: str, width: int | None) -> None:
    text = written(package.summary(traced(name), depth=2 if name == "googlenet" else None).table, width=width)
    golden(f"summary/{name}-{width or 'piped'}.txt", text)


@pytest.mark.parametrize("width", [80, 120, None], ids=["80", "120", "piped"])
def test_text_of_a_hard_model(golden: Golden, width: int | None) -> None:
    graph = package.trace(Hard(), torch.rand(2, 8))
    golden(f"summary/hard-{width or 'piped'}.txt", written(package.summary(graph, all=True).table, width=width))


class Hard(nn.Module):
    """Tied, frozen, unused, repeated, functional; a name that means harm, and one that fills the line."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.add_module("=cmd|' /C calc'!A0 <b>\x1b[2J", nn.Linear(8, 8))
        self.an_attention_with_a_very_long_name_that_fills_the_line = Attention()
        self.tied = nn.Linear(8, 8)
        self.tied.weight = self.first.weight
        self.scale = nn.Parameter(torch.rand(8))
        self.act = nn.ReLU()
        self.spare = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))
        self.first.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        for module in list(self.children())[:3] * 2:
            x = self.act(module(x))
        return self.tied(x * self.scale)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = F.linear(x, self.qkv.weight, self.qkv.bias).chunk(3, -1)
        return (q @ k.T).softmax(-1) @ v


# ---------------------------------------------------------------- what a row is


def test_several_calls_are_one_row_and_shared_parameters_count_once() -> None:
    rows = by_label(case("SharedModule"))
    assert (rows["a"].params, rows["a"].calls, rows["a"].macs) == (72, 4, 4 * 128)
    assert (rows["b"].params, rows["b"].shared_with, rows["b"].weight) == (8, ("a",), (8, 8))
    assert rows["TOTAL"].params == 80


def test_a_function_that_reads_a_weight_again_says_so() -> None:
    row = by_label(case("TiedEmbedding"))["linear"]
    assert (row.kind, row.params, row.macs, row.shared_with, row.weight) == ("function", 0, 160, ("table",), (10, 8))


def test_a_module_of_several_parameters_is_one_row_and_json_lists_them() -> None:
    summary = package.summary(case("Lstm"))
    row = rows_of(summary.written("json"))[0]
    assert (row["name"], row["type"], row["params"], row["weight_shape"]) == ("lstm", "LSTM", 9728, [64, 32])
    assert len(row["parameters"]) == 16
    assert row["parameters"][0] == {
        "name": "lstm.weight_ih_l0", "shape": [64, 8], "dtype": "float32", "trainable": True, "shared": False,
    }  # fmt: skip


def test_a_bare_parameter_has_a_row() -> None:
    row = by_label(case("Encoder"))["token"]
    assert (row.kind, row.type, row.params, row.weight, row.calls) == ("parameter", "Parameter", 16, (1, 1, 16), 1)


def test_a_function_with_the_weight_of_a_module_is_that_modules_row() -> None:
    rows = by_label(package.trace(Hard(), torch.rand(2, 8)))
    qkv = rows["an_attention_with_a_very_long_name_that_fills_the_line.qkv"]
    assert (qkv.kind, qkv.type, qkv.params, qkv.macs, qkv.output) == ("layer", "Linear", 216, 2 * 2 * 8 * 24, (2, 24))
    assert rows["an_attention_with_a_very_long_name_that_fills_the_line.matmul"].calls == 4


class ActNorm(nn.BatchNorm2d):
    """A norm with its activation inside, as timm has it."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias))


def test_a_module_that_alone_holds_parameters_is_one_row() -> None:
    rows = by_label(nn.Sequential(nn.Conv2d(3, 4, 3), ActNorm(4)))
    assert list(rows) == ["0", "1", "TOTAL"]
    assert (rows["1"].type, rows["1"].params, rows["1"].output) == ("ActNorm", 8, (1, 4, 222, 222))


def test_frozen_parameters_are_said_of_rows_and_totals() -> None:
    summary = package.summary(package.trace(Hard(), torch.rand(2, 8)), depth=1)
    assert [(row.label, row.frozen) for row in summary.rows if row.frozen] == [
        ("first", 8),
        ("used_total", 8),
        ("TOTAL", 8),
    ]
    assert summary.totals.frozen == 8 and summary.totals.trainable == summary.totals.params - 8
    first = next(line for line in str(summary).splitlines() if line.startswith("first"))
    assert first.endswith("2 calls, 8 frozen")


def test_what_the_run_never_uses_comes_last_with_its_class_and_without_a_share() -> None:
    summary = package.summary(traced("googlenet"))
    unused = [row for row in summary.rows if not row.used and row.kind != "unused"]
    assert [(row.label, row.type) for row in unused][:3] == [
        ("aux1.conv.conv", "Conv2d"),
        ("aux1.conv.bn", "BatchNorm2d"),
        ("aux1.conv_total", None),
    ]
    assert all(row.share is None and row.macs == 0 for row in unused)
    sums = {row.label: (row.params, row.share) for row in summary.rows[-3:]}
    assert sums == {"used_total": (6624904, 1.0), "unused_total": (6379984, None), "TOTAL": (13004888, None)}
    assert summary.rows[-5].label == "aux2.fc2" and summary.rows[-4].label == "aux2_total"


def test_a_parameter_that_a_used_layer_does_not_read_is_named_alone() -> None:
    net = Net()
    net.layer("Conv2d", net.input())
    net.nodes[-1] = replace(net.nodes[-1], path="body.conv", uses=("body.conv.weight",))
    net.parameters = [
        Parameter("body.conv.weight", (2,), "float32", True),
        Parameter("body.conv.spare", (3,), "float32", True),
    ]
    rows = summarized(annotate(net.graph())).rows
    assert [(row.kind, row.name, row.params) for row in rows[:2]] == [
        ("layer", "body.conv", 2),
        ("parameter", "body.conv.spare", 3),
    ]


def test_a_model_without_parameters() -> None:
    summary = package.summary(case("ViewWrites"))
    assert [(row.label, row.params, row.share) for row in summary.rows] == [("TOTAL", 0, None)]
    assert "No parameters." in str(summary)


def test_unknown_macs_are_never_zero() -> None:
    net = Net()
    x = net.layer("Conv2d", net.input())
    with net.scope("head"):
        net.layer("Linear", net.layer("Linear", x))
    net.nodes[-1] = replace(net.nodes[-1], macs=None)
    summary = summarized(annotate(net.graph()))
    said = {row.label: text for row, text in zip(summary.rows, _macs_column(summary), strict=True)}
    assert said == {
        "conv2d": "9.22k",
        "head.linear": "64",
        "head.linear_1": "?",
        "head_total": "over 64",
        "TOTAL": "over 9.28k",
    }
    rows = {label(row): row for row in rows_of(summary.written("json"))}
    assert (rows["head.linear_1"]["macs"], rows["head.linear_1"]["macs_unknown"]) == (None, 1)
    assert (rows["TOTAL"]["macs"], rows["TOTAL"]["macs_unknown"]) == (9216 + 64, 1)
    assert "plus 1 operation with unknown MACs" in str(summary)


def _macs_column(summary: Summary) -> list[str]:
    place = [column.key for column in summary.table.columns].index("macs_said")
    return [line.values[place] for line in summary.table.lines]


@pytest.mark.slow
def test_all_shows_layers_without_parameters_functions_too() -> None:
    rows = by_label(traced("densenet121"), all=True)
    assert rows["features.relu0"].type == "ReLU" and rows["adaptive_avg_pool2d"].output == (1, 1024, 1, 1)
    assert "features.relu0" not in by_label(traced("densenet121"))


def test_dtypes_and_bytes() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8).bfloat16())
    graph = package.trace(nn.Sequential(model[0]), torch.rand(1, 8))
    mixed = replace(graph, parameters=(*graph.parameters, Parameter("1.weight", (8, 8), "bfloat16", True)))
    assert summarized(mixed).totals.bytes == {"float32": 288, "bfloat16": 128}
    assert "288 bytes in float32, 128 bytes in bfloat16" in str(summarized(mixed))


# ---------------------------------------------------------------- order, sorting, sums


def test_rows_come_in_the_order_of_the_run_with_those_of_a_module_together() -> None:
    net = Net()
    x = net.input()
    for _ in range(2):
        for name in ("body", "head"):
            with net.scope(name):
                x = net.layer("Conv2d", x)
    for place, local in zip(range(3, 5), ("body.second", "head.second"), strict=True):
        net.nodes[place] = replace(net.nodes[place], path=local)
    rows = summarized(annotate(net.graph())).rows
    assert [row.label for row in rows] == [
        "body.conv2d", "body.second", "body_total", "head.conv2d", "head.second", "head_total", "TOTAL",
    ]  # fmt: skip


def test_a_module_of_one_entry_has_no_subtotal() -> None:
    labels = by_label(traced("vit_b_16"))
    assert "encoder.layers.encoder_layer_0.mlp_total" in labels and "encoder.layers_total" in labels
    assert "heads_total" not in labels


def test_sorting_shows_layers_alone() -> None:
    rows = package.summary(traced("resnet18"), sort="macs").rows
    layers = rows[:-1]
    assert all(row.kind == "layer" for row in layers) and layers[0].name == "conv1" and rows[-1].label == "TOTAL"
    assert [row.macs for row in layers] == sorted((row.macs for row in layers), reverse=True)


def test_names_are_sorted_as_people_count() -> None:
    names = [row.name for row in package.summary(traced("vgg16"), sort="name").rows]
    assert names[:4] == ["classifier.0", "classifier.3", "classifier.6", "features.0"] and names[-2] == "features.28"


def test_the_rest_of_the_largest_is_one_row() -> None:
    rows = package.summary(traced("vgg16"), top=2).rows
    assert [(row.label, row.params) for row in rows] == [
        ("classifier.0", 102764544), ("classifier.3", 16781312), ("14 more", 18811688), ("TOTAL", 138357544),
    ]  # fmt: skip
    assert [row.label for row in package.summary(traced("vgg16"), top=99).rows][-2:] == ["features.0", "TOTAL"]
    assert package.summary(traced("vgg16"), top=1, sort="macs").rows[0].macs == 1849688064


MANY = st.one_of(graphs(), staged_nets(), iterated_nets(), stopped(graphs()))


@given(
    MANY,
    st.none() | st.integers(1, 5),
    st.sampled_from([None, "params", "macs", "name"]),
    st.none() | st.integers(1, 4),
)
def test_rows_add_up(graph: ArchGraph, depth: int | None, sort: str | None, top: int | None) -> None:
    graph = annotate(graph)
    rows = summarized(graph, SummaryOptions(depth, sort, top, all=True)).rows
    plain = [row for row in rows if row.kind not in SUMS]
    total = rows[-1]
    for of in ("params", "macs", "macs_unknown", "frozen"):
        assert sum(getattr(row, of) for row in plain) == getattr(total, of)
    assert (total.params, total.macs) == (graph.total_params, graph.total_macs)
    assert total.macs_unknown == sum(node.macs is None for node in graph.nodes)
    used = [row.share for row in plain if row.used]
    assert sum(share or 0 for share in used) == pytest.approx(1 if graph.traced_params else 0)
    for place, row in enumerate(rows):
        if row.kind == "subtotal":
            inside = [other for other in rows[:place] if other.kind not in SUMS and other.used == row.used]
            inside = [other for other in inside if other.name == row.name or other.name.startswith(f"{row.name}.")]
            assert (
                sum(other.params for other in inside) == row.params and sum(other.macs for other in inside) == row.macs
            )
            assert len(inside) > 1


@given(MANY)
def test_a_depth_below_every_layer_changes_nothing(graph: ArchGraph) -> None:
    assert summarized(annotate(graph), SummaryOptions(depth=99)) == summarized(annotate(graph))


@pytest.mark.slow
@pytest.mark.parametrize("found", CASES, ids=lambda found: found.id)
def test_every_hard_case_adds_up(found: Any) -> None:
    graph = package.trace(found.build(), found.inputs())
    rows = package.summary(graph).rows
    assert sum(row.params for row in rows if row.kind not in SUMS) == graph.total_params
    assert sum(row.macs for row in rows if row.kind not in SUMS) == graph.total_macs
    assert all(row.type for row in rows if row.kind not in SUMS)


def test_a_layer_of_many_parameters_is_shared_out_without_comparing_them(monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.ParameterList(nn.Parameter(torch.zeros(2)) for _ in range(300))
    graph = package.trace(Wide(net), torch.zeros(2))
    compared: list[object] = []
    monkeypatch.setattr(Parameter, "__eq__", lambda self, other: compared.append(other) or self is other)
    rows = package.summary(graph).rows
    assert sum(row.params for row in rows if row.kind not in SUMS) == 600
    assert len(compared) < 3000


class Wide(nn.Module):
    """One step that reads many parameters."""

    def __init__(self, held: nn.ParameterList) -> None:
        super().__init__()
        self.held = held

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, *self.held])


@pytest.mark.parametrize("name", ["²", "٣" * 5000, "a1²", "1" * 20])
def test_names_of_any_digits_are_sorted(name: str) -> None:
    rows = package.summary(
        nn.Sequential(OrderedDict({name: nn.Linear(224, 2), "b": nn.Linear(2, 2)})), sort="name"
    ).rows
    assert {row.name for row in rows} == {name, "b", "TOTAL"}


@pytest.mark.parametrize(
    ("model", "size", "shape", "note"),
    [
        (
            nn.Sequential(nn.Conv2d(3, 8, 3)),
            (2, 3, 5, 5),
            "8×3×3",
            "omit the batch dimension (2)",
        ),
        (nn.Sequential(nn.Conv2d(3, 8, 3)), (3, 5, 5), "8×3×3", None),
        (nn.Sequential(nn.Flatten(0), nn.Linear(8, 2)), (2, 4), "2", None),
    ],
    ids=["batch", "no batch", "no dimension left"],
)
def test_output_shapes_lack_the_batch_only_where_there_is_one(
    model: nn.Module, size: tuple[int, ...], shape: str, note: str | None
) -> None:
    text = str(package.summary(package.trace(model, torch.zeros(size))))
    assert re.search(rf" {shape}( |$)", text, re.MULTILINE)
    assert ("Output shapes omit" in text) == (note is not None) and (note or "") in text


# ---------------------------------------------------------------- the command


def test_piped_it_is_plain_whatever_the_environment(
    fxviz: Command, saved: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = fxviz("summary", saved("resnet18"))
    assert result.status == 0 and result.err == ""
    assert result.out == written(package.summary(traced("resnet18")).table)


def on_terminal(*arguments: str | Path, **environment: str) -> str:
    """Return what the command writes to a terminal of 100 columns."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "FORCE_COLOR")}
    environment = {**clean, "TERM": "xterm-256color", **environment}
    command = [sys.executable, "-m", "fxviz", "summary", *map(str, arguments)]
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL, env=environment):
        os.close(theirs)
        text = b""
        with contextlib.suppress(OSError):  # the terminal's other end is closed
            while piece := os.read(ours, 65536):
                text += piece
    os.close(ours)
    return text.decode().replace("\r\n", "\n")


def widest(text: str) -> int:
    return max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in text.splitlines())


@pytest.mark.slow
def test_a_terminal_gets_bars_and_bold_sums_and_is_filled(saved: Callable[[str], Path]) -> None:
    text = on_terminal(saved("vgg16"))
    assert "█" in text and "\x1b[1mfeatures_total" in text and widest(text) == 100
    text = on_terminal(saved("vgg16"), COLUMNS="70", NO_COLOR="1")
    assert widest(text) <= 70 and not re.search(r"\x1b\[[0-9;]*3[0-9]", text)
    assert "\x1b" not in on_terminal(saved("vgg16"), "--format", "markdown")


@pytest.mark.parametrize("name", ["resnet18", "vgg16", "googlenet", "vit_b_16", *slow("fasterrcnn_resnet50_fpn")])
def test_nothing_is_wider_than_forty_columns(name: str) -> None:
    text = package.summary(traced(name)).written(width=40)
    assert widest(text) <= 40
    assert all(f"{row.params:,}" in text for row in package.summary(traced(name)).rows)


def test_csv_opens_in_pandas_with_numbers(fxviz: Command, saved: Callable[[str], Path]) -> None:
    frame = pandas.read_csv(io.StringIO(fxviz("summary", saved("googlenet"), "--format", "csv").out))
    for column in ("params", "share", "macs", "macs_unknown", "trainable", "frozen", "calls"):
        assert pandas.api.types.is_numeric_dtype(frame[column]), column
    assert pandas.api.types.is_bool_dtype(frame["used"])
    layers = frame[~frame["kind"].isin(SUMS)]
    assert layers["params"].sum() == 13004888 == frame[frame["kind"] == "total"]["params"].item()
    assert layers["share"].sum() == pytest.approx(1)
    assert set(frame["kind"]) == {"layer", "subtotal", "used", "unused", "total"}


def test_json_has_the_totals(fxviz: Command, saved: Callable[[str], Path]) -> None:
    said = json.loads(fxviz("summary", saved("resnet18"), "--format", "json").out)
    assert said["model"]["name"] == "resnet18" and said["inputs"] == {
        "x": {"shape": [1, 3, 224, 224], "dtype": "float32"}
    }
    assert said["totals"] == {
        "params": 11689512, "used_params": 11689512, "unused_params": 0,
        "trainable_params": 11689512, "frozen_params": 0,
        "buffers": 9620, "macs": 1814073344, "macs_unknown_operations": 0, "params_bytes": 46758048,
        "params_bytes_by_dtype": {"float32": 46758048},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--format", "xls"), "invalid --format 'xls': choose table, markdown, csv, json or latex"),
        (("--sort", "size"), "invalid --sort 'size': choose params, macs, time or name"),
        (("--depth", "0"), "invalid --depth 0: must be a whole number, 1 or greater"),
        (("--top", "0"), "invalid --top 0: must be a whole number, 1 or greater"),
        (("--device", "gpu"), "invalid --device 'gpu': choose meta, cpu, cuda or cuda:N"),
    ],
)
def test_what_does_not_fit_is_said_before_the_model_is_looked_for(
    fxviz: Command, options: tuple[str, str], said: str
) -> None:
    result = fxviz("summary", "no_such_model", *options)
    assert (result.status, result.out, result.err) == (2, "", f"fxviz: {said}\n")


def test_a_saved_graph_is_summarized_without_torch(without_torch: Command, saved: Callable[[str], Path]) -> None:
    result = without_torch("summary", saved("vgg16"))
    assert result.status == 0 and "classifier_total" in result.out


def test_a_run_that_fails_shows_what_ran_until_then(fxviz: Command, in_tmp: Path) -> None:
    Path("net.py").write_text(
        "from torch import nn\n\ndef net():\n"
        "    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Linear(5, 5), nn.Linear(4, 4))\n"
    )
    result = fxviz("summary", "net.py:net", "--partial")
    assert result.status == 1 and result.err.startswith("fxviz: cannot trace Sequential: 1 (Linear)")
    assert "The run stopped at 1: RuntimeError: " in result.out and "not reached" in result.out
    assert fxviz("summary", "net.py:net").status == 1 and fxviz("summary", "net.py:net").out == ""


def test_a_graph_saved_without_owners_is_summarized(fxviz: Command, in_tmp: Path) -> None:
    data = json.loads(traced("googlenet").to_json())
    for parameter in data["graph"]["parameters"]:
        del parameter["owner"]
    Path("old.json").write_text(json.dumps(data))
    frame = pandas.read_csv(io.StringIO(fxviz("summary", "old.json", "--format", "csv").out))
    assert frame[frame["name"] == "aux1.fc1"]["params"].item() == 2098176
    assert frame[frame["name"] == "aux1.fc1"]["type"].isna().all()


def test_owners_are_saved(resnet18: ArchGraph) -> None:
    assert resnet18.parameters[0].owner == "torch.nn.modules.conv.Conv2d"
    assert json.loads(resnet18.to_json())["graph"]["parameters"][0]["owner"] == "torch.nn.modules.conv.Conv2d"


def test_there_is_no_other_order() -> None:
    with pytest.raises(UsageError, match="invalid sort 'size'"):
        package.summary("resnet18", sort="size")
