"""Report on a graph: in one line (:func:`headline`, here), as a summary, in sentences, or beside other models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from fxviz._analysis.parts import opened, step_name, sums, used_sizes
from fxviz._graph import RESIDUAL_KINDS, SKIP_NOUNS, ArchGraph, Node, ResidualKind, SkipKind, units
from fxviz._graph.errors import short_path
from fxviz._graph.metrics import METRICS

__all__ = ["Share", "headline", "in_words", "largest_shares"]


@dataclass(frozen=True)
class Share:
    """A part of the model and the amount of a metric that it holds; ``share`` lies between 0 and 1."""

    path: str
    amount: float
    share: float


def headline(graph: ArchGraph, metric: str = "params") -> str:
    """Return the total, the skips and the three largest parts in one line, for example::

    11.69M parameters, 8 skips (5 identity, 3 projection); layer4 71.8%, layer3 18.0%, layer2 4.5%

    If the run stopped early, the line begins with that, and the numbers cover only what ran before.
    """
    untraced = sum(parameter.size for parameter in graph.untraced)
    params = f"{units.hundredths(graph.traced_params)} parameters"
    if untraced:
        params += (
            f" (+ {units.hundredths(untraced)} {'not reached' if graph.trace.failure else 'not used in this run'})"
        )
    shares = ", ".join(f"{short_path(part.path)} {units.percent(part.share)}" for part in largest_shares(graph, metric))
    measured = "" if metric == "params" else f"of {METRICS[metric].noun}: "
    return f"{_stop(graph)}{params}, {in_words(graph.skip_counts)}" + (f"; {measured}{shares}" if shares else "")


def _stop(graph: ArchGraph) -> str:
    failure = graph.trace.failure
    if failure is None:
        return ""
    name = (
        f"{short_path(failure.path)} ({short_path(failure.class_name)})"
        if failure.path
        else short_path(failure.class_name)
    )
    return f"stopped at {name}; until then "


def largest_shares(graph: ArchGraph, metric: str = "params", count: int = 3) -> tuple[Share, ...]:
    """Return the ``count`` parts of the model that hold most of a metric, largest first.

    The parts are those of :mod:`fxviz._analysis.parts`, as in the figure.
    """
    sizes: Mapping[str, float] = used_sizes(graph) if metric == "params" else _amounts(graph, METRICS[metric].of)
    total = sum(sizes.values())
    parts = sorted(sums(sizes, opened(sizes)).items(), key=lambda part: -part[1])
    return tuple(Share(path, amount, amount / total) for path, amount in parts[:count] if amount)


def _amounts(graph: ArchGraph, of: Callable[[Node], float]) -> dict[str, float]:
    """Add up the amounts of all steps, by the names under which they count."""
    amounts: dict[str, float] = defaultdict(float)
    for node in graph.nodes:
        amounts[step_name(node, graph.index)] += of(node)
    return dict(amounts)


def in_words(counts: Mapping[SkipKind, int]) -> str:
    """Return the numbers of skips by kind in words.

    >>> in_words({"identity": 2, "projection": 1, "resample": 0, "concat": 2, "gate": 1})
    '3 skips (2 identity, 1 projection), 2 concat skips, 1 gate'
    """
    residual = {kind: count for kind, count in counts.items() if count and kind in RESIDUAL_KINDS}
    others = [
        units.quantity(count, SKIP_NOUNS[kind])
        for kind, count in counts.items()
        if count and kind not in RESIDUAL_KINDS
    ]
    return ", ".join((*_residual(residual), *others)) or "no skips"


def _residual(counts: Mapping[ResidualKind, int]) -> Iterator[str]:
    total, kinds = sum(counts.values()), list(counts)
    if kinds:
        by_kind = ", ".join(f"{counts[kind]} {kind}" for kind in kinds)
        yield f"{units.quantity(total, 'skip')} ({f'all {kinds[0]}' if len(kinds) == 1 < total else by_kind})"
