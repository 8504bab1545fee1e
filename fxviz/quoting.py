"""Repeating in a message what others wrote: a text, or what a function takes."""

from __future__ import annotations

import inspect

_SHOWN = 80
"""Characters of a text that a message repeats."""

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


def parameters(signature: inspect.Signature) -> str:
    """The parameters in parentheses, without types.

    >>> def make(depth: int = 2, *, act: str = "relu") -> None: ...
    >>> parameters(inspect.signature(make))
    "(depth=2, *, act='relu')"
    """
    bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    text = str(signature.replace(parameters=bare, return_annotation=signature.empty))
    return shown(" ".join(text.split()), _PARAMETERS)
