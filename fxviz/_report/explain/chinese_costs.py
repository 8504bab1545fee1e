"""Computation and memory, in Chinese."""

from __future__ import annotations

from fxviz._analysis.facts import Facts
from fxviz._graph import ArchGraph, units
from fxviz._report.explain import chinese_words as words
from fxviz._report.explain import phrases as telling
from fxviz._report.explain import select as selecting
from fxviz._report.explain.chinese_words import KINDS, listed


def computation(graph: ArchGraph, facts: Facts) -> list[str]:
    """MACs and time."""
    return [*_macs(graph, facts), *_time(graph, facts)]


def _time(graph: ArchGraph, facts: Facts) -> list[str]:
    if facts.time is None:
        return []
    shares, more = selecting.time_shares(facts)
    where = f"：{listed(shares)}{'等' * more}" if shares else ""
    return [f"在 {telling.name(graph.trace.device)} 上逐个运算计时，共用 {units.seconds(facts.time)}{where}。"]


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
    said.append(f"按类型：{listed(f'{names[kind]} {share}' for kind, share in selecting.macs_kinds(facts))}。")
    shares, more = selecting.macs_shares(facts)
    return [*said, *([f"各部分占比：{listed(shares)}{'等' * more}。"] if shares else [])]


def memory(facts: Facts) -> list[str]:
    """Bytes of parameters, buffers and activations."""
    memory, said = facts.memory, []
    if facts.params:
        said.append(f"参数占 {_both(selecting.weights_bytes(memory))}。")
    if facts.buffers:
        said.append(f"缓冲区不属于参数，另有 {facts.buffers:,} 个数，按每个四字节计为 {words.memory(telling.buffers(facts))}。")
    if memory.largest:
        largest = memory.largest
        all_of_them = _both(selecting.activations_bytes(memory))
        name = telling.path(largest.path or largest.name)
        shape, size = units.shape(largest.shape), words.memory(units.memory(largest.bytes))
        said.append(f"对此输入，激活值占 {all_of_them}：即各运算新产生的全部张量。")
        which = f"其中最大的有 {largest.equal} 个，各占 {size}，第一个" if largest.equal > 1 else "其中最大的"
        said.append(f"{which}由 {name} 产生：{shape}{'' if largest.equal > 1 else f'，{size}'}。")
    return said


def _both(taken: selecting.Bytes) -> str:
    """Bytes as traced and in fp32."""
    said = words.memory(taken.traced)
    if taken.fp32:
        return f"{said}（按实际类型），fp32 时为 {words.memory(taken.fp32)}"
    return f"{said}（fp32）" if taken.all_fp32 else said
