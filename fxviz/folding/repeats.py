"""Runs of equal blocks: what follows itself three times or more is drawn once, with xN."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fxviz.folding.outline import Element, Outline
from fxviz.graph import Node
from fxviz.operations import is_passing

LONGEST_PERIOD = 4


@dataclass(frozen=True)
class Run:
    """``times`` repetitions of ``period`` elements, starting at element ``start`` of a scope."""

    start: int
    period: int
    times: int

    @property
    def stop(self) -> int:
        return self.start + self.period * self.times


def runs_in(outline: Outline, scope: int, collapsed: Collection[int], fold_layers: bool) -> list[Run]:
    """The longest chained runs among the elements of ``scope``, from first to last.

    A run repeats its first ``period`` (1 to 4) elements, each repetition reading from the one before. Blocks repeat from
    three times on; those drawn as one row from twice on, and they count as equal when all that the row shows is equal.
    Single layers repeat only if ``fold_layers``.
    """
    elements = outline.elements(scope)
    glances = [_glance(outline, element, collapsed) for element in elements]
    times = {period: _times(outline, elements, glances, collapsed, period) for period in range(1, LONGEST_PERIOD + 1)}
    found: list[Run] = []
    at = 0
    while at < len(elements):
        runs = [Run(at, period, times[period][at]) for period in times if times[period][at] > 1]
        run = max(runs, key=lambda run: run.times * run.period, default=None)
        if run and _worth(outline, elements, run, collapsed, fold_layers):
            found.append(run)
            at = run.stop
        else:
            at += 1
    return found


def _times(
    outline: Outline, elements: Sequence[Element], glances: Sequence[_Glance], collapsed: Collection[int], period: int
) -> list[int]:
    """For each element how often it and those after it, ``period`` in all, follow themselves."""
    times = [1] * len(elements)
    for at in range(len(elements) - 2 * period, -1, -1):
        middle = at + period
        if (
            glances[at:middle] == glances[middle : middle + period]
            and all(_are_equal(outline, elements[one], elements[one + period], collapsed) for one in range(at, middle))
            and _chained(outline, elements, at, period)
        ):
            times[at] = times[middle] + 1
    return times


def _chained(outline: Outline, elements: Sequence[Element], at: int, period: int) -> bool:
    """Whether the ``period`` elements after those at ``at`` read from them."""
    earlier = {name for element in elements[at : at + period] for name in element.nodes}
    later = elements[at + period : at + 2 * period]
    return any(source in earlier for element in later for name in element.nodes for source in outline.sources[name])


def _worth(outline: Outline, elements: Sequence[Element], run: Run, collapsed: Collection[int], fold_layers: bool) -> bool:
    first = elements[run.start : run.start + run.period]
    if all(element.scope in collapsed for element in first):
        return True
    blocks = any(element.scope is not None and outline.size[element.scope] > 1 for element in first)
    layers = any(outline.node(name).kind == "module" for element in first for name in element.nodes)
    return run.times > 2 and (blocks or (fold_layers and layers))


_Glance = tuple[bool, str, int]


def _glance(outline: Outline, element: Element, collapsed: Collection[int]) -> _Glance:
    """What tells most elements apart at little cost. The one that holds the operation that failed is like no other."""
    last = element.nodes[-1]
    if last == outline.failed:
        return True, last, -1
    if element.scope in collapsed:
        return True, outline.scopes[element.scope].cls if element.scope is not None else "", 0
    return False, outline.node(last).op, len(element.nodes)


def _are_equal(outline: Outline, one: Element, other: Element, collapsed: Collection[int]) -> bool:
    return _signature(outline, one, collapsed) == _signature(outline, other, collapsed)


def _signature(outline: Outline, element: Element, collapsed: Collection[int]) -> str:
    is_row = element.scope in collapsed
    key = element.scope, element.nodes[0], is_row
    if key not in outline.signatures:
        outline.signatures[key] = _outside(outline, element) if is_row else _inside(outline, element)
    return outline.signatures[key]


def _outside(outline: Outline, element: Element) -> str:
    """What a row for a whole module shows: class, parameters, output."""
    nodes = [outline.node(name) for name in element.nodes]
    shown = [outline.scopes[element.scope].cls if element.scope is not None else nodes[0].op]
    facts = [
        sum(node.params for node in nodes),
        sum(node.macs or 0 for node in nodes),
        nodes[-1].outputs[0].shape if nodes[-1].outputs else (),
    ]
    return json.dumps([shown, facts])


def _inside(outline: Outline, element: Element) -> str:
    """All that happens inside: operations, settings, shapes, parameters, MACs, and how they are wired."""
    place = {name: number for number, name in enumerate(element.nodes)}
    base = outline.scopes[element.scope].path if element.scope is not None else outline.node(element.nodes[0]).path
    outside: dict[str, int] = {}
    facts = []
    for name in element.nodes:
        wiring = [(slot, _source(outline, source, place, outside)) for slot, source in sorted(outline.slots[name])]
        facts.append([*_facts(outline.node(name), base), wiring])
    return json.dumps(facts, sort_keys=True, default=str)


def _source(outline: Outline, source: str, place: dict[str, int], outside: dict[str, int]) -> str:
    if source in place:
        return str(place[source])
    node = outline.node(source)
    if node.kind == "parameter":
        return f"{node.op} {[tensor.shape for tensor in node.outputs]}"
    return f"from outside {outside.setdefault(source, len(outside))}"


def _facts(node: Node, base: str) -> list[object]:
    path = node.path[len(base) :] if node.path.startswith(base) else ""
    settings = {} if is_passing(node) else dict(node.settings)
    if node.op == "Constant":
        path = ""
    return [node.kind, node.op, path, settings, [list(tensor.shape) for tensor in node.outputs], node.params, node.macs]
