"""Files of weights: tensors by name, read without running anything that is in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fxviz._errors import UsageError, choice, shown
from fxviz._sources.checkpoints import pickled, safetensors
from fxviz._sources.reference import CHECKPOINTS

__all__ = ["SUFFIXES", "check_file", "is_checkpoint", "parts", "read"]

State = dict[str, Any]
"""Tensors by name; in a checkpoint of a training also further such dicts."""

_INDEX = ".index.json"
"""Names the files that weights are spread over, ``model.safetensors.index.json``."""

_READERS: dict[str, Callable[[str, bool], State]] = {
    suffix: safetensors.read if suffix == ".safetensors" else pickled.read for suffix in CHECKPOINTS
}

SUFFIXES = (*_READERS, _INDEX)

_UNREADABLE = (".pkl", ".h5", ".onnx", ".npz", ".msgpack", ".gguf", ".pt2", ".json", ".py")
"""Suffixes of files that might be taken for one, too."""


def is_checkpoint(text: str) -> bool:
    """Whether ``text`` names a file of weights, not published weights by their name.

    >>> is_checkpoint("out/model.SAFETENSORS"), is_checkpoint("IMAGENET1K_V1"), is_checkpoint("weights.h5")
    (True, False, True)
    """
    return text.lower().endswith((*SUFFIXES, *_UNREADABLE))


def check_file(path: str) -> None:
    """Refuse a file that is not there or of another kind, before anything heavy is imported.

    Raises:
        UsageError: it cannot be opened, or has not one of ``SUFFIXES``.

    >>> check_file("weights.h5")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: cannot load 'weights.h5': weights are read from .safetensors, .pt, .pth, .bin, .ckpt or .index.json
    """
    if not path.lower().endswith(SUFFIXES):
        raise UsageError(f"cannot load '{shown(path)}': weights are read from {choice(SUFFIXES)}")
    try:
        if Path(path).is_fifo():
            raise UsageError(f"cannot load '{shown(path)}': it is a pipe, not a file; save what comes out of it")
        with Path(path).open("rb"):
            pass
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot load '{shown(path)}': {getattr(error, 'strerror', None) or error}") from None


def read(path: str, values: bool) -> State:
    """The tensors in a file by name; whatever else it holds is left out.

    Args:
        path: of a file that :func:`check_file` lets through.
        values: whether the values are read. If not, the tensors hold no memory (they are on the meta device), and of the file
            only what describes them is read.

    Raises:
        UsageError: it is cut short, of another kind, or would have to be unpickled.
    """
    check_file(path)
    if path.lower().endswith(_INDEX):
        return _spread(Path(path), values)
    return _READERS[Path(path).suffix.lower()](path, values)


def _spread(index: Path, values: bool) -> State:
    """The tensors of all files that ``index`` names; they lie beside it."""
    state: State = {}
    for part in parts(index):
        state |= read(str(part), values)
    return state


def parts(index: Path) -> list[Path]:
    """The files that weights are spread over.

    Raises:
        UsageError: the index cannot be read, or leads elsewhere than to files beside it.
    """
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        beside = all(Path(name).name == name and name.lower().endswith(tuple(_READERS)) for name in names)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        beside = False
    if not beside:
        raise UsageError(
            f"cannot load '{shown(str(index))}': it has no \"weight_map\" of files beside it; name one of them"
        )
    return [index.with_name(name) for name in names]
