"""Read files of the format safetensors: a description of the tensors, then their bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fxviz._graph.errors import UsageError, optional_library, shown

_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "C64": "complex64",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
"""torch's names of the dtypes of the format (https://huggingface.co/docs/safetensors/en/metadata_parsing)."""

_MAX_HEADER = 12_000_000
"""Maximum length of the description of the tensors in bytes; that of 10,000 tensors has about 1 MB."""


def read(path: str, values: bool) -> dict[str, Any]:
    """Read the tensors in a file by name; without ``values``, only the description, and no tensor holds memory.

    Raises:
        UsageError: the library is not installed, or the file is damaged.
    """
    _check_header(path)
    library = optional_library("safetensors", f"cannot read '{shown(path)}': it needs", "weights")
    try:
        with library.safe_open(path, framework="pt" if values else "np") as file:
            if values:
                return {name: file.get_tensor(name) for name in list(file.keys())}
            return {name: _described(path, name, file.get_slice(name)) for name in list(file.keys())}
    except library.SafetensorError as error:
        reason = shown(str(error).rpartition(": ")[2])
        raise UsageError(
            f"cannot load '{shown(path)}': it is not a safetensors file, or is truncated ({reason}); download it again"
        ) from None
    except (RuntimeError, MemoryError) as error:
        raise UsageError(
            f"cannot load '{shown(path)}': {shown(str(error))}; on device meta, no memory is needed"
        ) from error


def _check_header(path: str) -> None:
    """Refuse a description that is larger than that of any model; its length is the first number in the file."""
    with Path(path).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > _MAX_HEADER and length <= Path(path).stat().st_size:
        most = f"{_MAX_HEADER / 1e6:g} MB"
        raise UsageError(f"cannot load '{shown(path)}': the description of its tensors is larger than {most}")


def _described(path: str, name: str, part: Any) -> Any:
    import torch

    dtype = getattr(torch, _DTYPES.get(part.get_dtype(), ""), None)
    if dtype is None:
        reason = f"'{shown(name)}' has the dtype {shown(str(part.get_dtype()))}, unknown to torch {torch.__version__}"
        raise UsageError(f"cannot load '{shown(path)}': {reason}; convert the weights to another dtype")
    return torch.empty(part.get_shape(), dtype=dtype, device="meta")
