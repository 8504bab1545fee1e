"""The words of a difference: what became of a row, and how the two models differ as a whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from fxviz import units
from fxviz.difference import KINDS, Difference, count_layers
from fxviz.styling import wording
from fxviz.view import Altered, Change, Row, View

SIGNS = {"added": "+", "removed": "−", "resized": "~", "mixed": "~"}
"""Stands before what differs, so that it is seen without colour."""

COUNTED = "(those with parameters, norms too)"
"""Which layers are counted."""

_FIRST = (
    "out_channels",
    "out_features",
    "num_features",
    "embedding_dim",
    "in_channels",
    "in_features",
    "kernel_size",
    "stride",
)
"""The settings that say most, in this order."""

_SEVERAL = ("block", "blocks", "layers", "code", "chain")
"""Kinds of rows that stand for several layers."""

_SKIPS = {"skips": ("identity", "projection", "resample"), "concat skips": ("concat",), "gates": ("gate",)}
_SAID = {
    **dict.fromkeys(("out_channels", "out_features"), "out"),
    **dict.fromkeys(("in_channels", "in_features"), "in"),
    **dict.fromkeys(("num_features", "normalized_shape", "embed_dim", "embedding_dim"), ""),
    "kernel_size": "kernel",
}


# -------------------------------------------------------------------- rows


def sign(row: Row) -> str:
    """The sign of a row that differs, "" for one that does not."""
    return SIGNS[look(row)] if row.change else ""


def look(row: Row) -> str:
    """As what a row is marked: several layers, some of which were added, as added to; a layer that got a norm as altered."""
    assert row.change is not None
    kinds = {part.kind for part in row.change.altered}
    if row.change.kind == "mixed" and len(kinds) == 1 and row.kind in _SEVERAL:
        return kinds.pop()
    return row.change.kind


def said(row: Row) -> str:
    """What became of a row, in a few words.

    >>> from fxviz.graph import Node
    >>> conv = Node("a", "module", "Conv2d", "a", settings={"out_channels": 128, "in_channels": 3})
    >>> was = Node("b", "module", "Conv2d", "a", settings={"out_channels": 64, "in_channels": 3})
    >>> said(Row(0, "layer", (conv,), "a", None, 0, 0, change=Change("resized", (Altered("resized", conv, was),))))
    'out 64 → 128'
    >>> said(Row(0, "layer", (conv,), "a", None, 0, 0, change=Change("added", (Altered("added", conv),))))
    'added'
    """
    change = row.change
    if change is None:
        return ""
    if change.kind in ("added", "removed"):
        return change.kind
    if row.kind in _SEVERAL:
        return "resized" if change.kind == "resized" else _counts(change)
    if change.kind == "resized":
        return next(filter(None, (resized(part) for part in _own(row, change))), "resized")
    return " · ".join(_part(part) for part in change.altered)


def shortest(said: str) -> str:
    """The same without what a reader can do without, where there is little room.

    >>> shortest("in 1024 → 2208"), shortest("output size 7 → 6"), shortest("+8 ~8 of 16"), shortest("3 of 6 added")
    ('1024→2208', '7→6', '+8 ~8', '3 of 6')
    """
    return re.sub(r"^[^→]* (?=\S+ → )| of \d+$|(?<=\d) [a-z]+$", "", said).replace(" → ", "→")


def _own(row: Row, change: Change) -> list[Altered]:
    """What differs in a row, its layer first."""
    heads = {head.id for head in row.heads}
    return sorted(change.altered, key=lambda part: part.node.id not in heads)


def _part(part: Altered) -> str:
    """A norm or activation that was fused into a layer, or is now."""
    return f"{SIGNS[part.kind]} {wording.tag(part.node)}"


def _counts(change: Change) -> str:
    """How many layers of several differ: "2 of 6 added"; of steps without parameters only how many.

    >>> from fxviz.graph import Node
    >>> conv = Node("a", "module", "Conv2d", "a", uses=("a.weight",))
    >>> _counts(Change("mixed", (Altered("added", conv),), layers=6))
    '1 of 6 added'
    """
    by_kind = {kind: [part.node for part in change.altered if part.kind == kind] for kind in KINDS}
    layers = {kind: count for kind, nodes in by_kind.items() if (count := count_layers(nodes))}
    counts = layers or {kind: len(nodes) for kind, nodes in by_kind.items() if nodes}
    of = f" of {change.layers}" if layers else ""
    if len(counts) == 1:
        kind, count = counts.popitem()
        return f"all {count} {kind}" if count == change.layers else f"{count}{of} {kind}"
    return " ".join(f"{SIGNS[kind]}{count}" for kind, count in counts.items()) + of


def resized(part: Altered) -> str:
    """The setting that says most of what differs, or the sizes of what has no settings."""
    if part.before is None:
        return ""
    new, old = part.node.settings, part.before.settings
    differing = sorted((name for name in {**new, **old} if new.get(name) != old.get(name)), key=_rank)
    if differing:
        return _setting(differing[0], old, new)
    if part.node.kind == "parameter" and part.node.outputs and part.before.outputs:
        return _arrow(part.before.outputs[0].shape, part.node.outputs[0].shape)
    return ""


def _rank(name: str) -> tuple[int, str]:
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)


def _setting(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    partner = name.replace("out_", "in_")
    both = partner in new and (old.get(name), new.get(name)) == (old.get(partner), new.get(partner))
    called = "" if both and partner != name else _SAID.get(name, name.replace("_", " "))
    return f"{called} {_arrow(old.get(name), new.get(name))}".strip()


def _arrow(old: Any, new: Any) -> str:
    """From one value to the other; of several sizes those that differ.

    >>> _arrow(64, 128), _arrow((16, 16), (32, 32)), _arrow((1, 197, 768), (1, 50, 768)), _arrow(None, True)
    ('64 → 128', '16 → 32', '197 → 50', 'no → yes')
    """
    if isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
        pairs = list(dict.fromkeys((one, other) for one, other in zip(old, new, strict=True) if one != other))
        old, new = (units.shape([pair[side] for pair in pairs]) for side in (0, 1))
    return f"{_value(old)} → {_value(new)}"


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "yes" if value else "no"
    return units.shape(value) if isinstance(value, tuple) else str(value)


# -------------------------------------------------------------------- the whole


def name(difference: Difference) -> str:
    """Both names: "resnet34 against resnet18"."""
    return f"{difference.new.model.name} against {difference.old.model.name}"


def totals(difference: Difference) -> Iterator[str]:
    """Parameters, MACs and skips of the new model, each with how much more or less it is than in the old one."""
    old, new = difference.old, difference.new
    inputs = [tuple(tensor.shape for tensor in graph.trace.inputs.values()) for graph in (old, new)]
    if inputs[0] != inputs[1] and all(inputs):
        yield f"input {_shapes(inputs[0])} → {_shapes(inputs[1])}"
    yield _total(units.count, "parameters", old.traced_params, new.traced_params)
    if old.total_macs or new.total_macs:
        yield _total(units.macs, "", old.total_macs, new.total_macs)
    for noun, kinds in _SKIPS.items():
        before, now = (sum(graph.skip_counts[kind] for kind in kinds) for graph in (old, new))
        if before or now:
            yield _total(str, noun.removesuffix("s") if now == 1 else noun, before, now)


def _shapes(shapes: Sequence[Sequence[int]]) -> str:
    return ", ".join(map(units.shape, shapes[:2])) + (", …" if len(shapes) > 2 else "")


def _total(write: Callable[[int], str], noun: str, old: int, new: int) -> str:
    """
    >>> _total(units.count, "parameters", 11689512, 21797672), _total(str, "skips", 8, 8), _total(str, "skips", 2, 0)
    ('21.80M parameters (+10.11M, 1.9x)', '8 skips (as before)', '0 skips (−2)')
    """
    said = f"{write(new)} {noun}".strip()
    if old == new:
        return f"{said} (as before)"
    change = ("+" if new > old else "−") + write(abs(new - old))
    ratio = f", {units.ratio(new / old)}" if old and new else ""
    return f"{said} ({change}{ratio})"


def counts(difference: Difference) -> list[tuple[str, str]]:
    """What became of how many layers, or of how many steps without parameters if no layer differs, in words by kind.

    >>> from fxviz.graph import ArchGraph, ModelInfo, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("net", "python", "Net"), trace, (), (), (Scope(0, "", "Net", 0, None),), ())
    >>> counts(Difference(graph, graph, {}, frozenset(), ()))
    []
    """
    has_layers = any(difference.layers.values())
    found, noun = (difference.layers, "layer{}") if has_layers else (difference.steps, "step{} without parameters")
    counted = {kind: f"{count} {noun.format('s' * (count > 1))} {kind}" for kind, count in found.items() if count}
    if not counted and (count := len(difference.rewired)):
        counted["resized"] = f"{count} step{'s' * (count > 1)} with other inputs"
    return [(kind, f"{SIGNS[kind]} {said}") for kind, said in counted.items()]


def described(view: View) -> str:
    """The difference in one breath, for readers who do not see the figure."""
    difference = view.difference
    assert difference is not None
    rows = [f"{wording.what(row)} {row.path}: {said(row)}" for row in view.rows if row.change]
    marked = f" Marked: {_few(rows)}." if rows else ""
    return f"{told(view)}.{marked}"


def told(view: View) -> str:
    """Both names, the totals, and how many layers differ, in one line."""
    difference = view.difference
    assert difference is not None
    differing = ", ".join(said for _, said in counts(difference))
    differing = f"{differing} {COUNTED}" if any(difference.layers.values()) else differing or "no difference"
    return f"{name(difference)}: {', '.join(totals(difference))}; {differing}"


def _few(texts: Sequence[str], most: int = 12) -> str:
    more: Iterable[str] = [f"{len(texts) - most} more"] if len(texts) > most else []
    return "; ".join([*texts[:most], *more])
