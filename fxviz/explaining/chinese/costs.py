"""Computation and memory, in Chinese."""

from __future__ import annotations

from fxviz import units
from fxviz.explaining import selecting, telling
from fxviz.explaining.chinese import words
from fxviz.explaining.chinese.words import KINDS, listed
from fxviz.facts.values import Facts
from fxviz.graph import ArchGraph


def computation(graph: ArchGraph, facts: Facts) -> list[str]:
    """MACs by kind and part."""
    if not facts.macs:
        return [f"乘加运算量未知：{facts.unknown_macs} 个运算没有公式。"] if facts.unknown_macs else []
    over = "至少" if facts.unknown_macs else ""
    said = [f"在此输入下{over}为 {units.macs(facts.macs)}（1 MAC 即一次乘加，等于 2 FLOPs）。"]
    if facts.unknown_macs:
        said.append(f"{facts.unknown_macs} 个运算没有公式，未计入。")
    if graph.trace.guessed:
        said.append("取决于数据的尺寸是估计的，因此该数值只是近似值。")
    kinds = sorted(((kind, held) for kind, held in facts.kinds.items() if held.macs), key=lambda item: -item[1].macs)
    names = {**KINDS, "other": "不含权重的乘积"}
    said.append(f"按类型：{listed(f'{names[kind]} {units.percent(held.macs_share)}' for kind, held in kinds)}。")
    shares = selecting.macs_shares(facts)
    return [*said, *([f"各部分占比：{listed(shares)}。"] if shares else [])]


def memory(facts: Facts) -> list[str]:
    """Bytes of parameters, buffers and activations."""
    memory, said = facts.memory, []
    if facts.params:
        said.append(f"参数占 {_both(memory.weights, memory.weights_fp32, memory.weight_dtypes)}。")
    if facts.buffers:
        said.append(f"缓冲区不属于参数，另有 {facts.buffers:,} 个数，按每个四字节计为 {telling.buffers(facts)}。")
    if memory.largest:
        largest = memory.largest
        all_of_them = _both(memory.activations, memory.activations_fp32, memory.activation_dtypes)
        name = telling.path(largest.path or largest.name)
        size = f"{units.shape(largest.shape)}，{words.memory(largest.bytes)}"
        said.append(f"对此输入，激活值占 {all_of_them}：即各运算新产生的全部张量。")
        said.append(f"其中最大的由 {name} 产生：{size}。")
    return said


def _both(traced: int, fp32: int, dtypes: frozenset[str]) -> str:
    """Bytes as traced and in fp32; the latter alone where all is fp32, and the former where nothing is floating."""
    said = words.memory(traced)
    if dtypes <= {"float32"}:
        return f"{said}（fp32）" if dtypes else said
    return f"{said}（按实际类型），fp32 时为 {words.memory(fp32)}"
