"""One entry: a compressed file with a line that says what it answers and what it was made from, and then the answer."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from fxviz._cli.cache import installation
from fxviz._cli.cache.installation import NotKept, described
from fxviz._graph.files import write_whole
from fxviz._graph.options import TraceOptions
from fxviz._sources.reference import Reference, parse


@dataclass(frozen=True)
class Entry:
    """The place of an answer, be it there or not.

    Attributes:
        path: its file.
        key: what was asked for, and what the installation looked like then.
    """

    path: Path
    key: str

    @classmethod
    def to(cls, question: Question) -> Entry:
        """The entry that answers ``question`` for this installation.

        Raises:
            NotKept: of this installation nothing is kept, or something else than a file is in the entry's place.
        """
        key = json.dumps({"asked": dict(question.asked), "installation": described(question.library)}, sort_keys=True)
        path = place() / f"{hashlib.sha256(key.encode()).hexdigest()}{SUFFIX}"
        if path.exists() and not path.is_file():
            raise NotKept(f"{path} is no file")
        return cls(path, key)

    def read(self) -> str:
        """The answer, and a note that it was of use.

        Raises:
            OSError: there is none, it cannot be read, or a source file is gone.
            EOFError: it is cut short.
            zlib.error: it is damaged.
            ValueError: it answers something else, or a source file has changed.
        """
        with gzip.open(self.path) as file:
            head, _, text = file.read(BOUND).decode().partition("\n")
        said = json.loads(head)
        if said["key"] != self.key or said["state"] != installation.state(said["sources"]):
            raise ValueError("the entry is of another key, or out of date")
        with suppress(OSError):
            os.utime(self.path)
        return text

    def write(self, text: str) -> None:
        """Keep an answer; those that were not of use for the longest time make room for it.

        Raises:
            OSError, BadOutput: the folder takes no file.
            ValueError: a source file was changed since this process began.
        """
        files = installation.loaded()
        state = installation.state(files)
        installation.check_unchanged(files)
        head = json.dumps({"key": self.key, "state": state, "sources": files})
        prepare(self.path.parent)
        write_whole(self.path, gzip.compress(f"{head}\n{text}".encode(), compresslevel=6, mtime=0))
        trim(self.path.parent, BOUND)


@dataclass(frozen=True)
class Question:
    """Something that depends on a library and on nothing else.

    Attributes:
        library: "torchvision", "timm" or "transformers".
        asked: what is asked, as plain values.
    """

    library: str
    asked: Mapping[str, Any]


def of_names(library: str) -> Question:
    """The question for the names of a library's models.

    >>> of_names("timm")
    Question(library='timm', asked={'names': 'timm'})
    """
    return Question(library, {"names": library})


def of_trace(model: str, how: Mapping[str, Any]) -> Question | None:
    """The question for a model's graph; None if the answer depends on more than a library.

    Args:
        model: what :func:`fxviz.trace` takes by name.
        how: its other arguments, those that were given.

    Raises:
        UsageError: there can be no such model, or the options do not fit.

    >>> of_trace("timm:resnet50", {"batch": 2}).library
    'timm'
    >>> of_trace("net.py:Net", {}), of_trace("resnet18", {"device": "cpu"}), of_trace("resnet18", {"weights": "DEFAULT"})
    (None, None, None)
    """
    reference = parse(model)
    known = {field.name for field in fields(TraceOptions)}
    if not _is_of_library(reference) or not how.keys() <= known | {"inputs", "batch"}:
        return None
    options = TraceOptions(**{name: value for name, value in how.items() if name in known})
    if options.device != "meta" or options.partial:
        return None
    given = {"inputs": repr(how.get("inputs")), "batch": how.get("batch")}
    return Question(reference.place, {"model": model, **given, **asdict(options)})


def _is_of_library(reference: Reference) -> bool:
    """Whether a library has the model by this name; after "transformers:" may stand the file of a configuration."""
    return reference.kind == "library" and not reference.name.lower().endswith(".json")


SUFFIX = ".json.gz"
BOUND = 256_000_000
"""Bytes of all entries together, at most; a traced model takes about 20 kB."""

VARIABLE = "FXVIZ_CACHE"
"""The environment variable that names another folder than the user's cache."""

_TAG = "CACHEDIR.TAG"
_TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of fxviz, which 'fxviz cache clear' empties.\n"
"""Programs that make backups leave a folder with this file out (https://bford.info/cachedir/)."""

_OURS = re.compile(rf"[0-9a-f]{{64}}{re.escape(SUFFIX)}|\.fxviz\.\w+\.part")
"""An entry, or the beginning of one that a process was killed over."""


@dataclass(frozen=True)
class File:
    """A file of the cache: its path, its bytes, and when it was of use last, in nanoseconds."""

    path: Path
    size: int
    used: int


def place() -> Path:
    """The folder of the entries, be it there or not.

    >>> place().name
    'traces'
    """
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given) / "traces"
    from platformdirs import user_cache_path

    return user_cache_path("fxviz", appauthor=False) / "traces"


def prepare(folder: Path) -> None:
    """Make the folder, marked as a cache.

    Raises:
        OSError: it cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), (folder / _TAG).open("x", encoding="utf-8") as tag:
        tag.write(_TAG_TEXT)


def files(folder: Path) -> list[File]:
    """What of fxviz lies in the folder, the first the one that was not of use for the longest time.

    Raises:
        OSError: the folder cannot be read; one that is not there is empty.

    >>> files(Path("no such folder"))
    []
    """
    try:
        return sorted(_files(folder), key=lambda file: file.used)
    except FileNotFoundError:
        return []


def trim(folder: Path, bound: int) -> None:
    """Remove the files that were not of use for the longest time, until those that stay have ``bound`` bytes at most.

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
        What was removed.

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
