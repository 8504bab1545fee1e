"""Draw a small language model: ``python examples/transformer.py`` writes ``decoder.svg``.

The same from the command line, with token ids of the vocabulary's range:

    fxviz render examples/transformer.py:Decoder --input "tokens=1x128:int64[0,1000]" -o decoder.svg

In the figure, look at the block in a dashed frame with ``×6``, with two solid arcs, one past attention and one past
the MLP; at the MLPs, which hold two thirds of the parameters; and at ``shared`` in the last layer, which reads the
embedding's table (weight tying, Press and Wolf 2016, https://arxiv.org/abs/1608.05859) and so adds no parameters.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

import fxviz


class Attention(nn.Module):
    """Causal attention: each token attends to itself and to those before it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1)
        )
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(seen.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Pre-norm attention and MLP, each with its skip connection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Decoder(nn.Module):
    """Token ids in, a score for each token of the vocabulary out."""

    def __init__(
        self, vocabulary: int = 1000, width: int = 256, heads: int = 4, blocks: int = 6, length: int = 128
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(torch.zeros(1, length, width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens) + self.position[:, : tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))


def main() -> None:
    """Trace with a text of 128 tokens, then draw."""
    graph = fxviz.trace(Decoder(), {"tokens": fxviz.TensorInfo((1, 128), "int64")})
    path = fxviz.render(graph).save("decoder.svg")
    print(f"{path}: {graph.total_params:,} parameters, {graph.skip_counts['identity']} identity skips")


if __name__ == "__main__":
    main()
