"""A graph's facts in words: the line that tells what was written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from fxviz import units
from fxviz.graph import ArchGraph

_DOMINANT = 0.85


@dataclass(frozen=True)
class Share:
    """A part of the model and how many of the traced parameters it holds; ``share`` lies between 0 and 1."""

    path: str
    params: int
    share: float


def headline(graph: ArchGraph) -> str:
    """The total, the skips and the three largest parts in one line, for example::

    11.69M parameters, 8 skips (5 identity, 3 projection); layer4 71.8%, layer3 18.0%, layer2 4.5%
    """
    untraced = sum(parameter.size for parameter in graph.untraced)
    facts = [f"{units.count(graph.total_params)} parameters"]
    if untraced:
        facts.append(f"{units.count(untraced)} of them never used by this trace")
    facts.append(_skips(graph.skip_counts))
    shares = ", ".join(f"{part.path} {units.percent(part.share)}" for part in largest_shares(graph))
    return ", ".join(facts) + (f"; {shares}" if shares else "")


def largest_shares(graph: ArchGraph, count: int = 3) -> tuple[Share, ...]:
    """The ``count`` parts of the model that hold most of its traced parameters, largest first.

    The parts are the model's direct children. One that holds 85 % or more gives way to its own children, unless these are
    all of one size (the twelve layers of a transformer say less than their sum).
    """
    untraced = {parameter.name for parameter in graph.untraced}
    sizes = {parameter.name: parameter.size for parameter in graph.parameters if parameter.name not in untraced}
    total = sum(sizes.values())
    parts = sorted(_parts(sizes, total).items(), key=lambda part: -part[1])
    return tuple(Share(path, params, params / total) for path, params in parts[:count] if params)


def _parts(sizes: dict[str, int], total: int) -> Counter[str]:
    parts = _children(sizes, "")
    while parts:
        path, params = parts.most_common(1)[0]
        children = _children(sizes, path)
        same = len(children) > 1 and len(set(children.values())) == 1
        if params < _DOMINANT * total or same or children.keys() <= sizes.keys():
            break
        del parts[path]
        parts.update(children)
    return parts


def _children(sizes: dict[str, int], path: str) -> Counter[str]:
    """Parameters by the direct children of ``path``; a tensor that it owns itself counts as a child."""
    prefix = f"{path}." if path else ""
    children: Counter[str] = Counter()
    for name, size in sizes.items():
        if name.startswith(prefix):
            children[prefix + name[len(prefix) :].partition(".")[0]] += size
    return children


def _skips(counts: dict[str, int]) -> str:
    total, kinds = sum(counts.values()), [kind for kind, count in counts.items() if count]
    if not kinds:
        return "no skips"
    told = f"all {kinds[0]}" if len(kinds) == 1 < total else ", ".join(f"{counts[kind]} {kind}" for kind in kinds)
    return f"{total} skip{'s' if total > 1 else ''} ({told})"
