"""Words, and how they are counted and listed in English."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fxviz._analysis.facts import Kind

KINDS: dict[Kind, str] = {
    "convolution": "convolution",
    "linear": "fully connected layer",
    "attention": "attention layer",
    "recurrent": "recurrent layer",
    "embedding": "embedding",
    "norm": "norm",
    "other": "other parameter",
}


def number(count: int, noun: str, said: Callable[[int], str] = "{:,}".format) -> str:
    """
    >>> number(1, "norm"), number(2, "norm")
    ('1 norm', '2 norms')
    """
    return f"{said(count)} {noun}{'s' * (count != 1)}"


def agreeing(count: int, one: str, many: str) -> str:
    """The verb that agrees with a number.

    >>> agreeing(1, "has", "have"), agreeing(2, "has", "have")
    ('has', 'have')
    """
    return one if count == 1 else many


def listed(items: Iterable[str]) -> str:
    """
    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    words = [item for item in items if item]
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def several(kind: Kind) -> str:
    """A kind of layer in the plural."""
    return f"{KINDS[kind]}s"
