"""Small models whose stages, kinds of blocks and layout are known: each shows one thing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Residual(nn.Module):
    """Two convolutions of one width around an identity shortcut, or a projection where width or size change."""

    def __init__(self, before: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.short = nn.Conv2d(before, width, 1, stride) if stride > 1 or before != width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.norm(self.first(x)))) + self.short(x))


class ResNet(nn.Module):
    def __init__(self, depths: Sequence[int] = (1, 2, 2), width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, 1, 1)
        before, stages = width, []
        for number, depth in enumerate(depths):
            after = width * 2**number
            stages.append(
                nn.Sequential(*(Residual(before if k == 0 else after, after, 2 if k == 0 else 1) for k in range(depth)))
            )
            before = after
        self.stages = nn.ModuleList(stages)
        self.head = nn.Linear(before, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.head(x.mean((2, 3)))


class FlatTransformer(nn.Module):
    """A decoder without a module for its block: the loop is in its own forward."""

    def __init__(self, width: int = 8, heads: int = 2, depth: int = 3) -> None:
        super().__init__()
        self.heads = heads
        self.embed = nn.Embedding(20, width)
        self.qkv = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(depth))
        self.out = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.up = nn.ModuleList(nn.Linear(width, 4 * width) for _ in range(depth))
        self.down = nn.ModuleList(nn.Linear(4 * width, width) for _ in range(depth))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for qkv, out, up, down in zip(self.qkv, self.out, self.up, self.down, strict=True):
            q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in qkv(x).chunk(3, -1))
            x = x + out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
            x = x + down(F.gelu(up(x)))
        return x


class Windowed(nn.Module):
    """Attention within windows of 4×4, in every second block shifted by 2 (arXiv:2103.14030)."""

    def __init__(self, width: int = 8, shift: int = 0) -> None:
        super().__init__()
        self.shift = shift
        self.norm, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def attend(self, x: Tensor) -> Tensor:
        batch, rows, columns, width = x.shape
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), (1, 2))
        x = x.view(batch, rows // 4, 4, columns // 4, 4, width).transpose(2, 3).reshape(-1, 16, width)
        q, k, v = self.qkv(x).view(-1, 16, 3, 2, width // 2).permute(2, 0, 3, 1, 4)
        x = ((q @ k.transpose(-1, -2)).softmax(-1) @ v).transpose(1, 2).reshape(-1, 16, width)
        x = self.proj(x).view(batch, rows // 4, columns // 4, 4, 4, width).transpose(2, 3)
        x = x.reshape(batch, rows, columns, width)
        return torch.roll(x, (self.shift, self.shift), (1, 2)) if self.shift else x

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(self.norm(x))
        return x + self.mlp(self.norm2(x))


class Swin(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 2, 2)
        self.blocks = nn.Sequential(*(Windowed(8, 2 * (number % 2)) for number in range(4)))
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.embed(x).permute(0, 2, 3, 1)).mean((1, 2)))


class Inverted(nn.Module):
    """An inverted residual with squeeze-and-excitation (arXiv:1905.11946)."""

    def __init__(self, before: int, width: int, kernel: int, stride: int, expansion: int = 4) -> None:
        super().__init__()
        hidden = before * expansion
        self.expand, self.project = nn.Conv2d(before, hidden, 1), nn.Conv2d(hidden, width, 1)
        self.depthwise = nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden)
        self.squeeze, self.excite = nn.Conv2d(hidden, hidden // 8, 1), nn.Conv2d(hidden // 8, hidden, 1)
        self.adds = stride == 1 and before == width

    def forward(self, x: Tensor) -> Tensor:
        y = F.silu(self.depthwise(F.silu(self.expand(x))))
        y = y * torch.sigmoid(self.excite(F.silu(self.squeeze(y.mean((2, 3), keepdim=True)))))
        y = self.project(y)
        return x + y if self.adds else y


class Mobile(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        blocks = [(8, 16, 3, 2), (16, 16, 3, 1), (16, 24, 5, 2), (24, 24, 5, 1), (24, 24, 5, 1)]
        self.blocks = nn.Sequential(*(Inverted(*sizes) for sizes in blocks))
        self.head = nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class Double(nn.Sequential):
    def __init__(self, before: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(before, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()
        )


class UNet(nn.Module):
    """An encoder-decoder with skips: "cat" joins them as they are, "conv" behind a 1×1, "add" sums; "none" has none."""

    def __init__(self, how: str = "cat", width: int = 4, levels: int = 2) -> None:
        super().__init__()
        self.how, widths = how, [width * 2**level for level in range(levels + 1)]
        pairs = list(pairwise(widths))
        self.encoder = nn.ModuleList([Double(3, width), *(Double(*pair) for pair in pairs)])
        self.up = nn.ModuleList(nn.ConvTranspose2d(below, above, 2, 2) for above, below in pairs)
        self.side = nn.ModuleList(nn.Conv2d(above, above, 1) if how == "conv" else nn.Identity() for above, _ in pairs)
        factor = 2 if how in ("cat", "conv") else 1
        self.decoder = nn.ModuleList(Double(factor * above, above) for above, _ in pairs)
        self.out = nn.Conv2d(width, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for level, encode in enumerate(self.encoder):
            x = encode(F.max_pool2d(x, 2) if level else x)
            kept.append(x)
        for level in reversed(range(len(self.up))):
            x, side = self.up[level](x), self.side[level](kept[level])
            if self.how != "none":
                x = x + side if self.how == "add" else torch.cat([side, x], 1)
            x = self.decoder[level](x)
        return self.out(x)


class UNetPlusPlus(nn.Module):
    """A U with blocks on its skips (arXiv:1807.10165)."""

    def __init__(self, width: int = 4, levels: int = 3) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels + 1)]
        self.levels = levels
        self.nodes = nn.ModuleDict({f"{i}_0": Double(widths[i - 1] if i else 3, widths[i]) for i in range(levels + 1)})
        for j in range(1, levels + 1):
            for i in range(levels + 1 - j):
                self.nodes[f"{i}_{j}"] = Double(widths[i] * j + widths[i + 1], widths[i])
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        made: dict[tuple[int, int], Tensor] = {}
        for i in range(self.levels + 1):
            made[i, 0] = self.nodes[f"{i}_0"](F.max_pool2d(made[i - 1, 0], 2) if i else x)
        for j in range(1, self.levels + 1):
            for i in range(self.levels + 1 - j):
                above = F.interpolate(made[i + 1, j - 1], scale_factor=2.0)
                made[i, j] = self.nodes[f"{i}_{j}"](torch.cat([*(made[i, k] for k in range(j)), above], 1))
        return self.out(made[0, self.levels])


class Pyramid(nn.Module):
    """A body of three stages, a feature pyramid (arXiv:1612.03144), and one head for all of its levels."""

    def __init__(self) -> None:
        super().__init__()
        self.body = ResNet((1, 1, 1))
        self.lateral = nn.ModuleList(nn.Conv2d(width, 8, 1) for width in (8, 16, 32))
        self.smooth = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in range(3))
        self.head = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 5, 3, padding=1))

    def forward(self, x: Tensor) -> list[Tensor]:
        x, maps = self.body.stem(x), []
        for stage in self.body.stages:
            x = stage(x)
            maps.append(x)
        levels = [self.lateral[2](maps[2])]
        for number in (1, 0):
            levels.insert(0, self.lateral[number](maps[number]) + F.interpolate(levels[0], scale_factor=2.0))
        return [self.head(smooth(level)) for smooth, level in zip(self.smooth, levels, strict=True)]


class Exchange(nn.Module):
    """Two streams of different resolution: a block for each, then each takes the other in (arXiv:1908.07919)."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.fine, self.coarse = Residual(width, width), Residual(2 * width, 2 * width)
        self.down, self.up = nn.Conv2d(width, 2 * width, 3, 2, 1), nn.Conv2d(2 * width, width, 1)

    def forward(self, streams: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        fine, coarse = self.fine(streams[0]), self.coarse(streams[1])
        return F.relu(fine + F.interpolate(self.up(coarse), scale_factor=2.0)), F.relu(coarse + self.down(fine))


class Lanes(nn.Module):
    def __init__(self, width: int = 4, depth: int = 2) -> None:
        super().__init__()
        self.stem, self.split = nn.Conv2d(3, width, 3, 2, 1), nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.exchanges = nn.Sequential(*(Exchange(width) for _ in range(depth)))
        self.head = nn.Linear(3 * width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        fine, coarse = self.exchanges((x, self.split(x)))
        return self.head(torch.cat([fine.mean((2, 3)), coarse.mean((2, 3))], 1))


class Experts(nn.Module):
    """A block with attention and four experts, whose results are weighted and summed."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.router = nn.Linear(width, 4)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 16), nn.GELU(), nn.Linear(16, width)) for _ in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x, x, x, need_weights=False)[0]
        weights = self.router(x).softmax(-1)
        return x + sum(weights[..., k : k + 1] * expert(x) for k, expert in enumerate(self.experts))


class Gated(nn.Module):
    """A block of a language model: grouped queries, four heads on two of keys, and a gated linear unit."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.q, self.o = nn.Linear(width, width), nn.Linear(width, width)
        self.k, self.v = nn.Linear(width, width // 2), nn.Linear(width, width // 2)
        self.gate, self.up, self.down = nn.Linear(width, 24), nn.Linear(width, 24), nn.Linear(24, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (-1, 4)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        k, v = (part.repeat_interleave(2, 1) for part in (k, v))
        x = x + self.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.down(F.silu(self.gate(x)) * self.up(x))


class Translator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(20, 8), nn.Embedding(20, 8)
        self.body = nn.Transformer(8, 2, 2, 3, 16, batch_first=True)
        self.head = nn.Linear(8, 20)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return self.head(self.body(self.source(source), self.target(target)))


class Dilated(nn.Sequential):
    """Residual blocks at one resolution whose width changes with the list, as in a dilated ResNet, then a head."""

    def __init__(self) -> None:
        super().__init__()
        self.append(nn.Conv2d(3, 8, 3, 2, 1))
        self.append(nn.Sequential(Residual(8, 8), Residual(8, 8)))
        self.append(nn.Sequential(Residual(8, 16), Residual(16, 16)))
        self.append(nn.Conv2d(16, 4, 1))


def image(size: int = 16) -> tuple[Tensor]:
    return (torch.zeros(1, 3, size, size),)


def ids(length: int = 6) -> tuple[Tensor]:
    return (torch.zeros(1, length, dtype=torch.long),)


def stack(block: type[nn.Module], depth: int = 2) -> nn.Module:
    return nn.Sequential(*(block() for _ in range(depth)))


MODELS = {
    "resnet": lambda: (ResNet(), image()),
    "flat_transformer": lambda: (FlatTransformer(), ids()),
    "swin": lambda: (Swin(), image()),
    "mobile": lambda: (Mobile(), image(32)),
    "unet": lambda: (UNet(), image()),
    "unet_conv": lambda: (UNet("conv"), image()),
    "unet_add": lambda: (UNet("add"), image()),
    "unet_none": lambda: (UNet("none"), image()),
    "unet_plus_plus": lambda: (UNetPlusPlus(), image(32)),
    "pyramid": lambda: (Pyramid(), image(32)),
    "lanes": lambda: (Lanes(), image(32)),
    "experts": lambda: (stack(Experts), (torch.zeros(1, 6, 8),)),
    "gated": lambda: (stack(Gated), (torch.zeros(1, 6, 16),)),
    "translator": lambda: (Translator(), (*ids(5), *ids(7))),
    "dilated": lambda: (Dilated(), image()),
}
"""Models by name: each value makes one, and its inputs."""
