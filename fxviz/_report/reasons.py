"""Which model is larger, and what makes it so, in a sentence or two."""

from __future__ import annotations

from collections.abc import Sequence

from fxviz._analysis.facts import Layer
from fxviz._graph import units
from fxviz._report.sides import Side, paths_of
from fxviz.quoting import short_path, shown

_REASON = 0.2
"""With less of the difference than this a single part is no reason."""

_SAME = 0.005
"""MACs that differ by less are not worth a sentence."""


def reasons(sides: Sequence[Side]) -> tuple[str, ...]:
    """The largest model against the smallest: how many times the parameters, where they are, and how many times the MACs.

    The part whose parameters differ most is named; where a single layer makes up half of that difference, the layer.
    """
    small = min(sides, key=lambda side: side.facts.params)
    large = max(sides, key=lambda side: side.facts.params)
    if large.facts.params == small.facts.params:
        return (_same(sides), *_macs(*_by_macs(sides)))
    return (f"{_times(large, small)}: {_why(large, small)}", *_macs(large, small))


def _same(sides: Sequence[Side]) -> str:
    names = [side.label for side in sides]
    params = units.hundredths(sides[0].facts.params)
    return f"{', '.join(names[:-1])} and {names[-1]} have the same number of parameters ({params})"


def _by_macs(sides: Sequence[Side]) -> tuple[Side, Side]:
    return max(sides, key=lambda side: side.facts.macs), min(sides, key=lambda side: side.facts.macs)


def _times(large: Side, small: Side) -> str:
    params = f"({units.hundredths(large.facts.params)} against {units.hundredths(small.facts.params)})"
    names = large.label, small.label
    if not small.facts.params:
        return f"{names[0]} has parameters, {names[1]} has none {params}"
    return f"{names[0]} has {units.ratio(large.facts.params / small.facts.params)} the parameters of {names[1]} {params}"


def _why(large: Side, small: Side) -> str:
    """Where the difference is: in what the run does not use, or in the layer or part that is larger by most."""
    unused = large.facts.unused_params - small.facts.unused_params
    grown = {path: _params(large, path) - _params(small, path) for path in paths_of((large, small))}
    path = max(grown, key=grown.__getitem__, default="")
    if unused >= grown.get(path, 0):
        return _unused(large, small)
    if grown[path] < _REASON * (large.facts.params - small.facts.params):
        return "the difference is spread over many parts"
    return _larger(large, small, path)


def _unused(large: Side, small: Side) -> str:
    """The parameters that the run of the larger model does not use, and whether it uses more without them."""
    held, before = large.facts.unused_params, small.facts.unused_params
    against = f", against {units.hundredths(before)} in {small.label}" if before else ""
    left_out = "reached" if large.graph.trace.failure else "used"
    said = f"{units.hundredths(held)} of them are not {left_out} in this run{against}"
    used, other = large.facts.used_params, small.facts.used_params
    return said if used > other else f"{said}; it uses {units.hundredths(used)}, {small.label} uses {units.hundredths(other)}"


def _larger(large: Side, small: Side, path: str) -> str:
    """The part that is larger by most; the layer in it that makes up half of the difference, if there is one."""
    held, before = _params(large, path), _params(small, path)
    layer = _layer_in(large, path, held - before) if not before else None
    what = _said(layer) if layer else short_path(path)
    amount = layer.params if layer else held
    if before:
        return f"{what} holds {units.hundredths(held)} of them against {units.hundredths(before)}"
    if small.facts.params and amount > small.facts.params:
        times = units.ratio(amount / small.facts.params)
        return f"{what} alone holds {units.hundredths(amount)}, {times} all of {small.label}"
    return f"{what} holds {units.hundredths(amount)}, and {small.label} has no such part"


def _params(side: Side, path: str) -> int:
    """The parameters that a path holds in a model, whether or not it is one of the parts there."""
    part = side.part(path)
    return part.amount.params if part else 0


def _layer_in(side: Side, path: str, difference: int) -> Layer | None:
    """The layer of this part that makes up half of the difference, if there is one."""
    inside = [layer for layer in side.facts.layers if layer.path == path or layer.path.startswith(f"{path}.")]
    largest = max(inside, key=lambda layer: layer.params, default=None)
    return largest if largest is not None and largest.params * 2 >= difference else None


def _said(layer: Layer) -> str:
    """A layer with its class and what it makes of what: ``classifier.0 (Linear 25088 -> 4096)``."""
    return f"{short_path(layer.path)} ({f'{shown(layer.name)} {sizes_of(layer)}'.rstrip()})"


def sizes_of(layer: Layer) -> str:
    """How wide a layer is before and behind; else the shape of its weight, if that is known."""
    if layer.features:
        return f"{layer.features[0]} → {layer.features[1]}"
    if layer.geometry:
        kernel = "×".join(map(str, layer.geometry.kernel))
        return f"{kernel}, {layer.geometry.in_channels} → {layer.geometry.out_channels}"
    return units.shape(layer.weight) if layer.weight else ""


def _macs(large: Side, small: Side) -> tuple[str, ...]:
    """The MACs of the same two models; of half a run they say nothing."""
    more, less = large.facts.macs, small.facts.macs
    if large.graph.trace.failure or small.graph.trace.failure or not more or not less or abs(more / less - 1) < _SAME:
        return ()
    against = f"({units.macs(more)} against {units.macs(less)})"
    return (f"It needs {units.ratio(more / less)} the MACs {against}",)
