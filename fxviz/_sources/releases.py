"""Published weights that can be loaded: where they are on this machine, or how they get there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fxviz._errors import FxvizError, UsageError, shown
from fxviz._sources.source import Source


@dataclass(frozen=True)
class Release:
    """Published weights of one name.

    Attributes:
        label: what a message calls them: "resnet18's weights IMAGENET1K_V1".
        cached: their file on this machine, None if it is not there.
        fetch: download them; the argument says whether progress is shown on standard error.
        source: tells the model that they are of; called when they are here.
        size: of the download, "44.7 MB"; "" if that is not declared.
    """

    label: str
    cached: Callable[[], Path | None]
    fetch: Callable[[bool], object]
    source: Callable[[], Source]
    size: str = ""

    def file(self) -> Path:
        """Their file on this machine.

        Raises:
            UsageError: it is not here.

        >>> Release("weights A", lambda: None, print, print, "44.7 MB").file()
        Traceback (most recent call last):
        ...
        fxviz.UsageError: weights A are not on this machine; --download (in Python download=True) fetches them (44.7 MB)
        """
        found = self.cached()
        if found is None:
            size = f" ({self.size})" if self.size else ""
            raise UsageError(
                f"{self.label} are not on this machine; --download (in Python download=True) fetches them{size}"
            )
        return found


def megabytes(value: float | None) -> str:
    """A size in megabytes as people write it, "" if it is not known.

    >>> megabytes(44.661), megabytes(2416.643), megabytes(None)
    ('44.7 MB', '2.42 GB', '')
    """
    if value is None:
        return ""
    return f"{value:.1f} MB" if value < 1000 else f"{value / 1000:.2f} GB"


@contextmanager
def downloading(label: str, place: str) -> Iterator[None]:
    """Say in one line why a download failed.

    Raises:
        FxvizError: it did.

    >>> with downloading("weights A", "example.org"):
    ...     raise OSError("no route")
    Traceback (most recent call last):
    ...
    fxviz.FxvizError: cannot download weights A from example.org: OSError: no route; or name a file: --weights FILE
    """
    try:
        yield
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        said = f"{type(error).__name__}: {shown(first, 200)}; or name a file: --weights FILE"
        raise FxvizError(f"cannot download {label} from {shown(place, 200)}: {said}") from error


_HASH = re.compile(r"-([a-f0-9]{8,})\.")
"""In the name of a file: how the SHA-256 of its bytes begins."""


def cached(url: str) -> Path | None:
    """The file behind ``url`` in torch.hub's folder, None if it is not there."""
    return file if (file := _file(url)).is_file() else None


def fetch(label: str, url: str, progress: bool) -> None:
    """Download the file behind ``url`` to torch.hub's folder, and check its hash where its name tells one.

    Raises:
        FxvizError: that fails.
    """
    from torch import hub

    file, prefix = _file(url), _HASH.search(url)
    with downloading(label, url):
        file.parent.mkdir(parents=True, exist_ok=True)
        hub.download_url_to_file(url, str(file), prefix[1] if prefix else None, progress)


def _file(url: str) -> Path:
    from torch import hub

    return Path(hub.get_dir(), "checkpoints", url.rpartition("/")[2])
