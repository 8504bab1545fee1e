"""Convolutions, feature maps, layers and blocks, in English."""

from __future__ import annotations

from collections.abc import Sequence

from fxviz._analysis.facts import Facts, Layer, Step
from fxviz._graph import SKIP_NOUNS, units
from fxviz._report.explain import phrases as telling
from fxviz._report.explain import select as selecting
from fxviz._report.explain.words import agreeing, listed, number


def convolutions(facts: Facts) -> list[str]:
    """Kernels, strides and channels."""
    found = [layer for layer in facts.of_kind("convolution") if layer.geometry]
    if not found:
        return []
    return [*_kernels(found), *_special(found), *_chain(facts)]


def _kernels(found: Sequence[Layer]) -> list[str]:
    kernels, strides, paddings = telling.kernels(found), telling.strides(found), telling.paddings(found)
    if len(found) == 1:
        return [f"The only convolution has a {_kernel(kernels[0][0], 'kernel')} and stride {strides[0][0]}."]
    wide = listed(f"{count} with stride {size}" for size, count in strides if size != "1")
    every = f"stride {strides[0][0]}" if len(strides) == 1 else ""
    if len(kernels) == 1:
        same = listed([every, f"padding {paddings[0]}" if len(paddings) == 1 else ""]) if every else wide
        all_of = "Both" if len(found) == 2 else f"All {len(found)}"
        return [f"{all_of} convolutions have {_kernel(kernels[0][0], 'kernels')}, {same}."]
    sizes = listed(f"{count} of {_kernel(size)}" for size, count in kernels)
    return [f"Kernels: {sizes}; {f'all with {every}' if every else wide}."]


def _kernel(size: str, noun: str = "") -> str:
    """Sizes with the noun for what has them; of one dimension it is a number, which needs a word.

    >>> _kernel("3×3", "kernel"), _kernel("3", "kernels"), _kernel("3")
    ('3×3 kernel', 'kernels of size 3', 'size 3')
    """
    if "×" in size:
        return f"{size} {noun}".rstrip()
    return f"{noun} of size {size}" if noun else f"size {size}"


def _special(found: Sequence[Layer]) -> list[str]:
    special = selecting.special(found)
    ways = [(special.depthwise, "depthwise"), (special.grouped, f"grouped ({listed(map(str, special.groups))} groups)")]
    ways += [(count, f"dilated by {size}") for size, count in special.dilated]
    said = [(count, way) for count, way in (*ways, (special.transposed, "transposed")) if count]
    if len(found) == 1:
        return [f"It is {listed(way for _, way in said)}."] if said else []
    told = listed(f"{'all' if count == len(found) else count} {agreeing(count, 'is', 'are')} {way}" for count, way in said)
    return [f"{told[0].upper()}{told[1:]}."] if said else []


def _chain(facts: Facts) -> list[str]:
    channels = telling.plain_channels(facts)
    return [f"Output channels in order: {'-'.join(map(str, channels))}."] if channels else []


def maps(facts: Facts) -> list[str]:
    """Where feature maps get smaller."""
    said = []
    if facts.steps:
        said.append(f"They get smaller at {'; '.join(map(_step, facts.steps))}.")
    if len(facts.stages) > 1:
        channels = ", ".join(f"{stage.channels} at {telling.sizes(stage.size)}" for stage in facts.stages)
        said.append(f"Channels: {channels}{_doubled(*telling.doublings(facts.stages))}.")
    return said


def _doubled(times: int, changes: int) -> str:
    """How often the channels double; nothing where they never do."""
    if not times:
        return ""
    often = f"{times} of {changes} times" if times < changes else "every time" if changes > 1 else ""
    return f"; they double {often} that the size changes" if often else "; they double where the size changes"


def _step(step: Step) -> str:
    ways = {"convolution": f"stride {telling.stride(step.stride)}" if step.stride else "", "slicing": "slicing"}
    way = ways.get(step.cause, "pooling") or step.cause
    return f"{telling.path(step.path)} ({way}) {telling.sizes(step.before)} → {telling.sizes(step.after)}"


def linear(facts: Facts) -> list[str]:
    """Fully connected layers."""
    found = facts.of_kind("linear")
    if not found:
        return []
    if not selecting.are_few(found):
        pairs, others = selecting.features(found)
        if len(pairs) == 1:
            return [f"{len(found)} of them, all {pairs[0][0]}."]
        more = [number(others, "other size")] if others else []
        return [f"{len(found)} of them: {listed([*(f'{count} of {size}' for size, count in pairs), *more])}."]
    return [
        f"{telling.path(layer.path)}: {layer.features[0]} → {layer.features[1]}, {_held(layer, facts)}."
        for layer in found
        if layer.features
    ]


def _held(layer: Layer, facts: Facts) -> str:
    if not layer.params:
        return "its parameters are counted elsewhere"
    return f"{number(layer.params, 'parameter', units.hundredths)} ({telling.share_of(layer.params, facts)})"


def attention(facts: Facts) -> list[str]:
    """Where attention is computed."""
    attention = facts.attention
    if attention is None:
        return []
    blocks = listed(number(count, _block(name)) for name, count in attention.blocks.items())
    times = "once" if attention.count == 1 else f"{attention.count} times"
    said = [f"It is computed {times}" + (f", in {blocks}." if blocks else ".")]
    heads = listed(map(str, attention.heads)) + " head" + "s" * (attention.heads != (1,)) if attention.heads else ""
    widths = f"width {listed(map(str, attention.widths))}" if attention.widths else ""
    return [*said, *([f"It has {listed((heads, widths))}."] if heads or widths else [])]


def _block(name: str) -> str:
    """A class of blocks as a noun, unless it is one by itself."""
    said = telling.name(name)
    return said if said.lower().endswith("block") else f"{said} block"


def blocks(facts: Facts) -> list[str]:
    """Residual blocks, shortcuts and gates."""
    said = []
    if facts.blocks:
        total = sum(block.count for block in facts.blocks)
        said.append(f"{number(total, 'residual block')}: {listed(f'{b.count} {telling.name(b.name)}' for b in facts.blocks)}.")
    return [*said, *_shortcuts(facts), *_others(facts)]


def _shortcuts(facts: Facts) -> list[str]:
    said = []
    for skips in selecting.shortcuts(facts):
        held = f"{skips.params} parameters, {skips.share}" if skips.params else "no parameters"
        said.append(f"{number(skips.count, SKIP_NOUNS[skips.kind])} with {held}.")
    return said


def _others(facts: Facts) -> list[str]:
    concat, gates = facts.skips["concat"], facts.skips["gate"]
    said = []
    if concat:
        said.append(f"{number(concat, SKIP_NOUNS['concat'])}: earlier features are concatenated with later ones.")
    if gates:
        said.append(f"{number(gates, SKIP_NOUNS['gate'])}: features are multiplied by weights computed from them.")
    return said
