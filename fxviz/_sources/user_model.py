"""Build a model from the user's own code (``file.py:Net(depth=18)``), and explain names that are not models."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fxviz._graph import TensorInfo
from fxviz._graph.errors import UsageError, parameters, shown, spelled
from fxviz._sources.inputs import Arguments, describe, is_required
from fxviz._sources.reference import CHECKPOINTS, Reference, written
from fxviz._sources.source import Built, Source, made
from fxviz._sources.user_code import beside, import_file, import_module, importable, own_code

if TYPE_CHECKING:
    from torch import Tensor, nn

NO_CODE = "a state_dict, not a model: build the module, call load_state_dict, and pass the module"
"""The description of a ``state_dict`` in messages, and what to do with it."""

_MAX_LISTED = 8
"""Maximum number of names that a message lists."""

_PICKLED = "it contains weights or a pickled module, and fxviz unpickles no modules"
_CONTENTS = {
    ".safetensors": "it contains weights, not code",
    ".onnx": "it contains an ONNX graph, not a PyTorch model",
    ".h5": "it contains weights, not code",
}
"""The content of a file, by suffix; those of other suffixes are pickled."""


def source(reference: Reference) -> Source:
    """Return the source of a model from the user's class, function or module, whose code is imported here once.

    A function may return a pair: the model and its inputs.

    Raises:
        UsageError: there is no such file or name, its code failed, or it does not return a model.

    >>> source(Reference("module", "torch.nn", "Linear", (4, 2))).build(False).module
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
        return Source(
            reference.called, reference.place, lambda allocate: Built(target), running=importing, is_shared=True
        )
    maker = _Maker(reference, target, importing)
    is_shared = not isinstance(target, type)  # a function may return a module that lives on
    return Source(reference.called, reference.place, maker.build, importing, is_shared=is_shared, maker=target)


@dataclass(frozen=True)
class _Maker:
    """Calls the user's class or function."""

    reference: Reference
    target: Callable[..., Any]
    importing: Callable[[], AbstractContextManager[None]]

    def build(self, allocate: bool) -> Built:
        """Build the model; if its constructor computes with parameters, they get memory in any case."""
        module, inputs = _split(self._result(allocate), self.reference)
        return Built(module, None if inputs is None else _without_memory(Arguments.of(inputs)))

    def _result(self, allocate: bool) -> Any:
        if not allocate:
            with suppress(UsageError):
                return self._call(False)
        return self._call(True)

    def _call(self, allocate: bool) -> Any:
        with own_code(f"cannot build '{shown(str(self.reference))}'"), self.importing():
            return made(lambda: self.target(*self.reference.args, **self.reference.kwargs), allocate)


def _check_target(target: Any, reference: Reference, module: ModuleType) -> None:
    """Refuse a target that neither is a model nor makes one, or that does not take the arguments."""
    from torch import nn

    named = f"'{shown(reference.name)}' in '{shown(reference.place)}'"
    if isinstance(target, nn.Module):
        if reference.args or reference.kwargs:
            bare = f"{reference.place}:{reference.name}"
            raise UsageError(f"{named} is a module, not a class, and takes no arguments: write '{shown(bare)}'")
        return
    if is_state(target):
        raise UsageError(f"{named} is {NO_CODE}")
    if isinstance(target, type) and not issubclass(target, nn.Module):
        raise UsageError(f"{named} is a class, but not a torch.nn.Module; {choice(reference, module)}")
    if not callable(target):
        raise UsageError(f"{named} is {_kind(target)}, not a class or function; {choice(reference, module)}")
    check_call(target, reference)


def _split(result: Any, reference: Reference) -> tuple[nn.Module, Any]:
    """Split a result into the model and its inputs, if it has them."""
    from torch import nn

    pair = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    if isinstance(pair[0], nn.Module):
        return pair
    returned = NO_CODE if is_state(result) else f"{_kind(result)}: return a torch.nn.Module, or a pair (module, inputs)"
    raise UsageError(f"'{shown(str(reference))}' returned {returned}")


def _kind(value: Any) -> str:
    """Describe a value for a message.

    >>> _kind(None), _kind(3), _kind(int)
    ('None', 'a value of type int', 'the class int')
    """
    if value is None:
        return "None"
    return f"the class {value.__name__}" if isinstance(value, type) else f"a value of type {type(value).__name__}"


def _without_memory(inputs: Arguments) -> Arguments:
    """Replace each tensor on the meta device by its description."""
    from torch import Tensor

    from fxviz._sources.torch_private import tree_map_only

    def kept(tensor: Tensor) -> Tensor | TensorInfo:
        return describe(tensor) if tensor.is_meta else tensor

    args, kwargs = tree_map_only(Tensor, kept, (inputs.args, dict(inputs.kwargs)))
    return Arguments(args, kwargs)


def find(reference: Reference, module: ModuleType) -> Any:
    """Return the object that ``reference`` names in ``module``.

    Raises:
        UsageError: it has no such name, or the reference has none; the message lists the names that it has.

    >>> find(Reference("module", "collections", "OrderedDict.fromkeys"), __import__("collections")).__name__
    'fromkeys'
    """
    if not reference.name:
        raise UsageError(f"name a class or function in '{shown(reference.place)}': {choice(reference, module)}")
    value: Any = module
    for part in reference.name.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            hint = _near(part, value) or choice(reference, module)
            raise UsageError(f"'{shown(reference.place)}' has no '{shown(part)}'; {hint}") from None
    return value


def _near(name: str, holder: Any) -> str:
    near = difflib.get_close_matches(name, [known for known in dir(holder) if not known.startswith("_")], n=1)
    return f"did you mean {near[0]}?" if near else ""


def choice(reference: Reference, module: ModuleType) -> str:
    """List the names that ``reference`` could have, for the end of a message."""
    names = list(candidates(module))
    if not names:
        return "it defines neither a torch.nn.Module nor a function: add a function that returns the model"
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return f"write '{shown(reference.place)}:NAME' with one of {', '.join(names[:_MAX_LISTED])}{more}"


def candidates(module: ModuleType) -> Iterator[str]:
    """Yield the names of nn.Module classes, then of nn.Module objects, then of functions that ``module`` defines.

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
        UsageError: arguments are missing or unexpected.

    >>> def make(depth, *, act): ...
    >>> check_call(make, Reference("file", "net.py", "make", (), {"act": "gelu"}))
    Traceback (most recent call last):
    ...
    fxviz.UsageError: 'net.py:make' needs depth: write 'net.py:make(act='gelu', depth=...)'
    """
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return  # code in C checks its arguments itself
    try:
        bound = signature.bind_partial(*reference.args, **reference.kwargs)
    except TypeError as error:
        raise UsageError(f"cannot call '{shown(str(reference))}': {error}; it takes {parameters(signature)}") from None
    required = {name: parameter for name, parameter in signature.parameters.items() if is_required(parameter)}
    if missing := [parameter for name, parameter in required.items() if name not in bound.arguments]:
        names = ", ".join(parameter.name for parameter in missing)
        raise UsageError(
            f"'{reference.place}:{reference.name}' needs {names}: write '{_completed(reference, missing)}'"
        )


def _completed(reference: Reference, missing: list[inspect.Parameter]) -> str:
    """Format the reference with a placeholder for each missing argument."""
    given = written(reference.args, reference.kwargs)[1:-1]
    places = [
        "..." if parameter.kind is parameter.POSITIONAL_ONLY else f"{parameter.name}=..." for parameter in missing
    ]
    return f"{reference.place}:{reference.name}({', '.join([given, *places] if given else places)})"


def refused(reference: Reference) -> UsageError:
    """Explain why a file of weights cannot be drawn, and what to name instead.

    >>> print(refused(Reference("weights", "a.h5")))
    cannot draw 'a.h5': it contains weights, not code; name the class or function that builds the model, 'net.py:Net'
    >>> str(refused(Reference("weights", "a.pt"))).rpartition("; ")[2]
    "name the class or function that builds the model, 'net.py:Net', and the weights with weights='a.pt'"
    """
    suffix, file = PurePath(reference.place).suffix.lower(), shown(reference.place)
    flag = spelled(f"weights='{file}'", f"--weights {file}")
    advice = "name the class or function that builds the model, 'net.py:Net'"
    weights = f", and the weights with {flag}" if suffix in CHECKPOINTS else ""
    return UsageError(f"cannot draw '{file}': {_CONTENTS.get(suffix, _PICKLED)}; {advice}{weights}")


def is_state(value: Any) -> bool:
    """Return whether it is a ``state_dict`` (tensors by name) or a checkpoint that contains one.

    >>> is_state({"fc.weight": __import__("torch").ones(1)}), is_state({"depth": 3}), is_state({})
    (True, False, False)
    """
    from torch import Tensor

    if not isinstance(value, Mapping):
        return False
    inner = [item for item in value.values() if isinstance(item, Mapping)]
    return any(isinstance(item, Tensor) for mapping in (value, *inner) for item in mapping.values())
