"""Say everything about a model of one's own on the command line: what it is made of, its inputs, the method to run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import fxviz as package
from conftest import CASES, Result
from fxviz._cli.cache.entry import of_trace
from fxviz._graph import ArchGraph
from fxviz._graph.options import TraceOptions
from fxviz._sources.reference import parse

Call = Callable[..., Result]

GPT = """
from dataclasses import dataclass, field
import torch
from torch import nn

@dataclass
class Inner:
    ratio: int = 4

@dataclass
class GPTConfig:
    width: int
    layers: int = 2
    inner: Inner = field(default_factory=Inner)
    act: type = nn.GELU

class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        inner = config.width * config.inner.ratio
        self.mlp = nn.Sequential(nn.Linear(config.width, inner), config.act(), nn.Linear(inner, config.width))
    def forward(self, x):
        return x + self.mlp(x)

class GPT(nn.Module):
    def __init__(self, config, norm=None):
        super().__init__()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = norm or nn.Identity()
    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

class Annotated(GPT):
    def __init__(self, settings: GPTConfig):
        super().__init__(settings)

class Duck(nn.Module):
    def __init__(self, cfg, depth=1):
        super().__init__()
        self.fc = nn.Linear(cfg.model.rows, cfg.model.columns, bias=cfg.bias)
    def forward(self, x):
        return self.fc(x)

def build(width=8):
    return GPT(GPTConfig(width)), (torch.zeros(1, width),)

SIZES = {"small": GPT, "n": 3}
ready = nn.Sequential(nn.Linear(8, 4), nn.ReLU())
"""


@pytest.fixture
def gpt(in_tmp: Path) -> Path:
    path = in_tmp / "gpt.py"
    path.write_text(GPT)
    return path


def traced(fxviz: Call, *arguments: str | Path) -> ArchGraph:
    """Trace a model by the command line, and return its graph."""
    done = fxviz("trace", *arguments, "-o", "graph.json", "-q")
    assert (done.status, done.err) == (0, "")
    return ArchGraph.load("graph.json")


def refused(fxviz: Call, *arguments: str | Path) -> str:
    """Return the one line with which a request is refused."""
    done = fxviz("summary", *arguments)
    assert done.status == 2 and done.out == ""
    assert done.err.startswith("fxviz: ") and done.err.count("\n") == 1
    return done.err.removeprefix("fxviz: ").strip()


# -------------------------------------------------------------------- objects among the arguments


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("GPT(GPTConfig(8))", 2 * (8 * 32 + 32 + 32 * 8 + 8)),
        ("GPT(GPTConfig(8, layers=1, inner=Inner(ratio=2), act=torch.nn.ReLU))", 8 * 16 + 16 + 16 * 8 + 8),
        ("GPT(config=GPTConfig(width=8, layers=1), norm=torch.nn.LayerNorm(8))", 8 * 32 + 32 + 32 * 8 + 8 + 16),
        ("GPT(GPTConfig(8, 1), norm=ready[1])", 8 * 32 + 32 + 32 * 8 + 8),
        ("SIZES['small'](GPTConfig(8, 1))", 8 * 32 + 32 + 32 * 8 + 8),
        ("Annotated(settings=GPTConfig(8, 1))", 8 * 32 + 32 + 32 * 8 + 8),
        ("Duck(types.SimpleNamespace(bias=True, model=types.SimpleNamespace(rows=8, columns=2)))", 18),
    ],
)
def test_an_argument_is_made_by_a_call(fxviz: Call, gpt: Path, name: str, params: int) -> None:
    graph = traced(fxviz, f"gpt.py:{name}", "--input", "1x8")
    assert graph.total_params == params
    assert graph.model.name == name


def test_a_call_names_the_objects_of_a_module_its_package_and_its_folder(fxviz: Call, in_tmp: Path) -> None:
    folder = in_tmp / "nested_calls"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "settings.py").write_text("class Config:\n    def __init__(self, width):\n        self.width = width\n")
    (folder / "net.py").write_text(
        "from torch import nn\nclass Net(nn.Linear):\n    def __init__(self, config, act=None):\n"
        "        super().__init__(config.width, 3)\n"
    )
    for name in (
        "nested_calls.net:Net(nested_calls.settings.Config(width=8), act=torch.nn.GELU)",
        "nested_calls/net.py:Net(settings.Config(8))",
    ):
        assert traced(fxviz, name, "--input", "1x8").total_params == 27


@pytest.mark.parametrize(
    ("argument", "write"),
    [
        ("num", "num=..."),
        ("y", "y=..."),
        ("anchors: Tensor", "anchors=..."),
        ("sizes: OrderedDict", "sizes=..."),
        ("config: Any", "config=..."),
        ("sizes: Sizes", "sizes=Sizes(...)"),
        ("model_args", "model_args=ModelArgs(...)"),
        ("args", "args=ModelArgs(...)"),
        ("gs", "gs=..."),
    ],
)
def test_only_a_class_of_ones_own_is_offered_for_an_argument(
    fxviz: Call, in_tmp: Path, argument: str, write: str
) -> None:
    (in_tmp / "odd.py").write_text(
        "from collections import OrderedDict\nfrom enum import Enum\nfrom typing import Any\n"
        "from torch import Tensor, nn\nclass Sizes(OrderedDict):\n    pass\nclass ModelArgs:\n    pass\n"
        f"class Net(nn.Module):\n    def __init__(self, {argument}):\n        super().__init__()\n"
    )
    name = argument.partition(":")[0]
    assert f"'odd.py:Net' needs {name}: write 'odd.py:Net({write})'" in fxviz("trace", "odd.py:Net").err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "GPT",
            "'gpt.py:GPT' needs config: write 'gpt.py:GPT(config=GPTConfig(...))', where GPTConfig takes (width, ",
        ),
        (
            "Annotated",
            "'gpt.py:Annotated' needs settings: write 'gpt.py:Annotated(settings=GPTConfig(...))', where",
        ),
        (
            "Duck",
            "'gpt.py:Duck' needs cfg: write 'gpt.py:Duck(cfg=types.SimpleNamespace(model=types.SimpleNamespace("
            "rows=..., columns=...), bias=...))'",
        ),
        ("GPT(GPTConfig())", "'gpt.py:GPTConfig' needs width: write 'gpt.py:GPTConfig(width=...)'"),
        (
            "GPT(GPTConfig(8, layer=1))",
            "cannot call 'gpt.py:GPTConfig(8, layer=1)': got an unexpected keyword argument 'layer'",
        ),
        ("GPT(GPTConf(8))", "'gpt.py' has no 'GPTConf'; did you mean GPTConfig?; "),
        ("GPT(os.system('true'))", "'gpt.py' has no 'os'; names are looked up in 'gpt.py', or written in full"),
        ("GPT(torch.nn.Gelu)", "'torch.nn' has no 'Gelu'; did you mean GELU?"),
        ("GPT(SIZES['n'](2))", "cannot call 'SIZES['n']': it is a value of type int, not a class or function"),
        ("GPT(SIZES['m'])", "'SIZES' has no item 'm': it is a value of type dict of 2 items, which has 'small', 'n'"),
        ("ready(3)", "'ready' in 'gpt.py' is a module, not a class, and takes no arguments: write 'gpt.py:ready'"),
        ("GPT(GPTConfig)", "cannot build 'gpt.py:GPT(GPTConfig)' at gpt.py:20, "),
    ],
)
def test_an_object_that_cannot_be_made_is_explained(fxviz: Call, gpt: Path, name: str, message: str) -> None:
    assert refused(fxviz, f"gpt.py:{name}", "--input", "1x8").startswith(message)


def test_a_config_of_another_library_is_made_by_its_function(fxviz: Call, in_tmp: Path) -> None:
    case = CASES / "34_omegaconf.py"
    config = "OmegaConf.create({'model': {'i': 8, 'o': 4}})"
    assert traced(fxviz, f"{case}:Net({config})", "--input", "1x8").total_params == 36
    form = "Net(cfg=types.SimpleNamespace(model=types.SimpleNamespace(i=..., o=...)))"
    assert refused(fxviz, f"{case}:Net").endswith(f"needs cfg: write '{case}:{form}'")


# -------------------------------------------------------------------- a part of what a function returns


@pytest.mark.parametrize(
    ("name", "size", "params"),
    [
        ("gpt.py:build().blocks[0]", "1x8", 8 * 32 + 32 + 32 * 8 + 8),
        ("gpt.py:build(16).blocks[1].mlp", "1x16", 16 * 64 + 64 + 64 * 16 + 16),
        ("gpt.py:build()[0]", "1x8", 2 * (8 * 32 + 32 + 32 * 8 + 8)),
        ("gpt.py:ready[0]", "1x8", 36),
        ("torchvision.models:resnet18().layer1", "1x64x8x8", 147_968),
    ],
)
def test_a_part_is_named(fxviz: Call, gpt: Path, name: str, size: str, params: int) -> None:
    graph = traced(fxviz, name, "--input", size)
    assert graph.total_params == params
    assert graph.model.name == name.partition(":")[2]


def test_a_part_is_drawn_in_a_file_of_its_name(fxviz: Call, gpt: Path) -> None:
    assert fxviz("render", "gpt.py:build().blocks[0]", "--input", "1x8").status == 0
    assert Path("build.blocks.0.svg").exists()
    assert package.trace("gpt.py:build().blocks[0]", inputs=package.TensorInfo((1, 8), "float32")).total_params == 552


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("build().block", "'build()' has no 'block'; did you mean blocks?"),
        ("build().blocks[7]", "'build().blocks' has no item 7: it is a value of type ModuleList of 2 items"),
        ("build().blocks[0].zzz", "'build().blocks[0]' has no 'zzz'; did you mean mlp?"),
        (
            "build().training",
            "'gpt.py:build().training' returned a value of type bool: return a torch.nn.Module",
        ),
    ],
)
def test_a_part_that_is_not_there_is_refused(fxviz: Call, gpt: Path, name: str, message: str) -> None:
    assert refused(fxviz, f"gpt.py:{name}", "--input", "1x8").startswith(message)


# -------------------------------------------------------------------- the inputs

INPUTS = """
import torch
from torch import nn

class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 4)

class Keys(Base):
    def forward(self, data):
        assert isinstance(data, dict)
        return self.fc(data["image0"]) + self.fc(data["image1"])

class Attributes(Base):
    def forward(self, batch):
        y = self.fc(batch.x)
        return y * batch.mask if hasattr(batch, "mask") else y

class Items(Base):
    def forward(self, xs):
        return torch.cat([self.fc(x) for x in xs])

class Deep(Base):
    def forward(self, x, *, flag=False, mode="slow", sizes=(1,), options=None, mask=None):
        assert mask is None and sizes == [8, 16] and options == {"a": [1]}
        y = self.fc(x[0].image) + self.fc(x[1]["image"])
        return y.relu() if flag and mode == "fast" else y

class Lines(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 5, 3)
    def forward(self, x):
        batch, channels, length = x.shape
        return self.conv(x)

class Flagged(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
    def forward(self, x, flag=False):
        return self.conv(x).relu() if flag else self.conv(x)

def make():
    return Flagged(), (torch.zeros(1, 3, 9, 9),)
"""


@pytest.fixture
def nets(in_tmp: Path) -> Path:
    path = in_tmp / "nets.py"
    path.write_text(INPUTS)
    return path


def inputs_of(graph: ArchGraph) -> list[tuple[int, ...]]:
    return [tensor.shape for tensor in graph.trace.inputs.values()]


@pytest.mark.parametrize(
    ("model", "arguments", "shapes"),
    [
        ("Keys", ["data.image0=1x8", "data.image1=1x8"], [(1, 8), (1, 8)]),
        ("Keys", ["data['image1']=2x8", "data.image0=2x8"], [(2, 8), (2, 8)]),
        ("Keys", ["[0].image0=1x8", "[0].image1=1x8"], [(1, 8), (1, 8)]),
        ("Attributes", ["batch.x=2x8", "batch.mask=2x4:bool"], [(2, 8), (2, 4)]),
        ("Attributes", ["batch.x=2x8"], [(2, 8)]),
        ("Items", ["xs[1]=1x8", "xs[0]=3x8"], [(3, 8), (1, 8)]),
        ("Items", ["[0]=1x3x8"], [(1, 3, 8)]),
        ("Lines", ["[0]=3x4x64"], [(3, 4, 64)]),
    ],
)
def test_an_input_is_named_inside_a_dict_an_object_or_a_list(
    fxviz: Call, nets: Path, model: str, arguments: list[str], shapes: list[tuple[int, ...]]
) -> None:
    flags = [word for argument in arguments for word in ("--input", argument)]
    assert inputs_of(traced(fxviz, f"nets.py:{model}", *flags)) == shapes


def test_plain_values_are_arguments(fxviz: Call, nets: Path) -> None:
    values = ["flag=True", 'mode="fast"', "sizes=[8, 16]", "options={'a': [1]}", "mask=None"]
    flags = [word for value in values for word in ("--arg", value)]
    graph = traced(
        fxviz, "nets.py:Deep", "--input", "x[0].image=1x8", "--input", "x[1].image=1x8", *flags, "--batch", "2"
    )
    assert inputs_of(graph) == [(2, 8), (2, 8)]
    assert [node.op for node in graph.nodes][-2:] == ["relu", "output"]


def test_plain_values_are_added_to_inputs_that_the_model_declares(fxviz: Call, nets: Path) -> None:
    for model, size in (("make", 9), ("Flagged", 224)):
        graph = traced(fxviz, f"nets.py:{model}", "--arg", "flag=True")
        assert inputs_of(graph) == [(1, 3, size, size)]
        assert "relu" in [node.op for node in graph.nodes]
    done = fxviz("summary", "nets.py:Flagged", "--arg", "flg=True")
    assert done.status == 1 and done.err.endswith("; the inputs must be the arguments of its forward(x, flag=False)\n")


def test_the_same_structure_goes_in_from_python(nets: Path) -> None:
    row = package.TensorInfo((1, 8), "float32")
    assert package.trace("nets.py:Keys", {"data": {"image0": row, "image1": row}}).total_macs == 64
    assert package.trace("nets.py:Items", ([row, row, row],)).total_macs == 96
    options: dict[str, Any] = {"flag": True, "mode": "fast", "sizes": [8, 16], "options": {"a": [1]}}
    with pytest.raises(package.TraceError, match="'dict' object has no attribute 'image'"):
        package.trace("nets.py:Deep", ([{"image": row}, {"image": row}],), options)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--input", "x[1]=1x8"], "input 'x[1]' is given without 'x[0]': number them from 0"),
        (["--input", "x[0].a=1x8", "--input", "x[0]=1x8"], "input 'x[0]' is given as a whole and in parts: leave "),
        (["--input", "x=1x8", "--input", "x.a=1x8"], "input 'x.a' is a part of what is given as a whole: leave out"),
        (["--input", "x.a=1x8", "--arg", "x.a=3"], "argument 'x.a' is given twice: use each name once"),
        (["--input", "x[0]=1x8", "--input", "x.a=1x8"], "input 'x' has places and names: it is a list ('x[0]') or a "),
        (
            ["--input", "x y=1x8"],
            "invalid input 'x y=1x8': 'x y' is no name (it is not Python: invalid syntax); a name",
        ),
        (["--input", "f(1)=1x8"], "invalid input 'f(1)=1x8': 'f(1)' is no name (a path consists of names and places"),
        (["--input", "x[-1]=1x8"], "invalid input 'x[-1]=1x8': 'x[-1]' is no name"),
        (["--input", "x" * 10_000], f"invalid input '{'x' * 77}...': write [NAME=]SIZES"),
        (
            ["--arg", "mode=fast"],
            "invalid argument 'mode=fast': fast is not a literal; a string needs quotes: '\"fast\"'",
        ),
        (["--arg", "mode"], "invalid argument 'mode': write NAME=VALUE, for example flag=True or sizes=[8, 16]"),
        (["--arg", "x=print(1)"], "invalid argument 'x=print(1)': print(1) is not a literal; "),
        (["--arg", "x=[1"], "invalid argument 'x=[1': a parenthesis or bracket is not closed"),
        (["--arg", "x={1}"], "invalid argument 'x={1}': a set has no order; write a list"),
        (["--arg", "x="], "invalid argument 'x=': it is not Python: "),
        (["--arg", "=3"], "invalid argument '=3': write NAME=VALUE"),
    ],
)
def test_inputs_that_cannot_be_read_are_refused_without_torch(
    without_torch: Call, nets: Path, flags: list[str], message: str
) -> None:
    assert refused(without_torch, "nets.py:Items", *flags).startswith(message)


def test_three_sizes_are_one_image_or_as_they_are_written(fxviz: Call, nets: Path) -> None:
    image = fxviz("trace", "nets.py:Flagged", "--input", "3x8x8", "-o", "image.json")
    assert image.err.startswith("input 3x8x8 is taken for one image and gets a batch axis; to keep it as written, add ")
    assert inputs_of(ArchGraph.load("image.json")) == [(1, 3, 8, 8)]
    lines = fxviz("trace", "nets.py:Lines", "--input", "3x4x64", "-o", "lines.json")
    assert lines.err.startswith("input 3x4x64 is used as it is written: taken for one image, with a batch axis, it ")
    assert inputs_of(ArchGraph.load("lines.json")) == [(3, 4, 64)]
    partial = fxviz("trace", "nets.py:Lines", "--input", "3x4x64", "--partial", "-o", "partial.json")
    assert partial.status == 0 and ArchGraph.load("partial.json").trace.failure is None
    neither = fxviz("summary", "nets.py:Keys", "--input", "3x8x8")
    assert neither.status == 1 and neither.err.endswith("; 3x8x8 as written, without a batch axis, failed, too\n")


def test_numbered_inputs_are_arguments_or_one_list(fxviz: Call, nets: Path) -> None:
    done = fxviz("trace", "nets.py:Items", "--input", "[0]=1x8", "--input", "[1]=1x8", "-o", "items.json")
    assert done.err.startswith("2 inputs are passed as one list: as arguments of their own they failed")
    assert inputs_of(ArchGraph.load("items.json")) == [(1, 8), (1, 8)]


def test_each_figure_of_several_says_how_its_inputs_were_read(fxviz: Call, nets: Path) -> None:
    done = fxviz("render", "nets.py:Flagged", "nets.py:Lines", "--input", "3x4x64", "-o", "out/", "--jobs", "1")
    assert done.status == 0
    assert "input 3x4x64 is taken for one image" in done.err and "input 3x4x64 is used as it is written" in done.err


def test_cases_with_nested_and_keyword_inputs(fxviz: Call, in_tmp: Path) -> None:
    for model, flags in (
        ("55_kwonly.py:KwOnly", ["--input", "image=1x8"]),
        ("55_kwonly.py:KwOnly", ["--input", "image=1x8", "--arg", "scale=2.0"]),
        ("55_kwonly.py:DictIn", ["--input", "batch.image=1x8"]),
        ("26_inputs.py:FromBatch", ["--input", "batch.x=1x8"]),
        ("26_inputs.py:Lists", ["--input", "xs[0]=1x8"]),
    ):
        graph = traced(fxviz, CASES / model, *flags)
        assert (graph.total_params, graph.total_macs) == (36, 32)


# -------------------------------------------------------------------- another method

METHODS = """
import torch
from torch import nn

class Flow(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.head = nn.Sequential(nn.Linear(8, 4), nn.ReLU()), nn.Linear(4, 2)
    def encode(self, x, *, scale=None):
        y = self.encoder(x)
        return y if scale is None else y * scale
    def log_prob(self, x):
        return self(x).log_softmax(-1)
    def forward(self, x):
        return self.head(self.encode(x))
    def describe(self):
        return "a flow"
"""


@pytest.fixture
def flow(in_tmp: Path) -> Path:
    path = in_tmp / "flow.py"
    path.write_text(METHODS)
    return path


def test_another_method_is_traced(fxviz: Call, flow: Path) -> None:
    graph = traced(fxviz, "flow.py:Flow", "--method", "encode", "--input", "x=1x8", "--input", "scale=1x4")
    assert (graph.model.name, graph.model.method) == ("Flow.encode()", "encode")
    assert (graph.total_params, graph.traced_params, graph.total_macs) == (46, 36, 32)
    assert list(graph.trace.inputs) == ["x", "scale"]
    assert ArchGraph.from_json(graph.to_json()) == graph
    graph = traced(fxviz, "flow.py:Flow", "--method", "log_prob", "--input", "1x8")
    assert (graph.traced_params, graph.total_macs) == (46, 40)
    assert [node.op for node in graph.nodes][-2:] == ["log_softmax", "output"]


def test_the_title_of_a_figure_names_the_method(fxviz: Call, flow: Path) -> None:
    done = fxviz("render", "flow.py:Flow", "--method", "encode", "--input", "1x8", "-o", "-")
    assert "Flow.encode()" in done.out
    assert fxviz("explain", "flow.py:Flow", "--method", "encode", "--input", "1x8").out.startswith(
        "Flow.encode(): Flow"
    )


def test_a_method_is_run_for_real_and_down_to_a_submodule(flow: Path) -> None:
    row = package.TensorInfo((1, 8), "float32")
    assert package.trace("flow.py:Flow", row, method="log_prob", device="cpu").total_macs == 40
    part = package.trace("flow.py:Flow", row, method="encode", root="encoder")
    assert (part.model.name, part.total_params) == ("Flow.encode().encoder", 36)
    assert "method" not in package.trace("flow.py:Flow", row, method="forward").to_json().partition('"trace"')[0]


def test_a_graph_in_the_cache_knows_the_method() -> None:
    plain, other = (of_trace(parse("resnet18"), None, TraceOptions(method=method)) for method in ("", "encode"))
    assert plain is not None and other is not None and plain != other
    assert of_trace(parse("resnet18"), None, TraceOptions(method="forward")) == plain


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("log_probs", "Flow has no method 'log_probs' of its own; did you mean log_prob?"),
        ("zzz", "Flow has no method 'zzz' of its own; it has describe, encode, log_prob"),
        ("state_dict", "Flow has no method 'state_dict' of its own; it has "),
        ("encoder", "'encoder' is a submodule of Flow, not a method: record it with --root encoder"),
    ],
)
def test_a_method_that_is_not_there_is_refused(fxviz: Call, flow: Path, method: str, message: str) -> None:
    assert refused(fxviz, "flow.py:Flow", "--method", method, "--input", "1x8").startswith(message)


def test_a_method_that_takes_other_inputs_is_told(fxviz: Call, flow: Path) -> None:
    done = fxviz("summary", "flow.py:Flow", "--method", "describe")
    assert done.status == 1 and "to pass what describe() takes" in done.err


# -------------------------------------------------------------------- a file inside a package


def written(folder: Path, files: dict[str, str]) -> Path:
    """Write files of code, named without their suffix, and return the folder."""
    for name, text in files.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


NET = """
from torch import nn
from ..layers import Layer
from . import sizes
class Net(nn.Module):
    def __init__(self, depth=1):
        super().__init__()
        self.layers = nn.Sequential(*(Layer(8, sizes.WIDTH) for _ in range(depth)))
    def forward(self, x):
        from .late import scale
        return self.layers(x) * scale
"""


LAYERS = "from torch.nn import Linear as Layer"


@pytest.mark.parametrize("has_init", [True, False])
@pytest.mark.parametrize("name", ["mypkg", "my-package.v2", "code"])
def test_a_file_imports_from_its_package(fxviz: Call, in_tmp: Path, has_init: bool, name: str) -> None:
    if has_init and name != "mypkg":
        return  # no name of a package
    files = {"layers": LAYERS, "models/net": NET, "models/sizes": "WIDTH = 4", "models/late": "scale = 2"}
    folder = written(in_tmp / "far" / name, files)
    if has_init:
        (folder / "__init__.py").write_text("from .models.net import Net")
        (folder / "models" / "__init__.py").touch()
    before = list(sys.path)
    assert traced(fxviz, f"far/{name}/models/net.py:Net", "--input", "1x8").total_params == 36
    assert sys.path == before
    (folder / "models" / "sizes.py").write_text("WIDTH = 2 + 1")
    assert traced(fxviz, f"far/{name}/models/net.py:Net", "--input", "1x8").total_params == 27
    if has_init:
        assert traced(fxviz, f"far/{name}/__init__.py:Net", "--input", "1x8").total_params == 27
    assert len({part for part in sys.modules if part.startswith("mypkg")}) == 6 * (name == "mypkg")


def test_a_file_imports_from_its_package_by_the_full_name(fxviz: Call, in_tmp: Path) -> None:
    net = NET
    for relative, full in (("from ..", "from pack."), ("from . ", "from pack "), ("from .", "from pack.")):
        net = net.replace(relative, full)
    files = {"__init__": "", "net": net, "layers": LAYERS, "sizes": "WIDTH = 4", "late": "scale = 2"}
    written(in_tmp / "far" / "pack", files)
    assert traced(fxviz, "far/pack/net.py:Net", "--input", "1x8").total_params == 36


def test_a_part_of_a_package_imports_from_above_it(fxviz: Call, in_tmp: Path) -> None:
    files = {
        "models/net": "from .base import Base\ndef Net():\n    return Base(8, 4)",
        "models/base": "from ..layers.linear import Layer as Base",
        "layers/linear": LAYERS,
    }
    written(in_tmp / "far", files)
    assert traced(fxviz, "far/models/net.py:Net", "--input", "1x8").total_params == 36


def test_a_file_whose_package_cannot_be_found_is_told(fxviz: Call, in_tmp: Path) -> None:
    written(in_tmp, {"far": f"from {'.' * 60} import z"})
    assert "ImportError: attempted relative import beyond top-level package" in refused(fxviz, "far.py:Net")
    written(in_tmp / "torch", {"__init__": "", "net": "from . import x\n"})
    assert refused(fxviz, "torch/net.py:Net").startswith(
        "cannot import 'torch/net.py': its package 'torch' has the name of another one, which is imported already"
    )
    written(in_tmp / "own", {"__init__": "", "net": "from . import missing\n"})
    assert refused(fxviz, "own/net.py:Net").startswith("cannot import 'own/net.py' at own/net.py:1, 'from . import mi")


def test_a_file_of_an_installed_library_is_imported_as_it_is(fxviz: Call, in_tmp: Path) -> None:
    import torchvision

    file = Path(torchvision.__file__).parent / "models" / "alexnet.py"
    assert traced(fxviz, f"{file}:alexnet").total_params == 61_100_840
    written(in_tmp, {"net": "from torch import nn\nnet = nn.Linear(8, 4)"})
    assert traced(fxviz, "net.py:net", "--input", "1x8").total_params == 36
    assert sys.modules["torchvision"] is torchvision


# -------------------------------------------------------------------- mistakes that are known before torch is imported

WRONG_SIZE = "invalid configuration 'config.json': \"{}\" is {}: must be a whole number, "
TOO_DEEP = "invalid configuration 'config.json': \"{}\" is {}: must be 10,000 or less"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "cannot read the configuration 'config.json': it is not valid JSON (Expecting property name"),
        ("[]", "'config.json' is not a configuration of transformers: it has no \"model_type\""),
        ({"model_type": "berrt"}, "unknown model type 'berrt' in 'config.json'; did you mean 'bert'?"),
        ({"hidden_size": "32"}, WRONG_SIZE.format("hidden_size", '"32"')),
        ({"n_head": 0}, WRONG_SIZE.format("n_head", 0)),
        ({"vocab_size": 3.5}, WRONG_SIZE.format("vocab_size", 3.5)),
        ({"num_hidden_layers": -1}, WRONG_SIZE.format("num_hidden_layers", -1)),
        ({"text_config": {"d_model": True}}, WRONG_SIZE.format("d_model", "true")),
        ({"num_hidden_layers": 10**9}, TOO_DEEP.format("num_hidden_layers", 10**9)),
        ({"encoder_layers": 10_001}, TOO_DEEP.format("encoder_layers", 10_001)),
        ({"vision_config": {"depths": [2, 10**6]}}, TOO_DEEP.format("depths", [2, 10**6])),
    ],
)
def test_mistakes_in_a_configuration_are_found_without_torch(
    without_torch: Call, in_tmp: Path, config: Any, message: str
) -> None:
    if find_spec("transformers") is None:
        pytest.skip("needs transformers")
    text = config if isinstance(config, str) else json.dumps({"model_type": "bert", **config})
    Path("config.json").write_text(text)
    assert refused(without_torch, "transformers:config.json").startswith(message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["net.py:Net"], "cannot read 'net.py': No such file or directory"),
        (["net.py:Net(Config(1)"], "cannot read 'net.py:Net(Config(1)': a parenthesis or bracket is not closed"),
        (["net.py:Net", "--input", "3x0"], "invalid input '3x0': a size is 0; each size must be 1 or greater"),
        (["net.py:Net", "--input", "3:float"], "invalid input '3:float': unknown dtype 'float'; choose float32"),
        (["net.py:Net", "--time"], "cannot time on meta, which computes nothing: choose --device cpu or cuda"),
        (["net.py:Net", "--form", "csv"], "no such option: --form"),
        (["net.py:Net", "--format", "excel"], "invalid --format 'excel': choose table, markdown, csv, json or latex"),
        (["tiny.json", "--time"], "'tiny.json' is traced already: leave out --time, or trace the model again with it"),
        (["tiny.json", "--input", "3x64x64"], "'tiny.json' is traced already: leave out --input, or trace the model a"),
        (["tiny.json", "--arg", "flag=True"], "'tiny.json' is traced already: leave out --arg, or trace the model aga"),
        (["tiny.json", "--method", "encode"], "'tiny.json' is traced already: leave out --method, or trace the model "),
        (["x" * 10_000 + "(3)"], f"invalid model '{'x' * 77}...': the name has 10003 characters"),
    ],
)
def test_mistakes_on_the_command_line_are_found_without_torch(
    without_torch: Call, in_tmp: Path, tiny: ArchGraph, words: list[str], message: str
) -> None:
    tiny.save("tiny.json")
    assert refused(without_torch, *words).startswith(message)


def test_long_names_are_cut_in_messages(without_torch: Call, in_tmp: Path, tiny: ArchGraph) -> None:
    long = "x" * 10_000
    tiny.save("tiny.json")
    text = Path("tiny.json").read_text()
    Path("long.json").write_text(text.replace('"target": "relu"', f'"target": "{long}"'))
    for words in (
        ["render", "long.json"],
        ["render", "tiny.json", "--expand", long],
        ["render", "tiny.json", "-o", f"{long}.svg"],
        [long],
        ["compare", long],
    ):
        done = without_torch(*words)
        assert done.status == 2 and len(done.err) < 600 and done.err.count("\n") == 1


def test_words_of_messages_name_the_flag_and_the_file_as_written(
    without_torch: Call, in_tmp: Path, tiny: ArchGraph
) -> None:
    tiny.save("tiny.json")
    assert without_torch("explain", "tiny.json", "--lang", "fr").err == "fxviz: invalid --lang 'fr': choose en or zh\n"
    done = without_torch("compare", "tiny.json", "tiny.json", "-o", "dd/")
    assert done.err == "fxviz: cannot write 'dd/': it is a folder; choose a file in it\n"
    assert without_torch("render", "tiny.json", "--scale", "inf").status == 2
    with pytest.raises(package.UsageError, match="invalid scale inf: must be a number from"):
        package.render(tiny).save("tiny.svg", scale=float("inf"))
