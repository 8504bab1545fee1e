"""``--weights``: sizes, dtypes and bytes are those of the file, misfits are reported, and no code of a file is run."""

from __future__ import annotations

import json
import os
import pickle
import re
import socket
import struct
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models

from conftest import Result, optional, posix_only
from fxviz import ArchGraph, trace
from fxviz._graph import TensorInfo, WeightsInfo
from fxviz._graph.errors import FxvizError, UsageError

Call = Callable[..., Result]

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, classes)
        self.register_buffer("scale", torch.full((1,), 2.0), persistent=False)
    def forward(self, x):
        return self.head((self.scale * self.norm(self.conv(x))).mean((2, 3)))

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 4)
        self.head = nn.Linear(4, 10, bias=False)
        self.head.weight = self.embed.weight
    def forward(self, x):
        return self.head(self.embed(x))

class Asks(Net):
    def forward(self, x):
        if super().forward(x).isnan().any().item():
            raise ValueError("the weights are not those of the file")
        import numpy
        return torch.from_numpy(numpy.asarray(self.head.weight.detach()))

class Free(nn.ReLU):
    pass

made = Net()

def get():
    return made
"""

CHECKED = ("conv.weight", "norm.weight", "head.weight", "head.bias")


class Net(nn.Module):
    """The modules of ``NET``, from which weights are made."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, classes)


@pytest.fixture(autouse=True)
def folder(in_tmp: Path) -> Path:
    (in_tmp / "net.py").write_text(NET)
    return in_tmp


def state(dtype: torch.dtype = torch.float32, classes: int = 4) -> dict[str, torch.Tensor]:
    values = Net(classes).state_dict()
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in values.items()}


def saved(file: str, tensors: Any) -> str:
    if file.endswith(".safetensors"):
        optional("safetensors.torch").save_file(tensors, file)
    else:
        torch.save(tensors, file)
    return file


def loaded(model: str, file: str, **options: Any) -> tuple[WeightsInfo, dict[str, str]]:
    """Load weights, and return the facts about them and the dtype of each parameter."""
    graph = trace(model, weights=file, **options)
    assert graph.model.weights is not None
    return graph.model.weights, {parameter.name: parameter.dtype for parameter in graph.parameters}


def refused(model: str, file: str) -> str:
    with pytest.raises(UsageError) as caught:
        trace(model, weights=file)
    message = str(caught.value)
    assert len(message.splitlines()) == 1 and message.isprintable()
    return message


# -------------------------------------------------------------------- dtypes and bytes


@pytest.mark.parametrize("file", ["a.safetensors", "a.pt", "a.pth", "a.BIN", "a.ckpt"])
def test_a_file_of_weights_of_each_suffix(file: str) -> None:
    weights, dtypes = loaded("net.py:Net", saved(file, state(torch.float16)))
    assert weights == WeightsInfo(file, "float16")
    assert set(dtypes.values()) == {"float16"}


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
)
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_every_floating_dtype_is_kept(dtype: torch.dtype, suffix: str) -> None:
    """Not every operation supports float8: whether the run succeeds does not matter here."""
    file = saved(f"a{suffix}", {"weight": torch.zeros(2, 3).to(dtype), "bias": torch.zeros(2).to(dtype)})
    name = str(dtype).removeprefix("torch.")
    graph = trace("torch.nn:Linear(3, 2)", TensorInfo((1, 3), "float32"), weights=file, partial=True)
    assert {parameter.dtype for parameter in graph.parameters} == {name}
    assert graph.model.weights == WeightsInfo(file, name)


def test_a_complex_parameter_stays_complex() -> None:
    Path("wave.py").write_text(
        "import torch\nfrom torch import nn\nclass Wave(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.w = nn.Parameter(torch.zeros(3, dtype=torch.complex128))\n"
        "    def forward(self, x):\n        return self.w * x\n"
    )
    file = saved("a.pt", {"w": torch.zeros(3, dtype=torch.complex64)})
    graph = trace("wave.py:Wave", TensorInfo((3,), "float32"), weights=file)
    assert [parameter.dtype for parameter in graph.parameters] == ["complex64"]


def test_a_file_of_mixed_dtypes_keeps_each() -> None:
    tensors = state(torch.float16) | {"head.weight": torch.zeros(4, 8), "head.bias": torch.zeros(4)}
    graph = trace("net.py:Net", weights=saved("a.pt", tensors), partial=True)
    assert {parameter.name: parameter.dtype for parameter in graph.parameters} == {
        "conv.weight": "float16",
        "norm.weight": "float16",
        "norm.bias": "float16",
        "head.weight": "float32",
        "head.bias": "float32",
    }


def test_frozen_parameters_stay_frozen() -> None:
    Path("frozen.py").write_text(
        "from torch import nn\ndef make():\n    net = nn.Linear(3, 2)\n"
        "    net.bias.requires_grad_(False)\n    return net\n"
    )
    graph = trace("frozen.py:make", TensorInfo((1, 3), "float32"), weights=saved("a.pt", nn.Linear(3, 2).state_dict()))
    assert [(parameter.name, parameter.trainable) for parameter in graph.parameters] == [
        ("weight", True),
        ("bias", False),
    ]


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_on_a_device_that_computes_the_values_are_those_of_the_file(suffix: str) -> None:
    """``Sums`` converts its weights to numpy, so it runs for real even if fake tensors were requested."""
    tensors = {name: torch.full_like(value, 3) for name, value in state().items()}
    Path("sums.py").write_text(
        NET + "\nclass Sums(Net):\n    def forward(self, x):\n"
        "        total = sum(float(p.detach().numpy().sum()) for p in self.parameters())\n"
        "        assert total == 3 * sum(p.numel() for p in self.parameters()), total\n        return self.head(x)\n"
    )
    file = saved(f"a{suffix}", tensors)
    for device in ("cpu", "meta"):
        graph = trace("sums.py:Sums", TensorInfo((1, 8), "float32"), weights=file, device=device)
        assert graph.trace.method == "real"


def test_a_fake_trace_takes_no_memory_for_a_file_of_50_gigabytes() -> None:
    """The file is sparse, so that it takes no space on the disk, either."""
    optional("safetensors")
    outputs, inputs = 5000, 5_000_000
    header = {"weight": {"dtype": "F16", "shape": [outputs, inputs], "data_offsets": [0, 2 * inputs * outputs]}}
    text = json.dumps(header).encode()
    Path("big.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    os.truncate("big.safetensors", 8 + len(text) + 2 * inputs * outputs)
    model = f"torch.nn:Linear({inputs}, {outputs}, False)"
    graph = trace(model, TensorInfo((1, inputs), "float16"), weights="big.safetensors")
    assert (graph.total_params, graph.parameters[0].dtype) == (inputs * outputs, "float16")


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="this system does not count the bytes that are read")
def test_a_fake_trace_reads_only_what_describes_the_tensors() -> None:
    file = saved("big.pt", {"weight": torch.zeros(4000, 4000), "bias": torch.zeros(4000)})
    trace("torch.nn:Linear(4000, 4000)", TensorInfo((1, 4000), "float32"))  # what is read once, is read
    before = _bytes_read()
    trace("torch.nn:Linear(4000, 4000)", TensorInfo((1, 4000), "float32"), weights=file)
    assert _bytes_read() - before < 4_000_000 < Path(file).stat().st_size


def _bytes_read() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


def test_a_buffer_keeps_its_values_and_takes_over_the_dtype() -> None:
    """A model that runs on fake tensors reads the values of its tables of positions."""
    Path("table.py").write_text(
        "import torch\nfrom torch import nn\nclass Table(nn.Linear):\n"
        "    def __init__(self):\n        super().__init__(4, 4)\n"
        "        self.register_buffer('sizes', torch.tensor([2, 3]))\n    def forward(self, x):\n"
        "        return super().forward(x).expand(*self.sizes.tolist(), 4)\n"
    )
    file = saved("a.pt", nn.Linear(4, 4).half().state_dict() | {"sizes": torch.tensor([2, 3], dtype=torch.int32)})
    graph = trace("table.py:Table", TensorInfo((1, 4), "float16"), weights=file)
    assert graph.nodes[-1].outputs[0].shape == (2, 3, 4)
    assert graph.trace.method == "fake"


# -------------------------------------------------------------------- the inputs' dtype


@pytest.mark.slow
def test_inputs_whose_dtype_nobody_gave_follow_the_weights(fxviz: Call) -> None:
    file = saved("a.pt", state(torch.float16))
    assert {tensor.dtype for tensor in trace("net.py:Net", weights=file).trace.inputs.values()} == {"float16"}
    for given, sizes in (
        (["--input", "3x16x16"], "1x3x16x16"),
        (["--input", "x=2x3x16x16"], "2x3x16x16"),
        ([], "1x3x224x224"),
    ):
        result = fxviz("trace", "net.py:Net", "--weights", file, *given, "-o", "-")
        assert json.loads(result.out)["graph"]["trace"]["inputs"]["x"]["dtype"] == "float16"
        assert f"inputs are float16 like the weights (--input {sizes}:float16); a dtype given in" in result.err
    assert trace("net.py:Net", TensorInfo((1, 3, 16, 16), "float32"), weights=file).trace.inputs["x"].dtype == "float32"
    result = fxviz("trace", "net.py:Net", "--weights", file, "--input", "1x3x16x16:float64", "-o", "-", "--partial")
    assert json.loads(result.out)["graph"]["trace"]["inputs"]["x"]["dtype"] == "float64"
    assert "inputs are" not in result.err


def test_of_several_inputs_each_is_named(fxviz: Call) -> None:
    Path("two.py").write_text(
        "from torch import nn\nclass Two(nn.Linear):\n    def __init__(self):\n        super().__init__(7, 2)\n"
        "    def forward(self, image, place):\n        return super().forward(image), place\n"
    )
    file = saved("a.pt", nn.Linear(7, 2).half().state_dict())
    result = fxviz(
        "trace", "two.py:Two", "--weights", file, "--input", "1x4x7x7", "--input", "1x9:int32", "-o", "a.json"
    )
    assert (
        "inputs are float16 like the weights (--input image=1x4x7x7:float16 --input place=1x9:int32); a dtype"
        in result.err
    )


def test_inputs_inside_others_are_named_as_they_were_given(fxviz: Call) -> None:
    Path("deep.py").write_text(
        "from torch import nn\nclass Deep(nn.Linear):\n    def __init__(self):\n        super().__init__(7, 2)\n"
        "    def forward(self, data, pair):\n"
        "        return super().forward(data.image0) + super().forward(pair[1]) + super().forward(pair[0])\n"
    )
    file = saved("a.pt", nn.Linear(7, 2).half().state_dict())
    given = ("pair[1]=2x7", "data.image0=1x7", "pair[0]=1x7", "data.mask=1x9:bool")
    result = fxviz(
        "trace", "deep.py:Deep", "--weights", file, *(part for spec in given for part in ("--input", spec)), "-o", "-"
    )
    assert (
        "inputs are float16 like the weights (--input data.image0=1x7:float16 --input data.mask=1x9:bool "
        "--input pair[0]=1x7:float16 --input pair[1]=2x7:float16); a dtype given"
    ) in result.err


def test_whole_numbers_stay_whole(fxviz: Call) -> None:
    file = saved("a.pt", {"embed.weight": torch.zeros(10, 4).half()})
    result = fxviz("trace", "net.py:Tied", "--weights", file, "--input", "1x3:int64[0,10]", "-o", "a.json")
    assert (result.status, "inputs are" in result.err) == (0, False)
    assert ArchGraph.load("a.json").trace.inputs["x"].dtype == "int64"


# -------------------------------------------------------------------- names


def test_missing_and_unexpected_names_are_listed_and_kept(fxviz: Call) -> None:
    tensors = {name: value for name, value in state().items() if not name.startswith("norm")} | {
        "aux.weight": torch.ones(1)
    }
    result = fxviz("trace", "net.py:Net", "--weights", saved("a.pt", tensors), "-o", "a.json")
    assert result.err.splitlines()[:2] == [
        "weights a.pt: missing norm.weight, norm.bias, norm.running_mean and 1 more",
        "weights a.pt: unexpected aux.weight",
    ]
    weights = ArchGraph.load("a.json").model.weights
    assert weights is not None
    assert weights.missing == ("norm.weight", "norm.bias", "norm.running_mean", "norm.running_var")
    assert weights.unexpected == ("aux.weight",)
    assert fxviz("trace", "net.py:Net", "--weights", "a.pt", "-o", "b.json", "-q").err == ""
    assert Path("a.json").read_bytes() == Path("b.json").read_bytes()
    assert fxviz("render", "a.json", "-o", "a.svg", "-q").status == 0


def test_what_is_missing_gets_the_dtype_of_the_file() -> None:
    tensors = {name: value for name, value in state(torch.bfloat16).items() if not name.startswith("head")}
    weights, dtypes = loaded("net.py:Net", saved("a.pt", tensors))
    assert weights.missing == ("head.weight", "head.bias")
    assert set(dtypes.values()) == {"bfloat16"}


@pytest.mark.parametrize(
    ("wrap", "part", "prefix"),
    [
        (lambda tensors: {"epoch": 3, "state_dict": tensors}, "state_dict", ""),
        (
            lambda tensors: {"model": tensors, "ema": dict(tensors), "optimizer": {"state": {0: torch.ones(3)}}},
            "model",
            "",
        ),
        (lambda tensors: {"a": {"b": tensors}, "loss": torch.ones(1)}, "a.b", ""),
        (lambda tensors: {f"module.{name}": value for name, value in tensors.items()}, "", "module."),
        (
            lambda tensors: {f"_orig_mod.module.{name}": value for name, value in tensors.items()},
            "",
            "_orig_mod.module.",
        ),
        (lambda tensors: {"net": {f"net.{name}": value for name, value in tensors.items()}}, "net", "net."),
    ],
)
def test_wrappers_are_taken_off_and_that_is_said(wrap: Any, part: str, prefix: str, fxviz: Call) -> None:
    weights, dtypes = loaded("net.py:Net", saved("a.pt", wrap(state(torch.float64))))
    assert (weights.part, weights.prefix, weights.missing) == (part, prefix, ())
    assert set(dtypes.values()) == {"float64"}
    said = [f"from its part '{part}'" if part else "", f"without the prefix '{prefix}' of its names" if prefix else ""]
    err = fxviz("trace", "net.py:Net", "--weights", "a.pt", "-o", "a.json").err
    assert f"weights a.pt: loaded {', '.join(filter(None, said))}\n" in err


def test_a_prefix_of_a_few_names_is_none() -> None:
    """A prefix must be that of at least half of the names."""
    tensors = {"0.weight": torch.ones(2, 3), "2.weight": torch.ones(2, 2), "4.weight": torch.ones(2, 2)}
    assert "none of its 3 names is in the model" in refused("torch.nn:Linear(3, 2)", saved("a.pt", tensors))


@pytest.mark.slow
def test_the_old_spelling_of_densenet_is_understood() -> None:
    """torchvision's DenseNet was saved with "norm.1" instead of "norm1"."""
    tensors = {name: value.half() for name, value in models.densenet121(weights=None).state_dict().items()}
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", name): value for name, value in tensors.items()}
    assert old.keys() != tensors.keys()
    weights, dtypes = loaded("densenet121", saved("a.pt", old))
    assert (weights.missing, weights.unexpected, set(dtypes.values())) == ((), (), {"float16"})


def test_names_of_tensorflow_are_understood() -> None:
    tensors = state()
    tensors |= {"norm.gamma": tensors.pop("norm.weight"), "norm.beta": tensors.pop("norm.bias")}
    weights, _ = loaded("net.py:Net", saved("b.pt", tensors))
    assert (weights.missing, weights.unexpected) == ((), ())


@pytest.mark.parametrize("names", [("embed.weight",), ("head.weight",), ("embed.weight", "head.weight")])
def test_tied_weights_stay_tied(names: tuple[str, ...]) -> None:
    """A file may contain them once, under either name, or twice."""
    tensors = dict.fromkeys(names, torch.zeros(10, 4).half())
    graph = trace("net.py:Tied", TensorInfo((1, 3), "int64"), weights=saved("a.pt", tensors))
    assert graph.total_params == 40
    assert [(parameter.name, parameter.dtype) for parameter in graph.parameters] == [("embed.weight", "float16")]
    assert [node.shared for node in graph.nodes if node.op == "Linear"] == [("embed.weight",)]
    assert graph.model.weights == WeightsInfo("a.pt", "float16")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_of_two_tensors_for_one_parameter_one_is_unexpected(suffix: str) -> None:
    file = saved(f"a{suffix}", {"embed.weight": torch.zeros(10, 4), "head.weight": torch.ones(10, 4)})
    for device in ("meta", "cpu"):
        weights = trace("net.py:Tied", TensorInfo((1, 3), "int64"), weights=file, device=device).model.weights
        assert weights == WeightsInfo(file, "float32", unexpected=("head.weight",))


# -------------------------------------------------------------------- what does not fit


def test_other_sizes_are_refused_with_the_way_out(fxviz: Call) -> None:
    result = fxviz("trace", "net.py:Net", "--weights", saved("a.pt", state(classes=7)), "-o", "a.json")
    assert result.status == 2
    assert result.err == (
        "fxviz: cannot load 'a.pt' into Net: 'head.weight' is 7×8 in the file, but 4×8 in the model; build the model "
        "with the sizes of the weights, as in 'torchvision.models:resnet18(num_classes=10)' or 'net.py:Net(...)'\n"
    )
    assert not Path("a.json").exists()
    assert loaded("net.py:Net(classes=7)", "a.pt")[0].missing == ()


def test_weights_of_another_model_are_refused() -> None:
    saved("a.pt", {"blocks.0.attn.qkv.weight": torch.ones(3)})
    assert refused("net.py:Net", "a.pt") == (
        "cannot load 'a.pt' into Net: none of its 1 names is in the model (the file has 'blocks.0.attn.qkv.weight', "
        "the model has 'conv.weight'); name the model of these weights"
    )
    assert refused("net.py:Free", "a.pt") == "cannot load 'a.pt' into Free: the model has no parameters"
    saved("b.pt", {"epoch": 3, "lr": [0.1]})
    assert "the file contains no tensors by name" in refused("net.py:Net", "b.pt")


@pytest.mark.parametrize("packed", [torch.ones(4, 8, dtype=torch.int8), torch.ones(16, 1, dtype=torch.uint8)])
def test_quantized_weights_are_refused(packed: torch.Tensor) -> None:
    saved("a.pt", state() | {"head.weight": packed})
    dtype = str(packed.dtype).removeprefix("torch.")
    assert refused("net.py:Net", "a.pt") == (
        f"cannot load 'a.pt' into Net: 'head.weight' is {dtype} in the file, quantized or packed, but float32 in the "
        "model; use the weights from before quantization"
    )


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_quantized_tensors_of_torch_are_refused() -> None:
    saved("a.pt", {"weight": torch.quantize_per_tensor(torch.ones(2, 3), 0.1, 0, torch.qint8), "bias": torch.ones(2)})
    said = "cannot load 'a.pt': it contains quantized tensors; use the weights from before quantization"
    assert refused("torch.nn:Linear(3, 2)", "a.pt") == said
    with pytest.raises(UsageError, match="'weight' is qint8 in the file, quantized or packed"):
        trace("torch.nn:Linear(3, 2)", TensorInfo((1, 3), "float32"), weights="a.pt", device="cpu")


def test_the_callers_own_module_is_left_alone(folder: Path) -> None:
    file, module = saved("a.pt", state(torch.float16)), Net()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(UsageError) as caught:
        trace(module, weights=file)
    assert str(caught.value) == (
        "cannot load weights into a module that is built already: call its load_state_dict before you pass it"
    )
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_module_that_was_made_before_is_copied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    (folder / "package_with_made.py").write_text(NET)
    file = saved("a.pt", state(torch.float16))
    monkeypatch.syspath_prepend(str(folder))
    assert set(loaded("package_with_made:made", file)[1].values()) == {"float16"}
    made = sys.modules["package_with_made"].made
    assert {parameter.dtype for parameter in made.parameters()} == {torch.float32}


def test_a_module_that_lives_on_behind_a_function_is_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    (folder / "package_with_get.py").write_text(NET)
    file = saved("a.pt", state(torch.float16))
    monkeypatch.syspath_prepend(str(folder))
    trace("package_with_get:get", TensorInfo((1, 3, 8, 8), "float32"))
    made = sys.modules["package_with_get"].made
    before = {name: value.clone() for name, value in made.state_dict().items()}
    assert all(module.training for module in made.modules())
    assert set(loaded("package_with_get:get", file)[1].values()) == {"float16"}
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())


def test_what_computes_its_weights_is_copied_too(folder: Path) -> None:
    """torch cannot copy computed tensors, such as the weight of ``weight_norm``."""
    (folder / "normed.py").write_text(
        "from torch import nn\ndef make():\n    return nn.utils.weight_norm(nn.Linear(4, 2))\n"
        "def lock():\n    net = nn.Linear(4, 2)\n    net.lock = __import__('threading').Lock()\n    return net\n"
    )
    file = saved("a.pt", {"weight_g": torch.ones(2, 1), "weight_v": torch.ones(2, 4), "bias": torch.ones(2)})
    weights = trace("normed.py:make", TensorInfo((1, 4), "float32"), weights=file).model.weights
    assert weights == WeightsInfo("a.pt", "float32")
    said = "cannot copy 'lock', which others may hold \\(a class makes one for this call alone\\)"
    assert re.match(said, refused("normed.py:lock", file))


def test_a_program_takes_weights() -> None:
    program = torch.export.export(nn.Sequential(nn.Linear(4, 2)), (torch.ones(1, 4),), strict=False)
    torch.export.save(program, "program.pt2")
    file = saved("a.pt", {"0.weight": torch.ones(2, 4).half(), "0.bias": torch.ones(2).half()})
    graph = trace("program.pt2", weights=file)
    assert {parameter.dtype for parameter in graph.parameters} == {"float16"}


# -------------------------------------------------------------------- files that are no files of weights


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch hacked",)


def _tar(file: str) -> None:
    Path("pickle").write_bytes(pickle.dumps(Evil()))
    with tarfile.open(file, "w") as archive:
        archive.add("pickle")


def _scripted(file: str) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), file)  # type: ignore[no-untyped-call]


def _scripted_with_a_tail(file: str) -> None:
    """Write a file that is an archive for torch, which reads its start, but not for Python, which reads its end."""
    _scripted(file)
    with Path(file).open("ab") as end:
        end.write(b"PK\x05\x06")
    assert not zipfile.is_zipfile(file)


def _optimizer(file: str) -> None:
    net = nn.Linear(2, 2)
    net(torch.ones(1, 2)).sum().backward()
    optimizer = torch.optim.Adam(net.parameters())
    optimizer.step()
    torch.save(optimizer.state_dict(), file)


def _cut(file: str) -> None:
    torch.save(state(), file)
    os.truncate(file, Path(file).stat().st_size // 2)


ALONE = "save only the weights, torch.save(model.state_dict(), 'weights.pt'), and use that file"
REASON = "which may run code; fxviz unpickles only tensors"


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda file: torch.save(Evil(), file), f"it contains a pickled 'posix.system', {REASON}; {ALONE}"),
        (
            lambda file: torch.save({"state_dict": state(), "hook": Evil()}, file),
            f"it contains a pickled 'posix.system', {REASON}; {ALONE}",
        ),
        (
            lambda file: torch.save(Evil(), file, _use_new_zipfile_serialization=False),
            f"it contains a pickled 'posix.system', {REASON}; {ALONE}",
        ),
        (
            lambda file: torch.save(nn.Linear(2, 2), file),
            f"it contains a pickled 'torch.nn.modules.linear.Linear', {REASON}; {ALONE}",
        ),
        (lambda file: Path(file).write_bytes(pickle.dumps(Evil())), f"...; {ALONE}"),
        (_tar, f"it has the format of torch before 0.4, which is unpickled; {ALONE}"),
        (_scripted, f"it contains a scripted module, which is code; {ALONE}"),
        (_scripted_with_a_tail, f"it contains a scripted module, which is code; {ALONE}"),
        (_cut, f"it is truncated or damaged; download it again, or {ALONE}"),
        (lambda file: Path(file).write_bytes(b""), f"torch.save did not write it; download it again, or {ALONE}"),
        (
            lambda file: Path(file).write_text("epoch 3"),
            f"torch.save did not write it; download it again, or {ALONE}",
        ),
        (lambda file: torch.save(torch.ones(3), file), f"it contains a tensor, not tensors by name; {ALONE}"),
        (_optimizer, f"it contains the state of an optimizer, not the weights of a model; {ALONE}"),
        (lambda file: torch.save([1], file), f"it contains a list, not tensors by name; {ALONE}"),
    ],
    ids="object hook legacy module pickle tar scripted tail cut empty text tensor optimizer list".split(),
)
def test_nothing_but_tensors_is_unpickled(write: Callable[[str], Any], said: str) -> None:
    write("a.pt")
    message = refused("net.py:Net", "a.pt")
    pattern = re.escape(f"cannot load 'a.pt': {said}").replace(re.escape("..."), ".*")
    assert re.fullmatch(pattern, message), message
    assert not Path("hacked").exists()


def test_a_file_of_an_old_torch_is_read() -> None:
    torch.save(state(torch.float64), "a.pth", _use_new_zipfile_serialization=False)
    assert loaded("net.py:Net", "a.pth")[0] == WeightsInfo("a.pth", "float64")


@pytest.mark.parametrize("content", [b"", b"x" * 100, struct.pack("<Q", 2**60) + b"{}", struct.pack("<Q", 2) + b"[]"])
def test_a_damaged_safetensors(content: bytes) -> None:
    optional("safetensors")
    Path("a.safetensors").write_bytes(content)
    assert re.fullmatch(
        r"cannot load 'a.safetensors': it is not a safetensors file, or is truncated \(.+\); download it again",
        refused("net.py:Net", "a.safetensors"),
    )


def test_a_safetensors_cut_short() -> None:
    os.truncate(saved("a.safetensors", state()), 700)
    assert "it is not a safetensors file, or is truncated" in refused("net.py:Net", "a.safetensors")


def test_without_the_library_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    saved("a.safetensors", state())
    monkeypatch.setitem(__import__("sys").modules, "safetensors", None)
    assert refused("net.py:Net", "a.safetensors") == (
        "cannot read 'a.safetensors': it needs safetensors, which is not installed: pip install \"fxviz[weights]\""
    )


def test_weights_spread_over_files() -> None:
    tensors = state(torch.float16)
    parts = {"a-1.safetensors": [*tensors][:2], "a-2.safetensors": [*tensors][2:]}
    for file, names in parts.items():
        saved(file, {name: tensors[name] for name in names})
    index = {"metadata": {}, "weight_map": {name: file for file, names in parts.items() for name in names}}
    Path("a.safetensors.index.json").write_text(json.dumps(index))
    assert loaded("net.py:Net", "a.safetensors.index.json")[0] == WeightsInfo("a.safetensors.index.json", "float16")
    for bad in (
        "{",
        "[]",
        '{"weight_map": {"a": "../a.pt"}}',
        '{"weight_map": {"a": "/etc/passwd"}}',
        '{"weight_map": 3}',
    ):
        Path("b.index.json").write_text(bad)
        said = "cannot load 'b.index.json': it has no \"weight_map\" of files beside it; name a file of weights"
        assert refused("net.py:Net", "b.index.json") == said


@posix_only
def test_what_is_no_file(folder: Path) -> None:
    (folder / "a.pt").mkdir()
    (folder / "weights").mkdir()
    (folder / "notes.txt").write_text("")
    one_of = ".safetensors, .pt, .pth, .bin, .ckpt or .index.json"
    assert refused("net.py:Net", "a.pt") == "cannot load 'a.pt': Is a directory"
    assert refused("net.py:Net", "weights") == f"cannot load 'weights': it is a folder; name a file: {one_of}"
    assert (
        refused("resnet18", "notes.txt")
        == f"cannot load 'notes.txt': it is not a file of weights; name a file: {one_of}"
    )
    os.mkfifo("pipe.pt")
    reason = "it is a pipe or a device, not a file; save its content to a file"
    assert refused("net.py:Net", "pipe.pt") == f"cannot load 'pipe.pt': {reason}"
    assert refused("net.py:Net", "nowhere/a.pt") == "cannot load 'nowhere/a.pt': No such file or directory"


def test_hostile_names_in_a_file_are_harmless(fxviz: Call) -> None:
    hostile = {"\x1b[2Jevil\n": torch.ones(1), "a" * 1000: torch.ones(1), "=cmd|x": torch.ones(1)}
    result = fxviz("trace", "net.py:Net", "--weights", saved("a.pt", state() | hostile), "-o", "a.json")
    assert result.status == 0
    assert "unexpected \\x1b[2Jevil\\n, aaaa" in result.err
    assert all(line.isprintable() and len(line) < 300 for line in result.err.splitlines())
    weights = ArchGraph.load("a.json").model.weights
    assert weights is not None and weights.unexpected == tuple(hostile)


def test_a_graph_saved_before_there_were_weights_is_read(tiny: ArchGraph) -> None:
    data = json.loads(tiny.to_json())
    assert data["graph"]["model"].pop("weights") is None
    Path("old.json").write_text(json.dumps(data))
    assert ArchGraph.load("old.json") == tiny


# -------------------------------------------------------------------- published weights


@pytest.fixture
def hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty directory for torch.hub's files, and refuse connections to other machines."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(folder / "hub"))
    connect = socket.socket.connect

    def local(self: socket.socket, address: Any) -> None:
        assert address[0] == "127.0.0.1", f"a connection to {address} was tried"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local)
    return folder / "hub" / "checkpoints"


@pytest.fixture(scope="module")
def squeezenet() -> dict[str, torch.Tensor]:
    return {name: value.half() for name, value in models.squeezenet1_1(weights=None).state_dict().items()}


SQUEEZENET = models.SqueezeNet1_1_Weights.IMAGENET1K_V1


def test_published_weights_that_are_not_here_are_not_fetched_unasked(hub: Path, fxviz: Call) -> None:
    result = fxviz("trace", "squeezenet1_1", "--weights", "DEFAULT", "-o", "-")
    assert (result.status, result.out) == (2, "")
    assert result.err == (
        "fxviz: squeezenet1_1's weights IMAGENET1K_V1 are not on this machine; --download downloads them (4.7 MB)\n"
    )
    assert not hub.exists()


@pytest.mark.parametrize("name", ["DEFAULT", "IMAGENET1K_V1", "SqueezeNet1_1_Weights.IMAGENET1K_V1"])
def test_published_weights_that_are_here_are_loaded(name: str, hub: Path, squeezenet: dict[str, torch.Tensor]) -> None:
    hub.mkdir(parents=True)
    saved(str(hub / SQUEEZENET.url.rpartition("/")[2]), squeezenet)
    weights, dtypes = loaded("squeezenet1_1", name)
    assert weights == WeightsInfo(name, "float16")
    assert set(dtypes.values()) == {"float16"}


@pytest.fixture
def server(folder: Path) -> Iterator[str]:
    """Serve the directory ``served`` on this machine."""
    (folder / "served").mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None: ...

    running = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder / "served")))
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    running.server_close()


@pytest.mark.slow
def test_published_weights_are_downloaded_when_asked(
    hub: Path,
    server: str,
    squeezenet: dict[str, torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
    fxviz: Call,
    capfd: pytest.CaptureFixture[str],
) -> None:
    saved("served/squeeze.pth", squeezenet)
    monkeypatch.setattr(SQUEEZENET.value, "url", f"{server}/squeeze.pth")
    call = ("trace", "squeezenet1_1", "--weights", "DEFAULT", "--download", "-o", "a.json")
    result = fxviz(*call)
    assert result.status == 0
    assert "%" in result.err and "inputs are float16" in result.err
    assert [file.name for file in hub.iterdir()] == ["squeeze.pth"]
    assert ArchGraph.load("a.json").parameters[0].dtype == "float16"
    (hub / "squeeze.pth").unlink()
    assert fxviz(*call, "-q").err == ""
    (hub / "squeeze.pth").unlink()
    assert trace("squeezenet1_1", weights="DEFAULT", download=True).parameters[0].dtype == "float16"
    assert capfd.readouterr() == ("", "")  # from Python nothing is shown
    Path("served/squeeze.pth").unlink()
    assert fxviz(*call, "-q").status == 0  # it is here: nothing is asked for


def test_nothing_is_downloaded_for_a_device_that_is_not_here(hub: Path, fxviz: Call) -> None:
    with pytest.raises(UsageError, match="invalid device 'bogus'"):
        trace("squeezenet1_1", weights="DEFAULT", download=True, device="bogus")
    with pytest.raises(UsageError, match="device 'cuda:99' is not available"):
        trace("squeezenet1_1", weights="DEFAULT", download=True, device="cuda:99")
    result = fxviz("trace", "squeezenet1_1", "--weights", "DEFAULT", "--download", "--device", "cuda:99")
    assert (result.status, hub.exists()) == (2, False)
    assert result.err.startswith("fxviz: device 'cuda:99' is not available: ")


@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
def test_a_download_that_fails_is_said(hub: Path, server: str, monkeypatch: pytest.MonkeyPatch, fxviz: Call) -> None:
    Path("served/squeeze-0123456789abcdef.pth").write_bytes(b"other")
    for file, said in (
        ("none.pth", "HTTPError: HTTP Error 404: "),
        ("squeeze-0123456789abcdef.pth", "invalid hash value"),
    ):
        monkeypatch.setattr(SQUEEZENET.value, "url", f"{server}/{file}")
        result = fxviz("trace", "squeezenet1_1", "--weights", "DEFAULT", "--download", "-o", "a.json", "-q")
        assert result.status == 1
        assert result.err.startswith(
            f"fxviz: cannot download squeezenet1_1's weights IMAGENET1K_V1 from {server}/{file}: "
        )
        assert said in result.err and result.err.endswith("; or name a file: --weights FILE\n")
        assert result.err.count("\n") == 1
        assert not list(hub.glob("*"))


def test_a_name_that_a_library_has_not() -> None:
    assert refused("resnet50", "V3") == (
        "resnet50 has no weights 'V3': choose DEFAULT (IMAGENET1K_V2) or IMAGENET1K_V1, or name a file"
    )
    one_of = ".safetensors, .pt, .pth, .bin, .ckpt or .index.json"
    assert refused("net.py:Net", "DEFAULT") == (
        "unknown weights 'DEFAULT' for 'net.py:Net': only models of torchvision, timm or transformers have published "
        f"ones; name a file: {one_of}"
    )


def test_nothing_is_downloaded_for_no_weights() -> None:
    with pytest.raises(UsageError, match="nothing to download: also name published weights"):
        trace("resnet18", download=True)


# -------------------------------------------------------------------- the Hugging Face hub


@pytest.fixture
def cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty cache of the Hugging Face hub, and go offline."""
    constants = optional("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(folder / "hub"))
    return folder / "hf"


def repository(cache: Path, name: str) -> Path:
    """Make the directory of a repository's files in the cache."""
    place = cache / f"models--{name.replace('/', '--')}"
    files = place / "snapshots" / ("a" * 40)
    files.mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("a" * 40)
    return files


@pytest.mark.slow
def test_timms_weights_by_tag(cache: Path) -> None:
    timm = optional("timm")
    missing = "timm:resnet18's weights a1_in1k are not on this machine; download=True"
    assert missing in refused("timm:resnet18", "DEFAULT")
    assert "timm:resnet18 has no weights 'mine': choose DEFAULT, a1_in1k," in refused("timm:resnet18", "mine")
    tensors = {
        name: value.half()
        for name, value in timm.create_model("resnet18").state_dict().items()
        if value.is_floating_point()
    }
    saved(str(repository(cache, "timm/resnet18.a2_in1k") / "model.safetensors"), tensors)
    weights, dtypes = loaded("timm:resnet18", "a2_in1k")
    assert (weights.name, weights.missing, set(dtypes.values())) == ("a2_in1k", (), {"float16"})
    assert loaded("timm:resnet18.a2_in1k", "DEFAULT")[0].dtype == "float16"
    with pytest.raises(
        FxvizError, match=r"cannot download the weights of timm/resnet18\.a3_in1k from the Hugging Face hub: "
    ):
        trace("timm:resnet18", weights="a3_in1k", download=True)


@pytest.mark.slow
def test_a_repository_of_transformers_brings_its_configuration(cache: Path) -> None:
    transformers = optional("transformers")
    name = "own/tiny"
    assert refused("transformers:bert", name) == (
        "the weights 'own/tiny' of transformers:bert are not on this machine; download=True downloads them"
    )
    config = transformers.BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, vocab_size=100
    )
    files = repository(cache, name)
    transformers.BertForMaskedLM(config).half().save_pretrained(files)
    weights, dtypes = loaded("transformers:bert", name)
    assert (weights.dtype, weights.prefix, set(dtypes.values())) == ("float16", "bert.", {"float16"})
    assert weights.missing == ("pooler.dense.weight", "pooler.dense.bias")
    assert all(unexpected.startswith("cls.") for unexpected in weights.unexpected)
    graph = trace("transformers:bert", weights=name)
    assert (graph.model.name, graph.total_params) == (
        "bert",
        sum(p.numel() for p in transformers.BertModel(config).parameters()),
    )
    assert refused("transformers:vit", name) == (
        "'own/tiny' has the model type 'bert', not 'vit': write 'transformers:bert'"
    )
    assert "name a file or a repository of the Hugging Face hub" in refused("transformers:bert", "../../etc")
