"""Files of the Hugging Face hub: in its cache on this machine, or downloaded by its own library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fxviz._sources.checkpoints import parts
from fxviz._sources.releases import downloading

SINGLE = ("model.safetensors", "pytorch_model.bin")
"""Files that hold all weights of a repository; the first is data only."""

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
"""Files that name those over which large weights are spread."""


def cached(repository: str, names: Sequence[str]) -> Path | None:
    """The first of these files that is in the cache, with all that an index names; None if none is."""
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
    """Download the first of these files that the repository has, and all that an index names.

    Raises:
        FxvizError: that fails.
    """
    with downloading(f"the weights of {repository}", "the Hugging Face hub"), _bars(progress):
        found = _first(repository, names)
        for part in parts(found) if found.name in INDEXES else []:
            _fetched(repository, part.name)


def _first(repository: str, names: Sequence[str]) -> Path:
    """The last name is tried without excuse: its error is the one to tell."""
    from huggingface_hub.errors import EntryNotFoundError

    for name in names[:-1]:
        try:
            return _fetched(repository, name)
        except EntryNotFoundError:
            continue
    return _fetched(repository, names[-1])


def _fetched(repository: str, name: str) -> Path:
    identity, _, revision = repository.partition("@")
    return Path(_library().hf_hub_download(identity, name, revision=revision or None))


@contextmanager
def _bars(progress: bool) -> Iterator[None]:
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
    """huggingface_hub, which timm and transformers bring along."""
    import huggingface_hub

    return huggingface_hub
