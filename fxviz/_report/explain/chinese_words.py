"""Words, and how they are counted and listed in Chinese."""

from __future__ import annotations

from collections.abc import Iterable

from fxviz._analysis.facts import Kind
from fxviz._report.explain import phrases as telling

KINDS: dict[Kind, str] = {
    "convolution": "卷积层",
    "linear": "全连接层",
    "attention": "注意力层",
    "recurrent": "循环层",
    "embedding": "嵌入层",
    "norm": "归一化层",
    "other": "其他参数",
}

RESIDUAL = {
    "identity": "恒等映射的残差连接",
    "projection": "带投影的残差连接",
    "resample": "带重采样的残差连接",
}
"""Skips that end in an addition, by their kinds."""


def number(count: int, noun: str) -> str:
    """
    >>> number(17, "卷积层")
    '17 个卷积层'
    """
    return f"{count:,} 个{noun}"


def memory(said: str) -> str:
    """
    >>> memory("640 bytes"), memory("64.00 kB")
    ('640 字节', '64.00 kB')
    """
    return said.replace("bytes", "字节")


def listed(items: Iterable[str]) -> str:
    """
    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a、b、c')
    """
    return "、".join(filter(None, items))


def exact(value: int) -> str:
    """
    >>> exact(11_689_512), exact(640)
    ('11.69M（11,689,512）', '640')
    """
    return telling.exact(value, "（）")


def counted(value: int) -> str:
    """
    >>> counted(11_689_512), counted(640)
    ('11.69M（11,689,512）个', '640 个')
    """
    return f"{exact(value)}{'' if value >= 1000 else ' '}个"


def spaced(text: str) -> str:
    """With a space between Chinese characters and the number or the name that follows.

    >>> spaced("20 个"), spaced("卷积层")
    (' 20 个', '卷积层')
    """
    return f" {text}" if text[:1].isascii() else text
