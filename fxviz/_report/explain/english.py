"""A model explained in English."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from fxviz._analysis.facts import WEIGHTED, Facts, Kind, Layer, Place, Step
from fxviz._graph import SKIP_NOUNS, ArchGraph, units
from fxviz._report.explain import phrases, select
from fxviz._report.explain.document import Explanation, explanation


def explain(graph: ArchGraph, facts: Facts) -> Explanation:
    """What there is to say of a graph, section by section."""
    return explanation(
        _title(graph),
        (
            ("Structure", structure(graph, facts)),
            ("Where the parameters are", parameters(facts)),
            ("Convolutions", convolutions(facts)),
            ("Feature maps", maps(facts)),
            ("Fully connected layers", linear(facts)),
            ("Attention", attention(facts)),
            ("Blocks and shortcuts", blocks(facts)),
            ("Computation", computation(graph, facts)),
            ("Memory", memory(facts)),
        ),
    )


def _title(graph: ArchGraph) -> str:
    title = select.title(graph)
    source = f" from {title.source}" if title.source else ""
    weights = f" with the weights {title.weights}" if title.weights else ""
    inputs = f", run on {', '.join(title.inputs)}" if title.inputs else ""
    return f"{title.name}: {title.cls}{source}{weights}{inputs}"


def computation(graph: ArchGraph, facts: Facts) -> list[str]:
    """MACs and time."""
    return [*_macs(graph, facts), *_time(graph, facts)]


def _time(graph: ArchGraph, facts: Facts) -> list[str]:
    if facts.time is None:
        return []
    shares, more = select.time_shares(facts)
    where = f": {', '.join(shares)}{', …' * more}" if shares else ""
    return [f"It took {units.seconds(facts.time)} on {phrases.name(graph.trace.device)}, step by step{where}."]


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
    said.append(f"By kind: {', '.join(f'{names[kind]} {share}' for kind, share in select.macs_kinds(facts))}.")
    shares, more = select.macs_shares(facts)
    return [*said, *([f"Part by part: {', '.join(shares)}{', …' * more}."] if shares else [])]


def _unknown(facts: Facts) -> str:
    return f"The MACs of {number(facts.unknown_macs, 'operation')} are unknown"


def memory(facts: Facts) -> list[str]:
    """Bytes of parameters, buffers and activations."""
    memory, said = facts.memory, []
    if facts.params:
        said.append(f"The parameters take {_both(select.weights_bytes(memory))}.")
    if facts.buffers:
        scalars = number(facts.buffers, "scalar")
        said.append(f"Buffers, which are no parameters, add {scalars}, {phrases.buffers(facts)} at four bytes each.")
    if memory.largest:
        largest = memory.largest
        all_of_them = _both(select.activations_bytes(memory))
        name = phrases.path(largest.path or largest.name)
        said.append(f"The activations take {all_of_them}: every tensor that an operation newly makes, for this input.")
        size = units.memory(largest.bytes)
        which = (
            f"The largest are {largest.equal} of {size} each, the first" if largest.equal > 1 else "The largest of them"
        )
        alone = "" if largest.equal > 1 else f", {size}"
        said.append(f"{which} leaves {name}: {units.shape(largest.shape)}{alone}.")
    return said


def _both(taken: select.Bytes) -> str:
    """Bytes as traced and in fp32."""
    if taken.fp32:
        return f"{taken.traced} as traced, {taken.fp32} in fp32"
    return f"{taken.traced} (fp32)" if taken.all_fp32 else taken.traced


def convolutions(facts: Facts) -> list[str]:
    """Kernels, strides and channels."""
    found = [layer for layer in facts.of_kind("convolution") if layer.geometry]
    if not found:
        return []
    return [*_kernels(found), *_special(found), *_chain(facts)]


def _kernels(found: Sequence[Layer]) -> list[str]:
    kernels, strides, paddings = phrases.kernels(found), phrases.strides(found), phrases.paddings(found)
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
    special = select.special(found)
    ways = [(special.depthwise, "depthwise"), (special.grouped, f"grouped ({listed(map(str, special.groups))} groups)")]
    ways += [(count, f"dilated by {size}") for size, count in special.dilated]
    said = [(count, way) for count, way in (*ways, (special.transposed, "transposed")) if count]
    if len(found) == 1:
        return [f"It is {listed(way for _, way in said)}."] if said else []
    told = listed(
        f"{'all' if count == len(found) else count} {agreeing(count, 'is', 'are')} {way}" for count, way in said
    )
    return [f"{told[0].upper()}{told[1:]}."] if said else []


def _chain(facts: Facts) -> list[str]:
    channels = phrases.plain_channels(facts)
    return [f"Output channels in order: {'-'.join(map(str, channels))}."] if channels else []


def maps(facts: Facts) -> list[str]:
    """Where feature maps get smaller."""
    said = []
    if facts.steps:
        said.append(f"They get smaller at {'; '.join(map(_step, facts.steps))}.")
    if len(facts.stages) > 1:
        channels = ", ".join(f"{stage.channels} at {phrases.sizes(stage.size)}" for stage in facts.stages)
        said.append(f"Channels: {channels}{_doubled(*phrases.doublings(facts.stages))}.")
    return said


def _doubled(times: int, changes: int) -> str:
    """How often the channels double; nothing where they never do."""
    if not times:
        return ""
    often = f"{times} of {changes} times" if times < changes else "every time" if changes > 1 else ""
    return f"; they double {often} that the size changes" if often else "; they double where the size changes"


def _step(step: Step) -> str:
    ways = {"convolution": f"stride {phrases.stride(step.stride)}" if step.stride else "", "slicing": "slicing"}
    way = ways.get(step.cause, "pooling") or step.cause
    return f"{phrases.path(step.path)} ({way}) {phrases.sizes(step.before)} → {phrases.sizes(step.after)}"


def linear(facts: Facts) -> list[str]:
    """Fully connected layers."""
    found = facts.of_kind("linear")
    if not found:
        return []
    if not select.are_few(found):
        pairs, others = select.features(found)
        if len(pairs) == 1:
            return [f"{len(found)} of them, all {pairs[0][0]}."]
        more = [number(others, "other size")] if others else []
        return [f"{len(found)} of them: {listed([*(f'{count} of {size}' for size, count in pairs), *more])}."]
    return [
        f"{phrases.path(layer.path)}: {layer.features[0]} → {layer.features[1]}, {_held(layer, facts)}."
        for layer in found
        if layer.features
    ]


def _held(layer: Layer, facts: Facts) -> str:
    if not layer.params:
        return "its parameters are counted elsewhere"
    return f"{number(layer.params, 'parameter', units.hundredths)} ({phrases.share_of(layer.params, facts)})"


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
    said = phrases.name(name)
    return said if said.lower().endswith("block") else f"{said} block"


def blocks(facts: Facts) -> list[str]:
    """Residual blocks, shortcuts and gates."""
    said = []
    if facts.blocks:
        total = sum(block.count for block in facts.blocks)
        said.append(
            f"{number(total, 'residual block')}: {listed(f'{b.count} {phrases.name(b.name)}' for b in facts.blocks)}."
        )
    return [*said, *_shortcuts(facts), *_others(facts)]


def _shortcuts(facts: Facts) -> list[str]:
    said = []
    for skips in select.shortcuts(facts):
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


def structure(graph: ArchGraph, facts: Facts) -> list[str]:
    """Layers and totals."""
    return [*_failure(graph), *_layers(facts), *_totals(graph, facts)]


def _failure(graph: ArchGraph) -> list[str]:
    stopped = select.stopped(graph)
    if stopped is None:
        return []
    path, cls = stopped
    return [
        f"The run stopped at {f'{path} ({cls})' if path else cls}: all that follows is said of what ran until then."
    ]


def _layers(facts: Facts) -> list[str]:
    if not facts.weighted:
        return ["It has no weighted layers."]
    said = [f"{number(facts.weighted, 'weighted layer')}: {_counted(facts, 'main')}."]
    where = {"shortcut": "on shortcuts", "gate": "in gates"}
    left_out = [f"{text} {where[place]}" for place in select.BESIDE if (text := _counted(facts, place))]
    left_out += [number(len(found), KINDS[kind]) for kind in select.QUIET if (found := facts.of_kind(kind))]
    if left_out:
        are = "is" if len(left_out) == 1 and left_out[0].startswith("1 ") else "are"
        said.append(
            f"Counted as papers do, each layer once and on the main way alone: not counted {are} {listed(left_out)}."
        )
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
    said = [f"{phrases.exact(facts.params)} {agreeing(facts.params, 'parameter', 'parameters')}, {_frozen(facts)}."]
    if facts.unused:
        names, more = select.owners(facts)
        verb = "did not reach" if graph.trace.failure else "does not use"
        said.append(
            f"This run {verb} {phrases.exact(facts.unused_params)} of them (in {', '.join(names)}{' and more' * more}); "
            "shares are of those that it uses."
        )
    if shared := select.shared(facts):
        others = shared.count - 1
        besides = f", and {others} more {agreeing(others, 'is', 'are')} shared" if others else ""
        where = listed(shared.readers) + " and more" * shared.more
        said.append(f"{shared.name} is shared by {where}{besides}; shared parameters count once.")
    return said


def _frozen(facts: Facts) -> str:
    if not facts.frozen:
        return "all of them trainable"
    return "all of them frozen" if facts.frozen == facts.params else f"{phrases.exact(facts.frozen)} of them frozen"


def parameters(facts: Facts) -> list[str]:
    """Where the parameters are."""
    if not facts.used_params:
        return []
    return [*_core(facts), *_parts(facts), *_kinds(facts), *_largest(facts)]


def _core(facts: Facts) -> list[str]:
    """The smallest set of parts that holds 80 %."""
    core = select.core(facts)
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
    shares, more = select.shares(facts)
    return [f"Part by part: {', '.join(shares)}{', …' * more}."] if shares else []


def _kinds(facts: Facts) -> list[str]:
    kinds = phrases.other_kinds(facts.kinds)
    if len(kinds) == 1:
        return [f"All of them are in {several(kinds[0][0])}."]
    held = [f"{several(kind)} {units.percent(amount.share)}" for kind, amount in kinds]
    return [*_rivals(facts), f"By kind: {', '.join(held)}."]


def _rivals(facts: Facts) -> list[str]:
    """Which of convolutions and fully connected layers hold most, as that is often claimed wrongly."""
    rivals = phrases.rivals(facts)
    if rivals is None:
        return []
    most, less = (
        f"{f'the {KINDS[kind]} {sole}' if (sole := phrases.sole(facts, kind)) else several(kind)} "
        f"({units.percent(facts.kinds[kind].share)})"
        for kind in rivals
    )
    return [f"Most of them are in {most}, not in {less}."]


def _largest(facts: Facts) -> list[str]:
    layer = select.largest(facts)
    if layer is None:
        return []
    which = (
        "The largest layer is" if layer.equal == 1 else f"The largest layers are {layer.equal} of one size, the first"
    )
    weight = f", weight {layer.weight}" if layer.weight else ""
    return [f"{which} {layer.path} ({layer.name}{weight}): {layer.params} parameters, {layer.share}."]


KINDS: dict[Kind, str] = {
    "convolution": "convolution",
    "linear": "fully connected layer",
    "attention": "attention layer",
    "recurrent": "recurrent layer",
    "embedding": "embedding",
    "norm": "norm",
    "other": "other parameter",
}


def number(count: int, noun: str, said: Callable[[int], str] = "{:,}".format) -> str:
    """
    >>> number(1, "norm"), number(2, "norm")
    ('1 norm', '2 norms')
    """
    return f"{said(count)} {noun}{'s' * (count != 1)}"


def agreeing(count: int, one: str, many: str) -> str:
    """The verb that agrees with a number.

    >>> agreeing(1, "has", "have"), agreeing(2, "has", "have")
    ('has', 'have')
    """
    return one if count == 1 else many


def listed(items: Iterable[str]) -> str:
    """
    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    words = [item for item in items if item]
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def several(kind: Kind) -> str:
    """A kind of layer in the plural."""
    return f"{KINDS[kind]}s"
