"""Exported programs: drawn as the models that they were exported from; nothing in the file is run or unpickled."""

from __future__ import annotations

import io
import json
import logging
import os
import pickle
import re
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.export.unflatten
from torch import Tensor, nn

import fxviz
from fxviz.errors import UsageError
from fxviz.graph import TensorInfo

pytestmark = pytest.mark.usefixtures("in_tmp")


knows_equal_calls = pytest.mark.skipif(
    not hasattr(sys.modules["torch.export.unflatten"], "_deduplicate_modules"),
    reason="this torch makes a module of its own of each call",
)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(width, width, 3, padding=1, groups=width), nn.BatchNorm2d(width)
        self.point = nn.utils.parametrizations.weight_norm(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.point(self.norm(self.conv(x)).relu())


class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.blocks = nn.ModuleList([Block(8) for _ in range(5)])
        self.up = nn.ConvTranspose2d(8, 4, 2, 2)
        self.head = nn.Linear(4, 10)

    def forward(self, image: Tensor, *, scale: float = 1.0) -> dict[str, Tensor]:
        x = self.stem(image)
        for block in self.blocks:
            x = block(x)
        x = self.up(x)
        with torch.no_grad():
            weight = x.mean().cos()
        return {"logits": self.head(x.mean((2, 3)) * weight) * scale}


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.conv(self.conv(x))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(100, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.out = nn.Linear(32, 100)
        self.out.weight = self.embed.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.out(self.encoder(self.embed(ids)))


class Dynamic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x).relu() + x.shape[0]


def message(model: str) -> str:
    with pytest.raises(UsageError) as caught:
        fxviz.trace(model)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def exported(model: nn.Module, *args: Tensor, path: str = "net.pt2", sizes: Any = None, **kwargs: Any) -> str:
    torch.export.save(torch.export.export(model.eval(), args, kwargs, dynamic_shapes=sizes, strict=False), path)
    return path


@pytest.mark.parametrize(
    ("make", "args", "kwargs"),
    [
        (Convolutions, (torch.zeros(2, 3, 32, 32),), {"scale": 2.0}),
        pytest.param(Twice, (torch.zeros(1, 3, 8, 8),), {}, marks=knows_equal_calls),
        (Transformer, (torch.zeros(2, 7, dtype=torch.int64),), {}),
        (lambda: nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.Linear(8, 8), nn.Tanh())), (torch.zeros(1, 4),), {}),
    ],
    ids=["convolutions", "twice", "transformer", "sequential"],
)
def test_a_program_is_drawn_as_the_model_it_was_exported_from(make: Any, args: Any, kwargs: Any) -> None:
    model = make().eval()
    program = fxviz.trace(exported(model, *args, **kwargs))
    direct = fxviz.trace(model, args, kwargs)
    assert (program.model.name, program.model.source) == ("net", "net.pt2")
    assert program.trace.method == "fake"
    assert (program.total_params, program.total_macs, program.skip_counts) == (
        direct.total_params,
        direct.total_macs,
        direct.skip_counts,
    )
    assert (program.model.cls, program.trace.inputs) == (direct.model.cls, direct.trace.inputs)
    assert fxviz.render(replace(program, model=direct.model)).dot == fxviz.render(direct).dot


def test_a_program_runs_for_real_with_the_inputs_that_came_with_it() -> None:
    path = exported(Convolutions(), torch.zeros(2, 3, 32, 32))
    graph = fxviz.trace(path, device="cpu")
    assert graph.trace.method == "real"
    assert graph.trace.inputs == {"image": TensorInfo((2, 3, 32, 32), "float32")}


def test_a_program_with_open_sizes_takes_others() -> None:
    path = exported(Dynamic(), torch.zeros(3, 4), sizes=({0: torch.export.Dim("rows")},))
    assert fxviz.trace(path).trace.inputs["x"].shape == (3, 4)
    assert fxviz.trace(path, TensorInfo((9, 4), "float32")).nodes[-1].outputs[0].shape == (9, 4)


def test_loading_a_program_leaves_the_process_as_it_was(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = exported(Dynamic(), torch.zeros(3, 4))
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0")
    capfd.readouterr()
    fxviz.trace(path)
    assert capfd.readouterr() == ("", "")
    assert os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] == "0"
    monkeypatch.delenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD")
    fxviz.trace(path)
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ
    assert logging.root.manager.disable == logging.NOTSET


def changed(path: str, change: Callable[[str, bytes], bytes], **more: bytes) -> str:
    """The archive at ``path`` with its members changed, and more of them."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    folder = next(iter(members)).partition("/")[0]
    with zipfile.ZipFile("changed.pt2", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, change(name, data))
        for name, data in more.items():
            archive.writestr(f"{folder}/data/{name}", data)
    return "changed.pt2"


class Bomb:
    """Makes the file "exploded" when it is unpickled."""

    def __reduce__(self) -> Any:
        return open, ("exploded", "w")


def test_a_program_with_something_to_unpickle_is_refused() -> None:
    bomb = io.BytesIO()
    torch.save(({"x": Bomb()},), bomb)
    path = exported(Dynamic(), torch.zeros(3, 4))
    harmful = changed(path, lambda name, data: bomb.getvalue() if "inputs" in name and not name.endswith(".json") else data)
    assert message(harmful) == (
        "cannot load 'changed.pt2': it holds objects that would be unpickled, and fxviz unpickles nothing; "
        "export the model without them"
    )
    assert not Path("exploded").exists()


@pytest.mark.parametrize("member", ["constants/opaque_obj_0", "constants/custom_obj_0", "aotinductor/net/a.cubin", "a.so"])
def test_a_program_with_objects_or_libraries_is_refused_unread(member: str) -> None:
    harmful = changed(exported(Dynamic(), torch.zeros(3, 4)), lambda name, data: data, **{member: pickle.dumps(Bomb())})
    assert message(harmful) == (
        f"cannot read 'changed.pt2': it holds '{member.rpartition('/')[2]}', which is code or would be unpickled; "
        "fxviz runs and unpickles nothing from a file of data"
    )
    assert not Path("exploded").exists()


@pytest.mark.parametrize("code", ["open('exploded', 'w')", "().__class__", "A1.B", "eval(chr(49))", "s0.a", "s0[0]", 3])
def test_a_program_with_code_for_a_size_is_refused(code: str | int) -> None:
    path = exported(Dynamic(), torch.zeros(3, 4), sizes=({0: torch.export.Dim("rows")},))

    def hurt(name: str, data: bytes) -> bytes:
        return re.sub(rb'("expr_str": ?)"[^"]*"', rb"\g<1>" + json.dumps(code).encode(), data) if b"expr_str" in data else data

    assert message(changed(path, hurt)).startswith("cannot read 'changed.pt2': a size is given by code: ")
    assert not Path("exploded").exists()


def test_a_program_that_calls_what_is_no_operation_is_refused() -> None:
    path = exported(Dynamic(), torch.zeros(3, 4))
    harmful = changed(path, lambda name, data: data.replace(b"torch.ops.aten.relu.default", b"torch.serialization.os.getpid"))
    assert message(harmful).startswith("cannot load 'changed.pt2': S")


def test_a_file_that_is_no_program_is_refused() -> None:
    whole = Path(exported(Dynamic(), torch.zeros(3, 4))).read_bytes()
    torch.save({"a": torch.ones(1)}, "weights.pt2")
    Path("empty.pt2").write_bytes(b"")
    Path("text.pt2").write_text("hello")
    Path("half.pt2").write_bytes(whole[: len(whole) // 2])
    Path("folder.pt2").mkdir()
    for name in ("weights", "empty", "text", "half"):
        expected = f"cannot read '{name}.pt2': it is no exported program, or cut short; write it with torch.export.save"
        assert message(f"{name}.pt2") == expected
    assert message("folder.pt2") == "cannot read 'folder.pt2': Is a directory"
    assert message("nowhere.pt2") == "cannot read 'nowhere.pt2': No such file or directory"
