"""What a caller wants opened or closed, by path or class, as module calls."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence

from fxviz._errors import UsageError
from fxviz._view.detail import Detail
from fxviz._view.outline import Outline


def wish(outline: Outline, expand: Sequence[str], collapse: Sequence[str], repeats: bool, depth: int | None) -> Detail:
    """The detail in which nothing is chosen but what the caller asks for.

    Args:
        outline: the model.
        expand: paths of modules to open, with all that they are in.
        collapse: paths or classes ("Bottleneck", "torchvision.models.resnet.Bottleneck") of modules that are one row each.
        repeats: what follows itself is drawn once.
        depth: how many levels deep the modules are nested that are one row each.

    Raises:
        UsageError: there is no such module, or one that is to be opened is in one that is to be one row.
    """
    paths = _paths(outline)
    expand, collapse = _names(expand), _names(collapse)
    for name in expand:
        if name not in paths:
            raise UsageError(_unknown(name, "expand", sorted(paths)))
        for outer in collapse:
            if name == outer or name.startswith(f"{outer}."):
                raise UsageError(f"cannot expand '{name}' and collapse '{outer}': leave one of them out")
    opened = frozenset(scope.id for scope in outline.graph.scopes if any(_is_around(scope.path, name) for name in expand))
    closed, lists = _closed(outline, collapse, paths)
    return Detail(
        depth=depth,
        opened=opened,
        closed=closed - opened,
        closed_lists=lists,
        named=frozenset(expand),
        repeats=repeats,
    )


def _names(names: Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _paths(outline: Outline) -> frozenset[str]:
    """The paths of all modules that ran, and of the lists around them, which nobody calls."""
    called = [scope.path for scope in outline.graph.scopes]
    called += [node.path for node in outline.graph.nodes if node.kind == "module"]
    return frozenset(path for name in called for path in _prefixes(name))


def _prefixes(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition(".")[0]


def _is_around(path: str, name: str) -> bool:
    return bool(path) and (name == path or name.startswith(f"{path}."))


def _closed(outline: Outline, names: Iterable[str], paths: frozenset[str]) -> tuple[frozenset[int], frozenset[str]]:
    """The module calls that are one row each, and the lists that nobody calls."""
    closed: set[int] = set()
    lists: set[str] = set()
    inner = [scope for scope in outline.graph.scopes if scope.parent is not None]
    classes = {name for scope in inner for name in (scope.cls, scope.class_name)}
    leaves = {name for node in outline.graph.nodes if node.kind == "module" for name in (node.path, node.op, node.cls)}
    for name in names:
        if name not in paths | classes | leaves:
            raise UsageError(_unknown(name, "collapse", sorted([*paths, *classes])))
        found = {scope.id for scope in inner if name in (scope.path, scope.cls, scope.class_name)}
        if not found and name not in leaves:
            lists.add(name)
            found = {scope.id for scope in inner if scope.path.startswith(f"{name}.") and outline.takes_rows(scope.id)}
        closed |= found
    return frozenset(closed), frozenset(lists)


def _unknown(name: str, to: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {', '.join(near)}?" if near else f"it has {', '.join(_first(known))}"
    return f"no module '{name}' to {to}: {hint}"


def _first(known: Sequence[str]) -> list[str]:
    """The outermost modules, a few of them."""
    outermost = [name for name in known if "." not in name]
    return [*outermost[:6], "..."] if len(outermost) > 6 else outermost
