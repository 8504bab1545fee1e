"""Explain a model in Chinese."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fxviz._analysis.facts import Blocks, Facts, Kind, Layer, Step
from fxviz._graph import ArchGraph, units
from fxviz._graph.values import PACKED, MacsBound, ResidualKind
from fxviz._report.explain import formats, select
from fxviz._report.explain.document import Explanation, explanation


def explain(graph: ArchGraph, facts: Facts) -> Explanation:
    """Explain a graph section by section."""
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
    """Describe MACs and time."""
    return [*_macs(graph, facts), *_time(graph, facts), *graph.trace.sentences]


def _time(graph: ArchGraph, facts: Facts) -> list[str]:
    if facts.time is None:
        return []
    shares, more = select.time_shares(facts)
    where = f"：{listed(shares)}{'等' * more}" if shares else ""
    return [f"在 {formats.name(graph.trace.device)} 上逐个运算计时，共耗时 {units.seconds(facts.time)}{where}。"]


def _macs(graph: ArchGraph, facts: Facts) -> list[str]:
    if not facts.macs:
        return [f"{facts.unknown_macs} 个运算的乘加运算量未知。"] if facts.unknown_macs else []
    over = _qualifier(graph)
    sentences = [f"在此输入下{over}为 {units.macs(facts.macs)}（1 MAC 即一次乘加，等于 2 FLOPs）。"]
    if facts.unknown_macs:
        sentences.append(f"{facts.unknown_macs} 个运算的乘加运算量未知，未计入。")
    if graph.trace.guessed:
        sentences.append(_GUESSED[graph.trace.bound])
    names = {**KINDS, "other": "不含模型参数的乘积" if graph.trace.unregistered else "不含权重的乘积"}
    sentences.append(f"按类型：{listed(f'{names[kind]} {share}' for kind, share in select.kinds_with_macs(facts))}。")
    return [*sentences, *_by_part(select.macs_shares(facts))]


def _qualifier(graph: ArchGraph) -> str:
    if graph.unknown_macs:
        return "至少" if not graph.trace.guessed or graph.trace.bound == "exact" else "约"
    return "至多" if graph.trace.guessed and graph.trace.bound == "most" else ""


_GUESSED: dict[MacsBound, str] = {
    "exact": "每个专家得到哪些词元取决于数据，但所有专家得到的行数之和等于词元数乘以每个词元所选的专家数。",
    "most": "取决于数据的结果按其最大可能估计。",
    "about": "取决于数据的部分是估计的，因此该数值只是近似值。",
}


def memory(facts: Facts) -> list[str]:
    """Describe the bytes of parameters, buffers and activations."""
    sentences = []
    if facts.params:
        sentences.append(f"参数占 {_bytes(select.weights_bytes(facts.memory))}。")
    if facts.buffers:
        sentences.append(f"缓冲区不属于参数，另有 {facts.buffers:,} 个数。")
    if largest := select.largest_tensor(facts.memory):
        total, size = _bytes(select.activations_bytes(facts.memory)), memory_text(largest.size)
        sentences += [
            f"对此输入，激活值占 {total}：即各运算新产生的全部张量。",
            f"其中最大的由 {largest.path} 产生：{largest.shape}，{size}。"
            if largest.equal == 1
            else f"其中最大的有 {largest.equal} 个，各占 {size}，第一个由 {largest.path} 产生：{largest.shape}。",
        ]
    return sentences


def _bytes(taken: select.Bytes) -> str:
    """Return bytes as traced and in fp32."""
    traced = memory_text(taken.traced)
    if taken.fp32:
        return f"{traced}（按实际类型），fp32 时为 {memory_text(taken.fp32)}"
    return f"{traced}（fp32）" if taken.all_fp32 else traced


def convolutions(facts: Facts) -> list[str]:
    """Describe kernels, strides and channels."""
    found = select.convolutions(facts)
    return [*_kernels(select.kernels(found)), *_special(found), *_chain(facts)] if found else []


def _kernels(kernels: select.Kernels) -> list[str]:
    sizes, stride, count = kernels.sizes, kernels.stride, kernels.count
    if count == 1:
        return [f"唯一的卷积层使用{_kernel(sizes[0][0])}卷积核，步长为 {stride}。"]
    strides = listed(f"{count} 个步长为 {size}" for size, count in kernels.strides)
    every = f"步长均为 {stride}" if stride else f"其中 {strides}"
    if len(sizes) == 1:
        padding = f"，填充均为 {kernels.padding}" if kernels.padding else ""
        return [f"全部 {count} 个卷积层都使用{_kernel(sizes[0][0])}卷积核，{every}{padding}。"]
    return [f"卷积核：{listed(f'{_of_kernel(size)} {count} 个' for size, count in sizes)}；{every}。"]


def _kernel(size: str) -> str:
    """Return the sizes; of one dimension they are a number, which needs a word."""
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
    clauses = [f"{'它是' if len(found) == 1 else '全部为'}{every}" if every else "", f"其中有 {some}" if some else ""]
    return [f"{'，'.join(filter(None, clauses))}。"] if any(clauses) else []


def _chain(facts: Facts) -> list[str]:
    channels = select.plain_channels(facts)
    return [f"输出通道数依次为：{'-'.join(map(str, channels))}。"] if channels else []


def maps(facts: Facts) -> list[str]:
    """Describe where feature maps get smaller."""
    sentences = []
    if facts.steps:
        sentences.append(f"尺寸缩小的位置：{'；'.join(map(_step, facts.steps))}。")
    if stages := select.stages(facts):
        channels = listed(f"{formats.sizes(stage.size)} 时 {stage.channels}" for stage in stages)
        sentences.append(f"通道数：{channels}{_doubled(*select.doublings(stages))}。")
    return sentences


def _doubled(times: int, changes: int) -> str:
    """Say how often the channels double; nothing where they never do."""
    if not times:
        return ""
    if changes == 1:
        return "；尺寸变化时通道数翻倍"
    often = f"其中 {times} 次通道数翻倍" if times < changes else "每次通道数都翻倍"
    return f"；从其中一种尺寸到下一种共 {changes} 次，{often}"


def _step(step: Step) -> str:
    borders = "，边缘缩减" if set(step.stride) == {1} else ""
    ways = {
        "convolution": f"步长 {formats.stride(step.stride)}{borders}" if step.stride else "卷积",
        "pooling": "池化",
        "slicing": "切片",
    }
    return f"{formats.path(step.path)}（{ways[step.cause]}）{formats.sizes(step.before)} → {formats.sizes(step.after)}"


def linear(facts: Facts) -> list[str]:
    """Describe fully connected layers."""
    found = facts.of_kind("linear")
    if not found:
        return []
    if not select.are_few(found):
        pairs, others = select.features(found)
        more = f"，以及另外 {others} 种" if others else ""
        return [f"共 {len(found)} 个：{listed(f'{size} 的 {count} 个' for size, count in pairs)}{more}。"]
    return [
        f"{formats.path(layer.path)}：{layer.features[0]} → {layer.features[1]}，{_held(layer, facts)}。"
        for layer in found
        if layer.features
    ]


def _held(layer: Layer, facts: Facts) -> str:
    if not layer.params:
        return "其参数已计入别处"
    return f"参数量 {units.hundredths(layer.params)}（{formats.share_of(layer.params, facts)}）"


def attention(facts: Facts) -> list[str]:
    """Describe where attention is computed."""
    attention = facts.attention
    if attention is None:
        return []
    blocks = listed(f"{count} 个 {formats.name(name)} 块" for name, count in attention.blocks.items())
    sentences = [f"共计算 {attention.count} 次" + (f"，分布在 {blocks}中。" if blocks else "。")]
    heads = f"头数为 {listed(map(str, attention.heads))}" if attention.heads else ""
    widths = f"宽度为 {listed(map(str, attention.widths))}" if attention.widths else ""
    return [*sentences, *([f"{'，'.join(filter(None, (heads, widths)))}。"] if heads or widths else [])]


def blocks(facts: Facts) -> list[str]:
    """Describe residual blocks, shortcuts and gates."""
    sentences = []
    if facts.blocks:
        total = sum(block.count for block in facts.blocks)
        sentences.append(f"共 {total} 个残差块：{listed(map(_blocks_of_a_class, facts.blocks))}。")
    return [*sentences, *_shortcuts(facts), *_other_skips(facts)]


def _blocks_of_a_class(blocks: Blocks) -> str:
    again = "" if blocks.calls == blocks.count else f"（以相同权重共运行 {blocks.calls} 次）"
    return f"{blocks.count} 个 {formats.name(blocks.name)}{again}"


def _shortcuts(facts: Facts) -> list[str]:
    sentences = []
    for skips in select.shortcuts(facts):
        held = f"参数量 {skips.params}，占 {skips.share}" if skips.params else "不含参数"
        sentences.append(f"{number(skips.count, RESIDUAL[skips.kind])}，{held}。")
    return sentences


def _other_skips(facts: Facts) -> list[str]:
    concat, gates = facts.skips["concat"], facts.skips["gate"]
    sentences = []
    if concat:
        sentences.append(f"{concat} 处将较早的特征与较晚的特征拼接。")
    if gates:
        sentences.append(f"{gates} 处门控：特征与由其计算出的权重相乘。")
    return sentences


def structure(graph: ArchGraph, facts: Facts) -> list[str]:
    """Describe layers and totals."""
    return [
        *_failure(graph),
        *_layers(facts, bool(graph.trace.unregistered)),
        *_totals(graph, facts),
        *_unregistered(graph),
    ]


def _unregistered(graph: ArchGraph) -> list[str]:
    sentences = []
    for found in graph.trace.unregistered:
        if found.remedy == PACKED:
            more = f" 等 {found.count} 个模块" if found.count > 1 else ""
            sentences.append(
                f"{formats.name(found.place)}{more}（{formats.name(found.cls)}）使用了 {found.scalars:,} 个权重，"
                "它们由 torch 量化打包存放，不属于模型参数。"
            )
            continue
        where = formats.name(" 中的 ".join(filter(None, (found.place, found.cls))))
        advice = f"请用 {found.remedy} 注册" if found.remedy else "请在 __init__ 中创建并保存为属性"
        sentences.append(f"{where} 使用了 {found.scalars:,} 个不属于模型参数的权重：{advice}。")
    return sentences


def _failure(graph: ArchGraph) -> list[str]:
    stopped = select.stopped(graph)
    if stopped is None:
        return []
    path, cls = stopped
    return [f"运行在 {f'{path}（{cls}）' if path else f'{cls} '}处中断，以下内容只涉及中断之前的部分。"]


def _layers(facts: Facts, unregistered: bool) -> list[str]:
    if not facts.weighted:
        return ["没有层持有模型参数。" if unregistered else "没有带权重的层。"]
    sentences = [f"共 {facts.weighted} 个带权重的层：{_kinds_listed(select.counted(facts))}。"]
    where = {"shortcut": "残差连接上的 ", "gate": "门控内的 ", "main": ""}
    left_out = listed(f"{where[place]}{_kinds_listed(kinds)}" for place, kinds in select.uncounted(facts))
    if left_out:
        sentences.append(f"按论文惯例计数：只计主干，每层计一次；未计入的有{spaced(left_out)}。")
    return [*sentences, *_depth(facts)]


def _kinds_listed(kinds: select.KindCounts) -> str:
    return listed(number(count, KINDS[kind]) for kind, count in kinds)


def _depth(facts: Facts) -> list[str]:
    if facts.is_chain:
        return ["这些层首尾相接，连成一条链。"] if facts.weighted > 1 else []
    calls = "（每次调用都计入）" if facts.depth.repeats else ""
    return [f"最长的链有 {facts.depth.layers} 层{calls}：{_kinds_listed(select.deepest(facts))}。"]


def _totals(graph: ArchGraph, facts: Facts) -> list[str]:
    if not facts.params:
        return ["没有参数。"]
    sentences = [f"总参数量为 {exact(facts.params)}，{_frozen(facts)}。"]
    if graph.active_params is not None:
        sentences.append(f"路由器在专家之间选择，因此一个词元用到其中的{spaced(counted(graph.active_params))}参数。")
    if facts.unused:
        names, more = select.owners(facts)
        verb = "未到达" if graph.trace.failure else "没有用到"
        where = f"位于 {listed(names)}{' 等' * more}"
        sentences.append(
            f"本次运行{verb}其中的{spaced(counted(facts.unused_params))}参数（{where}）；占比均相对于用到的参数。"
        )
    if shared := select.shared(facts):
        besides = f"，另有 {shared.count - 1} 个共享参数" if shared.count > 1 else ""
        sentences.append(
            f"{shared.name} 由 {listed(shared.readers)}{' 等' * shared.more} 共享{besides}；共享参数只计一次。"
        )
    return sentences


def _frozen(facts: Facts) -> str:
    if not facts.frozen:
        return "全部可训练"
    return "全部冻结" if facts.frozen == facts.params else f"其中{spaced(counted(facts.frozen))}被冻结"


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
        return [f"{core.of:,} 个部分中没有一个超过参数量的 {core.most}。"]
    if not core.names:
        return [f"{core.of} 个部分中的 {core.count} 个占参数量的 {core.share}。"]
    if core.first:
        first, *others = core.names
        return [f"仅 {first} 就占参数量的 {core.first}，加上 {listed(others)} 共占 {core.share}。"]
    return [f"{listed(core.names)} {'合计' if core.count > 1 else '独'}占参数量的 {core.share}。"]


def _by_part(found: select.Shares) -> list[str]:
    shares, more = found
    return [f"各部分占比：{listed(shares)}{'等' * more}。"] if shares else []


def _kinds(facts: Facts) -> list[str]:
    kinds = select.kinds_with_params(facts.kinds)
    if len(kinds) == 1:
        return [f"参数全部在{KINDS[kinds[0][0]]}中。"]
    held = [f"{KINDS[kind]} {units.percent(amount.share)}" for kind, amount in kinds]
    return [*_rivals(facts), f"按类型：{listed(held)}。"]


def _rivals(facts: Facts) -> list[str]:
    """Say whether convolutions or fully connected layers hold most, as that is often claimed wrongly."""
    rivals = select.rivals(facts)
    if rivals is None:
        return []
    most, less = (
        f"{KINDS[kind]}{f' {only}' if (only := select.only_layer(facts, kind)) else ''}"
        f"（{units.percent(facts.kinds[kind].share)}）"
        for kind in rivals
    )
    return [f"大部分参数在{most}中，而不在{less}中。"]


def _largest_layer(facts: Facts) -> list[str]:
    layer = select.largest_layer(facts)
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

RESIDUAL: dict[ResidualKind, str] = {
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


def memory_text(size: str) -> str:
    """
    >>> memory_text("640 bytes"), memory_text("64.00 kB")
    ('640 字节', '64.00 kB')
    """
    return size.replace("bytes", "字节")


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
    return formats.exact(value, "（）")


def counted(value: int) -> str:
    """
    >>> counted(11_689_512), counted(640)
    ('11.69M（11,689,512）个', '640 个')
    """
    return f"{exact(value)}{'' if value >= 1000 else ' '}个"


def spaced(text: str) -> str:
    """Return the text with a space between Chinese characters and the number or the name that follows.

    >>> spaced("20 个"), spaced("卷积层")
    (' 20 个', '卷积层')
    """
    return f" {text}" if text[:1].isascii() else text
