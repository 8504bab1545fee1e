"""A view as a Mermaid flowchart: text that GitHub, GitLab and many editors draw inside Markdown."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator

from fxviz._graph import units
from fxviz._render import differences, palette, wording
from fxviz._render.captions import Captions
from fxviz._render.drawing import Look
from fxviz._render.header import title as heading
from fxviz._view.view import INPUT, OUTPUT, Card, Heading, Item, Repeat, Row, Stage, View

_LINKS = {"identity": "==>", "projection": "-.->", "resample": "-.->", "concat": "-->", "gate": "-.->"}
"""How a skip is drawn; ``-->`` is data flow too, but a skip is blue."""

_HARMLESS = frozenset(" .,/()×·…→−✗")
"""Besides letters and digits, what means nothing to Mermaid and to the Markdown in its labels."""

_DEFAULTS = Look()


def mermaid(view: View, look: Look = _DEFAULTS) -> str:
    """The rows of a view as nodes, its frames as subgraphs, the data flow between rows as links, skips in blue.

    The darker a node, the larger its share, in the steps of the figure. In a dense block each row hands on what it received,
    which is said at the row and not drawn. Mermaid draws up to 50,000 characters and 500 links unless told otherwise.

    Args:
        view: what to show.
        look: its title, and which way it runs.

    Returns:
        The text of the flowchart, without a Markdown fence.

    >>> from fxviz._graph import ArchGraph, ModelInfo, Node, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("net", "python", "Net"), trace, (), (), (Scope(0, "", "Net", 0, None),), ())
    >>> row = Row(0, "layer", (Node("fc", "module", "Linear", "fc"),), "fc", None, params=70, total=70)
    >>> text = mermaid(View(graph, (Card((row,)),), (), (), (), frozenset({(INPUT, 0), (0, OUTPUT)})))
    >>> print("\\n".join(line for line in text.splitlines() if "classDef" not in line))
    ---
    title: "net"
    ---
    flowchart TB
        input(["input"])
        r0["Linear<br>fc<br>70 · 100.0#37;"]:::step8
        output(["output"])
        input --> r0
        r0 --> output
    """
    return "\n".join(_lines(view, look)) + "\n"


def _lines(view: View, look: Look) -> Iterator[str]:
    title = json.dumps(_plain(heading(view, look)), ensure_ascii=False)
    yield from ("---", f"title: {title}", "---", f"flowchart {look.direction}")
    nodes = _Nodes(view)
    yield from _indented((nodes.terminal("input"), *nodes.items(view.items), nodes.terminal("output")))
    yield from _indented(_links(view))
    yield from _indented(nodes.classes())


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)


# -------------------------------------------------------------------- nodes


class _Nodes:
    """Nodes and subgraphs in the order of the view; remembers which classes they were given."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.say = Captions(view)
        self.steps: dict[int, float] = {}
        self.used: set[str] = set()
        self.frames: list[str] = []
        self.repeats: list[str] = []

    def items(self, items: tuple[Item, ...]) -> Iterator[str]:
        for item in items:
            if isinstance(item, Repeat):
                yield from self.subgraph(
                    f"×{item.times} · {wording.span(*item.span, '')}", self.items(item.items), self.repeats
                )
            elif isinstance(item, Stage):
                yield from self.subgraph(self.heading(item.heading), self.items(item.items), self.frames)
            elif item.heading is not None:
                yield from self.subgraph(self.heading(item.heading), self.rows(item), self.frames)
            else:
                yield from self.rows(item)

    def subgraph(self, title: str, inside: Iterable[str], kind: list[str]) -> Iterator[str]:
        name = f"s{len(self.frames) + len(self.repeats)}"
        kind.append(name)
        yield f'subgraph {name}["{_escaped(title)}"]'
        yield from _indented(inside)
        yield "end"

    def heading(self, heading: Heading) -> str:
        share = units.percent(heading.total / self.say.whole)
        texts = (heading.path, heading.class_name.lstrip("_"), self.say.metric.said(heading.total), share)
        return " · ".join(filter(None, texts))

    def rows(self, card: Card) -> Iterator[str]:
        for row in card.rows:
            said = "<br>".join(_escaped(line) for line in self.texts(row) if line)
            yield f'r{row.id}["{said}"]{self.style(row)}'

    def texts(self, row: Row) -> Iterator[str]:
        """A row's lines: what it is, where it is, what leaves it and what it has of the metric."""
        share = units.percent(row.total / self.say.whole) if row.total else ""
        what = f"{differences.sign(row)} {wording.what(row)}" if row.change else wording.what(row)
        yield " · ".join(filter(None, (what, self.say.tags(row))))
        yield self.say.path(row, "")
        yield " · ".join(filter(None, (wording.output_shape(row), self.say.amount(row), share)))

    def style(self, row: Row) -> str:
        """A row's class: the step of its share, or what it is."""
        if row.kind == "failed":
            name = "stop"
        elif self.view.difference is not None:
            if row.change is None:
                return ""
            name = row.change.mark
        elif row.total:
            share = row.total / self.say.whole
            self.steps[palette.step(share)] = share
            return f":::step{palette.step(share)}"
        elif row.kind in ("join", "projection"):
            name = "join"
        else:
            return ""
        self.used.add(name)
        return f":::{name}"

    def terminal(self, name: str) -> str:
        """The input or the output with its shapes; where the run stopped, that in the output's place."""
        failure = self.view.graph.trace.failure
        if name == "output" and failure is not None:
            self.used.add("stop")
            said = f"{wording.STOP} stopped at {wording.stop(failure)}"
            return f'output["{_escaped(said)}<br>{_escaped(failure.message)}"]:::stop'
        nodes = [node for node in self.view.graph.nodes if node.kind == name]
        shapes = " · ".join(units.shape(tensor.shape) for node in nodes for tensor in node.outputs)
        return f'{name}(["{_escaped(f"{name} {shapes}".strip())}"])'

    def classes(self) -> Iterator[str]:
        """The looks of all classes that were given, in the colours of the figure on light ground."""
        border = palette.BORDER.light
        yield f"classDef default fill:{palette.CARD.light},stroke:{border},color:{palette.INK.light}"
        for number, share in sorted(self.steps.items()):
            fill, ink = palette.bar(share).light, palette.on_bar(share).light
            yield f"classDef step{number} fill:{fill},stroke:{border},color:{ink}"
        if "join" in self.used:
            yield f"classDef join fill:{palette.CARD.light},stroke:{border},color:{palette.SKIP.light}"
        if "stop" in self.used:
            yield f"classDef stop fill:{palette.STOPPED.light},stroke:{palette.STOP.light},color:{palette.STOP.light}"
        for name in sorted(self.used & palette.MARKS.keys()):
            ground, ink, dash = (
                palette.MARKED[name].light,
                palette.MARKS[name].light,
                ",stroke-dasharray:4 3" * (name == "removed"),
            )
            yield f"classDef {name} fill:{ground},stroke:{ink},color:{ink},stroke-width:2px{dash}"
        for name, frames, dash in (("frame", self.frames, ""), ("repeat", self.repeats, ",stroke-dasharray:4 3")):
            if frames:
                yield f"classDef {name} fill:none,stroke:{palette.FLOW.light}{dash}"
                yield f"class {','.join(frames)} {name}"


# -------------------------------------------------------------------- links


def _links(view: View) -> Iterator[str]:
    """All links, then the numbers of those that are skips with their look."""
    kinds = {(arc.tail, arc.head): arc.kind for arc in view.arcs}
    flows = (pair for pair in view.edges if not _passes_on(view, *pair))
    pairs = sorted({*flows, *kinds, *_last(view)}, key=lambda pair: tuple(map(_place, pair)))
    for pair in pairs:
        yield f"{_id(pair[0])} {_LINKS[kinds[pair]] if pair in kinds else '-->'} {_id(pair[1])}"
    if kinds:
        numbers = ",".join(str(number) for number, pair in enumerate(pairs) if pair in kinds)
        yield f"linkStyle {numbers} stroke:{palette.SKIP.light},stroke-width:3px"


def _passes_on(view: View, tail: int, head: int) -> bool:
    """Whether data goes past nothing but rows that hand it on (a dense block), which their notes say."""
    between = [row for row in view.rows[tail + 1 : len(view.rows) if head == OUTPUT else head] if row.kind != "removed"]
    return bool(between) and all(row.concat for row in between)


def _last(view: View) -> Iterator[tuple[int, int]]:
    """From the operation that raised to the notice in the output's place."""
    return ((row.id, OUTPUT) for row in view.rows if row.kind == "failed")


def _place(row: int) -> float:
    return float("inf") if row == OUTPUT else row


def _id(row: int) -> str:
    return {INPUT: "input", OUTPUT: "output"}.get(row, f"r{row}")


# -------------------------------------------------------------------- names


def _plain(text: str) -> str:
    """One line without characters that are not seen: they could hide or turn round what stands beside them."""
    return "".join(c for c in " ".join(text.split()) if unicodedata.category(c)[0] != "C")


def _escaped(text: str) -> str:
    """Text for a quoted label, everything that could be an order for Mermaid, Markdown or HTML as a character code.

    >>> _escaped('Conv 3×3 "<b>%%{init}%%')
    'Conv 3×3 #34;#60;b#62;#37;#37;#123;init#125;#37;#37;'
    """
    return "".join(c if c.isalnum() or c in _HARMLESS else f"#{ord(c)};" for c in _plain(text))
