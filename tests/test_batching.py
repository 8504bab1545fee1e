"""Many figures by one command. Models are saved graphs where possible: their workers need no torch.

``ENGINE`` is a layout engine that does something of its own for graphs with a certain name: it waits for long, or kills
the worker that asked it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT, Result, optional, posix_only, slow
from fxviz._cli.batch import dask
from fxviz._cli.batch.workers import in_processes
from fxviz._graph import ArchGraph
from fxviz._render.engine import find_engine

Call = Callable[..., Result]

ENGINE = """#!/bin/sh
dot="$(cat)"
case "$dot" in
    *hangs*) sleep 60 ;;
    *kills*) kill -9 $PPID ;;
    *) printf '%s' "$dot" | '{engine}' "$@" ;;
esac
"""

NETS = """
import torch
class Good(torch.nn.Sequential):
    def __init__(self, width=4):
        super().__init__(torch.nn.Linear(3, width), torch.nn.ReLU())
class Bad(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(3, 4)
    def forward(self, x):
        x = self.first(x)
        print("about to fail")
        raise ValueError("not today")
class Odd(BaseException):
    pass
class Worse(Bad):
    def forward(self, x):
        raise Odd("not an error")
"""


@pytest.fixture
def save(tiny: ArchGraph, in_tmp: Path) -> Callable[..., list[str]]:
    """Save graphs with these names in the current folder; the names of their files."""

    def saved(*names: str) -> list[str]:
        for name in names:
            replace(tiny, model=replace(tiny.model, name=name)).save(in_tmp / f"{name}.json")
        return [f"{name}.json" for name in names]

    return saved


@pytest.fixture
def engine(in_tmp: Path) -> str:
    path = in_tmp / "engine"
    path.write_text(ENGINE.format(engine=find_engine()))
    path.chmod(0o755)
    return str(path)


def files(folder: str) -> list[str]:
    return sorted(os.listdir(folder))


def lines(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(start)]


# -------------------- What is drawn, and where


@pytest.mark.parametrize("jobs", ["1", *slow("2")])
def test_each_figure_has_the_bytes_that_it_has_alone(fxviz: Call, save: Callable[..., list[str]], jobs: str) -> None:
    graphs = save("a", "b", "c")
    result = fxviz("render", *graphs, "-o", "new/figures/", "--jobs", jobs)
    assert (result.status, result.out) == (0, "")
    *written, summary = result.err.splitlines()
    assert summary == "3 of 3 figures written to new/figures/"
    assert sorted(line.partition(":")[0] for line in written) == [f"wrote new/figures/{name}.svg" for name in "abc"]
    assert files("new/figures") == ["a.svg", "b.svg", "c.svg"]
    for graph in graphs:
        fxviz("render", graph, "-o", "alone.svg")
        assert Path("alone.svg").read_bytes() == Path("new/figures", graph).with_suffix(".svg").read_bytes()


def test_one_model_may_go_into_a_folder(fxviz: Call, save: Callable[..., list[str]]) -> None:
    save("a")
    assert fxviz("render", "a.json", "-o", "figures/").err.startswith("wrote figures/a.svg: ")
    assert fxviz("render", "a.json", "-o", "figures", "--format", "mmd").err.count("\n") == 1
    assert files("figures") == ["a.mmd", "a.svg"]


def test_without_a_folder_they_are_written_here(fxviz: Call, save: Callable[..., list[str]]) -> None:
    fxviz("render", *save("a", "b"), "--format", "dot", "--quiet")
    assert files(".") == ["a.dot", "a.json", "b.dot", "b.json"]


def test_models_of_one_name_get_files_of_their_own(fxviz: Call, save: Callable[..., list[str]]) -> None:
    save("a", "A")
    Path("old").mkdir()
    shutil.copy("A.json", "old/a.json")
    result = fxviz("render", "a.json", "old/a.json", "a.json", "-o", "figures")
    assert result.err.splitlines()[0] == "old/a.json is drawn in a-2.svg"
    assert ">A<" in Path("figures/a-2.svg").read_text() and ">a<" in Path("figures/a.svg").read_text()
    assert files("figures") == ["a-2.svg", "a.svg"]


@pytest.mark.slow
def test_pairs_are_two_files_each_and_their_snippets_come_in_order(fxviz: Call, save: Callable[..., list[str]]) -> None:
    result = fxviz("render", *save("a", "b"), "-o", "out", "--theme", "pair")
    assert files("out") == ["a-dark.svg", "a-light.svg", "b-dark.svg", "b-light.svg"]
    assert re.findall(r'src="(.*?)"', result.out) == ["out/a-light.svg", "out/b-light.svg"]
    fxviz("render", "a.json", "-o", "a.svg", "--theme", "pair")
    assert Path("a-dark.svg").read_bytes() == Path("out/a-dark.svg").read_bytes()


def test_a_pattern_stands_for_the_models_that_list_shows(fxviz: Call, in_tmp: Path) -> None:
    listed = fxviz("list", "AlexNe?").out.split()
    result = fxviz("render", "AlexNe?", "alexnet", "-o", "figures", "--format", "mmd")
    assert (result.status, listed) == (0, ["alexnet"])
    assert files("figures") == ["alexnet.mmd"]


def test_brackets_in_arguments_are_no_pattern(fxviz: Call, in_tmp: Path) -> None:
    Path("nets.py").write_text(NETS)
    result = fxviz("render", "nets.py:Good(width=[4][0])", "-o", "a.svg")
    assert "cannot read 'nets.py:Good(width=[4][0])'" in result.err and "matches" not in result.err


def test_quiet_says_failures_alone(fxviz: Call, save: Callable[..., list[str]]) -> None:
    graphs = save("a", "b")
    assert fxviz("render", *graphs, "-o", "out", "-q") == Result(0, "", "")
    failed = fxviz("render", *graphs, "-o", "out", "-q", "--depth", "1", "--color-by", "time")
    assert failed.err.splitlines()[-1] == "0 of 2 figures written to out/, 2 failed: a.json, b.json"
    assert len(lines(failed.err, "fxviz: ")) == 2


# -------------------- What is wrong is found before anything is drawn


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            "a.json b.json -o x.svg",
            "'x.svg' is one file, but several figures need a folder: name one, as in -o figures/",
        ),
        ("alex* -o x.svg", "'x.svg' is one file, but several figures need a folder"),
        ("a.json b.json -o a.json", "'a.json' is one file"),
        ("a.json b.json -o -", "several figures cannot go to standard output: name a folder"),
        ("a.json b.json -o a.json/below/", "cannot create the folder 'a.json/below': "),
        (
            "a.json b.json --format json",
            "cannot write 'a.json': it is a model to be drawn; name another folder, as in -o figures/",
        ),
        ("b.json ./a.json -o . --format json", "cannot write 'b.json': it is a model to be drawn"),
        ("a.json b.json --format gif", "invalid --format 'gif': choose svg, png, pdf, dot, json, graphml or mmd"),
        ("a.json b.json --format pdf --theme pair", "invalid --format of a pair 'pdf': choose svg or png"),
        (
            "a.json -o x.svg --format png",
            "--format png is for a folder: name one (-o figures/), or the file with its suffix",
        ),
        ("a.json b.json --jobs 0", "invalid --jobs 0: must be a whole number, 1 or greater"),
        ("a.json b.json --jobs 2 --dask tcp://127.0.0.1:1", "choose either --jobs, processes of this machine,"),
        ("a.json b.json --theme sepia", "invalid --theme 'sepia'"),
        ("a.json b.json --device gpu", "invalid --device 'gpu'"),
        ("a.json alexnot -o new", "unknown model 'alexnot': did you mean alexnet"),
        ("a.json resne[z]t* -o new", "no model matches 'resne[z]t*'; 'fxviz list' shows all names"),
        ("a.json no.json -o new", "cannot read 'no.json': No such file or directory"),
        ("a.json no.py:Net -o new", "cannot read 'no.py': No such file or directory"),
        ("a.json no.pt2 -o new", "cannot read 'no.pt2': No such file or directory"),
        ("a.json net.pth -o new", "it contains weights or a pickled module"),
    ],
)
def test_a_wrong_call_draws_nothing(fxviz: Call, save: Callable[..., list[str]], call: str, message: str) -> None:
    before = [*save("a", "b")]
    result = fxviz("render", *call.split(" "))
    assert (result.status, result.out, result.err.count("\n")) == (2, "", 1), result
    assert message in result.err
    assert files(".") == before


def test_each_unknown_name_is_said(fxviz: Call, in_tmp: Path) -> None:
    result = fxviz("render", "alexnot", "no.json", "zzz*", "-o", "new/")
    assert (result.status, len(lines(result.err, "fxviz: ")), files(".")) == (2, 3, [])


# -------------------- One that fails stops no other


@pytest.mark.slow
def test_a_failing_model_among_good_ones(fxviz: Call, in_tmp: Path) -> None:
    Path("nets.py").write_text(NETS)
    models = ["nets.py:Good", "nets.py:Bad", "nets.py:Worse", "nets.py:Good(5)", "nets.py:Bad", "nets.py:Missing"]
    result = fxviz("render", *models, "--input", "1x3", "-o", "out/", "--jobs", "1")
    alone = fxviz("render", "nets.py:Bad", "--input", "1x3", "-o", "bad.svg")
    assert (result.status, alone.status) == (1, 1)
    [failure] = lines(alone.err, "fxviz: ")
    assert failure.replace("fxviz: ", "fxviz: nets.py:Bad: ") in result.err.splitlines()
    assert "about to fail" in result.err.splitlines()
    assert (
        result.err.splitlines()[-1]
        == "2 of 5 figures written to out/, 3 failed: nets.py:Bad, nets.py:Worse, nets.py:Missing"
    )
    assert files("out") == ["Good-2.svg", "Good.svg"]
    fxviz("render", "nets.py:Good(5)", "--input", "1x3", "-o", "five.svg")
    assert Path("five.svg").read_bytes() == Path("out/Good-2.svg").read_bytes()


def test_a_file_that_changes_torchs_defaults_changes_no_other_figure(fxviz: Call, in_tmp: Path) -> None:
    Path("nets.py").write_text(NETS)
    Path("double.py").write_text(f"{NETS}\ntorch.set_default_dtype(torch.float64)\n")
    arguments = ["nets.py:Good", "--input", "1x3:float32", "--format", "json", "-o"]
    fxviz("render", *arguments, "alone/")
    fxviz("render", "double.py:Good(5)", *arguments, "many/", "--jobs", "1")
    assert (
        Path("many/Good.json").read_bytes()
        != Path("many/Good-2.json").read_bytes()
        == Path("alone/Good.json").read_bytes()
    )


def test_wrong_usage_alone_has_status_2(fxviz: Call, in_tmp: Path) -> None:
    Path("nets.py").write_text(NETS)
    models = ["nets.py:Good", "nets.py:Missing"]
    assert fxviz("render", *models, "--input", "1x3", "-o", "out/", "--jobs", "1").status == 2
    assert files("out") == ["Good.svg"]


def test_a_part_of_a_figure_is_written_and_counts_as_failed(fxviz: Call, in_tmp: Path) -> None:
    Path("nets.py").write_text(NETS)
    result = fxviz("render", "nets.py:Good", "nets.py:Bad", "--input", "1x3", "--partial", "-o", "out/", "--jobs", "1")
    assert (result.status, files("out")) == (1, ["Bad.svg", "Good.svg"])
    assert result.err.splitlines()[-1] == "1 of 2 figures written to out/, 1 failed: nets.py:Bad"


@pytest.mark.slow
@posix_only
def test_a_worker_that_is_killed_takes_no_other_model_with_it(
    fxviz: Call, save: Callable[..., list[str]], engine: str
) -> None:
    models = save("a", "kills", "b", "c", "d", "e")
    result = fxviz("render", *models, "-o", "out/", "--jobs", "2", "--engine", engine)
    assert result.status == 1
    assert files("out") == ["a.svg", "b.svg", "c.svg", "d.svg", "e.svg"]
    [failure] = lines(result.err, "fxviz: ")
    assert failure.startswith("fxviz: kills.json: its process was killed")
    assert result.err.splitlines()[-1] == "5 of 6 figures written to out/, 1 failed: kills.json"
    fxviz("render", "e.json", "-o", "alone.svg")
    assert Path("alone.svg").read_bytes() == Path("out/e.svg").read_bytes()


def _ends_with_its_process(number: int) -> int:
    return os._exit(0) if number % 5 == 0 else number


@pytest.mark.slow
def test_each_task_has_its_result_or_the_death_of_its_worker() -> None:
    results = dict(in_processes(_ends_with_its_process, list(range(1, 12)), 2))
    assert sorted(results) == list(range(1, 12))
    assert {item for item, result in results.items() if result != item} == {5, 10}


@posix_only
@pytest.mark.slow
def test_a_models_own_code_kills_its_worker(fxviz: Call, in_tmp: Path) -> None:
    Path("nets.py").write_text(
        f"{NETS}\nimport os\nclass Dies(Good):\n    def forward(self, x):\n        os.kill(os.getpid(), 9)\n"
    )
    result = fxviz(
        "render", "nets.py:Good", "nets.py:Dies", "nets.py:Good(5)", "nets.py:Bad", "--input", "1x3", "-o", "out"
    )
    assert (result.status, files("out")) == (1, ["Good-2.svg", "Good.svg"])
    assert result.err.splitlines()[-1] == "2 of 4 figures written to out/, 2 failed: nets.py:Dies, nets.py:Bad"


# -------------------- Ctrl-C


def started(*arguments: str, **streams: Any) -> subprocess.Popen[str]:
    """Start the command line in a session of its own, where Ctrl-C is not ignored."""
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from fxviz.__main__ import main;"
        "raise SystemExit(main())"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], env=environment, start_new_session=True, text=True, **streams
    )


def alive(session: int) -> list[str]:
    """Return the processes of a session that still run."""
    listed = subprocess.run(["ps", "-A", "-o", "sess=,stat=,args="], capture_output=True, text=True, check=True).stdout
    return [
        line for line in listed.splitlines() if line.split()[0] == str(session) and not line.split()[1].startswith("Z")
    ]


def _press_ctrl_c(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGINT)


@pytest.mark.slow
@posix_only
@pytest.mark.parametrize(
    ("jobs", "interrupt"),
    [
        ("2", _press_ctrl_c),
        *slow(("1", _press_ctrl_c), ("1", subprocess.Popen.terminate), ("2", subprocess.Popen.terminate)),
    ],
)
def test_ctrl_c_keeps_what_is_done_and_names_the_rest(
    save: Callable[..., list[str]], engine: str, jobs: str, interrupt: Callable[[subprocess.Popen[str]], None]
) -> None:
    arguments = ["render", *save("a", "hangs", "b"), "-o", "out/", "--jobs", jobs, "--engine", engine]
    process = started(*arguments, stderr=subprocess.PIPE)
    assert process.stderr is not None
    finished = [process.stderr.readline() for _ in range(int(jobs))]
    interrupt(process)
    said = process.communicate(timeout=30)[1]
    whole = [line.split(":")[0].removeprefix("wrote out/") for line in finished]
    assert (process.returncode, files("out")) == (130, sorted(whole))
    assert all(Path("out", name).read_text().endswith("</svg>\n") for name in whole)
    rest = [f"{name}.json" for name in ("a", "hangs", "b") if f"{name}.svg" not in whole]
    assert said == f"interrupted: {len(whole)} of 3 figures written to out/; {len(rest)} not drawn: {', '.join(rest)}\n"
    assert eventually(lambda: not alive(process.pid))


def eventually(true: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10
    while not true() and time.monotonic() < until:
        time.sleep(0.05)
    return true()


SLOW = """
import os, signal, time, torch
class Slow(torch.nn.Module):
    def forward(self, x):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30)
"""


@posix_only
@pytest.mark.slow
def test_ctrl_c_in_a_models_own_code(save: Callable[..., list[str]]) -> None:
    Path("slow.py").write_text(SLOW)
    process = started("render", *save("a"), "slow.py:Slow", "-o", "out/", "--jobs", "1", stderr=subprocess.PIPE)
    said = process.communicate(timeout=60)[1].splitlines()
    assert (process.returncode, files("out")) == (130, ["a.svg"])
    assert said[1:] == ["interrupted: 1 of 2 figures written to out/; 1 not drawn: slow.py:Slow"]


@pytest.mark.slow
@posix_only
def test_a_terminal_shows_a_bar(save: Callable[..., list[str]]) -> None:
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 30, 0, 0))
    process = started("render", *save("a", "b"), "-o", "out/", stderr=theirs)
    assert process.wait(timeout=60) == 0
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert (
        "/2" in shown
        and "wrote out/a.svg: 2.71k parameters, 1 skip (1 identity); fc" in shown
        and "2 of 2 figures written to out/" in shown
    )


# -------------------- Dask


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Yield the address of a scheduler on loopback with two workers, each a process."""
    distributed = optional("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as local:
        yield local.scheduler_address


@pytest.mark.slow
def test_a_cluster_draws(fxviz: Call, save: Callable[..., list[str]], scheduler: str) -> None:
    result = fxviz("render", *save("a", "b", "c"), "-o", "out/", "--dask", scheduler)
    assert (result.status, files("out")) == (0, ["a.svg", "b.svg", "c.svg"])
    assert result.err.splitlines()[-1] == "3 of 3 figures written to out/"
    fxviz("render", "c.json", "-o", "alone.svg")
    assert Path("alone.svg").read_bytes() == Path("out/c.svg").read_bytes()


@posix_only
@pytest.mark.slow
def test_a_model_that_kills_workers_of_a_cluster(
    fxviz: Call, save: Callable[..., list[str]], engine: str, scheduler: str
) -> None:
    models = save("a", "b", "kills", "c", "d")
    result = fxviz("render", *models, "-o", "out/", "--engine", engine, "--dask", scheduler)
    assert (result.status, files("out")) == (1, ["a.svg", "b.svg", "c.svg", "d.svg"]), result.err
    [failure] = lines(result.err, "fxviz: ")
    assert failure.startswith("fxviz: kills.json: each Dask worker that tried it died")


@pytest.mark.slow
def test_a_models_own_code_fails_on_a_cluster(fxviz: Call, in_tmp: Path, scheduler: str) -> None:
    Path("nets.py").write_text(NETS)
    result = fxviz("render", "nets.py:Good", "nets.py:Bad", "--input", "1x3", "-o", "out/", "--dask", scheduler)
    assert (result.status, files("out")) == (1, ["Good.svg"])
    assert "fxviz: nets.py:Bad: cannot trace Bad: " in result.err


@pytest.mark.slow
def test_no_scheduler_at_the_address(
    fxviz: Call, save: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    optional("distributed")
    monkeypatch.setattr(dask, "_PATIENCE", 0.3)
    started = []
    monkeypatch.setattr(
        "distributed.Client", lambda *_, **__: started.append(1)
    )  # one that finds nothing tries on for long
    silent = socket.create_server(("127.0.0.1", 0))
    for address in (
        "tcp://127.0.0.1:1",
        "nowhere",
        "",
        "http://127.0.0.1:1",
        f"tcp://127.0.0.1:{silent.getsockname()[1]}",
    ):
        result = fxviz("render", *save("a", "b"), "-o", "out/", "--dask", address)
        assert (result.status, result.err.count("\n"), files(".")) == (2, 1, ["a.json", "b.json"])
        assert f"no Dask scheduler answers at '{address}'" in result.err
    silent.close()
    assert not started


def test_dask_that_is_not_installed(
    fxviz: Call, save: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = fxviz("render", *save("a"), "--dask", "tcp://127.0.0.1:1")
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert 'pip install "fxviz[dask]"' in result.err
