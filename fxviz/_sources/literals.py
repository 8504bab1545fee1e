"""Arguments in parentheses, ``(18, act='gelu')``: Python literals, read without running anything."""

from __future__ import annotations

import ast
import cmath
import warnings
from collections.abc import Mapping
from typing import Any

from fxviz.quoting import shown

_BITS = 64
"""A whole number has at most so many."""


class NotLiteral(Exception):
    """What stands there is no literal; the message says which part, and what to write."""


def arguments(text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments of ``text``, which begins with the opening parenthesis.

    Raises:
        NotLiteral: an argument is no literal, or the text is no list of arguments.

    >>> arguments("(18, act='gelu')")
    ((18,), {'act': 'gelu'})
    """
    call = _call(text)
    for argument in call.args:
        if isinstance(argument, ast.Starred):
            raise NotLiteral(f"{_source(argument)} unpacks what is not known yet; write the arguments one by one")
    for keyword in call.keywords:
        if keyword.arg is None:
            raise NotLiteral(f"**{_source(keyword.value)} unpacks what is not known yet; write the arguments one by one")
    names = [str(keyword.arg) for keyword in call.keywords]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise NotLiteral(f"{twice} is given twice; give each argument once")
    values = [_value(keyword.value, f"{name}=") for name, keyword in zip(names, call.keywords, strict=True)]
    return tuple(_value(argument, "") for argument in call.args), dict(zip(names, values, strict=True))


def written(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """The text of :func:`arguments`.

    >>> written((18, None), {"act": "gelu"})
    "(18, None, act='gelu')"
    """
    return f"({', '.join([*map(repr, args), *(f'{name}={value!r}' for name, value in kwargs.items())])})"


def _call(text: str) -> ast.Call:
    if not text.endswith(")"):
        raise NotLiteral("the parenthesis is not closed, or something follows it; end with ')'")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a backslash in a text
            call = ast.parse(f"f{text}", mode="eval").body
    except SyntaxError as error:
        raise NotLiteral(f"the arguments are no Python: {shown(error.msg)}") from None
    except UnicodeEncodeError:
        raise NotLiteral("the arguments are no Unicode") from None
    except (MemoryError, RecursionError):
        raise NotLiteral("the arguments are nested too deep") from None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise NotLiteral("something follows the arguments; write one pair of parentheses, at the end")
    return call


def _value(node: ast.expr, name: str) -> Any:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise NotLiteral(f"{_source(node)} is no literal; {_advice(node, name)}") from None
    for part in ast.walk(node):
        _check_part(part)
    return value


def _check_part(part: ast.AST) -> None:
    """Whether it can be written again: a set has no order, Python writes no infinity and no number of many digits."""
    if isinstance(part, (ast.Set, ast.Call)):
        raise NotLiteral("a set has no order; write a list")
    value = part.value if isinstance(part, ast.Constant) else None
    if value is ...:
        raise NotLiteral("... is no argument; write its value")
    if isinstance(value, int) and value.bit_length() > _BITS:
        raise NotLiteral(f"a whole number has at most {_BITS} bits")
    if isinstance(value, (float, complex)) and not cmath.isfinite(value):
        raise NotLiteral("a number is beyond what a float can hold")


def _advice(node: ast.expr, name: str) -> str:
    if isinstance(node, ast.Name):
        return f"a text needs quotes: {name}'{shown(node.id)}'"
    return "arguments are Python literals (18, 'gelu', None, [1, 2]); for others name a function of yours that builds the model"


def _source(node: ast.expr) -> str:
    try:
        return shown(ast.unparse(node))
    except (ValueError, RecursionError):
        return "an argument"
