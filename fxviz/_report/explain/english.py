"""Explain a model in English."""

from __future__ import annotations

from collections.abc import Sequence

from fxviz._analysis.facts import Blocks, Facts, Layer, Step
from fxviz._graph import SKIP_NOUNS, ArchGraph, units
from fxviz._graph.errors import printable
from fxviz._graph.values import MacsBound
from fxviz._report.explain import formats, select
from fxviz._report.explain.document import Explanation, explanation
from fxviz._report.explain.english_words import KINDS, agreeing, in_words, listed, number, plural


def explain(graph: ArchGraph, facts: Facts) -> Explanation:
    """Explain a graph section by section."""
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
    weights = f" with weights {title.weights}" if title.weights else ""
    inputs = f", run on {', '.join(title.inputs)}" if title.inputs else ""
    return f"{title.name}: {title.cls}{source}{weights}{inputs}"


def structure(graph: ArchGraph, facts: Facts) -> list[str]:
    """Describe layers and totals."""
    return [
        *_failure(graph),
        *_layers(facts, bool(graph.trace.unregistered)),
        *_totals(graph, facts),
        *_unregistered(graph),
    ]


def _unregistered(graph: ArchGraph) -> list[str]:
    sentences = (printable(found.sentence) for found in graph.trace.unregistered)
    return [f"{sentence[:1].upper()}{sentence[1:]}." for sentence in sentences]


def _failure(graph: ArchGraph) -> list[str]:
    stopped = select.stopped(graph)
    if stopped is None:
        return []
    path, cls = stopped
    return [
        f"The run stopped at {f'{path} ({cls})' if path else cls}; everything below covers only what ran before that."
    ]


def _layers(facts: Facts, unregistered: bool) -> list[str]:
    if not facts.weighted:
        return ["No layer holds parameters of the model." if unregistered else "It has no weighted layers."]
    sentences = [f"{number(facts.weighted, 'weighted layer')}: {_kinds_listed(select.counted(facts))}."]
    if uncounted := select.uncounted(facts):
        where = {"shortcut": " on shortcuts", "gate": " in gates", "main": ""}
        total = sum(count for _, kinds in uncounted for _, count in kinds)
        left_out = listed(f"{_kinds_listed(kinds)}{where[place]}" for place, kinds in uncounted)
        sentences.append(
            "Layers are counted as in papers, each once and only on the main path; "
            f"{left_out} {agreeing(total, 'is', 'are')} not counted."
        )
    return [*sentences, *_depth(facts)]


def _kinds_listed(kinds: select.KindCounts) -> str:
    return listed(number(count, KINDS[kind]) for kind, count in kinds)


def _depth(facts: Facts) -> list[str]:
    if facts.is_chain:
        return ["The weighted layers form a single chain."] if facts.weighted > 1 else []
    layers = number(facts.depth.layers, "layer")
    calls = ", counting every call" if facts.depth.repeats else ""
    return [f"The longest chain has {layers}{calls}: {_kinds_listed(select.deepest(facts))}."]


def _totals(graph: ArchGraph, facts: Facts) -> list[str]:
    if not facts.params:
        return ["It has no parameters."]
    sentences = [
        f"{formats.exact(facts.params)} {agreeing(facts.params, 'parameter', 'parameters')}, {_frozen(facts)}."
    ]
    if graph.active_params is not None:
        sentences.append(
            f"A router chooses among experts, so one token uses {formats.exact(graph.active_params)} of them."
        )
    if facts.unused:
        names, more = select.owners(facts)
        does_not, used = ("did not reach", "reached") if graph.trace.failure else ("does not use", "used")
        sentences.append(
            f"This run {does_not} {formats.exact(facts.unused_params)} of them (in {listed(names, more)}); "
            f"shares are of the parameters {used}."
        )
    if shared := select.shared(facts):
        others = shared.count - 1
        besides = f", and {others} more {agreeing(others, 'is', 'are')} shared" if others else ""
        sentences.append(
            f"{shared.name} is shared by {listed(shared.readers, shared.more)}{besides}; shared parameters count once."
        )
    return sentences


def _frozen(facts: Facts) -> str:
    if not facts.frozen:
        return "all trainable"
    return "all frozen" if facts.frozen == facts.params else f"{formats.exact(facts.frozen)} of them frozen"


def parameters(facts: Facts) -> list[str]:
    """Describe where the parameters are."""
    if not facts.used_params:
        return []
    return [*_core(facts), *_by_part(select.shares(facts)), *_kinds(facts), *_largest_layer(facts)]


def _core(facts: Facts) -> list[str]:
    core = select.core(facts)
    if core is None:
        return []
    if core.most:
        return [f"None of the {core.of:,} parts holds more than {core.most} of the parameters."]
    if not core.names:
        return [f"The {in_words(core.count)} largest of {core.of} parts hold {core.share} of the parameters."]
    if core.first:
        first, *others = core.names
        return [f"{first} alone holds {core.first} of the parameters; together with {listed(others)}, {core.share}."]
    holds = agreeing(core.count, "alone holds", "hold")
    return [f"{listed(core.names)} {holds} {core.share} of the parameters."]


def _by_part(found: select.Shares) -> list[str]:
    shares, more = found
    return [f"By part: {', '.join(shares)}{', and others' * more}."] if shares else []


def _kinds(facts: Facts) -> list[str]:
    kinds = select.kinds_with_params(facts.kinds)
    if len(kinds) == 1:
        return [f"All parameters are in {plural(kinds[0][0])}."]
    held = [f"{plural(kind)} {units.percent(amount.share)}" for kind, amount in kinds]
    return [*_rivals(facts), f"By kind: {', '.join(held)}."]


def _rivals(facts: Facts) -> list[str]:
    """Say whether convolutions or fully connected layers hold most, as that is often claimed wrongly."""
    rivals = select.rivals(facts)
    if rivals is None:
        return []
    most, less = (
        f"{f'the {KINDS[kind]} {only}' if (only := select.only_layer(facts, kind)) else plural(kind)} "
        f"({units.percent(facts.kinds[kind].share)})"
        for kind in rivals
    )
    return [f"Most parameters are in {most}, not in {less}."]


def _largest_layer(facts: Facts) -> list[str]:
    layer = select.largest_layer(facts)
    if layer is None:
        return []
    name = f"{layer.path} ({layer.name}{f', weight {layer.weight}' if layer.weight else ''})"
    held = f"{layer.params} parameters ({layer.share})"
    if layer.equal == 1:
        return [f"The largest layer is {name} with {held}."]
    return [f"The {in_words(layer.equal)} largest layers have {held} each; the first is {name}."]


def convolutions(facts: Facts) -> list[str]:
    """Describe kernels, strides and channels."""
    found = select.convolutions(facts)
    return [*_kernels(select.kernels(found)), *_special(found), *_chain(facts)] if found else []


def _kernels(kernels: select.Kernels) -> list[str]:
    sizes, stride = kernels.sizes, kernels.stride
    if kernels.count == 1:
        return [f"The only convolution has a {_kernel(sizes[0][0], 'kernel')} and stride {stride}."]
    strides = listed(f"{count} {agreeing(count, 'has', 'have')} stride {size}" for size, count in kernels.strides)
    if len(sizes) == 1:
        all_of = "Both" if kernels.count == 2 else f"All {kernels.count}"
        alike = [f"stride {stride}" * bool(stride), f"padding {kernels.padding}" * bool(kernels.padding)]
        rest = f", {listed(alike)}" if stride else f"; {strides}"
        return [f"{all_of} convolutions have {_kernel(sizes[0][0], 'kernels')}{rest}."]
    each = listed(f"{count} {_has_kernel(count, size)}" for size, count in sizes)
    return [f"Kernels: {each}; {f'all have stride {stride}' if stride else strides}."]


def _kernel(size: str, noun: str) -> str:
    """Return the sizes with a noun; of one dimension they are a number, which needs a word.

    >>> _kernel("3×3", "kernel"), _kernel("3", "kernels")
    ('3×3 kernel', 'kernels of size 3')
    """
    return f"{size} {noun}" if "×" in size else f"{noun} of size {size}"


def _has_kernel(count: int, size: str) -> str:
    """
    >>> _has_kernel(1, "3×3"), _has_kernel(2, "3")
    ('is 3×3', 'have size 3')
    """
    return f"{agreeing(count, 'is', 'are')} {size}" if "×" in size else f"{agreeing(count, 'has', 'have')} size {size}"


def _special(found: Sequence[Layer]) -> list[str]:
    special = select.special(found)
    sorts = [
        (special.depthwise, "depthwise"),
        (special.grouped, f"grouped ({listed(map(str, special.groups))} groups)"),
    ]
    sorts += [(count, f"dilated (rate {rate})") for rate, count in special.dilated]
    sorts = [(count, sort) for count, sort in (*sorts, (special.transposed, "transposed")) if count]
    if len(found) == 1:
        return [f"It is {listed(sort for _, sort in sorts)}."] if sorts else []
    sentence = listed(
        f"{'all' if count == len(found) else count} {agreeing(count, 'is', 'are')} {sort}" for count, sort in sorts
    )
    return [f"{sentence[0].upper()}{sentence[1:]}."] if sentence else []


def _chain(facts: Facts) -> list[str]:
    channels = select.plain_channels(facts)
    return [f"Output channels in order: {'-'.join(map(str, channels))}."] if channels else []


def maps(facts: Facts) -> list[str]:
    """Describe where feature maps get smaller."""
    sentences = []
    if facts.steps:
        sentences.append(f"Downsampling: {'; '.join(map(_step, facts.steps))}.")
    if stages := select.stages(facts):
        channels = ", ".join(f"{stage.channels} at {formats.sizes(stage.size)}" for stage in stages)
        sentences.append(f"Channels: {channels}{_doubled(*select.doublings(stages))}.")
    return sentences


def _doubled(times: int, changes: int) -> str:
    """Say how often the channels double; nothing where they never do."""
    if not times:
        return ""
    if changes == 1:
        return "; they double when the size changes"
    often = f"{times} of {changes} times" if times < changes else "each time"
    return f"; from one of these sizes to the next they double {often}"


def _step(step: Step) -> str:
    stride = f"stride {formats.stride(step.stride)}" if step.stride else ""
    ways = {"convolution": f"{stride}, losing borders" if set(step.stride) == {1} else stride, "slicing": "slicing"}
    way = ways.get(step.cause, "pooling") or step.cause
    return f"{formats.path(step.path)} ({way}) {formats.sizes(step.before)} → {formats.sizes(step.after)}"


def linear(facts: Facts) -> list[str]:
    """Describe fully connected layers."""
    found = facts.of_kind("linear")
    if not found:
        return []
    if not select.are_few(found):
        pairs, others = select.features(found)
        if len(pairs) == 1:
            return [f"{len(found)} layers, all {pairs[0][0]}."]
        more = [number(others, "other size")] if others else []
        return [f"{len(found)} layers: {listed([*(f'{count} of {size}' for size, count in pairs), *more])}."]
    return [
        f"{formats.path(layer.path)}: {layer.features[0]} → {layer.features[1]}, {_held(layer, facts)}."
        for layer in found
        if layer.features
    ]


def _held(layer: Layer, facts: Facts) -> str:
    if not layer.params:
        return "its parameters are counted elsewhere"
    return f"{number(layer.params, 'parameter', units.hundredths)} ({formats.share_of(layer.params, facts)})"


def attention(facts: Facts) -> list[str]:
    """Describe where attention is computed."""
    attention = facts.attention
    if attention is None:
        return []
    blocks = listed(number(count, f"{formats.name(name)} module") for name, count in attention.blocks.items())
    times = "once" if attention.count == 1 else f"{attention.count} times"
    sentences = [f"Attention is computed {times}{f', in {blocks}' if blocks else ''}."]
    heads, widths = (listed(map(str, values), last="or") for values in (attention.heads, attention.widths))
    heads = f"{heads} head{'s' * (attention.heads != (1,))}" if heads else ""
    uses = listed([heads, f"a width of {widths}" if widths else ""])
    return [*sentences, *([f"It uses {uses}."] if uses else [])]


def blocks(facts: Facts) -> list[str]:
    """Describe residual blocks, shortcuts and gates."""
    return [*_residual_blocks(facts), *_shortcuts(facts), *_other_skips(facts)]


def _residual_blocks(facts: Facts) -> list[str]:
    total = number(sum(block.count for block in facts.blocks), "residual block")
    if len(facts.blocks) == 1:
        return [f"{total} ({formats.name(facts.blocks[0].name)}){_runs(facts.blocks[0])}."]
    each = listed(f"{block.count} {formats.name(block.name)}{_runs(block)}" for block in facts.blocks)
    return [f"{total}: {each}."] if each else []


def _runs(blocks: Blocks) -> str:
    """Say how often blocks run that are called again with the same weights."""
    if blocks.calls == blocks.count:
        return ""
    all_together = " all together" if blocks.count > 1 else ""
    return f", called {blocks.calls} times{all_together} with the same weights"


def _shortcuts(facts: Facts) -> list[str]:
    return [
        f"{number(skips.count, SKIP_NOUNS[skips.kind])} "
        f"{f'with {skips.params} parameters ({skips.share})' if skips.params else 'without parameters'}."
        for skips in select.shortcuts(facts)
    ]


def _other_skips(facts: Facts) -> list[str]:
    concat, gates = facts.skips["concat"], facts.skips["gate"]
    sentences = []
    if concat:
        sentences.append(f"{number(concat, SKIP_NOUNS['concat'])}: earlier features are concatenated with later ones.")
    if gates:
        sentences.append(f"{number(gates, SKIP_NOUNS['gate'])}: features are multiplied by weights computed from them.")
    return sentences


def computation(graph: ArchGraph, facts: Facts) -> list[str]:
    """Describe MACs and time."""
    return [*_macs(graph, facts), *_time(graph, facts), *graph.trace.sentences]


def _macs(graph: ArchGraph, facts: Facts) -> list[str]:
    unknown = f"The MACs of {number(facts.unknown_macs, 'operation')} are unknown" if facts.unknown_macs else ""
    if not facts.macs:
        return [f"{unknown}."] if unknown else []
    total = f"{_qualifier(graph)}{units.macs(facts.macs)}"
    sentences = [f"{total} for this input (1 MAC is one multiplication and one addition, so 2 FLOPs)."]
    if unknown:
        sentences.append(f"{unknown} and not included.")
    if graph.trace.guessed:
        sentences.append(_GUESSED[graph.trace.bound])
    names = {
        **{kind: plural(kind) for kind in KINDS},
        "other": "products without parameters of the model" if graph.trace.unregistered else "products without weights",
    }
    by_kind = ", ".join(f"{names[kind]} {share}" for kind, share in select.kinds_with_macs(facts))
    return [*sentences, f"By kind: {by_kind}.", *_by_part(select.macs_shares(facts))]


def _qualifier(graph: ArchGraph) -> str:
    if graph.unknown_macs:
        return "At least " if not graph.trace.guessed or graph.trace.bound == "exact" else "About "
    return "At most " if graph.trace.guessed and graph.trace.bound == "most" else ""


_GUESSED: dict[MacsBound, str] = {
    "exact": "Which expert gets which token depends on the data, but all together get as many rows as there are tokens "
    "times experts chosen for each.",
    "most": "Results that depend on the data were guessed as large as they can be.",
    "about": "Results that depend on the data were guessed, so this number is approximate.",
}


def _time(graph: ArchGraph, facts: Facts) -> list[str]:
    if facts.time is None:
        return []
    shares, more = select.time_shares(facts)
    where = f": {', '.join(shares)}{', and others' * more}" if shares else ""
    device = formats.name(graph.trace.device)
    return [f"Timed step by step on {device}, the run takes {units.seconds(facts.time)}{where}."]


def memory(facts: Facts) -> list[str]:
    """Describe the bytes of parameters, buffers and activations."""
    sentences = []
    if facts.params:
        sentences.append(f"The parameters take {_bytes(select.weights_bytes(facts.memory))}.")
    if facts.buffers:
        scalars = number(facts.buffers, "scalar")
        sentences.append(f"Buffers, which are not parameters, add {scalars}.")
    if largest := select.largest_tensor(facts.memory):
        total = _bytes(select.activations_bytes(facts.memory))
        output = f"the output of {largest.path} ({largest.shape})"
        sentences += [
            f"The activations for this input take {total}, counting every tensor that an operation newly creates.",
            f"The largest is {output}: {largest.size}."
            if largest.equal == 1
            else f"The {in_words(largest.equal)} largest are {largest.size} each; the first is {output}.",
        ]
    return sentences


def _bytes(taken: select.Bytes) -> str:
    """Return bytes as traced and in fp32."""
    if taken.fp32:
        return f"{taken.traced} as traced ({taken.fp32} in fp32)"
    return f"{taken.traced} (fp32)" if taken.all_fp32 else taken.traced
