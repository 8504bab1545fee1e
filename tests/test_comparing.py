"""``fxviz compare``: models side by side."""

from __future__ import annotations

import csv
import inspect
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

import fxviz
from conftest import Result, slow
from fxviz._graph import ArchGraph, Parameter, WeightsInfo
from fxviz._graph.errors import UsageError
from fxviz._report.explain import explained
from fxviz._report.tables.forms import written
from models import traced

Call = Callable[..., Result]


def compared(*names: str) -> fxviz.Comparison:
    return fxviz.compare(*map(traced, names))


def test_vgg16_against_resnet18() -> None:
    assert compared("vgg16", "resnet18").sentences == (
        "vgg16 has 11.8x the parameters of resnet18 (138.36M vs. 11.69M): "
        "classifier.0 (Linear 25088 → 4096) alone holds 102.76M, 8.8x as many as all of resnet18.",
        "vgg16 needs 8.5x the MACs (15.47 GMACs vs. 1.81 GMACs).",
    )
    assert compared("resnet18", "vgg16").sentences == compared("vgg16", "resnet18").sentences


LINEAR = "classifier.0 (Linear 25088 → 4096) alone holds 102.76M"


@pytest.mark.parametrize(
    ("names", "times", "why"),
    [
        (
            ("resnet34", "resnet18"),
            "resnet34 has 1.9x the parameters of resnet18 (21.80M vs. 11.69M)",
            ": layer3 holds 6.82M of them, compared with 2.10M",
        ),
        (
            ("resnet18", "vit_b_16", "vgg16"),
            "vgg16 has 11.8x the parameters of resnet18 (138.36M vs. 11.69M)",
            f": {LINEAR}, 8.8x as many as all of resnet18",
        ),
        (
            ("vgg16", "vit_b_16"),
            "vgg16 has 1.6x the parameters of vit_b_16 (138.36M vs. 86.57M)",
            f": {LINEAR}, 1.2x as many as all of vit_b_16",
        ),
        (
            ("googlenet", "densenet121"),
            "googlenet has 1.6x the parameters of densenet121 (13.00M vs. 7.98M)",
            ": 6.38M of them are not used in this run; it uses 6.62M, densenet121 uses 7.98M",
        ),
        (("resnet18", "resnet18"), "resnet18 and resnet18 (2) have the same number of parameters (11.69M)", ""),
    ],
)
def test_what_makes_the_difference(names: tuple[str, ...], times: str, why: str) -> None:
    assert compared(*names).sentences[0] == f"{times}{why}."


@pytest.mark.parametrize(("width", "name"), [(None, "piped"), (100, "100"), (80, "80")])
def test_tables(width: int | None, name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"compare/vgg16_resnet18_{name}.txt", compared("vgg16", "resnet18").written("table", width))


def test_other_forms(golden: Callable[[str, str], None]) -> None:
    two = compared("vgg16", "resnet18")
    golden("compare/vgg16_resnet18.md", two.written("markdown"))
    golden("compare/vgg16_resnet18.tex", two.written("latex"))
    golden("compare/vgg16_resnet18.json", two.written("json"))


def test_json_has_a_row_for_each_model() -> None:
    found = json.loads(compared("vgg16", "resnet18", "mobilenet_v2").written("json"))
    assert found["models"] == [row["model"] for row in found["rows"]] == ["vgg16", "resnet18", "mobilenet_v2"]
    for row in found["rows"]:
        graph = traced(row["model"])
        assert (row["params"], row["macs"]) == (graph.total_params, graph.total_macs)
        shares = [value for key, value in row.items() if key.startswith("share.") and value is not None]
        assert sum(shares) == pytest.approx(1)
    smallest = found["rows"][2]
    assert (smallest["params_ratio"], smallest["macs_ratio"]) == (1, 1)
    assert found["rows"][0]["params_ratio"] == pytest.approx(138357544 / 3504872)


def test_csv_has_numbers() -> None:
    rows = list(csv.DictReader(io.StringIO(compared("vgg16", "resnet18").written("csv"))))
    assert [float(row["params"]) for row in rows] == [138357544, 11689512]
    assert float(rows[0]["share.classifier.0"]) == pytest.approx(102764544 / 138357544)
    assert rows[1]["share.classifier.0"] == ""


def test_parts_are_cut_alike_in_all_models() -> None:
    """vgg16's classifier is taken apart; densenet121's is one layer, and stays one."""
    parts = {side.name: [part.path for part in side.parts] for side in compared("vgg16", "densenet121").sides}
    assert parts["vgg16"][-3:] == ["classifier.0", "classifier.3", "classifier.6"]
    assert parts["densenet121"][-1] == "classifier"
    for side in compared("vgg16", "densenet121").sides:
        assert sum(part.amount.params for part in side.parts) == side.facts.used_params


def test_equal_names_of_two_sources(tiny: ArchGraph) -> None:
    other = replace(tiny, model=replace(tiny.model, source="net.py"))
    assert [side.name for side in fxviz.compare(tiny, other, tiny).sides] == [
        "python:tiny",
        "net.py:tiny",
        "python:tiny (2)",
    ]


def test_a_model_without_parameters(tiny: ArchGraph) -> None:
    empty = replace(
        tiny, nodes=tiny.nodes[:1], edges=(), parameters=(), skips=(), model=replace(tiny.model, name="empty")
    )
    both = fxviz.compare(tiny, empty)
    assert both.sentences[0].startswith("tiny has parameters, empty has none (2.71k vs. 0): ")
    assert "× the smallest" not in both.written()
    assert (
        fxviz.compare(empty, empty)
        .written()
        .startswith("empty and empty (2) have the same number of parameters (0).\n")
    )


def test_unused_parameters_are_the_reason_where_they_are_most_of_it(tiny: ArchGraph) -> None:
    """Parts are of what the run uses, and say nothing of the rest."""
    spare = replace(tiny, parameters=(*tiny.parameters, Parameter("aux.weight", (1000,), "float32", True)))
    said = fxviz.compare(spare, tiny).sentences[0]
    assert said == (
        "tiny has 1.4x the parameters of tiny (2) (3.71k vs. 2.71k): 1.00k of them are not used in this run; "
        "it uses 2.71k, tiny (2) uses 2.71k."
    )
    bare = replace(tiny, nodes=tiny.nodes[:1], edges=(), skips=(), model=replace(tiny.model, name="bare"))
    nothing = replace(bare, parameters=(), model=replace(tiny.model, name="nothing"))
    assert fxviz.compare(bare, nothing).sentences[0] == (
        "bare has parameters, nothing has none (2.71k vs. 0): 2.71k of them are not used in this run; "
        "it uses 0, nothing uses 0."
    )


def test_a_small_part_of_the_difference_is_no_reason(tiny: ArchGraph) -> None:
    names = [f"layer{place}" for place in range(10)]
    nodes = tuple(replace(tiny.nodes[1], id=name, path=name, uses=(f"{name}.weight",), params=144) for name in names)
    parameters = tuple(Parameter(f"{name}.weight", (144,), "float32", True) for name in names)
    many = replace(tiny, nodes=nodes, edges=(), skips=(), parameters=parameters)
    one = replace(many, nodes=nodes[:1], parameters=parameters[:1])
    assert fxviz.compare(many, one).sentences[0].endswith(": the difference is spread over many parts.")


def test_weights_are_named(tiny: ArchGraph) -> None:
    tuned = replace(tiny, model=replace(tiny.model, weights=WeightsInfo("tuned.pt", "float32")))
    said = fxviz.compare(tiny, tuned).written()
    assert "\nweights" in said and "tuned.pt" in said
    assert [row["weights"] for row in json.loads(fxviz.compare(tiny, tuned).written("json"))["rows"]] == [
        None,
        "tuned.pt",
    ]
    assert "weights tuned.pt" in str(fxviz.summary(tuned)).splitlines()[0]
    assert json.loads(fxviz.summary(tuned).written("json"))["model"]["weights"] == "tuned.pt"
    assert "with weights tuned.pt" in fxviz.explain(tuned).title


def test_every_run_that_stopped_is_told(in_tmp: Path, fxviz: Call) -> None:
    Path("net.py").write_text(
        "from torch import nn\ndef a():\n    return nn.Sequential(nn.Linear(4, 4), nn.Linear(5, 4))\n"
        "def b():\n    return nn.Sequential(nn.Linear(4, 4), nn.Linear(6, 4))\n"
    )
    done = fxviz("compare", "net.py:a", "net.py:b", "--partial", "--input", "1x4:float32", "-q")
    assert done.status == 1 and done.out and [line.count("cannot trace") for line in done.err.splitlines()] == [1, 1]


def test_documents_are_written_alike(tiny: ArchGraph) -> None:
    documents = (fxviz.compare(tiny, tiny), fxviz.summary(tiny), explained(tiny))
    assert len({tuple(inspect.signature(document.written).parameters) for document in documents}) == 1
    for document in documents:
        with pytest.raises(UsageError, match="invalid format 'excel'"):
            document.written("excel")


def test_a_failed_run_is_noted(tiny: ArchGraph) -> None:
    from random_graphs import stopped_at

    assert "The run of tiny stopped early" in fxviz.compare(stopped_at(tiny, "fc"), tiny).written()


def test_names_are_harmless(tiny: ArchGraph) -> None:
    hostile = replace(tiny, model=replace(tiny.model, name="=cmd|'x'\x1b[2J<script>\n"))
    for form in ("table", "markdown", "csv", "json", "latex"):
        said = fxviz.compare(hostile, tiny).written(form)
        assert all(sign.isprintable() or sign in "\r\n" for sign in said), form
        assert form != "markdown" or "<script>" not in said
        assert form != "csv" or "\n=cmd" not in said


def test_the_command(tmp_path: Path, fxviz: Call, tiny: ArchGraph) -> None:
    """A saved graph beside a name; how to run applies to the name alone, and is remarked on once."""
    saved = tiny.save(tmp_path / "tiny.json")
    done = fxviz("compare", saved, "resnet18", "vgg11", "--input", "3x64x64", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert done.status == 0 and done.err.count("is taken for one image") == 1
    assert [(row["model"], row["input"]) for row in rows] == [
        ("tiny", "1x4x8x8"),
        ("resnet18", "1x3x64x64"),
        ("vgg11", "1x3x64x64"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny.json"], "fxviz: nothing to compare 'tiny.json' with: name two models or more\n"),
        (["tiny.json", "none.json"], "fxviz: cannot read 'none.json': No such file or directory\n"),
        (
            ["tiny.json", "tiny.json", "--batch", "2"],
            "fxviz: 'tiny.json' is traced already: leave out --batch, or trace the model again with it\n",
        ),
        (
            ["a", "b", "--format", "excel"],
            "fxviz: invalid --format 'excel': choose table, markdown, csv, json or latex\n",
        ),
    ],
    ids=["one", "missing", "run a saved one", "form"],
)
def test_what_cannot_be_compared(
    arguments: list[str],
    message: str,
    in_tmp: Path,
    tiny: ArchGraph,
    fxviz: Call,
) -> None:
    tiny.save("tiny.json")
    assert fxviz("compare", *arguments) == Result(2, "", message)


def test_a_model_that_fails_is_named(in_tmp: Path, fxviz: Call) -> None:
    Path("net.py").write_text(
        "from torch import nn\nclass Net(nn.Module):\n    def forward(self, x):\n        raise ValueError('no')\n"
    )
    done = fxviz("compare", "resnet18", "net.py:Net", "-q")
    assert done.status == 1 and done.out == ""
    assert done.err.startswith("fxviz: net.py:Net: cannot trace Net") and done.err.count("\n") == 1


def test_a_file_of_weights_is_that_of_one_model(in_tmp: Path, fxviz: Call) -> None:
    done = fxviz("compare", "net.py:A", "net.py:B", "--weights", "a.safetensors")
    assert done == Result(
        2,
        "",
        "fxviz: --weights a.safetensors is a file, which fits one model: trace each to .json "
        "(fxviz trace MODEL --weights FILE -o NAME.json) and compare these\n",
    )
    assert "which fits one model" not in fxviz("compare", "net.py:A", "net.py:A", "--weights", "a.safetensors").err
    assert "which fits one model" not in fxviz("compare", "net.py:A", "net.py:B", "--weights", "DEFAULT").err


def test_where_one_input_does_not_fit_all_models_the_way_out_is_said(
    in_tmp: Path, tiny: ArchGraph, fxviz: Call
) -> None:
    Path("net.py").write_text(
        "from torch import nn\ndef a():\n    return nn.Linear(4, 2)\ndef b():\n    return nn.Linear(8, 2)\n"
        "class C(nn.Module):\n    def forward(self, x):\n        raise ValueError('no')\n"
    )
    tiny.save("tiny.json")
    advice = (
        "; where one --input does not fit all models, trace each to .json (fxviz trace MODEL --input SPEC -o NAME.json)"
    )
    assert advice in fxviz("compare", "net.py:a", "net.py:b", "--input", "1x4", "-q").err
    assert advice in fxviz("compare", "net.py:a", "net.py:b", "-q").err
    assert advice not in fxviz("compare", "tiny.json", "net.py:b", "--input", "1x4", "-q").err


@pytest.mark.parametrize("names", [("resnet18", "vgg16"), *slow((("resnet18", "vgg16", "fasterrcnn_resnet50_fpn"),))])
def test_numbers_and_what_they_are_of_are_never_cut(names: tuple[str, ...]) -> None:
    def cells(width: int | None) -> dict[str, list[str]]:
        first, _ = compared(*names).tables()
        lines = written(first, width=width).partition("─\n")[2].partition("\n\n")[0].splitlines()
        return {cells[0]: cells[1:] for line in lines if (cells := re.split(" {2,}", line))}

    names_in_it = "largest layer", "its type"
    whole, narrow = cells(None), cells(40)
    assert list(whole) == list(narrow)
    assert all(whole[label] == narrow[label] for label in whole if label not in names_in_it)
    assert narrow["largest layer"] != whole["largest layer"] or len(names) == 2


def test_three_models_fit_eighty_columns() -> None:
    text = compared("vgg16", "resnet18", "fasterrcnn_resnet50_fpn").written(width=80)
    assert max(map(cell_len, text.splitlines())) <= 80
    assert "25088 → 4096" in text and "3×3, 512 → 512" in text and "activation memory" in text


def test_print_shows_the_tables(tiny: ArchGraph) -> None:
    comparison, explanation = fxviz.compare(tiny, tiny), fxviz.explain(tiny)
    assert f"{comparison}\n" == comparison.written() and f"{explanation}\n" == explanation.written()
    assert isinstance(explanation, fxviz.Explanation) and explanation.written("markdown").startswith("# tiny")


def test_too_few_from_python(tiny: ArchGraph) -> None:
    with pytest.raises(UsageError, match="nothing to compare: pass two models or more"):
        fxviz.compare(tiny)


def test_representations_are_one_short_line(tiny: ArchGraph) -> None:
    """``print`` shows everything, a prompt only which one it is."""
    summary = fxviz.summary(tiny)
    values = (
        fxviz.compare(tiny, tiny),
        fxviz.explain(tiny),
        summary,
        summary.rows[0],
        fxviz.Information("tiny", "T", ""),
    )
    assert [repr(value) for value in values] == [
        "<Comparison tiny, tiny (2)>",
        "<Explanation tiny: Tiny, run on x 1×4×8×8: 7 sections, 17 sentences>",
        "<Summary tiny: 3 rows, 2,714 parameters, 11.78 kMACs>",
        "<Row layer conv: 144 parameters, 9.22 kMACs>",
        "<Information tiny: T>",
    ]


def test_representations_of_long_names_are_short() -> None:
    from random_graphs import Net

    net = Net()
    with net.scope("\x1b" * 500):
        net.output(net.layer("Linear", net.input()))
    graph = net.graph()
    graph = replace(graph, model=replace(graph.model, name="\x1b" * 500, cls="\x1b" * 500))
    summary, known = fxviz.summary(graph), fxviz.Information("\x1b" * 500, "\x1b" * 500, "", params=10**9)
    for value in (fxviz.compare(*[graph] * 9), fxviz.explain(graph), summary, *summary.rows, known):
        assert len(repr(value)) <= 200 and repr(value).isprintable()
