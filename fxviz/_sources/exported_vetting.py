"""Check that the file of an exported program contains only data, before torch reads it.

torch's reader can run code of the file (``torch/_export/serde/serialize.py``, ``torch/export/pt2_archive/_package.py``,
``torch/utils/_pytree.py``). This check refuses everything that is known to run code or to open a file: pickled objects,
compiled libraries, code in place of a size, operations other than arithmetic, names that are not identifiers (torch
writes Python code with them), and modules that the structure of the inputs would import.

It does not guarantee that this list is complete for every future version of torch, that torch's reader of tensors and
its operations can cope with any argument, or that a file needs little time and memory. Draw programs from sources that
you trust.
"""

from __future__ import annotations

import ast
import io
import json
import math
import re
import zipfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from fxviz._graph.files import check_regular
from fxviz._sources.archives import check_length, check_list, is_description

_CODE = re.compile(r"(?:.*/)?(?:opaque_obj|custom_obj).*|(?:.*/)?aotinductor/.*|.*\.(?:so|pyd|dll|dylib)", re.DOTALL)
"""Members of the archive that would be unpickled or loaded as a library, in lower case."""

_TENSORS = re.compile(r"(?:weight|tensor)_\d+", re.ASCII)
"""Members that contain the bytes of a tensor."""

_UNQUOTABLE = re.compile(r"[\"\\\x00-\x1f\x7f]")
"""Characters that would end a name in the Python code that torch writes."""

_FACTORIES = frozenset("list dict set tuple int float str bool".split())
"""The factories that a defaultdict among the inputs may have."""


class Unsafe(Exception):
    """A file that would run code while it is read; the message says which code."""


def check_data_only(path: str) -> None:
    """Refuse a file that torch could not read without running code of the file.

    torch has two readers of such archives, and may see different archives in one file: both views are checked.

    Raises:
        Unsafe: it contains pickled objects, compiled code, or code in place of a size, a name or an operation.
        zipfile.BadZipFile, ValueError, OSError: it is not the archive of a program, or too large to be checked.
    """
    check_regular(path)
    check_list(path)
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            check_length(member)
        _check_members(archive.namelist(), archive.read)
    if reader := torchs_reader(path):
        _check_members(reader.get_all_records(), reader.get_record)


def torchs_reader(file: Any) -> Any:
    """Return torch's own reader of an archive; None if the file does not have its layout, as older programs do not."""
    from fxviz._sources.torch_private import archive_reader

    try:
        return archive_reader(file)
    except RuntimeError:
        return None


def _check_members(names: list[str], read: Callable[[str], bytes]) -> None:
    if not any("models/" in name or name.endswith("exported_program.json") for name in names):
        raise ValueError("it contains no program")
    if len({name.lower() for name in names}) < len(names):  # torch ignores the case of a member's name
        raise Unsafe("two of its members have the same name")
    for name in names:
        _check_member(name.lower(), lambda name=name: read(name))  # type: ignore[misc]


def _check_member(name: str, read: Callable[[], bytes]) -> None:
    if _CODE.fullmatch(name):
        raise Unsafe(f"it contains '{name.rpartition('/')[2]}', which is code or would be unpickled")
    if is_description(name):
        json.loads(read().decode("utf-8"), object_hook=_check_fields)
    elif name.endswith((".pt", ".pkl")):
        _check_tensors(name, read())


def _check_tensors(name: str, saved: bytes) -> None:
    """Refuse what ``torch.save`` does not write: torch before 2.6 runs code of older formats and scripted modules."""
    reader = torchs_reader(io.BytesIO(saved)) if saved.startswith(b"PK\x03\x04") else None
    if saved and (reader is None or "constants.pkl" in reader.get_all_records()):
        raise Unsafe(f"it contains '{name.rpartition('/')[2]}', which torch.save did not write")


def _check_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Check one JSON object of a program's description.

    >>> _check_fields({"expr_str": "Add(Integer(1), Symbol('s77', positive=True))"})["expr_str"][:3]
    'Add'
    >>> _check_fields({"expr_str": "().__class__"})
    Traceback (most recent call last):
    ...
    fxviz._sources.exported_vetting.Unsafe: a size is code: ().__class__
    """
    for key, value in fields.items():
        is_allowed, problem = _FIELDS.get(key, (None, ""))
        if is_allowed is not None and not is_allowed(value):
            raise Unsafe(f"{problem}: {value}")
    return fields


def _is_size(value: Any) -> bool:
    return isinstance(value, str) and is_size(value)


def _is_count(value: Any) -> bool:
    return value is None or type(value) is int


def _are_symbols(value: Any) -> bool:
    return isinstance(value, dict) and all(map(is_symbol, value))


def _is_name(value: Any) -> bool:
    """Return whether it is an identifier, or the description of a tensor that happens to have the key "name"."""
    return value in (None, "") or isinstance(value, dict) or (isinstance(value, str) and value.isidentifier())


def _is_target(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, str) and is_operator(value))


def _is_path(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, str) and not _UNQUOTABLE.search(value))


def _are_names(value: Any) -> bool:
    return value is None or isinstance(value, dict) or (isinstance(value, list) and all(map(_is_name, value)))


def _is_structure(value: Any) -> bool:
    """Return whether it describes nested containers: JSON, which may contain strings of JSON."""
    if not isinstance(value, str):
        return False
    try:
        json.loads(value, object_hook=_without_modules)
    except ValueError:
        return False
    return True


def _without_modules(part: dict[str, Any]) -> dict[str, Any]:
    """Refuse what would import a module: a member of an enum, or the factory of a defaultdict."""
    factory = (part.get("default_factory_module", "builtins"), part.get("default_factory_name", "list"))
    if "__enum__" in part or factory[0] != "builtins" or factory[1] not in _FACTORIES:
        raise Unsafe(f"the structure of its inputs would import a module: {part}")
    context = part.get("context")
    if isinstance(context, str):
        with suppress(ValueError):
            json.loads(context, object_hook=_without_modules)
    return part


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "expr_str": (_is_size, "a size is code"),
    "as_int": (_is_count, "a number is not a whole number"),
    "min_val": (_is_count, "a number is not a whole number"),
    "max_val": (_is_count, "a number is not a whole number"),
    "range_constraints": (_are_symbols, "the name of a size is not an identifier"),
    "target": (_is_target, "it calls something other than an operation on tensors"),
    "as_operator": (_is_target, "it calls something other than an operation on tensors"),
    "name": (_is_name, "a name is code"),
    "as_name": (_is_name, "a name is code"),
    "forward_arg_names": (_are_names, "a name is code"),
    **dict.fromkeys(
        ("parameter_name", "buffer_name", "tensor_constant_name", "user_input_name", "fqn", "nn_module_stack"),
        (_is_path, "a name is code"),
    ),
    "in_spec": (_is_structure, "the structure of its inputs cannot be read"),
    "out_spec": (_is_structure, "the structure of its outputs cannot be read"),
    "path_name": (lambda value: isinstance(value, str) and bool(_TENSORS.fullmatch(value)), "it would unpickle"),
    "use_pickle": (lambda value: value is False, "it contains pickled objects"),
    "class_fqn": (lambda value: False, "it contains objects of a class"),
}
"""The check for each field of a description, and the message if the check fails."""


_OVERLOAD = re.compile(
    r"torch\.ops\.(?P<library>aten|prims|torchvision|quantized_decomposed)\.(?P<name>\w+)\.(?P<overload>\w+)"
)
"""Libraries of operations on tensors."""

_FILE_NAMES = frozenset(["filename", "file_name", "file", "path", "command", "url"])
"""Names of the arguments of operations that open a file."""

_SYMBOLIC = frozenset(
    [
        *(
            f"_operator.{name}"
            for name in "getitem add sub mul truediv floordiv mod pow neg pos abs lshift rshift".split()
        ),
        *(f"_operator.{name}" for name in "ge le gt lt eq ne and_ or_ not_".split()),
        *(f"math.{name}" for name in "ceil floor trunc".split()),
        *(f"torch.sym_{name}" for name in "int float ite max min not sqrt sum".split()),
        "torch._sym_sqrt",
        "builtins.round",
    ]
)
"""Arithmetic with sizes."""

_HIGHER_ORDER = frozenset(
    """cond switch while_loop map_impl scan associative_scan wrap strict_mode invoke_subgraph flex_attention out_dtype
    auto_functionalized auto_functionalized_v2 tag_activation_checkpoint wrap_activation_checkpoint wrap_with_autocast
    wrap_with_set_grad_enabled""".split()
)
"""Operations that run a part of the program, or one of the operations above."""

_BLOCK = re.compile(r"torch\.(?:ops\.higher_order|_higher_order_ops\.wrap)\.(?P<name>\w+)")
"""The spelling of their targets; the second is that of torch 2.4."""


def is_operator(target: str) -> bool:
    """Return whether a program may call ``target``.

    >>> names = ("aten.relu.default", "higher_order.cond", "aten.from_file.default")
    >>> [is_operator(f"torch.ops.{name}") for name in names]
    [True, True, False]
    >>> is_operator("_operator.add"), is_operator("_operator.methodcaller"), is_operator("torch.hub.load")
    (True, False, False)
    """
    if target in _SYMBOLIC:
        return True
    if block := _BLOCK.fullmatch(target):
        return block["name"] in _HIGHER_ORDER
    found = _OVERLOAD.fullmatch(target)
    return found is not None and _computes(**found.groupdict())


def _computes(library: str, name: str, overload: str) -> bool:
    """Return whether there is such an operation and none of its arguments names a file."""
    import torch

    from fxviz._sources.torch_private import schema_of

    if library == "torchvision":
        with suppress(ImportError):
            import torchvision  # noqa: F401 - registers them
    packet: Any = getattr(getattr(torch.ops, library), name, None)
    schema = schema_of(getattr(packet, overload, None))
    return schema is not None and not any(argument.name in _FILE_NAMES for argument in schema.arguments)


_MAX_LENGTH = 20_000
"""Maximum length of an expression."""

_MAX_NESTING = 150
"""Maximum depth of nesting."""

_MAX_POWER = 64
"""Maximum power, of nested powers together, and maximum bits of a shift."""

_MAX_BITS = 64
"""Maximum bits of an integer."""

_CHARACTERS = re.compile(r"[\w(),.'=+\-*/%<>&|~ ]*", re.ASCII)
"""Neither comments, line ends nor escapes, so that sympy sees the same tokens as ``ast``."""

_NAME = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
_COUNTER = re.compile(r"\d{8}")
_BARE = re.compile(r"[a-z]{1,4}\d{1,7}", re.ASCII)
_NUMERAL = re.compile(r"-?\d{1,40}(\.\d{0,40})?(e[+-]?\d{1,3})?", re.ASCII)
_OPAQUE = re.compile(r"(OpaqueUnaryFn|BitwiseFn)_[a-z0-9_]{1,20}", re.ASCII)

_VALUES = frozenset(["true", "false", "oo", "int_oo"])
_ASSUMPTIONS = frozenset(
    "positive negative nonnegative nonpositive nonzero zero integer real finite commutative".split()
)
_POWERS = frozenset("Pow PowByNatural FloatPow LShift RShift".split())
_FUNCTIONS = frozenset(
    """Integer Rational Add Mul Max Min Mod Abs Eq Equality Ne Unequality Lt StrictLessThan Le LessThan
    Gt StrictGreaterThan Ge GreaterThan And Or Not Piecewise ExprCondPair floor ceiling sqrt
    FloorDiv CleanDiv CeilDiv ModularIndexing Where PythonMod CeilToInt FloorToInt FloatTrueDiv IntTrueDiv
    IsNonOverlappingAndDenseIndicator TruncToFloat TruncToInt RoundToInt RoundDecimal ToFloat Identity""".split()
)


def is_size(text: str) -> bool:
    """Return whether ``text`` is a size as torch writes it.

    >>> is_size("Add(Integer(1), Symbol('s77', positive=True, integer=True))"), is_size("2*s0 + (s1//2)**2")
    (True, True)
    >>> is_size("S('chr')(120)"), is_size("().__class__"), is_size("9**9**9**9"), is_size("Symbol('a.b')")
    (False, False, False, False)
    """
    if len(text) > _MAX_LENGTH or not _CHARACTERS.fullmatch(text):
        return False
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return _is_term(tree, _MAX_NESTING, _MAX_POWER)


def is_symbol(name: str) -> bool:
    """Return whether ``name`` may name a symbol; torch counts on from the largest number in such names.

    >>> is_symbol("s77"), is_symbol("batch"), is_symbol("s0.real"), is_symbol("u99999999999")
    (True, True, False, False)
    """
    return bool(_NAME.fullmatch(name)) and "__" not in name and not _COUNTER.search(name)


def _is_term(node: ast.expr, levels: int, power: int) -> bool:
    """Return whether it is a size nested at most ``levels`` deep, whose powers multiply to at most ``power``."""
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
            return _is_power(left, right, levels, power)
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
    if name in _POWERS:
        return len(args) == 2 and _is_power(args[0], args[1], levels, power)
    return (name in _FUNCTIONS or bool(_OPAQUE.fullmatch(name))) and _are_terms(args, levels, power)


def _is_declared(name: str, keywords: list[ast.keyword]) -> bool:
    """Check ``Symbol('s0', positive=True)``."""
    assumed = all(
        keyword.arg in _ASSUMPTIONS
        and isinstance(keyword.value, ast.Constant)
        and isinstance(keyword.value.value, bool)
        for keyword in keywords
    )
    return is_symbol(name) and assumed


def _is_float(numeral: str, keywords: list[ast.keyword]) -> bool:
    """Check ``Float('0.5', precision=53)``."""
    precise = all(
        keyword.arg == "precision" and (_integer(keyword.value) or _MAX_BITS + 1) <= _MAX_BITS for keyword in keywords
    )
    return bool(_NUMERAL.fullmatch(numeral)) and precise


def _is_power(base: ast.expr, exponent: ast.expr, levels: int, power: int) -> bool:
    size = _magnitude(exponent)
    return size is not None and size <= power and _is_term(base, levels - 1, power // max(math.ceil(size), 1))


def _magnitude(exponent: ast.expr) -> float | None:
    """Return a bound of the absolute value of a literal exponent; None if it is not a literal."""
    match exponent:
        case ast.Call(func=ast.Name(id="Float"), args=[ast.Constant(value=str() as numeral)], keywords=keywords):
            return abs(float(numeral)) if _is_float(numeral, keywords) else None
        case ast.Call(func=ast.Name(id="Rational"), args=[above, below], keywords=[]):
            parts = [_integer(above), _integer(below)]
        case _:
            parts = [_integer(exponent)]
    known = [abs(part) for part in parts if part is not None]
    return max(known) if len(known) == len(parts) else None


def _integer(node: ast.expr) -> int | None:
    """Return the value of a literal integer, with or without ``Integer``; None if it is not one."""
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)):
            return -value
        case ast.Call(func=ast.Name(id="Integer"), args=[number], keywords=[]) if not isinstance(number, ast.Call):
            return _integer(number)
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= _MAX_BITS)
