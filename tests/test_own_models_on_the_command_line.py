"""Say everything about a model of one's own on the command line: what it is made of, its inputs, the method to run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import fxviz as package
from conftest import CASES, Result
from fxviz._graph import ArchGraph

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
