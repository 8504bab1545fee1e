"""A model explained in Chinese."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fxviz._analysis.facts import WEIGHTED, Facts, Kind, Layer, Place, Step
from fxviz._graph import ArchGraph, units
from fxviz._report.explain import phrases, select
from fxviz._report.explain.document import Explanation, explanation


def explain(graph: ArchGraph, facts: Facts) -> Explanation:
    """What there is to say of a graph, section by section."""
    return explanation(
        _title(graph),
        (
            ("网络结构", structure(graph, facts)),
            ("参数量分布", parameters(facts)),
            ("卷积层", convolutions(facts)),
            ("特征图", maps(facts)),
            ("全连接层", linear(facts)),
            ("注意力", attention(facts)),
            ("残差块与残差连接", blocks(facts)),
            ("计算量", computation(graph, facts)),
            ("内存", memory(facts)),
        ),
    )


def _title(graph: ArchGraph) -> str:
    title = select.title(graph)
    source = f"，来自 {title.source}" if title.source else ""
    weights = f"，权重 {title.weights}" if title.weights else ""
    inputs = f"，输入 {listed(title.inputs)}" if title.inputs else ""
    return f"{title.name}：{title.cls}{source}{weights}{inputs}"


def computation(graph: ArchGraph, facts: Facts) -> list[str]:
    """MACs and time."""
    return [*_macs(graph, facts), *_time(graph, facts)]


def _time(graph: ArchGraph, facts: Facts) -> list[str]:
    if facts.time is None:
        return []
    shares, more = select.time_shares(facts)
    where = f"：{listed(shares)}{'等' * more}" if shares else ""
    return [f"在 {phrases.name(graph.trace.device)} 上逐个运算计时，共用 {units.seconds(facts.time)}{where}。"]


def _macs(graph: ArchGraph, facts: Facts) -> list[str]:
    """MACs by kind and part."""
    if not facts.macs:
        return [f"{facts.unknown_macs} 个运算的乘加运算量未知。"] if facts.unknown_macs else []
    over = "至少" if facts.unknown_macs else ""
    said = [f"在此输入下{over}为 {units.macs(facts.macs)}（1 MAC 即一次乘加，等于 2 FLOPs）。"]
    if facts.unknown_macs:
        said.append(f"{facts.unknown_macs} 个运算的乘加运算量未知，未计入。")
    if graph.trace.guessed:
        said.append("取决于数据的部分是估计的，因此该数值只是近似值。")
    names = {**KINDS, "other": "不含权重的乘积"}
    said.append(f"按类型：{listed(f'{names[kind]} {share}' for kind, share in select.macs_kinds(facts))}。")
    shares, more = select.macs_shares(facts)
    return [*said, *([f"各部分占比：{listed(shares)}{'等' * more}。"] if shares else [])]


def memory(facts: Facts) -> list[str]:
    """Bytes of parameters, buffers and activations."""
    memory, said = facts.memory, []
    if facts.params:
        said.append(f"参数占 {_both(select.weights_bytes(memory))}。")
    if facts.buffers:
        said.append(
            f"缓冲区不属于参数，另有 {facts.buffers:,} 个数，按每个四字节计为 {memory_text(phrases.buffers(facts))}。"
        )
    if memory.largest:
        largest = memory.largest
        all_of_them = _both(select.activations_bytes(memory))
        name = phrases.path(largest.path or largest.name)
        shape, size = units.shape(largest.shape), memory_text(units.memory(largest.bytes))
        said.append(f"对此输入，激活值占 {all_of_them}：即各运算新产生的全部张量。")
        which = f"其中最大的有 {largest.equal} 个，各占 {size}，第一个" if largest.equal > 1 else "其中最大的"
        said.append(f"{which}由 {name} 产生：{shape}{'' if largest.equal > 1 else f'，{size}'}。")
    return said


def _both(taken: select.Bytes) -> str:
    """Bytes as traced and in fp32."""
    said = memory_text(taken.traced)
    if taken.fp32:
        return f"{said}（按实际类型），fp32 时为 {memory_text(taken.fp32)}"
    return f"{said}（fp32）" if taken.all_fp32 else said


def convolutions(facts: Facts) -> list[str]:
    """Kernels, strides and channels."""
    found = [layer for layer in facts.of_kind("convolution") if layer.geometry]
    if not found:
        return []
    return [*_kernels(found), *_special(found), *_chain(facts)]


def _kernels(found: Sequence[Layer]) -> list[str]:
    kernels, strides, paddings = phrases.kernels(found), phrases.strides(found), phrases.paddings(found)
    wide = listed(f"{count} 个步长为 {size}" for size, count in strides if size != "1")
    every = f"步长均为 {strides[0][0]}" if len(strides) == 1 else f"其中 {wide}"
    if len(found) == 1:
        return [f"唯一的卷积层使用{_kernel(kernels[0][0])}卷积核，步长为 {strides[0][0]}。"]
    if len(kernels) == 1:
        padding = f"，填充均为 {paddings[0]}" if len(paddings) == len(strides) == 1 else ""
        return [f"全部 {len(found)} 个卷积层都使用{_kernel(kernels[0][0])}卷积核，{every}{padding}。"]
    return [f"卷积核：{listed(f'{_of_kernel(size)} {count} 个' for size, count in kernels)}；{every}。"]


def _kernel(size: str) -> str:
    """A kernel of one dimension is a number, which needs a word."""
    return f" {size} " if "×" in size else f"长度为 {size} 的"


def _of_kernel(size: str) -> str:
    return f"{size} 的" if "×" in size else _kernel(size)


def _special(found: Sequence[Layer]) -> list[str]:
    special = select.special(found)
    sorts = [(special.depthwise, "逐通道卷积"), (special.grouped, f"分组卷积（{listed(map(str, special.groups))} 组）")]
    sorts += [(count, f"膨胀率为 {size} 的空洞卷积") for size, count in special.dilated]
    sorts.append((special.transposed, "转置卷积"))
    every = listed(sort for count, sort in sorts if count == len(found))
    some = listed(number(count, sort) for count, sort in sorts if 0 < count < len(found))
    said = [f"{'它是' if len(found) == 1 else '全部为'}{every}" if every else "", f"其中有 {some}" if some else ""]
    return [f"{'，'.join(filter(None, said))}。"] if any(said) else []


def _chain(facts: Facts) -> list[str]:
    channels = phrases.plain_channels(facts)
    return [f"输出通道数依次为：{'-'.join(map(str, channels))}。"] if channels else []


def maps(facts: Facts) -> list[str]:
    """Where feature maps get smaller."""
    said = []
    if facts.steps:
        said.append(f"尺寸缩小的位置：{'；'.join(map(_step, facts.steps))}。")
    if len(facts.stages) > 1:
        channels = listed(f"{phrases.sizes(stage.size)} 时 {stage.channels}" for stage in facts.stages)
        said.append(f"通道数：{channels}{_doubled(*phrases.doublings(facts.stages))}。")
    return said


def _doubled(times: int, changes: int) -> str:
    """How often the channels double; nothing where they never do."""
    if not times:
        return ""
    if changes == 1:
        return "；尺寸变化时通道数翻倍"
    return f"；尺寸共变化 {changes} 次，{f'其中 {times} 次通道数翻倍' if times < changes else '每次通道数都翻倍'}"


def _step(step: Step) -> str:
    ways = {
        "convolution": f"步长 {phrases.stride(step.stride)}" if step.stride else "卷积",
        "pooling": "池化",
        "slicing": "切片",
    }
    return f"{phrases.path(step.path)}（{ways[step.cause]}）{phrases.sizes(step.before)} → {phrases.sizes(step.after)}"


def linear(facts: Facts) -> list[str]:
    """Fully connected layers."""
    found = facts.of_kind("linear")
    if not found:
        return []
    if not select.are_few(found):
        pairs, others = select.features(found)
        more = f"，以及另外 {others} 种" if others else ""
        return [f"共 {len(found)} 个：{listed(f'{size} 的 {count} 个' for size, count in pairs)}{more}。"]
    return [
        f"{phrases.path(layer.path)}：{layer.features[0]} → {layer.features[1]}，{_held(layer, facts)}。"
        for layer in found
        if layer.features
    ]


def _held(layer: Layer, facts: Facts) -> str:
    if not layer.params:
        return "其参数已计入别处"
    return f"参数量 {units.hundredths(layer.params)}（{phrases.share_of(layer.params, facts)}）"


def attention(facts: Facts) -> list[str]:
    """Where attention is computed."""
    attention = facts.attention
    if attention is None:
        return []
    blocks = listed(f"{count} 个 {phrases.name(name)} 块" for name, count in attention.blocks.items())
    said = [f"共计算 {attention.count} 次" + (f"，分布在 {blocks}中。" if blocks else "。")]
    heads = f"头数为 {listed(map(str, attention.heads))}" if attention.heads else ""
    widths = f"宽度为 {listed(map(str, attention.widths))}" if attention.widths else ""
    return [*said, *([f"{'，'.join(filter(None, (heads, widths)))}。"] if heads or widths else [])]


def blocks(facts: Facts) -> list[str]:
    """Residual blocks, shortcuts and gates."""
    said = []
    if facts.blocks:
        total = sum(block.count for block in facts.blocks)
        said.append(f"共 {total} 个残差块：{listed(f'{b.count} 个 {phrases.name(b.name)}' for b in facts.blocks)}。")
    return [*said, *_shortcuts(facts), *_others(facts)]


def _shortcuts(facts: Facts) -> list[str]:
    said = []
    for skips in select.shortcuts(facts):
        held = f"参数量 {skips.params}，占 {skips.share}" if skips.params else "不含参数"
        said.append(f"{number(skips.count, RESIDUAL[skips.kind])}，{held}。")
    return said


def _others(facts: Facts) -> list[str]:
    concat, gates = facts.skips["concat"], facts.skips["gate"]
    said = []
    if concat:
        said.append(f"{concat} 处将较早的特征与较晚的特征拼接。")
    if gates:
        said.append(f"{gates} 处门控：特征与由其计算出的权重相乘。")
    return said


def structure(graph: ArchGraph, facts: Facts) -> list[str]:
    """Layers and totals."""
    return [*_failure(graph), *_layers(facts), *_totals(graph, facts)]


def _failure(graph: ArchGraph) -> list[str]:
    stopped = select.stopped(graph)
    if stopped is None:
        return []
    path, cls = stopped
    return [f"运行在 {f'{path}（{cls}）' if path else f'{cls} '}处中断，以下内容只涉及中断之前的部分。"]


def _layers(facts: Facts) -> list[str]:
    if not facts.weighted:
        return ["没有带权重的层。"]
    said = [f"共 {facts.weighted} 个带权重的层：{_counted(facts, 'main')}。"]
    where = {"shortcut": "残差连接上的 ", "gate": "门控内的 "}
    left_out = [where[place] + text for place in select.BESIDE if (text := _counted(facts, place))]
    left_out += [number(len(found), KINDS[kind]) for kind in select.QUIET if (found := facts.of_kind(kind))]
    if left_out:
        said.append(f"按论文惯例计数：只计主干，每层计一次；未计入的有{spaced(listed(left_out))}。")
    return [*said, *_depth(facts)]


def _counted(facts: Facts, place: Place, kinds: Sequence[Kind] = WEIGHTED) -> str:
    return listed(number(len(found), KINDS[kind]) for kind in kinds if (found := facts.of_kind(kind, place)))


def _depth(facts: Facts) -> list[str]:
    depth = facts.depth
    if facts.is_chain:
        return ["这些层首尾相接，连成一条链。"] if facts.weighted > 1 else []
    kinds = listed(number(count, KINDS[kind]) for kind in WEIGHTED if (count := depth.kinds.get(kind, 0)))
    calls = "（每次调用都计入）" if depth.repeats else ""
    return [f"最长的链有 {depth.layers} 层{calls}：{kinds}。"]


def _totals(graph: ArchGraph, facts: Facts) -> list[str]:
    if not facts.params:
        return ["没有参数。"]
    said = [f"总参数量为 {exact(facts.params)}，{_frozen(facts)}。"]
    if facts.unused:
        names, more = select.owners(facts)
        verb = "未到达" if graph.trace.failure else "没有用到"
        where = f"位于 {listed(names)}{' 等' * more}"
        said.append(
            f"本次运行{verb}其中的{spaced(counted(facts.unused_params))}参数（{where}）；占比均相对于用到的参数。"
        )
    if shared := select.shared(facts):
        besides = f"，另有 {shared.count - 1} 个共享参数" if shared.count > 1 else ""
        said.append(f"{shared.name} 由 {listed(shared.readers)}{' 等' * shared.more} 共享{besides}；共享参数只计一次。")
    return said


def _frozen(facts: Facts) -> str:
    if not facts.frozen:
        return "全部可训练"
    return "全部冻结" if facts.frozen == facts.params else f"其中{spaced(counted(facts.frozen))}被冻结"


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
        return [f"{core.of} 个部分中的 {core.count} 个占参数量的 {core.share}。"]
    if core.first:
        first, *others = core.names
        return [f"仅 {first} 就占参数量的 {core.first}，加上 {listed(others)} 共占 {core.share}。"]
    return [f"{listed(core.names)} {'合计' if core.count > 1 else '独'}占参数量的 {core.share}。"]


def _parts(facts: Facts) -> list[str]:
    shares, more = select.shares(facts)
    return [f"各部分占比：{listed(shares)}{'等' * more}。"] if shares else []


def _kinds(facts: Facts) -> list[str]:
    kinds = phrases.other_kinds(facts.kinds)
    if len(kinds) == 1:
        return [f"参数全部在{KINDS[kinds[0][0]]}中。"]
    held = [f"{KINDS[kind]} {units.percent(amount.share)}" for kind, amount in kinds]
    return [*_rivals(facts), f"按类型：{listed(held)}。"]


def _rivals(facts: Facts) -> list[str]:
    """Which of convolutions and fully connected layers hold most, as that is often claimed wrongly."""
    rivals = phrases.rivals(facts)
    if rivals is None:
        return []
    most, less = (
        f"{KINDS[kind]}{f' {sole}' if (sole := phrases.sole(facts, kind)) else ''}（{units.percent(facts.kinds[kind].share)}）"
        for kind in rivals
    )
    return [f"大部分参数在{most}中，而不在{less}中。"]


def _largest(facts: Facts) -> list[str]:
    layer = select.largest(facts)
    if layer is None:
        return []
    which = "最大的层是" if layer.equal == 1 else f"最大的层有 {layer.equal} 个，大小相同，第一个是"
    weight = f"，权重 {layer.weight}" if layer.weight else ""
    return [f"{which} {layer.path}（{layer.name}{weight}）：参数量 {layer.params}，占 {layer.share}。"]


KINDS: dict[Kind, str] = {
    "convolution": "卷积层",
    "linear": "全连接层",
    "attention": "注意力层",
    "recurrent": "循环层",
    "embedding": "嵌入层",
    "norm": "归一化层",
    "other": "其他参数",
}

RESIDUAL = {
    "identity": "恒等映射的残差连接",
    "projection": "带投影的残差连接",
    "resample": "带重采样的残差连接",
}
"""Skips that end in an addition, by their kinds."""


def number(count: int, noun: str) -> str:
    """
    >>> number(17, "卷积层")
    '17 个卷积层'
    """
    return f"{count:,} 个{noun}"


def memory_text(said: str) -> str:
    """
    >>> memory_text("640 bytes"), memory_text("64.00 kB")
    ('640 字节', '64.00 kB')
    """
    return said.replace("bytes", "字节")


def listed(items: Iterable[str]) -> str:
    """
    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a、b、c')
    """
    return "、".join(filter(None, items))


def exact(value: int) -> str:
    """
    >>> exact(11_689_512), exact(640)
    ('11.69M（11,689,512）', '640')
    """
    return phrases.exact(value, "（）")


def counted(value: int) -> str:
    """
    >>> counted(11_689_512), counted(640)
    ('11.69M（11,689,512）个', '640 个')
    """
    return f"{exact(value)}{'' if value >= 1000 else ' '}个"


def spaced(text: str) -> str:
    """With a space between Chinese characters and the number or the name that follows.

    >>> spaced("20 个"), spaced("卷积层")
    (' 20 个', '卷积层')
    """
    return f" {text}" if text[:1].isascii() else text
