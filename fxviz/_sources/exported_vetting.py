"""Whether a file of an exported program holds data only, told before torch reads it.

torch's reader runs more than the program (``torch/_export/serde/serialize.py``, ``torch/export/pt2_archive/_package.py``,
``torch/utils/_pytree.py``). Refused is what would run code or open a file as far as is known: objects to unpickle, compiled
libraries, code for a size, operations that are no arithmetic, names that are no names (torch writes Python code with them), and
modules to import for the structure of the inputs.

What is not guaranteed: that this list is complete for every torch to come; that torch's own reader of tensors, and its
operations when a program is run on a device, bear any argument; and that a file takes little time or memory. Draw programs from
sources that you trust.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from fxviz._sources.operators import is_operator
from fxviz._sources.sizes import is_size, is_symbol

_CODE = re.compile(r"(?:.*/)?(?:opaque_obj|custom_obj).*|(?:.*/)?aotinductor/.*|.*\.(?:so|pyd|dll|dylib)", re.DOTALL)
"""Members of the archive that would be unpickled or loaded as a library, in small letters."""

_TENSORS = re.compile(r"(?:weight|tensor)_\d+", re.ASCII)
"""Members that hold the bytes of a tensor."""

_UNWRITABLE = re.compile(r"[\"\\\x00-\x1f\x7f]")
"""Signs that would end a name in the Python code that torch writes."""

_FACTORIES = frozenset("list dict set tuple int float str bool".split())
"""What a defaultdict among the inputs may make its values with."""


class Unsafe(Exception):
    """The file asks for code to be run while it is read; the message says which."""


def check_data_only(path: str) -> None:
    """Refuse a file that torch could not read without running what is in it.

    torch has two readers of such archives, and one file may be a different archive to each: what each sees is checked.

    Raises:
        Unsafe: it holds objects to unpickle, compiled code, or code in place of a size, a name or an operation.
        zipfile.BadZipFile, ValueError, OSError: it is no archive of a program.
    """
    with zipfile.ZipFile(path) as archive:
        _check_members(archive.namelist(), archive.read)
    if reader := torchs_reader(path):
        _check_members(reader.get_all_records(), reader.get_record)


def torchs_reader(file: Any) -> Any:
    """None if the file has not the layout of torch's archives, which an older program has not."""
    import torch

    try:
        return torch._C.PyTorchFileReader(file)
    except RuntimeError:
        return None


def _check_members(names: list[str], read: Callable[[str], bytes]) -> None:
    if not any("models/" in name or name.endswith("exported_program.json") for name in names):
        raise ValueError("it holds no program")
    if len({name.lower() for name in names}) < len(names):  # torch finds a member in small or large letters
        raise Unsafe("two of its parts have the same name")
    for name in names:
        _check_member(name.lower(), lambda name=name: read(name))  # type: ignore[misc]


def _check_member(name: str, read: Callable[[], bytes]) -> None:
    if _CODE.fullmatch(name):
        raise Unsafe(f"it holds '{name.rpartition('/')[2]}', which is code or would be unpickled")
    if name.endswith(".json") or "models/" in name:
        json.loads(read().decode("utf-8"), object_hook=_checked)
    elif name.endswith((".pt", ".pkl")):
        _check_tensors(name, read())


def _check_tensors(name: str, saved: bytes) -> None:
    """What ``torch.save`` wrote: torch before 2.6 runs code of an older form of it, and of a scripted module in its place."""
    reader = torchs_reader(io.BytesIO(saved)) if saved.startswith(b"PK\x03\x04") else None
    if saved and (reader is None or "constants.pkl" in reader.get_all_records()):
        raise Unsafe(f"it holds '{name.rpartition('/')[2]}', which is not what torch.save writes")


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    """One object of a program's description.

    >>> _checked({"expr_str": "Add(Integer(1), Symbol('s77', positive=True))"})["expr_str"][:3]
    'Add'
    >>> _checked({"expr_str": "().__class__"})
    Traceback (most recent call last):
    ...
    fxviz._sources.exported_vetting.Unsafe: a size is given by code: ().__class__
    """
    for key, value in fields.items():
        allowed, said = _FIELDS.get(key, (None, ""))
        if allowed is not None and not allowed(value):
            raise Unsafe(f"{said}: {value}")
    return fields


def _is_size(value: Any) -> bool:
    return isinstance(value, str) and is_size(value)


def _is_count(value: Any) -> bool:
    return value is None or type(value) is int


def _are_symbols(value: Any) -> bool:
    return isinstance(value, dict) and all(map(is_symbol, value))


def _is_name(value: Any) -> bool:
    """A name in the code that torch writes; or what is known of a tensor that happens to be called "name"."""
    return value in (None, "") or isinstance(value, dict) or (isinstance(value, str) and value.isidentifier())


def _is_target(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, str) and is_operator(value))


def _is_path(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, str) and not _UNWRITABLE.search(value))


def _are_names(value: Any) -> bool:
    return value is None or isinstance(value, dict) or (isinstance(value, list) and all(map(_is_name, value)))


def _is_structure(value: Any) -> bool:
    """A nested tuple, dict, ...: a text of JSON, with other such texts inside."""
    if not isinstance(value, str):
        return False
    try:
        json.loads(value, object_hook=_without_modules)
    except ValueError:
        return False
    return True


def _without_modules(part: dict[str, Any]) -> dict[str, Any]:
    """Refuse what would import a module: a value of an enumeration, or what makes the values of a defaultdict."""
    factory = (part.get("default_factory_module", "builtins"), part.get("default_factory_name", "list"))
    if "__enum__" in part or factory[0] != "builtins" or factory[1] not in _FACTORIES:
        raise Unsafe(f"the structure of its inputs would import a module: {part}")
    context = part.get("context")
    if isinstance(context, str):
        with suppress(ValueError):
            json.loads(context, object_hook=_without_modules)
    return part


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "expr_str": (_is_size, "a size is given by code"),
    "as_int": (_is_count, "a number is given by something else"),
    "min_val": (_is_count, "a number is given by something else"),
    "max_val": (_is_count, "a number is given by something else"),
    "range_constraints": (_are_symbols, "a size has no name"),
    "target": (_is_target, "it calls what is no operation on tensors"),
    "as_operator": (_is_target, "it calls what is no operation on tensors"),
    "name": (_is_name, "a name is code"),
    "as_name": (_is_name, "a name is code"),
    "forward_arg_names": (_are_names, "a name is code"),
    **dict.fromkeys(
        ("parameter_name", "buffer_name", "tensor_constant_name", "user_input_name", "fqn", "nn_module_stack"),
        (_is_path, "a name is code"),
    ),
    "in_spec": (_is_structure, "the structure of its inputs is no structure"),
    "out_spec": (_is_structure, "the structure of its outputs is no structure"),
    "path_name": (lambda value: isinstance(value, str) and bool(_TENSORS.fullmatch(value)), "it unpickles"),
    "use_pickle": (lambda value: value is False, "it holds objects that would be unpickled"),
    "class_fqn": (lambda value: False, "it holds objects of a class"),
}
"""What the fields of a description may be, and what to say of another value."""
