"""The texts of symbolic sizes in an exported program: sums, products and their like of symbols and numbers, and nothing else.

torch hands such a text to ``sympy.sympify``, which evaluates it as Python (``torch/_export/serde/serialize.py``). What may
stand there is what torch writes: ``sympy.srepr``, with its own functions (``torch/utils/_sympy/functions.py``); older ones
wrote ``str``. A text is told from its syntax tree, never evaluated.
"""

from __future__ import annotations

import ast
import math
import re

_LONGEST = 20_000
"""Characters of a text."""

_DEEPEST = 150
"""Levels of nesting."""

_POWER = 64
"""A number is raised to no higher power, in all its powers together, and shifted by no more bits."""

_BITS = 64
"""A whole number has at most so many."""

_SIGNS = re.compile(r"[\w(),.'=+\-*/%<>&|~ ]*", re.ASCII)
"""No comment, no line end, no escape: sympy's tokens are those of the tree."""

_NAME = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
_COUNTER = re.compile(r"\d{8}")
_BARE = re.compile(r"[a-z]{1,4}\d{1,7}", re.ASCII)
_NUMERAL = re.compile(r"-?\d{1,40}(\.\d{0,40})?(e[+-]?\d{1,3})?", re.ASCII)
_OPAQUE = re.compile(r"(OpaqueUnaryFn|BitwiseFn)_[a-z0-9_]{1,20}", re.ASCII)

_VALUES = frozenset(["true", "false", "oo", "int_oo"])
_ASSUMED = frozenset("positive negative nonnegative nonpositive nonzero zero integer real finite commutative".split())
_RAISING = frozenset("Pow PowByNatural FloatPow LShift RShift".split())
_FUNCTIONS = frozenset(
    """Integer Rational Add Mul Max Min Mod Abs Eq Equality Ne Unequality Lt StrictLessThan Le LessThan Gt StrictGreaterThan
    Ge GreaterThan And Or Not Piecewise ExprCondPair floor ceiling sqrt
    FloorDiv CleanDiv CeilDiv ModularIndexing Where PythonMod CeilToInt FloorToInt FloatTrueDiv IntTrueDiv
    IsNonOverlappingAndDenseIndicator TruncToFloat TruncToInt RoundToInt RoundDecimal ToFloat Identity""".split()
)


def is_size(text: str) -> bool:
    """Whether ``text`` is a size as torch writes it.

    >>> is_size("Add(Integer(1), Symbol('s77', positive=True, integer=True))"), is_size("2*s0 + (s1//2)**2")
    (True, True)
    >>> is_size("S('chr')(120)"), is_size("().__class__"), is_size("9**9**9**9"), is_size("Symbol('a.b')")
    (False, False, False, False)
    """
    if len(text) > _LONGEST or not _SIGNS.fullmatch(text):
        return False
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return _is_term(tree, _DEEPEST, _POWER)


def is_symbol(name: str) -> bool:
    """Whether a symbol may be called ``name``; torch counts on from the largest number in such names.

    >>> is_symbol("s77"), is_symbol("batch"), is_symbol("s0.real"), is_symbol("u99999999999")
    (True, True, False, False)
    """
    return bool(_NAME.fullmatch(name)) and "__" not in name and not _COUNTER.search(name)


def _is_term(node: ast.expr, levels: int, power: int) -> bool:
    """Whether it is a size of at most so many ``levels``, whose powers are at most ``power`` together."""
    if levels == 0:
        return False
    match node:
        case ast.Constant(value=value):
            return _is_number(value)
        case ast.Name(id=name):
            return name in _VALUES or bool(_BARE.fullmatch(name))
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Invert(), operand=operand):
            return _is_term(operand, levels - 1, power)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _is_raised(left, right, levels, power)
        case ast.BinOp(
            op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() | ast.FloorDiv() | ast.Mod() | ast.BitAnd() | ast.BitOr()
        ):
            return _are_terms([node.left, node.right], levels, power)
        case ast.Compare(left=left, comparators=others):
            return _are_terms([left, *others], levels, power)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            return _is_call(name, args, keywords, levels, power)
    return False


def _are_terms(nodes: list[ast.expr], levels: int, power: int) -> bool:
    return all(_is_term(node, levels - 1, power) for node in nodes)


def _is_call(name: str, args: list[ast.expr], keywords: list[ast.keyword], levels: int, power: int) -> bool:
    if name in ("Symbol", "Float"):
        match args:
            case [ast.Constant(value=str() as text)]:
                return _is_declared(text, keywords) if name == "Symbol" else _is_float(text, keywords)
        return False
    if keywords:
        return False
    if name in _RAISING:
        return len(args) == 2 and _is_raised(args[0], args[1], levels, power)
    return (name in _FUNCTIONS or bool(_OPAQUE.fullmatch(name))) and _are_terms(args, levels, power)


def _is_declared(name: str, keywords: list[ast.keyword]) -> bool:
    """``Symbol('s0', positive=True)``."""
    assumed = all(
        keyword.arg in _ASSUMED and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, bool)
        for keyword in keywords
    )
    return is_symbol(name) and assumed


def _is_float(numeral: str, keywords: list[ast.keyword]) -> bool:
    """``Float('0.5', precision=53)``."""
    precise = all(keyword.arg == "precision" and (_whole(keyword.value) or _BITS + 1) <= _BITS for keyword in keywords)
    return bool(_NUMERAL.fullmatch(numeral)) and precise


def _is_raised(base: ast.expr, exponent: ast.expr, levels: int, power: int) -> bool:
    size = _magnitude(exponent)
    return size is not None and size <= power and _is_term(base, levels - 1, power // max(math.ceil(size), 1))


def _magnitude(exponent: ast.expr) -> float | None:
    """How large an exponent that is written out is at most, without its sign."""
    match exponent:
        case ast.Call(func=ast.Name(id="Float"), args=[ast.Constant(value=str() as numeral)], keywords=keywords):
            return abs(float(numeral)) if _is_float(numeral, keywords) else None
        case ast.Call(func=ast.Name(id="Rational"), args=[above, below], keywords=[]):
            parts = [_whole(above), _whole(below)]
        case _:
            parts = [_whole(exponent)]
    known = [abs(part) for part in parts if part is not None]
    return max(known) if len(known) == len(parts) else None


def _whole(node: ast.expr) -> int | None:
    """A whole number that is written out, with ``Integer`` or without."""
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)):
            return -value
        case ast.Call(func=ast.Name(id="Integer"), args=[number], keywords=[]) if not isinstance(number, ast.Call):
            return _whole(number)
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= _BITS)
