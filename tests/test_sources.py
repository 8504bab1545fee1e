"""Trace models of the user's own code, exported programs, and files that contain no model."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import fxviz
from conftest import slow
from fxviz._graph import TensorInfo
from fxviz._graph.errors import UnknownModel, UsageError
from fxviz._sources.reference import parse
from fxviz._sources.resolve import resolve
from fxviz._trace import trace_module

NET = """
import torch
from torch import nn
from torch.nn import Linear

class Net(nn.Module):
    def __init__(self, depth=2, *, act="relu"):
        super().__init__()
        self.layers = nn.Sequential(*[nn.Conv2d(3, 3, 1) for _ in range(depth)])
    def forward(self, x):
        return self.layers(x)

class Outer:
    class Inner(Net):
        pass

class Wide(nn.Module):
    def __init__(self, width, /, depth, *, act="relu", norm):
        super().__init__()

def make(depth=1):
    return Net(depth)

def with_inputs():
    return nn.Linear(4, 2), {"input": torch.zeros(5, 4)}

def with_big_inputs():
    return nn.Identity(), torch.zeros(2**13, 2**13)

def nothing(): pass
def number(): return 3
def pair_of_numbers(): return 3, 4
def state(): return Net().state_dict()
def checkpoint(): return {"epoch": 3, "model": Net().state_dict()}

model = Net().train()
weights = model.state_dict()
depth = 3
"""
CONV = """
from torch import nn
class Conv(nn.Conv2d):
    def __init__(self): super().__init__(3, 4, 1)
"""
CHOICE = (
    "write 'net.py:NAME' with one of Net, Wide, model, make, with_inputs, with_big_inputs, nothing, number and 3 more"
)
NO_CODE = "a state_dict, not a model: build the module, call load_state_dict, and pass the module"
FAR = "torch.nn.Module, or a pair (module, inputs)"


@pytest.fixture
def write(in_tmp: Path) -> Callable[..., None]:
    """Write files into the current folder: ``write(net="...")`` makes ``net.py``."""

    def to_files(**texts: str) -> None:
        for name, text in texts.items():
            (in_tmp / f"{name}.py").write_text(text, encoding="utf-8")

    return to_files


@pytest.fixture
def net(write: Callable[..., None]) -> None:
    write(net=NET)


def message(model: Any, **options: Any) -> str:
    with pytest.raises(UsageError) as caught:
        fxviz.trace(model, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# -------------------------------------------------------------------- a class, a function, a module


@pytest.mark.usefixtures("net")
@pytest.mark.parametrize(
    ("model", "name", "cls", "params"),
    [
        ("net.py:Net", "Net", "net.Net", 24),
        ("net.py:Net(depth=3, act='gelu')", "Net(depth=3, act='gelu')", "net.Net", 36),
        ("net.py:Outer.Inner(1)", "Outer.Inner(1)", "net.Outer.Inner", 12),
        ("net.py:make", "make", "net.Net", 12),
        ("net.py:model", "model", "net.Net", 24),
    ],
)
def test_a_model_of_a_file(model: str, name: str, cls: str, params: int) -> None:
    graph = fxviz.trace(model)
    assert (graph.model.name, graph.model.source, graph.model.cls) == (name, "net.py", cls)
    assert graph.total_params == params
    assert list(graph.trace.inputs.values()) == [TensorInfo((1, 3, 224, 224), "float32")]


def test_a_model_of_a_module(in_tmp: Path) -> None:
    (in_tmp / "some_package").mkdir()
    (in_tmp / "some_package" / "__init__.py").write_text("")
    (in_tmp / "some_package" / "nets.py").write_text("from .parts import Conv\ndef make(): return Conv()")
    (in_tmp / "some_package" / "parts.py").write_text(CONV)
    before = list(sys.path)
    graph = fxviz.trace("some_package.nets:make")
    assert (graph.model.name, graph.model.source) == ("make", "some_package.nets")
    assert graph.model.cls == "some_package.parts.Conv"
    assert sys.path == before


def test_a_library_s_own_function_takes_arguments() -> None:
    assert fxviz.trace("torchvision.models:resnet18(num_classes=10)").total_params == 11_689_512 - 990 * 513


@pytest.mark.usefixtures("net")
def test_inputs_come_with_the_model() -> None:
    assert fxviz.trace("net.py:with_inputs").trace.inputs == {"input": TensorInfo((5, 4), "float32")}
    assert fxviz.trace("net.py:with_big_inputs").trace.inputs == {"input": TensorInfo((2**13, 2**13), "float32")}
    assert fxviz.trace("net.py:with_inputs", TensorInfo((9, 4), "float32")).trace.inputs["input"].shape == (9, 4)
    assert resolve(parse("net.py:with_inputs")).build(False).inputs.kwargs.keys() == {"input"}  # type: ignore[union-attr]


@pytest.mark.usefixtures("net")
def test_a_source_says_whether_its_inputs_are_declared() -> None:
    assert resolve(parse("net.py:with_inputs")).build(False).inputs is not None
    for model in ("net.py:Net", "net.py:make", "net.py:model"):
        assert resolve(parse(model)).build(False).inputs is None


@pytest.mark.usefixtures("net")
def test_a_module_keeps_its_mode_and_runs_in_eval_mode() -> None:
    for model in ("net.py:model", "net.py:Net", "net.py:make"):
        source = resolve(parse(model))
        assert not fxviz.trace(model).trace.training
        assert source.build(False).module.training and source.build(True).module.training


@pytest.mark.usefixtures("net")
def test_parameters_have_memory_only_if_asked_for() -> None:
    source = resolve(parse("net.py:Net"))
    assert {parameter.device.type for parameter in source.build(False).module.parameters()} == {"meta"}
    assert {parameter.device.type for parameter in source.build(True).module.parameters()} == {"cpu"}


def test_a_constructor_that_computes_with_its_parameters_is_built_with_memory(write: Callable[..., None]) -> None:
    write(
        net="""
from torch import nn
class Net(nn.Conv2d):
    def __init__(self):
        super().__init__(3, 3, 1)
        self.norm = self.weight.norm().item()
"""
    )
    assert fxviz.trace("net.py:Net").trace.method == "fake"
    assert resolve(parse("net.py:Net")).build(False).module.norm > 0  # type: ignore[operator]


def test_train_that_returns_nothing_is_no_obstacle(write: Callable[..., None]) -> None:
    write(net=f"{CONV}    def train(self, mode=True): pass\n")
    assert fxviz.trace("net.py:Conv").total_params == 16


# -------------------------------------------------------------------- importing


def test_a_file_is_run_once_for_each_source(write: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    write(net=f"print('imported')\n{NET}")
    source = resolve(parse("net.py:make"))
    source.build(False)
    source.build(True)
    assert capsys.readouterr() == ("", "imported\n")


def test_what_own_code_prints_goes_to_standard_error(
    write: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    write(net=f"{NET}\nprint('at import')\ndef loud():\n    print('at call')\n    return Net()")
    fxviz.trace("net.py:loud")
    assert capsys.readouterr() == ("", "at import\nat call\n")


def test_a_file_imports_its_neighbours_and_stays_registered(in_tmp: Path) -> None:
    for folder, channels in (("a", 4), ("b", 5)):
        (in_tmp / folder).mkdir()
        (in_tmp / folder / "widths_of.py").write_text(f"CHANNELS = {channels}")
        (in_tmp / folder / "net.py").write_text(
            "from __future__ import annotations\n"
            "from dataclasses import dataclass\nfrom torch import nn\nimport widths_of\n"
            "@dataclass\nclass Config:\n    channels: int = widths_of.CHANNELS\n"
            "class Net(nn.Conv2d):\n    def __init__(self):\n        import late\n"
            "        super().__init__(3, Config().channels, 1, bias=False)\n"
        )
        (in_tmp / folder / "late.py").write_text("")
    before = list(sys.path)
    assert [fxviz.trace(f"{folder}/net.py:Net").total_params for folder in "aba"] == [12, 15, 12]
    assert sys.path == before
    assert sys.modules["net"].__file__ == str(in_tmp / "a" / "net.py")


def test_a_model_imports_while_it_runs(in_tmp: Path) -> None:
    for folder, added in (("a", 1), ("b", 2)):
        (in_tmp / folder).mkdir()
        (in_tmp / folder / "helper_of_net.py").write_text(f"ADDED = {added}")
        (in_tmp / folder / "net.py").write_text(
            "from torch import nn\nclass Net(nn.Module):\n    def forward(self, x):\n"
            "        import helper_of_net\n        return x.add(helper_of_net.ADDED)\nnet = Net()\n"
        )
    before = list(sys.path)
    added = []
    for model in ("a/net.py:Net", "b/net.py:net", "a/net.py:net"):
        source = resolve(parse(model))
        built = source.build(False)
        module = built.module
        with source.running():
            graph = trace_module(module, built.arguments, source.info(built))
        added.append(graph.nodes[1].settings["1"])
    assert added == [1, 2, 1]
    assert sys.path == before


def test_a_changed_file_is_read_anew(write: Callable[..., None]) -> None:
    write(net=NET)
    assert fxviz.trace("net.py:Net").total_params == 24
    write(net=NET.replace("depth=2", "depth=9"))
    assert fxviz.trace("net.py:Net").total_params == 108


def test_no_module_is_clobbered(write: Callable[..., None]) -> None:
    write(random=NET, torch=NET, colorsys=NET)
    kept = {name: sys.modules.get(name) for name in ("random", "torch", "colorsys")}
    classes = [fxviz.trace(f"{name}.py:Net").model.cls for name in kept]
    assert classes == ["random_.Net", "torch_.Net", "colorsys_.Net"]
    assert {name: sys.modules.get(name) for name in kept} == kept


def test_a_file_that_fails_leaves_nothing_behind(write: Callable[..., None]) -> None:
    write(failing="1 / 0")
    before = list(sys.path)
    message("failing.py:Net")
    assert "failing" not in sys.modules
    assert sys.path == before


def test_ctrl_c_passes(write: Callable[..., None]) -> None:
    write(net="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        fxviz.trace("net.py:Net")


# -------------------------------------------------------------------- what is refused


@pytest.mark.usefixtures("net")
@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("net.py", f"name a class or function in 'net.py': {CHOICE}"),
        ("net.py:Nte", "'net.py' has no 'Nte'; did you mean Net?"),
        ("net.py:zzz", f"'net.py' has no 'zzz'; {CHOICE}"),
        ("net.py:Outer", f"'Outer' in 'net.py' is a class, but not a torch.nn.Module; {CHOICE}"),
        ("net.py:depth", f"'depth' in 'net.py' is a value of type int, not a class or function; {CHOICE}"),
        ("net.py:weights", f"'weights' in 'net.py' is {NO_CODE}"),
        (
            "net.py:model(1)",
            "'model' in 'net.py' is a module, not a class, and takes no arguments: write 'net.py:model'",
        ),
        ("net.py:Wide", "'net.py:Wide' needs width, depth, norm: write 'net.py:Wide(..., depth=..., norm=...)'"),
        (
            "net.py:Wide(8, act='x')",
            "'net.py:Wide' needs depth, norm: write 'net.py:Wide(8, act='x', depth=..., norm=...)'",
        ),
        (
            "net.py:Net(width=8)",
            "cannot call 'net.py:Net(width=8)': got an unexpected keyword argument 'width'; it takes "
            "(depth=2, *, act='relu')",
        ),
        (
            "net.py:Net(1, 2)",
            "cannot call 'net.py:Net(1, 2)': too many positional arguments; it takes (depth=2, *, act='relu')",
        ),
        ("net.py:nothing", f"'net.py:nothing' returned None: return a {FAR}"),
        ("net.py:number", f"'net.py:number' returned a value of type int: return a {FAR}"),
        ("net.py:pair_of_numbers", f"'net.py:pair_of_numbers' returned a value of type tuple: return a {FAR}"),
        ("net.py:state", f"'net.py:state' returned {NO_CODE}"),
        ("net.py:checkpoint", f"'net.py:checkpoint' returned {NO_CODE}"),
        ("nope.py:Net", "cannot read 'nope.py': No such file or directory"),
        (
            "nope.nets:Net",
            "unknown model 'nope.nets:Net': there is no module 'nope'; run fxviz in the directory that contains it, or "
            f"install it for {sys.executable}",
        ),
        ("tinm:resnet18", "unknown model 'tinm:resnet18': there is no module 'tinm'; did you mean timm:resnet18?"),
        ("torchvision.models:resnet81", "'torchvision.models' has no 'resnet81'; did you mean resnet18?"),
    ],
)
def test_what_cannot_be_a_model(model: str, expected: str) -> None:
    assert message(model) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(:\n", "cannot import 'net.py' at net.py:1, 'def f(:': SyntaxError: invalid syntax"),
        ("import blocks\nimport broken", "cannot import 'net.py' at broken.py:2, '1 +': SyntaxError: invalid syntax"),
        (
            "\nimport nowhere_at_all\n",
            "cannot import 'net.py' at net.py:2, 'import nowhere_at_all': ModuleNotFoundError: No module named "
            f"'nowhere_at_all'; install it for {sys.executable}, or run fxviz in the directory that contains it",
        ),
        (
            "from .nowhere import Block",
            "cannot import 'net.py' at net.py:1, 'from .nowhere import Block': ModuleNotFoundError: ",
        ),
        (
            "def main():\n    raise SystemExit(1)\nmain()",
            "cannot import 'net.py' at net.py:2, 'raise SystemExit(1)': it exited; move the code of a script under "
            "'if __name__ == \"__main__\":'",
        ),
        (
            "import blocks\nblocks.fail()",
            "cannot import 'net.py' at blocks.py:2, 'raise ValueError(\"no\\nmore\")': ValueError: no",
        ),
        (
            "import json\n\njson.loads('{')",
            "cannot import 'net.py' at net.py:3, 'json.loads('{')': JSONDecodeError: Expecting property name enclosed "
            "in double quotes: line 1 column 2 (char 1)",
        ),
        (
            "from torch import nn\nclass Net(nn.Module):\n    def __init__(self):\n        self.fc = nn.Linear(2, 'a')",
            "cannot build 'net.py:Net' at net.py:4, 'self.fc = nn.Linear(2, 'a')': TypeError: ",
        ),
        (
            "from torch import nn\nclass Net(nn.Module):\n    def __init__(self):\n        raise OSError",
            "cannot build 'net.py:Net' at net.py:4, 'raise OSError': OSError",
        ),
        (
            "",
            "'net.py' has no 'Net'; it defines neither a torch.nn.Module nor a function: add a function that returns "
            "the model",
        ),
    ],
)
def test_own_code_that_fails_is_shown_with_its_place(write: Callable[..., None], text: str, expected: str) -> None:
    write(net=text, blocks='def fail():\n    raise ValueError("no\\nmore")\n', broken="x = 1\n1 +\n")
    said = message("net.py:Net")
    assert said.startswith(expected) if expected.endswith(" ") else said == expected


def test_the_cause_is_kept(write: Callable[..., None]) -> None:
    write(net="1 / 0")
    with pytest.raises(UsageError) as caught:
        fxviz.trace("net.py:Net")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_module_that_its_package_has_not_is_said_with_those_that_it_has(in_tmp: Path) -> None:
    package = in_tmp / "package_of_nets"
    package.mkdir()
    for name, text in (("__init__", ""), ("unet", "import no_such_thing"), ("resnet", "")):
        (package / f"{name}.py").write_text(text)
    where = "'package_of_nets' has no module"
    assert message("package_of_nets.unte:Net(3)") == (
        f"unknown model 'package_of_nets.unte:Net(3)': {where} 'unte'; did you mean package_of_nets.unet:Net(3)?"
    )
    assert message("package_of_nets.zzz:Net") == (
        f"unknown model 'package_of_nets.zzz:Net': {where} 'zzz'; it has resnet, unet"
    )
    assert "No module named 'no_such_thing'" in message("package_of_nets.unet:Net")


def test_files_that_cannot_be_read(in_tmp: Path) -> None:
    (in_tmp / "folder.py").mkdir()
    (in_tmp / "latin.py").write_bytes(b'name = "\xe4"\n')
    assert message("folder.py:Net") == "cannot read 'folder.py': Is a directory"
    assert message("latin.py:Net") == "cannot read 'latin.py': it is not UTF-8; save it as UTF-8"


def test_a_name_that_looks_like_a_module_or_file_is_told_how_to_go_on(write: Callable[..., None]) -> None:
    write(blocks="raise SystemExit('not imported')")
    hints = {
        "package.module": "package.module:Net",
        "models/net": "models/net.py:Net",
        "blocks.Net": "blocks:Net",
        "torch.nn.Linear": "torch.nn:Linear",
        "torch.nn": "torch.nn:Net",
    }
    for model, hint in hints.items():
        with pytest.raises(UnknownModel) as caught:
            fxviz.trace(model)
        assert (
            str(caught.value)
            == f"unknown model '{model}': fxviz.list_models() shows all names; a class of your own is named '{hint}'"
        )


# -------------------------------------------------------------------- weights, graphs


ADVICE = "name the class or function that builds the model, 'net.py:Net'"
PICKLED = f"it contains weights or a pickled module, and fxviz unpickles no modules; {ADVICE}"
BESIDE = ", and the weights with weights='{}'"


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        *((f"net{suffix}", PICKLED + BESIDE.format(f"net{suffix}")) for suffix in (".pt", ".pth", ".bin", ".ckpt")),
        ("net.PKL", PICKLED),
        ("net.safetensors", f"it contains weights, not code; {ADVICE}{BESIDE.format('net.safetensors')}"),
        ("net.h5", f"it contains weights, not code; {ADVICE}"),
        ("net.onnx", f"it contains an ONNX graph, not a PyTorch model; {ADVICE}"),
    ],
)
def test_files_of_weights_are_refused_unopened(file: str, reason: str) -> None:
    assert message(file) == f"cannot draw '{file}': {reason}"


def test_weights_are_no_model() -> None:
    state = nn.Linear(2, 2).state_dict()
    assert message(state) == message({"model": state}) == f"cannot trace {NO_CODE}"


def test_a_saved_graph_is_no_model() -> None:
    assert message("a.json") == "'a.json' is a saved graph, traced already: load it with fxviz.ArchGraph.load"


@pytest.mark.parametrize("wrap", [torch.jit.script, *slow(torch.compile)], ids=["scripted", "compiled"])
def test_a_wrapped_module_can_be_handed_over(wrap: Callable[[nn.Module], nn.Module]) -> None:
    assert fxviz.trace(wrap(nn.Sequential(nn.Linear(4, 2), nn.ReLU())), torch.ones(1, 4)).total_params == 10
