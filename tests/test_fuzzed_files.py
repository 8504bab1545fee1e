"""Whatever is wrong in a file, the command says so in one line with exit status 2, or draws what the file describes.

Files are mutated by a seeded generator; one that breaks this is named with its number. Time and memory are bounded.
"""

from __future__ import annotations

import json
import math
import os
import random
import resource
import signal
import struct
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from conftest import Result, optional, posix_only

Call = Callable[..., Result]
Configuration = dict[str, Any]

pytestmark = posix_only
SECONDS, MEGABYTES = 5, 500
"""What one case may take: time of this process's CPU, and memory beyond what it has."""

TINY = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
TEXT = {**TINY, "vocab_size": 100, "max_position_embeddings": 64, "hidden_act": "gelu"}
CONFIGURATIONS: list[Configuration] = [
    {"model_type": "bert", **TEXT, "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.1, "architectures": ["BertModel"]},
    {"model_type": "llama", **TEXT, "num_key_value_heads": 2, "rope_scaling": {"rope_type": "linear", "factor": 2.0}},
    {"model_type": "vit", **TINY, "image_size": 32, "patch_size": 8, "num_channels": 3, "id2label": {"0": "a"}},
    {"model_type": "clip", "text_config": dict(TEXT), "vision_config": {**TINY, "image_size": 32, "patch_size": 8}},
    {"model_type": "swin", "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 4], "window_size": 4, "image_size": 32},
    {"model_type": "mixtral", **TEXT, "num_key_value_heads": 2, "num_local_experts": 4, "num_experts_per_tok": 2},
]
VALUES: list[Any] = [
    *("32", "", "x" * 10_000, "a\0b", None, True, -1, 0, 1, 7, 1.5, math.inf, math.nan),
    *(10**6, 10**9, 10**18, 10**30, [], [1], [0, -1], ["a"], {}, {"a": 1}, [[]], [10**9] * 3),
]


@contextmanager
def bounded() -> Iterator[None]:
    """Fail if a case takes too long or too much memory."""

    def late(*_: object) -> None:
        raise AssertionError(f"it takes longer than {SECONDS} s")

    before, handler = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
    unit = 1 if sys.platform == "darwin" else 1024
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit / 1e6
    assert grown < MEGABYTES, f"it takes {grown:.0f} MB"


def problem(fxviz: Call, *arguments: str) -> str:
    """Return what is wrong with the answer to a call; "" if nothing is."""
    try:
        with bounded():
            result = fxviz(*arguments)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    lines = result.err.splitlines()
    if result.status not in (0, 2) or "internal error" in result.err:
        return f"exit status {result.status}: {result.err[-300:]}"
    if result.status == 2 and (len(lines) != 1 or len(lines[0]) > 1000 or result.out):
        return f"not one line: {result.err[:300]}"
    return ""


def mutated(chance: random.Random) -> Configuration:
    """Return a configuration with one to three wrong values, anywhere in it."""
    config: Configuration = json.loads(json.dumps(chance.choice(CONFIGURATIONS)))
    for _ in range(chance.randint(1, 3)):
        place = config
        inner = [value for value in config.values() if isinstance(value, dict) and value]
        if inner and chance.random() < 0.5:
            place = chance.choice(inner)
        key = chance.choice([*place, "unknown"])
        if chance.random() < 0.1:
            place.pop(key, None)
        else:
            place[key] = chance.choice(VALUES)
    return config


def _text(chance: random.Random) -> bytes:
    """Return the bytes of a configuration that is damaged as a text."""
    text = json.dumps(chance.choice(CONFIGURATIONS)).encode()
    cut = chance.randrange(len(text))
    return chance.choice(
        [
            text[:cut],
            text[:cut] + b"\xff" + text[cut:],
            text[:cut] + text[cut + 1 :],
            b"\xef\xbb\xbf" + text,
            text.decode().encode("utf-16"),
            text[:-1] + b', "hidden_size": 8, "hidden_size": 16}',
            text[:-1] + b', "deep": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
            text[:-1] + b', "deep_config": ' + b'{"a_config": ' * 400 + b"1" + b"}" * 401,
            text + b" " * 11_000_000,
            b"[" + text + b"]",
            b'"text"',
            b"",
        ]
    )


@pytest.mark.slow
def test_300_configurations(fxviz: Call, in_tmp: Path) -> None:
    optional("transformers")
    fxviz("summary", "transformers:bert", "-q", "--no-cache")  # which imports everything
    chance, wrong = random.Random(1), []
    for number in range(300):
        content = _text(chance) if number % 5 == 0 else json.dumps(mutated(chance)).encode()
        Path("config.json").write_bytes(content)
        if said := problem(fxviz, "trace", "transformers:config.json", "-q", "-o", "graph.json"):
            wrong.append(f"{number}: {content[:600]!r}: {said}")
    assert not wrong, "\n".join(wrong)


# -------------------------------------------------------------------- archives and headers


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(image).mean((2, 3)))


def _changed(content: bytes, chance: random.Random) -> bytes:
    """Return bytes that were cut, altered, doubled, or had a part removed."""
    first, last = sorted(chance.randrange(len(content)) for _ in range(2))
    noise = bytes(chance.randrange(256) for _ in range(8))
    return chance.choice(
        [
            content[:first],
            content[first:],
            content[:first] + content[last:],
            content[:first] + noise + content[first + 8 :],
            content[:first] + noise + content[first:],
            content + content,
            b"",
            noise,
        ]
    )


def _archive(content: bytes, chance: random.Random) -> bytes:
    """Return an archive with a member that was altered, renamed, compressed, removed or added."""
    Path("before.zip").write_bytes(content)
    with zipfile.ZipFile("before.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = chance.choice(list(members))
    how = chance.randrange(6)
    if how == 0:
        members[name] = _changed(members[name] or b"x", chance)
    elif how == 1:
        members[chance.choice(["../../up", "a\0b", "x" * 3000, "é", name.upper()])] = members.pop(name)
    elif how == 2:
        del members[name]
    elif how == 3:
        members[name] = b"[" * 10_000
    elif how == 4:
        members |= {f"{name}/{number}": b"" for number in range(1000)}
    with zipfile.ZipFile("after.zip", "w", zipfile.ZIP_DEFLATED if how == 5 else zipfile.ZIP_STORED) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return Path("after.zip").read_bytes()


def _header(content: bytes, chance: random.Random) -> bytes:
    """Return a file of safetensors whose header says something else."""
    length = int.from_bytes(content[:8], "little")
    entry = {"dtype": chance.choice(["F32", "F99", 1]), "shape": chance.choice([[10**12], [-1], "a", [[1]], [2, 2]])}
    entry["data_offsets"] = chance.choice([[0, 2**63], [5, 1], [0, 16], "x", []])
    header = json.dumps({chance.choice(["head.weight", "x" * 10_000, "a\0b"]): entry}).encode()
    written = chance.choice([len(header), 2**62, 2**64 - 1, length, 0])
    return struct.pack("<Q", written) + header + content[8 + length :]


@pytest.mark.slow
def test_100_archives(fxviz: Call, in_tmp: Path) -> None:
    safetensors = optional("safetensors.torch")
    Path("net.py").write_text(
        "import torch\nfrom torch import nn\nclass Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)\n"
        "    def forward(self, image):\n        return self.head(self.conv(image).mean((2, 3)))\n"
    )
    torch.save(Net().state_dict(), "a.pt")
    safetensors.save_file(Net().state_dict(), "a.safetensors")
    torch.export.save(torch.export.export(Net(), (torch.ones(1, 3, 8, 8),)), "a.pt2")
    whole = {suffix: Path(f"a.{suffix}").read_bytes() for suffix in ("pt", "pt2", "safetensors")}
    calls = {"pt2": ["trace", "b.pt2"]}
    for suffix in whole:
        calls.setdefault(suffix, ["trace", "net.py:Net", "--input", "1x3x8x8", "--weights", f"b.{suffix}"])
        Path(f"b.{suffix}").write_bytes(whole[suffix])
        assert fxviz(*calls[suffix], "-q", "-o", "graph.json").status == 0
    chance, wrong = random.Random(2), []
    for number in range(100):
        suffix = chance.choice(list(whole))
        special = _header if suffix == "safetensors" else _archive
        content = chance.choice([_changed, special])(whole[suffix], chance)
        Path(f"b.{suffix}").write_bytes(content)
        if said := problem(fxviz, *calls[suffix], "-q", "-o", "graph.json"):
            wrong.append(f"{number}, {suffix}, {len(content)} bytes: {said}")
    assert not wrong, "\n".join(wrong)


def _many_members(path: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("models/model.json", "{}")
        for number in range(2000):
            archive.writestr(f"{number:0>7000}", "")


def _long_description(path: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("models/model.json", b"[" + b"{}," * 11_000_000 + b"{}]")


def _compressed(path: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("models/model.json", b" " * 10_000_000)


def _long_header(path: str) -> None:
    header = b"{" + b" " * 13_000_000 + b"}"
    Path(path).write_bytes(struct.pack("<Q", len(header)) + header)


def _long_pickle(path: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + b"]" * 13_000_000 + b".")
        archive.writestr("a/version", b"3\n")


LAYER = "from torch import nn\nclass Net(nn.Linear):\n    def __init__(self):\n        super().__init__(4, 4)\n"

LARGE = {
    "members.pt2": (_many_members, "its list of members is larger than 12 MB"),
    "description.pt2": (_long_description, "its member 'models/model.json' is larger than 32 MB"),
    "compressed.pt2": (
        _compressed,
        "its member 'models/model.json' is compressed; torch.export.save compresses none",
    ),
    "members.pt": (_many_members, "its list of members is larger than 12 MB"),
    "header.safetensors": (_long_header, "the description of its tensors is larger than 12 MB"),
    "pickle.pt": (_long_pickle, "the description of its tensors is larger than 12 MB"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_what_would_take_long_is_refused_at_once(fxviz: Call, in_tmp: Path, name: str) -> None:
    write, said = LARGE[name]
    write(name)
    Path("net.py").write_text(LAYER)
    call = ["trace", name] if name.endswith(".pt2") else ["trace", "net.py:Net", "--input", "1x4", "--weights", name]
    fxviz("trace", "net.py:Net", "--input", "1x4", "-o", "-")
    begun = time.process_time()
    with bounded():
        result = fxviz(*call, "-o", "-")
    assert (result.status, result.out) == (2, "") and result.err.endswith(f"'{name}': {said}\n"), result.err
    assert time.process_time() - begun < SECONDS


NO_FILES = [
    *("pipe.json", "transformers:pipe.json", "pipe.py:Net", "pipe.pt2", "zero.json", "transformers:zero.json"),
    *("net.py:Net --weights pipe.pt", "net.py:Net --weights pipe.index.json"),
]


@pytest.mark.parametrize("call", NO_FILES)
def test_what_is_no_file_is_not_opened(fxviz: Call, in_tmp: Path, call: str) -> None:
    for suffix in ("json", "py", "pt2", "pt", "index.json"):
        os.mkfifo(f"pipe.{suffix}")
    Path("zero.json").symlink_to("/dev/zero")
    Path("net.py").write_text(LAYER)
    result = fxviz("render", *call.split(), "-o", "out.svg")
    assert result.err.endswith(": it is a pipe or a device, not a file; save its content to a file\n"), result.err
    assert result.status == 2


def test_a_gigabyte_of_blanks_is_not_read(without_torch: Call, in_tmp: Path) -> None:
    for name in ("graph.json", "config.json", "net.py"):
        with Path(name).open("wb") as file:
            file.truncate(2**30)
    for call, most in (("graph.json", "200 MB"), ("transformers:config.json", "10 MB"), ("net.py:Net", "10 MB")):
        result = without_torch("render", call, "-o", "out.svg")
        if call.startswith("transformers:") and "not installed" in result.err:
            continue
        assert (result.status, result.err.count("\n")) == (2, 1) and result.err.endswith(
            f": it is larger than {most}\n"
        )
