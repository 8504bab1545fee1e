"""Read files of ``torch.save``, of which only tensors and plain containers are unpickled."""

from __future__ import annotations

import errno
import io
import pickle
import re
import tarfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxviz._graph.errors import UsageError, shown
from fxviz._sources.archives import check_list
from fxviz._sources.exported_vetting import torchs_reader
from fxviz._sources.own_thread import ignored_warnings

if TYPE_CHECKING:
    from torch import Tensor

_CLASS = re.compile(r"GLOBAL (?P<name>[\w.]+)")
"""The class that torch refuses to unpickle, in its message."""

_ARCHIVE = b"PK\x03\x04"
"""The first bytes of a file that torch reads as an archive (``torch.serialization._is_zipfile``)."""

_PICKLE = b"\x80"
"""The first byte of a pickle of protocol 2 or later."""

_MAX_NAMES = 12_000_000
"""Maximum length of what is unpickled in bytes; that of 10,000 tensors has about 1 MB."""

_MAX_OLD = 2_000_000
"""Maximum length of what is unpickled of a file before torch 1.6 in bytes, whose tensors stand behind it."""

_MAX_DEPTH = 3
"""Maximum depth at which a checkpoint is searched for tensors; those of an optimizer's state are deeper."""

_OPTIMIZER = {"state", "param_groups"}
"""The keys of ``torch.optim.Optimizer.state_dict``."""

_SAVE_WEIGHTS = "save only the weights, torch.save(model.state_dict(), 'weights.pt'), and use that file"


def read(path: str, values: bool) -> dict[str, Any]:
    """Read the tensors in a file by name, nested as they were saved; without ``values``, they hold no memory.

    Raises:
        UsageError: the file is damaged, or contains more than tensors and plain containers.
    """
    where = f"cannot load '{shown(path)}'"
    _check_form(path, where)
    try:
        with ignored_warnings():
            found = _loaded(path, values)
    except pickle.UnpicklingError as error:
        raise UsageError(f"{where}: {_refusal(str(error))}; {_SAVE_WEIGHTS}") from None
    except OSError as error:
        raise UsageError(f"{where}: {error.strerror}; {_SAVE_WEIGHTS}") from None
    except Exception as error:
        if "quantized" in str(error):
            raise UsageError(
                f"{where}: it contains quantized tensors; use the weights from before quantization"
            ) from error
        raise UsageError(
            f"{where}: torch.load cannot read it ({_reason(error)}); download it again, or {_SAVE_WEIGHTS}"
        ) from error
    if not isinstance(found, Mapping):
        raise UsageError(f"{where}: it contains a {_kind(found)}, not tensors by name; {_SAVE_WEIGHTS}")
    if found.keys() == _OPTIMIZER:
        raise UsageError(f"{where}: it contains the state of an optimizer, not the weights of a model; {_SAVE_WEIGHTS}")
    return _tensors(found, _Plain(values))


def _check_form(path: str, where: str) -> None:
    """Refuse formats that some versions of torch always unpickle or run."""
    if tarfile.is_tarfile(path):
        raise UsageError(f"{where}: it has the format of torch before 0.4, which is unpickled; {_SAVE_WEIGHTS}")
    if not _is_archive(path):
        _check_old_form(path, where)
        return
    try:
        check_list(path)
    except OSError as error:
        raise UsageError(f"{where}: {error.strerror}") from None
    reader = torchs_reader(path)
    if reader is None:
        raise UsageError(f"{where}: it is truncated or damaged; download it again, or {_SAVE_WEIGHTS}")
    try:
        names = reader.get_all_records()
        length = len(reader.get_record("data.pkl")) if "data.pkl" in names else 0
    except RuntimeError:
        raise UsageError(f"{where}: it is damaged; download it again, or {_SAVE_WEIGHTS}") from None
    if "constants.pkl" in names:
        raise UsageError(f"{where}: it contains a scripted module, which is code; {_SAVE_WEIGHTS}")
    if length > _MAX_NAMES:
        raise UsageError(f"{where}: the description of its tensors is larger than {_MAX_NAMES / 1e6:g} MB")


def _check_old_form(path: str, where: str) -> None:
    """Refuse a file that is neither an archive nor begins with a pickle."""
    with Path(path).open("rb") as file:
        if file.read(len(_PICKLE)) != _PICKLE:
            raise UsageError(f"{where}: torch.save did not write it; download it again, or {_SAVE_WEIGHTS}")


def _is_archive(path: str) -> bool:
    """Return whether torch reads the file as an archive; it looks at the first bytes, Python at the last."""
    with Path(path).open("rb") as file:
        return file.read(len(_ARCHIVE)) == _ARCHIVE


def _loaded(path: str, values: bool) -> Any:
    import torch

    from fxviz._sources.torch_private import FakeTensorMode

    is_archive = _is_archive(path)
    opened: AbstractContextManager[Any] = nullcontext(path) if is_archive else _Limited(path)
    with nullcontext() if values else FakeTensorMode(), opened as file:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=values and is_archive)


class _Limited(io.BufferedReader):
    """A file of which only so much is unpickled; torch reads the tensors behind that by the number of the file."""

    def __init__(self, path: str) -> None:
        super().__init__(io.FileIO(path))
        self._left = _MAX_OLD

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0 or size > self._left:
            raise self._too_long()
        self._left -= size
        return super().read(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(self._left + 1 if size is None or size < 0 else size)
        if len(line) > self._left:
            raise self._too_long()
        self._left -= len(line)
        return line

    def _too_long(self) -> OSError:
        return OSError(errno.EFBIG, f"the description of its tensors is larger than {_MAX_OLD / 1e6:g} MB")


class _Plain:
    """Makes tensors of a file plain tensors without gradients; two with the same memory become one."""

    def __init__(self, values: bool) -> None:
        self._values = values
        self._known: dict[Any, Tensor] = {}

    def __call__(self, tensor: Tensor) -> Tensor:
        if str(tensor.layout) != "torch.strided":  # it has no storage to compare
            return tensor.detach()
        from fxviz._sources.torch_private import storage_of

        place = (storage_of(tensor) or id(tensor), tensor.storage_offset(), tuple(tensor.shape), tensor.stride())
        return self._known.setdefault(place, tensor.detach() if self._values else _without_memory(tensor))


def _kind(found: Any) -> str:
    from torch import Tensor

    return "tensor" if isinstance(found, Tensor) else type(found).__name__


def _tensors(found: Mapping[Any, Any], plain: _Plain, depth: int = 1) -> dict[str, Any]:
    from torch import Tensor

    kept: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(name, str) and isinstance(value, Tensor):
            kept[name] = plain(value)
        elif isinstance(name, str) and isinstance(value, Mapping) and depth < _MAX_DEPTH:
            kept[name] = _tensors(value, plain, depth + 1)
    return kept


def _without_memory(tensor: Tensor) -> Tensor:
    """Return a plain tensor on the meta device for a fake one."""
    import torch

    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def _refusal(message: str) -> str:
    r"""Explain why torch refuses to unpickle a file.

    >>> _refusal("Weights only load failed. ... Unsupported global: GLOBAL net.Net was not an allowed global.")
    "it contains a pickled 'net.Net', which may run code; fxviz unpickles only tensors"
    """
    name = _CLASS.search(message)
    if name is None:
        return "torch.save did not write it, or it contains more than tensors, and fxviz unpickles only tensors"
    held = name["name"].rstrip(".")
    return f"it contains a pickled '{shown(held)}', which may run code; fxviz unpickles only tensors"


def _reason(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return shown(f"{type(error).__name__}: {first}" if first else type(error).__name__, 160)
