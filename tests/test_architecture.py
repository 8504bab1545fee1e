"""Who imports whom: the contracts in pyproject.toml hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

from conftest import ROOT


def test_import_contracts_hold(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert status == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("fxviz", {"torch", "networkx", "rich", "numpy", "typer"}),
        ("fxviz.__main__", {"torch", "networkx", "rich", "numpy", "typer", "fxviz._cli"}),
        ("fxviz._cli", {"torch", "networkx", "rich", "numpy", "fxviz._sources.resolve", "importlib.metadata"}),
        ("fxviz._api", {"torch", "networkx", "rich", "numpy"}),
        ("fxviz._sources", {"torch", "torchvision"}),
        ("fxviz._view", {"torch", "torchvision"}),
        ("fxviz._render.ledger", {"torch", "torchvision"}),
        ("fxviz._render.engine", {"torch", "torchvision"}),
    ],
)
def test_a_door_is_light(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    assert not heavy & set(loaded)


def test_the_clones_door_is_not_in_the_wheel() -> None:
    """A top-level module called ``cli`` would clash with others."""
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    assert 'packages = ["fxviz"]' in lines
    assert len(Path(ROOT / "cli.py").read_text(encoding="utf-8").splitlines()) < 10
