"""Check the shape of the code: who imports whom, where private names of torch stand, and how long things are."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

from conftest import ROOT
from models import traced


@pytest.mark.slow  # ".ci/run" checks them by itself, too
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
        ("fxviz._render.style_ledger", {"torch", "torchvision"}),
        ("fxviz._render.engine", {"torch", "torchvision"}),
    ],
)
def test_a_door_is_light(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    assert not heavy & set(loaded)


def test_a_saved_graph_is_drawn_without_heavy_libraries(tmp_path: Path) -> None:
    saved = traced("resnet18").save(tmp_path / "resnet18.json")
    code = (
        "import sys; from fxviz._cli import main; status = main(sys.argv[1:]); "
        "print(*sys.modules, sep='\\n'); sys.exit(status)"
    )
    command = [sys.executable, "-c", code, "render", str(saved), "-o", str(tmp_path / "resnet18.svg")]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert (tmp_path / "resnet18.svg").exists()
    assert not {"torch", "torchvision", "networkx", "numpy"} & set(run.stdout.splitlines())


def test_the_clones_door_is_not_in_the_wheel() -> None:
    """A top-level module called ``cli`` would clash with others."""
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    assert 'packages = ["fxviz"]' in lines
    assert len(Path(ROOT / "cli.py").read_text(encoding="utf-8").splitlines()) < 10


PACKAGE = ROOT / "fxviz"
MAX_FILES = 205
MAX_TOP_LEVEL = 12
MAX_LINES = 450
MAX_FUNCTION_LINES = 50
MAX_SHARE_OF_QUESTIONS = 0.02
QUESTIONS = ("What", "Whether", "How", "Which", "Where")
"""A docstring that begins with such a word describes its object in a clause; it should be a sentence."""

Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module


@pytest.fixture(scope="module")
def modules() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


def test_the_package_has_few_files(modules: dict[Path, ast.Module]) -> None:
    assert len(modules) <= MAX_FILES
    assert len([path for path in PACKAGE.iterdir() if path.name != "__pycache__"]) <= MAX_TOP_LEVEL


def test_no_file_is_long(modules: dict[Path, ast.Module]) -> None:
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in modules}
    assert not {name: count for name, count in lines.items() if count > MAX_LINES}


def test_no_function_is_long(modules: dict[Path, ast.Module]) -> None:
    functions = [
        (path, node)
        for path, module in modules.items()
        for node in ast.walk(module)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    lines = {f"{path.name}: {node.name}": (node.end_lineno or 0) - node.lineno + 1 for path, node in functions}
    assert not {name: count for name, count in lines.items() if count > MAX_FUNCTION_LINES}


def test_docstrings_are_sentences(modules: dict[Path, ast.Module]) -> None:
    documented = [node for module in modules.values() for node in ast.walk(module) if isinstance(node, Documented)]
    texts = [text for node in documented if (text := ast.get_docstring(node))]
    questions = [text for text in texts if text.split()[0] in QUESTIONS]
    assert len(questions) < MAX_SHARE_OF_QUESTIONS * len(texts), questions


PRIVATE = [ROOT / "fxviz" / "_sources" / name for name in ("torch_private.py", "torch_state.py")]
NAMES_IN_FILES = {"exported_vetting.py"}
"""These name what a file of data may refer to, and use nothing of it."""


def private_names(code: ast.AST) -> Iterator[str]:
    """Yield the private names of torch that a module imports, reads or writes, and those that it names in a text.

    A private attribute of anything but ``self`` counts, unless the module itself defines one of that name, or it is
    ``_fields``, by which a named tuple is known.
    """
    nodes = list(ast.walk(code))
    own = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    own |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    documentation = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if re.match(r"torch\b.*\._", each.name))
        elif isinstance(node, ast.ImportFrom):
            names = (f"{node.module}.{each.name}" for each in node.names)
            yield from (name for name in names if re.match(r"torch\b.*\._", name))
        elif isinstance(node, ast.Attribute) and re.match(r"_(?!_|fxviz)", node.attr):
            whole = ast.unparse(node)
            if not whole.startswith(("self.", "cls.", "fxviz.", "torch.ops.", "sys.", "os.")) and node.attr not in own:
                yield whole
        elif isinstance(node, ast.Constant) and id(node) not in documentation and "torch._" in str(node.value):
            yield str(node.value)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "hasattr"):
            name = node.args[1]
            if isinstance(name, ast.Constant) and re.match(r"_(?!_|fxviz|fields$)", str(name.value)):
                yield ast.unparse(node)


@pytest.mark.parametrize("room", ["_sources", "_trace"])
def test_private_names_of_torch_stand_in_two_files(room: str) -> None:
    files = [
        file
        for file in (ROOT / "fxviz" / room).rglob("*.py")
        if file not in PRIVATE and file.name not in NAMES_IN_FILES
    ]
    found = {file.name: list(private_names(ast.parse(file.read_text(encoding="utf-8")))) for file in files}
    assert len(files) > 10
    assert not {name: names for name, names in found.items() if names}


@pytest.mark.parametrize(
    "code",
    [
        "from torch._ops import OpOverload",
        "from torch.utils import _pytree",
        "import torch._dynamo",
        "torch._C.DisableTorchFunction()",
        "module._modules.get('fc')",
        "log = logging.getLogger('torch._subclasses')",
        "schema = getattr(func, '_schema', None)",
    ],
)
def test_a_private_name_of_torch_is_found(code: str) -> None:
    assert list(private_names(ast.parse(code)))


def test_the_file_of_private_names_uses_some() -> None:
    assert len(set(private_names(ast.parse(PRIVATE[0].read_text(encoding="utf-8"))))) > 5
