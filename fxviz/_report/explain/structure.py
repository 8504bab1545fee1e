"""What a model is made of and where its parameters are, in English."""

from __future__ import annotations

from collections.abc import Sequence

from fxviz._analysis.facts import WEIGHTED, Facts, Kind, Place
from fxviz._graph import ArchGraph, units
from fxviz._report.explain import phrases as telling
from fxviz._report.explain import select as selecting
from fxviz._report.explain.words import KINDS, agreeing, listed, number, several


def structure(graph: ArchGraph, facts: Facts) -> list[str]:
    """Layers and totals."""
    return [*_failure(graph), *_layers(facts), *_totals(graph, facts)]


def _failure(graph: ArchGraph) -> list[str]:
    stopped = selecting.stopped(graph)
    if stopped is None:
        return []
    path, cls = stopped
    return [f"The run stopped at {f'{path} ({cls})' if path else cls}: all that follows is said of what ran until then."]


def _layers(facts: Facts) -> list[str]:
    if not facts.weighted:
        return ["It has no weighted layers."]
    said = [f"{number(facts.weighted, 'weighted layer')}: {_counted(facts, 'main')}."]
    where = {"shortcut": "on shortcuts", "gate": "in gates"}
    left_out = [f"{text} {where[place]}" for place in selecting.BESIDE if (text := _counted(facts, place))]
    left_out += [number(len(found), KINDS[kind]) for kind in selecting.QUIET if (found := facts.of_kind(kind))]
    if left_out:
        are = "is" if len(left_out) == 1 and left_out[0].startswith("1 ") else "are"
        said.append(f"Counted as papers do, each layer once and on the main way alone: not counted {are} {listed(left_out)}.")
    return [*said, *_depth(facts)]


def _counted(facts: Facts, place: Place, kinds: Sequence[Kind] = WEIGHTED) -> str:
    return listed(number(len(found), KINDS[kind]) for kind in kinds if (found := facts.of_kind(kind, place)))


def _depth(facts: Facts) -> list[str]:
    depth = facts.depth
    if facts.is_chain:
        return ["All of them follow one another in one chain."] if facts.weighted > 1 else []
    kinds = listed(number(count, KINDS[kind]) for kind in WEIGHTED if (count := depth.kinds.get(kind, 0)))
    calls = ", each call counted" if depth.repeats else ""
    return [f"The longest chain is {depth.layers} deep{calls}: {kinds}."]


def _totals(graph: ArchGraph, facts: Facts) -> list[str]:
    if not facts.params:
        return ["It has no parameters."]
    said = [f"{telling.exact(facts.params)} {agreeing(facts.params, 'parameter', 'parameters')}, {_frozen(facts)}."]
    if facts.unused:
        names, more = selecting.owners(facts)
        verb = "did not reach" if graph.trace.failure else "does not use"
        said.append(
            f"This run {verb} {telling.exact(facts.unused_params)} of them (in {', '.join(names)}{' and more' * more}); "
            "shares are of those that it uses."
        )
    if shared := selecting.shared(facts):
        others = shared.count - 1
        besides = f", and {others} more {agreeing(others, 'is', 'are')} shared" if others else ""
        where = listed(shared.readers) + " and more" * shared.more
        said.append(f"{shared.name} is shared by {where}{besides}; shared parameters count once.")
    return said


def _frozen(facts: Facts) -> str:
    if not facts.frozen:
        return "all of them trainable"
    return "all of them frozen" if facts.frozen == facts.params else f"{telling.exact(facts.frozen)} of them frozen"


def parameters(facts: Facts) -> list[str]:
    """Where the parameters are."""
    if not facts.used_params:
        return []
    return [*_core(facts), *_parts(facts), *_kinds(facts), *_largest(facts)]


def _core(facts: Facts) -> list[str]:
    """The smallest set of parts that holds 80 %."""
    core = selecting.core(facts)
    if core is None:
        return []
    if not core.names:
        return [f"{core.count} of {core.of} parts hold {core.share} of the parameters."]
    if core.first:
        first, *others = core.names
        return [f"{first} alone holds {core.first} of the parameters; with {listed(others)} it is {core.share}."]
    holds = agreeing(core.count, "alone holds", "hold")
    return [f"{listed(core.names)} {holds} {core.share} of the parameters."]


def _parts(facts: Facts) -> list[str]:
    shares, more = selecting.shares(facts)
    return [f"Part by part: {', '.join(shares)}{', …' * more}."] if shares else []


def _kinds(facts: Facts) -> list[str]:
    kinds = telling.other_kinds(facts.kinds)
    if len(kinds) == 1:
        return [f"All of them are in {several(kinds[0][0])}."]
    held = [f"{several(kind)} {units.percent(amount.share)}" for kind, amount in kinds]
    return [*_rivals(facts), f"By kind: {', '.join(held)}."]


def _rivals(facts: Facts) -> list[str]:
    """Which of convolutions and fully connected layers hold most, as that is often claimed wrongly."""
    rivals = telling.rivals(facts)
    if rivals is None:
        return []
    most, less = (
        f"{f'the {KINDS[kind]} {sole}' if (sole := telling.sole(facts, kind)) else several(kind)} "
        f"({units.percent(facts.kinds[kind].share)})"
        for kind in rivals
    )
    return [f"Most of them are in {most}, not in {less}."]


def _largest(facts: Facts) -> list[str]:
    layer = selecting.largest(facts)
    if layer is None:
        return []
    which = "The largest layer is" if layer.equal == 1 else f"The largest layers are {layer.equal} of one size, the first"
    weight = f", weight {layer.weight}" if layer.weight else ""
    return [f"{which} {layer.path} ({layer.name}{weight}): {layer.params} parameters, {layer.share}."]
