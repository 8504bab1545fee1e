"""Form English phrases: kinds of layers, counts with their nouns, lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fxviz._analysis.facts import Kind

KINDS: dict[Kind, str] = {
    "convolution": "convolution",
    "linear": "fully connected layer",
    "attention": "attention layer",
    "recurrent": "recurrent layer",
    "embedding": "embedding",
    "norm": "normalization layer",
    "other": "other parameter",
}


def plural(kind: Kind) -> str:
    """Return a kind of layer in the plural."""
    return f"{KINDS[kind]}s"


def number(count: int, noun: str, digits: Callable[[int], str] = "{:,}".format) -> str:
    """
    >>> number(1, "layer"), number(2, "layer")
    ('1 layer', '2 layers')
    """
    return f"{digits(count)} {noun}{'s' * (count != 1)}"


def in_words(count: int) -> str:
    """Return a count of several, below ten as a word.

    >>> in_words(2), in_words(24)
    ('two', '24')
    """
    words = ("two", "three", "four", "five", "six", "seven", "eight", "nine")
    return words[count - 2] if 2 <= count < 10 else f"{count:,}"


def agreeing(count: int, one: str, many: str) -> str:
    """Return the verb that agrees with a number.

    >>> agreeing(1, "has", "have"), agreeing(2, "has", "have")
    ('has', 'have')
    """
    return one if count == 1 else many


def listed(items: Iterable[str], more: bool = False, last: str = "and") -> str:
    """Return the items with commas between them and a word before the last; empty ones are left out.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"], last="or")
    ('a', 'a and b', 'a, b or c')
    >>> listed(["a", "b"], more=True)
    'a, b and others'
    """
    words = [item for item in (*items, "others" * more) if item]
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
