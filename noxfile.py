"""Check fxviz as its users meet it: several Pythons, the oldest dependencies, the built wheel, no torch, from outside.

``nox -l`` lists the sessions, ``nox -s wheel`` runs one, and arguments after ``--`` go to pytest. The workflow in
``.github/workflows`` calls these sessions. A bare ``nox`` runs the ones that need no other Python than the current one.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

import nox

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
OLDEST_TORCH_PYTHON = "3.11"
"""torch 2.4 has wheels for Python 3.8 to 3.12."""

TORCH = ("torch", "torchvision")
TEST_TOOLS = ("hypothesis", "pytest", "pytest-xdist")
QUICK_TESTS = ("tests/test_graph.py", "tests/test_cli.py", "tests/test_skips.py", "tests/test_rendering.py")
"""A few test files that cover the way from a model to a figure; they need no browser and no optional library."""

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "typing", "wheel", "without_torch"]
nox.options.error_on_missing_interpreters = True


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and the layers between the packages."""
    session.install(*_requirements("dev", "ruff", "import-linter"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests with every optional library on one version of Python."""
    session.install("-e", ".[dev]")
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS)
def smoke(session: nox.Session) -> None:
    """Install what a user installs and draw one model."""
    session.install(".")
    _draw_resnet18(session)


@nox.session(python=OLDEST_TORCH_PYTHON)
def lowest(session: nox.Session) -> None:
    """Draw and test with the lowest version of every direct dependency that pyproject.toml allows."""
    constraints = Path(session.create_tmp()) / "lowest.txt"
    constraints.write_text("\n".join(_lowest(each) for each in PROJECT["dependencies"]) + "\n", encoding="utf-8")
    session.install("-e", ".", *_requirements("dev", *TEST_TOOLS), "--constraint", str(constraints))
    session.run("pip", "list")
    _draw_resnet18(session)
    session.run("pytest", "-n", "0", "-q", *(session.posargs or QUICK_TESTS))


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel, install it, and test it where the source cannot be imported."""
    folder = Path(session.create_tmp()).resolve()
    wheel = _built_wheel(session, folder)
    session.install(str(wheel), *_requirements("dev", *TEST_TOOLS))
    apart = folder / "apart"
    shutil.rmtree(apart, ignore_errors=True)
    apart.mkdir()
    for name in ("tests", "examples", "docs", ".ci", "pyproject.toml", "README.md", "cli.py"):
        _copy(ROOT / name, apart / name)
    session.chdir(apart)
    session.run("python", "-c", "import fxviz; assert 'site-packages' in fxviz.__file__, fxviz.__file__")
    _draw_resnet18(session)
    session.run("pytest", "-n", "0", "-q", "-p", "no:cacheprovider", *(session.posargs or QUICK_TESTS))


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types of fxviz, and of a program that uses every public name, as users' type checkers do."""
    folder = Path(session.create_tmp()).resolve()
    session.install(str(_built_wheel(session, folder)), *_requirements("dev", "mypy"), "pyright")
    session.run("mypy")
    with tempfile.TemporaryDirectory() as outside:  # pyright reads no file below a hidden folder such as .nox
        for file in sorted((ROOT / "tests" / "typing_tests").glob("*.py")):
            shutil.copy(file, outside)
            with session.chdir(outside):
                session.run("mypy", "--strict", file.name)
                session.run("pyright", "--pythonpath", str(_python(session)), file.name)
                session.run("python", file.name)


@nox.session
def without_torch(session: nox.Session) -> None:
    """Draw a saved graph where torch is not installed; a model's name gets one sentence that says what to install."""
    folder = Path(session.create_tmp()).resolve()
    light = [each for each in PROJECT["dependencies"] if _name(each) not in TORCH]
    command = f"pip install {' '.join(map(_name, light))}\n"
    assert command in (ROOT / "README.md").read_text(encoding="utf-8"), f"the README does not say: {command}"
    session.install(*light)
    session.install("--no-deps", str(_built_wheel(session, folder)))
    session.chdir(folder)
    saved = ROOT / "tests" / "saved_graph.json"
    session.run("fxviz", "render", str(saved), "-o", "saved.svg")
    session.run("fxviz", "summary", str(saved))
    session.run("fxviz", "explain", str(saved))
    for command in ("render", "trace", "summary", "explain", "info", "list"):
        said = session.run("fxviz", command, "resnet18", success_codes=[2], silent=True)
        assert "pip install torch torchvision" in str(said), said
        assert str(said).count("\n") == 1, said


def _draw_resnet18(session: nox.Session) -> None:
    figure = Path(session.create_tmp()).resolve() / "resnet18.svg"
    session.run("fxviz", "--version")
    session.run("fxviz", "render", "resnet18", "-o", str(figure), "--no-cache")
    assert figure.read_text(encoding="utf-8").rstrip().endswith("</svg>")


def _built_wheel(session: nox.Session, folder: Path) -> Path:
    """Return the wheel of this checkout, built anew."""
    wheels = folder / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    session.run("pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), str(ROOT))
    return next(wheels.glob("fxviz-*.whl"))


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _python(session: nox.Session) -> Path:
    return Path(session.bin) / ("python.exe" if sys.platform == "win32" else "python")


def _requirements(extra: str, *names: str) -> list[str]:
    """Return the requirements of an extra that are for these packages, as pyproject.toml states them."""
    stated = {_name(each): each for each in PROJECT["optional-dependencies"][extra]}
    return [stated[name] for name in names]


def _name(requirement: str) -> str:
    """Return the package that a requirement is for: "torch" of "torch>=2.4"."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def _lowest(requirement: str) -> str:
    """Return the constraint to the lowest version that a requirement allows: "torch==2.4" of "torch>=2.4"."""
    version = re.search(r">=\s*([\w.]+)", requirement)
    assert version, f"{requirement} names no lowest version"
    return f"{_name(requirement)}=={version[1]}"
