"""Follow positions through views, rolls and padding: which of them stand in one group, as in windows and grids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import NamedTuple

from fxviz._analysis.structure.tensors import Tensors, _numbers
from fxviz._graph import Node
from fxviz._graph.operations import cuts, is_norm, plain_name

_LONGEST = 40
"""The most steps from what enters attention to its queries."""

_VIEWS = ("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "viewas", "reshapeas", "rearrange")


class Group(NamedTuple):
    """The positions that stand in one group: their number, distance and shift by dimension of the map.

    ``cut`` is true if each dimension was cut into two on the way, also if one of these is 1.
    """

    sizes: tuple[int, ...]
    steps: tuple[int, ...]
    shift: tuple[int, ...]
    cut: bool


@dataclass(frozen=True)
class _Factor:
    """A part of a dimension: so many positions along one axis of the map, so far apart. Axis -1 is none of the map."""

    axis: int
    size: int
    step: int = 1


_Dimension = tuple[_Factor, ...]


@dataclass(frozen=True)
class _Layout:
    """A tensor by its dimensions, the sizes of the map, and the shift of its axes."""

    dimensions: tuple[_Dimension, ...]
    axes: tuple[int, ...]
    shift: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(prod(factor.size for factor in dimension) for dimension in self.dimensions)


def group_of(tensors: Tensors, query: str) -> Group | None:
    """Return the positions of the second-last dimension of a tensor; None if the way there is not understood.

    The way is followed from the nearest step with several sources, or from the nearest layer but one.
    """
    chain = _chain(tensors, query)
    layout = _start(tensors, chain[0])
    for before, name in pairwise(chain):
        if layout is None:
            return None
        layout = _moved(tensors, before, name, layout)
    if layout is None or len(layout.dimensions) < 2:
        return None
    most = max(len(tensors.shape(name)) for name in chain)
    return _group(layout, layout.dimensions[-2], len(layout.axes) > 1 and most >= 2 * len(layout.axes) + 2)


def _group(layout: _Layout, dimension: _Dimension, cut: bool) -> Group | None:
    sizes, steps = [1] * len(layout.axes), [0] * len(layout.axes)
    for factor in dimension:
        if factor.axis >= 0 and factor.size > 1:
            sizes[factor.axis] *= factor.size
            steps[factor.axis] = min(steps[factor.axis] or factor.step, factor.step)
    if max(sizes, default=1) < 2:
        return None
    return Group(tuple(sizes), tuple(step or 1 for step in steps), layout.shift, cut)


def _chain(tensors: Tensors, query: str) -> list[str]:
    """Return the way to the queries, from what enters the attention on."""
    chain, layers = [query], 0
    while len(chain) < _LONGEST:
        name = chain[-1]
        layers += name in tensors.layers and tensors.layers[name].kind in ("linear", "convolution")
        sources = [source for source in tensors.sources.get(name, ()) if tensors.shape(source)]
        if not sources or layers > 1 or (len(sources) > 1 and tensors.op(name) in ("add", "cat") and layers):
            break
        main = tensors.index.main_argument(tensors.node(name))
        chain.append(main.id if main is not None and main.id in sources else sources[0])
    return chain[::-1]


def _start(tensors: Tensors, name: str) -> _Layout | None:
    shape = tensors.shape(name)
    if len(shape) < 3 or shape[0] != tensors.batch:
        return None
    channel = tensors.axis.get(name, len(shape) - 1)
    axes = [place for place in range(1, len(shape)) if place != channel]
    dimensions = tuple((_Factor(axes.index(place) if place in axes else -1, size),) for place, size in enumerate(shape))
    return _Layout(dimensions, tuple(shape[place] for place in axes), (0,) * len(axes))


def _moved(tensors: Tensors, before: str, name: str, layout: _Layout) -> _Layout | None:
    """Return the layout of a step's result; None if the step is not understood."""
    shape, op = tensors.shape(name), plain_name(tensors.node(name).op)
    if op == "permute":
        order = _numbers(tensors.node(name))
        if sorted(place % len(shape) for place in order) == list(range(len(layout.dimensions))):
            return replace(layout, dimensions=tuple(layout.dimensions[place] for place in order))
        return None
    if op in ("transpose", "swapaxes", "swapdims"):
        return _swapped(layout, _numbers(tensors.node(name)))
    if op == "roll":
        return _rolled(layout, tensors.node(name).settings)
    if op in _VIEWS:
        return _viewed(layout, shape)
    if shape == layout.shape:
        return None if _moves(tensors.node(name)) else layout
    return _resized(tensors, name, layout, shape)


def _moves(node: Node) -> bool:
    """Return whether a module whose result has the shape of its input may have moved positions in there."""
    steps = {plain_name(step) for step in node.steps}
    return not is_norm(node) and not steps.isdisjoint((*_VIEWS, "permute", "transpose", "roll", "flip", "index"))


def _swapped(layout: _Layout, pair: Sequence[int]) -> _Layout | None:
    if len(pair) != 2:
        return None
    dimensions = list(layout.dimensions)
    one, other = pair
    dimensions[one], dimensions[other] = dimensions[other], dimensions[one]
    return replace(layout, dimensions=tuple(dimensions))


def _rolled(layout: _Layout, settings: object) -> _Layout | None:
    """Return the layout with the shift of the axes that a roll moves."""
    from collections.abc import Mapping

    assert isinstance(settings, Mapping)
    shifts = settings.get("shifts", settings.get("1"))
    places = settings.get("dims", settings.get("2"))
    if not isinstance(shifts, tuple) or not isinstance(places, tuple):
        return None
    shift = list(layout.shift)
    for amount, place in zip(shifts, places, strict=False):
        factors = layout.dimensions[place]
        if len(factors) != 1 or not isinstance(amount, int):
            return None
        if factors[0].axis >= 0:
            shift[factors[0].axis] = abs(amount)
    return replace(layout, shift=tuple(shift))


def _viewed(layout: _Layout, shape: Sequence[int]) -> _Layout | None:
    """Return the layout in another shape. A whole sequence of positions that is cut into two is a map."""
    layout = _as_map(layout, shape)
    waiting = [factor for dimension in layout.dimensions for factor in dimension if factor.size > 1][::-1]
    dimensions: list[_Dimension] = []
    for size in shape:
        taken: list[_Factor] = []
        room = size
        while room > 1:
            if not waiting:
                return None
            factor = waiting.pop()
            if factor.size <= room:
                if room % factor.size:
                    return None
                taken.append(factor)
                room //= factor.size
            else:
                if factor.size % room:
                    return None
                inner = factor.size // room
                taken.append(replace(factor, size=room, step=factor.step * inner))
                waiting.append(replace(factor, size=inner))
                room = 1
        dimensions.append(tuple(taken) or (_Factor(-1, 1),))
    return None if waiting else replace(layout, dimensions=tuple(dimensions))


def _as_map(layout: _Layout, shape: Sequence[int]) -> _Layout:
    """Return the layout with two axes in place of one, if the new shape has both of them."""
    if len(layout.axes) != 1 or len(shape) != len(layout.dimensions) + 1:
        return layout
    place = next(place for place, dimension in enumerate(layout.dimensions) if dimension[0].axis == 0)
    before = layout.shape
    rows, columns = shape[place], shape[place + 1] if place + 1 < len(shape) else 0
    kept = tuple(shape[:place]) == before[:place] and tuple(shape[place + 2 :]) == before[place + 1 :]
    if not kept or rows * columns != before[place] or min(rows, columns) < 2:
        return layout
    two = (_Factor(0, rows), _Factor(1, columns))
    dimensions = (*layout.dimensions[:place], two, *layout.dimensions[place + 1 :])
    return _Layout(dimensions, (rows, columns), (0, 0))


def _resized(tensors: Tensors, name: str, layout: _Layout, shape: Sequence[int]) -> _Layout | None:
    """Return the layout after a step that changes single sizes: padding, layers, cuts out of the channels."""
    if cuts(tensors.node(name)) and len(shape) == len(layout.dimensions) - 1:
        at = _dropped(layout.shape, shape)
        if at is None or any(factor.axis >= 0 and factor.size > 1 for factor in layout.dimensions[at]):
            return None
        return replace(layout, dimensions=(*layout.dimensions[:at], *layout.dimensions[at + 1 :]))
    if len(shape) != len(layout.dimensions):
        return None
    dimensions = list(layout.dimensions)
    for place, (size, dimension) in enumerate(zip(shape, layout.dimensions, strict=True)):
        if size != layout.shape[place]:
            if len(dimension) != 1:
                return None
            dimensions[place] = (replace(dimension[0], size=size),)
    return replace(layout, dimensions=tuple(dimensions))


def _dropped(before: Sequence[int], shape: Sequence[int]) -> int | None:
    """Return the first dimension without which the first shape is the second."""
    return next(
        (place for place in range(len(before)) if (*before[:place], *before[place + 1 :]) == tuple(shape)), None
    )
