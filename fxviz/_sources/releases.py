"""Find published weights on this machine, or download them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fxviz._graph.errors import FxvizError, UsageError, shown, spelled
from fxviz._sources.source import Source


@dataclass(frozen=True)
class Release:
    """Published weights of one name.

    Attributes:
        label: their name in messages: "resnet18's weights IMAGENET1K_V1".
        cached: returns their file on this machine, None if it is not there.
        fetch: downloads them; the argument says whether to show progress on standard error.
        source: returns the source of their model; called once they are on this machine.
        size: the size of the download, "44.7 MB"; "" if it is not declared.
    """

    label: str
    cached: Callable[[], Path | None]
    fetch: Callable[[bool], object]
    source: Callable[[], Source]
    size: str = ""

    def file(self) -> Path:
        """Return their file on this machine.

        Raises:
            UsageError: they are not on this machine.

        >>> Release("weights A", lambda: None, print, print, "44.7 MB").file()
        Traceback (most recent call last):
        ...
        fxviz.UsageError: weights A are not on this machine; download=True downloads them (44.7 MB)
        """
        found = self.cached()
        if found is None:
            size = f" ({self.size})" if self.size else ""
            raise UsageError(
                f"{self.label} are not on this machine; {spelled('download=True', '--download')} downloads them{size}"
            )
        return found


def megabytes(value: float | None) -> str:
    """Format a size given in megabytes; "" if it is not known.

    >>> megabytes(44.661), megabytes(2416.643), megabytes(None)
    ('44.7 MB', '2.42 GB', '')
    """
    if value is None:
        return ""
    return f"{value:.1f} MB" if value < 1000 else f"{value / 1000:.2f} GB"


@contextmanager
def downloading(label: str, place: str) -> Iterator[None]:
    """Turn an error during a download into one line.

    Raises:
        FxvizError: the download failed.

    >>> with downloading("weights A", "example.org"):
    ...     raise OSError("no route")
    Traceback (most recent call last):
    ...
    fxviz.FxvizError: cannot download weights A from example.org: OSError: no route; or name a file: weights=FILE
    """
    try:
        yield
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        reason, file = f"{type(error).__name__}: {shown(first, 200)}", spelled("weights=FILE", "--weights FILE")
        raise FxvizError(
            f"cannot download {label} from {shown(place, 200)}: {reason}; or name a file: {file}"
        ) from error


_HASH = re.compile(r"-([a-f0-9]{8,})\.")
"""The first digits of the SHA-256 of a file, as part of its name."""


def cached(url: str) -> Path | None:
    """Return the file downloaded from ``url`` in torch.hub's directory, None if it is not there."""
    return file if (file := _file(url)).is_file() else None


def fetch(label: str, url: str, progress: bool) -> None:
    """Download ``url`` to torch.hub's directory, and check the hash if the name of the file contains one.

    Raises:
        FxvizError: the download failed.
    """
    from torch import hub

    file, prefix = _file(url), _HASH.search(url)
    with downloading(label, url):
        file.parent.mkdir(parents=True, exist_ok=True)
        hub.download_url_to_file(url, str(file), prefix[1] if prefix else None, progress)


def _file(url: str) -> Path:
    from torch import hub

    return Path(hub.get_dir(), "checkpoints", url.rpartition("/")[2])
