"""Take additions apart into their terms, in whatever way they are written.

``x + f(x)``, ``x - f(x)``, ``sum([x, f(x)])``, ``torch.stack([x, f(x)]).sum(0)``, ``lerp``, ``addcmul``, ``addmm`` and
``index_add`` all add. ``(x + a) + b``, ``x + (a + b)`` and ``(b + a) + x`` are one sum of three terms: what is found in
it does not depend on the order of writing. Terms that cancel, as in the straight-through estimator
``z + (q - z).detach()`` (arXiv:1308.3432), do not count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from math import prod
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
        reader: the node that adds it.
    """

    name: str
    factor: float = 1
    whole: bool = True
    reader: str = ""


@dataclass(frozen=True)
class Sum:
    """A sum of two or more activations, with the sums inside it that nothing else reads.

    Attributes:
        join: the node that returns it.
        terms: what is added.
        inner: the node that reads each node inside.
    """

    join: str
    terms: tuple[Term, ...]
    inner: Mapping[str, str]

    def above(self, term: Term) -> tuple[str, ...]:
        """Return the nodes that a term passes in the sum, from the one that reads it to the one that returns the sum.

        >>> Sum("all", (), {"part": "all"}).above(Term("x", reader="part"))
        ('part', 'all')
        """
        passed = [term.reader]
        while passed[-1] != self.join:
            passed.append(self.inner[passed[-1]])
        return tuple(passed)


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
    for name in reversed(flow.sources):
        if name not in checked and _operands(flow, name):
            terms, inner = _expanded(flow, name)
            checked |= inner.keys()
            left = tuple(_left(flow, terms))
            if len(left) > 1:
                found.append(Sum(name, left, inner))
    return found[::-1]


def is_sum(flow: Activations, name: str) -> bool:
    """Return whether a node adds several activations, or products of such."""
    terms = _operands(flow, name)
    return len({term.name for term in terms if term.whole}) + any(not term.whole for term in terms) > 1


def _expanded(flow: Activations, join: str) -> tuple[list[Term], dict[str, str]]:
    """Return the terms of a sum and of the sums of its shape that only it reads, and the reader of each such sum."""
    terms: list[Term] = []
    inner: dict[str, str] = {}
    waiting = [Term(join)]
    while waiting:
        term = waiting.pop()
        operands = _operands(flow, term.name) or _copied(flow, term.name)
        is_inside = len(flow.users[term.name]) == 1 and flow.shape(term.name) == flow.shape(join)
        if operands and term.whole and (term.name == join or is_inside):
            if term.name != join:
                inner[term.name] = term.reader
            parts = (replace(part, factor=part.factor * term.factor, reader=term.name) for part in operands)
            waiting += reversed(list(parts))
        else:
            terms.append(term)
    return terms, inner


def _copied(flow: Activations, name: str) -> list[Term]:
    """Return the sum, or the negative, that a node copies and alone reads; none if it copies anything else."""
    copied = _unchanged(flow, name)
    while copied and copied[0].factor == 1 and not _operands(flow, copied[0].name):
        if len(flow.users[copied[0].name]) != 1:
            return []
        copied = _unchanged(flow, copied[0].name)
    return copied


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
    if plain in ("sum", "mean", "einsum"):
        return [Term(each) for each in _stacked(flow, name)]
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


# Sums along an axis along which tensors were stacked


def _stacked(flow: Activations, name: str) -> list[str]:
    """Return the activations that were stacked to be summed along their new axis, by nodes that alone read them.

    The axes may change places on the way: einops moves the one that it sums along to the end.
    """
    reader, axis = name, _summed_axis(flow, name)
    while axis is not None and len(flow.sources[reader]) == 1:
        (source,) = flow.sources[reader]
        if flow.users[source] != (reader,):
            return []
        if parts := _parts_along(flow, source, axis):
            return parts
        reader, axis = source, _axis_before(flow, source, axis)
    return []


def _summed_axis(flow: Activations, name: str) -> int | None:
    """Return the one axis of what a node reads that it takes the sum or the mean along."""
    if len(flow.sources[name]) != 1:  # none where whole numbers are added as real ones
        return None
    node, shape = flow.node[name], flow.shape(flow.sources[name][0])
    if shape is None or plain_name(node.op) != "einsum":
        return None if shape is None else _axis(node, len(shape), None)
    read, arrow, kept = str(node.settings.get("0", "")).replace(" ", "").partition("->")
    axes = read.replace("...", "." * (len(shape) - len(read.replace("...", ""))))
    lost = [axis for axis, letter in enumerate(axes) if letter not in kept]
    is_sum = arrow and len(axes) == len(shape) and len(lost) == 1 and axes.count(axes[lost[0]]) == 1
    return lost[0] if is_sum else None


def _parts_along(flow: Activations, name: str, axis: int) -> list[str]:
    """Return the activations that a node stacks along this axis: also those it concatenates there, each of size 1."""
    node, shape = flow.node[name], flow.shape(name) or ()
    plain = plain_name(node.op)
    if plain not in ("stack", "cat") or axis != _axis(node, len(shape), 0):
        return []
    parts = [each for _, each in flow.arguments(name) if each in flow.sources]
    if plain == "stack":
        return parts
    is_even = all(len(each := flow.shape(part) or ()) > axis and each[axis] == 1 for part in parts)
    return [_without_new_axis(flow, part) for part in parts] if is_even else []


def _without_new_axis(flow: Activations, part: str) -> str:
    """Return what a node gives an axis of size 1 (``x[None]``, ``x.unsqueeze(0)``); for others, the node itself."""
    sources = flow.sources[part]
    if flow.role(part) != "view" or len(sources) != 1 or flow.node[part].uses:
        return part
    before, after = flow.shape(sources[0]), flow.shape(part)
    is_longer = before and after and len(after) == len(before) + 1 and prod(before) == prod(after)
    return sources[0] if is_longer else part


def _axis_before(flow: Activations, name: str, axis: int) -> int | None:
    """Return which axis of what a node reads is this axis of its result, if it only puts axes in another order."""
    node, axes = flow.node[name], len(flow.shape(name) or ())
    if keeps_values(node):
        return axis
    plain, numbers = plain_name(node.op), _whole_numbers(node)
    if plain == "permute" and len(numbers) == axes:
        return numbers[axis] % axes
    if plain in ("transpose", "swapaxes", "swapdims", "t", "mt") and axes > 1:
        one, other = (number % axes for number in (numbers if len(numbers) == 2 else (-2, -1)))
        return {one: other, other: one}.get(axis, axis)
    if plain in ("movedim", "moveaxis") and len(numbers) == 2:
        order = [place for place in range(axes) if place != numbers[0] % axes]
        order.insert(numbers[1] % axes, numbers[0] % axes)
        return order[axis]
    return None


def _whole_numbers(node: Node) -> list[int]:
    """Return the whole numbers among the arguments of a call, in their order."""
    values = chain.from_iterable(each if isinstance(each, tuple) else (each,) for each in node.settings.values())
    return [value for value in values if isinstance(value, int) and not isinstance(value, bool)]


def _axis(node: Node, axes: int, default: int | None) -> int | None:
    value: Any = next((node.settings[slot] for slot in ("1", "dim", "axis") if slot in node.settings), default)
    if isinstance(value, tuple) and len(value) == 1:
        (value,) = value
    return value % axes if axes and isinstance(value, int) and not isinstance(value, bool) else None
