"""A model explained in Chinese."""

from __future__ import annotations

from fxviz._analysis.facts import Facts
from fxviz._graph import ArchGraph
from fxviz._report.explain import select as selecting
from fxviz._report.explain.chinese_costs import computation, memory
from fxviz._report.explain.chinese_shapes import attention, blocks, convolutions, linear, maps
from fxviz._report.explain.chinese_structure import parameters, structure
from fxviz._report.explain.chinese_words import listed
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
    title = selecting.title(graph)
    source = f"，来自 {title.source}" if title.source else ""
    weights = f"，权重 {title.weights}" if title.weights else ""
    inputs = f"，输入 {listed(title.inputs)}" if title.inputs else ""
    return f"{title.name}：{title.cls}{source}{weights}{inputs}"
