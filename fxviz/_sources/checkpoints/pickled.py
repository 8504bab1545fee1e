"""Files that ``torch.save`` wrote, of which torch unpickles tensors and plain containers, and nothing else."""

from __future__ import annotations

import pickle
import re
import tarfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxviz._errors import UsageError, shown
from fxviz._sources.exported_vetting import torchs_reader

if TYPE_CHECKING:
    from torch import Tensor

_CLASS = re.compile(r"GLOBAL (?P<name>[\w.]+)")
"""How torch names what it refuses to unpickle."""

_ARCHIVE = b"PK\x03\x04"
"""The first bytes of a file that torch reads as an archive (``torch.serialization._is_zipfile``)."""

_PICKLE = b"\x80"
"""The first byte of a pickle in which the protocol is named, as it is from version 2 on."""

_DEPTH = 3
"""So deep are tensors looked for in a checkpoint: those of an optimizer's state lie deeper."""

_OPTIMIZER = {"state", "param_groups"}
"""What ``torch.optim.Optimizer.state_dict`` holds."""

_ALONE = "save the weights alone, torch.save(model.state_dict(), 'weights.pt'), and give that file"


def read(path: str, values: bool) -> dict[str, Any]:
    """The tensors in a file by name, nested as they were saved; without ``values`` none is read, and none holds memory.

    Raises:
        UsageError: the file is damaged, or holds more than tensors and plain containers.
    """
    where = f"cannot load '{shown(path)}'"
    _check_form(path, where)
    try:
        with _plainly():
            found = _loaded(path, values)
    except pickle.UnpicklingError as error:
        raise UsageError(f"{where}: {_refused(str(error))}; {_ALONE}") from None
    except Exception as error:
        if "quantized" in str(error):
            raise UsageError(
                f"{where}: it holds quantized tensors; give the weights as they were before that"
            ) from error
        raise UsageError(f"{where}: torch.load cannot read it ({_said(error)}); get it again, or {_ALONE}") from error
    if not isinstance(found, Mapping):
        raise UsageError(f"{where}: it holds a {_kind(found)}, not tensors by name; {_ALONE}")
    if found.keys() == _OPTIMIZER:
        raise UsageError(f"{where}: it holds the state of an optimizer, not a model's weights; {_ALONE}")
    return _tensors(found, _Plain(values))


def _check_form(path: str, where: str) -> None:
    """Refuse forms that some versions of torch read by unpickling or running what is in them, whatever they were told."""
    if tarfile.is_tarfile(path):
        raise UsageError(f"{where}: it is of a form that torch before 0.4 wrote, read by unpickling; {_ALONE}")
    if not _is_archive(path):
        _check_old_form(path, where)
        return
    reader = torchs_reader(path)
    if reader is None:
        raise UsageError(f"{where}: it is cut short or damaged; get it again, or {_ALONE}")
    if "constants.pkl" in reader.get_all_records():
        raise UsageError(f"{where}: it holds a scripted module, which is code; {_ALONE}")


def _check_old_form(path: str, where: str) -> None:
    """A file that is no archive holds pickles, which say so at the beginning."""
    with Path(path).open("rb") as file:
        if file.read(len(_PICKLE)) != _PICKLE:
            raise UsageError(f"{where}: it is no file that torch.save wrote; get it again, or {_ALONE}")


def _is_archive(path: str) -> bool:
    """Whether torch takes the file for an archive, by how it begins; Python would look how it ends."""
    with Path(path).open("rb") as file:
        return file.read(len(_ARCHIVE)) == _ARCHIVE


def _loaded(path: str, values: bool) -> Any:
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    mapped = values and _is_archive(path)
    with nullcontext() if values else FakeTensorMode():
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)


@contextmanager
def _plainly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class _Plain:
    """Ordinary tensors without gradients for those in a file; two that are one part of the file's memory become one."""

    def __init__(self, values: bool) -> None:
        self._values = values
        self._known: dict[Any, Tensor] = {}

    def __call__(self, tensor: Tensor) -> Tensor:
        if str(tensor.layout) != "torch.strided":  # it has no memory of its own to be one part of
            return tensor.detach()
        place = (tensor.untyped_storage()._cdata, tensor.storage_offset(), tuple(tensor.shape), tensor.stride())
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
        elif isinstance(name, str) and isinstance(value, Mapping) and depth < _DEPTH:
            kept[name] = _tensors(value, plain, depth + 1)
    return kept


def _without_memory(tensor: Tensor) -> Tensor:
    """A fake tensor as an ordinary one on the meta device."""
    import torch

    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def _refused(message: str) -> str:
    r"""Why torch unpickles no more of a file.

    >>> _refused("Weights only load failed. ... Unsupported global: GLOBAL net.Net was not an allowed global by default.")
    "it holds 'net.Net' to be unpickled, which may run code, and fxviz unpickles nothing but tensors"
    """
    name = _CLASS.search(message)
    if name is None:
        return "it is no file of torch.save, or holds more than tensors, and fxviz unpickles nothing else"
    held = name["name"].rstrip(".")
    return f"it holds '{shown(held)}' to be unpickled, which may run code, and fxviz unpickles nothing but tensors"


def _said(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return shown(f"{type(error).__name__}: {first}" if first else type(error).__name__, 160)
