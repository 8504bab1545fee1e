"""What makes a graph valid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fxviz._graph.values import NODE_KINDS, SKIP_KINDS, Scope

if TYPE_CHECKING:
    from fxviz._graph.archgraph import ArchGraph


def check(graph: ArchGraph, position: Mapping[str, int]) -> None:
    """References inside the graph lead somewhere, and what follows stands behind what it follows.

    Raises:
        ValueError: one does not.
    """
    _check_scopes(graph.scopes)
    _check_nodes(graph)
    if graph.trace.failure is not None and graph.trace.failure.node not in position:
        raise ValueError(f"the failure names '{graph.trace.failure.node}', which is not there")
    for edge in graph.edges:
        _check_forward(f"the edge from '{edge.source}' to '{edge.target}'", edge.source, edge.target, position)
    for skip in graph.skips:
        said = f"the skip from '{skip.fork}' to '{skip.join}'"
        if skip.kind not in SKIP_KINDS:
            raise ValueError(f"{said} has the unknown kind '{skip.kind}'")
        _check_forward(said, skip.fork, skip.join, position)
        if lost := [name for name in skip.through if name not in position]:
            raise ValueError(f"{said} leads through '{lost[0]}', which is not there")


def _check_scopes(scopes: tuple[Scope, ...]) -> None:
    """They are a tree: the first is 0, the model itself; every other has its parent before it."""
    known: set[int] = set()
    for scope in scopes:
        if scope.id in known:
            raise ValueError(f"scope {scope.id} is there twice")
        if (scope.parent is None) != (scope.id == 0) or (scope.parent is not None and scope.parent not in known):
            expected = "a scope before it" if scope.id else "none: it is the model itself"
            raise ValueError(f"scope {scope.id} has the parent {scope.parent}, and must have {expected}")
        known.add(scope.id)
    if not known:
        raise ValueError("there is no scope 0, the model itself")


def _check_nodes(graph: ArchGraph) -> None:
    scopes, known = {scope.id for scope in graph.scopes}, set()
    for node in graph.nodes:
        if node.id in known:
            raise ValueError(f"node '{node.id}' is there twice")
        if node.kind not in NODE_KINDS:
            raise ValueError(f"node '{node.id}' has the unknown kind '{node.kind}'")
        if node.scope not in scopes:
            raise ValueError(f"node '{node.id}' ran in scope {node.scope}, which is not there")
        known.add(node.id)


def _check_forward(said: str, first: str, last: str, position: Mapping[str, int]) -> None:
    for name in (first, last):
        if name not in position:
            raise ValueError(f"{said} names '{name}', which is not there")
    if position[first] >= position[last]:
        raise ValueError(f"{said} leads back: nodes stand in the order they ran")
