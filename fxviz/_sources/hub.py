"""Find files of the Hugging Face hub in its cache, or download them with its own library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fxviz._sources.checkpoints import parts
from fxviz._sources.releases import downloading

SINGLE = ("model.safetensors", "pytorch_model.bin")
"""Files that hold all weights of a repository; the first contains data only."""

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
"""Files that list the shards of large weights."""


def cached(repository: str, names: Sequence[str]) -> Path | None:
    """Return the first of these files that is in the cache, with all shards if it is an index; None if none is."""
    for name in names:
        found = _cached(repository, name)
        if found is not None and (name not in INDEXES or all(part.exists() for part in parts(found))):
            return found
    return None


def _cached(repository: str, name: str) -> Path | None:
    identity, _, revision = repository.partition("@")
    found = _library().try_to_load_from_cache(identity, name, revision=revision or None)
    return Path(found) if isinstance(found, str) else None


def fetch(repository: str, names: Sequence[str], progress: bool) -> None:
    """Download the first of these files that the repository has, with all shards if it is an index.

    Raises:
        FxvizError: the download failed.
    """
    with downloading(f"the weights of {repository}", "the Hugging Face hub"), _progress_bars(progress):
        found = _download_first(repository, names)
        for part in parts(found) if found.name in INDEXES else []:
            _download(repository, part.name)


def _download_first(repository: str, names: Sequence[str]) -> Path:
    """Download the first file that exists; if none does, the error is that of the last name."""
    from huggingface_hub.errors import EntryNotFoundError

    for name in names[:-1]:
        try:
            return _download(repository, name)
        except EntryNotFoundError:
            continue
    return _download(repository, names[-1])


def _download(repository: str, name: str) -> Path:
    identity, _, revision = repository.partition("@")
    return Path(_library().hf_hub_download(identity, name, revision=revision or None))


@contextmanager
def _progress_bars(progress: bool) -> Iterator[None]:
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if progress or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _library() -> Any:
    """Import huggingface_hub, which timm and transformers depend on."""
    import huggingface_hub

    return huggingface_hub
