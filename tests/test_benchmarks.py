"""The benchmarks start, and what cannot be measured is named. How long anything takes is asserted nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT, optional

BENCHMARKS = ROOT / "benchmarks"


@pytest.mark.parametrize("script", ["whole_process", "memory"])
def test_a_script_says_how_it_is_run(script: str) -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / f"{script}.py", "--help"], capture_output=True, text=True, env={"TERM": "dumb"}
    )
    assert done.returncode == 0, done.stderr
    assert "--rounds" in done.stdout and "--markdown" in done.stdout


def test_a_process_that_fails_is_named_and_stops_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from processes import Process, in_turn

    bad = Process("bad", (sys.executable, "-c", "raise SystemExit('no such thing')"))
    good = Process("good", (sys.executable, "-c", "open('good', 'a').write('.')"))
    costs, failures = in_turn([bad, good], tmp_path, rounds=2)
    assert failures == ["bad: left out, it failed: no such thing"]
    assert list(costs) == ["good"] and len(costs["good"]) == 2
    assert (tmp_path / "good").read_text() == "...", "a first round that does not count, then two"
    assert all(cost.peak > 1e6 for cost in costs["good"])


@pytest.mark.slow
def test_the_rooms_are_collected_and_one_is_measured(tmp_path: Path) -> None:
    optional("pytest_benchmark")
    command = [sys.executable, "-m", "pytest", str(BENCHMARKS), "-q", "-k", "test_growth and uneven-1000 or resnet18"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run([*command, "-p", "no:cacheprovider"], capture_output=True, text=True, cwd=tmp_path, env=alone)
    assert done.returncode == 0, done.stdout
    assert "Times as long for twice as many layers" in done.stdout
