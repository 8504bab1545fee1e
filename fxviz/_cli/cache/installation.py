"""Describe the installed libraries without importing them, as part of the key of a cache entry."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fxviz._sources.reference import LIBRARIES

_ALWAYS = ("fxviz", "torch", "torchvision")
"""The libraries that make every graph."""

_IMPORTABLE = (".py", ".pyc", ".so", ".pyd", ".pth", ".egg-link")
"""Suffixes of files that can change what an import finds."""

_SETTINGS = (
    "ACCELERATE_ CUDA_ FLASH_ HIP_ NPU_ PT_HPU_ PYTORCH ROCR_ TIMM_ TORCH_ TRANSFORMERS_ TRUST_REMOTE_CODE USE_ "
    "WORLD_SIZE XLA_"
)
"""Prefixes of environment variables that change what the libraries build. Those of torch's compiler are not among them:
it sets one itself when it is imported."""

_ACCELERATORS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""Devices of an accelerator, which some libraries look for when they are imported."""


class NotCached(Exception):
    """A library whose models cannot be cached; the message says why."""


def described(library: str) -> dict[str, Any]:
    """Return everything that a model of ``library`` depends on beside its name and options, as plain values.

    Raises:
        NotCached: a library is missing, or is not an installed copy.

    >>> described("a library that is not installed")
    Traceback (most recent call last):
    ...
    fxviz._cli.cache.installation.NotCached: ...
    """
    settings = {name: value for name, value in os.environ.items() if name.startswith(tuple(_SETTINGS.split()))}
    return {
        "python": sys.version,
        "platform": [sys.platform, sys.flags.optimize, [path for path in _ACCELERATORS if Path(path).exists()]],
        "libraries": {str(path): _changed(path / "RECORD") for path in _records(library)},
        "search path": _digest(list(_search_path())),
        "settings": _digest(settings),
    }


def record(name: str) -> Path:
    """Return the folder of a library's metadata (``torch-2.4.0.dist-info``).

    It stands beside the library itself, unless that is installed in editable mode or found elsewhere (the current
    folder, PYTHONPATH).

    Raises:
        NotCached: there is none.

    >>> record("networkx").name.startswith("networkx-")
    True
    >>> record("json")
    Traceback (most recent call last):
    ...
    fxviz._cli.cache.installation.NotCached: json comes from ..., where it is not installed (editable mode, or ...)
    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise NotCached(f"{name} is not installed")
    site = Path(spec.origin).resolve().parent.parent
    found = list(site.glob(f"{name}-*.dist-info"))
    if len(found) != 1:
        raise NotCached(f"{name} comes from {site}, where it is not installed (editable mode, or PYTHONPATH)")
    return found[0]


def reasons() -> dict[str, str]:
    """Return for each library the reason why its models are not cached; "" if they are.

    >>> list(reasons())
    ['torchvision', 'timm', 'transformers']
    """
    return {library: _reason(library) for library in ("torchvision", *LIBRARIES)}


def _reason(library: str) -> str:
    try:
        _records(library)
    except NotCached as reason:
        return str(reason)
    return ""


def _records(library: str) -> list[Path]:
    return [record(name) for name in dict.fromkeys((*_ALWAYS, library))]


def _search_path() -> Iterator[list[Any]]:
    """Yield each folder of the search path with the names that an import could find in it.

    A folder without any is left out: a worker of a cluster has one with a name of its own.
    """
    for folder in sys.path:
        try:
            with os.scandir(folder or os.curdir) as found:
                names = sorted(_seen(entry) for entry in found if _matters(entry))
        except NotADirectoryError:
            yield [folder, _changed(Path(folder))]
        except OSError:
            continue
        else:
            if names:
                yield [folder, names]


def _matters(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(_IMPORTABLE) or (entry.is_dir() and entry.name != "__pycache__")


def _seen(entry: os.DirEntry[str]) -> tuple[str, int]:
    """Return the name, and for a file that extends the search path also when it was changed."""
    return entry.name, entry.stat().st_mtime_ns if entry.name.endswith(".pth") else 0


def _changed(path: Path) -> int:
    """Return when a file was changed, in nanoseconds; 0 if it does not exist."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


STARTED = time.time_ns()
"""The time when this module was imported: files that have not changed since then are as they were loaded."""

_ROUNDED = 2 * 10**9
"""The coarsest time of change of a file system, in nanoseconds."""

_TICK = 2 * 10**7
"""The delay of the clock that stamps files, in nanoseconds."""


def loaded() -> list[str]:
    """Return the files of all imported modules, without those of the standard library.

    >>> __file__ in loaded(), hashlib.__file__ in loaded()
    (True, False)
    """
    specs = [getattr(module, "__spec__", None) for name, module in list(sys.modules.items()) if not _is_standard(name)]
    origins = {str(spec.origin) for spec in specs if spec is not None and getattr(spec, "has_location", False)}
    return sorted(filter(os.path.isabs, origins))  # torch makes modules in memory: "<_remote_module_non_scriptable>.py"


def state(files: Iterable[str]) -> str:
    """Return a digest of files that changes when one of them changes, or when a file appears or disappears beside them.

    A new file may be imported in place of one that is still there (``resnet/__init__.py`` before ``resnet.py``).

    Raises:
        OSError: a file is missing.

    >>> state([os.__file__]) == state([os.__file__])
    True
    """
    digest, files = hashlib.sha256(), list(files)
    for path in (*files, *dict.fromkeys(map(os.path.dirname, files))):
        seen = os.stat(path)  # noqa: PTH116, thousands of them: a Path for each costs more than the question
        digest.update(b"%d %d\n" % (seen.st_size, seen.st_mtime_ns))
    return digest.hexdigest()


def check_unchanged(files: Iterable[str]) -> None:
    """Refuse files that have changed since this process began, which may have loaded their earlier content.

    A file that replaces another one may have an old time of modification, but not an old change of status.

    Raises:
        OSError: a file is missing.
        ValueError: one was changed.

    >>> check_unchanged([os.__file__])
    """
    for path in files:
        seen = os.stat(path)  # noqa: PTH116
        if seen.st_mtime_ns > STARTED - _ROUNDED or seen.st_ctime_ns > STARTED - _TICK:
            raise ValueError(f"{path} has changed in the meantime")


def _is_standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names
