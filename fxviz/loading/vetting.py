"""Whether a file of an exported program holds data only, told before torch reads it.

torch's reader runs more than the program: it unpickles custom objects, loads compiled libraries, and hands the text of symbolic
sizes to ``sympy.sympify``, which evaluates it (``torch/_export/serde/serialize.py``, ``torch/export/pt2_archive/_package.py``).
"""

from __future__ import annotations

import json
import re
import zipfile
from typing import Any

_CODE = re.compile(r"(?:.*/)?(?:opaque_obj|custom_obj)[^/]*|(?:.*/)?aotinductor/.*|.*\.(?:so|pyd|dll|dylib)", re.DOTALL)
"""Members of the archive that would be unpickled or loaded as a library."""

_SIZE = re.compile(
    r"""(?:
        \b[A-Z]\w*\b                        # Symbol, Integer, Max, FloorDiv
      | \b[a-z]+_?\d+\b                     # s0, u12
      | \b[a-z]+=(?=True\b|False\b)         # positive=True
      | '\w+'                               # the name of a symbol
      | (?<![\w.])\d+(?:\.\d*)?(?![\w.])
      | [-+*/%(),<>=&|~^!\ ]
    )*""",
    re.ASCII | re.VERBOSE,
)
"""The text of a size: sympy's functions, symbols and numbers; no attribute, no subscript, no function of Python."""


class Unsafe(Exception):
    """The file asks for code to be run while it is read; the message says which."""


def check_data_only(path: str) -> None:
    """Refuse a file that torch could not read without running what is in it.

    Raises:
        Unsafe: it holds objects to unpickle, compiled code, or code in place of a size.
        zipfile.BadZipFile, ValueError, OSError: it is no archive of a program.
    """
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if not any("models/" in name or name.endswith("exported_program.json") for name in names):
            raise ValueError("it holds no program")
        if len(set(names)) < len(names):
            raise Unsafe("two of its parts have the same name")
        for name in names:
            if _CODE.fullmatch(name):
                raise Unsafe(f"it holds '{name.rpartition('/')[2]}', which is code or would be unpickled")
            if name.endswith(".json") or "models/" in name:
                json.loads(archive.read(name), object_hook=_checked)


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    """One object of a program's description.

    >>> _checked({"expr_str": "Add(Integer(1), Symbol('s77', positive=True))"})["expr_str"][:3]
    'Add'
    >>> _checked({"expr_str": "().__class__"})
    Traceback (most recent call last):
    ...
    fxviz.loading.vetting.Unsafe: a size is given by code: ().__class__
    """
    size = fields.get("expr_str", "")
    if not isinstance(size, str) or not _SIZE.fullmatch(size):
        raise Unsafe(f"a size is given by code: {size}")
    return fields
