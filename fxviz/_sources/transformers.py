"""transformers' models by type, from their default configuration or one in a file; nothing is downloaded."""

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

from fxviz._errors import UnknownModel, UsageError, shown
from fxviz._graph.values import Published
from fxviz._sources import hub
from fxviz._sources.releases import Release
from fxviz._sources.source import Source, build, optional_library
from fxviz._sources.transformers_inputs import arguments

if TYPE_CHECKING:
    from torch import nn


def names() -> list[str]:
    """All model types that ``AutoModel`` knows, in alphabetical order.

    >>> _ = __import__("conftest").usable("transformers")
    >>> "bert" in names(), "whisper" in names()
    (True, True)
    """
    return sorted(_library().models.auto.modeling_auto.MODEL_MAPPING_NAMES)


def knows(name: str) -> bool:
    """Whether ``name`` is one of :func:`names`, or the path of a configuration.

    >>> _ = __import__("conftest").usable("transformers")
    >>> knows("bert"), knows("bret"), knows("somewhere/config.json")
    (True, False, True)
    """
    return name in names() or _is_file(name)


def source(name: str) -> Source:
    """The model of the type ``name``, or the one that the configuration in the file ``name`` describes.

    Raises:
        UsageError: the file holds no configuration, or the model needs yet another library.

    >>> _ = __import__("conftest").usable("transformers")
    >>> source("bert").inputs["input_ids"].shape
    (1, 5)
    """
    library = _library()
    with _plainly(name, library):
        config = _read(Path(name)) if _is_file(name) else library.AutoConfig.for_model(name)
        cls = _model_class(config)
        inputs = arguments(cls, config)
        _without_cache(config)
    return Source(
        name,
        "transformers",
        lambda allocate: build(lambda: _create(name, config), allocate),
        lambda: inputs,
        running=lambda: _quiet(library),
        maker=cls,
    )


def _is_file(name: str) -> bool:
    return name.lower().endswith(".json")


def _read(path: Path) -> Any:
    """The configuration in a file: plain values. Code elsewhere and the packing of weights that it names are left aside."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the configuration '{path}': {error}") from None
    kind = values.pop("model_type", None) if isinstance(values, dict) else None
    if not isinstance(kind, str):
        raise UsageError(f"'{path}' holds no configuration of transformers: it has no \"model_type\"")
    if kind not in names():
        near = "".join(f"; the nearest is '{match}'" for match in difflib.get_close_matches(kind, names(), n=1))
        raise UnknownModel(f"'{path}': transformers has no model type '{kind}'{near}")
    for aside in ("auto_map", "quantization_config"):
        values.pop(aside, None)
    return _library().CONFIG_MAPPING[kind].from_dict(values)


def _model_class(config: Any) -> Any:
    """What ``AutoModel`` builds from ``config``: where a type has several classes, the one it names or else the first."""
    found = _library().MODEL_MAPPING[type(config)]
    if not isinstance(found, (tuple, list)):
        return found
    wanted = getattr(config, "architectures", None) or []
    return next((cls for cls in found if cls.__name__ in wanted), found[0])


def _without_cache(config: Any) -> None:
    """Keys and values kept for the next token would be outputs of every layer; the run is one step."""
    if hasattr(config, "use_cache"):
        config.use_cache = False
    for name in getattr(config, "sub_configs", {}):
        _without_cache(getattr(config, name, None))


def _create(name: str, config: Any) -> nn.Module:
    """The model in single precision, as the dummy inputs are; a configuration's own dtype is that of its weights."""
    import torch

    config.architectures = config.architectures or [_model_class(config).__name__]  # which AutoModel takes for granted
    library = _library()
    with _plainly(name, library):
        module: nn.Module = library.AutoModel.from_config(config, dtype=torch.float32)
    return module


@contextmanager
def _plainly(name: str, library: Any) -> Iterator[None]:
    """No remarks on standard error; what the installation lacks is said in one line."""
    try:
        with _quiet(library):
            yield
    except ImportError as error:
        raise UsageError(f"cannot build 'transformers:{name}': {' '.join(str(error).split())}") from error


@contextmanager
def _quiet(library: Any) -> Iterator[None]:
    """The library's remarks are about speed and weights to come, and nothing is computed."""
    log = logging.getLogger(library.__name__)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _library() -> Any:
    """transformers, if it is there and works with the torch that is there.

    Raises:
        UsageError: it is not installed, or asks for a newer torch.
    """
    import torch

    library = optional_library("transformers")
    if not library.is_torch_available():
        raise UsageError(
            f"transformers {library.__version__} does not work with torch {torch.__version__}: update torch"
        )
    return library


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
"""What a configuration declares, by what it is called here."""

_CONFIGURATION = "config.json"
_FILES = (*hub.SINGLE[:1], *hub.INDEXES[:1], *hub.SINGLE[1:], *hub.INDEXES[1:])


def published(name: str) -> tuple[Published, ...]:
    """transformers declares no weights of a type: they are on the hub, by repository."""
    return ()


def declared(module: nn.Module) -> tuple[tuple[str, str], ...]:
    """What the model's configuration says of its sizes, by the names that are used most."""
    config = getattr(module, "config", None)
    values = [(label, getattr(config, setting, None)) for label, setting in _SETTINGS.items()]
    return tuple((label, str(value)) for label, value in values if value not in (None, ""))


def release(name: str, wanted: str) -> Release:
    """The weights of the repository ``wanted``, whose configuration says how large the model of type ``name`` is.

    Raises:
        UsageError: that is no name of a repository.

    >>> release("bert", "../x")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: no weights '../x' of transformers:bert: name a file, or a repository: google-bert/bert-base-uncased
    """
    if not _REPOSITORY.fullmatch(wanted) or ".." in wanted:
        hint = "name a file, or a repository: google-bert/bert-base-uncased"
        raise UsageError(f"no weights '{shown(wanted)}' of transformers:{name}: {hint}")
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
    """The model that the repository's configuration describes, which is of the type ``name``."""
    path = hub.cached(repository, (_CONFIGURATION,))
    if path is None or name.lower().endswith(".json"):
        return source(name)
    kind = _kind(path)
    if kind != name:
        other = f"write 'transformers:{shown(kind)}'" if kind else "name a file of weights instead"
        raise UsageError(f"'{repository}' is of the type '{shown(kind)}', not '{name}': {other}")
    return replace(source(str(path)), name=name)


def _kind(path: Path) -> str:
    """The type of model that a configuration describes, "" if it does not say."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(values.get("model_type") or "") if isinstance(values, dict) else ""
