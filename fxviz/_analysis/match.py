"""Which steps of two models are one and the same: by the paths of modules, and where these are shifted by what they hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from itertools import count, groupby, pairwise

from fxviz._analysis.aligning import Pairs, align
from fxviz._analysis.difference import Difference, Removed, count_layers, matters
from fxviz._analysis.tree import Step, Tree
from fxviz._errors import UsageError
from fxviz._graph import ArchGraph, Node
from fxviz._graph.operations import is_activation, is_norm
from fxviz.quoting import shown

_FAMILY = 1 / 4
"""The part of the smaller model's layers that is found in the other one at least, if they are of one family."""

_CHANNELS = ("out_channels", "out_features", "num_features", "num_channels", "normalized_shape", "embedding_dim")
"""The settings that say how many channels leave a layer: one without parameters has no other sizes."""


def match(old: ArchGraph, new: ArchGraph) -> Difference:
    """What became of each step of a model in another one of its family.

    From the model itself down, the steps of each module's forward are aligned in order. A name that both modules have is that
    of one module; in a list, where names are mere numbers, equal steps are paired before those of one class. So one layer that
    is inserted does not mark all that follow. Dropout rates, constant factors and sizes of views are not compared.

    Args:
        old: the model that was there before.
        new: the one that is compared with it.

    Raises:
        UsageError: they have next to nothing in common, or one of them did not run to its end.

    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("empty", "python", "Empty"), trace, (), (), (Scope(0, "", "Empty", 0, None),), ())
    >>> match(graph, graph).is_empty
    True
    """
    for graph in (old, new):
        if graph.trace.failure is not None:
            raise UsageError(f"cannot compare half a run: '{shown(graph.model.name)}' stopped before its end; trace it whole")
    found = _Matcher(old, new)
    found.match()
    was, now = names_of((old, new))
    difference = Difference(old, new, (was, now), found.pairs, found.changed, tuple(_in_order(old, found.removed)))
    _check_family(difference)
    return difference


def _in_order(old: ArchGraph, removed: Sequence[Removed]) -> list[Removed]:
    place = {node.id: number for number, node in enumerate(old.nodes)}
    return sorted(removed, key=lambda lost: place[lost.nodes[0].id])


def _check_family(difference: Difference) -> None:
    """Refuse two models whose figure would be one model removed and another one added."""
    old, new = difference.old, difference.new
    smaller = min(count_layers(graph.nodes, difference.readers) for graph in (old, new))
    common = count_layers((node for node in new.nodes if node.id in difference.pairs), difference.readers)
    if common < _FAMILY * smaller:
        names = " and ".join(f"'{shown(name)}'" for name in difference.names)
        raise UsageError(
            f"{names} have next to nothing in common ({common} of {smaller} layers), so a figure of their difference "
            "would show one removed and the other added: compare them without -o, or choose two models of one family"
        )


class _Matcher:
    def __init__(self, old: ArchGraph, new: ArchGraph) -> None:
        numbers: dict[Hashable, int] = {}
        self.old, self.new = Tree(old, numbers), Tree(new, numbers)
        self.pairs: dict[str, str] = {}
        self.changed: dict[str, str] = {}
        self.removed: list[Removed] = []

    def match(self) -> None:
        """All module calls that belong together, from the models themselves down."""
        waiting = [(0, 0)]
        while waiting:
            scopes = waiting.pop()
            old, new = self.old.children[scopes[0]], self.new.children[scopes[1]]
            pairs = align(old, new)
            for one, other in pairs:
                waiting += self._pair(old[one], new[other])
            self.removed += _removed(old, new, pairs, scopes[1])

    def _pair(self, old: Step, new: Step) -> Iterator[tuple[int, int]]:
        """Pair all steps inside two equal ones; of two that are alike, what is inside has yet to be aligned."""
        if old.signature == new.signature:
            self.pairs.update((one.id, other.id) for other, one in zip(old.nodes, new.nodes, strict=True))
        elif old.scope is not None and new.scope is not None:
            yield old.scope.id, new.scope.id
        else:
            was, now = old.nodes[0], new.nodes[0]
            self.pairs[now.id] = was.id
            self.changed[now.id] = "resized" if self._is_resized(was, now) else "altered"

    def _is_resized(self, was: Node, now: Node) -> bool:
        """Whether parameters that both have are of other sizes, or there are more or fewer channels."""
        old, new = self.old.sizes(was), self.new.sizes(now)
        if any(old[name] != new[name] for name in old.keys() & new.keys()):
            return True
        return any(was.settings.get(name) != now.settings.get(name) for name in _CHANNELS)


def _removed(old: Sequence[Step], new: Sequence[Step], pairs: Pairs, parent: int) -> Iterator[Removed]:
    """What stood between two steps that are still there, put together where it belongs together."""
    for (one, other), (next_one, _) in pairwise([(-1, -1), *pairs, (len(old), len(new))]):
        after = new[other].nodes[-1].id if other >= 0 else None
        before = new[other + 1].nodes[0].id if other + 1 < len(new) else None
        for group in _groups(old[one + 1 : next_one]):
            nodes = tuple(node for step in group for node in step.nodes)
            if any(map(matters, nodes)):
                yield Removed(nodes, tuple(step.scope for step in group if step.scope is not None), parent, after, before)


def _groups(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Module calls of one class, and a layer with the norm and activation behind it, are one."""
    for is_call, run in groupby(steps, key=lambda step: step.scope is not None):
        group: list[Step] = []
        for step in run:
            if group and not (step.cls == group[-1].cls if is_call else _continues(group[-1].nodes[0], step.nodes[0])):
                yield group
                group = []
            group.append(step)
        yield group


def _continues(above: Node, node: Node) -> bool:
    """Whether a step is drawn as a part of the layer above it."""
    if not matters(node):
        return True
    return (is_norm(node) or is_activation(node)) and not is_activation(above) and not (is_norm(node) and is_norm(above))


def names_of(graphs: Sequence[ArchGraph]) -> list[str]:
    """The models' names in their order, no two alike: those of two sources with the source, equal ones with a number.

    >>> from dataclasses import replace
    >>> from fxviz._graph import ModelInfo, Scope, TraceInfo
    >>> trace, scopes = TraceInfo("meta", "fake", {}, "2.4.0", None), (Scope(0, "", "Net", 0, None),)
    >>> net, timms = (ArchGraph(ModelInfo("net", source, "Net"), trace, (), (), scopes, ()) for source in ("python", "timm"))
    >>> names_of((net, net)), names_of((net, timms))
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
