"""A model of the user's own: ``file.py:Net(depth=18)``, ``package.module:factory``."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path, PurePath
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fxviz._errors import UsageError, parameters, shown
from fxviz._graph import TensorInfo
from fxviz._sources.inputs import Arguments
from fxviz._sources.reference import CHECKPOINTS, Reference, written
from fxviz._sources.source import Source, described, made
from fxviz._sources.user_code import beside, import_file, import_module, importable, own_code

if TYPE_CHECKING:
    from torch import Tensor, nn


def source(reference: Reference) -> Source:
    """The model that the user's class or function makes, or the module that is made already; the code is imported once, here.

    A function may return a pair: the model, and what it is called with.

    Raises:
        UsageError: there is no such file or name, its code failed, or it makes no model.

    >>> source(Reference("module", "torch.nn", "Linear", (4, 2))).build(False)
    Linear(in_features=4, out_features=2, bias=True)
    """
    from torch import nn

    in_file = reference.kind == "file"
    module = import_file(reference.place) if in_file else import_module(reference)
    with own_code(f"cannot find '{shown(str(reference))}'"):
        target = find(reference, module)
    _check_target(target, reference, module)
    importing = partial(beside, Path(reference.place).absolute().parent) if in_file else partial(importable, Path.cwd())
    if isinstance(target, nn.Module):
        return Source(reference.called, reference.place, lambda allocate: target, running=importing, is_shared=True)
    maker = _Maker(reference, target, importing)
    is_shared = not isinstance(target, type)  # a function may return a module that lives on
    return Source(
        reference.called, reference.place, maker.build, maker.declared, importing, is_shared=is_shared, maker=target
    )


class _Maker:
    """Calls the user's class or function, and keeps the inputs that it gave with the model."""

    def __init__(
        self, reference: Reference, target: Callable[..., Any], importing: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._reference = reference
        self._target = target
        self._importing = importing
        self._declared: Arguments | None = None
        self._is_made = False

    def declared(self) -> Arguments | None:
        """What the model is called with; None if its function does not say."""
        if not self._is_made:
            self.build(False)
        return self._declared

    def build(self, allocate: bool) -> nn.Module:
        """The model as it is made. Constructors that compute with their parameters get them with memory in any case."""
        module, inputs = _parted(self._result(allocate), self._reference)
        self._declared = None if inputs is None else _without_memory(Arguments.of(inputs))
        self._is_made = True
        return module

    def _result(self, allocate: bool) -> Any:
        if not allocate:
            with suppress(UsageError):
                return self._call(False)
        return self._call(True)

    def _call(self, allocate: bool) -> Any:
        with own_code(f"cannot build '{shown(str(self._reference))}'"), self._importing():
            return made(lambda: self._target(*self._reference.args, **self._reference.kwargs), allocate)


def _check_target(target: Any, reference: Reference, module: ModuleType) -> None:
    """Whether it is, or may make, a model, and takes the arguments."""
    from torch import nn

    named = f"'{shown(reference.name)}' in '{shown(reference.place)}'"
    if isinstance(target, nn.Module):
        if reference.args or reference.kwargs:
            bare = f"{reference.place}:{reference.name}"
            raise UsageError(f"{named} is a module that is made already and takes no arguments: write '{shown(bare)}'")
        return
    if is_state(target):
        raise UsageError(f"{named} holds {NO_CODE}")
    if isinstance(target, type) and not issubclass(target, nn.Module):
        raise UsageError(f"{named} is a class, but no torch.nn.Module; {choice(reference, module)}")
    if not callable(target):
        raise UsageError(f"{named} is {_kind(target)}, no class or function; {choice(reference, module)}")
    check_call(target, reference)


def _parted(result: Any, reference: Reference) -> tuple[nn.Module, Any]:
    """The model, and its inputs if they came with it."""
    from torch import nn

    pair = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    if isinstance(pair[0], nn.Module):
        return pair
    returned = NO_CODE if is_state(result) else f"{_kind(result)}: return a torch.nn.Module, or a pair (module, inputs)"
    raise UsageError(f"'{shown(str(reference))}' returned {returned}")


def _kind(value: Any) -> str:
    """
    >>> _kind(None), _kind(3), _kind(int)
    ('None', 'a value of type int', 'the class int')
    """
    if value is None:
        return "None"
    return f"the class {value.__name__}" if isinstance(value, type) else f"a value of type {type(value).__name__}"


def _without_memory(inputs: Arguments) -> Arguments:
    """A tensor that was made where nothing has memory is described instead."""
    from torch import Tensor
    from torch.utils._pytree import tree_map_only

    def kept(tensor: Tensor) -> Tensor | TensorInfo:
        return described(tensor) if tensor.is_meta else tensor

    args, kwargs = tree_map_only(Tensor, kept, (inputs.args, dict(inputs.kwargs)))
    return Arguments(args, kwargs)


_MANY = 8
"""So many names are listed at most."""


def find(reference: Reference, module: ModuleType) -> Any:
    """What ``reference`` names in ``module``.

    Raises:
        UsageError: there is nothing of that name, or no name is given; the message lists what there is.

    >>> find(Reference("module", "collections", "OrderedDict.fromkeys"), __import__("collections")).__name__
    'fromkeys'
    """
    if not reference.name:
        raise UsageError(f"no class or function is named in '{shown(reference.place)}'; {choice(reference, module)}")
    value: Any = module
    for part in reference.name.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            hint = _near(part, value) or choice(reference, module)
            raise UsageError(f"no '{shown(part)}' in '{shown(reference.place)}'; {hint}") from None
    return value


def _near(name: str, holder: Any) -> str:
    near = difflib.get_close_matches(name, [known for known in dir(holder) if not known.startswith("_")], n=1)
    return f"did you mean {near[0]}?" if near else ""


def choice(reference: Reference, module: ModuleType) -> str:
    """The names that could stand in ``reference``, as the end of a message."""
    names = list(candidates(module))
    if not names:
        return "it defines no torch.nn.Module and no function: write one that returns the model"
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return f"write '{shown(reference.place)}:NAME' with one of {', '.join(names[:_MANY])}{more}"


def candidates(module: ModuleType) -> Iterator[str]:
    """Names of the nn.Module classes, then of the modules that are made, then of the functions that ``module`` itself defines.

    >>> list(candidates(__import__("fxviz._sources.user_model", fromlist=["find"])))
    ['source', 'find', 'choice', 'candidates', 'check_call', 'refused', 'is_state']
    """
    from torch import nn

    public = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    own = {name: value for name, value in public.items() if getattr(value, "__module__", None) == module.__name__}
    yield from (name for name, value in own.items() if isinstance(value, type) and issubclass(value, nn.Module))
    yield from (name for name, value in public.items() if isinstance(value, nn.Module))
    yield from (name for name, value in own.items() if inspect.isfunction(value))


def check_call(target: Callable[..., Any], reference: Reference) -> None:
    """Refuse arguments that do not fit.

    Raises:
        UsageError: arguments are missing, or not taken.

    >>> def make(depth, *, act): ...
    >>> check_call(make, Reference("file", "net.py", "make", (), {"act": "gelu"}))
    Traceback (most recent call last):
    ...
    fxviz.UsageError: 'net.py:make' needs depth: write 'net.py:make(act='gelu', depth=...)'
    """
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return  # written in C: it says so itself
    try:
        bound = signature.bind_partial(*reference.args, **reference.kwargs)
    except TypeError as error:
        raise UsageError(f"cannot call '{shown(str(reference))}': {error}; it takes {parameters(signature)}") from None
    required = {name: parameter for name, parameter in signature.parameters.items() if _is_required(parameter)}
    if missing := [parameter for name, parameter in required.items() if name not in bound.arguments]:
        names = ", ".join(parameter.name for parameter in missing)
        raise UsageError(
            f"'{reference.place}:{reference.name}' needs {names}: write '{_completed(reference, missing)}'"
        )


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind not in (
        parameter.VAR_POSITIONAL,
        parameter.VAR_KEYWORD,
    )


def _completed(reference: Reference, missing: list[inspect.Parameter]) -> str:
    """The name with a place for each missing argument."""
    given = written(reference.args, reference.kwargs)[1:-1]
    places = [
        "..." if parameter.kind is parameter.POSITIONAL_ONLY else f"{parameter.name}=..." for parameter in missing
    ]
    return f"{reference.place}:{reference.name}({', '.join([given, *places] if given else places)})"


_PICKLED = "it holds weights or a pickled module, and fxviz unpickles no module"
_HOLDS = {
    ".safetensors": "it holds weights, not code",
    ".onnx": "it holds a graph of ONNX, not a PyTorch model",
    ".h5": "it holds weights, not code",
}
"""What a file of weights holds; those not listed are pickled."""


def refused(reference: Reference) -> UsageError:
    """Why a file of weights cannot be drawn, and what can.

    >>> print(refused(Reference("weights", "a.h5")))
    cannot draw 'a.h5': it holds weights, not code; name the class or function that builds the model, 'net.py:Net'
    >>> str(refused(Reference("weights", "a.pt"))).rpartition("; ")[2]
    "name the class or function that builds the model, and the weights beside it: 'net.py:Net --weights a.pt'"
    """
    suffix, file = PurePath(reference.place).suffix.lower(), shown(reference.place)
    example = (
        f", and the weights beside it: 'net.py:Net --weights {file}'" if suffix in CHECKPOINTS else ", 'net.py:Net'"
    )
    holds = _HOLDS.get(suffix, _PICKLED)
    return UsageError(f"cannot draw '{file}': {holds}; name the class or function that builds the model{example}")


def is_state(value: Any) -> bool:
    """Whether it is a ``state_dict``: tensors by name, also inside of a checkpoint.

    >>> is_state({"fc.weight": __import__("torch").ones(1)}), is_state({"depth": 3}), is_state({})
    (True, False, False)
    """
    from torch import Tensor

    if not isinstance(value, Mapping):
        return False
    inner = [item for item in value.values() if isinstance(item, Mapping)]
    return any(isinstance(item, Tensor) for mapping in (value, *inner) for item in mapping.values())


NO_CODE = "weights without code: build the module, load them into it with load_state_dict, and give the module"
"""What a ``state_dict`` is, and the way out."""
