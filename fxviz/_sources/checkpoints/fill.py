"""Load the tensors of a checkpoint into a model, and match their names to those of the model."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fxviz._graph import WeightsInfo
from fxviz._graph.errors import UsageError, shown
from fxviz._graph.units import shape
from fxviz._sources.user_code import own_code

if TYPE_CHECKING:
    from torch import Tensor, nn

Place = tuple[Any, str, str]
"""A module, the name of one of its parameters or buffers, and its full name in the model."""


def fill(module: nn.Module, state: dict[str, Any], name: str) -> WeightsInfo:
    """Load the tensors of a checkpoint into ``module``, which takes over their sizes and dtypes.

    Tied parameters stay tied: of several tensors for one parameter, the first is loaded and the others are
    unexpected. If the tensors have no memory, buffers keep their values and take over the dtype only. If all
    floating-point tensors of the file have one dtype, those that are missing get that dtype, too.

    Args:
        module: a module that fxviz built.
        state: the tensors by name, as :func:`~fxviz._sources.checkpoints.read` returns them.
        name: the name of the file or of the published weights, for messages.

    Raises:
        UsageError: sizes differ, the weights are quantized, or no name matches.

    >>> import torch
    >>> model = torch.nn.Linear(2, 3)
    >>> fill(model, {"module.weight": torch.ones(3, 2).half()}, "w.pt")
    WeightsInfo(name='w.pt', dtype='float16', part='', prefix='module.', missing=('bias',), unexpected=())
    >>> model.weight.dtype, model.bias.dtype
    (torch.float16, torch.float16)
    """
    where = f"cannot load '{shown(name)}' into {type(module).__name__}"
    own = _tensors_of(module, where)
    found = fit(state, own.keys())
    for key, given in found.tensors.items():
        if key in own:
            _check_tensor(where, key, given, own[key])
    ties = _ties(module)
    missing, unexpected = _load(module, found, own, where)
    if found.tensors.keys() <= set(unexpected):
        raise UsageError(f"{where}: {_nothing_fits(found, list(own))}")
    _tie(ties, missing)
    dtypes = _dtypes(found, unexpected)
    if len(dtypes) == 1:
        _convert(module, set(found.tensors) - set(unexpected), next(iter(dtypes)))
    main = max(dtypes, key=lambda dtype: dtypes[dtype], default="")
    names = tuple(found.names.get(key, key) for key in (*unexpected, *_ignored(found, ties)))
    dtype = str(main).removeprefix("torch.")
    return WeightsInfo(name, dtype, found.part, found.prefix, _missing_names(missing, ties), names)


def _tensors_of(module: nn.Module, where: str) -> dict[str, Tensor]:
    """Return the parameters and buffers by their names in the state_dict of the model."""
    from torch import Tensor

    with own_code(where):
        saved = module.state_dict(keep_vars=True)
    return {key: value for key, value in saved.items() if isinstance(value, Tensor)}


def _check_tensor(where: str, key: str, given: Tensor, own: Tensor) -> None:
    """Refuse a tensor whose sizes differ from those in the model, or one that is quantized."""
    from torch.nn.parameter import is_lazy

    if is_lazy(own):
        return
    if _computes(own) and not _computes(given):
        packed = f"'{shown(key)}' is {_dtype(given)} in the file, quantized or packed, but {_dtype(own)} in the model"
        raise UsageError(f"{where}: {packed}; use the weights from before quantization")
    if given.shape != own.shape:
        sizes = f"'{shown(key)}' is {shape(given.shape)} in the file, but {shape(own.shape)} in the model"
        raise UsageError(
            f"{where}: {sizes}; build the model with the sizes of the weights, as in"
            " 'torchvision.models:resnet18(num_classes=10)' or 'net.py:Net(...)'"
        )


def _computes(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _load(module: nn.Module, found: Fit, own: dict[str, Tensor], where: str) -> tuple[list[str], list[str]]:
    """Load with ``load_state_dict``, which modules may override; return the missing and the unexpected names."""
    tensors = {key: _tensor_for(tensor, own.get(key)) for key, tensor in found.tensors.items()}
    with own_code(where):
        try:
            result = module.load_state_dict(tensors, strict=False, assign=True)
        except RuntimeError as error:
            *_, last = str(error).strip().splitlines() or [""]
            raise UsageError(f"{where}: {shown(last.strip(), 200)}") from error
    return list(result.missing_keys), list(result.unexpected_keys)


def _tensor_for(given: Tensor, own: Tensor | None) -> Tensor:
    """Return the tensor to load: a buffer keeps its values if those of the file are not read."""
    from torch import nn

    if own is None or isinstance(own, nn.Parameter) or own.is_meta or not given.is_meta:
        return given
    return own.to(given.dtype)


def _nothing_fits(found: Fit, own: list[str]) -> str:
    if not own:
        return "the model has no parameters"
    if not found.tensors:
        return "the file contains no tensors by name"
    first = shown(next(iter(found.names.values())))
    names = f"the file has '{first}', the model has '{own[0]}'"
    return f"none of its {len(found.tensors)} names is in the model ({names}); name the model of these weights"


def _ties(module: nn.Module) -> list[list[Place]]:
    """Return the places of each parameter that has several."""
    places: defaultdict[int, list[Place]] = defaultdict(list)
    for path, part in module.named_modules(remove_duplicate=False):
        for name, parameter in part.named_parameters(recurse=False, remove_duplicate=False):
            places[id(parameter)].append((part, name, f"{path}.{name}" if path else name))
    return [tied for tied in places.values() if len(tied) > 1]


def _tie(ties: list[list[Place]], missing: list[str]) -> None:
    """Tie parameters again that were tied before, to the first that was loaded."""
    for places in ties:
        owner, name, _ = next((place for place in places if place[2] not in missing), places[0])
        parameter = getattr(owner, name)
        for other, key, _ in places:
            setattr(other, key, parameter)


def _ignored(found: Fit, ties: list[list[Place]]) -> list[str]:
    """Return the names of tensors for a tied parameter that another tensor of the file was loaded into."""
    given = [[key for _, _, key in places if key in found.tensors] for places in ties]
    return [key for keys in given for key in keys[1:] if found.tensors[key] is not found.tensors[keys[0]]]


def _missing_names(missing: list[str], ties: list[list[Place]]) -> tuple[str, ...]:
    """Return the names of parameters that are missing under each of their names."""
    aliases = {place[2]: {other[2] for other in places} for places in ties for place in places}
    return tuple(key for key in missing if aliases.get(key, {key}) <= set(missing))


def _dtypes(found: Fit, unexpected: list[str]) -> Counter[Any]:
    """Count the elements of each floating-point dtype that were loaded."""
    counts: Counter[Any] = Counter()
    for key, tensor in found.tensors.items():
        if tensor.is_floating_point() and key not in unexpected:
            counts[tensor.dtype] += tensor.numel()
    return counts


def _convert(module: nn.Module, loaded: set[str], dtype: Any) -> None:
    """Convert what was not loaded to the dtype of what was, as ``module.to(dtype)`` does."""
    for owner, name, key in _floating(module):
        tensor = getattr(owner, name)
        if key not in loaded and tensor.dtype != dtype and tensor.is_floating_point():
            tensor.data = tensor.data.to(dtype)


def _floating(module: nn.Module) -> Iterator[Place]:
    """Yield all parameters and buffers, including those that are not saved."""
    from torch.nn.parameter import is_lazy

    for path, part in module.named_modules():
        tensors = (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False))
        for name, tensor in tensors:
            if not is_lazy(tensor):
                yield part, name, f"{path}.{name}" if path else name


_TENSORFLOW = {"gamma": "weight", "beta": "bias"}
"""Names of the parameters of a norm in TensorFlow and in models converted from it."""


@dataclass(frozen=True)
class Fit:
    """The tensors of a checkpoint by their names in the model.

    Attributes:
        tensors: by their names in the model; those without one, by their names in the file.
        names: their names in the file.
        part: the part of the checkpoint that contains them ("state_dict"), "" for its top level.
        prefix: the prefix that only the names in the file have ("module.").
    """

    tensors: dict[str, Any]
    names: Mapping[str, str]
    part: str = ""
    prefix: str = ""


def fit(state: Mapping[str, Any], own: Set[str]) -> Fit:
    """Return the part of a checkpoint that fits a model best, the first if several do.

    Args:
        state: the content of the file, in which everything but mappings is a tensor.
        own: the names of the model.

    >>> state = {"epoch": {}, "state_dict": {"module.fc.weight": 1, "module.norm.gamma": 2}}
    >>> found = fit(state, {"fc.weight", "norm.weight"})
    >>> found.tensors, found.part, found.prefix
    ({'fc.weight': 1, 'norm.weight': 2}, 'state_dict', 'module.')
    """
    fits = [_fit(tensors, own, part) for part, tensors in _parts(state)]
    return max(fits, key=lambda found: len(found.tensors.keys() & own), default=Fit({}, {}))


def _parts(state: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the mappings in a checkpoint that contain tensors, outer ones first."""
    if tensors := {name: value for name, value in state.items() if not isinstance(value, Mapping)}:
        yield place, tensors
    for name, value in state.items():
        if isinstance(value, Mapping):
            yield from _parts(value, f"{place}.{name}" if place else name)


def _fit(tensors: Mapping[str, Any], own: Set[str], part: str) -> Fit:
    prefix = _prefix(tensors, own)
    bare = {name.removeprefix(prefix): name for name in tensors}
    if len(bare) < len(tensors):  # "module.fc" and "fc", both
        prefix, bare = "", {name: name for name in tensors}
    spelled = _spellings(own - bare.keys())
    names = {name if name in own else spelled.get(_normalized(name), name): given for name, given in bare.items()}
    return Fit({name: tensors[given] for name, given in names.items()}, names, part, prefix)


def _prefix(tensors: Mapping[str, Any], own: Set[str]) -> str:
    """Return the prefix of at least half of the names without which most of them are names of the model."""
    known = set(map(_normalized, own))
    counts: Counter[str] = Counter()
    common: Counter[str] = Counter()
    for name in tensors:
        for prefix in _prefixes(name):
            common[prefix] += 1
            counts[prefix] += _normalized(name.removeprefix(prefix)) in known
    best = max(counts, key=lambda prefix: (counts[prefix] if common[prefix] * 2 >= len(tensors) else -1, -len(prefix)))
    return best


def _prefixes(name: str) -> Iterator[str]:
    """Yield all prefixes of a name that end at a dot, the empty one first.

    >>> list(_prefixes("model.fc.weight"))
    ['', 'model.', 'model.fc.']
    """
    yield ""
    for place, sign in enumerate(name):
        if sign == ".":
            yield name[: place + 1]


def _normalized(name: str) -> str:
    """Normalize the spelling of a name: "norm.1.weight" is "norm1.weight", "norm.gamma" is "norm.weight".

    >>> _normalized("denselayer1.norm.1.gamma")
    'denselayer1norm1.weight'
    """
    path, _, last = name.rpartition(".")
    return f"{path.replace('.', '')}.{_TENSORFLOW.get(last, last)}"


def _spellings(own: Set[str]) -> dict[str, str]:
    """Return the names of the model by their normalized spelling, if it is unique."""
    counts = Counter(map(_normalized, own))
    return {_normalized(name): name for name in own if counts[_normalized(name)] == 1}
