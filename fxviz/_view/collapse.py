"""Find the module calls that are one row each at a level of detail, and what a caller opens and closes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fxviz._graph.errors import UsageError, shown
from fxviz._view.detail import Detail
from fxviz._view.outline import Outline


@dataclass(frozen=True)
class Collapsed:
    """The module calls that are one row each (``rows``), and those that would be one but are opened (``framed``)."""

    rows: frozenset[int]
    framed: frozenset[int]


def collapse(outline: Outline, detail: Detail) -> Collapsed:
    """Return the module calls of a level that are one row each, without the opened ones and with the closed ones."""
    rows = set(_opened_to_failure(outline, frozenset(_collapsed(outline, detail)) | detail.closed))
    framed: set[int] = set()
    waiting = sorted(rows & detail.opened)
    while waiting:
        scope = waiting.pop()
        rows.discard(scope)
        framed.add(scope)
        inside = list(_modules_in(outline, scope))
        rows.update(inside)
        waiting += [child for child in inside if child in detail.opened]
    return Collapsed(frozenset(rows), frozenset(framed))


def _modules_in(outline: Outline, scope: int) -> Iterator[int]:
    """Yield the modules that become rows when the one around them is opened: no mere wrappers or lists of layers."""
    waiting = outline.children(scope)
    while waiting:
        child = waiting.pop()
        wraps_all = outline.room[child] == outline.room[scope]
        if wraps_all or (outline.scopes[child].sequential and not outline.blocks(child)):
            waiting += outline.children(child)
        elif outline.takes_rows(child):
            yield child


def level(path: str) -> int:
    """Return how many levels deep a module is nested: 0 for the model itself, 1 for its children.

    >>> level(""), level("layer1.0")
    (0, 2)
    """
    return path.count(".") + 1 if path else 0


def _collapsed(outline: Outline, detail: Detail) -> Iterator[int]:
    """Yield the module calls that are one row each at a level of detail."""
    if detail.depth is not None:
        yield from _nested(outline, detail.depth)
        return
    yield from outline.units
    for stage in outline.stages if detail.blocks != "layers" else ():
        if detail.blocks == "stages":
            yield stage
        else:
            yield from _blocks_of(outline, stage)
    if detail.blocks != "layers":
        yield from _between_stages(outline, 0)


def _nested(outline: Outline, depth: int) -> Iterator[int]:
    """Yield the outermost module calls that are nested ``depth`` levels deep or deeper and take several rows."""
    for scope in outline.graph.scopes:
        is_outermost = scope.parent is not None and level(outline.scopes[scope.parent].path) < depth <= level(
            scope.path
        )
        if is_outermost and outline.takes_rows(scope.id):
            yield scope.id


def _between_stages(outline: Outline, scope: int) -> Iterator[int]:
    """Yield the modules beside stages, such as a transition that pools and narrows."""
    stages = set(outline.stages)
    waiting = outline.children(scope)
    while waiting:
        child = waiting.pop()
        if child in outline.around_stages:
            waiting += outline.children(child)
        elif child not in stages and outline.takes_rows(child):
            yield child


def _blocks_of(outline: Outline, scope: int) -> Iterator[int]:
    """Yield the blocks of a stage, also those in lists of blocks (``encoder.layers``)."""
    waiting = outline.blocks(scope)
    while waiting:
        child = waiting.pop()
        if outline.scopes[child].sequential and len(outline.blocks(child)) > 1:
            waiting += outline.blocks(child)
        else:
            yield child


def _opened_to_failure(outline: Outline, collapsed: frozenset[int]) -> frozenset[int]:
    """Open the module calls around the operation that failed: what ran in them is a row each."""
    if outline.failed is None:
        return collapsed
    around = list(outline.around(outline.node(outline.failed).scope))
    while around and around[-1] not in collapsed:
        around.pop()
    beside = {child for scope in around for child in outline.children(scope) if outline.takes_rows(child)}
    return (collapsed | beside).difference(around)


def overrides_for(
    outline: Outline, expand: Sequence[str], collapse: Sequence[str], repeats: bool, depth: int | None
) -> Detail:
    """Return a detail that holds only what the caller asks for.

    Args:
        outline: the model.
        expand: paths of modules to open, with all modules around them.
        collapse: paths or classes ("Bottleneck", "torchvision.models.resnet.Bottleneck") of modules that are one row
            each.
        repeats: draw repeated blocks once.
        depth: modules nested this many levels deep are one row each.

    Raises:
        UsageError: a module is unknown, or one to expand is inside one to collapse.
    """
    paths = _paths(outline)
    expand, collapse = _names(expand), _names(collapse)
    for name in expand:
        if name not in paths:
            raise UsageError(_unknown(name, "expand", sorted(paths)))
        for outer in collapse:
            if name == outer or name.startswith(f"{outer}."):
                raise UsageError(f"cannot expand '{shown(name)}' and collapse '{shown(outer)}': leave out one of them")
    opened = frozenset(
        scope.id for scope in outline.graph.scopes if any(_is_around(scope.path, name) for name in expand)
    )
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
    """Return the paths of all modules that ran, and of the lists around them, which are never called."""
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
    """Return the module calls that are one row each, and the paths of lists that are never called."""
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
    hint = f"did you mean {', '.join(near)}?" if near else f"the model has {', '.join(_first(known))}"
    return f"unknown module '{shown(name)}' to {to}: {hint}"


def _first(known: Sequence[str]) -> list[str]:
    """Return some of the outermost modules."""
    outermost = [name for name in known if "." not in name]
    return [*outermost[:6], "..."] if len(outermost) > 6 else outermost
