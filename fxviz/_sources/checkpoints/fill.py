"""A model with the tensors of a checkpoint in place of its own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fxviz._errors import UsageError, shown
from fxviz._graph import WeightsInfo
from fxviz._graph.units import shape
from fxviz._sources.user_code import own_code

if TYPE_CHECKING:
    from torch import Tensor, nn

Place = tuple[Any, str, str]
"""A module, the name of one of its parameters or buffers, and that name from the model on."""


def fill(module: nn.Module, state: dict[str, Any], name: str) -> WeightsInfo:
    """Put the tensors of a checkpoint into ``module``: sizes and dtypes are those of the file from then on.

    Tied parameters stay tied: of several tensors for one the first is taken, the others are unexpected. Where the tensors have
    no memory, buffers keep their values and take over the dtype alone. If all the file has one floating dtype, what it does
    not hold gets it, too.

    Args:
        module: fxviz's own.
        state: the tensors by name, as :func:`~fxviz._sources.checkpoints.read` gives them.
        name: of the file or of the published weights, for messages.

    Raises:
        UsageError: sizes differ, the weights are packed, or nothing fits.

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
            _check(where, key, given, own[key])
    ties = _ties(module)
    missing, unexpected = _loaded(module, found, own, where)
    if found.tensors.keys() <= set(unexpected):
        raise UsageError(f"{where}: {_nothing_fits(found, list(own))}")
    _tie(ties, missing)
    dtypes = _dtypes(found, unexpected)
    if len(dtypes) == 1:
        _convert(module, set(found.tensors) - set(unexpected), next(iter(dtypes)))
    main = max(dtypes, key=lambda dtype: dtypes[dtype], default="")
    names = tuple(found.names.get(key, key) for key in (*unexpected, *_left_over(found, ties)))
    return WeightsInfo(name, str(main).removeprefix("torch."), found.part, found.prefix, _lacking(missing, ties), names)


def _tensors_of(module: nn.Module, where: str) -> dict[str, Tensor]:
    """Parameters and buffers under the names that the model saves them by."""
    from torch import Tensor

    with own_code(where):
        saved = module.state_dict(keep_vars=True)
    return {key: value for key, value in saved.items() if isinstance(value, Tensor)}


def _check(where: str, key: str, given: Tensor, own: Tensor) -> None:
    """Refuse a tensor of other sizes than the model's, or one that is packed."""
    from torch.nn.parameter import is_lazy

    if is_lazy(own):
        return
    if _computes(own) and not _computes(given):
        packed = f"'{shown(key)}' is {_dtype(given)} there, quantized or packed, and computed with in {_dtype(own)}"
        raise UsageError(f"{where}: {packed}; give the weights as they were before that")
    if given.shape != own.shape:
        sizes = f"'{shown(key)}' is {shape(given.shape)} there and {shape(own.shape)} in the model"
        raise UsageError(
            f"{where}: {sizes}; build the model with the sizes of the weights, as in"
            " 'torchvision.models:resnet18(num_classes=10)' or 'net.py:Net(...)'"
        )


def _computes(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _loaded(module: nn.Module, found: Fit, own: dict[str, Tensor], where: str) -> tuple[list[str], list[str]]:
    """Load as ``load_state_dict`` does, so that the modules' own ways of it count; what is missing, and what is too much."""
    tensors = {key: _kept(tensor, own.get(key)) for key, tensor in found.tensors.items()}
    with own_code(where):
        try:
            result = module.load_state_dict(tensors, strict=False, assign=True)
        except RuntimeError as error:
            *_, last = str(error).strip().splitlines() or [""]
            raise UsageError(f"{where}: {shown(last.strip(), 200)}") from error
    return list(result.missing_keys), list(result.unexpected_keys)


def _kept(given: Tensor, own: Tensor | None) -> Tensor:
    """What is put into the model: a buffer keeps its values where the file's are not read."""
    from torch import nn

    if own is None or isinstance(own, nn.Parameter) or own.is_meta or not given.is_meta:
        return given
    return own.to(given.dtype)


def _nothing_fits(found: Fit, own: list[str]) -> str:
    if not own:
        return "the model has no parameters"
    if not found.tensors:
        return "the file holds no tensors by name"
    first = shown(next(iter(found.names.values())))
    said = f"none of its {len(found.tensors)} names is one of the model's (there '{first}', here '{own[0]}')"
    return f"{said}; name the model that these weights are of"


def _ties(module: nn.Module) -> list[list[Place]]:
    """The places of each parameter that stands in several."""
    places: defaultdict[int, list[Place]] = defaultdict(list)
    for path, part in module.named_modules(remove_duplicate=False):
        for name, parameter in part.named_parameters(recurse=False, remove_duplicate=False):
            places[id(parameter)].append((part, name, f"{path}.{name}" if path else name))
    return [tied for tied in places.values() if len(tied) > 1]


def _tie(ties: list[list[Place]], missing: list[str]) -> None:
    """Put one parameter into the places that had one before, the first that was loaded."""
    for places in ties:
        owner, name, _ = next((place for place in places if place[2] not in missing), places[0])
        parameter = getattr(owner, name)
        for other, key, _ in places:
            setattr(other, key, parameter)


def _left_over(found: Fit, ties: list[list[Place]]) -> list[str]:
    """Names of tensors for a parameter that got another tensor of the file."""
    given = [[key for _, _, key in places if key in found.tensors] for places in ties]
    return [key for keys in given for key in keys[1:] if found.tensors[key] is not found.tensors[keys[0]]]


def _lacking(missing: list[str], ties: list[list[Place]]) -> tuple[str, ...]:
    """What is missing under each of its names."""
    aliases = {place[2]: {other[2] for other in places} for places in ties for place in places}
    return tuple(key for key in missing if aliases.get(key, {key}) <= set(missing))


def _dtypes(found: Fit, unexpected: list[str]) -> Counter[Any]:
    """Elements of each floating dtype among what was loaded."""
    counts: Counter[Any] = Counter()
    for key, tensor in found.tensors.items():
        if tensor.is_floating_point() and key not in unexpected:
            counts[tensor.dtype] += tensor.numel()
    return counts


def _convert(module: nn.Module, loaded: set[str], dtype: Any) -> None:
    """What was not loaded gets the dtype of what was, as by ``module.to(dtype)``."""
    for owner, name, key in _floating(module):
        tensor = getattr(owner, name)
        if key not in loaded and tensor.dtype != dtype and tensor.is_floating_point():
            tensor.data = tensor.data.to(dtype)


def _floating(module: nn.Module) -> Iterator[Place]:
    """All parameters and buffers, also those that no checkpoint holds."""
    from torch.nn.parameter import is_lazy

    for path, part in module.named_modules():
        tensors = (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False))
        for name, tensor in tensors:
            if not is_lazy(tensor):
                yield part, name, f"{path}.{name}" if path else name


_OLD = {"gamma": "weight", "beta": "bias"}
"""How TensorFlow calls the parameters of a norm, and models that came from there."""


@dataclass(frozen=True)
class Fit:
    """The tensors of a checkpoint under the model's names.

    Attributes:
        tensors: by the model's name for them; those that it has no name for are among them under the file's own.
        names: what each is called in the file.
        part: where in the checkpoint they stood ("state_dict"), "" for its top.
        prefix: what the file's names begin with and the model's do not ("module.").
    """

    tensors: dict[str, Any]
    names: Mapping[str, str]
    part: str = ""
    prefix: str = ""


def fit(state: Mapping[str, Any], own: Set[str]) -> Fit:
    """The part of a checkpoint that fits a model best, the first of equals.

    Args:
        state: what the file holds; tensors are whatever is no mapping.
        own: the model's names.

    >>> found = fit({"epoch": {}, "state_dict": {"module.fc.weight": 1, "module.norm.gamma": 2}}, {"fc.weight", "norm.weight"})
    >>> found.tensors, found.part, found.prefix
    ({'fc.weight': 1, 'norm.weight': 2}, 'state_dict', 'module.')
    """
    fits = [_fit(tensors, own, part) for part, tensors in _parts(state)]
    return max(fits, key=lambda found: len(found.tensors.keys() & own), default=Fit({}, {}))


def _parts(state: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The mappings in a checkpoint that hold tensors, the outer ones first."""
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
    names = {name if name in own else spelled.get(_loose(name), name): given for name, given in bare.items()}
    return Fit({name: tensors[given] for name, given in names.items()}, names, part, prefix)


def _prefix(tensors: Mapping[str, Any], own: Set[str]) -> str:
    """What at least half of the names begin with, and after which most of them are the model's."""
    known = set(map(_loose, own))
    counts: Counter[str] = Counter()
    common: Counter[str] = Counter()
    for name in tensors:
        for prefix in _prefixes(name):
            common[prefix] += 1
            counts[prefix] += _loose(name.removeprefix(prefix)) in known
    best = max(counts, key=lambda prefix: (counts[prefix] if common[prefix] * 2 >= len(tensors) else -1, -len(prefix)))
    return best


def _prefixes(name: str) -> Iterator[str]:
    """
    >>> list(_prefixes("model.fc.weight"))
    ['', 'model.', 'model.fc.']
    """
    yield ""
    for place, sign in enumerate(name):
        if sign == ".":
            yield name[: place + 1]


def _loose(name: str) -> str:
    """A name without what spellings differ in: "norm.1.weight" is "norm1.weight", "norm.gamma" is "norm.weight".

    >>> _loose("denselayer1.norm.1.gamma")
    'denselayer1norm1.weight'
    """
    path, _, last = name.rpartition(".")
    return f"{path.replace('.', '')}.{_OLD.get(last, last)}"


def _spellings(own: Set[str]) -> dict[str, str]:
    """The model's names by their loose form, where that is one name's alone."""
    counts = Counter(map(_loose, own))
    return {_loose(name): name for name in own if counts[_loose(name)] == 1}
