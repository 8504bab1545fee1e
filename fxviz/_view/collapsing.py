"""Which module calls are one row each at a level of detail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fxviz._view.detail import Detail
from fxviz._view.outline import Outline


@dataclass(frozen=True)
class Collapsed:
    """The module calls that are one row each (``rows``), and those that would have been one but are opened (``framed``)."""

    rows: frozenset[int]
    framed: frozenset[int]


def collapse(outline: Outline, detail: Detail) -> Collapsed:
    """The module calls that are one row each: those of the level, without what is opened and with what is closed."""
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
    """The modules that become rows when the one around them is opened; what only wraps others or lists layers does not."""
    waiting = outline.children(scope)
    while waiting:
        child = waiting.pop()
        wraps_all = outline.room[child] == outline.room[scope]
        if wraps_all or (outline.scopes[child].sequential and not outline.blocks(child)):
            waiting += outline.children(child)
        elif outline.takes_rows(child):
            yield child


def level(path: str) -> int:
    """How deep a module is nested: the model itself 0, its children 1.

    >>> level(""), level("layer1.0")
    (0, 2)
    """
    return path.count(".") + 1 if path else 0


def _collapsed(outline: Outline, detail: Detail) -> Iterator[int]:
    """The module calls that are one row each at a level of detail."""
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
    """The outermost module calls that are nested ``depth`` levels deep or deeper and take several rows."""
    for scope in outline.graph.scopes:
        is_outermost = scope.parent is not None and level(outline.scopes[scope.parent].path) < depth <= level(scope.path)
        if is_outermost and outline.takes_rows(scope.id):
            yield scope.id


def _between_stages(outline: Outline, scope: int) -> Iterator[int]:
    """The modules that stand beside stages, such as a transition that pools and narrows."""
    stages = set(outline.stages)
    waiting = outline.children(scope)
    while waiting:
        child = waiting.pop()
        if child in outline.around_stages:
            waiting += outline.children(child)
        elif child not in stages and outline.takes_rows(child):
            yield child


def _blocks_of(outline: Outline, scope: int) -> Iterator[int]:
    """The blocks of a stage, looked for below lists of blocks too (``encoder.layers``)."""
    waiting = outline.blocks(scope)
    while waiting:
        child = waiting.pop()
        if outline.scopes[child].sequential and len(outline.blocks(child)) > 1:
            waiting += outline.blocks(child)
        else:
            yield child


def _opened_to_failure(outline: Outline, collapsed: frozenset[int]) -> frozenset[int]:
    """The same module calls but for those around the operation that failed: they are opened, what ran in them is a row each."""
    if outline.failed is None:
        return collapsed
    around = list(outline.around(outline.node(outline.failed).scope))
    while around and around[-1] not in collapsed:
        around.pop()
    beside = {child for scope in around for child in outline.children(scope) if outline.takes_rows(child)}
    return (collapsed | beside).difference(around)
