"""Files that torch.hub keeps: where they are on this machine, or downloaded by torch's own function."""

from __future__ import annotations

import re
from pathlib import Path

from fxviz._sources.releases import downloading

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
