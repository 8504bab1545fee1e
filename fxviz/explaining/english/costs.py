"""Computation and memory, in English."""

from __future__ import annotations

from fxviz import units
from fxviz.explaining import selecting, telling
from fxviz.explaining.english.words import KINDS, agreeing, number
from fxviz.facts.values import Facts
from fxviz.graph import ArchGraph


def computation(graph: ArchGraph, facts: Facts) -> list[str]:
    """MACs by kind and part."""
    if not facts.macs:
        return [f"MACs are unknown: {_unknown(facts)}."] if facts.unknown_macs else []
    over = " or more" if facts.unknown_macs else ""
    said = [f"{units.macs(facts.macs)}{over} for this input (1 MAC, a multiplication and an addition, is 2 FLOPs)."]
    if facts.unknown_macs:
        said.append(f"{_unknown(facts)} and {agreeing(facts.unknown_macs, 'is', 'are')} left out.")
    if graph.trace.guessed:
        said.append("Sizes that depend on data were guessed, so that the number is about right only.")
    kinds = sorted(((k, a) for k, a in facts.kinds.items() if a.macs), key=lambda item: -item[1].macs)
    names = {**KINDS, "other": "products without weight"}
    said.append(f"By kind: {', '.join(f'{names[kind]}s {units.percent(held.macs_share)}' for kind, held in kinds)}.")
    if shares := selecting.macs_shares(facts):
        said.append(f"Part by part: {', '.join(shares)}.")
    return said


def _unknown(facts: Facts) -> str:
    return f"{number(facts.unknown_macs, 'operation')} {agreeing(facts.unknown_macs, 'has', 'have')} no formula"


def memory(facts: Facts) -> list[str]:
    """Bytes of parameters, buffers and activations."""
    memory, said = facts.memory, []
    if facts.params:
        said.append(f"The parameters take {_both(memory.weights, memory.weights_fp32, memory.weight_dtypes)}.")
    if facts.buffers:
        scalars = number(facts.buffers, "scalar")
        said.append(f"Buffers, which are no parameters, add {scalars}, {telling.buffers(facts)} at four bytes each.")
    if memory.largest:
        largest = memory.largest
        all_of_them = _both(memory.activations, memory.activations_fp32, memory.activation_dtypes)
        name = telling.path(largest.path or largest.name)
        said.append(f"The activations take {all_of_them}: every tensor that an operation newly makes, for this input.")
        said.append(f"The largest of them leaves {name}: {units.shape(largest.shape)}, {units.memory(largest.bytes)}.")
    return said


def _both(traced: int, fp32: int, dtypes: frozenset[str]) -> str:
    """Bytes as traced and in fp32; the latter alone where all is fp32, and the former where nothing is floating."""
    said = units.memory(traced)
    if dtypes <= {"float32"}:
        return f"{said} (fp32)" if dtypes else said
    return f"{said} as traced, {units.memory(fp32)} in fp32"
