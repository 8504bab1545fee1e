"""Computation and memory, in English."""

from __future__ import annotations

from fxviz._analysis.facts import Facts
from fxviz._graph import ArchGraph, units
from fxviz._report.explain import phrases as telling
from fxviz._report.explain import select as selecting
from fxviz._report.explain.words import KINDS, number, several


def computation(graph: ArchGraph, facts: Facts) -> list[str]:
    """MACs and time."""
    return [*_macs(graph, facts), *_time(graph, facts)]


def _time(graph: ArchGraph, facts: Facts) -> list[str]:
    if facts.time is None:
        return []
    shares, more = selecting.time_shares(facts)
    where = f": {', '.join(shares)}{', …' * more}" if shares else ""
    return [f"It took {units.seconds(facts.time)} on {telling.name(graph.trace.device)}, step by step{where}."]


def _macs(graph: ArchGraph, facts: Facts) -> list[str]:
    """MACs by kind and part."""
    if not facts.macs:
        return [f"{_unknown(facts)}."] if facts.unknown_macs else []
    over = " or more" if facts.unknown_macs else ""
    said = [f"{units.macs(facts.macs)}{over} for this input (1 MAC, a multiplication and an addition, is 2 FLOPs)."]
    if facts.unknown_macs:
        said.append(f"{_unknown(facts)} and left out.")
    if graph.trace.guessed:
        said.append("What depends on the data was guessed, so that the number is about right only.")
    names = {**{kind: several(kind) for kind in KINDS}, "other": "products without weights"}
    said.append(f"By kind: {', '.join(f'{names[kind]} {share}' for kind, share in selecting.macs_kinds(facts))}.")
    shares, more = selecting.macs_shares(facts)
    return [*said, *([f"Part by part: {', '.join(shares)}{', …' * more}."] if shares else [])]


def _unknown(facts: Facts) -> str:
    return f"The MACs of {number(facts.unknown_macs, 'operation')} are unknown"


def memory(facts: Facts) -> list[str]:
    """Bytes of parameters, buffers and activations."""
    memory, said = facts.memory, []
    if facts.params:
        said.append(f"The parameters take {_both(selecting.weights_bytes(memory))}.")
    if facts.buffers:
        scalars = number(facts.buffers, "scalar")
        said.append(f"Buffers, which are no parameters, add {scalars}, {telling.buffers(facts)} at four bytes each.")
    if memory.largest:
        largest = memory.largest
        all_of_them = _both(selecting.activations_bytes(memory))
        name = telling.path(largest.path or largest.name)
        said.append(f"The activations take {all_of_them}: every tensor that an operation newly makes, for this input.")
        size = units.memory(largest.bytes)
        which = f"The largest are {largest.equal} of {size} each, the first" if largest.equal > 1 else "The largest of them"
        alone = "" if largest.equal > 1 else f", {size}"
        said.append(f"{which} leaves {name}: {units.shape(largest.shape)}{alone}.")
    return said


def _both(taken: selecting.Bytes) -> str:
    """Bytes as traced and in fp32."""
    if taken.fp32:
        return f"{taken.traced} as traced, {taken.fp32} in fp32"
    return f"{taken.traced} (fp32)" if taken.all_fp32 else taken.traced
