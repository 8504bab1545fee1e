"""Draw the graph style: a card for each layer, coloured by its share, parallel branches side by side, skips in blue."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

from fxviz._graph import SkipKind, units
from fxviz._graph.operations import plain_name
from fxviz._graph.options import RenderOptions
from fxviz._render import palette, ranges, wording
from fxviz._render.captions import Captions
from fxviz._render.drawing import Align, Box, Cell, Color, Drawing, Frame, Item, Line, Shape, Table, Text
from fxviz._render.header import describe, footer, header
from fxviz._render.lines import skip_look
from fxviz._render.text_width import fit, fit_path, width
from fxviz._view.view import INPUT, OUTPUT, Card, Heading, Repeat, Row, Stage, View
from fxviz._view.view import Item as ViewItem

_GLYPHS = {"add": "+", "sub": "−", "mul": "×"}
_CARD, _TAGS, _PATH = 168, 110, 96
"""The greatest widths of a card's text, its tags and its path, in points."""
_LINES = (12, 11, 11)
"""Heights of a card's lines, in points."""
_GAPS = (12.0, 6.0)
_TRUNK, _NEXT, _ASIDE = 60, 8, 1
"""Weights that pull a line straight: on the trunk, on the only way onward, elsewhere."""
_DEFAULTS = RenderOptions()


def draw(view: View, options: RenderOptions = _DEFAULTS) -> Drawing:
    """Draw a view as a graph.

    Args:
        view: what to show.
        options: title, header, legend and direction.

    Returns:
        The drawing, in the colours of every theme; its header is as wide as that of a ledger.

    >>> from fxviz._graph import ArchGraph, ModelInfo, Node, Scope, TraceInfo
    >>> trace = TraceInfo("meta", "fake", {}, "2.4.0", None)
    >>> graph = ArchGraph(ModelInfo("empty", "python", "Empty"), trace, (), (), (Scope(0, "", "Empty", 0, None),), ())
    >>> draw(View(graph, (), (), (), ()), RenderOptions(direction="LR")).direction
    'LR'
    """
    return _Graph(view, options).drawing()


class _Graph:
    def __init__(self, view: View, options: RenderOptions) -> None:
        self.view = view
        self.options = options
        self.captions = Captions(view)
        self.box_of: dict[int, str] = {INPUT: "input", OUTPUT: "output"}
        self.frames = 0
        self.skipped_to = {arc.head for arc in view.arcs}
        self.outflow = Counter(tail for tail, _ in view.edges - {(arc.tail, arc.head) for arc in view.arcs})

    def drawing(self) -> Drawing:
        """Frame everything, without outline: the label is the header, on top in either direction."""
        items = (self.captions.input(), *self.items(self.view.items, ""), self.captions.end())
        below = (row for box in footer(self.view) for row in box.content.rows)
        above = (*header(self.view, self.options, None), *below)
        whole = Frame("figure", Table(above), describe(self.view), items, None)
        name = self.options.title or self.view.graph.model.name
        return Drawing(name, describe(self.view), (whole,), tuple(self.lines()), self.options.direction, _GAPS)

    # ---------------------------------------------------------------- frames

    def items(self, items: tuple[ViewItem, ...], base: str) -> tuple[Item, ...]:
        return tuple(drawn for item in items for drawn in self.item(item, base))

    def item(self, item: ViewItem, base: str) -> tuple[Item, ...]:
        if isinstance(item, Stage):
            return (self.framed(item.heading, self.items(item.items, item.heading.path), base),)
        if isinstance(item, Repeat):
            return (self.repeated(item, base),)
        return self.card(item, base)

    def card(self, card: Card, base: str) -> tuple[Item, ...]:
        if card.heading is None:
            return tuple(self.box(row, base) for row in card.rows)
        return (self.framed(card.heading, tuple(self.box(row, card.heading.path) for row in card.rows), base),)

    def framed(self, heading: Heading, items: tuple[Item, ...], base: str) -> Frame:
        share = heading.total / self.captions.whole
        name = fit_path(ranges.relative(heading.path, base).lstrip("."), 150, 10, bold=True)
        texts = [Text(name, palette.INK, 10, bold=True)]
        if kind := self.captions.kind_of(heading):
            texts.append(Text(f"  {fit(kind, 110, 9)} ", palette.on_tint(share), 9))
        if heading.total:
            amount = f"{self.captions.amount_of(heading)} · {units.percent(share)}"
            texts.append(Text(f"   {amount}", palette.INK, 9, bold=True))
        fill = palette.tint(share)
        return Frame(self.name(), _label(texts, fill), self.captions.heading(heading), items, palette.BORDER, fill)

    def repeated(self, repeat: Repeat, base: str) -> Frame:
        span = ranges.span(*repeat.span, base)
        texts = [
            Text(ranges.times(repeat.times, repeat.kind), palette.INK, 11, bold=True),
            Text(f"  {fit(span, 200, 9)}", palette.INK, 9),
        ]
        items = self.items(repeat.items, repeat.span[0] if self.captions.one_block(repeat) else base)
        return Frame(self.name(), _label(texts), f"{repeat.times} times {span}", items, palette.FLOW, dashed=True)

    def name(self) -> str:
        self.frames += 1
        return f"frame{self.frames}"

    # ---------------------------------------------------------------- boxes

    def box(self, row: Row, base: str) -> Box:
        name = self.box_of[row.id] = f"row{row.id}"
        if row.merges:
            return self.merge(row, name)
        return (
            self.layer(row, name, base)
            if row.total or row.shared or row.kind in ("block", "failed")
            else self.step(row, name)
        )

    def layer(self, row: Row, name: str, base: str) -> Box:
        """Draw a row with parameters: name and tags, path and shape, amount and share, on the colour of the share."""
        share = row.total / self.captions.whole
        color, bold = self.captions.look(row)
        ink, muted = (palette.on_bar(share),) * 2 if row.total else (palette.INK, palette.MUTED)
        head = [Text(fit(wording.what(row).removeprefix("→ "), _CARD, 10, bold), ink, 10, bold)]
        if row.kind == "failed":
            head = [Text(fit(wording.what(row), _CARD, 10, bold), color, 10, bold)]
        if tags := self.captions.tags(row):
            head.append(Text(f"  {fit(tags, _TAGS, 9)}", muted, 9))
        place = fit_path(self.captions.path(row, base).lstrip(".").replace(" .", " "), _PATH, 9)
        where = "  ".join(filter(None, (place, wording.output_shape(row))))
        amount = "  ".join(filter(None, (self.captions.amount(row), units.percent(share) if row.total else "")))
        lines = [head, [Text(where, muted, 9)] if where else [], [Text(amount, ink, 9, bold=True)] if amount else []]
        return Box(name, _stack([line for line in lines if line]), wording.what(row), self.shape(row))

    def shape(self, row: Row) -> Shape:
        if row.kind == "failed":
            return Shape("card", palette.STOPPED, palette.STOP, 2)
        fill = palette.bar(row.total / self.captions.whole) if row.total else palette.CARD
        return Shape("card", fill, palette.SKIP, 2) if row.kind == "projection" else Shape("card", fill, palette.BORDER)

    def step(self, row: Row, name: str) -> Box:
        """Draw a row without parameters, in one line."""
        texts = [Text(fit(wording.what(row).removeprefix("→ "), _CARD, 10), palette.MUTED, 10)]
        details = "  ".join(filter(None, (fit(self.captions.tags(row), _TAGS, 9), wording.output_shape(row))))
        if details:
            texts.append(Text(f"  {details}", palette.MUTED, 9))
        return Box(name, _stack([texts]), wording.what(row), self.shape(row))

    def merge(self, row: Row, name: str) -> Box:
        """Draw a merge of branches: a circle for a plain sum or product, a pill if there is more to say."""
        color = palette.SKIP if row.kind == "join" or row.id in self.skipped_to else palette.FLOW
        glyph = _GLYPHS.get(plain_name(row.heads[0].op), "")
        label = " · ".join(filter(None, (glyph or "concat", fit(self.captions.tags(row), _TAGS, 9))))
        text = Text(label, palette.CARD, 11 if label == glyph else 9, bold=True)
        if label == glyph:
            return Box(
                name, Table(((Cell((text,), align="center"),),)), wording.what(row), Shape("circle", color, color)
            )
        return Box(name, _stack([[text]], align="center"), wording.what(row), Shape("merge", color, color))

    # ---------------------------------------------------------------- lines

    def lines(self) -> Iterator[Line]:
        """Draw all edges; those of a skip in blue, before and after the layer on it."""
        skips = {(arc.tail, arc.head): arc.kind for arc in self.view.arcs}
        on_skips = {arc.head: arc.kind for arc in self.view.arcs if arc.head >= 0}
        on_skips = {row: kind for row, kind in on_skips.items() if self.view.rows[row].kind == "projection"}
        for tail, head in sorted({*skips, *self.view.edges}, key=self.place):
            line = self.line(tail, head, skips.get((tail, head)) or on_skips.get(tail))
            yield from itertools.repeat(line, self.view.ways.get((tail, head), 1))

    def place(self, edge: tuple[int, int]) -> tuple[int, int]:
        """Sort edges from the input first and those to the output last."""
        tail, head = edge
        return tail, len(self.view.rows) if head == OUTPUT else head

    def line(self, tail: int, head: int, kind: SkipKind | None) -> Line:
        ends = self.box_of[tail], self.box_of[head]
        if kind is not None:
            return Line(*ends, "skip", f"{kind} skip", tail_side="_", head_side="_", weight=_ASIDE, **skip_look(kind))
        weight = _TRUNK if (tail, head) in self.view.trunk else _NEXT if self.outflow[tail] == 1 else _ASIDE
        return Line(*ends, "flow", "data", tail_side="_", head_side="_", color=palette.FLOW, weight=weight)


def _total_width(texts: list[Text]) -> float:
    return sum(width(text.text, text.size, text.bold) for text in texts) + 4


def _stack(lines: list[list[Text]], align: Align = "left") -> Table:
    """Stack lines of text, as wide as the longest."""
    widest = max(map(_total_width, lines))
    cells = (Cell(tuple(line), widest, height, align=align) for line, height in zip(lines, _LINES, strict=False))
    return Table(tuple((cell,) for cell in cells))


def _label(texts: list[Text], background: Color | None = None) -> Table:
    """Return a frame's label; its background hides lines that pass behind it."""
    return Table(((Cell(tuple(texts), _total_width(texts) + 2, 13, background),),))
