"""Build timm's models by name, on images of the size that timm declares, and find their published weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxviz._graph import TensorInfo
from fxviz._graph.errors import UsageError, choice, shown
from fxviz._graph.values import Published
from fxviz._sources import hub, releases
from fxviz._sources.releases import Release
from fxviz._sources.source import IMAGE, Built, Source, build, model_library

if TYPE_CHECKING:
    from torch import nn


_DEFAULT = "DEFAULT"
_MAX_LISTED = 8
"""Maximum number of tags that a message lists."""


def names() -> list[str]:
    """Return all model names in alphabetical order."""
    return sorted(model_library("timm").list_models())


def source(name: str) -> Source:
    """Return the source of the model called ``name``; a tag of weights ("resnet18.a1_in1k") selects their settings."""
    maker = model_library("timm").model_entrypoint(name.partition(".")[0])
    return Source(
        name, "timm", lambda allocate: Built(build(lambda: _create(name), allocate), (_image(name),)), maker=maker
    )


def knows(name: str) -> bool:
    """Return whether ``name`` is one of :func:`names`, with or without a tag of weights."""
    timm = model_library("timm")
    return name in timm.list_models() or name in timm.list_pretrained()


def _create(name: str) -> nn.Module:
    module: nn.Module = model_library("timm").create_model(name, pretrained=False)
    return module


def _image(name: str) -> TensorInfo:
    """Return a batch of one image of the declared size."""
    declared: Any = model_library("timm").get_pretrained_cfg(name, allow_unregistered=True)
    size = getattr(declared, "input_size", None) or IMAGE.shape[1:]
    return TensorInfo((1, *size), IMAGE.dtype)


def published(name: str) -> tuple[Published, ...]:
    """Return the published weights of the model called ``name``; only those with the tag if the name has one."""
    architecture, _, tag = name.partition(".")
    tags = _tags(architecture)
    first = next(iter(tags), "")
    wanted = {tag: tags[tag]} if tag in tags else tags
    return tuple(_published(tag, declared, tag == first) for tag, declared in wanted.items())


def release(name: str, wanted: str) -> Release:
    """Return the weights with the tag ``wanted`` of the model called ``name``, which gets their number of classes.

    Raises:
        UsageError: there are no weights with that tag.
    """
    architecture, _, named = name.partition(".")
    tags = _tags(architecture)
    tag = (named or next(iter(tags), "")) if wanted == _DEFAULT else wanted.removeprefix(f"{architecture}.")
    if tag not in tags:
        raise UsageError(f"timm:{name} has no weights '{shown(wanted)}': {_choice(list(tags))}")
    declared, label = tags[tag], f"timm:{architecture}'s weights {tag}"
    return Release(
        label,
        lambda: _cached(declared),
        lambda progress: _fetch(label, declared, progress),
        lambda: source(f"{architecture}.{tag}"),
    )


def _choice(tags: list[str]) -> str:
    if not tags:
        return "timm publishes none; name a file"
    listed = f"{_DEFAULT}, {', '.join(tags[:_MAX_LISTED])}" if len(tags) > _MAX_LISTED else choice((_DEFAULT, *tags))
    return f"choose {listed}{f' or {len(tags) - _MAX_LISTED} more' if len(tags) > _MAX_LISTED else ''}, or name a file"


def _tags(architecture: str) -> dict[str, Any]:
    """Return what timm declares for each tag with published weights, the default one first."""
    library = model_library("timm")
    names = library.list_pretrained(f"{architecture}.*")
    tags = [name.partition(".")[2] for name in names]
    declared = {tag: library.get_pretrained_cfg(f"{architecture}.{tag}") for tag in tags}
    default = getattr(library.get_pretrained_cfg(architecture, allow_unregistered=True), "tag", None)
    return dict(sorted(declared.items(), key=lambda item: item[0] != default))


def _files(declared: Any) -> tuple[str, ...]:
    """Return the names of the file in the repository, the one that contains only data first."""
    name = declared.hf_hub_filename
    if not name:
        return hub.SINGLE
    safe = str(Path(name).with_suffix(".safetensors"))
    return (name,) if name == safe else (safe, name)


def _cached(declared: Any) -> Path | None:
    found = hub.cached(declared.hf_hub_id, _files(declared)) if declared.hf_hub_id else None
    return found or (releases.cached(declared.url) if declared.url else None)


def _fetch(label: str, declared: Any, progress: bool) -> None:
    if declared.hf_hub_id:
        hub.fetch(declared.hf_hub_id, _files(declared), progress)
    else:
        releases.fetch(label, declared.url, progress)


def _published(tag: str, declared: Any, is_default: bool) -> Published:
    return Published(tag, is_default, _cached(declared) is not None, facts=tuple(_facts(declared)))


def _facts(declared: Any) -> Iterator[tuple[str, str]]:
    sizes = "×".join(map(str, declared.input_size or ()))
    values = {
        "licence": declared.license,
        "input": sizes,
        "classes": declared.num_classes,
        "hub": declared.hf_hub_id,
        "paper": declared.paper_ids,
        "from": declared.origin_url,
        "note": declared.description,
    }
    for label, value in values.items():
        if value:
            yield label, " ".join(str(value).split())
