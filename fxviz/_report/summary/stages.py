"""Summarize a graph by stage: what each consists of, in letters for kinds of blocks, and the kinds below."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from fxviz._analysis.structure import Kind, Stage, Structure
from fxviz._graph import SKIP_NOUNS, ArchGraph, units
from fxviz._report.summary.values import Row, summed_times


def rows_by_stage(graph: ArchGraph, structure: Structure) -> tuple[Row, ...]:
    """Return one row for each stage, with the parameters that count there."""
    home = {name: place for place, stage in enumerate(structure.stages) for name in stage.nodes}
    read: dict[int, list[str]] = defaultdict(list)
    for node in graph.nodes:
        if node.id in home:
            read[home[node.id]] += [name for name in node.uses if name not in node.shared]
    batch = next((tensor.shape[0] for tensor in graph.trace.inputs.values() if tensor.shape), 1)
    return tuple(_row(stage, read[place], graph, batch) for place, stage in enumerate(structure.stages))


def _row(stage: Stage, names: list[str], graph: ArchGraph, batch: int) -> Row:
    nodes = [graph.by_id[name] for name in stage.nodes]
    known = graph.index.parameters
    return Row(
        "stage",
        stage.title,
        stage.text,
        tuple(known[name] for name in dict.fromkeys(names) if name in known),
        macs=stage.macs,
        macs_unknown=sum(node.macs is None for node in nodes),
        time=summed_times(node.time for node in nodes),
        calls=stage.calls,
        output=(batch, stage.channels, *stage.size) if stage.channels else None,
    )


def notes_on(structure: Structure) -> Iterator[str]:
    """Return sentences on the layout and the kinds of blocks."""
    yield f"Layout: {structure.layout} ({structure.reason})."
    for kind in structure.kinds:
        yield f"{_described(kind)}."


def _described(kind: Kind) -> str:
    """Return a kind in one clause: "A: Conv 3×3, 3×3 (BasicBlock), 5 times, identity shortcut, 54.3%"."""
    members = ", ".join(name for name in kind.members if name != kind.word)
    times = units.quantity(len(kind.occurrences), "time") if len(kind.occurrences) > 1 else "once"
    facts = [f"{kind.word} ({members})" if members else kind.word, times]
    if kind.shortcut is not None:
        facts.append(SKIP_NOUNS[kind.shortcut])
    return f"{kind.letter}: {', '.join(facts)}, {units.percent(kind.share)} of the parameters"
