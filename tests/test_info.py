"""``fxviz info``: documentation, origin, published weights; nothing is run or downloaded."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from torchvision import models

from conftest import Result, optional
from fxviz import info
from fxviz._graph import ArchGraph, WeightsInfo
from fxviz._graph.values import Information, Published, Score
from fxviz._report.info import readable, to_text

Call = Callable[..., Result]

NET = '''
from torch import nn

class Net(nn.Conv2d):
    """A network of mine.

    It is :class:`~torch.nn.Conv2d` with ``depth``; see `the paper <https://example.org/1>`_.

    .. figure:: net.png
       :width: 3

    .. note:: It is never run.
    """
    def __init__(self, depth=2):
        super().__init__(3, depth, 1)
    def forward(self, x):
        raise AssertionError("it was run")

class Bare(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)

def make():
    """What makes it."""
    return Net()

def loop():
    """It wraps itself."""
    return Net()

loop.__wrapped__ = loop

def hostile():
    """\\x1b[2Jgone\\r\\x9b5m"""
    return Net()

made = Net()
'''


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def net(in_tmp: Path) -> None:
    (in_tmp / "net.py").write_text(NET)


def rows(text: str, indent: int = 2) -> dict[str, str]:
    """Split the lines of a table into labels and values."""
    lines = [line[indent:] for line in text.splitlines() if len(line) - len(line.lstrip()) == indent]
    return {label: value.strip() for label, _, value in (line.partition("  ") for line in lines) if value}


# -------------------------------------------------------------------- the words

KNOWN = Information(
    "net.py:Net('a b')",
    "net.Net",
    "net.py",
    "net.py",
    12,
    NET.partition('"""')[2].partition('"""')[0],
    11_689_512,
    (("layers", "12"),),
    (
        Published(
            "SOME_V1",
            True,
            True,
            11_689_512,
            1.814,
            44.661,
            (
                Score("ImageNet-1K", "acc@1", 69.758),
                Score("ImageNet-1K", "acc@5", 89.078),
                Score("COCO", "map", 37.0),
            ),
            (
                ("recipe", "https://example.org/" + "long" * 20),
                ("note", "These weights were made with `care <https://example.org/2>`_. " * 3),
            ),
        ),
        Published("SOME_V2", params=11_700_000, facts=(("licence", "apache-2.0"),)),
    ),
)


@pytest.mark.parametrize("width", [None, 120, 60])
def test_the_words(width: int | None, golden: Callable[[str, str], None]) -> None:
    text = to_text(KNOWN, "Net.svg", width) + "\n"
    golden(f"info_{width or 'piped'}.txt", text)
    for line in text.splitlines():
        whole = max(line.split(), key=len, default="")
        assert width is None or len(line) <= width or len(whole) > width / 2  # an address is never broken
        assert line == line.rstrip()


def test_where_nothing_is_published_that_is_said() -> None:
    text = to_text(replace(KNOWN, published=(), documentation=" ", nothing_published="None at all."), "a.svg")
    assert text.endswith("\n\nPublished weights\n\n  None at all.")
    assert "Documentation" not in text


def test_hostile_texts_are_harmless() -> None:
    evil = "\x1b[2J\rgone\x9b"
    weights = Published(evil, metrics=(Score(evil, evil, 1.0),), facts=((evil, evil),))
    text = to_text(Information(evil, evil, evil, evil, 1, evil, 1, ((evil, evil),), (weights,), evil), evil)
    assert all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize(
    ("documentation", "expected"),
    [
        (":py:func:`~a.b.c` and :meth:`forward` and :obj:`the b <a.b>`", "c and forward and the b"),
        ("`Deep\n   Learning <https://a.org>`__", "Deep Learning (https://a.org)"),
        ("``**kwargs`` stay, `x` too", "**kwargs stay, x too"),
        (".. autoclass:: A\n    :members:\n\nafter", "after"),
        ("a\n\n.. warning::\n    Beta.", "a\n\nWarning:\n    Beta."),
        ("a ` b `` c", "a ` b `` c"),
        ("first\n\n\n\nsecond", "first\n\nsecond"),
    ],
)
def test_restructured_text_is_made_readable(documentation: str, expected: str) -> None:
    assert readable(documentation) == expected


# -------------------------------------------------------------------- torchvision


def test_a_model_of_torchvision(fxviz: Call) -> None:
    result = fxviz("info", "resnet18")
    assert (result.status, result.err) == (0, "")
    weights = models.ResNet18_Weights.DEFAULT
    said = rows(result.out)
    assert said["class"] == "torchvision.models.resnet.ResNet"
    assert said["from"] == f"torchvision {version('torchvision')}"
    assert said["code"].startswith("torchvision/models/resnet.py:")
    assert said["parameters"] == "11,689,512"
    assert said["figure"] == "fxviz render resnet18 -o resnet18.svg"
    assert (
        "  ResNet-18 from Deep Residual Learning for Image Recognition (https://arxiv.org/abs/1512.03385).\n"
        in result.out
    )
    declared = rows(result.out.partition("Published weights")[2], 4)
    assert declared["parameters"] == "11,689,512 declared; fxviz counts the same"
    operations = f"{weights.meta['_ops']:g}"
    assert declared["operations"] == (
        f"{operations} GFLOPS declared, counting a multiply-add as one operation: {operations} GMACs"
    )
    assert declared["ImageNet-1K"] == ", ".join(
        f"{key} {value:g}" for key, value in weights.meta["_metrics"]["ImageNet-1K"].items()
    )
    assert declared["file"] == weights.url
    assert ":class:" not in result.out and "``" not in result.out and "autoclass" not in result.out


def test_all_weights_of_a_model_and_which_of_them_are_here(
    fxviz: Call, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.hub, "_hub_dir", str(in_tmp / "hub"))
    (in_tmp / "hub" / "checkpoints").mkdir(parents=True)
    (in_tmp / "hub" / "checkpoints" / models.ResNet50_Weights.IMAGENET1K_V1.url.rpartition("/")[2]).touch()
    out = fxviz("info", "resnet50").out
    assert "\n  IMAGENET1K_V1 (on this machine)\n" in out
    assert "\n  IMAGENET1K_V2 (DEFAULT; not on this machine)\n" in out


def test_what_is_declared_otherwise_than_counted(fxviz: Call) -> None:
    """The declared detector has frozen norms, whose numbers are buffers; without weights they are parameters."""
    out = fxviz("info", "fasterrcnn_resnet50_fpn").out
    assert "41,755,286 declared; fxviz counts 41,808,406, 53,120 more\n" in out


# -------------------------------------------------------------------- models of one's own, programs, graphs


@pytest.mark.usefixtures("net")
def test_a_model_of_ones_own(fxviz: Call) -> None:
    result = fxviz("info", "net.py:Net(depth=3)")
    assert (result.status, result.err) == (0, "")
    said = rows(result.out)
    assert (said["class"], said["from"], said["code"], said["parameters"]) == ("net.Net", "net.py", "net.py:4", "12")
    assert shlex.split(said["figure"]) == ["fxviz", "render", "net.py:Net(depth=3)", "-o", "Net.svg"]
    assert (
        "  It is Conv2d with depth; see the paper (https://example.org/1).\n\n  Note: It is never run.\n" in result.out
    )
    assert result.out.endswith("\n  None for a model of your own; --weights FILE loads a file of yours.\n")


@pytest.mark.usefixtures("net")
def test_what_documents_a_model(fxviz: Call) -> None:
    assert "\n  What makes it.\n" in fxviz("info", "net.py:make").out
    assert rows(fxviz("info", "net.py:make").out)["code"] == "net.py:23"
    assert "\n  A network of mine.\n" in fxviz("info", "net.py:made").out
    assert "Documentation" not in fxviz("info", "net.py:Bare").out
    out = fxviz("info", "net.py:hostile").out
    assert "  \\x1b[2Jgone" in out and all(line.isprintable() for line in out.splitlines())


@pytest.mark.usefixtures("net")
def test_a_function_that_wraps_itself_has_no_place(fxviz: Call) -> None:
    result = fxviz("info", "net.py:loop")
    assert (result.status, "It wraps itself." in result.out, "code" in rows(result.out)) == (0, True, False)


@pytest.mark.parametrize("module", ["library", "transformers_of_mine", "graph"])
def test_a_module_that_is_called_like_a_kind_is_ones_own(
    module: str, fxviz: Call, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (in_tmp / f"{module}.py").write_text(NET)
    monkeypatch.syspath_prepend(str(in_tmp))
    out = fxviz("info", f"{module}:Net").out
    assert out.endswith("\n  None for a model of your own; --weights FILE loads a file of yours.\n")


def test_from_python(in_tmp: Path, tiny: ArchGraph) -> None:
    known = info("resnet18")
    assert (known.params, known.published[0].name) == (11_689_512, "IMAGENET1K_V1")
    tiny.save("a.json")
    assert info(Path("a.json")) == info("a.json")
    assert info("a.json").params == tiny.total_params


def test_a_program(fxviz: Call, in_tmp: Path) -> None:
    import torch

    program = torch.export.export(torch.nn.Sequential(torch.nn.Linear(4, 2)), (torch.ones(1, 4),), strict=False)
    torch.export.save(program, "program.pt2")
    said = rows(fxviz("info", "program.pt2").out)
    assert (said["from"], said["parameters"]) == ("program.pt2", "10")
    assert said["class"] == "torch.nn.modules.container.Sequential"


def test_a_saved_graph_is_told_without_torch(without_torch: Call, in_tmp: Path, tiny: ArchGraph) -> None:
    weights = WeightsInfo("weights of mine.pt", "float16")
    replace(tiny, model=replace(tiny.model, weights=weights)).save("a graph.json")
    result = without_torch("info", "a graph.json")
    said = rows(result.out)
    assert said["from"] == "a graph.json, saved from python"
    assert (said["model"], said["class"], said["parameters"]) == ("tiny", "models.Tiny", "2,714")
    assert (said["input"], said["weights"]) == ("x: 1×4×8×8 float32", "weights of mine.pt")
    assert said["figure"] == "fxviz render 'a graph.json' -o 'a graph.svg'"
    assert result.status == 0 and "use the model's name instead" in result.out


def test_what_is_no_model(fxviz: Call, in_tmp: Path) -> None:
    for model in ("resnet81", "missing.py:Net", "missing.json", "weights.safetensors"):
        result = fxviz("info", model)
        assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)


# -------------------------------------------------------------------- timm, transformers


@pytest.mark.slow
def test_a_model_of_timm(fxviz: Call) -> None:
    optional("timm")
    out = fxviz("info", "timm:resnet18").out
    said = rows(out)
    assert (said["from"], said["parameters"]) == (f"timm {version('timm')}", "11,689,512")
    assert "\n  Constructs a ResNet-18 model.\n" in out
    assert out.count("(DEFAULT; ") == 1
    first = rows(out.partition("Published weights")[2].partition("\n\n  a2_in1k")[0], 4)
    assert (first["licence"], first["input"], first["hub"]) == ("apache-2.0", "3×224×224", "timm/resnet18.a1_in1k")
    assert fxviz("info", "timm:resnet18.a2_in1k").out.count("licence") == 1


@pytest.mark.slow
def test_a_model_of_transformers(fxviz: Call) -> None:
    optional("transformers")
    out = fxviz("info", "transformers:bert").out
    said = rows(out)
    assert (said["layers"], said["width"], said["vocabulary"]) == ("12", "768", "30522")
    assert "Documentation" in out and "transformers declares none: --weights REPOSITORY names one" in out
