"""Build a model from the user's own code (``file.py:Net(depth=18)``), and explain names that are not models."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fxviz._graph import TensorInfo
from fxviz._graph.errors import UsageError, shown, spelled
from fxviz._sources.calls import Names, check_call, described, near
from fxviz._sources.expression import Call, Step, expressions_in
from fxviz._sources.inputs import Arguments, describe
from fxviz._sources.reference import CHECKPOINTS, Reference
from fxviz._sources.source import Built, Source, made
from fxviz._sources.user_code import (
    beside,
    home,
    import_file,
    import_module,
    importable,
    leaving_raises,
    own_code,
)

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

    >>> source(Reference("module", "torch.nn", "Linear", (Call((4, 2)),))).build(False).module
    Linear(in_features=4, out_features=2, bias=True)
    """
    from torch import nn

    in_file = reference.kind == "file"
    module = import_file(reference.place) if in_file else import_module(reference)
    importing = partial(beside, home(module, reference.place)) if in_file else partial(importable, Path.cwd())
    running = partial(_running, importing)
    names = Names(module, reference.place)
    before, later = _split_at_call(reference.steps)
    with own_code(f"cannot find '{shown(str(reference))}'"), importing():
        target = names.after(find(reference, module), reference.name, before)
        for expression in expressions_in(later):
            names.find(expression)
    named = reference.name + "".join(map(str, before))
    _check_target(target, named, later, names, reference)
    if isinstance(target, nn.Module):
        return Source(
            reference.called, reference.place, lambda allocate: Built(target), running=running, is_shared=True
        )
    maker = _Maker(reference, lambda: names.after(target, named, later or (Call(),)), importing)
    is_shared = not isinstance(target, type) or len(later) > 1  # a function may return a module that lives on
    return Source(reference.called, reference.place, maker.build, running, is_shared=is_shared, maker=target)


@contextmanager
def _running(importing: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """Make the user's modules importable, and let a forward that ends the process fail instead."""
    with importing(), leaving_raises():
        yield


def _split_at_call(steps: tuple[Step, ...]) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """Split steps into those that only look something up, and those from the first call on."""
    first = next((place for place, step in enumerate(steps) if isinstance(step, Call)), len(steps))
    return steps[:first], steps[first:]


@dataclass(frozen=True)
class _Maker:
    """Calls the user's class or function, and takes the steps after it."""

    reference: Reference
    make: Callable[[], Any]
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
            return made(self.make, allocate)


def _check_target(target: Any, name: str, later: tuple[Step, ...], names: Names, reference: Reference) -> None:
    """Refuse a target that neither is a model nor makes one, or that does not take the arguments."""
    from torch import nn

    named = f"'{shown(name)}' in '{shown(reference.place)}'"
    if isinstance(target, nn.Module):
        if later:
            bare = f"{reference.place}:{name}"
            raise UsageError(f"{named} is a module, not a class, and takes no arguments: write '{shown(bare)}'")
        return
    if is_state(target):
        raise UsageError(f"{named} is {NO_CODE}")
    if isinstance(target, type) and not issubclass(target, nn.Module) and len(later) < 2:
        raise UsageError(f"{named} is a class, but not a torch.nn.Module; {choice(reference, names.module)}")
    if not callable(target):
        raise UsageError(f"{named} is {described(target)}, not a class or function; {choice(reference, names.module)}")
    check_call(target, _first_call(later), name, names)


def _first_call(steps: tuple[Step, ...]) -> Call:
    return next((step for step in steps if isinstance(step, Call)), Call())


def _split(result: Any, reference: Reference) -> tuple[nn.Module, Any]:
    """Split a result into the model and its inputs, if it has them."""
    from torch import nn

    pair = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    if isinstance(pair[0], nn.Module):
        return pair
    returned = (
        NO_CODE if is_state(result) else f"{described(result)}: return a torch.nn.Module, or a pair (module, inputs)"
    )
    raise UsageError(f"'{shown(str(reference))}' returned {returned}")


def _without_memory(inputs: Arguments) -> Arguments:
    """Replace each tensor on the meta device by its description."""
    from torch import Tensor

    from fxviz._sources.torch_private import tree_map_only

    def kept(tensor: Tensor) -> Tensor | TensorInfo:
        return describe(tensor) if tensor.is_meta else tensor

    args, kwargs = tree_map_only(Tensor, kept, (inputs.args, dict(inputs.kwargs)))
    return Arguments(args, kwargs)


def find(reference: Reference, module: ModuleType) -> Any:
    """Return the object that ``reference`` names in ``module``, before any of its steps.

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
            hint = near(part, value) or choice(reference, module)
            raise UsageError(f"'{shown(reference.place)}' has no '{shown(part)}'; {hint}") from None
    return value


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
    ['source', 'find', 'choice', 'candidates', 'refused', 'is_state']
    """
    from torch import nn

    public = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    own = {name: value for name, value in public.items() if getattr(value, "__module__", None) == module.__name__}
    yield from (name for name, value in own.items() if isinstance(value, type) and issubclass(value, nn.Module))
    yield from (name for name, value in public.items() if isinstance(value, nn.Module))
    yield from (name for name, value in own.items() if inspect.isfunction(value))


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
