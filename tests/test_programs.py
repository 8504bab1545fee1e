"""Exported programs are drawn as the models that they were exported from; nothing in the file is run or unpickled."""

from __future__ import annotations

import importlib.util
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
from fxviz._graph import TensorInfo
from fxviz._graph.errors import UsageError
from fxviz._sources.exported_vetting import is_size

pytestmark = pytest.mark.usefixtures("in_tmp")


knows_equal_calls = pytest.mark.skipif(
    not hasattr(sys.modules["torch.export.unflatten"], "_deduplicate_modules"),
    reason="this torch makes a module of its own of each call",
)


names_its_tensors = pytest.mark.skipif(
    importlib.util.find_spec("torch.export.pt2_archive") is None, reason="this torch writes all tensors into one part"
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


@pytest.mark.slow
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
    drawn = fxviz.render(replace(program, model=direct.model)).dot
    assert drawn.replace("MultiheadAttention", "Attention 4×8") == fxviz.render(direct).dot  # a program has no heads


@pytest.mark.slow
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
    """Copy the archive at ``path`` with its members changed and others added."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    folder = next(iter(members)).partition("/")[0]
    with zipfile.ZipFile("changed.pt2", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, change(name, data))
        for name, data in more.items():
            archive.writestr(f"{folder}/data/{name}", data)
    return "changed.pt2"


def nodes_of(description: dict[str, Any]) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = description["graph_module"]["graph"]["nodes"]
    return nodes


def described_anew(path: str, change: Callable[[dict[str, Any]], None]) -> str:
    """Copy the archive at ``path`` with the description of its program changed."""

    def edited(name: str, data: bytes) -> bytes:
        if not (name.endswith("exported_program.json") or "models/" in name):
            return data
        description = json.loads(data)
        change(description)
        return json.dumps(description).encode()

    return changed(path, edited)


class Bomb:
    """Makes the file "exploded" when it is unpickled."""

    def __reduce__(self) -> Any:
        return open, ("exploded", "w")


def test_a_program_with_something_to_unpickle_is_refused() -> None:
    bomb = io.BytesIO()
    torch.save(({"x": Bomb()},), bomb)
    path = exported(Dynamic(), torch.zeros(3, 4))
    harmful = changed(
        path, lambda name, data: bomb.getvalue() if "inputs" in name and not name.endswith(".json") else data
    )
    assert message(harmful) == (
        "cannot load 'changed.pt2': it contains pickled objects, and fxviz unpickles nothing; "
        "export the model without them"
    )
    assert not Path("exploded").exists()


@pytest.mark.parametrize(
    "member", ["constants/opaque_obj_0", "constants/custom_obj_0", "aotinductor/net/a.cubin", "a.so"]
)
def test_a_program_with_objects_or_libraries_is_refused_unread(member: str) -> None:
    harmful = changed(exported(Dynamic(), torch.zeros(3, 4)), lambda name, data: data, **{member: pickle.dumps(Bomb())})
    assert message(harmful) == (
        f"cannot read 'changed.pt2': it contains '{member.rpartition('/')[2]}', which is code or would be unpickled; "
        "fxviz neither runs nor unpickles anything in a file"
    )
    assert not Path("exploded").exists()


@pytest.mark.parametrize("code", ["open('exploded', 'w')", "().__class__", "A1.B", "eval(chr(49))", "s0.a", "s0[0]", 3])
def test_a_program_with_code_for_a_size_is_refused(code: str | int) -> None:
    path = exported(Dynamic(), torch.zeros(3, 4), sizes=({0: torch.export.Dim("rows")},))

    def hurt(name: str, data: bytes) -> bytes:
        return (
            re.sub(rb'("expr_str": ?)"[^"]*"', rb"\g<1>" + json.dumps(code).encode(), data)
            if b"expr_str" in data
            else data
        )

    assert message(changed(path, hurt)).startswith("cannot read 'changed.pt2': a size is code: ")
    assert not Path("exploded").exists()


SIZES = [
    "Add(Mul(Integer(2), Symbol('s77', positive=True, integer=True)), Integer(-1))",
    "Mul(Rational(1, 2), Pow(Symbol('s0'), Integer(2)), Pow(Symbol('s1'), Integer(-1)))",
    "GreaterThan(Symbol('u0', integer=True), Integer(2))",
    "FloatPow(ToFloat(Symbol('batch')), Float('0.5', precision=53))",
    "OpaqueUnaryFn_sqrt(ToFloat(Symbol('s0')))",
    "2*s0 + (s1//2)**2 - Max(1, s2) % 3",
    "s0 >= 2",
]
NO_SIZES = [
    "S('eval')(S('chr')(120))",
    "Symbol('eval')(1)",
    "Add(1, x=eval)",
    "Symbol('s0', positive=eval)",
    "Symbol('s0.real')",
    "Symbol('__import__')",
    "Integer('9')",
    "Function('f')",
    "N(s0)",
    "eval",
    "S",
    "9**9**9**9",
    "((9**60)**60)**60",
    "Pow(Integer(9), Pow(Integer(9), Integer(9)))",
    "LShift(Integer(1), Integer(99999999999))",
    "s0**s1",
    "9" * 100,
    "Float('1e999999999')",
    "Float('1', precision=999999999)",
    "[s0]",
    "s0 if s1 else s2",
    "lambda: 1",
    "s0 # comment",
    "s0\n",
    "f'{1}'",
    "-" * 1000 + "1",
    "Add(" * 1000 + ")" * 1000,
    "1+" * 10_000 + "1",
    "",
]


@pytest.mark.parametrize("text", SIZES)
def test_a_size_as_torch_writes_it_is_one(text: str) -> None:
    assert is_size(text)


@pytest.mark.parametrize("text", NO_SIZES)
def test_anything_else_is_no_size(text: str) -> None:
    assert not is_size(text)


@pytest.mark.slow
def test_torch_s_own_sizes_are_sizes() -> None:
    class Strided(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(*[nn.Conv2d(3, 3, 3, 2, 1) for _ in range(4)])

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x).flatten(2).repeat(1, 2, x.shape[2] // 7)

    rows, columns = torch.export.Dim("rows", min=64), torch.export.Dim("columns", min=64)
    path = exported(Strided(), torch.zeros(1, 3, 96, 80), sizes=({2: rows, 3: columns},))
    assert fxviz.trace(path, TensorInfo((1, 3, 64, 200), "float32")).nodes[-1].outputs[0].shape == (1, 6, 4 * 13 * 9)


NO_OPERATIONS = [
    "torch.serialization.os.system",
    "torch.os.system",
    "torch.hub.load",
    "torch.ops.load_library",
    "torch.classes.load_library",
    "torch.ops.aten.from_file.default",
    "torch.ops.aten.save.default",
    "torch.ops.aten.no_such.default",
    "torch.ops.image.read_file.default",
    "torch.ops.debugprims.load_tensor.default",
    "torch.ops.higher_order.print",
    "torch.ops.higher_order.inline_asm_elementwise",
    "torch.export.custom_ops._call_custom_autograd_function_in_pre_dispatch",
    "_operator.methodcaller",
    "math.os",
    "#extension:op",
    "relu",
]


@pytest.mark.parametrize("target", NO_OPERATIONS)
@pytest.mark.parametrize("field", ["target", "as_operator"])
def test_a_program_that_calls_what_is_no_operation_is_refused(target: str, field: str) -> None:
    def hurt(description: dict[str, Any]) -> None:
        node = nodes_of(description)[-1]
        description["verifiers"] = []  # torch's own check is up to the file
        if field == "target":
            node["target"] = target
        else:
            node["inputs"].append({"name": "more", "arg": {"as_operator": target}, "kind": 1})

    path = exported(nn.Sequential(nn.ReLU()), torch.zeros(3, 4))
    said = message(described_anew(path, hurt))
    reason = "it calls something other than an operation on tensors"
    assert said.startswith(f"cannot read 'changed.pt2': {reason}: {target[:20]}")


def test_a_program_may_run_parts_of_it_and_operations_on_sizes() -> None:
    class Blocks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                y = x @ x.transpose(0, 1)
            return y.float() * (2 * x.shape[0] - x.shape[0] // 2)

    path = exported(Blocks(), torch.zeros(8, 4), sizes=({0: torch.export.Dim("rows", min=4)},))
    assert fxviz.trace(path).nodes[-1].outputs[0].shape == (8, 8)


def test_a_file_that_an_operation_names_is_left_alone() -> None:
    Path("kept.txt").write_text("as it was")

    def hurt(description: dict[str, Any]) -> None:
        node = nodes_of(description)[-1]
        node["target"] = "torch.ops.aten.from_file.default"
        node["inputs"] = [
            {"name": "filename", "arg": {"as_string": "kept.txt"}, "kind": 1},
            {"name": "shared", "arg": {"as_bool": True}, "kind": 2},
            {"name": "size", "arg": {"as_int": 400}, "kind": 2},
        ]

    with pytest.raises(UsageError):
        fxviz.trace(described_anew(exported(nn.Sequential(nn.ReLU()), torch.zeros(3, 4)), hurt), device="cpu")
    assert Path("kept.txt").read_text() == "as it was"


def _structure(context: Any, kind: str = "builtins.dict") -> str:
    leaf = {"type": None, "context": None, "children_spec": []}
    arguments = [{"type": "builtins.tuple", "context": "null", "children_spec": [leaf]}]
    keywords = [{"type": kind, "context": context, "children_spec": []}]
    whole = {"type": "builtins.tuple", "context": "null", "children_spec": arguments + keywords}
    return json.dumps([1, whole])


ENUM = {"__enum__": True, "fqn": "harmful:E", "name": "A"}
FACTORY = {"default_factory_module": "harmful", "default_factory_name": "f", "dict_context": []}


@pytest.mark.parametrize(
    ("context", "kind"),
    [
        (json.dumps([ENUM]), "builtins.dict"),
        (" " + json.dumps([ENUM]).replace("__enum__", "\\u005f_enum__"), "builtins.dict"),
        (FACTORY, "collections.defaultdict"),
        (
            FACTORY | {"default_factory_module": "builtins", "default_factory_name": "breakpoint"},
            "collections.defaultdict",
        ),
    ],
)
def test_a_program_that_would_import_a_module_is_refused(
    context: Any, kind: str, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (in_tmp / "harmful.py").write_text("open('exploded', 'w')\nf = list\n")
    monkeypatch.syspath_prepend(in_tmp)

    def hurt(description: dict[str, Any]) -> None:
        description["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = _structure(context, kind)

    said = message(described_anew(exported(nn.Sequential(nn.ReLU()), torch.zeros(3, 4)), hurt))
    assert said.startswith("cannot read 'changed.pt2': the structure of its inputs would import a module: ")
    assert not Path("exploded").exists()


def test_guards_are_not_run() -> None:
    def hurt(description: dict[str, Any]) -> None:
        if "guards_code" not in description:
            pytest.skip("this torch keeps no guards")
        description["guards_code"] = ["open('exploded', 'w')"]

    path = described_anew(exported(nn.Sequential(nn.ReLU()), torch.zeros(3, 4)), hurt)
    for device in ("meta", "cpu"):
        assert fxviz.trace(path, device=device).nodes[-1].outputs[0].shape == (3, 4)
    assert not Path("exploded").exists()


@pytest.mark.parametrize("name", ["x = 1\n    open('exploded', 'w')", "x; y", "a.b", 'a"b'])
def test_a_name_that_is_code_is_refused(name: str) -> None:
    path = exported(nn.Sequential(nn.ReLU()), torch.zeros(3, 4))
    harmful = changed(path, lambda member, data: data.replace(b'"relu"', json.dumps(name).encode()))
    assert message(harmful).startswith("cannot read 'changed.pt2': a name is code: ")


def test_a_path_that_would_end_its_quotes_is_refused() -> None:
    path = exported(nn.Sequential(nn.Linear(4, 4)), torch.zeros(3, 4))
    harmful = changed(path, lambda member, data: data.replace(b"0.weight", b'0\\").a; (\\"weight'))
    assert message(harmful).startswith("cannot read 'changed.pt2': a name is code: ")


@names_its_tensors
@pytest.mark.parametrize(
    ("field", "value"),
    [("path_name", "opaque_obj/0"), ("path_name", "../models/model.json"), ("use_pickle", True)],
)
def test_a_tensor_that_would_be_unpickled_is_refused(field: str, value: Any) -> None:
    def hurt(name: str, data: bytes) -> bytes:
        if not name.endswith("weights_config.json"):
            return data
        description = json.loads(data)
        description["config"]["0.weight"][field] = value
        return json.dumps(description).encode()

    path = exported(nn.Sequential(nn.Linear(4, 4)), torch.zeros(3, 4))
    assert message(changed(path, hurt)).startswith("cannot read 'changed.pt2': it ")


def test_inputs_in_an_old_form_of_pickle_are_refused() -> None:
    path = exported(nn.Sequential(nn.ReLU()), torch.zeros(3, 4))
    harmful = changed(
        path, lambda name, data: pickle.dumps(Bomb()) if "inputs" in name and not name.endswith(".json") else data
    )
    assert "which torch.save did not write" in message(harmful)
    assert not Path("exploded").exists()


def test_two_parts_whose_names_torch_takes_for_one_are_refused() -> None:
    harmful = changed(exported(nn.Sequential(nn.ReLU()), torch.zeros(3, 4)), lambda name, data: data, x=b"", X=b"")
    assert message(harmful).startswith("cannot read 'changed.pt2': two of its members have the same name")


@names_its_tensors
def test_what_torch_reads_of_two_archives_in_one_file_is_vetted() -> None:
    """Python finds a member by its distance from the end of the archive, torch by that from the start of the file."""
    path = exported(nn.Sequential(nn.ReLU()), torch.zeros(3, 4))
    good = Path(changed(path, lambda name, data: data)).read_bytes()
    bad = Path(changed(path, lambda name, data: data.replace(b"aten.relu.default", b"aten.relx.default"))).read_bytes()
    assert len(good) == len(bad)
    Path("double.pt2").write_bytes(bad + good)
    reason = "it calls something other than an operation on tensors"
    assert message("double.pt2").startswith(f"cannot read 'double.pt2': {reason}: ")


def test_a_file_that_is_no_program_is_refused() -> None:
    whole = Path(exported(Dynamic(), torch.zeros(3, 4))).read_bytes()
    torch.save({"a": torch.ones(1)}, "weights.pt2")
    Path("empty.pt2").write_bytes(b"")
    Path("text.pt2").write_text("hello")
    Path("half.pt2").write_bytes(whole[: len(whole) // 2])
    Path("folder.pt2").mkdir()
    reason = "it is not an exported program, or is truncated; write it with torch.export.save"
    for name in ("weights", "empty", "text", "half"):
        assert message(f"{name}.pt2") == f"cannot read '{name}.pt2': {reason}"
    assert message("folder.pt2") == "cannot read 'folder.pt2': Is a directory"
    assert message("nowhere.pt2") == "cannot read 'nowhere.pt2': No such file or directory"
