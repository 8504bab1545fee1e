"""Look up the names in a model's name, call what is called there, and explain arguments that do not fit."""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from fxviz._graph.errors import UsageError, parameters, shown
from fxviz._sources.expression import Attribute, Call, Expression, Item, Step, evaluated
from fxviz._sources.inputs import is_required

_ALWAYS = ("torch", "types")
"""Modules whose names any model's name may contain; all others come from the model's own file, folder or package."""

_NAMESPACE = "types.SimpleNamespace"
"""The object to pass where code reads attributes and there is no class for them."""

_WORD = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
"""A word in the name of a class."""

_SHORTEST = 3
"""Minimum number of letters of a parameter that a class is named after."""

_MAX_SHOWN = 8
"""Maximum number of attributes that a message shows."""


@dataclass(frozen=True)
class Names:
    """The names that a model's name may contain.

    Attributes:
        module: the user's module, whose names come first.
        place: how the user named it, for messages.

    >>> Names(importlib.import_module("collections"), "collections").value(Expression("OrderedDict", (Call(),)))
    OrderedDict()
    """

    module: ModuleType
    place: str

    def value(self, expression: Expression) -> Any:
        """Return what an expression stands for: look its name up, and take its steps.

        Raises:
            UsageError: there is no such name, attribute or item, or a call does not fit.
        """
        return self.after(self.find(expression), expression.name, expression.steps)

    def after(self, value: Any, name: str, steps: tuple[Step, ...]) -> Any:
        """Take steps from a value, which messages call ``name``."""
        for step in steps:
            if isinstance(step, Call):
                check_call(value, step, name, self)
                value = value(*evaluated(step.args, self.value), **evaluated(step.kwargs, self.value))
            elif isinstance(step, Attribute):
                value = _attribute(value, step.name, name)
            else:
                value = _item(value, step, name)
            name += str(step)
        return value

    def find(self, expression: Expression) -> Any:
        """Return what the dotted name of an expression stands for, before any of its steps.

        Raises:
            UsageError: there is no such name; the message offers a near one.
        """
        first, *rest = expression.name.split(".")
        value, path = getattr(self.module, first, self), first
        if value is self:
            value = self._imported(first, expression)
        for part in rest:
            if isinstance(value, ModuleType) and not hasattr(value, part):
                with suppress(ModuleNotFoundError):
                    importlib.import_module(f"{value.__name__}.{part}")
            value, path = _attribute(value, part, path), f"{path}.{part}"
        return value

    def _imported(self, name: str, expression: Expression) -> Any:
        """Import a module whose names may be used though the user's module does not import it."""
        is_dotted = "." in expression.name
        if is_dotted and (name in (*_ALWAYS, self.module.__name__.partition(".")[0]) or self._is_beside(name)):
            return importlib.import_module(name)
        if is_dotted or expression.steps:
            hint = f"names are looked up in '{shown(self.place)}', or written in full (torch.nn.GELU)"
        else:
            hint = f"a string needs quotes: '{shown(name)}'"
        hints = "; ".join(filter(None, (near(name, self.module), hint)))
        raise UsageError(f"'{shown(self.place)}' has no '{shown(name)}'; {hints}")

    def own_classes(self) -> list[type]:
        """Return the classes of the user's own that are no modules, among the names of the user's module."""
        from torch import nn

        found = [value for value in vars(self.module).values() if isinstance(value, type)]
        package = self.module.__name__.partition(".")[0]
        homes = [(cls, cls.__module__.partition(".")[0]) for cls in found if not issubclass(cls, nn.Module)]
        return [cls for cls, home in homes if home == package or self._is_beside(home)]

    def _is_beside(self, name: str) -> bool:
        """Return whether a module lies in the folder of the user's module."""
        file = getattr(self.module, "__file__", None)
        return file is not None and any((Path(file).parent / each).exists() for each in (f"{name}.py", name))


def near(name: str, holder: Any) -> str:
    """Suggest the public name of ``holder`` that is nearest to ``name``; "" if none is near.

    >>> near("Linearr", importlib.import_module("torch.nn"))
    'did you mean Linear?'
    """
    known = {known.lower(): known for known in dir(holder) if not known.startswith("_")}
    found = difflib.get_close_matches(name.lower(), known, n=1)
    return f"did you mean {known[found[0]]}?" if found else ""


def _attribute(value: Any, attribute: str, name: str) -> Any:
    from torch import nn

    if isinstance(value, tuple) and value and isinstance(value[0], nn.Module) and not hasattr(value, attribute):
        value = value[0]  # a pair of a module and its inputs
    try:
        return getattr(value, attribute)
    except AttributeError:
        hint = near(attribute, value) or f"it is {described(value)}"
        if isinstance(value, nn.Module):
            children = [child for child, _ in value.named_children()]
            found = difflib.get_close_matches(attribute, children, n=1) or children[:_MAX_SHOWN]
            hint = f"did you mean {', '.join(found)}?" if found else hint
        raise UsageError(f"'{shown(name)}' has no '{shown(attribute)}'; {hint}") from None


def _item(value: Any, step: Item, name: str) -> Any:
    try:
        return value[step.key]
    except (LookupError, TypeError, AttributeError) as error:
        size = f" of {len(value)} items" if hasattr(value, "__len__") else ""
        keys = f", which has {', '.join(map(repr, list(value)[:_MAX_SHOWN]))}" if isinstance(value, dict) else ""
        raise UsageError(
            f"'{shown(name)}' has no item {shown(repr(step.key))}: it is {described(value)}{size}{keys}"
        ) from error


def described(value: Any) -> str:
    """Describe a value for a message.

    >>> described(None), described(3), described(int)
    ('None', 'a value of type int', 'the class int')
    """
    if value is None:
        return "None"
    return f"the class {value.__name__}" if isinstance(value, type) else f"a value of type {type(value).__name__}"


def check_call(target: Any, call: Call, name: str, names: Names) -> None:
    """Refuse arguments that do not fit.

    Args:
        target: the class or function.
        call: its arguments.
        name: its name in messages.
        names: the user's module, whose classes an argument may be made of.

    Raises:
        UsageError: it cannot be called, or arguments are missing or unexpected.

    >>> def make(depth, *, act): ...
    >>> check_call(make, Call((), {"act": "gelu"}), "make", Names(ast, "net.py"))
    Traceback (most recent call last):
    ...
    fxviz.UsageError: 'net.py:make' needs depth: write 'net.py:make(act='gelu', depth=...)'
    """
    if not callable(target):
        raise UsageError(f"cannot call '{shown(name)}': it is {described(target)}, not a class or function")
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return  # code in C checks its arguments itself
    try:
        bound = signature.bind_partial(*call.args, **call.kwargs)
    except TypeError as error:
        said = f"{error}; it takes {parameters(signature)}"
        raise UsageError(f"cannot call '{shown(f'{names.place}:{name}{call}')}': {said}") from None
    required = {name: parameter for name, parameter in signature.parameters.items() if is_required(parameter)}
    missing = [parameter for name, parameter in required.items() if name not in bound.arguments]
    if missing:
        needed = ", ".join(parameter.name for parameter in missing)
        objects = {each.name: found for each in missing if (found := _object_for(each, target, names))}
        write, where = f"{names.place}:{name}{_completed(call, missing, objects)}", _classes(objects)
        raise UsageError(f"'{names.place}:{name}' needs {needed}: write '{write}'{where}")


def _completed(call: Call, missing: list[inspect.Parameter], objects: dict[str, str | type]) -> str:
    """Format arguments with a placeholder for each missing one; one that is an object is shown as a call."""
    places = []
    for parameter in missing:
        made = objects.get(parameter.name, "...")
        value = made if isinstance(made, str) else f"{made.__name__}(...)"
        places.append(value if parameter.kind is parameter.POSITIONAL_ONLY else f"{parameter.name}={value}")
    return f"({', '.join(filter(None, [str(call)[1:-1], *places]))})"


def _classes(objects: dict[str, str | type]) -> str:
    """Say what the classes that stand in a call take."""
    taken = []
    for made in objects.values():
        if isinstance(made, type):
            with suppress(TypeError, ValueError):  # code in C has no signature
                taken.append(f"{made.__name__} takes {parameters(inspect.signature(made))}")
    return f", where {' and '.join(taken)}" if taken else ""


def _object_for(parameter: inspect.Parameter, target: Any, names: Names) -> str | type | None:
    """Return the class for a parameter that takes an object, or the text that makes one; None for any other parameter.

    The class is one of the user's own: the one that the parameter is annotated with, or one that is named after the
    parameter (``config`` and ``GPTConfig``). If there is none, the code of ``target`` says which attributes it reads.
    """
    own = names.own_classes()
    wanted = parameter.annotation
    for cls in own:
        if wanted is cls or str(wanted).strip("'\"") == cls.__name__:
            return cls
    if wanted is not parameter.empty:
        return None
    named = [cls for cls in own if _is_named_after(cls.__name__, parameter.name)]
    return named[0] if named else _namespace(target, parameter.name)


def _is_named_after(cls: str, parameter: str) -> bool:
    """Return whether the last words of a class's name are those of a parameter.

    >>> [_is_named_after(cls, name) for cls, name in (("GPTConfig", "config"), ("Enum", "num"), ("ModelArgs", "args"))]
    [True, False, True]
    """
    words, wanted = [word.lower() for word in _WORD.findall(cls)], parameter.lower().strip("_").split("_")
    return words[-len(wanted) :] == wanted and len(parameter) >= _SHORTEST


def _namespace(target: Any, name: str) -> str | None:
    """Write an object with the attributes that the code of ``target`` reads from a parameter; None if it reads none."""
    code = target.__init__ if isinstance(target, type) else target  # type: ignore[misc]
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, TypeError, SyntaxError):
        return None
    read: dict[str, Any] = {}
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        path = list(_path(node, name)) if id(node) not in inner | called else []
        part = read
        for attribute in path:
            part = part.setdefault(attribute, {})
    return _written(read) if 0 < len(read) <= _MAX_SHOWN else None


def _path(node: ast.AST, name: str) -> Iterator[str]:
    """Yield the attributes from the variable ``name`` to a node; nothing for any other node."""
    attributes = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name) and node.id == name:
        yield from reversed(attributes)


def _written(read: dict[str, Any]) -> str:
    inside = (f"{name}={_written(inner) if inner else '...'}" for name, inner in read.items())
    return f"{_NAMESPACE}({', '.join(inside)})"
