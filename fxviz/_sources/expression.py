"""Parse the part of Python that names of models may contain: literals, names, attributes, items and calls.

Nothing is looked up or called while a text is parsed, and Python evaluates none of it: :func:`evaluated` looks names up
one by one, and calls what was written as a call.
"""

from __future__ import annotations

import ast
import cmath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fxviz._graph.errors import shown
from fxviz._sources.own_thread import ignored_warnings

_BITS = 64
"""The largest number of bits of an integer."""


class Unreadable(Exception):
    """A text that is not of this form; the message names the part, and what to write instead."""


@dataclass(frozen=True)
class Attribute:
    """The step from a value to its attribute: ``.encoder``."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"


@dataclass(frozen=True)
class Item:
    """The step from a value to its item: ``[0]``."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"


@dataclass(frozen=True)
class Call:
    """The step from a function or class to its result: ``(18, act='gelu')``.

    Attributes:
        args, kwargs: the arguments; an :class:`Expression` may be anywhere inside.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"({', '.join([*map(repr, self.args), *(f'{name}={value!r}' for name, value in self.kwargs.items())])})"


Step = Attribute | Item | Call


@dataclass(frozen=True, repr=False)
class Expression:
    """A dotted name, and the steps from what it names: ``torch.nn.GELU``, ``Config(depth=2)``, ``SIZES['small']``.

    >>> Expression("make", (Call((3,)), Attribute("blocks"), Item(0)))
    make(3).blocks[0]
    """

    name: str
    steps: tuple[Step, ...] = ()

    def __repr__(self) -> str:
        return self.name + "".join(map(str, self.steps))


def steps_after(text: str) -> tuple[Step, ...]:
    """Parse what follows a name, which begins with a parenthesis or bracket.

    Raises:
        Unreadable: it is not of this form.

    >>> steps_after("(Config(depth=2), act=nn.GELU).blocks[0]")
    (Call(args=(Config(depth=2),), kwargs={'act': nn.GELU}), Attribute(name='blocks'), Item(key=0))
    """
    return _flat(_tree(f"f{text}", "the arguments are"))[1]


def literal(text: str) -> Any:
    """Parse a literal: a number, text in quotes, True, False, None, or a list, tuple or dict of these.

    Raises:
        Unreadable: it is no literal.

    >>> literal("[1, {'mode': None}]")
    [1, {'mode': None}]
    """
    value = _value(_tree(text, "it is"), "")
    if found := next(expressions_in(value), None):
        raise Unreadable(f"{shown(repr(found))} is not a literal; a string needs quotes: '\"{shown(repr(found))}\"'")
    return value


def path_to(text: str) -> tuple[str, tuple[str | int, ...]]:
    """Parse the way to a value in nested arguments: a name, "" if there is none, then keys and places.

    Raises:
        Unreadable: it is not of this form.

    >>> path_to("data.image0"), path_to("[1]"), path_to("x[0].mask['a b']")
    (('data', ('image0',)), ('', (1,)), ('x', (0, 'mask', 'a b')))
    """
    tree = _tree(f"f{text}" if text.startswith("[") else text, "it is")
    dotted, steps = _flat(tree)
    name, *inner = dotted.split(".")
    keys: list[str | int] = [*inner]
    for step in steps:
        key = step.name if isinstance(step, Attribute) else step.key if isinstance(step, Item) else None
        if not isinstance(key, str) and (type(key) is not int or key < 0):
            raise Unreadable("a path consists of names and places, as in data.image[0]")
        keys.append(key)
    return "" if text.startswith("[") else name, tuple(keys)


def expressions_in(value: Any) -> Iterator[Expression]:
    """Yield each expression in a value or step, and those in its arguments."""
    if isinstance(value, Expression):
        yield value
        yield from expressions_in(value.steps)
    elif isinstance(value, Call):
        yield from expressions_in((value.args, value.kwargs))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from expressions_in(part)
    elif isinstance(value, Mapping):
        yield from expressions_in(list(value.values()))


def evaluated(value: Any, evaluate: Callable[[Expression], Any]) -> Any:
    """Return a value with ``evaluate`` applied to each expression that is not inside another one.

    >>> evaluated([1, {"a": Expression("x")}], lambda expression: expression.name.upper())
    [1, {'a': 'X'}]
    """
    if isinstance(value, Expression):
        return evaluate(value)
    if type(value) in (list, tuple):
        return type(value)(evaluated(part, evaluate) for part in value)
    if isinstance(value, Mapping):
        return {key: evaluated(part, evaluate) for key, part in value.items()}
    return value


def _tree(source: str, what: str) -> ast.expr:
    """Parse one expression of Python, which nothing may follow."""
    try:
        with ignored_warnings():  # a backslash in a text
            tree = ast.parse(source, mode="eval").body
        size = len(source.encode())
    except SyntaxError as error:
        if "never closed" in error.msg or "EOF" in error.msg:
            raise Unreadable("a parenthesis or bracket is not closed; end with ')' or ']'") from None
        raise Unreadable(f"{what} not Python: {shown(error.msg)}") from None
    except UnicodeEncodeError:
        raise Unreadable(f"{what} not Unicode") from None
    except (MemoryError, RecursionError):
        raise Unreadable(f"{what} nested too deeply") from None
    if tree.end_col_offset != size:
        raise Unreadable("something follows it; end with the last bracket")
    return tree


def _flat(node: ast.expr) -> tuple[str, tuple[Step, ...]]:
    """Return the dotted name that an expression begins with, and the steps after it."""
    try:
        if isinstance(node, ast.Name):
            return _public(node.id), ()
        if isinstance(node, ast.Attribute):
            _public(node.attr)
            name, steps = _flat(node.value)
            return (name, (*steps, Attribute(node.attr))) if steps else (f"{name}.{node.attr}", ())
        if isinstance(node, ast.Subscript):
            name, steps = _flat(node.value)
            return name, (*steps, Item(_leaf(node.slice, "")))
        if isinstance(node, ast.Call):
            name, steps = _flat(node.func)
            return name, (*steps, _call(node))
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None
    raise Unreadable(f"{_source(node)} is no name, and no attribute, item or call of one")


def _public(name: str) -> str:
    """Refuse a name that leads from any value to the whole of Python (``__builtins__``, ``__class__``)."""
    if name.startswith("__"):
        raise Unreadable(f"{shown(name)} is Python's own: only names of classes, functions and values are looked up")
    return name


def _call(node: ast.Call) -> Call:
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            raise Unreadable(f"{_source(argument)} unpacks an unknown value; write the arguments one by one")
    for keyword in node.keywords:
        if keyword.arg is None:
            raise Unreadable(f"**{_source(keyword.value)} unpacks an unknown value; write the arguments one by one")
    names = [str(keyword.arg) for keyword in node.keywords]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Unreadable(f"{twice} is given twice; write each argument once")
    values = [_value(keyword.value, f"{name}=") for name, keyword in zip(names, node.keywords, strict=True)]
    return Call(tuple(_value(argument, "") for argument in node.args), dict(zip(names, values, strict=True)))


def _value(node: ast.expr, label: str) -> Any:
    """Return the value of an argument, in which names and calls are expressions; ``label`` is its name in advice."""
    if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript, ast.Call)):
        return Expression(*_flat(node))
    if isinstance(node, (ast.List, ast.Tuple)):
        values = [_value(part, "") for part in node.elts]
        return values if isinstance(node, ast.List) else tuple(values)
    if isinstance(node, ast.Dict) and None not in node.keys:
        keys = [_leaf(key, "") for key in node.keys if key is not None]
        return _leaf_dict(keys, [_value(part, "") for part in node.values])
    return _leaf(node, label)


def _leaf_dict(keys: list[Any], values: list[Any]) -> dict[Any, Any]:
    try:
        return dict(zip(keys, values, strict=True))
    except TypeError:
        raise Unreadable("a list or dict cannot be a key of a dict; use a text or a number") from None


def _leaf(node: ast.expr, label: str) -> Any:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise Unreadable(f"{_source(node)} is not a literal; {_ADVICE}") from None
    for part in ast.walk(node):
        _check_part(part)
    return value


_ADVICE = (
    "arguments are Python literals (18, 'gelu', None, [1, 2]), names (torch.nn.GELU) and calls (Config(depth=2)); "
    "for anything else, name a function that builds the model"
)


def _check_part(part: ast.AST) -> None:
    """Refuse what cannot be written back: sets have no order, and Python writes no infinity or very long integer."""
    if isinstance(part, (ast.Set, ast.Call)):
        raise Unreadable("a set has no order; write a list")
    value = part.value if isinstance(part, ast.Constant) else None
    if value is ...:
        raise Unreadable("... is not an argument; write its value")
    if isinstance(value, int) and value.bit_length() > _BITS:
        raise Unreadable(f"an integer has at most {_BITS} bits")
    if isinstance(value, (float, complex)) and not cmath.isfinite(value):
        raise Unreadable("a number is too large for a float")


def _source(node: ast.expr) -> str:
    try:
        return shown(ast.unparse(node))
    except (ValueError, RecursionError):
        return "an argument"
