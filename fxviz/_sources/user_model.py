"""A model of the user's own: ``file.py:Net(depth=18)``, ``package.module:factory``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fxviz._errors import UsageError
from fxviz._graph import TensorInfo
from fxviz._sources.building import made
from fxviz._sources.calling import check_call
from fxviz._sources.finding import choice, find
from fxviz._sources.inputs import Arguments
from fxviz._sources.owncode import own_code
from fxviz._sources.reference import Reference
from fxviz._sources.refusing import NO_CODE, is_state
from fxviz._sources.source import Source, described
from fxviz._sources.user_code import beside, import_file, import_module, importable
from fxviz.quoting import shown

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
    return Source(reference.called, reference.place, maker.build, maker.declared, importing, is_shared=is_shared, maker=target)


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
