"""Take additions apart into their terms, in whatever way they are written.

``x + f(x)``, ``x - f(x)``, ``sum([x, f(x)])``, ``torch.stack([x, f(x)]).sum(0)``, ``lerp``, ``addcmul``, ``addmm`` and
``index_add`` all add. Terms that cancel, as in the straight-through estimator ``z + (q - z).detach()``
(arXiv:1308.3432), do not count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fxviz._analysis.flow import Activations
from fxviz._graph import Node
from fxviz._graph.operations import keeps_values, plain_name


@dataclass(frozen=True)
class Term:
    """An activation in a sum.

    Attributes:
        name: the node.
        factor: the number that it is multiplied by as it is added: -1 if it is subtracted.
        whole: whether it is added itself, not as a factor of a product in the same operation.
    """

    name: str
    factor: float = 1
    whole: bool = True


@dataclass(frozen=True)
class Sum:
    """A sum of two or more activations, and the node that returns it."""

    join: str
    terms: tuple[Term, ...]


def sums_of(flow: Activations) -> list[Sum]:
    """Return the sums among the activations, in the order of the run.

    >>> from fxviz._graph import ArchGraph, Edge, ModelInfo, Node, Scope, TraceInfo
    >>> nodes = Node("x", "input", "x", "x"), Node("relu", "method", "relu", ""), Node("sub", "function", "sub", "")
    >>> edges = Edge("x", "relu", "0"), Edge("relu", "sub", "0"), Edge("x", "sub", "1")
    >>> trace, scopes = TraceInfo("meta", "fake", {}, "2.4.0", None), (Scope(0, "", "Net", 0, None),)
    >>> graph = ArchGraph(ModelInfo("net", "python", "Net"), trace, nodes, edges, scopes, ())
    >>> [(each.join, [(term.name, term.factor) for term in each.terms]) for each in sums_of(Activations(graph))]
    [('sub', [('x', -1), ('relu', 1)])]
    """
    found: list[Sum] = []
    checked: set[str] = set()
    dissolved: set[str] = set()
    for name in reversed(flow.sources):
        terms = _operands(flow, name)
        if terms and name not in checked:
            all_terms, inside = _expanded(flow, name)
            checked |= inside
            left = tuple(_left(flow, all_terms))
            if len(left) < len(all_terms):
                dissolved |= inside - {name}
                terms = list(left)
        if len(terms) > 1 and name not in dissolved:
            found.append(Sum(name, tuple(terms)))
    return found[::-1]


def is_sum(flow: Activations, name: str) -> bool:
    """Return whether a node adds several activations, or products of such."""
    terms = _operands(flow, name)
    return len({term.name for term in terms if term.whole}) + any(not term.whole for term in terms) > 1


def goes_into_sum(flow: Activations, name: str) -> bool:
    """Return whether only a sum reads a node, by itself or in the stack that it sums."""
    users = flow.users[name]
    if len(users) == 1 and plain_name(flow.node[users[0]].op) == "stack":
        users = flow.users[users[0]]
    return len(users) == 1 and is_sum(flow, users[0])


def _expanded(flow: Activations, join: str) -> tuple[list[Term], set[str]]:
    """Return the terms of a sum and of the sums that only it reads, and all nodes that add or copy within it."""
    terms: list[Term] = []
    inside: set[str] = set()
    waiting = [Term(join)]
    while waiting:
        term = waiting.pop()
        operands = _operands(flow, term.name) or _unchanged(flow, term.name)
        if operands and term.whole and (term.name == join or len(flow.users[term.name]) == 1):
            inside.add(term.name)
            waiting += [Term(part.name, part.factor * term.factor, part.whole) for part in reversed(operands)]
        else:
            terms.append(term)
    return terms, inside


def _left(flow: Activations, terms: Iterable[Term]) -> Iterator[Term]:
    """Yield the terms whose value is not subtracted again."""
    terms = list(terms)
    balance: dict[str, float] = defaultdict(float)
    for term in terms:
        balance[_origin(flow, term)] += term.factor
    for term in terms:
        origin = _origin(flow, term)
        if balance[origin] * term.factor > 0:
            balance[origin] -= term.factor
            yield term


def _origin(flow: Activations, term: Term) -> str:
    """Return the node whose value a term has."""
    name = term.name
    while term.whole and (unchanged := _unchanged(flow, name)) and unchanged[0].factor == 1:
        name = unchanged[0].name
    return name if term.whole else f"a product with {name}"


def _unchanged(flow: Activations, name: str) -> list[Term]:
    """Return the one term of a node that only copies, detaches or negates; none for other nodes."""
    sources = flow.sources[name]
    if len(sources) != 1:
        return []
    if keeps_values(flow.node[name]) or flow.adds_nothing(name):
        return [Term(sources[0])]
    return [Term(sources[0], -1)] if plain_name(flow.node[name].op) == "neg" else []


def _operands(flow: Activations, name: str) -> list[Term]:
    """Return the terms of a node that adds; none if it does not."""
    node = flow.node[name]
    if node.kind in ("module", "input") or node.uses:
        return []
    plain = plain_name(node.op)
    read = [(slot, source) for slot, source in flow.arguments(name) if source in flow.sources]
    if plain in ("add", "sub"):
        return _added(node, read) if len(read) > 1 else []
    if plain in ("sum", "mean"):
        return _stacked(flow, name)
    alpha, beta = _number(node, "alpha"), _number(node, "beta")
    added = [(slot, source) for slot, source in read if slot in _WHOLE.get(plain, ())]
    whole = [Term(source, beta if slot in ("0", "input") else alpha) for slot, source in added]
    product = _FACTORS.get(plain, ()) if alpha and _number(node, "value") else ()
    return _counted(whole) + [Term(source, whole=False) for slot, source in read if slot in product]


_WHOLE: dict[str, tuple[str, ...]] = {
    "lerp": ("0", "1", "input", "end"),
    **dict.fromkeys(("addcmul", "addcdiv", "addmm", "addbmm", "baddbmm", "addmv", "addr"), ("0", "input")),
    **dict.fromkeys(("indexadd", "scatteradd"), ("0", "3", "input", "source", "src")),
}
"""The slots of what an operation adds as it is."""

_FACTORS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("addcmul", "addcdiv"), ("1", "2", "tensor1", "tensor2")),
    **dict.fromkeys(
        ("addmm", "addbmm", "baddbmm", "addmv", "addr"), ("1", "2", "mat1", "mat2", "mat", "vec", "batch1")
    ),
}
"""The slots of the factors of a product that it adds."""


def _added(node: Node, read: list[tuple[str, str]]) -> list[Term]:
    alpha = _number(node, "alpha")
    factors = (1.0, alpha)
    if plain_name(node.op) == "sub":
        factors = (-alpha, 1) if node.op.strip("_") == "rsub" else (1, -alpha)
    return _counted(Term(source, factors[slot not in ("0", "input")]) for slot, source in read)


def _number(node: Node, name: str) -> float:
    """Return a number that an operation multiplies by: 1 unless it was given."""
    value = node.settings.get(name, 1)
    return value if isinstance(value, (int, float)) else 1


def _counted(terms: Iterable[Term]) -> list[Term]:
    return [term for term in terms if term.factor]


def _stacked(flow: Activations, name: str) -> list[Term]:
    """Return what was stacked, if a node sums a stack along its new axis and alone reads it."""
    if len(flow.sources[name]) != 1:  # none where whole numbers are added as real ones
        return []
    (source,) = flow.sources[name]
    shape = flow.shape(source)
    if plain_name(flow.node[source].op) != "stack" or flow.users[source] != (name,) or shape is None:
        return []
    along, stacked = (_axis(flow.node[each], len(shape), default) for each, default in ((name, None), (source, 0)))
    return [Term(each) for _, each in flow.arguments(source) if each in flow.sources] if along == stacked else []


def _axis(node: Node, axes: int, default: int | None) -> int | None:
    value: Any = node.settings.get("1", node.settings.get("dim", default))
    if isinstance(value, tuple) and len(value) == 1:
        (value,) = value
    return value % axes if isinstance(value, int) and not isinstance(value, bool) else None
