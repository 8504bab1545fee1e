"""Build transformers' models by type, from the default configuration, a file, or a repository of the hub."""

from __future__ import annotations

import difflib
import importlib.util
import json
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fxviz._graph import TensorInfo
from fxviz._graph.errors import FxvizError, TraceError, UnknownModel, UsageError, shown, text_of
from fxviz._graph.files import read_whole
from fxviz._graph.values import Published
from fxviz._sources import hub
from fxviz._sources.offline import NotHere, missing, not_here
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

_SIZE = re.compile(
    r"\w+_size|num_\w+|n_(embd|layer|head|positions|ctx)|d_(model|ff|kv)|max_position_embeddings|head_dim"
)
"""Settings that hold whole numbers, or lists of these."""

_POSITIVE = ("hidden_size", "d_model", "n_embd", "num_attention_heads", "n_head", "num_heads", "patch_size")
"""Settings below 1 that no model can have."""

_LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
"""Settings below 0 that no model can have."""

_DEPTH = re.compile(r"(\w+_)?(layers?|depths?|blocks)")
"""Settings that hold numbers of layers, or lists of these."""

_MOST_LAYERS = 10_000
"""Maximum number of layers in a configuration: to build more takes hours."""

_TYPE = re.compile(r"""\(\s*"([\w-]+)",\s*"\w+Config"\s*\)|"([\w-]+)":\s*"\w+Config\"""")
"""A model type in the code of transformers, with the class of its configuration."""

_MAX_BYTES = 10_000_000
"""Maximum size of a configuration."""

_MAX_NESTING = 50
"""Maximum depth of the values of a configuration, one in the other."""

_MAX_ELEMENTS = 2**60
"""Maximum elements of a tensor: those of 8 bytes must be countable in 64 bits."""

_MAX_SAID = 300
"""Maximum length of the library's own words in a message."""

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
        _check_inputs(inputs, name)
        _without_cache(config)
    return Source(
        name,
        NAME,
        lambda allocate: _built(name, config, inputs, allocate),
        running=lambda: _running(name, library),
        maker=cls,
    )


def _check_inputs(inputs: dict[str, TensorInfo], name: str) -> None:
    """Refuse sizes of which torch can make no tensor."""
    for argument, info in inputs.items():
        if any(size < 1 for size in info.shape) or prod(info.shape) > _MAX_ELEMENTS:
            sizes = shown("×".join(map(str, info.shape)))
            raise UsageError(
                f"invalid configuration '{shown(name, _MAX_SAID)}': its sizes make the input {argument} {sizes}, "
                "and each size must be 1 or greater, with no more elements than torch can count"
            )


def _built(name: str, config: Any, inputs: dict[str, TensorInfo], allocate: bool) -> Built:
    def make() -> nn.Module:
        return _instantiate(name, config)

    return Built(build(make, allocate), with_picture(inputs, config, image_of(config), make))


def check(name: str) -> None:
    """Refuse a configuration file whose mistakes can be known without torch; do nothing for a model type.

    Raises:
        UnknownModel: transformers has no such model type.
        UsageError: it cannot be read, or a size in it is none.

    >>> check("nowhere/config.json")
    Traceback (most recent call last):
    ...
    fxviz.UsageError: cannot read the configuration 'nowhere/config.json': No such file or directory
    """
    if not is_configuration(name) or importlib.util.find_spec(NAME) is None:
        return
    kind, values = _values(Path(name))
    _check_sizes(name, values)
    known = _types_in_code()
    if known and kind not in known:
        raise _unknown_type(kind, name, known)


def _values(path: Path) -> tuple[str, dict[str, Any]]:
    """Read the model type and the settings of a configuration, without the remote code that it may name."""
    where = shown(str(path), _MAX_SAID)
    try:
        values = json.loads(read_whole(path, _MAX_BYTES).decode("utf-8"), object_pairs_hook=_once)
        if _is_nested(values, _MAX_NESTING):
            raise ValueError(f"it is nested more than {_MAX_NESTING} levels deep")
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or f"it is not valid JSON ({error})"
        raise UsageError(f"cannot read the configuration '{where}': {reason}") from None
    kind = values.pop("model_type", None) if isinstance(values, dict) else None
    if not isinstance(kind, str) or not kind:
        raise UsageError(f"'{where}' is not a configuration of transformers: it has no \"model_type\"")
    for ignored in ("auto_map", "quantization_config"):
        values.pop(ignored, None)
    return kind, values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that stands twice in one object, of which only one value could count."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'"{shown(twice)}" stands in it twice')
    return values


def _is_nested(value: Any, levels: int) -> bool:
    """Return whether it is nested more than this many levels deep."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_nested(each, levels - 1) for each in inner)


def _check_sizes(name: str, values: dict[str, Any]) -> None:
    """Refuse a text or a fraction where only whole numbers make sense, a width below 1, and more layers than can be."""
    where = f"invalid configuration '{shown(name, _MAX_SAID)}'"
    for key, value in values.items():
        if isinstance(value, dict) and key.endswith("_config"):
            _check_sizes(name, value)
        whole = isinstance(value, int) and not isinstance(value, bool)
        wrong = _SIZE.fullmatch(key) and isinstance(value, (str, bool, float))
        least = 1 if key in _POSITIVE else 0
        if wrong or (key in (*_POSITIVE, *_LAYERS) and whole and value < least):
            said = f'"{shown(key)}" is {shown(json.dumps(value))}: must be a whole number, {least} or greater'
            raise UsageError(f"{where}: {said}")
        numbers = value if isinstance(value, list) else [value]
        if _DEPTH.fullmatch(key) and any(isinstance(number, int) and number > _MOST_LAYERS for number in numbers):
            said = f'"{shown(key)}" is {shown(json.dumps(value))}: must be {_MOST_LAYERS:,} or less'
            raise UsageError(f"{where}: {said}")


def _types_in_code() -> list[str]:
    """Return the model types in the code of transformers, which is read, not imported; [] if they are elsewhere."""
    spec = importlib.util.find_spec(NAME)
    folders = spec.submodule_search_locations if spec else None
    files = [file for folder in folders or [] for file in (Path(folder) / "models" / "auto").glob("*auto*.py")]
    found = [match for file in files for match in _TYPE.findall(file.read_text(encoding="utf-8"))]
    return sorted({in_pair or in_dict for in_pair, in_dict in found})


def _unknown_type(kind: str, name: str, known: Sequence[str]) -> UnknownModel:
    near = "".join(f"; did you mean '{match}'?" for match in difflib.get_close_matches(kind, known, n=1))
    return UnknownModel(f"unknown model type '{shown(kind)}' in '{shown(name, _MAX_SAID)}'{near}")


def _read(path: Path) -> Any:
    """Read a configuration from a file."""
    kind, values = _values(path)
    if kind not in names():
        raise _unknown_type(kind, str(path), names())
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
    """Silence the library, and turn an error about a missing package or a wrong setting into one line."""
    try:
        with _silenced(library):
            yield
    except FxvizError:
        raise
    except Exception as error:
        said = " ".join(text_of(error).split()) if isinstance(error, ImportError) else _said(error, name, library)
        kind = NotHere if not_here(error) else UsageError
        raise kind(f"cannot build 'transformers:{shown(name, _MAX_SAID)}': {said}") from error


def _settings(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each setting with its value, those of nested configurations, too."""
    for key, value in values.items():
        yield key, value
        if isinstance(value, dict):
            yield from ((f"{key}.{inner}", given) for inner, given in _settings(value))


def _said(error: Exception, name: str, library: Any) -> str:
    """Describe an error in one line; name the setting that asks for a file elsewhere, or has an unknown value."""
    if wanted := not_here(error):
        return f"{_asks(name, wanted)} {missing(wanted)}"
    if isinstance(error, KeyError) and error.args and is_configuration(name):
        value = error.args[0]
        setting = next((key for key, given in _settings(_values(Path(name))[1]) if given == value), None)
        if setting is not None:
            known = list(library.activations.ACT2FN) if setting.endswith(("act", "activation", "function")) else []
            near = difflib.get_close_matches(str(value), known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            return f"unknown {setting} '{shown(str(value))}'{hint}"
    return shown(f"{type(error).__name__}: {' '.join(text_of(error).split())}", _MAX_SAID)


def _asks(name: str, address: str) -> str:
    """Name the setting of a configuration that leads to an address."""
    for key, value in _settings(_values(Path(name))[1]) if is_configuration(name) else ():
        if isinstance(value, str) and value and value.rpartition(":")[2] in address:
            return f"its {key} '{shown(value)}' needs"
    return "it needs"


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


@contextmanager
def _running(name: str, library: Any) -> Iterator[None]:
    """Silence the library; a run that fails with the settings of a file is blamed on the file."""
    try:
        with _silenced(library):
            yield
    except TraceError as error:
        if is_configuration(name):
            error.args = (f"{error.args[0]}; perhaps settings in '{shown(name, _MAX_SAID)}' do not fit together",)
            error.exit_status = UsageError.exit_status
        raise


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
        values = json.loads(read_whole(path, _MAX_BYTES).decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    return str(values.get("model_type") or "") if isinstance(values, dict) else ""
