"""Convolutions, feature maps, layers and blocks, in Chinese."""

from __future__ import annotations

from collections.abc import Sequence

from fxviz._analysis.facts import Facts, Layer, Step
from fxviz._graph import units
from fxviz._report.explain import phrases as telling
from fxviz._report.explain import select as selecting
from fxviz._report.explain.chinese_words import RESIDUAL, listed, number


def convolutions(facts: Facts) -> list[str]:
    """Kernels, strides and channels."""
    found = [layer for layer in facts.of_kind("convolution") if layer.geometry]
    if not found:
        return []
    return [*_kernels(found), *_special(found), *_chain(facts)]


def _kernels(found: Sequence[Layer]) -> list[str]:
    kernels, strides, paddings = telling.kernels(found), telling.strides(found), telling.paddings(found)
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
    special = selecting.special(found)
    sorts = [(special.depthwise, "逐通道卷积"), (special.grouped, f"分组卷积（{listed(map(str, special.groups))} 组）")]
    sorts += [(count, f"膨胀率为 {size} 的空洞卷积") for size, count in special.dilated]
    sorts.append((special.transposed, "转置卷积"))
    every = listed(sort for count, sort in sorts if count == len(found))
    some = listed(number(count, sort) for count, sort in sorts if 0 < count < len(found))
    said = [f"{'它是' if len(found) == 1 else '全部为'}{every}" if every else "", f"其中有 {some}" if some else ""]
    return [f"{'，'.join(filter(None, said))}。"] if any(said) else []


def _chain(facts: Facts) -> list[str]:
    channels = telling.plain_channels(facts)
    return [f"输出通道数依次为：{'-'.join(map(str, channels))}。"] if channels else []


def maps(facts: Facts) -> list[str]:
    """Where feature maps get smaller."""
    said = []
    if facts.steps:
        said.append(f"尺寸缩小的位置：{'；'.join(map(_step, facts.steps))}。")
    if len(facts.stages) > 1:
        channels = listed(f"{telling.sizes(stage.size)} 时 {stage.channels}" for stage in facts.stages)
        said.append(f"通道数：{channels}{_doubled(*telling.doublings(facts.stages))}。")
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
        "convolution": f"步长 {telling.stride(step.stride)}" if step.stride else "卷积",
        "pooling": "池化",
        "slicing": "切片",
    }
    return f"{telling.path(step.path)}（{ways[step.cause]}）{telling.sizes(step.before)} → {telling.sizes(step.after)}"


def linear(facts: Facts) -> list[str]:
    """Fully connected layers."""
    found = facts.of_kind("linear")
    if not found:
        return []
    if not selecting.are_few(found):
        pairs, others = selecting.features(found)
        more = f"，以及另外 {others} 种" if others else ""
        return [f"共 {len(found)} 个：{listed(f'{size} 的 {count} 个' for size, count in pairs)}{more}。"]
    return [
        f"{telling.path(layer.path)}：{layer.features[0]} → {layer.features[1]}，{_held(layer, facts)}。"
        for layer in found
        if layer.features
    ]


def _held(layer: Layer, facts: Facts) -> str:
    if not layer.params:
        return "其参数已计入别处"
    return f"参数量 {units.hundredths(layer.params)}（{telling.share_of(layer.params, facts)}）"


def attention(facts: Facts) -> list[str]:
    """Where attention is computed."""
    attention = facts.attention
    if attention is None:
        return []
    blocks = listed(f"{count} 个 {telling.name(name)} 块" for name, count in attention.blocks.items())
    said = [f"共计算 {attention.count} 次" + (f"，分布在 {blocks}中。" if blocks else "。")]
    heads = f"头数为 {listed(map(str, attention.heads))}" if attention.heads else ""
    widths = f"宽度为 {listed(map(str, attention.widths))}" if attention.widths else ""
    return [*said, *([f"{'，'.join(filter(None, (heads, widths)))}。"] if heads or widths else [])]


def blocks(facts: Facts) -> list[str]:
    """Residual blocks, shortcuts and gates."""
    said = []
    if facts.blocks:
        total = sum(block.count for block in facts.blocks)
        said.append(f"共 {total} 个残差块：{listed(f'{b.count} 个 {telling.name(b.name)}' for b in facts.blocks)}。")
    return [*said, *_shortcuts(facts), *_others(facts)]


def _shortcuts(facts: Facts) -> list[str]:
    said = []
    for skips in selecting.shortcuts(facts):
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
