"""One entry: a compressed file with a line that says what it answers and what it was made from, and then the answer."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fxviz._cli.cache import folder, sources
from fxviz._cli.cache.installation import NotKept, described
from fxviz._cli.cache.question import Question
from fxviz._graph.files import write_whole


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
        path = folder.place() / f"{hashlib.sha256(key.encode()).hexdigest()}{folder.SUFFIX}"
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
            head, _, text = file.read(folder.BOUND).decode().partition("\n")
        said = json.loads(head)
        if said["key"] != self.key or said["state"] != sources.state(said["sources"]):
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
        files = sources.loaded()
        state = sources.state(files)
        sources.check_unchanged(files)
        head = json.dumps({"key": self.key, "state": state, "sources": files})
        folder.prepare(self.path.parent)
        write_whole(self.path, gzip.compress(f"{head}\n{text}".encode(), compresslevel=6, mtime=0))
        folder.trim(self.path.parent, folder.BOUND)
