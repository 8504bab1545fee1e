"""Share fixtures and helpers between the tests.

Options:
    --update-golden   rewrite the files in tests/golden instead of comparing with them.

Environment:
    CI=true           a missing optional library, chromium or chromedriver fails a test that would be skipped otherwise;
                      tests with random examples run all of them, the same ones each time.

Importing torch takes seconds, so tests call the command line in this process (fixture ``fxviz``) wherever they can. The
workers of one run share the traces of known models (``models.traced``, and the cache of the command line).
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from browser import Browser, browser
from fxviz._cli import main
from fxviz._graph import ArchGraph, Edge, ModelInfo, Node, Parameter, Scope, Skip, TensorInfo, TraceInfo


class Notes(list[Any]):
    """What a model's code writes down by calling ``reference``: what it reaches in other ways is restored."""

    @property
    def reference(self) -> Callable[[], Any]:
        return weakref.ref(self)


ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden"
CASES = Path(__file__).parent / "cases"
"""Small models as other people write them; each file says at its top what is right."""

collect_ignore = ["cases"]
CI = os.environ.get("CI") == "true"

# Several workers that compute with several threads each wait for one another; torch reads this when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def examples(count: int) -> int:
    """Return how many random examples to try: all with ``CI=true``, else a quarter, so that the suite stays quick."""
    return count if CI else max(count // 4, 1)


# No deadline: a machine with other work to do is no failure. The same examples each time with CI=true.
settings.register_profile("fxviz", deadline=None, max_examples=examples(50), derandomize=CI)
settings.load_profile("fxviz")


def slow(*cases: Any) -> list[Any]:
    """Return cases of ``parametrize`` that only ``-m slow`` runs; a case of several values is a tuple."""
    return [pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow) for case in cases]


posix_only = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system: sh, signals, pipes or links")
not_for_root = pytest.mark.skipif(sys.platform != "win32" and os.geteuid() == 0, reason="root may write anywhere")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the files in tests/golden again")


def pytest_collection_finish() -> None:
    """Leave what the imports made out of every later garbage collection, which torch makes slow."""
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class Result:
    """The exit status and the output of one call of the command line."""

    status: int
    out: str
    err: str


@pytest.fixture
def fxviz(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Call the command line in this process: ``fxviz("render", "resnet18", "-q")``."""

    def call(*arguments: str | Path) -> Result:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Result(status, out, err)

    return call


WITHOUT_TORCH = """
import contextlib, io, json, os, sys

class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision"}:
            raise AssertionError(f"{name} was imported")

sys.meta_path.insert(0, Forbid())
from fxviz._cli import main

answers = sys.stdout
for line in sys.stdin:
    folder, arguments = json.loads(line)
    os.chdir(folder)
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(arguments)
    texts = (stream.buffer.getvalue().decode("utf-8") for stream in (out, err))
    print(json.dumps([status, *texts]), file=answers, flush=True)
"""


@pytest.fixture(scope="session")
def process_without_torch() -> Iterator[subprocess.Popen[str]]:
    """Start one process, in which an import of torch fails, for all tests of a worker."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    command = [sys.executable, "-c", WITHOUT_TORCH]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        process.communicate()


@pytest.fixture
def without_torch(process_without_torch: subprocess.Popen[str]) -> Callable[..., Result]:
    """Call the command line where an import of torch fails: ``without_torch("render", "tiny.json")``."""

    def call(*arguments: str | Path) -> Result:
        stdin, stdout = process_without_torch.stdin, process_without_torch.stdout
        assert stdin is not None and stdout is not None
        print(json.dumps([str(Path.cwd()), [str(argument) for argument in arguments]]), file=stdin, flush=True)
        return Result(*json.loads(stdout.readline()))

    return call


@pytest.fixture(scope="session", autouse=True)
def shared_by_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give this run a cache of its own and a folder for traced graphs, both shared by its workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        for variable, name in (("FXVIZ_CACHE", "cache"), ("FXVIZ_TEST_GRAPHS", "graphs")):
            (shared / name).mkdir(exist_ok=True)
            patch.setenv(variable, str(shared / name))
        yield


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Start one browser for all tests of a worker."""
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Browser:
    """Return the page of the browser, with the settings it started with."""
    chromium.reset()
    return chromium


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty folder the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with ``tests/golden/NAME``; with ``--update-golden`` write it there."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        assert path.exists(), f"no golden file {path.name}: write it with 'pytest --update-golden'"
        assert text == path.read_text(encoding="utf-8"), (
            f"differs from {path.name}; if that is meant: 'pytest --update-golden'"
        )

    return compare


@pytest.fixture(scope="session")
def tiny() -> ArchGraph:
    """Return a graph made without torch: one residual unit with an identity skip, and a linear layer."""
    image = TensorInfo((1, 4, 8, 8), "float32")
    sizes = {"conv.weight": (4, 4, 3, 3), "fc.weight": (10, 256), "fc.bias": (10,)}

    def module(name: str, op: str, params: int, macs: int, shape: tuple[int, ...], *uses: str, **settings: Any) -> Node:
        outputs = (TensorInfo(shape, "float32"),)
        cls = f"torch.nn.modules.{op.lower()}.{op}"
        return Node(
            name, "module", op, name, cls, uses=uses, outputs=outputs, settings=settings, params=params, macs=macs
        )

    return ArchGraph(
        ModelInfo("tiny", "python", "models.Tiny"),
        TraceInfo("meta", "fake", {"x": image}, "2.4.0", None),
        nodes=(
            Node("x", "input", "x", "x", outputs=(image,)),
            module("conv", "Conv2d", 144, 9216, image.shape, "conv.weight", kernel_size=(3, 3), padding=(1, 1)),
            module("relu", "ReLU", 0, 0, image.shape),
            Node("add", "function", "add", "", outputs=(image,)),
            Node(
                "flatten",
                "function",
                "flatten",
                "",
                outputs=(TensorInfo((1, 256), "float32"),),
                settings={"start_dim": 1},
            ),
            module("fc", "Linear", 2570, 2560, (1, 10), "fc.weight", "fc.bias", in_features=256, out_features=10),
            Node("output", "output", "output", "", outputs=(TensorInfo((1, 10), "float32"),)),
        ),
        edges=(
            Edge("x", "conv", "0"),
            Edge("conv", "relu", "0"),
            Edge("relu", "add", "0"),
            Edge("x", "add", "1"),
            Edge("add", "flatten", "0"),
            Edge("flatten", "fc", "0"),
            Edge("fc", "output", "0"),
        ),
        scopes=(Scope(0, "", "models.Tiny", 0, None),),
        parameters=tuple(Parameter(name, shape, "float32", True) for name, shape in sizes.items()),
        skips=(Skip("identity", "x", "add"),),
    )


@pytest.fixture(scope="session")
def resnet18() -> ArchGraph:
    """Return resnet18 as ``fxviz.trace`` does."""
    from models import traced

    return traced("resnet18")


def optional(name: str) -> Any:
    """Import an optional library. Where it is missing, the test fails with ``CI=true`` and is skipped otherwise.

    A library that works only with a newer torch than the installed one skips the test, too.
    """
    library = import_module(name) if CI else pytest.importorskip(name)
    if not getattr(library, "is_torch_available", lambda: True)():
        pytest.skip(f"this {name} needs a newer torch")
    return library
