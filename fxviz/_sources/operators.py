"""Which operations an exported program may call: those that compute, and nothing that reads a file or runs a program.

What is allowed is listed; torch's own check of a program (``torch/_export/verifier.py``) takes any operation that is
registered, and a file may switch it off.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

_OVERLOAD = re.compile(
    r"torch\.ops\.(?P<library>aten|prims|torchvision|quantized_decomposed)\.(?P<name>\w+)\.(?P<overload>\w+)"
)
"""Libraries of operations on tensors."""

_FILE_NAMES = frozenset(["filename", "file_name", "file", "path", "command", "url"])
"""What the schema of an operation calls the name of a file."""

_SYMBOLIC = frozenset(
    [
        *(f"_operator.{name}" for name in "getitem add sub mul truediv floordiv mod pow neg pos abs lshift rshift".split()),
        *(f"_operator.{name}" for name in "ge le gt lt eq ne and_ or_ not_".split()),
        *(f"math.{name}" for name in "ceil floor trunc".split()),
        *(f"torch.sym_{name}" for name in "int float ite max min not sqrt sum".split()),
        "torch._sym_sqrt",
        "builtins.round",
    ]
)
"""Arithmetic with sizes."""

_HIGHER = frozenset(
    """cond switch while_loop map_impl scan associative_scan wrap strict_mode invoke_subgraph flex_attention out_dtype
    auto_functionalized auto_functionalized_v2 tag_activation_checkpoint wrap_activation_checkpoint wrap_with_autocast
    wrap_with_set_grad_enabled""".split()
)
"""Operations that run a part of the program, or one of the operations above."""

_BLOCK = re.compile(r"torch\.(?:ops\.higher_order|_higher_order_ops\.wrap)\.(?P<name>\w+)")
"""How they are written, the second by torch 2.4."""


def is_operator(target: str) -> bool:
    """Whether a program may call what is called ``target`` there.

    >>> is_operator("torch.ops.aten.relu.default"), is_operator("_operator.add"), is_operator("torch.ops.higher_order.cond")
    (True, True, True)
    >>> is_operator("torch.ops.aten.from_file.default"), is_operator("torch.hub.load"), is_operator("_operator.methodcaller")
    (False, False, False)
    """
    if target in _SYMBOLIC:
        return True
    if block := _BLOCK.fullmatch(target):
        return block["name"] in _HIGHER
    found = _OVERLOAD.fullmatch(target)
    return found is not None and _computes(**found.groupdict())


def _computes(library: str, name: str, overload: str) -> bool:
    """Whether there is such an operation, and none of its arguments names a file."""
    import torch

    if library == "torchvision":
        with suppress(ImportError):
            import torchvision  # noqa: F401 - registers them
    packet: Any = getattr(getattr(torch.ops, library), name, None)
    schema = getattr(getattr(packet, overload, None), "_schema", None)
    return schema is not None and not any(argument.name in _FILE_NAMES for argument in schema.arguments)
