"""Read the tensors in files of weights without running any code in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fxviz._graph.errors import UsageError, choice, shown
from fxviz._graph.files import check_regular, read_whole
from fxviz._sources.checkpoints import pickled, safetensors
from fxviz._sources.reference import CHECKPOINTS

__all__ = ["SUFFIXES", "check_file", "is_checkpoint", "parts", "read"]

State = dict[str, Any]
"""Tensors by name; in a training checkpoint also nested dicts of them."""

_INDEX = ".index.json"
"""Suffix of a file that lists the shards of weights, ``model.safetensors.index.json``."""

_MAX_INDEX = 12_000_000
"""Maximum size of such a file in bytes."""

_READERS: dict[str, Callable[[str, bool], State]] = {
    suffix: safetensors.read if suffix == ".safetensors" else pickled.read for suffix in CHECKPOINTS
}

SUFFIXES = (*_READERS, _INDEX)

_UNREADABLE = (".pkl", ".h5", ".onnx", ".npz", ".msgpack", ".gguf", ".pt2", ".json", ".py")
"""Suffixes of files that users may take for files of weights."""


def is_checkpoint(text: str) -> bool:
    """Return whether ``text`` names a file of weights, not published weights.

    >>> is_checkpoint("out/model.SAFETENSORS"), is_checkpoint("IMAGENET1K_V1"), is_checkpoint("weights.h5")
    (True, False, True)
    """
    return text.lower().endswith((*SUFFIXES, *_UNREADABLE))


def check_file(path: str) -> None:
    """Refuse a file that is missing or of another kind, before anything heavy is imported.

    Raises:
        UsageError: it cannot be opened, or has none of ``SUFFIXES``.

    >>> check_file("weights.h5")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: cannot load 'weights.h5': the suffix must be .safetensors, .pt, .pth, .bin, .ckpt or .index.json
    """
    if not path.lower().endswith(SUFFIXES):
        raise UsageError(f"cannot load '{shown(path)}': the suffix must be {choice(SUFFIXES)}")
    try:
        check_regular(path)
        with Path(path).open("rb"):
            pass
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot load '{shown(path)}': {getattr(error, 'strerror', None) or error}") from None


def read(path: str, values: bool) -> State:
    """Read the tensors in a file by name, and nothing else.

    Args:
        path: the path of a file that :func:`check_file` accepts.
        values: whether the values are read. If not, the tensors hold no memory (they are on the meta device), and only
            their description is read from the file.

    Raises:
        UsageError: it is truncated, of another kind, or would have to be unpickled.
    """
    check_file(path)
    if path.lower().endswith(_INDEX):
        return _read_shards(Path(path), values)
    return _READERS[Path(path).suffix.lower()](path, values)


def _read_shards(index: Path, values: bool) -> State:
    """Read the tensors of all shards that ``index`` lists."""
    state: State = {}
    for part in parts(index):
        state |= read(str(part), values)
    return state


def parts(index: Path) -> list[Path]:
    """Return the shards that ``index`` lists.

    Raises:
        UsageError: the index cannot be read, or lists a file that is not beside it.
    """
    try:
        names = sorted(set(json.loads(read_whole(index, _MAX_INDEX).decode("utf-8"))["weight_map"].values()))
        beside = all(Path(name).name == name and name.lower().endswith(tuple(_READERS)) for name in names)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        beside = False
    if not beside:
        raise UsageError(
            f"cannot load '{shown(str(index))}': it has no \"weight_map\" of files beside it; name a file of weights"
        )
    return [index.with_name(name) for name in names]
