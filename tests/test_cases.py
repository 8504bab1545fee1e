"""Trace every numbered file of ``tests/cases`` and compare totals with what it states at its top."""

from __future__ import annotations

import socket
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import fxviz
from conftest import CASES
from fxviz._graph import ArchGraph
from fxviz._graph.errors import TraceError, UsageError

FILES = sorted(CASES.glob("[0-9][0-9]_*.py"))

NEEDS = {"33": "einops", "34": "omegaconf", "35": "torch_geometric", "36": "diffusers", "58": "peft"} | dict.fromkeys(
    ("37", "49", "57"), "transformers"
)
"""The library that a file imports beside torch and torchvision."""

Right = tuple[int | None, int | None, int]
"""Parameters (None: those of the model), known MACs (None: not stated), operations with unknown MACs."""

RIGHT: dict[str, Right] = {
    "03 make": (64 * 64 // 2 + 64, 4096, 0),  # as stored, two weights in each byte
    "04 make": (0, 9472, 0),  # packed weights are no parameters
    "06 make": (2272, 74512, 1),  # the layers' 69,632, and the products of the parametrisations that are known
    "16 make_padded": (3629, 70728, 0),
    "16 make_gru": (None, 97200, 0),
    "17 make": (1056, 12288, 1),
    "18 make": (20, 16, 1),
    "19 make": (126, 1260 + 2 * 6 * 4 * 5 + 2 * 6 * 5, 0),
    "22 make": (96, 4 * 4 * 6, 2),
    "26 make_meta": (36, 32, 0),
    "26 make_none": (36, 32, 0),
    "26 make_batch": (36, 32, 0),
    "29 make": (544, 512, 0),
    "33 make": (1584, 6144 + 4 * 4 * 32, 0),
    "41 make": (144, 64, 0),
    "41 make_flex": (None, 16 * 16 * 48 + 8192, 0),
    "61 make_lora": (148, 128, 0),
    "63 make": (17920, 64 * 256, 0),
    "64 make_param": (42, 2048, 0),
    "64 make_fusion": (42, 2048, 0),
}
"""What is right where a file's PARAMS and MACS hold for another of its models, or do not say it."""

SKIPS = {f"61 make_{form}": 1 for form in ("sub", "lerp", "addcmul", "stack", "pysum")} | {
    "44 make": 6, "61 make_lora": 0, "05 make": 0, "58 make": 4, "28 make": 1, "28 make_reentrant": 1
}  # fmt: skip
"""Residual skips, where the file states them."""

REFUSED = {"27 make_half_noinput": "no inputs were given", "26 make_jagged": "has no one shape: pass it padded"}
"""Models that cannot run on their inputs, and a part of the error, which says so."""


@cache
def module(path: Path) -> ModuleType:
    """Import a file of the cases once."""
    if library := NEEDS.get(path.name[:2]):
        pytest.importorskip(library)
    spec = spec_from_file_location(f"case_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    found = module_from_spec(spec)
    sys.modules[spec.name] = found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spec.loader.exec_module(found)
    return found


def written(path: Path) -> list[str]:
    """Return the names of the functions that make a model, without an import of the file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line[4:].partition("(")[0] for line in lines if line.startswith("def make")]


@pytest.fixture(autouse=True, scope="module")
def port() -> Iterator[None]:
    """Give groups of processes, of which there are groups of one, a port that nobody else listens on."""
    with socket.socket() as free, pytest.MonkeyPatch.context() as patch:
        free.bind(("127.0.0.1", 0))
        patch.setenv("MASTER_PORT", str(free.getsockname()[1]))
        free.close()
        yield


def build(path: Path, name: str) -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = getattr(module(path), name)()
    return made if isinstance(made, tuple) else (made, None)


def right(path: Path, name: str) -> Right:
    found = module(path)
    stated = getattr(found, "PARAMS", None), getattr(found, "MACS", None), 0
    return RIGHT.get(f"{path.name[:2]} {name}", stated)


def traced(path: Path, name: str) -> ArchGraph:
    model, inputs = build(path, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fxviz.trace(model, inputs, device=getattr(module(path), "DEVICE", "meta"))


QUICK = ("01", "05", "13", "22", "23", "29", "33", "41", "61", "fi")
"""The beginnings of the names of the cases that the quick suite takes: one or two of each kind."""


def models() -> Iterator[Any]:
    for path in FILES:
        for name in written(path):
            case = f"{path.name[:2]} {name}"
            yield pytest.param(path, name, id=case, marks=[] if case.startswith(QUICK) else [pytest.mark.slow])


@pytest.mark.parametrize(("path", "name"), list(models()))
def test_totals(path: Path, name: str) -> None:
    case = f"{path.name[:2]} {name}"
    if case in REFUSED:
        with pytest.raises((TraceError, UsageError), match=REFUSED[case]):
            traced(path, name)
        return
    params, macs, unknown = right(path, name)
    graph = traced(path, name)
    model, _ = build(path, name)
    said = params if params is not None else sum(parameter.numel() for parameter in model.parameters())
    assert (graph.total_params, graph.unknown_macs) == (said, unknown)
    assert case not in ("10 make", "11 make_ddp", "11 make_fsdp") or graph.traced_params == graph.total_params
    if macs is not None:
        assert graph.total_macs == macs
    if case in SKIPS:
        assert sum(skip.kind in ("identity", "projection", "resample") for skip in graph.skips) == SKIPS[case]


def operations() -> dict[str, tuple[Any, Any, int | None]]:
    return dict(module(CASES / "65_mac_ops.py").CASES)


@pytest.mark.parametrize("name", operations())
def test_macs_of_an_operation(name: str) -> None:
    model, inputs, macs = operations()[name]
    graph = fxviz.trace(model, inputs)
    if macs is None:
        assert graph.unknown_macs > 0
    else:
        assert (graph.total_macs, graph.unknown_macs) == (macs, 0)
