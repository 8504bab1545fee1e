"""Small models, each with one thing that tracers get wrong: in-place writes, shared weights, unusual containers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 16, 2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        y, (h, _) = self.lstm(x)
        return self.fc(y[:, -1]) + h.sum()


class PackedGru(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(8, 16, batch_first=True)
        self.fc = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, torch.tensor([5, 3]), batch_first=True)
        y, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True)
        return self.fc(y)


class SharedModule(nn.Module):
    """One layer called four times, also under another name, and a second one with the first one's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(8, 8)
        self.b = nn.Linear(8, 8)
        self.b.weight = self.a.weight
        self.alias = self.a

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = self.a(x).relu_()
        return self.alias(self.b(x))


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        y += x
        self.relu(y)
        view = y[:, :4]
        view.mul_(2)
        y[:, 4:] = view
        z = torch.zeros_like(y)
        z[:, 0] = y.sum(1)
        z.add_(y)
        return z


class ViewWrites(nn.Module):
    """Writes through a transposed and a flat view, seen in the tensor they look at."""

    def forward(self, x: Tensor) -> Tensor:
        base = torch.empty(2, 8)
        base.copy_(x)
        turned = base.t()
        turned += 1.0
        flat = base.view(-1)
        flat[0] = 5.0
        return base * 2


class IdentityAlias(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.keep = nn.Identity()
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        kept = self.keep(x)
        return kept + self.drop(self.fc(x))


class ControlFlow(nn.Module):
    """Branches on shapes, iterates over a tensor, returns a dict of lists of tuples."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(3)])

    def forward(self, x: Tensor) -> Any:
        if x.shape[0] > 1 and isinstance(x, Tensor) and x.dim() == 2:
            x = self.layers[0](x)
        for step in range(len(x)):
            x = x + step
        a, b = x.chunk(2, -1)
        size = int(x.size(0)) * 2
        return F.pad(torch.cat([b, a], -1), (0, size))[..., : x.shape[-1] // 2], {"k": [x.mean(), (a,)]}


@dataclass
class Output:
    y: Tensor
    extra: list[Tensor]


class DataclassOutput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor, *, scale: dict[str, Tensor], flags: Any = None) -> Output:
        return Output(y=self.fc(x) * scale["s"], extra=[x])


class Box:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class CustomContainer(nn.Module):
    """Carries a tensor in an object of a class that torch knows nothing of."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.second = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        box = Box(self.first(x))
        box.tensor = box.tensor.relu()
        return self.second(box.tensor)


class Encoder(nn.Module):
    """torch's TransformerEncoder after a learned token."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2)
        self.token = nn.Parameter(torch.rand(1, 1, 16))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)
        return self.encoder(x)[:, 0]


class EncoderDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.transformer = nn.Transformer(16, 4, 1, 1, 32, batch_first=True)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.transformer(a, b)


class Reparametrized(nn.Module):
    """New-style weight norm on one layer, old-style spectral norm on the other."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))
        self.second = nn.utils.spectral_norm(nn.Linear(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


class Doubling(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x * 2) @ weight

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return gradients


class OwnGradient(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return Doubling.apply(x, self.weight) + 1


@torch.jit.script
def _gated(a: Tensor, b: Tensor) -> Tensor:
    return a * torch.sigmoid(b)


class Scripted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scripted = torch.jit.script(nn.Linear(8, 8))
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return _gated(self.scripted(x), self.fc(x))


class Masks(nn.Module):
    """Shapes and a branch that depend on values."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Any:
        mask = x > 0.5
        y = self.fc(x)
        chosen = y[mask].sum()
        x[mask] = 0.0
        if mask.any():
            y = y + chosen
        return y, torch.nonzero(mask)


class Vmapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return torch.vmap(lambda row: row.softmax(0) * 2)(self.fc(x))


class DirectForward(nn.Module):
    """Calls a child's forward past its ``__call__``."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 8), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers.forward(x)


class Unregistered(nn.Module):
    """Keeps a layer in a plain list, where ``parameters()`` does not find it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.hidden = [nn.Linear(8, 8)]

    def forward(self, x: Tensor) -> Tensor:
        return self.hidden[0](self.fc(x))


class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 8), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = torch.utils.checkpoint.checkpoint(self.layers, x, use_reentrant=False)
        return result + x


class ConvNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)), inplace=True).flatten(1)


class Accessors(nn.Module):
    """Reads parameters through attributes that are tensors themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.rand(8, 8))
        self.b = nn.Parameter(torch.rand(8, 8))
        self.c = nn.Parameter(torch.rand(8))

    def forward(self, x: Tensor) -> Tensor:
        return x.T.mT @ self.a.T @ self.b.mT + self.c.data.to(self.a.device)


class Unused(nn.Module):
    """A layer that the trace never calls."""

    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Linear(8, 8)
        self.spare = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


class TiedEmbedding(nn.Module):
    """The embedding's table is the output layer's weight, used as a function's argument."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 8)
        self.fc = nn.Linear(8, 8)

    def forward(self, tokens: Tensor) -> Tensor:
        return F.linear(self.fc(self.table(tokens)), self.table.weight)


class FusedWeights(nn.Module):
    """One parameter cut in three, and results with names."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(24, 8))
        self.bias = nn.Parameter(torch.rand(24))
        self.rest = nn.ParameterList([nn.Parameter(torch.rand(8)) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        q, k, _ = self.weight.chunk(3)
        scores = F.linear(x, q, self.bias[:8])
        best = torch.max(scores, dim=1)
        ordered = (x @ k.t()).sort(-1)[0] * self.rest[0] + self.rest[1]
        return scores + best.values[:, None] * best.indices[:, None] + ordered


class HeldTensor(nn.Module):
    """Writes into a tensor that is neither parameter nor buffer, and reads it again."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.held = torch.zeros(4, 8)
        self.register_buffer("position", torch.arange(8.0))

    def forward(self, x: Tensor) -> Tensor:
        self.held[:2] = self.fc(x)
        return self.held[:2] + self.position + self.held.sum()


class Swapped(nn.Module):
    """Rows exchanged, written through chained views, and results of one call that share memory."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(8, 8)
        self.b = nn.LayerNorm(8)

    def forward(self, x: Tensor) -> Any:
        x = x.clone()
        x[0], x[1] = self.a(x[1]), self.b(x[0])
        x.transpose(0, 1)[:4].relu_()
        first, second = x.unbind(0)
        first += second
        return x, first


class Given(nn.Module):
    """Literals of its own, an ``out=`` argument, a child called with other parameters than its own."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        result = torch.empty(2, 8)
        torch.add(x, torch.tensor([1.0] * 8), out=result)
        own = dict(self.fc.named_parameters())
        return torch.func.functional_call(self.fc, own, (result,)) * torch.tensor(2.0).item()


class Compiled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.compile(nn.Linear(8, 8), backend="eager")

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x) + 1


@dataclass(frozen=True)
class Case:
    """A model, what it is called with, and the way that its trace takes."""

    build: Callable[[], nn.Module]
    inputs: Callable[[], Any]
    method: str = "fake"

    @property
    def id(self) -> str:
        return getattr(self.build, "__name__", str(self.build))


def _rows() -> tuple[Tensor, ...]:
    return (torch.rand(2, 8),)


CASES = [
    Case(Lstm, lambda: (torch.rand(2, 5, 8),)),
    Case(PackedGru, lambda: (torch.rand(2, 5, 8),), "real"),
    Case(SharedModule, _rows),
    Case(InPlace, _rows),
    Case(ViewWrites, _rows),
    Case(IdentityAlias, _rows),
    Case(ControlFlow, _rows),
    Case(DataclassOutput, lambda: {"x": torch.rand(2, 8), "scale": {"s": torch.rand(8)}}),
    Case(CustomContainer, _rows),
    Case(Encoder, lambda: (torch.rand(2, 3, 16),)),
    Case(EncoderDecoder, lambda: (torch.rand(2, 3, 16), torch.rand(2, 4, 16))),
    Case(Reparametrized, _rows),
    Case(OwnGradient, _rows),
    Case(Scripted, _rows),
    Case(Masks, _rows, "guessed"),
    Case(Vmapped, _rows),
    Case(DirectForward, _rows),
    Case(Unregistered, _rows),
    Case(Checkpointed, _rows),
    Case(ConvNorm, lambda: (torch.rand(1, 3, 8, 8),)),
    Case(Accessors, _rows),
    Case(Unused, _rows),
    Case(TiedEmbedding, lambda: (torch.tensor([1, 2]),)),
    Case(FusedWeights, _rows),
    Case(HeldTensor, _rows),
    Case(Swapped, _rows),
    Case(Given, _rows),
    Case(Compiled, _rows),
]
