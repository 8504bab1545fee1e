"""What a model is made of and where its parameters are, in Chinese."""

from __future__ import annotations

from collections.abc import Sequence

from fxviz._analysis.facts import WEIGHTED, Facts, Kind, Place
from fxviz._graph import ArchGraph, units
from fxviz._report.explain import phrases as telling
from fxviz._report.explain import select as selecting
from fxviz._report.explain.chinese_words import KINDS, counted, exact, listed, number, spaced


def structure(graph: ArchGraph, facts: Facts) -> list[str]:
    """Layers and totals."""
    return [*_failure(graph), *_layers(facts), *_totals(graph, facts)]


def _failure(graph: ArchGraph) -> list[str]:
    stopped = selecting.stopped(graph)
    if stopped is None:
        return []
    path, cls = stopped
    return [f"运行在 {f'{path}（{cls}）' if path else f'{cls} '}处中断，以下内容只涉及中断之前的部分。"]


def _layers(facts: Facts) -> list[str]:
    if not facts.weighted:
        return ["没有带权重的层。"]
    said = [f"共 {facts.weighted} 个带权重的层：{_counted(facts, 'main')}。"]
    where = {"shortcut": "残差连接上的 ", "gate": "门控内的 "}
    left_out = [where[place] + text for place in selecting.BESIDE if (text := _counted(facts, place))]
    left_out += [number(len(found), KINDS[kind]) for kind in selecting.QUIET if (found := facts.of_kind(kind))]
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
        names, more = selecting.owners(facts)
        verb = "未到达" if graph.trace.failure else "没有用到"
        where = f"位于 {listed(names)}{' 等' * more}"
        said.append(f"本次运行{verb}其中的{spaced(counted(facts.unused_params))}参数（{where}）；占比均相对于用到的参数。")
    if shared := selecting.shared(facts):
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
    core = selecting.core(facts)
    if core is None:
        return []
    if not core.names:
        return [f"{core.of} 个部分中的 {core.count} 个占参数量的 {core.share}。"]
    if core.first:
        first, *others = core.names
        return [f"仅 {first} 就占参数量的 {core.first}，加上 {listed(others)} 共占 {core.share}。"]
    return [f"{listed(core.names)} {'合计' if core.count > 1 else '独'}占参数量的 {core.share}。"]


def _parts(facts: Facts) -> list[str]:
    shares, more = selecting.shares(facts)
    return [f"各部分占比：{listed(shares)}{'等' * more}。"] if shares else []


def _kinds(facts: Facts) -> list[str]:
    kinds = telling.other_kinds(facts.kinds)
    if len(kinds) == 1:
        return [f"参数全部在{KINDS[kinds[0][0]]}中。"]
    held = [f"{KINDS[kind]} {units.percent(amount.share)}" for kind, amount in kinds]
    return [*_rivals(facts), f"按类型：{listed(held)}。"]


def _rivals(facts: Facts) -> list[str]:
    """Which of convolutions and fully connected layers hold most, as that is often claimed wrongly."""
    rivals = telling.rivals(facts)
    if rivals is None:
        return []
    most, less = (
        f"{KINDS[kind]}{f' {sole}' if (sole := telling.sole(facts, kind)) else ''}（{units.percent(facts.kinds[kind].share)}）"
        for kind in rivals
    )
    return [f"大部分参数在{most}中，而不在{less}中。"]


def _largest(facts: Facts) -> list[str]:
    layer = selecting.largest(facts)
    if layer is None:
        return []
    which = "最大的层是" if layer.equal == 1 else f"最大的层有 {layer.equal} 个，大小相同，第一个是"
    weight = f"，权重 {layer.weight}" if layer.weight else ""
    return [f"{which} {layer.path}（{layer.name}{weight}）：参数量 {layer.params}，占 {layer.share}。"]
