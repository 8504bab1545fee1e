"""The public names are declared once, sorted, and loaded on first use."""

from __future__ import annotations

import pickle
import subprocess
import sys
import traceback
from importlib.metadata import version

import pytest

import fxviz
from conftest import ROOT

PUBLIC = [
    "ArchGraph",
    "Comparison",
    "EngineError",
    "Explanation",
    "Figure",
    "FxvizError",
    "Information",
    "RenderOptions",
    "Skips",
    "Structure",
    "Summary",
    "TensorInfo",
    "TraceError",
    "UsageError",
    "__version__",
    "compare",
    "diff",
    "explain",
    "info",
    "list_models",
    "render",
    "side_by_side",
    "skips",
    "structure",
    "summary",
    "trace",
]


def test_the_public_names_are_these_and_sorted() -> None:
    assert fxviz.__all__ == PUBLIC == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_each_public_name_is_there(name: str) -> None:
    assert getattr(fxviz, name) is not None
    assert name in dir(fxviz)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'fxviz' has no attribute 'summarise'"):
        _ = fxviz.summarise  # type: ignore[attr-defined]


def test_the_version_is_the_distributions() -> None:
    assert fxviz.__version__ == version("fxviz")


def test_importing_the_package_loads_no_room() -> None:
    code = "import sys, fxviz; print(*[name for name in sys.modules if name.startswith('fxviz.')])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert loaded.split() == []


@pytest.mark.parametrize("name", ["FxvizError", "UsageError", "TraceError", "EngineError"])
def test_errors_are_shown_under_their_public_name_and_can_be_pickled(name: str) -> None:
    error = getattr(fxviz, name)("too deep")
    assert traceback.format_exception_only(error) == [f"fxviz.{name}: too deep\n"]
    assert type(pickle.loads(pickle.dumps(error))) is type(error)
