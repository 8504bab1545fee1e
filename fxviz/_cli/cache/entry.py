"""Read and write the entries of the cache: compressed files that hold a question, its sources, and the answer."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fxviz._cli.cache import installation
from fxviz._cli.cache.installation import NotCached, described
from fxviz._cli.cache.trust import check_folder, opened
from fxviz._graph.files import write_whole
from fxviz._graph.options import TraceOptions
from fxviz._sources.inputs import Arguments
from fxviz._sources.reference import Reference, is_configuration

SUFFIX = ".json.gz"
BOUND = 256_000_000
"""The largest total size of all entries, in bytes; a traced model takes about 20 kB."""

VARIABLE = "FXVIZ_CACHE"
"""The environment variable that names another cache directory."""

_TAG = "CACHEDIR.TAG"
_TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of fxviz, which 'fxviz cache clear' empties.\n"
"""Backup programs skip a folder with this file (https://bford.info/cachedir/)."""

_OURS = re.compile(rf"[0-9a-f]{{64}}{re.escape(SUFFIX)}|\.fxviz\.\w+\.part")
"""An entry, or the part of one that a killed process left behind."""


@dataclass(frozen=True)
class Entry:
    """The entry of an answer, which may not exist yet.

    Attributes:
        path: its file.
        key: the question, and the state of the installation.
    """

    path: Path
    key: str

    @classmethod
    def to(cls, question: Question) -> Entry:
        """Return the entry that answers ``question`` for this installation.

        Raises:
            NotCached: this installation is not cached, or the entry's path is not a file.
            Distrusted: another user can write the folder.
        """
        key = json.dumps({"asked": dict(question.asked), "installation": described(question.library)}, sort_keys=True)
        path = directory() / f"{hashlib.sha256(key.encode()).hexdigest()}{SUFFIX}"
        check_folder(path.parent)
        if path.exists() and not path.is_file():
            raise NotCached(f"{path} is not a file")
        return cls(path, key)

    def read(self) -> str:
        """Return the answer, and note that it was used.

        Raises:
            OSError: there is none, it cannot be read, or a source file is missing.
            EOFError: it is truncated.
            zlib.error: it is damaged.
            ValueError: it answers something else, or a source file has changed.
            Distrusted: another user can write it, or it is a link.
        """
        with opened(self.path) as raw, gzip.open(raw) as file:
            head, _, text = file.read(BOUND).decode().partition("\n")
        header = json.loads(head)
        if header["key"] != self.key or header["state"] != installation.state(header["sources"]):
            raise ValueError("the entry has another key, or is out of date")
        with suppress(OSError):
            os.utime(self.path)
        return text

    def write(self, text: str) -> None:
        """Write an answer; the least recently used ones make room for it.

        Raises:
            OSError, BadOutput: the folder cannot be written.
            ValueError: a source file has changed since this process began.
        """
        files = installation.loaded()
        state = installation.state(files)
        installation.check_unchanged(files)
        head = json.dumps({"key": self.key, "state": state, "sources": files})
        prepare(self.path.parent)
        if self.path.is_symlink():
            self.path.unlink()
        write_whole(self.path, gzip.compress(f"{head}\n{text}".encode(), compresslevel=6, mtime=0))
        trim(self.path.parent, BOUND)


@dataclass(frozen=True)
class Question:
    """A question whose answer depends on a library and on nothing else.

    Attributes:
        library: "torchvision", "timm" or "transformers".
        asked: the question, as plain values.
    """

    library: str
    asked: Mapping[str, Any]


def of_names(library: str) -> Question:
    """Return the question for the names of a library's models.

    >>> of_names("timm")
    Question(library='timm', asked={'names': 'timm'})
    """
    return Question(library, {"names": library})


def of_trace(model: Reference, inputs: Arguments | None, options: TraceOptions) -> Question | None:
    """Return the question for a model's graph; None if the answer depends on more than a library.

    >>> of_trace(Reference("library", "timm", "resnet50"), None, TraceOptions(batch=2)).library
    'timm'
    >>> of_trace(Reference("file", "net.py", "Net"), None, TraceOptions()) is None
    True
    """
    depends_on_more = options.device != "meta" or options.partial or options.weights is not None or options.download
    if depends_on_more or not _is_of_library(model):
        return None
    return Question(model.place, {"model": str(model), "inputs": repr(inputs), **asdict(options)})


def _is_of_library(reference: Reference) -> bool:
    """Return whether a library has the model by this name: "transformers:" may be followed by a configuration file."""
    return reference.kind == "library" and not is_configuration(reference.name)


@dataclass(frozen=True)
class File:
    """A file of the cache: its path, its size in bytes, and when it was last used, in nanoseconds."""

    path: Path
    size: int
    used: int


def directory() -> Path:
    """Return the cache directory (it may not exist yet).

    >>> directory().name
    'traces'
    """
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given) / "traces"
    from platformdirs import user_cache_path

    return user_cache_path("fxviz", appauthor=False) / "traces"


def prepare(folder: Path) -> None:
    """Create the cache directory, for this user alone, marked as a cache.

    Raises:
        OSError: it cannot be created.
    """
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    with suppress(FileExistsError), (folder / _TAG).open("x", encoding="utf-8") as tag:
        tag.write(_TAG_TEXT)


def files(folder: Path) -> list[File]:
    """Return the files of fxviz in the folder, the least recently used first.

    Raises:
        OSError: the folder cannot be read; a missing one is empty.

    >>> files(Path("no such folder"))
    []
    """
    try:
        return sorted(_files(folder), key=lambda file: file.used)
    except FileNotFoundError:
        return []


def trim(folder: Path, bound: int) -> None:
    """Remove the least recently used files until the others have at most ``bound`` bytes.

    Raises:
        OSError: the folder cannot be read.
    """
    found = files(folder)
    excess = sum(file.size for file in found) - bound
    for file in found:
        if excess <= 0:
            return
        with suppress(OSError):  # another process holds it open
            file.path.unlink(missing_ok=True)
            excess -= file.size


def clear(folder: Path) -> list[File]:
    """Remove all entries, and the folder if nothing else is in it.

    Returns:
        The files that were removed.

    Raises:
        OSError: one cannot be removed.
    """
    found = files(folder)
    for file in found:
        file.path.unlink(missing_ok=True)
    if folder.is_dir() and [path.name for path in folder.iterdir()] in ([_TAG], []):
        (folder / _TAG).unlink(missing_ok=True)
        with suppress(OSError):  # another process has just written an entry
            folder.rmdir()
    return found


def _files(folder: Path) -> Iterator[File]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if _OURS.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):  # another process has just removed it
                    seen = entry.stat()
                    yield File(Path(entry.path), seen.st_size, seen.st_mtime_ns)
