"""Show readers no name that only torch's own code uses: in no figure, table, explanation or message."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fxviz
from conftest import Result

PRIVATE = re.compile(
    r"_orig_mod|OptimizedModule|GraphModuleImpl|InterpreterModule|_wrapped_module|FSDP\w|functorch|overload|"
    r"\baten\b|\bprims?[.:]|\w\.default\b|\w_default\b|_local_scalar|_unsafe_|_to_copy|native_|<built-in|\b0x[0-9a-f]{6}|"
    r"(?<![\w.])_(softmax|log_softmax|unique|fused|efficient|scaled|int_mm|grouped|weight_norm|cudnn|thnn)\w*"
)
"""Names of wrappers, of operations of the dispatcher and their overloads, and addresses."""


class Own(nn.Module):
    """Two layers and what a function does with them."""

    def __init__(self, run: Callable[[Own, Tensor], Any]) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.run = run

    def forward(self, x: Tensor) -> Any:
        return self.run(self, x)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # type: ignore[override]
        return x * 2


def compiled() -> nn.Module:
    inner = torch.compile(nn.Sequential(nn.Linear(8, 8), torch.compile(nn.Linear(8, 8))))
    return torch.compile(nn.Sequential(nn.Linear(8, 8), inner))


def scripted() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 8), torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Softmax(-1))))


def exported(decomposed: bool) -> nn.Module:
    written = Own(lambda net, x: F.gelu(net.second(F.layer_norm(net.first(x), (8,)))).softmax(-1))
    program = torch.export.export(written, (torch.ones(2, 8),))
    return (program.run_decompositions() if decomposed else program).module()


def quantized() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(8, 8)), {nn.Linear}, dtype=torch.qint8)


def normed() -> nn.Module:
    norm = nn.utils.parametrizations
    return nn.Sequential(norm.weight_norm(nn.Linear(8, 8)), norm.spectral_norm(nn.Linear(8, 8)), nn.Softmax(-1))


BUILT: dict[str, Callable[[], nn.Module]] = {
    "compiled": compiled,
    "scripted": scripted,
    "scripted whole": lambda: torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Softmax(-1))),
    "exported": lambda: exported(False),
    "decomposed": lambda: exported(True),
    "as a graph": lambda: torch.fx.symbolic_trace(nn.Sequential(nn.Linear(8, 8), nn.ReLU())),
    "quantized": quantized,
    "normed": normed,
    "parallel": lambda: nn.DataParallel(nn.Sequential(nn.Linear(8, 8))),
    "attention": lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
    "a number": lambda: Own(lambda net, x: net.first(x) if x.sum().item() > 0 else net.second(x)),
    "a size": lambda: Own(lambda net, x: net.first(x[x[:, 0] > 0]) + torch.unique(x.long()).numel()),
    "mapped": lambda: Own(lambda net, x: torch.vmap(lambda row: net.second(F.gelu(row)).softmax(-1))(net.first(x))),
    "derived": lambda: Own(lambda net, x: torch.vmap(torch.func.jacrev(lambda row: net.first(row).tanh()))(x).sum(1)),
    "in place": lambda: Own(lambda net, x: net.second(net.first(x).add_(1).clamp_(0, 1).mul_(2))),
    "operations": lambda: Own(lambda net, x: torch.ops.aten.gelu.default(net.first(x)).log_softmax(-1)),
    "own function": lambda: Own(lambda net, x: net.second(Doubled.apply(net.first(x)))),
    "without a formula": lambda: Own(lambda net, x: net.first(torch.fft.fft(x).abs() + torch.linalg.svd(x)[1].sum())),
}


def texts(graph: fxviz.ArchGraph) -> Iterator[str]:
    for options in ({"style": "ledger"}, {"style": "graph"}, {"repeats": False, "depth": 9}):
        yield re.sub(r"<style.*?</style>", "", fxviz.render(graph, **options).svg, flags=re.DOTALL)
    yield from (str(fxviz.summary(graph, depth=depth)) for depth in (None, 9))
    yield from (str(fxviz.explain(graph, lang=lang)) for lang in ("en", "zh"))
    yield from (*graph.trace.notes, graph.trace.guesses, *(found.sentence for found in graph.trace.unregistered))


@pytest.mark.slow
@pytest.mark.parametrize("kind", BUILT)
def test_no_private_name_reaches_a_reader(kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = fxviz.trace(BUILT[kind](), torch.ones(2, 8))
    for text in texts(graph):
        assert (found := PRIVATE.search(text)) is None, text[max(0, found.start() - 60) : found.end() + 60]


MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.compile(nn.Sequential(nn.Linear(8, 8), nn.ReLU()))

    def forward(self, x):
        return self.layers(x) * x.sum().item()

def whole():
    return torch.compile(Net())

def wrong():
    return torch.compile(nn.Sequential(nn.Linear(4, 4)))
"""


@pytest.mark.slow
def test_messages_name_what_was_written(fxviz: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MODEL, encoding="utf-8")
    net = f"{tmp_path / 'net.py'}"
    calls = [
        ("render", f"{net}:whole", "--input", "2x8", "-o", str(tmp_path / "net.svg")),
        ("summary", f"{net}:whole", "--input", "2x8"),
        ("explain", f"{net}:whole", "--input", "2x8"),
        ("summary", f"{net}:wrong", "--input", "2x8"),
        ("summary", f"{net}:whole", "--input", "2x8", "--root", "nowhere"),
        ("summary", f"{net}:whole", "--input", "2x8", "--leaf", "Nowhere"),
        ("summary", f"{net}:whole", "--input", "2x8", "--method", "nothing"),
    ]
    for call in calls:
        result = fxviz(*call, "--no-cache")
        assert PRIVATE.search(result.out + result.err) is None, result
