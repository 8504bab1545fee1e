"""What the tests share.

Options:
    --update-golden   write the files in tests/golden again instead of comparing with them.

Environment:
    CI=true           selenium, chromium and chromedriver must be there; without CI=true the browser tests are skipped where
                      one of them is missing.

Importing torch takes seconds, so tests call the command line in this process (fixture ``fxviz``) wherever they can, and the
traced models are shared by the session.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from fxviz._cli import main
from fxviz._graph import ArchGraph, Edge, ModelInfo, Node, Parameter, Scope, Skip, TensorInfo, TraceInfo

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden"

# Fifty examples keep the suite quick; a machine with other work to do is no failure.
settings.register_profile("fxviz", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=50, derandomize=True)  # the same examples each time
settings.load_profile("ci" if os.environ.get("CI") else "fxviz")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the files in tests/golden again")


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("CI") == "true":
        missing = [program for program in ("chromium", "chromedriver") if shutil.which(program) is None]
        if missing or find_spec("selenium") is None:
            raise pytest.UsageError(
                f"CI=true, and the browser tests cannot run: missing {', '.join(missing) or 'selenium'}"
            )


@dataclass(frozen=True)
class Result:
    """What one call of the command line gave back."""

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


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The cache of the one who runs the tests is left alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FXVIZ_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, as the current one."""
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
    """A graph made by hand, so that torch is not needed: one residual unit with an identity skip, and a linear layer."""
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
    """resnet18 as ``fxviz.trace`` returns it."""
    import fxviz

    return fxviz.trace("resnet18")


def usable(name: str) -> Any:
    """An optional library; the test is skipped where it is not installed, or works with a newer torch only."""
    library = pytest.importorskip(name)
    if not getattr(library, "is_torch_available", lambda: True)():
        pytest.skip(f"this {name} needs a newer torch")
    return library
