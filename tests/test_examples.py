"""The examples run and write what they say."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from conftest import ROOT


def test_own_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples/own_model.py"), run_name="__main__")
    assert "307,713 parameters" in capsys.readouterr().out
    assert (tmp_path / "scorer.svg").read_text(encoding="utf-8").startswith("<svg")


def test_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["figures.py", str(tmp_path / "out"), "alexnet"])
    runpy.run_path(str(ROOT / "examples/figures.py"), run_name="__main__")
    assert "61,100,840 parameters" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["alexnet-dark.svg", "alexnet-light.svg"]


def test_hub_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("timm")
    monkeypatch.setattr(sys, "argv", ["hub_table.py", "timm", "resnet[13][48]"])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    runpy.run_path(str(ROOT / "examples/hub_table.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:5] for line in lines[1:3]] == [
        ["timm:resnet18", "fake", "87", "11,689,512", "0"],
        ["timm:resnet34", "fake", "159", "21,797,672", "0"],
    ]
    assert lines[-1] == "totals exact for 2"
