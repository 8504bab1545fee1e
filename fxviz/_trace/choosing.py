"""Which modules the user's words mean: the one to record, and those that are one node each."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from torch import nn

from fxviz._errors import UsageError
from fxviz._trace.tracer import class_name


def submodule(model: nn.Module, path: str) -> nn.Module:
    """The module at a dotted path; "" is the model itself.

    Raises:
        UsageError: there is none.

    >>> model = nn.Sequential(nn.Linear(4, 2))
    >>> submodule(model, "0"), submodule(model, "") is model
    (Linear(in_features=4, out_features=2, bias=True), True)
    """
    found = _at(model, path)
    if found is None:
        near = _near(path, (name for name, _ in model.named_modules() if name))
        raise UsageError(f"{type(model).__name__} has no submodule '{path}'{near}")
    return found


def leaves(root: nn.Module, names: Iterable[str]) -> frozenset[nn.Module]:
    """The modules inside ``root`` that paths ("layer1.0") and classes ("BasicBlock", "resnet.BasicBlock") name.

    Raises:
        UsageError: a name fits none.

    >>> [type(module).__name__ for module in leaves(nn.Sequential(nn.ReLU(), nn.Tanh()), ["activation.ReLU"])]
    ['ReLU']
    """
    found: set[nn.Module] = set()
    for name in names:
        fitting = _named(root, name)
        if not fitting - {root}:
            raise UsageError(_unfit(root, name, fitting))
        found |= fitting - {root}
    return frozenset(found)


def _at(model: nn.Module, path: str) -> nn.Module | None:
    found: nn.Module | None = model
    for name in path.split(".") if path else ():
        found = None if found is None else found._modules.get(name)
    return found


def _named(root: nn.Module, name: str) -> set[nn.Module]:
    fitting = {module for module in root.modules() if f".{class_name(module)}".endswith(f".{name}")}
    place = _at(root, name)
    return fitting if place is None else fitting | {place}


def _unfit(root: nn.Module, name: str, fitting: Collection[nn.Module]) -> str:
    if fitting or not name:
        return f"{type(root).__name__} cannot be one node as a whole: name modules inside it, by path or class"
    inside = [(path, type(module).__name__) for path, module in root.named_modules() if path]
    near = _near(name, dict.fromkeys([*(path for path, _ in inside), *(cls for _, cls in inside)]))
    return f"{type(root).__name__} has no module of path or class '{name}'{near}"


def _near(name: str, known: Iterable[str]) -> str:
    """What to say of the names that look alike, else of the first ones."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3)
    if near:
        return f"; did you mean {', '.join(near)}?"
    return f"; there are {', '.join(known[:8])}{', ...' if len(known) > 8 else ''}" if known else "; it has none"
