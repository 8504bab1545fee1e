"""Write a view as a Mermaid flowchart, which GitHub, GitLab and many editors draw inside Markdown."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator

from fxviz._graph import SkipKind, units
from fxviz._graph.options import RenderOptions
from fxviz._render import differences, palette, ranges, wording
from fxviz._render.captions import Captions
from fxviz._render.header import title as heading
from fxviz._view.view import INPUT, OUTPUT, Card, Heading, Item, Repeat, Row, Stage, View

_LINKS: dict[SkipKind, str] = {
    "identity": "==>",
    "projection": "-.->",
    "resample": "-.->",
    "concat": "-->",
    "gate": "-.->",
}
"""The arrows of skips. ``-->`` is data flow too, but skips are blue."""

_HARMLESS = frozenset(" .,/()×·…→−✗")
"""Characters besides letters and digits that have no meaning in Mermaid, nor in the Markdown of its labels."""

_DEFAULTS = RenderOptions()


def mermaid(view: View, options: RenderOptions = _DEFAULTS) -> str:
    """Write rows as nodes, frames as subgraphs, data flow between rows as links, and skips in blue.

    The darker a node, the larger its share, in the same steps as in the figure. In a dense block each row passes on its
    input; its label says so and no link is drawn. Mermaid draws up to 50,000 characters and 500 links by default.

    Args:
        view: what to show.
        options: title and direction.

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
    return "\n".join(_lines(view, options)) + "\n"


def _lines(view: View, options: RenderOptions) -> Iterator[str]:
    title = json.dumps(_plain(heading(view, options)), ensure_ascii=False)
    yield from ("---", f"title: {title}", "---", f"flowchart {options.direction}")
    nodes = _Nodes(view)
    yield from _indented((nodes.terminal("input"), *nodes.items(view.items), nodes.terminal("output")))
    yield from _indented(_links(view))
    yield from _indented(nodes.classes())


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)


# -------------------------------------------------------------------- nodes


class _Nodes:
    """Nodes and subgraphs in the order of the view; records the classes in use."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.captions = Captions(view)
        self.steps: dict[int, float] = {}
        self.used: set[str] = set()
        self.frames: list[str] = []
        self.repeats: list[str] = []

    def items(self, items: tuple[Item, ...]) -> Iterator[str]:
        for item in items:
            if isinstance(item, Repeat):
                yield from self.subgraph(
                    " · ".join(filter(None, (ranges.times(item.times, item.kind), ranges.span(*item.span, "")))),
                    self.items(item.items),
                    self.repeats,
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
        share = units.percent(heading.total / self.captions.whole)
        texts = (heading.path, self.captions.kind_of(heading), self.captions.amount_of(heading), share)
        return " · ".join(filter(None, texts))

    def rows(self, card: Card) -> Iterator[str]:
        for row in card.rows:
            label = "<br>".join(_escaped(line) for line in self.texts(row) if line)
            yield f'r{row.id}["{label}"]{self.style(row)}'

    def texts(self, row: Row) -> Iterator[str]:
        """Yield the lines of a row's label: its name, its path, its output shape and its amount."""
        share = units.percent(row.total / self.captions.whole) if row.total else ""
        what = f"{differences.sign(row)} {wording.what(row)}" if row.change else wording.what(row)
        yield " · ".join(filter(None, (what, self.captions.tags(row))))
        yield self.captions.path(row, "")
        yield " · ".join(filter(None, (wording.output_shape(row), self.captions.amount(row), share)))

    def style(self, row: Row) -> str:
        """Return the class of a row: the step of its share, or its kind."""
        if row.kind == "failed":
            name = "stop"
        elif self.view.difference is not None:
            if row.change is None:
                return ""
            name = row.change.mark
        elif row.total:
            share = row.total / self.captions.whole
            self.steps[palette.step(share)] = share
            return f":::step{palette.step(share)}"
        elif row.kind in ("join", "projection"):
            name = "join"
        else:
            return ""
        self.used.add(name)
        return f":::{name}"

    def terminal(self, name: str) -> str:
        """Return the node of the input or the output with its shapes; if the run stopped, the output says why."""
        failure = self.view.graph.trace.failure
        if name == "output" and failure is not None:
            self.used.add("stop")
            reason = f"{wording.STOP} stopped at {wording.stop(failure)}"
            return f'output["{_escaped(reason)}<br>{_escaped(failure.message)}"]:::stop'
        nodes = [node for node in self.view.graph.nodes if node.kind == name]
        shapes = " · ".join(units.shape(tensor.shape) for node in nodes for tensor in node.outputs)
        return f'{name}(["{_escaped(f"{name} {shapes}".strip())}"])'

    def classes(self) -> Iterator[str]:
        """Yield the definitions of all classes in use, in the figure's light colours."""
        border = palette.BORDER.light
        yield f"classDef default fill:{palette.CARD.light},stroke:{border},color:{palette.INK.light}"
        for number, share in sorted(self.steps.items()):
            fill, ink = palette.bar(share).light, palette.on_bar(share).light
            yield f"classDef step{number} fill:{fill},stroke:{border},color:{ink}"
        if "join" in self.used:
            yield f"classDef join fill:{palette.CARD.light},stroke:{border},color:{palette.SKIP.light}"
        if "stop" in self.used:
            yield f"classDef stop fill:{palette.STOPPED.light},stroke:{palette.STOP.light},color:{palette.STOP.light}"
        for mark in sorted(palette.MARKS):
            if mark in self.used:
                fill, ink = palette.MARKED[mark].light, palette.MARKS[mark].light
                dash = ",stroke-dasharray:4 3" * (mark == "removed")
                yield f"classDef {mark} fill:{fill},stroke:{ink},color:{ink},stroke-width:2px{dash}"
        for name, frames, dash in (("frame", self.frames, ""), ("repeat", self.repeats, ",stroke-dasharray:4 3")):
            if frames:
                yield f"classDef {name} fill:none,stroke:{palette.FLOW.light}{dash}"
                yield f"class {','.join(frames)} {name}"


# -------------------------------------------------------------------- links


def _links(view: View) -> Iterator[str]:
    """Yield all links, then the style of those that are skips."""
    kinds = {(arc.tail, arc.head): arc.kind for arc in view.arcs}
    flows = (pair for pair in view.edges if not _only_dense(view, *pair))
    pairs = sorted({*flows, *kinds, *_failure_links(view)}, key=lambda pair: tuple(map(_place, pair)))
    for pair in pairs:
        yield f"{_id(pair[0])} {_LINKS[kinds[pair]] if pair in kinds else '-->'} {_id(pair[1])}"
    if kinds:
        numbers = ",".join(str(number) for number, pair in enumerate(pairs) if pair in kinds)
        yield f"linkStyle {numbers} stroke:{palette.SKIP.light},stroke-width:3px"


def _only_dense(view: View, tail: int, head: int) -> bool:
    """Return whether data passes only rows of a dense block, whose labels say that they pass it on."""
    between = [row for row in view.rows[tail + 1 : len(view.rows) if head == OUTPUT else head] if row.kind != "removed"]
    return bool(between) and all(row.concat for row in between)


def _failure_links(view: View) -> Iterator[tuple[int, int]]:
    """Yield the link from the operation that raised to the notice that replaces the output."""
    return ((row.id, OUTPUT) for row in view.rows if row.kind == "failed")


def _place(row: int) -> float:
    return float("inf") if row == OUTPUT else row


def _id(row: int) -> str:
    return {INPUT: "input", OUTPUT: "output"}.get(row, f"r{row}")


# -------------------------------------------------------------------- names


def _plain(text: str) -> str:
    """Make text one line without invisible characters, which could hide or reverse the text beside them."""
    return "".join(c for c in " ".join(text.split()) if unicodedata.category(c)[0] != "C")


def _escaped(text: str) -> str:
    """Escape text for a quoted label: what Mermaid, Markdown or HTML could interpret becomes a character code.

    >>> _escaped('Conv 3×3 "<b>%%{init}%%')
    'Conv 3×3 #34;#60;b#62;#37;#37;#123;init#125;#37;#37;'
    """
    return "".join(c if c.isalnum() or c in _HARMLESS else f"#{ord(c)};" for c in _plain(text))
