"""Refuse archives that would need much memory and time before they are read."""

from __future__ import annotations

import errno
import os
import struct
import zipfile
from pathlib import Path

from fxviz._graph.errors import shown

_MAX_DESCRIPTION = 32_000_000
"""Maximum length of a description in bytes; that of 1,000 operations has about 1 MB."""

_MAX_LIST = 12_000_000
"""Maximum length of the list of members in bytes; that of 10,000 members has about 1 MB."""

_ENDING = 66_000
"""Bytes at the end of an archive that say where its list of members is."""

_LENGTHS = ((b"PK\x06\x06", "<Q", 40), (b"PK\x05\x06", "<I", 12))
"""Signs of the records that hold the length of the list, its form and place (APPNOTE.TXT of PKWARE, 4.3.14, 4.3.16)."""


def check_list(path: str) -> None:
    """Refuse an archive with more members than any model has, before its list of members is read.

    Raises:
        OSError: the list is too large.
    """
    with Path(path).open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - _ENDING, 0))
        ending = file.read()
    for sign, form, place in _LENGTHS:
        at = ending.rfind(sign)
        if 0 <= at <= len(ending) - place - struct.calcsize(form):
            (length,) = struct.unpack_from(form, ending, at + place)
            if _MAX_LIST < length < 0xFFFFFFFF:
                raise OSError(errno.EFBIG, f"its list of members is larger than {_MAX_LIST / 1e6:g} MB")


def check_length(member: zipfile.ZipInfo) -> None:
    """Refuse a member of an exported program that would need much memory and time.

    Raises:
        OSError: it is compressed, or a description, which is parsed as a whole, and too large.

    >>> check_length(zipfile.ZipInfo("models/model.json"))
    """
    name = shown(member.filename)
    if member.compress_type != zipfile.ZIP_STORED:
        raise OSError(errno.EINVAL, f"its member '{name}' is compressed; torch.export.save compresses none")
    if is_description(member.filename) and member.file_size > _MAX_DESCRIPTION:
        raise OSError(errno.EFBIG, f"its member '{name}' is larger than {_MAX_DESCRIPTION / 1e6:g} MB")


def is_description(name: str) -> bool:
    """Return whether a member of an exported program describes it in JSON, or is a part of the description.

    >>> is_description("net/models/model.json"), is_description("net/data/weights/weight_0")
    (True, False)
    """
    return name.lower().endswith(".json") or "models/" in name.lower()
