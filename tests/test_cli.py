"""The command line through its public door: streams, files, exit status.

Exit status 2 with one line and no file: what was asked for does not exist or does not fit.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from conftest import ROOT, Result, posix_only, slow
from fxviz._graph import ArchGraph

Call = Callable[..., Result]

INTERRUPTED = """
import signal, sys, time
import fxviz._trace
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored here when the tests run in the background
def trace_slowly(*_, **__):
    print("tracing", flush=True)
    time.sleep(60)
fxviz._trace.trace_module = trace_slowly
from fxviz._cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def saved(tiny: ArchGraph, in_tmp: Path) -> Path:
    """Save a graph in the current, otherwise empty folder."""
    return tiny.save(in_tmp / "tiny.json")


def python(code: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, **options)  # type: ignore[call-overload,no-any-return]


def refused(result: Result, *words: str, status: int = 2) -> None:
    assert result.status == status, result
    assert result.out == ""
    assert result.err.startswith("fxviz: ")
    assert result.err.count("\n") == 1
    assert "Traceback" not in result.err
    for word in words:
        assert word in result.err


# -------------------- What was asked for does not exist or does not fit


def test_an_unknown_model_gets_near_names(fxviz: Call, in_tmp: Path) -> None:
    refused(fxviz("render", "resnet81", "-o", "out.svg"), "resnet81", "did you mean", "resnet18")
    assert os.listdir(in_tmp) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["render", "resnet18", "-o", "out.gif"], ["out.gif", ".svg, .png, .pdf, .dot, .json, .graphml or .mmd"]),
        (["render", "resnet18", "-o", "out"], ["'out'", ".svg, .png, .pdf, .dot, .json, .graphml or .mmd"]),
        (["trace", "resnet18", "-o", "out.svg"], ["out.svg", ".json"]),
        (["render", "resnet18", "-o", "no/out.svg"], ["no/out.svg", "the folder 'no' does not exist"]),
        (["trace", "resnet18", "-o", "."], ["it is a folder"]),
        (["render", "resnet18", "-o", "/proc/out.svg"], ["/proc/out.svg", "cannot create a file in its folder"]),
        (["render", "resnet18", "--engine", "/no/dot"], ["unknown layout engine '/no/dot'"]),
        (["render", "resnet18", "--theme", "sepia"], ["sepia", "auto, light, dark or pair"]),
        (["render", "resnet18", "--device", "gpu"], ["gpu", "meta, cpu, cuda or cuda:N"]),
        (["render", "no.json"], ["no.json", "No such file"]),
        (["render", "resnet18.json", "--device", "cpu"], ["traced already"]),
        (["trace", "resnet18.json"], ["fxviz render resnet18.json"]),
        (["render", "resnet18", "--thme", "dark"], ["--thme", "--theme"]),
        (["render"], ["MODEL", "fxviz render --help"]),
        (["trace", "a", "b"], ["b"]),
        (["rendr", "resnet18"], ["rendr", "did you mean render?"]),
        (["resnet18"], ["resnet18", "render, trace, summary, skips, explain, compare, info, list or cache"]),
        (["--no-such-option"], ["--no-such-option"]),
        (["render", "resnet18", "-o", "a\n\x1b[2Jb.gif"], [r"a\n\x1b[2Jb.gif"]),
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_one_line_without_torch(
    without_torch: Call, in_tmp: Path, arguments: list[str], words: list[str]
) -> None:
    refused(without_torch(*arguments), *words)
    assert os.listdir(in_tmp) == []


@pytest.mark.parametrize("text", ["", "[]", '{"graph": {}}', '{"graph": {"schema": "fxviz.graph/1"}}', "not json"])
def test_a_file_that_is_no_graph(fxviz: Call, in_tmp: Path, text: str) -> None:
    Path("bad.json").write_text(text)
    refused(fxviz("render", "bad.json", "-o", "out.svg"), "cannot read 'bad.json'", "fxviz trace MODEL -o FILE.json")
    assert os.listdir(in_tmp) == ["bad.json"]


def test_a_graph_cut_short(fxviz: Call, saved: Path) -> None:
    saved.write_text(saved.read_text()[:-20])
    refused(fxviz("render", saved), "it is not valid JSON")
    assert os.listdir(saved.parent) == ["tiny.json"]


def test_no_model_matches(fxviz: Call) -> None:
    refused(fxviz("list", "no-such-model"), "no-such-model")


def test_debug_shows_the_traceback_before_the_line(fxviz: Call, in_tmp: Path) -> None:
    result = fxviz("render", "no.json", "--debug")
    assert result.status == 2
    assert result.err.startswith("Traceback")
    assert result.err.splitlines()[-1].startswith("fxviz: cannot read 'no.json'")


def test_a_mistake_of_ours_is_one_line_too(fxviz: Call, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("row 3\nis missing")

    monkeypatch.setattr("fxviz._render.figure.draw", fail)
    refused(fxviz("render", saved), "internal error: ValueError: row 3 is missing", "--debug", status=1)
    assert fxviz("render", saved, "--debug").err.startswith("Traceback")


def test_an_empty_name_is_no_default(fxviz: Call, saved: Path) -> None:
    refused(fxviz("render", saved, "-o", ""), "cannot write to ''", ".graphml or .mmd")
    assert os.listdir() == ["tiny.json"]


def test_a_name_too_long_is_refused_at_once(fxviz: Call, saved: Path) -> None:
    refused(fxviz("render", saved, "-o", "x" * 300 + ".svg"), "File name too long")


def test_a_missing_value_points_to_the_commands_own_help(fxviz: Call) -> None:
    refused(fxviz("render", "resnet18", "--theme"), "see 'fxviz render --help'")


# -------------------- Streams that are closed or full

full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")


def shell(command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FXVIZ": f"{sys.executable} -m fxviz"}
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment, timeout=120)


@pytest.mark.slow
@full
@pytest.mark.parametrize("stream", ["/dev/full", *slow("&-")])
@pytest.mark.parametrize(
    "arguments",
    [
        "--version",
        "render tiny.json -o -",
        *slow("", "--help", "render --help", "list", "summary tiny.json"),
    ],
)
def test_standard_output_that_takes_nothing(saved: Path, arguments: str, stream: str) -> None:
    done = shell(f"$FXVIZ {arguments} >{stream}")
    reason = "Bad file descriptor" if stream == "&-" else "No space left on device"
    assert (done.returncode, done.stderr) == (1, f"fxviz: cannot write to standard output: {reason}\n")


@pytest.mark.slow
@full
@pytest.mark.parametrize("stream", ["&-", *slow("/dev/full")])
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("render tiny.json -o a.svg", 0),
        ("render no.json", 2),
        *slow(("render no.json --debug", 2), ("rendr", 2)),
    ],
)
def test_standard_error_that_takes_nothing(saved: Path, arguments: str, status: int, stream: str) -> None:
    done = shell(f"$FXVIZ {arguments} 2>{stream}")
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")
    assert Path("a.svg").exists() == (status == 0)


@pytest.mark.slow
@posix_only
def test_a_file_is_written_where_both_streams_are_closed(saved: Path) -> None:
    assert shell("$FXVIZ render tiny.json -o a.svg >&- 2>&- <&-").returncode == 0
    assert ET.parse("a.svg").getroot().tag.endswith("svg")


# -------------------- Help


@pytest.mark.parametrize(
    "arguments",
    [[], ["--help"], ["render", "--help"], ["trace", "-h"], ["list", "--help"], ["--version"]],
    ids=" ".join,
)
def test_help_needs_no_torch_and_fits_a_terminal(without_torch: Call, arguments: list[str]) -> None:
    result = without_torch(*arguments)
    assert (result.status, result.err) == (0, "")
    assert max(map(len, result.out.splitlines())) <= 80
    assert not re.search(r"\x1b|\[/?(bold|dim|red|cyan)|[╭│╰]", result.out)
    assert result.out.startswith("fxviz " if arguments == ["--version"] else "Usage: fxviz")


def test_without_arguments_the_commands_are_shown(fxviz: Call) -> None:
    shown = re.findall(r"^  (\w+)  ", fxviz().out.partition("Commands:")[2], re.MULTILINE)
    assert shown == ["render", "trace", "summary", "skips", "explain", "compare", "info", "list", "cache"]


def test_the_version(fxviz: Call) -> None:
    assert fxviz("--version") == Result(0, f"fxviz {version('fxviz')}\n", "")


# -------------------- A saved graph is drawn without torch


def test_a_saved_graph_is_drawn_without_torch(without_torch: Call, saved: Path) -> None:
    result = without_torch("render", "tiny.json", "-o", "out.svg")
    assert (result.status, result.out) == (0, "")
    assert result.err == "wrote out.svg: 2.71k parameters, 1 skip (1 identity); fc 94.7%, conv 5.3%\n"
    assert ET.parse("out.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_without_o_the_file_is_named_after_the_graph_and_stands_here(fxviz: Call, saved: Path) -> None:
    Path("graphs").mkdir()
    saved = saved.rename("graphs/tiny.json")
    assert fxviz("render", saved, "--quiet") == Result(0, "", "")
    assert sorted(os.listdir()) == ["graphs", "tiny.svg"]


def test_the_same_bytes_twice(fxviz: Call, saved: Path) -> None:
    for name in ("a.svg", "b.svg", "a.dot", "b.dot"):
        assert fxviz("render", saved, "-o", name).status == 0
    assert Path("a.svg").read_bytes() == Path("b.svg").read_bytes()
    assert Path("a.dot").read_bytes() == Path("b.dot").read_bytes()
    assert Path("a.dot").read_text().startswith("digraph")


def test_standard_output_gets_what_a_file_would(fxviz: Call, saved: Path) -> None:
    fxviz("render", saved, "-o", "a.svg")
    assert fxviz("render", saved, "-o", "-") == Result(0, Path("a.svg").read_text(encoding="utf-8"), "")


@pytest.mark.parametrize("theme", ["auto", "light", "dark"])
def test_each_theme(fxviz: Call, saved: Path, theme: str) -> None:
    assert fxviz("render", saved, "--theme", theme, "-o", "a.svg").status == 0
    assert ("prefers-color-scheme" in Path("a.svg").read_text(encoding="utf-8")) == (theme == "auto")


@posix_only
def test_a_failure_leaves_the_old_file(fxviz: Call, saved: Path) -> None:
    Path("out.svg").write_text("old")
    Path("engine").write_text("#!/bin/sh\nexit 3\n")
    Path("engine").chmod(0o755)
    refused(fxviz("render", saved, "-o", "out.svg", "--engine", "./engine"), "engine", status=1)
    assert Path("out.svg").read_text() == "old"
    assert sorted(os.listdir()) == ["engine", "out.svg", "tiny.json"]


@pytest.mark.slow
@posix_only
def test_a_reader_that_goes_away_is_no_error(saved: Path) -> None:
    code = "import sys; from fxviz._cli import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", code, "render", "tiny.json", "-o", "-"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, env=environment, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


# -------------------- Models by name


def test_rendering_a_model_tells_what_was_written(fxviz: Call, in_tmp: Path) -> None:
    result = fxviz("render", "resnet18")
    assert (result.status, result.out) == (0, "")
    assert result.err == (
        "wrote resnet18.svg: 11.69M parameters, 8 skips (5 identity, 3 projection); "
        "layer4 71.8%, layer3 18.0%, layer2 4.5%\n"
    )
    assert os.listdir(in_tmp) == ["resnet18.svg"]


@pytest.mark.slow
def test_a_saved_trace_draws_the_same_figure(fxviz: Call, in_tmp: Path) -> None:
    assert fxviz("trace", "resnet18").err.startswith("wrote resnet18.json: 11.69M parameters, 8 skips")
    assert (
        fxviz("render", "resnet18", "-o", "a.svg", "-q")
        == fxviz("render", "resnet18.json", "-o", "b.svg", "-q")
        == Result(0, "", "")
    )
    assert Path("a.svg").read_bytes() == Path("b.svg").read_bytes()


def test_the_same_trace_twice_gives_the_same_bytes(fxviz: Call, in_tmp: Path) -> None:
    first, second = fxviz("trace", "resnet18", "-o", "-"), fxviz("trace", "resnet18", "-o", "-")
    assert first == second
    assert json.loads(first.out)["graph"]["totals"]["params"] == 11_689_512


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("resnet?8", ["resnet18"]),
        ("ResNet?8", ["resnet18"]),
        ("vgg*_bn", ["vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"]),
    ],
)
def test_list(fxviz: Call, pattern: str, names: list[str]) -> None:
    assert fxviz("list", pattern) == Result(0, "\n".join(names) + "\n", "")


def test_list_without_a_pattern_lists_every_model(fxviz: Call) -> None:
    assert len(fxviz("list").out.splitlines()) >= 80


@pytest.mark.parametrize("command", ["render", "trace"])
def test_an_interrupt_in_a_trace_leaves_no_file(
    fxviz: Call, in_tmp: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fxviz._trace.trace_module", interrupt)
    result = fxviz(command, "squeezenet1_1", "--no-cache")
    assert (result.status, result.out, result.err.strip()) == (130, "", "")
    assert os.listdir(in_tmp) == []


@posix_only
@pytest.mark.slow
@pytest.mark.parametrize("command", ["render", "trace"])
def test_ctrl_c_leaves_no_file_and_no_traceback(in_tmp: Path, command: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-c", INTERRUPTED, command, "resnet18"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    assert process.stderr.readline() == "tracing\n"  # what is printed in a trace goes there
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.strip() == ""
    assert os.listdir(in_tmp) == []


INTERRUPTED_EARLY = """
import signal, sys, os
signal.signal(signal.SIGINT, signal.default_int_handler)
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from fxviz.__main__ import main
sys.exit(main())
"""


@posix_only
def test_ctrl_c_while_modules_are_imported() -> None:
    done = python(INTERRUPTED_EARLY, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.slow
def test_the_clones_door(in_tmp: Path) -> None:
    done = subprocess.run([sys.executable, str(ROOT / "cli.py"), "--help"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: fxviz")


def test_as_a_module(in_tmp: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "fxviz", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60).stdout.startswith(
        "fxviz "
    )
