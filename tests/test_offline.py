"""Nothing is downloaded unless asked: libraries are kept from the network, and what they would have fetched is named.

The sockets of this process are planted: whoever opens a connection or asks for the address of a host is noted.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fxviz
from conftest import Result, optional, posix_only, slow
from fxviz._sources.offline import offline

Call = Callable[..., Result]
Asked = list[str]

LIBRARY = """
import socket, threading
from torch import nn

def reach(host="weights.example"):
    socket.create_connection((host, 443), timeout=1)

class Builds(nn.Linear):
    def __init__(self):
        super().__init__(4, 4)
        reach()

class Runs(nn.Linear):
    def __init__(self):
        super().__init__(4, 4)
    def forward(self, x):
        reach("forward.example")
        return super().forward(x)

class Mirrors(nn.Linear):
    def __init__(self):
        super().__init__(4, 4)
        try:
            reach("mirror.example")
        except OSError:
            pass

class Background(nn.Linear):
    def __init__(self):
        super().__init__(4, 4)
        def deeper():
            inner = threading.Thread(target=quietly)
            inner.start()
            inner.join()
        def quietly():
            try:
                reach("thread.example")
            except OSError:
                pass
        outer = threading.Thread(target=deeper)
        outer.start()
        outer.join()

class Numbers(nn.Linear):
    def __init__(self):
        super().__init__(4, 4)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as telemetry:
            telemetry.sendto(b"hello", ("192.0.2.1", 9))
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Return the hosts that were asked for since the test began."""
    hosts: Asked = []

    def address(host: Any, *others: Any, **more: Any) -> Any:
        hosts.append(str(host))
        raise socket.gaierror(-2, "planted")

    def connect(self: socket.socket, address: Any, *others: Any) -> Any:
        hosts.append(str(others[-1] if others else address))
        raise OSError("planted")

    for name in ("getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, address)
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, connect)
    return hosts


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a library, and write the same code to a file of one's own."""
    installed = tmp_path / "site-packages"
    installed.mkdir()
    for file in (installed / "netlib.py", tmp_path / "own.py"):
        file.write_text(LIBRARY)
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("netlib", None)


REFUSED = [
    ("netlib:Builds", "cannot build 'netlib:Builds': it needs a file from weights.example"),
    ("netlib:Runs", "cannot run 'netlib:Runs': it needs a file from forward.example"),
    ("netlib:Numbers", "cannot build 'netlib:Numbers': it needs a file from 192.0.2.1"),
]


@pytest.mark.parametrize(("name", "said"), REFUSED)
def test_a_library_is_kept_offline(fxviz: Call, asked: Asked, places: None, name: str, said: str) -> None:
    result = fxviz("trace", name, "--input", "1x4", "-o", "-")
    ending = ", which is not on this machine; nothing is downloaded without --download"
    assert (result.status, result.out, result.err) == (2, "", f"fxviz: {said}{ending}\n")
    assert asked == []


@pytest.mark.parametrize("name", ["netlib:Mirrors", "netlib:Background"])
def test_what_a_library_can_do_without_is_not_fetched(asked: Asked, places: None, name: str) -> None:
    assert fxviz.trace(name, fxviz.TensorInfo((1, 4), "float32")).total_params == 20
    assert asked == []


def test_a_failure_for_another_reason_says_what_was_refused(fxviz: Call, asked: Asked, places: None) -> None:
    said = fxviz("trace", "netlib:Mirrors()[3]", "--input", "1x4", "-o", "-").err
    assert "has no item 3" in said
    assert said.endswith("; it was kept from mirror.example: nothing is downloaded without --download\n")


@pytest.mark.parametrize("arguments", [("netlib:Builds", "--download"), ("own.py:Builds",), ("own:Builds",)])
def test_what_was_asked_for_and_own_code_may_connect(
    fxviz: Call, asked: Asked, places: None, arguments: tuple[str, ...]
) -> None:
    result = fxviz("trace", *arguments, "--input", "1x4", "-o", "-")
    assert result.status == 2 and "planted" in result.err
    assert set(asked) == {"weights.example"}


def test_only_what_a_library_does_is_refused(asked: Asked) -> None:
    before = threading.Event(), threading.Event()

    def elsewhere() -> None:
        before[0].wait(10)
        with pytest.raises(OSError, match="planted"):
            socket.create_connection(("elsewhere.example", 80))
        before[1].set()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    with offline("cannot build 'net'", hub=False):
        before[0].set()
        assert before[1].wait(10)
    thread.join()
    assert asked == ["elsewhere.example"]


@posix_only
def test_a_socket_of_this_machine_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    server = socket.socket(socket.AF_UNIX)
    server.bind("here")
    server.listen()
    with offline("cannot build 'net'", hub=False), socket.socket(socket.AF_UNIX) as client:
        client.connect("here")
    server.close()


def test_everything_is_put_back() -> None:
    def seen() -> list[object]:
        names = "connect", "connect_ex", "sendto"
        functions = [vars(socket.socket).get(name) for name in names]
        return [*functions, socket.getaddrinfo, socket.gethostbyname, threading.Thread.start]

    before = seen()
    with pytest.raises(ZeroDivisionError), offline("cannot build 'net'", hub=False):
        assert seen() != before
        _ = 1 / 0
    assert seen() == before


# -------------------------------------------------------------------- the libraries themselves

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "hf-hub:someone/something": {
        "model_type": "timm_backbone",
        "backbone": "hf-hub:someone/something",
        "use_pretrained_backbone": True,
    },
    "hf_hub:someone/another": {"model_type": "timm_backbone", "backbone": "hf_hub:someone/another"},
    "someone/resnet": {"model_type": "detr", "use_timm_backbone": False, "backbone": "someone/resnet"},
    "someone/swin": {"model_type": "mask2former", "backbone": "someone/swin", "use_pretrained_backbone": False},
    "someone/dino": {"model_type": "dpt", "backbone": "someone/dino", "use_pretrained_backbone": True},
}


@pytest.mark.slow
@pytest.mark.parametrize("backbone", CONFIGURATIONS)
def test_a_configuration_that_refers_to_the_hub(fxviz: Call, asked: Asked, in_tmp: Path, backbone: str) -> None:
    optional("timm"), optional("transformers")
    Path("config.json").write_text(json.dumps(CONFIGURATIONS[backbone]))
    result = fxviz("render", "transformers:config.json", "-o", "out.svg")
    start = f"fxviz: cannot build 'transformers:config.json': its backbone '{backbone}' needs https://"
    assert result.err.startswith(start) and result.err.endswith("; nothing is downloaded without --download\n")
    assert (result.status, result.err.count("\n"), asked, Path("out.svg").exists()) == (2, 1, [], False)
    constants = sys.modules["huggingface_hub.constants"]
    assert isinstance(vars(constants)["HF_HUB_OFFLINE"], bool)


NAMES = [
    ("torchvision", "torchvision.models:resnet18(weights='DEFAULT')"),
    ("timm", "timm.models:resnet18(pretrained=True)"),
    ("transformers", "transformers.models.bert:BertModel.from_pretrained('someone/bert')"),
    ("diffusers", "diffusers:UNet2DModel.from_pretrained('someone/unet')"),
    ("torch", "torch.hub:load('someone/repository', 'net')"),
]


@pytest.mark.parametrize(("library", "name"), slow(*NAMES))
def test_a_name_that_asks_a_library_for_weights(
    fxviz: Call, asked: Asked, in_tmp: Path, monkeypatch: pytest.MonkeyPatch, library: str, name: str
) -> None:
    optional(library)
    monkeypatch.setenv("TORCH_HOME", str(in_tmp))
    result = fxviz("render", name, "-o", "out.svg")
    assert result.err.splitlines()[-1].startswith(f"fxviz: cannot build '{name}': it needs "), result.err
    assert result.err.endswith("which is not on this machine; nothing is downloaded without --download\n")
    assert (result.status, asked, Path("out.svg").exists()) == (2, [], False)


@pytest.mark.parametrize(
    ("library", "name"),
    slow(
        ("torchvision", "resnet18"),
        ("torchvision", "fasterrcnn_resnet50_fpn"),
        ("torchvision", "googlenet"),
        ("timm", "timm:resnet18.a1_in1k"),
        ("timm", "timm:test_vit"),
        ("transformers", "transformers:detr"),
        ("transformers", "transformers:mask2former"),
        ("transformers", "transformers:bert"),
    ),
)
def test_a_name_of_a_library_needs_no_network(asked: Asked, library: str, name: str) -> None:
    optional(library)
    assert fxviz.trace(name).total_params > 0
    assert asked == []
