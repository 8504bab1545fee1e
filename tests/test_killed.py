"""Whenever a command is ended, nothing is left behind: no half file, no process, nothing in temporary folders.

Each command of ``COMMANDS`` is ended at random moments in each way of ``ENDINGS``. ``FXVIZ_TEST_KILLS=200`` tries more
often than the default. Add a command that takes long to ``COMMANDS``; it runs in a folder with the files of ``place``.
"""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import ROOT, posix_only
from fxviz._graph import ArchGraph
from fxviz._render.engine import find_engine

pytestmark = [pytest.mark.slow, posix_only]

KILLS = int(os.environ.get("FXVIZ_TEST_KILLS", "20"))

COMMANDS = {
    "a layout": ("render a.json -o figure.svg --engine ./slow", 4),
    "a model": ("render net.py:Net -o figure.svg", 7),
    "a model from a pipe": ("render net.py:Net -o -", 7),
    "a batch of graphs": ("render a.json b.json c.json d.json e.json -o figures/ --jobs 2 --engine ./slow", 7),
    "a batch of models": ("render net.py:Net net.py:Other net.py:Third -o figures/ --jobs 2", 10),
    "a batch in one process": ("render a.json b.json c.json -o figures/ --jobs 1 --engine ./slow", 5),
    "a process of its own": ("trace net.py:Net --isolated -o graph.json", 9),
    "timing": ("trace net.py:Net --device cpu --time -o graph.json", 8),
}
"""Commands that take long, each with the seconds in which it is ended."""

FILES = {
    "net.py": """
from torch import nn
class Net(nn.Sequential):
    def __init__(self):
        super().__init__(*(nn.Conv2d(3 if not i else 8, 8, 3) for i in range(30)))
class Other(Net):
    pass
class Third(Net):
    pass
""",
    "slow": """#!/bin/sh
dot="$(cat)"
sleep 1
printf '%s' "$dot" | '{engine}' "$@"
""",
}

Process = subprocess.Popen[bytes]

ENDINGS: dict[str, Callable[[Process, int], None]] = {
    "Ctrl-C": lambda process, terminal: os.killpg(process.pid, signal.SIGINT),
    "SIGTERM": lambda process, terminal: process.terminate(),
    "SIGTERM to all": lambda process, terminal: os.killpg(process.pid, signal.SIGTERM),
    "SIGHUP": lambda process, terminal: process.send_signal(signal.SIGHUP),
    "SIGHUP to all": lambda process, terminal: os.killpg(process.pid, signal.SIGHUP),
    "SIGKILL": lambda process, terminal: process.kill(),
    "a closed terminal": lambda process, terminal: os.close(terminal),
}
"""Ways to end a command: those "to all" reach its workers, too."""

START = """
import fcntl, signal, sys, termios
from fxviz.__main__ import main
signal.signal(signal.SIGINT, signal.default_int_handler)
if sys.argv.pop(1) == "at a terminal":
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
raise SystemExit(main())
"""
"""Code that starts the command line where Ctrl-C is not ignored, at a terminal of its own or at none."""

PATIENCE = 10.0
"""Seconds within which a command that is ended must be gone, and after that everything that it started."""


@pytest.fixture(autouse=True)
def _signals_end_commands() -> Iterator[None]:
    """Let signals end what a test starts, also where they are ignored: in the background, and under nohup."""
    ignored = [each for each in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(each) is signal.SIG_IGN]
    for each in ignored:
        signal.signal(each, signal.SIG_DFL)
    yield
    for each in ignored:
        signal.signal(each, signal.SIG_IGN)


@pytest.fixture
def place(in_tmp: Path, tiny: ArchGraph) -> Path:
    """Go to a folder with what the commands draw: saved graphs, own code, and an engine that takes a second."""
    for name, content in FILES.items():
        Path(name).write_text(content.replace("{engine}", find_engine()))
        Path(name).chmod(0o755)
    for name in "abcde":
        replace(tiny, model=replace(tiny.model, name=name)).save(f"{name}.json")
    Path("temporary").mkdir()
    return in_tmp


def marked(mark: str) -> list[str]:
    """Return the processes whose environment has the mark."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text().replace("\0", " ")[:100])
    return found


def eventually_none(found: Callable[[], list[str]]) -> list[str]:
    until = time.monotonic() + PATIENCE
    while (left := found()) and time.monotonic() < until:
        time.sleep(0.1)
    return left


def read_all(terminal: int) -> None:
    """Read what is shown, so that nobody waits, until the terminal is closed at one end."""
    with suppress(OSError):
        while select.select([terminal], [], [], 0.1) and os.read(terminal, 10_000):
            pass


def ended(command: str, seconds: float, ending: str, where: str) -> list[str]:
    """Start a command, end it after these seconds, and return what is wrong then."""
    mark, before = f"fxviz-test-{uuid.uuid4()}", set(Path().rglob("*"))
    ours, theirs = os.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(Path("temporary").absolute()), "MARK": mark}
    process = subprocess.Popen(
        [sys.executable, "-c", START, where, *command.split()],
        env=environment,
        start_new_session=True,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    reader = os.dup(ours)
    threading.Thread(target=read_all, args=(reader,), daemon=True).start()
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    if ending == "a closed terminal":
        os.close(reader)
    with suppress(ProcessLookupError):
        ENDINGS[ending](process, ours)
    wrong = []
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        wrong.append("it did not end")
        process.kill()
        process.wait()
    wrong += [f"left running: {line}" for line in eventually_none(lambda: marked(mark))]
    made = [path for path in Path().rglob("*") if path not in before and path.is_file()]
    wrong += [f"half a file: {path}" for path in made if not is_whole(path)]
    wrong += [f"left in shared memory: {path}" for path in Path("/dev/shm").glob(f"*[-_]{process.pid}[-_]*")]
    for path in made:
        path.unlink()
    return wrong


def is_whole(path: Path) -> bool:
    text = path.read_text(errors="replace")
    if path.suffix == ".json":
        return text.endswith("}\n")
    return path.suffix == ".svg" and text.startswith("<svg") and text.endswith("</svg>\n") and path.name[0] != "."


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc to find what is left running")
def test_whenever_a_command_is_ended_nothing_is_left(place: Path) -> None:
    seed = random.randrange(10**6)
    chance, names = random.Random(seed), [(command, ending) for ending in ENDINGS for command in COMMANDS]
    chance.shuffle(names)
    failed = []
    for count in range(KILLS):
        name, ending = names[count % len(names)]
        command, longest = COMMANDS[name]
        seconds = chance.uniform(0, longest)
        where = "at a terminal" if ending == "a closed terminal" else chance.choice(["at a terminal", "at none"])
        wrong = ended(command, seconds, ending, where)
        failed += [f"{name} ({command}) {where}, {ending} after {seconds:.2f} s: {each}" for each in wrong]
        if "FXVIZ_TEST_KILLS" in os.environ:
            print(count, name, where, ending, f"{seconds:.2f}", wrong, file=sys.__stderr__, flush=True)
    assert not failed, f"seed {seed}:\n" + "\n".join(failed)
