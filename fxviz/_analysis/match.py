"""Match the steps of two models by the paths of modules, and by their content where paths are shifted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count, groupby, pairwise

from fxviz._analysis.difference import ChangeKind, Difference, Removed, compared_settings, count_layers, matters
from fxviz._graph import ArchGraph, Node, Scope
from fxviz._graph.errors import UsageError, shown, spelled
from fxviz._graph.operations import is_activation, is_heavy, is_norm, plain_name

_FAMILY = 1 / 4
"""The least share of the smaller model's layers that the other one has, too, if both are of one family."""

_CHANNELS = ("out_channels", "out_features", "num_features", "num_channels", "normalized_shape", "embedding_dim")
"""Settings that give the output channels of a layer: one without parameters has no other sizes."""


def match(old: ArchGraph, new: ArchGraph) -> Difference:
    """Find the difference between two models of one family.

    From the model itself down, the steps of each module's forward are aligned in order. A name in both modules is that
    of one module; in a list, where names are numbers, equal steps are paired before those of one class. So a layer that
    is inserted does not mark all those after it. Dropout rates, constant factors and sizes of views are not compared.

    Args:
        old: the model to compare with.
        new: the model that is compared with it.

    Raises:
        UsageError: they have almost nothing in common, or one of them did not run to its end.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("empty", "python", "Empty"), trace, (), (), (Scope(0, "", "Empty", 0, None),), ())
    >>> match(graph, graph).is_empty
    True
    """
    for graph in (old, new):
        if graph.trace.failure is not None:
            raise UsageError(
                f"cannot compare an incomplete run: '{shown(graph.model.name)}' failed; trace a run that completes"
            )
    matcher = _Matcher(old, new)
    matcher.match()
    was, now = names_of((old, new))
    removed = sorted(matcher.removed, key=lambda lost: old.index.position[lost.nodes[0].id])
    difference = Difference(old, new, (was, now), matcher.pairs, matcher.changed, tuple(removed))
    _check_family(difference)
    return difference


def _check_family(difference: Difference) -> None:
    """Refuse two models whose figure would be one model removed and another one added."""
    old, new = difference.old, difference.new
    smaller = min(count_layers(graph.nodes, difference.readers) for graph in (old, new))
    common = count_layers((node for node in new.nodes if node.id in difference.pairs), difference.readers)
    if common < _FAMILY * smaller:
        names = " and ".join(f"'{shown(name)}'" for name in difference.names)
        instead = spelled("use fxviz.compare()", "leave out -o")
        raise UsageError(
            f"{names} have almost nothing in common ({common} of {smaller} layers), so a figure of their difference "
            f"would show one removed and the other added; {instead}, or choose two models of one family"
        )


class _Matcher:
    def __init__(self, old: ArchGraph, new: ArchGraph) -> None:
        numbers: dict[Hashable, int] = {}
        self.old, self.new = Tree(old, numbers), Tree(new, numbers)
        self.pairs: dict[str, str] = {}
        self.changed: dict[str, ChangeKind] = {}
        self.removed: list[Removed] = []

    def match(self) -> None:
        """Pair the module calls of both models, from the models themselves down."""
        waiting = [(0, 0)]
        while waiting:
            scopes = waiting.pop()
            old, new = self.old.children[scopes[0]], self.new.children[scopes[1]]
            pairs = align(old, new)
            for one, other in pairs:
                waiting += self._pair(old[one], new[other])
            self.removed += _removed(old, new, pairs, scopes[1])

    def _pair(self, old: Step, new: Step) -> Iterator[tuple[int, int]]:
        """Pair all steps inside two equal ones; return two calls that differ, whose steps have yet to be aligned."""
        if old.signature == new.signature:
            self.pairs.update((one.id, other.id) for other, one in zip(old.nodes, new.nodes, strict=True))
        elif old.scope is not None and new.scope is not None:
            yield old.scope.id, new.scope.id
        else:
            was, now = old.nodes[0], new.nodes[0]
            self.pairs[now.id] = was.id
            self.changed[now.id] = "resized" if self._is_resized(was, now) else "altered"

    def _is_resized(self, was: Node, now: Node) -> bool:
        """Return whether parameters of the same name have other shapes, or there are more or fewer channels."""
        old, new = self.old.sizes(was), self.new.sizes(now)
        if any(old[name] != new[name] for name in old.keys() & new.keys()):
            return True
        return any(was.settings.get(name) != now.settings.get(name) for name in _CHANNELS)


def _removed(old: Sequence[Step], new: Sequence[Step], pairs: Pairs, parent: int) -> Iterator[Removed]:
    """Return the removed steps between two that were kept, in groups that belong together."""
    for (one, other), (next_one, _) in pairwise([(-1, -1), *pairs, (len(old), len(new))]):
        after = new[other].nodes[-1].id if other >= 0 else None
        before = new[other + 1].nodes[0].id if other + 1 < len(new) else None
        for group in _groups(old[one + 1 : next_one]):
            nodes = tuple(node for step in group for node in step.nodes)
            if any(map(matters, nodes)):
                yield Removed(
                    nodes, tuple(step.scope for step in group if step.scope is not None), parent, after, before
                )


def _groups(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Group steps: module calls of one class, and a layer with the norm and activation after it."""
    for is_call, run in groupby(steps, key=lambda step: step.scope is not None):
        group: list[Step] = []
        for step in run:
            if group and not (step.cls == group[-1].cls if is_call else _continues(group[-1].nodes[0], step.nodes[0])):
                yield group
                group = []
            group.append(step)
        yield group


def _continues(above: Node, node: Node) -> bool:
    """Return whether a step is drawn as a part of the layer above it."""
    if not matters(node):
        return True
    may_follow = is_norm(node) or is_activation(node)
    return may_follow and not is_activation(above) and not (is_norm(node) and is_norm(above))


def names_of(graphs: Sequence[ArchGraph]) -> list[str]:
    """Return distinct names for models: with the source if a name has two sources, with a number if two are equal.

    >>> from dataclasses import replace
    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace, scopes = TraceInfo("meta", "fake", {}, "2.4.0", None), (Scope(0, "", "Net", 0, None),)
    >>> net = ArchGraph(ModelInfo("net", "python", "Net"), trace, (), (), scopes, ())
    >>> names_of((net, net)), names_of((net, replace(net, model=replace(net.model, source="timm"))))
    (['net', 'net (2)'], ['python:net', 'timm:net'])
    >>> taken = replace(net, model=replace(net.model, name="net (2)"))
    >>> names_of((net, net, taken)), names_of((taken, net, net))
    (['net', 'net (3)', 'net (2)'], ['net (2)', 'net', 'net (3)'])
    """
    sources: dict[str, set[str]] = defaultdict(set)
    for graph in graphs:
        sources[graph.model.name].add(graph.model.source)
    names = [graph.model.name if len(sources[graph.model.name]) == 1 else _with_source(graph) for graph in graphs]
    numbered: list[str] = []
    for name in names:
        more = (f"{name} ({number})" for number in count(2))
        numbered.append(name if name not in numbered else next(way for way in more if way not in (*names, *numbered)))
    return numbered


def _with_source(graph: ArchGraph) -> str:
    return f"{graph.model.source}:{graph.model.name}"


_EQUAL, _NAMED_TOO = 600, 1
"""Points per unit of weight for equal steps, and for an equal name: few, so that insertions are found."""

_SHARED, _ALIKE, _NAMED = 200, 80, 60
"""Points for steps that differ: for equal content, for content of one class, and for an equal name."""

Pairs = list[tuple[int, int]]


def align(old: Sequence[Step], new: Sequence[Step]) -> Pairs:
    """Return the places of the steps to pair, in order.

    Equal steps are paired before those of one class, and earlier ones before later ones, so that a step that was
    inserted or appended does not shift all those after it. A name in both models is that of one module, unless it is
    the number of a place in a list.

    Args:
        old: the steps of a module's forward in the old model.
        new: those in the new model.
    """
    both = {name for name in {step.name for step in old} & {step.name for step in new} if not name.isdecimal()}
    start = 0
    while start < min(len(old), len(new)) and _is_same(old[start], new[start]):
        start += 1
    pairs: Pairs = [(at, at) for at in range(start)]
    one = other = start
    for run in [*_long_runs(old, new, both, start), _Run(len(old), len(new), 0)]:
        between = _best(old[one : run.old], new[other : run.new], both)
        pairs += [(one + before, other + after) for before, after in between]
        pairs += [(run.old + at, run.new + at) for at in range(run.length)]
        one, other = run.old + run.length, run.new + run.length
    return pairs


def _is_same(one: Step, other: Step) -> bool:
    return (one.signature, one.name) == (other.signature, other.name)


def _may_pair(one: Step, other: Step, both: set[str]) -> bool:
    """Return whether names allow a pair: one that both models have is that of one module."""
    return one.name == other.name or not ({one.name, other.name} & both)


_MOST_CELLS = 250_000
"""Up to this number of pairs each step of the old model is weighed against each of the new one."""

_MOST_EDITS = 64
"""Lists that are longer are cut behind this number of steps without an equal one, at the latest."""


@dataclass(frozen=True)
class _Run:
    """Equal steps, one by one: the place of the first in the old and in the new model, and their number."""

    old: int
    new: int
    length: int


@dataclass(frozen=True)
class _Way:
    """A way through both lists: the place that it has reached in the old one, its last run, and the way before that."""

    at: int
    run: _Run | None = None
    before: _Way | None = None

    def runs(self) -> list[_Run]:
        """Return its runs in order."""
        found: list[_Run] = []
        way: _Way | None = self
        while way is not None and way.run is not None:
            found.append(way.run)
            way = way.before
        return found[::-1]


def _long_runs(old: Sequence[Step], new: Sequence[Step], both: set[str], start: int) -> Iterator[_Run]:
    """Yield runs of equal steps that cut two long lists into short pieces; none if the lists are short.

    So the time grows with the number of steps, not with its square. A run without steps only ends a piece.
    """
    was, now = ([(step.signature, step.name if step.name in both else "") for step in steps] for steps in (old, new))
    one = other = start
    while (len(was) - one) * (len(now) - other) > _MOST_CELLS:
        for run in _furthest(was, now, one, other):
            yield run
            one, other = run.old + run.length, run.new + run.length


def _furthest(was: Sequence[Hashable], now: Sequence[Hashable], one: int, other: int) -> list[_Run]:
    """Return the runs on the way that gets furthest with ``_MOST_EDITS`` edits, and one without steps at its end.

    An edit passes a step of one model. A diagonal is the number of steps that the old model is ahead; for each the
    furthest way is kept (E. W. Myers, "An O(ND) difference algorithm and its variations", 1986).
    """
    lead = one - other
    ways = {lead: _slid(was, now, lead, _Way(one))}
    for edits in range(1, _MOST_EDITS + 1):
        for diagonal in range(lead - edits, lead + edits + 1, 2):
            beside = (diagonal - 1, 1), (diagonal + 1, 0)
            near = [(ways[side].at + step, side) for side, step in beside if side in ways]
            near = [(at, side) for at, side in near if at <= len(was) and at - diagonal <= len(now)]
            if near:
                at, side = max(near)
                ways[diagonal] = _slid(was, now, diagonal, replace(ways[side], at=at))
    diagonal, way = max(ways.items(), key=lambda found: (2 * found[1].at - found[0], -abs(found[0] - lead)))
    return [*way.runs(), _Run(way.at, way.at - diagonal, 0)]


def _slid(was: Sequence[Hashable], now: Sequence[Hashable], diagonal: int, way: _Way) -> _Way:
    """Return the way that goes on along a diagonal as far as the steps are equal."""
    at = way.at
    while at < len(was) and at - diagonal < len(now) and was[at] == now[at - diagonal]:
        at += 1
    run = _Run(way.at, way.at - diagonal, at - way.at)
    return _Way(at, run, way if way.run else None) if run.length else way


def _best(old: Sequence[Step], new: Sequence[Step], both: set[str]) -> Pairs:
    """Return the pairs with the most points; of equally good ones the earliest."""
    known: dict[tuple[int, str, int, str], int] = {}

    def weigh(one: Step, other: Step) -> int:
        key = one.signature, one.name, other.signature, other.name
        if key not in known:
            known[key] = _points(one, other, both)
        return known[key]

    points = [[weigh(one, other) for other in new] for one in old]
    best = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for at in range(len(old) - 1, -1, -1):
        for place in range(len(new) - 1, -1, -1):
            without = max(best[at + 1][place], best[at][place + 1])
            together = points[at][place]
            best[at][place] = max(without, together + best[at + 1][place + 1]) if together else without
    return list(_walk(points, best))


def _walk(points: list[list[int]], best: list[list[int]]) -> Pairs:
    one = other = 0
    found: Pairs = []
    while one < len(points) and other < len(points[one]):
        if points[one][other] and best[one][other] == points[one][other] + best[one + 1][other + 1]:
            found.append((one, other))
            one, other = one + 1, other + 1
        elif best[one][other] == best[one + 1][other]:
            one += 1
        else:
            other += 1
    return found


def _points(one: Step, other: Step, both: set[str]) -> int:
    """Return the points for pairing two steps; 0 if they cannot be a pair."""
    if (one.scope is None) != (other.scope is None) or not _may_pair(one, other, both):
        return 0
    same_name = one.name == other.name
    if one.signature == other.signature:
        return (_EQUAL + _NAMED_TOO * same_name) * one.weight
    equal, alike = _shared(one, other)
    largest = max(one.weight, other.weight)
    if not _is_enough(one, other, equal + alike, largest):
        return 0
    return _SHARED * equal + _ALIKE * alike + _NAMED * same_name * min(one.weight, other.weight)


def _shared(one: Step, other: Step) -> tuple[int, int]:
    """Return the weight of their common content: equal, and of one class only."""
    if one.scope is None:
        return 0, min(one.weight, other.weight) if one.cls == other.cls else 0
    shared = one.content & other.content
    equal = sum(weight for (how, _), weight in shared.items() if how == "equal")
    return equal, sum(weight for (how, _), weight in shared.items() if how == "alike") - equal


def _is_enough(one: Step, other: Step, shared: int, largest: int) -> bool:
    """Return whether two steps share enough: a quarter if of one class (nothing if named alike), else half."""
    if one.cls == other.cls:
        return one.scope is None or one.name == other.name or 4 * shared >= largest
    return one.scope is not None and one.name == other.name and 2 * shared >= largest


_HEAVY = 4
"""The weight of a layer; norms and activations weigh 1, as they tell little about a module."""


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a module's forward: a call of a module with children (``scope``) or a single node.

    Attributes:
        nodes: the nodes that ran in it.
        name: the name of its module within the one around it; "" for functions.
        cls: the class of a module, or the name of a function.
        signature: equal for steps with equal classes, settings and parameter shapes, own or shared, at any depth.
        content: the weights of the steps in it, by signature and by class.
    """

    scope: Scope | None
    nodes: tuple[Node, ...]
    name: str
    cls: Hashable
    signature: int
    content: Counter[tuple[str, Hashable]]

    @cached_property
    def weight(self) -> int:
        """Return the sum of its weights."""
        return sum(weight for (how, _), weight in self.content.items() if how == "equal")


class Tree:
    """The steps in every module call of a graph. Trees that share ``numbers`` have comparable signatures."""

    def __init__(self, graph: ArchGraph, numbers: dict[Hashable, int]) -> None:
        self._index = graph.index
        self._numbers = numbers
        self.children: dict[int, list[Step]] = {}
        calls: dict[int, Step] = {}
        for scope in reversed(graph.scopes):  # the innermost first
            inside = [
                calls[step.id] if isinstance(step, Scope) else self._leaf(step) for step in self._index.steps[scope.id]
            ]
            self.children[scope.id] = inside
            if inside and scope.parent is not None:
                calls[scope.id] = self._call(scope, inside)

    def sizes(self, node: Node) -> dict[str, tuple[int, ...]]:
        """Return the shape of each parameter that a node reads, by its name in the layer."""
        parameters = self._index.parameters
        return {name.removeprefix(node.path): parameters[name].shape for name in node.uses if name in parameters}

    def _number(self, facts: Hashable) -> int:
        return self._numbers.setdefault(facts, len(self._numbers))

    def _leaf(self, node: Node) -> Step:
        cls = _class(node)
        signature = self._number((cls, *self._facts(node)))
        weight = _HEAVY if is_heavy(node) or (node.uses and not is_norm(node)) else 1
        content = Counter({("equal", signature): weight, ("alike", cls): weight})
        named = node.kind in ("module", "parameter")
        return Step(None, (node,), node.path.rpartition(".")[2] if named else "", cls, signature, content)

    def _facts(self, node: Node) -> tuple[Hashable, ...]:
        if node.kind in ("input", "output"):
            return ()
        settings = tuple((name, repr(value)) for name, value in compared_settings(node).items())
        return (tuple(self.sizes(node).values()), bool(node.shared), settings)

    def _call(self, scope: Scope, inside: list[Step]) -> Step:
        nodes = tuple(node for step in inside for node in step.nodes)
        content: Counter[tuple[str, Hashable]] = Counter()
        for step in inside:
            content.update(step.content)
        signature = self._number((scope.cls, tuple(step.signature for step in inside)))
        return Step(scope, nodes, scope.path.rpartition(".")[2], scope.cls, signature, content)


def _class(node: Node) -> Hashable:
    """Return the class of a node: ``x + y``, ``x += y`` and ``torch.add(x, y)`` are one."""
    if node.kind in ("input", "output"):
        return node.kind
    if node.kind in ("function", "method"):
        return "function", plain_name(node.op)
    return node.kind, node.cls or node.op
