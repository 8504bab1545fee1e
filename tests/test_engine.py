"""The layout engine: which one is used, and the messages when it is missing, fails or hangs."""

from __future__ import annotations

import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from fxviz._graph.errors import EngineError, UsageError
from fxviz._render.engine import find_engine, lay_out

posix = pytest.mark.skipif(sys.platform == "win32", reason="the fake engines are shell scripts")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Make an empty folder the whole PATH, and hide graphviz-pure."""

    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_graph_becomes_svg() -> None:
    assert "<svg" in lay_out("digraph { a -> b }")


def test_the_engine_is_found_without_a_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Path(find_engine()).is_file()


def test_the_engine_of_a_package_elsewhere_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With ``pip install --target`` or ``--user`` its program is not beside the interpreter."""
    here = find_engine()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Path(find_engine()).samefile(here)


@posix
def test_dot_on_path_is_the_fallback(bare: Path) -> None:
    dot = script(bare / "dot", "echo '<svg/>'")
    assert find_engine() == dot
    assert lay_out("digraph {}") == "<svg/>\n"


@posix
def test_a_given_engine_wins(tmp_path: Path) -> None:
    assert lay_out("digraph {}", script(tmp_path / "mine", "echo '<svg id=\"mine\"/>'")) == '<svg id="mine"/>\n'


def test_no_engine_at_all_says_how_to_get_one(bare: Path) -> None:
    with pytest.raises(EngineError, match="no layout engine: pip install graphviz-pure, or install Graphviz"):
        lay_out("digraph {}")


@pytest.mark.parametrize("name", ["no-such-engine", "/no/such/engine", ""])
def test_a_given_engine_that_does_not_exist_is_the_callers_mistake(name: str) -> None:
    with pytest.raises(UsageError, match=f"unknown layout engine '{name}'"):
        lay_out("digraph {}", name)


@pytest.mark.parametrize(
    ("dot", "message"),
    [
        ("digraph {", "syntax error in line 1"),
        ("digraph { a [label=<<b>x</i>>] }", "failed: Error"),
        ("", "wrote no SVG"),
    ],
)
def test_bad_dot_is_an_engine_error(dot: str, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        lay_out(dot)


@posix
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("echo 'Warning: odd' >&2; echo 'Error: broken' >&2; echo '<svg/>'; exit 1", "'fake' failed: Error: broken$"),
        ("exit 3", "'fake' failed: exit status 3$"),
        ("kill -9 $$", "'fake' failed: exit status -9$"),
        ("exec <&-; exit 4", "'fake' failed: exit status 4$"),
        ("exit 0", "'fake' wrote no SVG: it printed no error$"),
        ("echo 'odd input' >&2", "'fake' wrote no SVG: odd input$"),
    ],
)
def test_a_failing_engine_is_quoted_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        lay_out("digraph { " + "a; " * 100_000 + "}", script(tmp_path / "fake", text))


@posix
def test_a_program_that_cannot_start_is_an_engine_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x00not a program")
    broken.chmod(0o755)
    with pytest.raises(EngineError, match="cannot run the layout engine"):
        lay_out("digraph {}", str(broken))


@posix
def test_a_hanging_engine_is_stopped_with_its_children(tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(EngineError, match=r"took longer than 0\.3 s"):
        lay_out("digraph {}", script(tmp_path / "slow", "sleep 20 & sleep 20"), timeout=0.3)
    assert time.monotonic() - start < 10
