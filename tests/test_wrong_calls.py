# ruff: noqa: E501 - one line for each call
"""Whatever is typed wrong gets one line that says what, where and what to do; no traceback, no half file, nothing lost.

Each call is made in a folder with ``net.py`` and an ``out.svg`` that was there before. In a message, ``...`` stands for words
that are torch's or Python's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ROOT, Result, not_for_root, posix_only
from fxviz._graph import ArchGraph
from fxviz._graph.errors import UsageError

Call = Callable[..., Result]

FILES = {
    "syntax.py": b"class Net(\n",
    "imports.py": b"import no_such_thing\n",
    "empty.py": b"x = 1\n",
    "binary.py": b"\xff\xfe\x00",
    "script.py": b"raise SystemExit('bye')\n",
    "weights.pth": b"x",
    "weights.safetensors": b"x",
    "broken.pt2": b"x",
    "broken.json": b"{",
}

CANDIDATES = "write 'net.py:NAME' with one of Net, Needs, Breaks, Two, Raises, Words, small, weights and 2 more"
GRAMMAR = "write [NAME=]SIZES[:DTYPE][[LOW,HIGH]], for example 3x64x64 or ids=1x128:int64[0,1000]"
DTYPES = "float32, float64, float16, bfloat16, complex64, complex128, int64, int32, int16, int8, uint8, bool"
CONV = "conv (Conv2d) at net.py:16, 'return self.head(self.conv(image).mean((2, 3)))'"
ASSUMED = "no inputs were given, so a 1×3×224×224 image was assumed: use --input to pass what forward"

CALLS = {
    # what is not there
    "resnet81": "unknown model 'resnet81': did you mean ...? 'fxviz list' shows all names",
    "tinm:resnet18": "unknown model 'tinm:resnet18': there is no module 'tinm'; did you mean timm:resnet18?",
    "no.such.module:Net": "unknown model 'no.such.module:Net': there is no module 'no'; run fxviz in the directory that contains it, or ...",
    "torch.nn:Linearr": "'torch.nn' has no 'Linearr'; did you mean Linear?",
    "missing.py:Net": "cannot read 'missing.py': No such file or directory",
    "missing.pt2": "cannot read 'missing.pt2': No such file or directory",
    "missing.json": "cannot read 'missing.json': No such file or directory",
    "folder.py:Net": "cannot read 'folder.py': Is a directory",
    "net.py:Nett": "'net.py' has no 'Nett'; did you mean Net?",
    # how a model is named
    "net.py": f"name a class or function in 'net.py': {CANDIDATES}",
    "net.py:": "missing name after 'net.py:': write the class or function, as in 'net.py:Net'",
    "net.py:Net(3": "cannot read 'net.py:Net(3': a parenthesis or bracket is not closed; end with ')' or ']'",
    "net.py:Net(act=gelu)": "'net.py' has no 'gelu'; a string needs quotes: 'gelu'",
    "net.py:Net(open('x'))": "'net.py' has no 'open'; names are looked up in 'net.py', or written in full (torch.nn.GELU)",
    "resnet18(num_classes=10)": "invalid model 'resnet18(num_classes=10)': only a class or function takes arguments; name its file or "
    "module, as in 'net.py:Net(18)' or 'torchvision.models:resnet18(num_classes=10)'",
    # what the file holds
    "syntax.py:Net": "cannot import 'syntax.py' at syntax.py:1, 'class Net(': SyntaxError: ...",
    "imports.py:Net": "cannot import 'imports.py' at imports.py:1, 'import no_such_thing': ModuleNotFoundError: No module named "
    "'no_such_thing'; install it for ..., or run fxviz in the directory that contains it",
    "empty.py": "name a class or function in 'empty.py': it defines neither a torch.nn.Module nor a function: add a function "
    "that returns the model",
    "binary.py:Net": "cannot read 'binary.py': it is not UTF-8; save it as UTF-8",
    "script.py:Net": "cannot import 'script.py' at script.py:1, 'raise SystemExit('bye')': it exited; move the code of a script "
    "under 'if __name__ == \"__main__\":'",
    "broken.pt2": "cannot read 'broken.pt2': it is not an exported program, or is truncated; write it with torch.export.save",
    "broken.json": "cannot read 'broken.json': it is not valid JSON (...); graphs are written by 'fxviz trace MODEL -o FILE.json'",
    "weights.pth": "cannot draw 'weights.pth': it contains weights or a pickled module, and fxviz unpickles no modules; name the "
    "class or function that builds the model, 'net.py:Net', and the weights with --weights weights.pth",
    "weights.safetensors": "cannot draw 'weights.safetensors': it contains weights, not code; name the class or function that "
    "builds the model, 'net.py:Net', and the weights with --weights weights.safetensors",
    # weights
    "net.py:Net --weights missing.pt": "cannot load 'missing.pt': No such file or directory",
    "net.py:Net --weights folder.py": "cannot load 'folder.py': the suffix must be .safetensors, .pt, .pth, .bin, .ckpt or .index.json",
    "net.py:Net --weights weights.h5": "cannot load 'weights.h5': the suffix must be .safetensors, .pt, .pth, .bin, .ckpt or .index.json",
    "net.py:Net --weights weights.safetensors": "cannot load 'weights.safetensors': it is not a safetensors file, or is "
    "truncated (...); download it again",
    "net.py:Net --weights weights.pth": "cannot load 'weights.pth': torch.save did not write it; download it again, or save "
    "only the weights, torch.save(model.state_dict(), 'weights.pt'), and use that file",
    "net.py:Net --weights DEFAULT": "unknown weights 'DEFAULT' for 'net.py:Net': only models of torchvision, timm or transformers have "
    "published ones; name a file: .safetensors, .pt, .pth, .bin, .ckpt or .index.json",
    "resnet18 --weights IMAGENET1K_V9": "resnet18 has no weights 'IMAGENET1K_V9': choose DEFAULT (...), or name a file",
    "resnet18 --download": "nothing to download: also name published weights (--weights NAME)",
    "broken.json --no-cache": "'broken.json' is traced already: leave out --no-cache, or trace the model again with it",
    "broken.json --weights a.pt": "'broken.json' is traced already: leave out --weights, or trace the model again with it",
    # what the name leads to
    "net.py:Plain": f"'Plain' in 'net.py' is a class, but not a torch.nn.Module; {CANDIDATES}",
    "net.py:Needs": "'net.py:Needs' needs width, height: write 'net.py:Needs(width=..., height=...)'",
    "net.py:Net(dept=3)": "cannot call 'net.py:Net(dept=3)': got an unexpected keyword argument 'dept'; it takes (...)",
    "net.py:small(3)": "'small' in 'net.py' is a module, not a class, and takes no arguments: write 'net.py:small'",
    "net.py:Breaks": "cannot build 'net.py:Breaks' at net.py:31, 'self.size = 1 // 0': ZeroDivisionError: ...",
    "net.py:weights": "'net.py:weights' returned a state_dict, not a model: build the module, call load_state_dict, and pass "
    "the module",
    "net.py:nothing": "'net.py:nothing' returned None: return a torch.nn.Module, or a pair (module, inputs)",
    "net.py:leaves": "cannot build 'net.py:leaves' at net.py:67, 'raise SystemExit(3)': it exited; ...",
    # inputs
    "net.py:Net --input 3,64,64": f"invalid input '3,64,64': {GRAMMAR}",
    "net.py:Net --input 3x0x64": "invalid input '3x0x64': a size is 0; each size must be 1 or greater",
    "net.py:Net --input 3x64x64:float": f"invalid input '3x64x64:float': unknown dtype 'float'; choose {DTYPES}",
    "net.py:Net --input 99999999999x99999999999": "invalid input '99999999999x99999999999': it has more elements than "
    "torch can count; use smaller sizes",
    "net.py:Net --input image=1x3x8x8 --input image=1x3x8x8": "input 'image' is given twice: use each name once",
    "net.py:Net --batch 0": "invalid --batch 0: must be a whole number, 1 or greater",
    "net.py:Net --batch two": "invalid --batch 'two': must be a whole number",
    "net.py:Net --input 8x3x64x64 --batch 4": "cannot use batch 4: an input has shape (8, 3, 64, 64); make the first size 1, or "
    "omit the batch",
    # options
    "net.py:Net --leaf nope": "Net has no module with the path or class 'nope'; it has conv, head, Conv2d, Linear",
    "net.py:Net --root con": "Net has no submodule 'con'; did you mean conv?",
    "googlenet --root aux1": "GoogLeNet never calls its submodule 'aux1' (InceptionAux) in eval mode: it may with --train",
    "net.py:Net --depth 0": "invalid --depth 0: must be a whole number, 1 or greater",
    "net.py:Net --device gpu": "invalid --device 'gpu': choose meta, cpu, cuda or cuda:N",
    "net.py:Net --device cuda:99": "device 'cuda:99' is not available: torch sees ... GPU(s); use meta or cpu",
    "net.py:Net --time": "cannot time on meta, which computes nothing: choose --device cpu or cuda",
    "net.py:Net --time --device cpu --partial": "cannot time a partial run: choose either --time or --partial",
    "net.py:Net -o out.gif": "cannot write 'out.gif': the suffix must be ...",
    "net.py:Net -o no/out.svg": "cannot write 'no/out.svg': the folder 'no' does not exist",
    "net.py:Net -o /proc/out.svg": "cannot write '/proc/out.svg': cannot create a file in its folder (...)",
}
"""What is the user's mistake: exit status 2."""

FAILURES = {
    "net.py:Two": "cannot trace Two: TypeError: ...forward() missing 1 required positional argument: 'right'; "
    f"{ASSUMED}(left, right) takes",
    "net.py:Words": "cannot trace Words: table (Embedding) at net.py:55, 'return self.table(ids)': RuntimeError: ...; it was given "
    f"1×3×224×224 float32; {ASSUMED}(ids) takes; ids must be whole numbers: --input ids=...:int64[0,100]",
    "net.py:Net --input 1x1x64x64": f"cannot trace Net: {CONV}: RuntimeError: ... to have 3 channels, but got 1 channels instead; "
    "it was given 1×1×64×64 float32; --partial draws what ran until then",
    "net.py:Net --input 1x3x64x64:int64": f"cannot trace Net: {CONV}: RuntimeError: ...; it was given 1×3×64×64 int64; --partial "
    "draws what ran until then",
    "net.py:Net --input x=1x3x64x64": "cannot trace Net: TypeError: ...forward() got an unexpected keyword argument 'x'; the "
    "inputs must be the arguments of its forward(image)",
    "net.py:Net --input 1x3x300000x300000 --device cpu": "cannot allocate an input of 1×3×300000×300000 float32 on cpu: not "
    "enough memory",
    "net.py:Words --input ids=1x8:int64[500,600] --device cpu": "cannot trace Words: table (Embedding) at net.py:55, 'return "
    "self.table(ids)': IndexError: ...; it was given 1×8 int64; --partial draws what ran until then",
    "net.py:Raises --input 1x4": "cannot trace Raises: at net.py:46, 'raise ValueError(\"not today\\nnor tomorrow\")': ValueError: "
    "not today; --partial draws what ran until then",
    "deeplabv3_resnet50 --train": "cannot trace DeepLabV3: ... (BatchNorm2d) at torchvision/models/segmentation/...: ValueError: "
    "...; it was given 1×256×1×1 float32; training mode needs a batch of 2 or more: --batch 2",
}
"""What the model's own code cannot do: exit status 1."""


@pytest.fixture
def folder(in_tmp: Path) -> Path:
    shutil.copy(ROOT / "tests/own_models.py", "net.py")
    Path("folder.py").mkdir()
    Path("out.svg").write_text("old")
    for name, content in FILES.items():
        Path(name).write_bytes(content)
    return in_tmp


def listing() -> dict[str, bytes]:
    return {
        str(path): path.read_bytes() if path.is_file() else b""
        for path in Path().rglob("*")
        if "__pycache__" not in str(path)
    }


def words_of(call: str) -> list[str]:
    words = call.split(" ")
    return ["render", *words, *([] if "-o" in words else ["-o", "out.svg"])]


def says(message: str, said: str) -> bool:
    pattern = "[^\n]*".join(map(re.escape, message.split("...")))
    return re.fullmatch(f"fxviz: {pattern}\n", said) is not None


@pytest.mark.parametrize(
    ("call", "message", "status"),
    [(call, message, 2) for call, message in CALLS.items()]
    + [(call, message, 1) for call, message in FAILURES.items()],
)
def test_a_wrong_call_says_what_to_do(fxviz: Call, folder: Path, call: str, message: str, status: int) -> None:
    before = listing()
    result = fxviz(*words_of(call))
    assert says(message, result.err), f"{result.err}\nexpected: {message}"
    assert (result.status, result.out) == (status, "")
    assert listing() == before


def test_the_table_is_long_enough() -> None:
    assert len(CALLS) + len(FAILURES) >= 40


def test_torchs_own_traceback_comes_with_debug_only(fxviz: Call, folder: Path) -> None:
    said = fxviz("render", "net.py:Raises", "--input", "1x4", "--debug").err
    assert said.startswith("Traceback")
    assert 'line 46, in forward\n    raise ValueError("not today\\nnor tomorrow")' in said
    assert said.splitlines()[-1].startswith("fxviz: cannot trace Raises: at net.py:46")


def test_a_partial_figure_is_written_with_status_1(fxviz: Call, folder: Path) -> None:
    result = fxviz("render", "net.py:Raises", "--input", "1x4", "-o", "out.svg", "--partial")
    wrote, failed = result.err.splitlines()
    assert (result.status, result.out) == (1, "")
    assert wrote.startswith("wrote out.svg: stopped at Raises")
    assert failed.startswith("fxviz: cannot trace Raises: at net.py:46")
    figure = Path("out.svg").read_text(encoding="utf-8")
    assert "not today" in figure and "net.py:46" in figure
    assert fxviz("trace", "net.py:Raises", "--input", "1x4", "-o", "half.json", "--partial").status == 1
    assert ArchGraph.load("half.json").trace.failure is not None
    assert fxviz("render", "half.json", "-o", "again.svg").status == 0


def test_what_a_models_code_prints_is_kept_out_of_the_figure(fxviz: Call, folder: Path) -> None:
    Path("loud.py").write_text(
        "from torch import nn\nprint('loading')\n"
        "class Loud(nn.Linear):\n    def forward(self, x):\n        print('running')\n        return super().forward(x)\n"
    )
    result = fxviz("render", "loud.py:Loud(4, 4)", "--input", "1x4", "-o", "-")
    assert result.out.startswith("<svg") and result.out.endswith("</svg>\n")
    assert "loading" not in result.out and "running" not in result.out
    assert "loading" in result.err and "running" in result.err


def in_a_process(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "fxviz", *arguments]
    return subprocess.run(command, text=True, env=environment, timeout=120, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload,no-any-return]


@pytest.mark.slow
@posix_only
def test_a_disk_that_is_full_loses_nothing(folder: Path, tiny: ArchGraph) -> None:
    tiny.save("tiny.json")
    before = listing()

    import resource

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))

    done = in_a_process("render", "tiny.json", "-o", "out.svg", preexec_fn=little_room)
    assert (done.returncode, done.stderr) == (2, "fxviz: cannot write 'out.svg': File too large\n")
    assert listing() == before


@not_for_root
def test_a_folder_that_is_read_only(fxviz: Call, folder: Path) -> None:
    Path("locked").mkdir(mode=0o555)
    result = fxviz("render", "net.py:Net", "-o", "locked/out.svg")
    assert says("cannot write 'locked/out.svg': cannot create a file in its folder (Permission denied)", result.err)
    assert result.status == 2


@posix_only
@pytest.mark.slow  # a saved graph is quick, in test_cli
def test_a_reader_of_standard_output_that_goes_away(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    before = listing()
    done = in_a_process("render", "net.py:Net", "-o", "-", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
    assert listing() == before


SLOW = """
import os, signal, time, torch
signal.signal(signal.SIGINT, signal.default_int_handler)
class Slow(torch.nn.Module):
    def forward(self, x):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30)
"""


@posix_only
@pytest.mark.slow
def test_an_interrupted_run_ends_with_130_and_loses_nothing(folder: Path) -> None:
    Path("slow.py").write_text(SLOW)
    before = listing()
    done = in_a_process("render", "slow.py:Slow", "-o", "out.svg")
    assert (done.returncode, done.stderr.strip()) == (130, "")
    assert listing() == before


LOUD = """
import os, subprocess
from torch import nn
class Loud(nn.Linear):
    def __init__(self):
        super().__init__(4, 4)
        os.write(1, b"building, past Python\\n")
    def forward(self, x):
        subprocess.run(["echo", "running, in a process"])
        return super().forward(x)
"""


@posix_only
@pytest.mark.parametrize(
    "command", [("render", "-o", "-"), ("trace", "-o", "-"), ("summary", "--format", "json"), ("explain",)]
)
def test_what_a_model_writes_to_descriptor_1_is_kept_out_of_the_result(
    fxviz: Call, folder: Path, command: tuple[str, ...]
) -> None:
    Path("loud.py").write_text(LOUD)
    result = fxviz(*command, "loud.py:Loud", "--input", "1x4")
    assert result.status == 0 and "past Python" in result.err and "in a process" in result.err
    assert "past Python" not in result.out and "in a process" not in result.out and result.out.endswith("\n")


LEAVES = """
import os, torch
from torch import nn
if os.environ.get("LEAVE") == "import":
    os._exit(0)
class Leaves(nn.Linear):
    def __init__(self):
        super().__init__(4, 4)
        if os.environ.get("LEAVE") == "build":
            os._exit(0)
    def forward(self, x):
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
"""


@posix_only
@pytest.mark.parametrize(
    ("where", "message", "status"),
    [
        ("import", "cannot import 'leaves.py' at leaves.py:5, 'os._exit(0)': it exited; ...", 2),
        ("build", "cannot build 'leaves.py:Leaves' at leaves.py:10, 'os._exit(0)': it exited; ...", 2),
        ("run", "cannot trace Leaves: at leaves.py:14, 'os._exit(0)': SystemExit: 0...", 1),
    ],
)
def test_a_model_that_ends_the_process_is_told(
    fxviz: Call, folder: Path, monkeypatch: pytest.MonkeyPatch, where: str, message: str, status: int
) -> None:
    Path("leaves.py").write_text(LEAVES)
    monkeypatch.setenv("LEAVE", where)
    leave = os._exit
    result = fxviz("render", "leaves.py:Leaves", "--input", "1x4", "-o", "out.svg")
    assert says(message, result.err), result.err
    assert (result.status, Path("out.svg").read_text(), os._exit) == (status, "old", leave)


FORMS = ["resnet 18", "timm:hf-hub:someone/net", "timm:", "transformers:someone/net", "rés"]


@pytest.mark.parametrize("name", FORMS)
def test_a_name_that_no_model_can_have_is_refused_without_torch(without_torch: Call, folder: Path, name: str) -> None:
    result = without_torch("trace", name, "-o", "-")
    said = f"fxviz: unknown model '{name}': the name of a library's model has letters, digits, '_', '-' and '.'; "
    assert (result.status, result.out) == (2, "") and result.err.startswith(said) and result.err.count("\n") == 1


@pytest.mark.parametrize("name", ["missing.pt2", "broken.pt2", "weights.pth"])
def test_a_file_without_a_model_is_refused_without_torch(without_torch: Call, folder: Path, name: str) -> None:
    result = without_torch("trace", name, "-o", "-")
    assert (result.status, result.out) == (2, "") and says(CALLS[name], result.err), result.err


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_part_of_it", "ModuleNotFoundError: No module named 'no_part_of_it'"),
        ("raise RuntimeError('operator nms does not exist')", "RuntimeError: operator nms does not exist"),
        ("from os import no_such_name", "ImportError: cannot import name ..."),
    ],
)
@pytest.mark.parametrize("library", ["timm", "transformers"])
def test_a_library_that_is_half_installed(
    fxviz: Call, folder: Path, monkeypatch: pytest.MonkeyPatch, library: str, code: str, reason: str
) -> None:
    package = Path("site-packages", library)
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(code)
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(package.parent.absolute()))
    result = fxviz("render", f"{library}:bert", "--no-cache", "-o", "out.svg")
    need = f"models called '{library}:...' need {library}, whose import fails: {reason}"
    assert says(f"{need.replace(':...', ':...')}; install it again", result.err), result.err
    assert (result.status, result.err.count("\n")) == (2, 1)


def test_torchvision_that_is_half_installed(fxviz: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = Path("site-packages", "torchvision")
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('operator nms does not exist')")
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(package.parent.absolute()))
    result = fxviz("render", "resnet18", "--no-cache", "-o", "out.svg")
    said = "cannot import torchvision: RuntimeError: operator nms does not exist; it is not installed completely, ..."
    assert result.status == 2 and says(said, result.err), result.err


@pytest.mark.parametrize("part", ["fxviz.graph/1", '"relu"', '"models.Tiny"', '"float32"', "identity"])
def test_a_message_is_bounded(fxviz: Call, folder: Path, tiny: ArchGraph, part: str) -> None:
    long = part.strip('"') + "x" * 100_000
    Path("long.json").write_text(tiny.to_json().replace(part, f'"{long}"' if part[0] == '"' else long, 1))
    result = fxviz("summary", "long.json", "--depth", "0")
    assert (result.status, result.err.count("\n")) == (2, 1) and len(result.err) < 2100
    assert len(str(UsageError(long))) == 2000


@pytest.mark.parametrize("form", ["svg", "png", "pdf", "dot", "json", "graphml", "mmd"])
@pytest.mark.parametrize("scale", ["0", "-1", "inf", "nan", "1e9", "1e-9"])
def test_a_scale_out_of_range_is_refused_for_each_form(
    without_torch: Call, folder: Path, tiny: ArchGraph, form: str, scale: str
) -> None:
    tiny.save("tiny.json")
    result = without_torch("render", "tiny.json", "--scale", scale, "-o", f"out.{form}")
    said = f"invalid --scale {float(scale)!r}: must be a number from 0.01 to 100, such as 2"
    assert (result.status, result.err) == (2, f"fxviz: {said}\n")
