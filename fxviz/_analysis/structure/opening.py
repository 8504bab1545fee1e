"""Tell which module calls are opened, and which are blocks.

The rules are asked from the model down; the first that applies counts. None knows the name of a class: a class is only
the same as another, or not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import groupby, pairwise

from fxviz._analysis.structure.tensors import Tensors, resolutions
from fxviz._graph import RESIDUAL_KINDS, Node, Scope, Skip
from fxviz._graph.operations import resamples

_ALL = 0.9
"""A module that holds this share of the layers around it is what these wrap."""

_HALF, _QUARTER = 0.5, 0.25

_THIRD = 1 / 3
"""A module is no block for skips that pass over fewer of its layers than this."""

_IN_SERIES = 0.5
"""The share of neighbours of which the second reads the first, in a chain of modules."""

_MOST_RESULTS = 16

_MUCH_SMALLER = 16
"""A module in which positions fall this much, twice by half in both directions, is never one block."""

_RETURNS = 0.6
"""A skip passes over falling and rising resolution if positions fall below this share of those at its end."""

_SMALLER = 1.9
"""In a list with one block, positions fall by this factor or more if it is a stage."""


class Opening:
    """Tells of each module call whether it is opened."""

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors
        self.index = tensors.index
        self.scopes = tensors.index.scopes
        self.total = max(1, tensors.graph.traced_params)
        self._by_class: dict[str, bool] = {}
        self.long: set[Skip] = set()

    # ---------------------------------------------------------------- lookups

    @cached_property
    def layers(self) -> Counter[int]:
        """Count the layers and products inside each module call."""
        count: Counter[int] = Counter()
        for name in self.tensors.heavy:
            for scope in self.index.around(self.tensors.node(name).scope):
                count[scope.id] += 1
        return count

    @cached_property
    def params(self) -> Counter[int]:
        count: Counter[int] = Counter()
        for node in self.tensors.graph.nodes:
            if node.params:
                for scope in self.index.around(node.scope):
                    count[scope.id] += node.params
        return count

    @cached_property
    def children(self) -> dict[int, list[int]]:
        """Return the module calls with several layers, or around a residual skip, directly inside each one."""
        return {
            scope: [
                step.id
                for step in steps
                if isinstance(step, Scope) and (self.layers[step.id] > 1 or self.blocks[step.id])
            ]
            for scope, steps in self.index.steps.items()
        }

    @cached_property
    def blocks(self) -> Counter[int]:
        """Count for each module call the residual skips of which it is the smallest around body and join.

        Skips that pass over few of its layers make no block of it.
        """
        spans = [
            (skip, body, self.index.around_all({self.tensors.node(name).scope for name in (skip.join, *body)}).id)
            for skip in self.tensors.graph.skips
            if skip.kind in RESIDUAL_KINDS and skip.fork in self.tensors.sources
            for body in [set(self.index.between(skip.fork, skip.join))]
        ]
        around = {skip.join: scope for skip, _, scope in spans}
        count: Counter[int] = Counter()
        covered: dict[int, set[str]] = defaultdict(set)
        for skip, body, scope in spans:
            inner = {around[name] for name in body & around.keys()} - {scope}
            if len(inner) >= 2 or self._returns(skip, body):
                self.long.add(skip)
            else:
                count[scope] += 1
                covered[scope] |= body & self.tensors.heavy
        for scope, layers in covered.items():
            if len(layers) < _THIRD * self.layers[scope]:
                del count[scope]
        return count

    def falls(self, skip: Skip) -> bool:
        """Return whether the resolution falls and comes back past a skip."""
        positions = self.tensors.extent(skip.join).positions
        body = (self.tensors.extent(name).positions for name in self.index.between(skip.fork, skip.join))
        return min((at for at in body if at > 1), default=positions) <= _RETURNS * positions

    def _returns(self, skip: Skip, body: set[str]) -> bool:
        """Return whether a skip passes over three modules or more while the resolution falls and comes back."""
        if not self.falls(skip):
            return False
        around = {scope.id for name in body for scope in self.index.around(self.tensors.node(name).scope)}
        whole = {
            scope
            for scope in around
            if self.layers[scope] > 1
            and all(name in body for name in self.index.inside[scope] if name in self.tensors.sources)
        }
        return sum(self.scopes[scope].parent not in whole for scope in whole) >= 3

    @cached_property
    def calls_by_class(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for scope in self.tensors.graph.scopes:
            if self.layers[scope.id]:
                found[scope.cls].append(scope.id)
        return found

    @cached_property
    def _leaving(self) -> dict[int, str | None]:
        return {}

    def leaving(self, scope: int) -> str | None:
        if scope not in self._leaving:
            self._leaving[scope] = self.tensors.leaving(self.index.inside[scope])
        return self._leaving[scope]

    @cached_property
    def _results(self) -> dict[int, list[str]]:
        return {}

    def results(self, scope: int) -> list[str]:
        if scope not in self._results:
            self._results[scope] = self.tensors.results(self.index.inside[scope])
        return self._results[scope]

    def is_series(self, calls: Sequence[int]) -> bool:
        """Return whether most of some module calls are made from what the one before made."""
        pairs = [(self.results(one), self.leaving(other)) for one, other in pairwise(calls)]
        flow = self.tensors.flow
        chained = sum(
            other is not None and any(one != other and flow.is_ancestor(one, other) for one in results[:_MOST_RESULTS])
            for results, other in pairs
        )
        return len(calls) > 1 and chained >= _IN_SERIES * len(pairs)

    # ---------------------------------------------------------------- the rules

    def opens(self, scope: int) -> bool:
        """Return whether a module call is opened. Calls of one class are opened together, or not at all."""
        if scope == 0:
            return True
        cls = self.scopes[scope].cls
        if self.scopes[scope].sequential:
            if len(self.index.steps[scope]) == 1 and isinstance(self.index.steps[scope][0], Scope):
                return True
            child = next(iter(self.children[scope]), None)
            answer = self._opens(scope)
            is_stage = child is not None and self.blocks[child] > 0 and self._shrinks(scope) > _SMALLER
            return is_stage if answer is None else answer
        if cls not in self._by_class:
            self._by_class[cls] = False
            answers = {call: self._opens(call) for call in self.calls_by_class[cls]}
            opened = [self._classes(call) for call, answer in answers.items() if answer]
            closed = [self._classes(call) for call, answer in answers.items() if answer is False]
            self._by_class[cls] = bool(opened) and all(any(_begins(one, other) for other in opened) for one in closed)
        return self._by_class[cls]

    def _classes(self, scope: int) -> list[str]:
        return [self.scopes[child].cls for child in self.children[scope]]

    def _opens(self, scope: int) -> bool | None:
        """Return whether a call would be opened by itself; None if it only wraps one block, as a stage of depth 1."""
        children, is_list = self.children[scope], self.scopes[scope].sequential
        if self.blocks[scope] and not self._is_body(scope, children):
            return False
        parts = children
        while len(parts) == 1:
            parts = self.children[parts[0]]
        if self._is_composite(scope, parts):
            return False
        if len(children) == 1 and self._wraps(scope, children[0]):
            return self.opens(children[0]) or (None if self._holds_one(children[0]) else False)
        if is_list and len(children) > 1 and all(self.blocks[child] for child in children):
            return True
        in_series = self.is_series(children)
        classes = [self.scopes[child].cls for child in children]
        if in_series and (_alternates(classes) or any(one == other for one, other in pairwise(classes))):
            return True
        return self._opens_unlike(scope, children, in_series)

    def _opens_unlike(self, scope: int, children: Sequence[int], in_series: bool) -> bool | None:
        """Return whether a module call with unlike parts is opened."""
        is_list, repeated = self.scopes[scope].sequential, self._is_repeated(scope)
        share = self.params[scope] / self.total
        if in_series and share > _HALF and not repeated:
            return True
        if is_list and in_series and any(self.opens(child) for child in children):
            return True
        lone = sum(isinstance(step, Node) and step.id in self.tensors.heavy for step in self.index.steps[scope])
        if self._shrinks(scope) >= _MUCH_SMALLER and len(children) + lone > 2:
            return True
        is_flat = (is_list or len(children) > 1) and not repeated and share > _QUARTER and len(children) + lone > 2
        if is_flat and (in_series or len(children) < 2):
            return True
        lists = [child for child in children if self.scopes[child].sequential and self.opens(child)]
        if len(lists) == len(children) == 1:
            return True if self.layers[lists[0]] >= _HALF * self.layers[scope] else None
        if is_list or not in_series:
            return False
        holds = any(self.blocks[child] or self.opens(child) for child in children)
        return bool(lists) or (not repeated and holds)

    def _holds_one(self, scope: int) -> bool:
        """Return whether a module call is a residual block, or a list of one module."""
        children = self.children[scope]
        return self.blocks[scope] > 0 or (len(children) == 1 and self.scopes[scope].sequential)

    def is_meeting(self, scope: int) -> bool:
        """Return whether streams meet in a module, which then is opened. A repeated one without blocks is a block."""
        holds_blocks = any(self.blocks[call] for call in self._below(scope))
        return (holds_blocks or not self._is_repeated(scope)) and self._hands_on_streams(scope)

    def _below(self, scope: int) -> Iterator[int]:
        """Yield the module calls inside a module call, at any depth."""
        for step in self.index.steps[scope]:
            if isinstance(step, Scope):
                yield step.id
                yield from self._below(step.id)

    def _hands_on_streams(self, scope: int) -> bool:
        """Return whether several resolutions enter a module and several leave, mixed: a pyramid, or lanes that meet."""
        tensors, nodes = self.tensors, self.index.inside[scope]
        inside = set(nodes)
        origins: dict[str, frozenset[int]] = {}
        leaving: dict[int, frozenset[int]] = {}
        for name in nodes:
            if name not in tensors.sources:
                continue
            origins[name] = frozenset().union(
                *(
                    origins.get(source) or frozenset((tensors.extent(source).positions,))
                    for source in tensors.sources[name]
                    if tensors.flow.is_floating(source)
                )
            )
            if not inside.issuperset(tensors.users[name]):
                leaving[tensors.extent(name).positions] = origins[name]
        entering = frozenset().union(*leaving.values())
        mixes = any(resolutions(found) > 1 for found in leaving.values())
        several = resolutions(entering)
        return mixes and several > 1 and (resolutions(leaving) > 1 or (several > 2 and self._enlarges(nodes)))

    def _enlarges(self, nodes: Sequence[str]) -> bool:
        """Return whether a module resizes maps to a higher resolution, as a decoder does."""
        extent = self.tensors.extent
        return any(
            (resamples(self.tensors.node(name)) or name in self.tensors.heavy)
            and extent(name).positions
            > 1.5 * max((extent(one).positions for one in self.tensors.sources[name]), default=0)
            for name in nodes
            if self.tensors.sources.get(name)
        )

    def _is_body(self, scope: int, children: Sequence[int]) -> bool:
        """Return whether a module with residual skips of its own is the body of the model, or a stack, not a block."""
        if self._is_stack(scope, children):
            return True
        if self._is_repeated(scope):
            return False
        classes = Counter(self.scopes[child].cls for child in children)
        if max(classes.values(), default=0) > 2 and self.is_series(children):
            return True
        if self.params[scope] <= _QUARTER * self.total:
            return False
        return (self.blocks[scope] > 2 and len(children) > 2) or self._shrinks(scope) >= _MUCH_SMALLER

    def _is_stack(self, scope: int, children: Sequence[int]) -> bool:
        """Return whether skips pass each of some modules in series, of one class or of two that alternate."""
        classes = self._classes(scope)
        is_regular = _alternates(classes) or (len(classes) > 3 and len(set(classes)) == 1)
        return is_regular and self.blocks[scope] >= len(children) - 1 and self.is_series(children)

    def _wraps(self, scope: int, child: int) -> bool:
        layers = self.layers[child]
        return layers >= _ALL * self.layers[scope] or self.layers[scope] - layers <= 2

    def _is_composite(self, scope: int, parts: Sequence[int]) -> bool:
        """Return whether a module of unlike parts follows one of its class at about the same resolution."""
        parent = self.scopes[scope].parent
        is_alike = len({(self.scopes[part].cls, self.layers[part]) for part in parts}) == 1
        if len(parts) < 2 or (is_alike and (len(parts) > 2 or self.is_series(parts))):
            return False
        runs = (len(list(run)) for _, run in groupby((self.scopes[part].cls, self.layers[part]) for part in parts))
        if max(runs) > 2:
            return False
        if self.scopes[scope].sequential or parent is None or self.params[scope] >= _HALF * self.total:
            return False
        beside = [step.id for step in self.index.steps[parent] if isinstance(step, Scope)]
        place = beside.index(scope)
        positions = self.tensors.extent(self.leaving(scope)).positions
        for other in beside[max(0, place - 1) : place] + beside[place + 1 : place + 2]:
            if self.scopes[other].cls == self.scopes[scope].cls and self.layers[other] > 1:
                ratio = self.tensors.extent(self.leaving(other)).positions / max(1, positions)
                if 1 / 2 < ratio < 2:
                    return True
        return False

    def _shrinks(self, scope: int) -> float:
        """Return how many times fewer positions leave a module than enter it."""
        nodes = self.index.inside[scope]
        inside = set(nodes)
        entering = (source for name in nodes for source in self.tensors.sources.get(name, ()) if source not in inside)
        most = max((self.tensors.extent(name).positions for name in entering), default=1)
        least = self.tensors.extent(self.leaving(scope)).positions
        return most / least if least > 1 else 1

    def _is_repeated(self, scope: int) -> bool:
        """Return whether another module of its class runs beside it."""
        own = self.scopes[scope]
        return not own.sequential and any(
            self.scopes[call].parent == own.parent and call != scope and self.layers[call] > 1
            for call in self.calls_by_class[own.cls]
        )


def _alternates(classes: Sequence[str]) -> bool:
    """Return whether two classes follow one another twice or more: a stack of blocks of two parts.

    >>> _alternates(["Attention", "MLP"] * 2), _alternates(["Attention", "MLP"]), _alternates(["Conv"] * 4)
    (True, False, False)
    """
    return len(classes) >= 4 and len(set(classes[:2])) == 2 and list(classes) == list(classes[:2]) * (len(classes) // 2)


def _begins(one: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether a stack is a shorter one of the same parts."""
    return 1 < len(one) < len(other) and list(other[: len(one)]) == list(one)
