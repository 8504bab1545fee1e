"""The examples run and write what they say."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ROOT, Result, optional

Call = Callable[..., Result]


@pytest.mark.parametrize(
    ("example", "figure", "said", "shown"),
    [
        ("custom_model", "scorer", "307,713 parameters", ["text", "picture", "concat", "Linear 512→128", "+"]),
        (
            "unet",
            "unet",
            "31,042,434 parameters, 4 concat skips",
            ["concat", "down.3", "Transposed Conv 2×2 1024→512 /2"],
        ),
        (
            "transformer",
            "decoder",
            "5,027,840 parameters, 12 identity skips",
            ["×6", "Attention", "shared", "position"],
        ),
    ],
)
def test_a_model_of_your_own(
    example: str, figure: str, said: str, shown: list[str], in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runpy.run_path(str(ROOT / f"examples/{example}.py"), run_name="__main__")
    assert said in capsys.readouterr().out
    texts = [element.text for element in ET.parse(f"{figure}.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert [word for word in shown if not any(word in (text or "") for text in texts)] == []


@pytest.mark.parametrize("example", ["custom_model", "unet", "transformer"])
def test_the_command_in_an_example_draws_the_same(example: str, fxviz: Call, in_tmp: Path) -> None:
    path = ROOT / f"examples/{example}.py"
    command = re.search(r"^ +fxviz (render .*)$", path.read_text(), re.MULTILINE)
    assert command
    result = fxviz(*(str(ROOT / word) if word.startswith("examples/") else word for word in shlex.split(command[1])))
    assert result.status == 0, result.err
    runpy.run_path(str(path))["main"]()
    assert len(list(in_tmp.iterdir())) == 1


@pytest.mark.slow
def test_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["figures.py", str(tmp_path / "out"), "alexnet"])
    runpy.run_path(str(ROOT / "examples/figures.py"), run_name="__main__")
    assert "61,100,840 parameters" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["alexnet-dark.svg", "alexnet-light.svg"]


@pytest.mark.slow
def test_hub_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    optional("timm")
    monkeypatch.setattr(sys, "argv", ["hub_table.py", "timm", "resnet[13][48]"])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    runpy.run_path(str(ROOT / "examples/hub_table.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:5] for line in lines[1:3]] == [
        ["timm:resnet18", "fake", "87", "11,689,512", "0"],
        ["timm:resnet34", "fake", "159", "21,797,672", "0"],
    ]
    assert lines[-1] == "totals exact for 2"


@pytest.mark.slow
def test_figure_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["figure_table.py", "resnet?8", str(tmp_path / "out")])
    runpy.run_path(str(ROOT / "examples/figure_table.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:5] == ["resnet18", "ledger", "32", "574", "859"]
    assert lines[-1] == "larger than 1420 pt or 80 rows: none"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["resnet18.svg"]
