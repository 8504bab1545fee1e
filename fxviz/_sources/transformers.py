"""Build transformers' models by type, from the default configuration, a file, or a repository of the hub."""

from __future__ import annotations

import difflib
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxviz._graph import TensorInfo
from fxviz._graph.errors import UnknownModel, UsageError, shown
from fxviz._graph.values import Published
from fxviz._sources import hub
from fxviz._sources.reference import is_configuration
from fxviz._sources.releases import Release
from fxviz._sources.source import Built, Source, build, model_library
from fxviz._sources.transformers_inputs import arguments, image_of, with_picture

if TYPE_CHECKING:
    from torch import nn


NAME = "transformers"

_REPOSITORY = re.compile(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?", re.ASCII)
_SETTINGS = {
    "type": "model_type",
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "vocabulary": "vocab_size",
    "positions": "max_position_embeddings",
    "image": "image_size",
    "patch": "patch_size",
}
"""Settings of a configuration, by their name in fxviz."""

_CONFIGURATION = "config.json"
_FILES = (*hub.SINGLE[:1], *hub.INDEXES[:1], *hub.SINGLE[1:], *hub.INDEXES[1:])
"""Files that may hold the weights of a repository, in the order in which they are tried."""


def names() -> list[str]:
    """Return all model types that ``AutoModel`` knows, in alphabetical order."""
    return sorted(_library().models.auto.modeling_auto.MODEL_MAPPING_NAMES)


def knows(name: str) -> bool:
    """Return whether ``name`` is one of :func:`names`, or the path of a configuration (it may not exist)."""
    return name in names() or is_configuration(name)


def source(name: str) -> Source:
    """Return the source of the model type ``name``, or of the model that the configuration file ``name`` describes.

    Raises:
        UsageError: the file contains no configuration, or the model needs another library.
    """
    library = _library()
    with _building(name, library):
        config = _read(Path(name)) if is_configuration(name) else library.AutoConfig.for_model(name)
        cls = _model_class(config)
        inputs = arguments(cls, config)
        _without_cache(config)
    return Source(
        name,
        NAME,
        lambda allocate: _built(name, config, inputs, allocate),
        running=lambda: _silenced(library),
        maker=cls,
    )


def _built(name: str, config: Any, inputs: dict[str, TensorInfo], allocate: bool) -> Built:
    def make() -> nn.Module:
        return _instantiate(name, config)

    return Built(build(make, allocate), with_picture(inputs, config, image_of(config), make))


def _read(path: Path) -> Any:
    """Read a configuration from a file, without the remote code and the quantization that it may name."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the configuration '{path}': {error}") from None
    kind = values.pop("model_type", None) if isinstance(values, dict) else None
    if not isinstance(kind, str):
        raise UsageError(f"'{path}' is not a configuration of transformers: it has no \"model_type\"")
    if kind not in names():
        near = "".join(f"; did you mean '{match}'?" for match in difflib.get_close_matches(kind, names(), n=1))
        raise UnknownModel(f"unknown model type '{kind}' in '{path}'{near}")
    for ignored in ("auto_map", "quantization_config"):
        values.pop(ignored, None)
    return _library().CONFIG_MAPPING[kind].from_dict(values)


def _model_class(config: Any) -> Any:
    """Return the class that ``AutoModel`` builds from ``config``: of several, the one that it names, else the first."""
    found = _library().MODEL_MAPPING[type(config)]
    if not isinstance(found, (tuple, list)):
        return found
    wanted = getattr(config, "architectures", None) or []
    return next((cls for cls in found if cls.__name__ in wanted), found[0])


def _without_cache(config: Any) -> None:
    """Turn off the cache of keys and values, which would make them outputs of every layer."""
    if hasattr(config, "use_cache"):
        config.use_cache = False
    for name in getattr(config, "sub_configs", {}):
        _without_cache(getattr(config, name, None))


def _instantiate(name: str, config: Any) -> nn.Module:
    """Build the model in float32, as the dummy inputs are; the dtype of a configuration is that of its weights."""
    import torch

    config.architectures = config.architectures or [_model_class(config).__name__]  # which AutoModel takes for granted
    library = _library()
    with _building(name, library):
        module: nn.Module = library.AutoModel.from_config(config, dtype=torch.float32)
    return module


@contextmanager
def _building(name: str, library: Any) -> Iterator[None]:
    """Silence the library, and turn an error about a missing package into one line."""
    try:
        with _silenced(library):
            yield
    except ImportError as error:
        raise UsageError(f"cannot build 'transformers:{name}': {' '.join(str(error).split())}") from error


@contextmanager
def _silenced(library: Any) -> Iterator[None]:
    """Silence the library's warnings about speed and weights, which do not matter because nothing is computed."""
    log = logging.getLogger(library.__name__)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _library() -> Any:
    """Import transformers.

    Raises:
        UsageError: it is not installed, or needs a newer version of torch.
    """
    import torch

    library = model_library(NAME)
    if not library.is_torch_available():
        raise UsageError(
            f"transformers {library.__version__} needs a newer torch than {torch.__version__}: update torch"
        )
    return library


def published(name: str) -> tuple[Published, ...]:
    """Return nothing: the weights of transformers are on the hub, by repository, not by model type."""
    return ()


def declared(module: nn.Module) -> tuple[tuple[str, str], ...]:
    """Return the sizes in the configuration of the model, by their common names."""
    config = getattr(module, "config", None)
    values = [(label, getattr(config, setting, None)) for label, setting in _SETTINGS.items()]
    return tuple((label, str(value)) for label, value in values if value not in (None, ""))


def release(name: str, wanted: str) -> Release:
    """Return the weights of the repository ``wanted``, whose configuration sets the sizes of the model type ``name``.

    Raises:
        UsageError: it is not the name of a repository.

    >>> release("bert", "..")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: unknown weights '..' for transformers:bert: name a file or a repository of the Hugging Face hub
    """
    if not _REPOSITORY.fullmatch(wanted) or ".." in wanted:
        hint = "name a file or a repository of the Hugging Face hub"
        raise UsageError(f"unknown weights '{shown(wanted)}' for transformers:{name}: {hint}")
    return Release(
        f"the weights '{wanted}' of transformers:{name}",
        lambda: _cached(wanted),
        lambda progress: _fetch(wanted, progress),
        lambda: _source(name, wanted),
    )


def _cached(repository: str) -> Path | None:
    return hub.cached(repository, _FILES) if hub.cached(repository, (_CONFIGURATION,)) else None


def _fetch(repository: str, progress: bool) -> None:
    hub.fetch(repository, (_CONFIGURATION,), progress)
    hub.fetch(repository, _FILES, progress)


def _source(name: str, repository: str) -> Source:
    """Return the source of the model that the configuration of the repository describes, of the type ``name``."""
    path = hub.cached(repository, (_CONFIGURATION,))
    if path is None or is_configuration(name):
        return source(name)
    kind = _kind(path)
    if kind != name:
        advice = f"write 'transformers:{shown(kind)}'" if kind else "name a file of weights instead"
        raise UsageError(f"'{repository}' has the model type '{shown(kind)}', not '{name}': {advice}")
    return replace(source(str(path)), name=name)


def _kind(path: Path) -> str:
    """Return the model type of a configuration, "" if it has none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(values.get("model_type") or "") if isinstance(values, dict) else ""
