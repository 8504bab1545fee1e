"""Every code block of the README and of the documentation does what it says.

``bash`` blocks are commands; ``console`` blocks are commands after ``$`` with what they print (standard output and
error; ``...`` stands for anything); ``python`` blocks are run, or doctested where they hold ``>>>``. One page's blocks
run in order in one empty folder. The two set-up commands are not run from within their own tests: they are compared
with what ``.ci/run`` does.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT, optional
from fxviz._cli import main

USE = "pip install . && fxviz render resnet18 -o resnet18.svg"
DEVELOP = 'pip install -e ".[dev]" && pytest'
NOT_RUN = {"text", "json", "html"}
SLOW = ("--jobs", "--time", "--scale", "--no-fold", "timm:", "transformers:", "--width", "fxviz compare", "--batch")
"""The marks of a slow block: processes that import torch, real runs, large figures, large libraries, many models."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    found, text = [], page.read_text(encoding="utf-8") if page.exists() else ""
    for match in re.finditer(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(str(page.relative_to(ROOT)), line, match[1].strip(), match[2]))
    return found


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [block for page in PAGES for block in blocks_of(page)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make a folder for each page, with nothing in it but the examples that come with a clone."""
    folders = {str(page.relative_to(ROOT)): tmp_path_factory.mktemp(page.stem) for page in PAGES}
    for folder in folders.values():
        shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    return folders


def case(block: Block) -> Any:
    return pytest.param(block, id=str(block), marks=[pytest.mark.slow for word in SLOW if word in block.text][:1])


@pytest.mark.parametrize("block", [case(block) for block in BLOCKS])
def test_block(block: Block, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folders[block.page])
    for library in ("timm", "transformers"):
        if f"fxviz render {library}:" in block.text:
            optional(library)
    if block.language == "python":
        run_python(block)
    elif block.language in ("bash", "console"):
        run_commands(block)
    else:
        assert block.language in NOT_RUN, f"{block}: say what it is: bash, console, python or one of {sorted(NOT_RUN)}"


def test_the_readme_has_the_two_setup_lines() -> None:
    lines = [line.removeprefix("$ ") for block in blocks_of(ROOT / "README.md") for line in block.text.splitlines()]
    assert USE in lines
    assert DEVELOP in lines


def test_ci_does_the_second_setup_line() -> None:
    install, test = DEVELOP.split(" && ")
    done = [
        line.replace("pip install -q", "pip install").removeprefix("CI=true ").partition(" --cov")[0]
        for line in (ROOT / ".ci/run").read_text().splitlines()
    ]
    assert done.index(install) < done.index(test)


def test_the_pages_the_readme_links_are_there() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)|(?:src|srcset|href)=\"([^\"#]+)\"", text)
    local = [first or second for first, second in targets if not re.match(r"[a-z]+:", first or second)]
    assert [target for target in local if not (ROOT / target).exists()] == []


def run_python(block: Block) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    if ">>>" not in block.text:
        exec(compile(block.text, str(block), "exec"), namespace)
        return
    test = doctest.DocTestParser().get_doctest(block.text, namespace, str(block), block.page, block.line)
    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test).failed == 0


def run_commands(block: Block) -> None:
    for command, expected in commands_of(block):
        fails = expected.startswith("fxviz: ")
        said = "".join(run_command(part, fails) for part in command.split(" && "))
        if expected:
            pattern = re.escape(expected).replace(r"\.\.\.", ".*")
            assert re.fullmatch(pattern, said.rstrip("\n"), re.DOTALL), f"{block}: {command} said:\n{said}"


def commands_of(block: Block) -> list[tuple[str, str]]:
    """Return the commands with the output that the page shows."""
    text = block.text.replace("\\\n", " ")
    if block.language == "bash":
        lines = (line.partition(" #")[0].strip() for line in text.splitlines())
        return [(line, "") for line in lines if line and not line.startswith("#")]
    found = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)
    return [(command.partition(" #")[0].strip(), output.rstrip("\n")) for command, output in found]


def run_command(command: str, fails: bool = False) -> str:
    """Run one command; return what it prints. ``fxviz`` runs in this process, which has torch loaded already."""
    if command == "pytest" or command.startswith(("pip install ", "git clone ", "cd ")):
        assert command in {*USE.split(" && "), *DEVELOP.split(" && ")} or not command.startswith(("pip", "pytest")), (
            command
        )
        return ""
    words = shlex.split(command)
    if words[0] == "fxviz" and not re.search(r"[|<>;$*&]", re.sub(r"'[^']*'|\"[^\"]*\"", "", command)):
        return run_here(words[1:], fails)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable}
    command = re.sub(r"^python cli\.py\b", f'"$PYTHON" "{ROOT / "cli.py"}"', command)
    functions = 'fxviz() { "$PYTHON" -m fxviz "$@"; }; python() { "$PYTHON" "$@"; };'  # neither need be on PATH
    done = subprocess.run(
        ["bash", "-ec", f"{functions} {command}"], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout + done.stderr


def run_here(arguments: list[str], fails: bool) -> str:
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = main(arguments)
    said.seek(0)
    text = said.read()
    assert (status != 0) is fails, f"fxviz {shlex.join(arguments)}: {text}"
    return text
