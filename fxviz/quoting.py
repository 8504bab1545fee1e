"""Repeating in a message what others wrote: a text, or what a function takes."""

from __future__ import annotations

import inspect

_SHOWN = 80
"""Characters of a text that a message repeats."""

_PATH = 60
"""Characters of a path that a sentence repeats."""

_PARAMETERS = 300
"""Characters of a function's parameters that a message repeats."""


def printable(text: str) -> str:
    r"""The same text where each sign that is none, or would move the cursor, is written as an escape.

    >>> printable("a\n\x1b[2Jé")
    'a\\n\\x1b[2Jé'
    """
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def shown(text: str, longest: int = _SHOWN) -> str:
    r"""A user's text as a message repeats it: short, on one line.

    >>> shown("a\nb"), len(shown("a" * 1000))
    ('a\\nb', 80)
    """
    return printable(text if len(text) <= longest else f"{text[: longest - 3]}...")


def short_path(path: str, longest: int = _PATH) -> str:
    """A dotted path as a sentence repeats it: of one that would fill the line the end, which tells more.

    >>> short_path("layer4"), len(short_path("x" * 1000)), short_path("encoder.layers.0.attention.out_proj", 16)
    ('layer4', 60, '…ention.out_proj')
    """
    return printable(path if len(path) <= longest else f"…{path[1 - longest :]}")


def parameters(signature: inspect.Signature) -> str:
    """The parameters in parentheses, without types.

    >>> def make(depth: int = 2, *, act: str = "relu") -> None: ...
    >>> parameters(inspect.signature(make))
    "(depth=2, *, act='relu')"
    """
    bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    text = str(signature.replace(parameters=bare, return_annotation=signature.empty))
    return shown(" ".join(text.split()), _PARAMETERS)
